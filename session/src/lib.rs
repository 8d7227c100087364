//! Foundation.
#![allow(dead_code, unused_imports, missing_docs)]
mod data;
mod id;
pub mod merge;
mod record;
mod store;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
pub use data::{EncodeError, FlashValue, IndexKey, Migration, MigrationError, SessionData};
pub use id::{GenerateError, ParseKeyError, Proof, SessionKey, SessionToken};
pub use record::{
    Changes, DecodeError, FORMAT_VERSION, FieldConflict, Fields, MAX_ENCODED_LENGTH, Record,
    Revision, SaveNumbers, TooLarge,
};
pub use store::*;
pub use time::{Clock, SystemClock, Timestamp, days, hours, minutes, seconds};
