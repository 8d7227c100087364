//! Typed HTTP sessions.

#[cfg(feature = "actix-web")]
mod actix;
pub mod cookie;
mod data;
mod error;
mod id;
mod log;
mod manager;
pub mod merge;
mod record;
mod session;
mod slot;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

#[cfg(feature = "actix-web")]
pub use actix::{
    ExtractError, OnServerError, Require, Requirement, SessionExt, SessionMiddleware,
    SessionService,
};
pub use cookie::{CookieSettings, SameSite};
pub use data::{EncodeError, FlashValue, IndexKey, Migration, MigrationError, SessionData};
pub use error::SessionError;
pub use id::{GenerateError, SessionId, StoreKey};
pub use manager::{SessionManager, SessionManagerBuilder, WhenFull, WhenGone};
pub use record::{
    Changes, DecodeError, FORMAT_VERSION, FieldConflict, Fields, MAX_ENCODED_LENGTH, Record,
    Revision, TooLarge,
};
pub use session::Session;
pub use slot::{CookieChange, OpenSlot, Saved, Slot};
pub use store::*;
pub use time::{Clock, SystemClock, Timestamp, days, hours, minutes, seconds};

#[cfg(feature = "derive")]
pub use session_derive::Session;

/// What the derive's generated code uses. Not part of the public interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::data::{
        Companion, DebugField, FallbackDebug, FieldDeserializer, FieldSerializer, FlashValue,
        IndexKey, Reader, Redacted, SessionData, State, Version, Writer, decode_field,
        decode_or_migrate, merge_encoded,
    };
    pub use crate::record::{Field, MergeFunction, Sides};
    pub use serde::de::DeserializeOwned;
    pub use serde::{Deserialize, Serialize};
}
