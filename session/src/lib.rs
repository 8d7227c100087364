//! Typed HTTP sessions.

mod data;
mod id;
mod record;
mod store;
mod time;

pub use data::{EncodeError, SessionData};
pub use id::{GenerateError, SessionId, StoreKey};
pub use record::{
    Changes, DecodeError, FORMAT_VERSION, Fields, MAX_ENCODED_LENGTH, Record, Revision, TooLarge,
};
pub use store::*;
pub use time::{Clock, SystemClock, Timestamp, days, hours, minutes, seconds};

#[cfg(feature = "derive")]
pub use session_derive::Session;

/// What the derive's generated code uses. Not part of the public interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::data::{
        Companion, DebugField, FallbackDebug, Field, FieldDeserializer, FieldSerializer, Reader,
        Redacted, State, Writer,
    };
}
