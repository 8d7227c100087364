//! Saving what a request has changed, one store call after another.
//!
//! Each step is decided from what is known, is one store call, and is then noted. So a save that is
//! dropped, fails or loses its answer leaves nothing half noted: the next save of the request decides
//! anew, sends the same batches again, and the record knows by their numbers which it has.

use std::sync::Arc;

use super::Request;
use super::finish::{CookieChange, Finish};
use super::limit;
use super::outcome::Destroyed;
use super::saved::Saved;
use super::state::{Known, Phase, State};
use super::step::Step;
use super::update::{Sending, Update};
use crate::manager::{EndReason, OnServerError};
use crate::mistakes::mistake;
use crate::record::Record;
use crate::store::{CreateOutcome, DeleteOutcome, ModifyOutcome, UpdateOutcome};
use crate::telemetry::chain;
use crate::{SessionError, SessionKey, StoreError, Timestamp};

/// How often a store call whose answer is lost is made again by one save.
const DOUBTS: u32 = 1;

impl Request {
    /// Saves what has been changed now, rather than at the commit.
    ///
    /// # Errors
    ///
    /// See [`SessionError`].
    pub(crate) async fn save(&self) -> Result<Saved, SessionError> {
        self.steps(false).await
    }

    /// Saves what the handlers have changed, for the last time before the response head leaves, and
    /// tells what the response needs. `status` is the status that the handlers have answered with.
    ///
    /// Run it to its end whatever becomes of the client: as a task of its own, in frameworks that drop
    /// the work for a client that has gone. A request that has asked for no session has nothing to do.
    pub async fn commit(&self, status: u16) -> Finish {
        let policy = &self.shared().policy;
        {
            let Some(mut state) = self.state() else {
                return Finish::default();
            };
            if status >= 500 && policy.on_server_error == OnServerError::Discard {
                state.discard_unsent();
            }
            state.phase = Phase::Committing;
            state.is_refresh_due = std::mem::take(&mut state.refreshes_cookie);
        }
        let result = self.steps(true).await;
        if let Err(error) = &result {
            report(error);
            self.note(|state| state.refreshes_cookie = false);
        }
        let change = match self.state() {
            Some(mut state) => {
                state.phase = Phase::AfterHead;
                if status >= 500 && mistake!("no cookie on a 5xx") {
                    CookieChange::Keep
                } else {
                    state.cookie_change(self.shared())
                }
            }
            None => CookieChange::Keep,
        };
        Finish::new(result, &change, &policy.cookie, policy.clear_site_data)
    }

