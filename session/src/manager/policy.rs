//! What a manager has been told to do: settings that have been checked.

use std::time::Duration;

use super::lifetime::Lifetimes;
use crate::CookieSettings;

/// The checked settings of a manager.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) cookie: CookieSettings,
    pub(crate) lifetimes: Lifetimes,
    /// What every new session asks the client, unless it says otherwise itself.
    pub(crate) persist_for: Option<Duration>,
    pub(crate) max_record_size: usize,
    pub(crate) on_session_ended: OnSessionEnded,
    pub(crate) on_server_error: OnServerError,
    pub(crate) renew_missing: bool,
    pub(crate) clear_site_data: bool,
    pub(crate) session_limit: Option<(usize, SessionLimit)>,
}

/// What a save does whose session ended before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnSessionEnded {
    /// The changes are dropped, no cookie is set, and the event `write_after_end` is logged. The
    /// response leaves as it is: the visitor signed out and is not told so twice.
    #[default]
    DropChanges,
    /// The save fails with [`SessionError::Ended`](crate::SessionError::Ended).
    Fail,
}

/// What becomes of the changes of a request that is answered with 500 or above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnServerError {
    /// They are dropped: what broke half way is not kept half done.
    #[default]
    Discard,
    /// They are saved like any others.
    Save,
}

/// What a sign-in does when its owner has as many sessions as are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionLimit {
    /// The sessions that have been the owner's for longest are ended.
    EvictOldest,
    /// The sign-in fails with [`SessionError::TooManySessions`](crate::SessionError::TooManySessions),
    /// and the session stays as it was.
    RejectNew,
}
