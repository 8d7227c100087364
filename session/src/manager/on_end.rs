//! What an application does when a session ends.

use std::fmt;
use std::sync::Arc;

use crate::record::Record;
use crate::typed::{SessionData, SessionView};
use crate::{SessionKey, Timestamp};

/// The function that [`SessionManagerBuilder::on_end`](crate::SessionManagerBuilder::on_end) was given.
#[derive(Clone)]
pub(crate) struct OnEnd(Arc<dyn Fn(&EndedSession<'_>) + Send + Sync>);

impl OnEnd {
    pub(crate) fn new(call: impl Fn(&EndedSession<'_>) + Send + Sync + 'static) -> Self {
        OnEnd(Arc::new(call))
    }

    pub(crate) fn call(&self, ended: &EndedSession<'_>) {
        (self.0)(ended);
    }
}

/// A session that has ended, and is not in the store any more.
#[derive(Clone)]
#[non_exhaustive]
pub struct EndedSession<'a> {
    /// The key that it had.
    pub key: SessionKey,
    /// Why it ended.
    pub reason: EndReason,
    record: Option<&'a Record>,
    now: Timestamp,
}

impl<'a> EndedSession<'a> {
    pub(crate) fn new(
        key: SessionKey,
        reason: EndReason,
        record: Option<&'a Record>,
        now: Timestamp,
    ) -> Self {
        EndedSession {
            key,
            reason,
            record,
            now,
        }
    }

    /// Whose session it was.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.record?.owner.as_deref()
    }

    /// What it held when it was last read; `None` when it ended without being read.
    #[must_use]
    pub fn view<T: SessionData>(&self) -> Option<SessionView<T>> {
        let mut fields = self.record?.fields.clone();
        fields.expire(self.now);
        Some(SessionView::decode(&fields, self.now))
    }
}

/// Does not print the owner.
impl fmt::Debug for EndedSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndedSession")
            .field("key", &self.key)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// By itself: it signed out.
    Destroyed,
    /// By another session of its owner, or by an operator.
    Revoked,
    /// By a newer session of its owner, which has as many as are allowed.
    Evicted,
    /// By time.
    Expired,
}
