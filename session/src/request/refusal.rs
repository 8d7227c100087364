//! What becomes of changes that are not saved, and what their request is told.

use super::batch::Batch;
use super::saved::Saved;
use super::state::State;
use super::update::Refusal;
use crate::manager::{OnSessionEnded, Shared};
use crate::mistakes::mistake;
use crate::record::Record;
use crate::{SessionError, SessionKey};

impl State {
    /// A request that was overtaken changes nothing. That is an error where it meant to change a privilege.
    pub(super) fn drop_late_changes(&mut self, key: SessionKey) -> Result<Saved, SessionError> {
        if !self.has_changes() {
            return Ok(Saved::Unchanged);
        }
        tracing::info!(
            event = "late_changes_dropped",
            session = %key,
            "the changes of a request are dropped: a sign-in of the same client has overtaken it"
        );
        let is_privileged = self.has_batch(Batch::is_privileged);
        self.discard();
        if is_privileged {
            Err(SessionError::PrivilegeChanged)
        } else {
            Ok(Saved::Dropped)
        }
    }

    /// Changes are dropped, and this is what their request is told.
    pub(super) fn dropped(
        shared: &Shared,
        key: SessionKey,
        why: &'static str,
    ) -> Result<Saved, SessionError> {
        tracing::warn!(
            event = "write_after_end",
            session = %key,
            why,
            "the changes of a request are dropped"
        );
        match shared.policy.on_session_ended {
            OnSessionEnded::DropChanges => Ok(Saved::Dropped),
            OnSessionEnded::Fail => Err(SessionError::Ended),
        }
    }

    pub(super) fn refused(&mut self, refusal: Refusal) -> SessionError {
        match refusal {
            Refusal::Conflict(conflict) => {
                tracing::info!(
                    event = "field_conflict",
                    field = conflict.field,
                    "the changes of a request are dropped: another one has changed a field that allows \
                     no concurrent change"
                );
                self.discard();
                conflict.into()
            }
            // The handler may make it smaller, and save again.
            Refusal::TooLarge(too_large) => too_large.into(),
        }
    }

    /// Another request has changed a privilege since this one read the session.
    pub(super) fn declined(
        &mut self,
        shared: &Shared,
        key: SessionKey,
        record: &Record,
    ) -> Result<Saved, SessionError> {
        let batches = || self.sealed.iter().map(|sending| &sending.batch.batch);
        let is_privileged = batches().any(Batch::is_privileged);
        let wanted = batches().find_map(|batch| batch.changes.owner().flatten());
        // A sign-in that was sent twice: the first one has made what this one asks for.
        let is_made = wanted.is_some()
            && wanted == record.owner.as_deref()
            && !mistake!("a double click on sign-in is an error");
        self.end();
        let why = "another request has changed the privileges of the session since it was read";
        let dropped = State::dropped(shared, key, why);
        match (is_privileged, is_made) {
            (true, true) => Ok(Saved::Dropped),
            (true, false) => Err(SessionError::PrivilegeChanged),
            (false, _) => dropped,
        }
    }
}
