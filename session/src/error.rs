//! Why a session could not be opened or saved.

use crate::cookie::CookieError;
use crate::{EncodeError, FieldConflict, GenerateError, StoreError, TooLarge};

/// A session could not be opened or saved.
///
/// Nothing is lost silently: what could not be saved is still in the handle or its slot, and the
/// store holds what it held before. No variant carries an id, a key or a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A changed field could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Another request has changed a field meanwhile that allows no concurrent change.
    ///
    /// Nothing was saved, and the changes are dropped: extract the session anew to see what is
    /// stored. The middleware answers 409.
    #[error(transparent)]
    Conflict(#[from] FieldConflict),
    /// The session would be larger than the manager's limit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// No new id could be made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The cookie that carries the id cannot be set.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// Its owner has as many sessions as are allowed, so this one was not signed in. Only with
    /// [`WhenFull::RefuseNewest`](crate::WhenFull::RefuseNewest); the middleware answers 403.
    #[error("the owner of the session has {limit} sessions already, which is the limit")]
    TooManySessions {
        /// How many are allowed.
        limit: usize,
    },
    /// The session ended before this save: it was destroyed, revoked, signed in elsewhere, or it
    /// expired. Only with [`WhenGone::Error`](crate::WhenGone::Error).
    #[error("the session ended before it could be saved")]
    Gone,
    /// The response head is on its way, so a new id can no longer reach the client. Save once before
    /// the handler returns.
    #[error("the response head has left, so a new session id cannot reach the client any more")]
    HeadSent,
}

impl SessionError {
    /// Whether the changes that met it are gone.
    pub(crate) fn drops_changes(&self) -> bool {
        matches!(self, SessionError::Conflict(_) | SessionError::Gone)
    }

    /// Whether the same call may succeed later without anybody doing anything about it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, SessionError::Store(error) if error.is_temporary())
    }
}
