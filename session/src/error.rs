//! Why a session could not be opened or saved.

use crate::cookie::CookieError;
use crate::{EncodeError, FieldConflict, GenerateError, StoreError, TooLarge};

/// A session could not be opened or saved.
///
/// No variant carries a token, a secret or a value. [`status`](Self::status) is the HTTP answer; what a
/// visitor can cause is 4xx.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store failed. What could not be saved is kept: a later save of the request tries again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A changed field could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Another request has changed a field meanwhile that allows no concurrent change.
    ///
    /// Nothing was saved, and the changes are dropped: [`reload`](crate::Session::reload) shows what is
    /// stored.
    #[error(transparent)]
    Conflict(#[from] FieldConflict),
    /// Another request has signed the session in or out, or renewed it, so this request's own change of
    /// privilege was dropped.
    #[error("another request has changed what this session may do")]
    PrivilegeChanged,
    /// The session would be larger than the manager's limit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// No token could be made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The cookie that carries the token cannot be set.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// The owner has as many sessions as are allowed, so this one was not signed in, and is as it was
    /// before. Only with [`SessionLimit::RejectNew`](crate::SessionLimit::RejectNew).
    #[error("the owner of the session has {limit} sessions already, which is the limit")]
    TooManySessions {
        /// How many are allowed.
        limit: usize,
    },
    /// The session has ended: it was destroyed or revoked, its privileges were changed by another
    /// request, or it expired.
    #[error("the session has ended")]
    Ended,
    /// It cannot be found out any more whether an earlier try of this save was carried out, and it must
    /// not be carried out twice.
    #[error("it is not known whether the session was saved")]
    InDoubt,
    /// The response head is on its way, so a new token can no longer reach the client: the changes are
    /// dropped. Save once before the handler returns.
    #[error("the response head has left, so a new session token cannot reach the client any more")]
    HeadSent,
}

impl SessionError {
    /// The HTTP status of an answer that fails with this error.
    ///
    /// | Status | Error |
    /// |---|---|
    /// | 401 | [`Ended`](Self::Ended) |
    /// | 409 | [`Conflict`](Self::Conflict), [`PrivilegeChanged`](Self::PrivilegeChanged), [`TooManySessions`](Self::TooManySessions) |
    /// | 413 | [`TooLarge`](Self::TooLarge) |
    /// | 503 | [`InDoubt`](Self::InDoubt), and a [`Store`](Self::Store) that may be better soon |
    /// | 500 | the others |
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            SessionError::Ended => 401,
            SessionError::Conflict(_)
            | SessionError::PrivilegeChanged
            | SessionError::TooManySessions { .. } => 409,
            SessionError::TooLarge(_) => 413,
            SessionError::InDoubt => 503,
            SessionError::Store(error) => error.status(),
            SessionError::Encode(_)
            | SessionError::Generate(_)
            | SessionError::Cookie(_)
            | SessionError::HeadSent => 500,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything about it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, SessionError::Store(error) if error.is_temporary())
    }
}
