//! What a request learns from the answer of a store call.

use std::sync::Arc;

use super::limit::{TakenBack, Verdict};
use super::saved::Saved;
use super::state::{Counting, Creation, Known, State};
use super::update::{Resolution, Sending, Update};
use crate::manager::Shared;
use crate::mistakes::mistake;
use crate::record::Record;
use crate::store::ModifyOutcome;
use crate::{Revision, SessionError, SessionKey, SessionToken};

/// A session that has been deleted, and what was known of it.
pub(super) struct Destroyed(pub(super) Option<Arc<Record>>);

impl State {
    /// At which revision a session was seen that is to be deleted.
    pub(super) fn revision_of_destroyed(&self, key: SessionKey) -> Option<Revision> {
        let mut destroyed = self.destroyed.iter();
        let (_, record) = destroyed.find(|(other, _)| *other == key)?;
        Some(record.as_ref()?.revision)
    }

    /// The session `key` has been deleted. Gives what was known of it, unless another save of this
    /// request has noted that already.
    pub(super) fn deleted(&mut self, key: SessionKey) -> Option<Destroyed> {
        let index = self.destroyed.iter().position(|(other, _)| *other == key)?;
        let (_, record) = self.destroyed.remove(index);
        self.removes_cookie = true;
        Some(Destroyed(record))
    }

    /// A session was not created, and may be tried under the same key.
    pub(super) fn not_created(&mut self, token: &SessionToken) {
        if matches!(&self.creation, Creation::Sent { token: sent, is_second: false } if sent == token)
        {
            self.creation = Creation::NotSent(Some(token.clone()));
        }
    }

    /// A call was not carried out: its batches are as they were before it.
    pub(super) fn not_sent(&mut self, batches: &[Sending]) {
        for sending in &mut self.sealed {
            let number = sending.batch.number;
            if batches.iter().any(|sent| sent.batch.number == number) {
                sending.sends = sending.sends.saturating_sub(1);
            }
        }
    }

    pub(super) fn created(
        &mut self,
        shared: &Shared,
        token: &SessionToken,
        record: Record,
        batches: &[Sending],
    ) {
        let is_awaited =
            matches!(&self.creation, Creation::Sent { token: sent, .. } if sent == token);
        if self.session != Known::New || !is_awaited {
            // It was destroyed, or given up for another one, while its answer was on the way.
            if self.key() != Some(token.key) {
                self.destroyed.push((token.key, None));
            }
            return;
        }
        self.session = Known::Live(token.key);
        self.creation = Creation::NotSent(None);
        self.stored(shared, None, record, batches);
    }

    /// Whether a session was created whose answer is not known.
    pub(super) fn looked_up(
        &mut self,
        shared: &Shared,
        token: &SessionToken,
        found: Option<Record>,
        is_second: bool,
    ) -> Result<(), SessionError> {
        match found {
            Some(record) if self.known.contains(&record.proof) => {
                let numbers = &record.saves;
                let stored = self.sealed.iter();
                let stored = stored.filter(|sending| numbers.contains(sending.batch.number));
                let stored: Vec<Sending> = stored.cloned().collect();
                self.created(shared, token, record, &stored);
                Ok(())
            }
            None if !is_second => {
                self.creation = Creation::Absent;
                Ok(())
            }
            _ => {
                self.discard();
                self.creation = Creation::NotSent(None);
                Err(SessionError::InDoubt)
            }
        }
    }

    pub(super) fn modified(
        &mut self,
        shared: &Shared,
        key: SessionKey,
        outcome: ModifyOutcome,
        update: &Update,
    ) -> Result<Saved, SessionError> {
        if self.session != Known::Live(key) {
            // It was destroyed while the answer was on the way.
            return Ok(Saved::Dropped);
        }
        match outcome {
            ModifyOutcome::Replaced { before, after } => {
                if before.proof != after.proof {
                    tracing::info!(event = "renewed", session = %key, "a session got a new secret");
                }
                self.stored(shared, Some(&before), after, &update.batches);
                Ok(Saved::Written)
            }
            ModifyOutcome::Deleted(_) => {
                self.end();
                self.removes_cookie = true;
                Ok(Saved::Written)
            }
            ModifyOutcome::Missing => {
                self.end();
                State::dropped(shared, key, "its session had ended before they were saved")
            }
            ModifyOutcome::Kept(record) => match update.resolve(&record) {
                Resolution::Unchanged => {
                    self.stored(shared, None, record, &update.batches);
                    Ok(Saved::Written)
                }
                Resolution::Declined => self.declined(shared, key, &record),
                Resolution::InDoubt => {
                    self.discard();
                    Err(SessionError::InDoubt)
                }
                Resolution::Refused(refusal) => {
                    self.not_sent(&update.batches);
                    let error = self.refused(refusal);
                    self.learn(record);
                    Err(error)
                }
                Resolution::Expired | Resolution::SignedOut | Resolution::Applied(_) => {
                    self.end();
                    State::dropped(
                        shared,
                        key,
                        "its session had expired before they were saved",
                    )
                }
            },
        }
    }

    /// `after` is stored, and holds `batches`.
    pub(super) fn stored(
        &mut self,
        shared: &Shared,
        before: Option<&Record>,
        after: Record,
        batches: &[Sending],
    ) {
        let sign_in = batches.iter().find(|sent| sent.batch.batch.signs_in());
        if let Some(sign_in) = sign_in
            && !self.is_operator
            && shared.policy.session_limit.is_some()
        {
            let number = sign_in.batch.number;
            self.counting = Counting::Due;
            if mistake!("a sign-in is counted before it is stored only")
                || before.is_none() && mistake!("a sign-in found after doubt is not counted")
            {
                self.counting = Counting::Done;
            }
            // Where it was found applied, nobody knows what was before it.
            self.before_sign_in = before.filter(|r| !r.saves.contains(number)).cloned();
        }
        if mistake!("taking back goes to what the last save saw") && before.is_some() {
            self.before_sign_in = before.cloned();
        }
        let persisted = self.record.as_ref().map(|record| record.persist_for);
        let is_changed = persisted.is_some_and(|old| old != after.persist_for);
        if after.persist_for.is_some() || is_changed || self.is_refresh_due {
            self.refresh_cookie(&after);
            self.is_refresh_due = false;
        }
        self.confirm(batches);
        self.learn(after);
    }

    pub(super) fn counted(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Admitted => {
                self.counting = Counting::Done;
                self.before_sign_in = None;
            }
            Verdict::Evicted => self.end(),
            Verdict::Refused => {
                self.counting = Counting::Refused;
                self.is_refused = true;
            }
        }
    }

    pub(super) fn taken_back(&mut self, taken_back: TakenBack) {
        self.counting = Counting::Done;
        self.before_sign_in = None;
        match taken_back {
            TakenBack::Restored(record) => {
                // It is its former owner's again, who may have signed in elsewhere meanwhile.
                if record.owner.is_some()
                    && !mistake!("a session that is given back is not counted")
                {
                    self.counting = Counting::Due;
                }
                self.learn(*record);
            }
            // The client was never told its token; the cookie that it holds may be another session's.
            TakenBack::Removed | TakenBack::Overtaken => {
                self.end();
                self.removes_cookie |= mistake!("taking back removes the cookie");
            }
        }
    }
}