    async fn steps(&self, is_commit: bool) -> Result<Saved, SessionError> {
        let shared = self.shared();
        let mut doubts = 0;
        let mut saved = Saved::Unchanged;
        let mut may_touch = true;
        loop {
            let now = shared.now();
            let step = match self.state() {
                Some(mut state) => state.next_step(shared, now, is_commit, may_touch)?,
                None => return Ok(saved),
            };
            let taken = match step {
                Step::Done(Saved::Unchanged) => return Ok(saved),
                Step::Done(last) => return Ok(last),
                step => {
                    may_touch &= !matches!(step, Step::Touch(..));
                    self.take(step, now).await
                }
            };
            match taken {
                Ok(done) => saved = done.unwrap_or(saved),
                Err(SessionError::Store(error)) if error.is_in_doubt() && doubts < DOUBTS => {
                    doubts += 1;
                    tracing::warn!(
                        event = "store_failure",
                        error = %chain(&error),
                        "it is not known whether a session was saved: it is found out"
                    );
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes one store call and notes what came of it.
    async fn take(&self, step: Step, now: Timestamp) -> Result<Option<Saved>, SessionError> {
        let shared = self.shared();
        let store = &*shared.store;
        match step {
            Step::Done(saved) => Ok(Some(saved)),
            Step::Delete(key) => {
                let expected = if mistake!("destroy only at the revision it opened with") {
                    self.note(|state| state.revision_of_destroyed(key))
                        .flatten()
                } else {
                    None
                };
                let outcome = store.delete(&key, expected).await?;
                let Some(Destroyed(record)) = self.note(|state| state.deleted(key)).flatten()
                else {
                    return Ok(None);
                };
                if outcome == DeleteOutcome::Deleted {
                    shared.ended(key, EndReason::Destroyed, record.as_deref());
                }
                Ok(Some(Saved::Written))
            }
            Step::Create(token, record, update) => {
                let created = store.create(&token.key, &record).await;
                let outcome = self.noted(created, &update, |state| state.not_created(&token))?;
                if outcome == CreateOutcome::Created {
                    tracing::info!(event = "created", session = %token.key, "a session was created");
                    self.note(|state| state.created(shared, &token, *record, &update.batches));
                    return Ok(Some(Saved::Written));
                }
                // Another save of this request has created it; or the answer of this one was lost on the
                // way, and the store has sent it again.
                Ok(None)
            }
            Step::LookUp(token, is_second) => {
                let found = store.load(&token.key).await?;
                self.note(|state| state.looked_up(shared, &token, found, is_second))
                    .unwrap_or(Ok(()))?;
                Ok(None)
            }
            Step::Modify(key, base, update) => {
                let change = Arc::clone(&update).into_closure();
                let modified = store.modify(&key, Some(&base), &change).await;
                if let Err(StoreError::Conflict { .. }) = &modified {
                    tracing::error!(
                        event = "conflict_exhausted",
                        session = %key,
                        "a session could not be saved: other requests changed it at every attempt"
                    );
                }
                if let Err(StoreError::DurabilityUnknown { .. }) = &modified {
                    self.learn_what_is_stored(key, &update).await;
                }
                let outcome = self.noted(modified, &update, |_| {})?;
                if let ModifyOutcome::Deleted(record) = &outcome {
                    shared.ended(key, EndReason::Destroyed, Some(record));
                }
                let noted = self.note(|state| state.modified(shared, key, outcome, &update));
                noted.unwrap_or(Ok(Saved::Dropped)).map(Some)
            }
            Step::Touch(key, record) => Ok(self.touch(key, &record, now).await),
            Step::Count(key, record) => {
                let known = self.note(|state| state.known.clone()).unwrap_or_default();
                let verdict = limit::enforce(shared, key, &record, &known).await?;
                self.note(|state| state.counted(&verdict));
                Ok(None)
            }
            Step::TakeBack(key, before) => {
                let mut known = self.note(|state| state.known.clone()).unwrap_or_default();
                if mistake!("taking back only at the sign-in's own proof") {
                    known.truncate(2);
                }
                let taken_back =
                    limit::take_back(shared, key, before.map(|record| *record), known).await?;
                self.note(|state| state.taken_back(taken_back));
                Ok(None)
            }
        }
    }

    /// Notes what an error says of a write. One that may not be durable is there, and must be written once
    /// more. One that certainly was not carried out has not been sent.
    fn noted<T>(
        &self,
        outcome: Result<T, StoreError>,
        update: &Update,
        not_carried_out: impl FnOnce(&mut State),
    ) -> Result<T, StoreError> {
        match &outcome {
            Ok(_) | Err(StoreError::Unavailable { .. }) => {}
            Err(StoreError::DurabilityUnknown { .. }) => {
                self.note(|state| state.open_batch.is_forced = true);
            }
            Err(_) => {
                self.note(|state| {
                    state.not_sent(&update.batches);
                    not_carried_out(state);
                });
            }
        }
        outcome
    }

    /// A write that may not be durable has been carried out, a new secret with it: its client must learn
    /// that, whatever becomes of the durability. Where it cannot be read now, the next try finds it.
    async fn learn_what_is_stored(&self, key: SessionKey, update: &Update) {
        let shared = self.shared();
        if let Ok(Some(record)) = shared.store.load(&key).await {
            self.note(|state| {
                let numbers = &record.saves;
                let is_applied = |sent: &Sending| numbers.contains(sent.batch.number);
                let is_own = state.known.contains(&record.proof);
                if state.session == Known::Live(key)
                    && is_own
                    && update.batches.iter().all(is_applied)
                {
                    state.stored(shared, None, record, &update.batches);
                }
            });
        }
    }

    /// Moves the expiry, at the revision that was read; what is learned has the next one. That it fails is
    /// logged and no more: the request has read what it asked for, and the session lives on until its old
    /// expiry.
    async fn touch(&self, key: SessionKey, record: &Record, now: Timestamp) -> Option<Saved> {
        let shared = self.shared();
        let mut touched = record.clone();
        touched.last_seen = now;
        touched.revision = record.revision.next();
        touched.expires = shared.policy.lifetimes.expires(&touched);
        let mut revision = record.revision;
        if mistake!("touch at any revision")
            && let Ok(Some(stored)) = shared.store.load(&key).await
        {
            revision = stored.revision;
        }
        let outcome = (shared.store).touch(&key, now, touched.expires, revision);
        match outcome.await {
            Ok(UpdateOutcome::Updated) => {
                self.note(|state| {
                    if touched.persist_for.is_some() || state.is_refresh_due {
                        state.refresh_cookie(&touched);
                    }
                    state.is_refresh_due = false;
                    state.learn(touched);
                });
                Some(Saved::Written)
            }
            // Another request has saved or touched it since, and has moved the expiry.
            Ok(UpdateOutcome::RevisionMismatch) => {
                self.catch_up(key).await;
                None
            }
            Ok(UpdateOutcome::Missing) => {
                self.note(State::end);
                None
            }
            Err(error) => {
                tracing::error!(
                    event = "store_failure",
                    session = %key,
                    error = %chain(&error),
                    "the expiry of a session could not be moved"
                );
                None
            }
        }
    }

    /// A handle that is held for long, as in a WebSocket, must be able to move the expiry the next time. The
    /// commit is the last of its request, and needs no more.
    async fn catch_up(&self, key: SessionKey) {
        let shared = self.shared();
        if self.note(|state| state.phase) == Some(Phase::Committing) {
            return;
        }
        if let Ok(Some(record)) = shared.store.load(&key).await {
            self.note(|state| {
                if state.session == Known::Live(key) && state.known.contains(&record.proof) {
                    state.learn(record);
                }
            });
        }
    }

    fn note<R>(&self, note: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.state().map(|mut state| note(&mut state))
    }
}

/// What a visitor can cause is no failure of the store.
fn report(error: &SessionError) {
    if error.status() < 500 {
        tracing::info!(
            event = "save_refused",
            status = error.status(),
            error = %chain(error),
            "a session was not saved"
        );
    } else {
        tracing::error!(
            event = "store_failure",
            error = %chain(error),
            "a session could not be saved"
        );
    }
}
