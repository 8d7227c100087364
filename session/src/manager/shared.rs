//! What all clones of a manager share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::on_end::{EndReason, EndedSession, OnEnd};
use super::policy::Policy;
use crate::record::Record;
use crate::store::DynStore;
use crate::{Clock, SessionKey, Timestamp};

pub(crate) struct Shared {
    pub(crate) store: Box<dyn DynStore>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) on_end: Option<OnEnd>,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells the log and the application that a session has ended.
    pub(crate) fn ended(&self, key: SessionKey, reason: EndReason, record: Option<&Record>) {
        let event = match reason {
            EndReason::Destroyed => "destroyed",
            EndReason::Revoked => "revoked",
            EndReason::Evicted => "evicted",
            EndReason::Expired => "expired",
        };
        tracing::info!(event, session = %key, "a session has ended");
        if let Some(on_end) = &self.on_end {
            let ended = EndedSession::new(key, reason, record, self.now());
            // The session has ended, whatever the application makes of that: its panic must not stop a sweep
            // nor cost a response.
            let called = catch_unwind(AssertUnwindSafe(|| on_end.call(&ended)));
            if called.is_err() {
                tracing::error!(event = "on_end_panicked", session = %key, "`on_end` has panicked");
            }
        }
    }
}
