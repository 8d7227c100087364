//! Saving what a request has changed, one store call after another.
//!
//! Each step is decided from what is known, is one store call, and is then noted. So a save that is
//! dropped, fails or loses its answer leaves nothing half noted: the next save of the request decides
//! anew, sends the same batches again, and the record knows by their numbers which it has.

use std::sync::Arc;

use super::batch::{Batch, SealedBatch};
use super::finish::{CookieChange, Finish};
use super::limit::{self, TakenBack, Verdict};
use super::state::{Creation, Known, Phase, State};
use super::update::{Refusal, Resolution, Sending, Update};
use super::{Request, Saved};
use crate::manager::{EndReason, OnServerError, OnSessionEnded, Shared};
use crate::record::Record;
use crate::store::{CreateOutcome, DeleteOutcome, ModifyOutcome, UpdateOutcome};
use crate::telemetry::chain;
use crate::{Revision, SessionError, SessionKey, SessionToken, StoreError, Timestamp};

/// How often a store call whose answer is lost is made again by one save.
const DOUBTS: u32 = 1;

/// The next store call of a save.
enum Step {
    Done(Saved),
    Delete(SessionKey),
    Create(SessionToken, Box<Record>, Arc<Update>),
    LookUp(SessionToken, bool),
    Modify(SessionKey, Arc<Record>, Arc<Update>),
    Touch(SessionKey, Arc<Record>),
    Count(SessionKey, Arc<Record>),
}

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
        }
        let error = self.steps(true).await.err();
        if let Some(error) = &error {
            report(error);
        }
        let change = match self.state() {
            Some(mut state) => {
                state.phase = Phase::AfterHead;
                state.cookie_change(self.shared())
            }
            None => CookieChange::Keep,
        };
        Finish::new(error, &change, &policy.cookie, policy.clear_site_data)
    }

    async fn steps(&self, is_commit: bool) -> Result<Saved, SessionError> {
        let shared = self.shared();
        let mut doubts = 0;
        let mut saved = Saved::Unchanged;
        loop {
            let now = shared.now();
            let step = match self.state() {
                Some(mut state) => state.next_step(shared, now, is_commit)?,
                None => return Ok(saved),
            };
            let taken = match step {
                Step::Done(Saved::Unchanged) => return Ok(saved),
                Step::Done(last) => return Ok(last),
                step => self.take(step, now).await,
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
                let outcome = store.delete(&key, None).await?;
                let Some(record) = self.note(|state| state.deleted(key)).flatten() else {
                    return Ok(None);
                };
                if outcome == DeleteOutcome::Deleted {
                    shared.ended(key, EndReason::Destroyed, record.as_deref());
                }
                Ok(Some(Saved::Written))
            }
            Step::Create(token, record, update) => {
                let outcome = self.in_doubt(store.create(&token.key, &record).await)?;
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
                let outcome = self.in_doubt(modified)?;
                if let ModifyOutcome::Deleted(record) = &outcome {
                    shared.ended(key, EndReason::Destroyed, Some(record));
                }
                let noted = self.note(|state| state.modified(shared, key, outcome, &update));
                noted.unwrap_or(Ok(Saved::Dropped)).map(Some)
            }
            Step::Touch(key, record) => Ok(self.touch(key, &record, now).await),
            Step::Count(key, record) => {
                let before = self.note(|state| state.before_sign_in.clone()).flatten();
                let known = self.note(|state| state.known.clone()).unwrap_or_default();
                let verdict = limit::enforce(shared, key, &record, before, &known).await?;
                self.note(|state| state.counted(shared, verdict))
                    .unwrap_or(Ok(()))?;
                Ok(None)
            }
        }
    }

    /// A write that may not be durable is there, and must be written once more.
    fn in_doubt<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::DurabilityUnknown { .. }) = outcome {
            self.note(|state| state.open_batch.is_forced = true);
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

    /// Moves the expiry, at the revision that was read. That it fails is logged and no more: the request
    /// has read what it asked for, and the session lives on until its old expiry.
    async fn touch(&self, key: SessionKey, record: &Record, now: Timestamp) -> Option<Saved> {
        let shared = self.shared();
        let mut touched = record.clone();
        touched.last_seen = now;
        touched.expires = shared.policy.lifetimes.expires(&touched);
        let revision = record.revision;
        let outcome = (shared.store).touch(&key, now, touched.expires, revision);
        match outcome.await {
            Ok(UpdateOutcome::Updated) => {
                self.note(|state| {
                    if touched.persist_for.is_some() {
                        state.refresh_cookie(&touched);
                    }
                    state.learn(touched);
                });
                Some(Saved::Written)
            }
            // Another request has saved it since, and has moved the expiry.
            Ok(UpdateOutcome::RevisionMismatch) => {
                self.note(|state| state.skip_touch(now));
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
                self.note(|state| state.skip_touch(now));
                None
            }
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

impl State {
    /// Decides the next store call, and marks what it sends.
    fn next_step(
        &mut self,
        shared: &Shared,
        now: Timestamp,
        is_commit: bool,
    ) -> Result<Step, SessionError> {
        if let Some((key, _)) = self.destroyed.first() {
            return Ok(Step::Delete(*key));
        }
        if let Some(error) = &self.encode_error {
            return Err(error.clone().into());
        }
        let can_tell_client = match self.phase {
            Phase::Direct | Phase::BeforeHead => true,
            Phase::Committing => is_commit,
            Phase::AfterHead => false,
        };
        if let Known::Late(key) = self.session {
            if !self.signs_in() {
                self.drop_late_changes(key);
                return Ok(Step::Done(Saved::Unchanged));
            }
            // Signing in again, from the tab that was overtaken: a session of its own.
            self.session = Known::New;
        }
        match self.session {
            Known::Live(key) => self.next_step_of_live(shared, key, now, can_tell_client),
            Known::New => self.next_step_of_new(shared, now, can_tell_client),
            Known::Late(key) | Known::Ended(key) if self.has_changes() => {
                self.discard();
                self.dropped(shared, key, "its session had ended before they were saved")
                    .map(Step::Done)
            }
            Known::Late(_) | Known::Ended(_) => Ok(Step::Done(Saved::Unchanged)),
        }
    }

    fn next_step_of_new(
        &mut self,
        shared: &Shared,
        now: Timestamp,
        can_tell_client: bool,
    ) -> Result<Step, SessionError> {
        let (token, is_second) = match &self.creation {
            Creation::Sent { token, is_second } => {
                return Ok(Step::LookUp(token.clone(), *is_second));
            }
            Creation::Absent => (SessionToken::generate()?, true),
            Creation::NotSent(adopted) => {
                let is_wanted = self.open_batch.is_forced || self.open_batch.is_worth_storing;
                if self.sealed.is_empty() && !is_wanted {
                    return Ok(Step::Done(Saved::Unchanged));
                }
                match adopted {
                    Some(token) => (token.clone(), false),
                    None => (SessionToken::generate()?, false),
                }
            }
        };
        if !can_tell_client {
            return Err(SessionError::HeadSent);
        }
        if !self.open_batch.is_empty() {
            let batch = std::mem::take(&mut self.open_batch);
            let (sealed, _) = SealedBatch::seal(batch, None, None)?;
            self.push(sealed);
        }
        let mut initial = Record::new(now, now);
        initial.revision = Revision::NONE;
        initial.persist_for = shared.policy.persist_for;
        let update = self.update(shared, now);
        let mut record = match update.apply(&initial) {
            Resolution::Applied(record) => record,
            Resolution::Refused(refusal) => return Err(self.refused(refusal)),
            // Not of a record that has just begun; should it ever be, nothing is stored.
            _ => return Err(SessionError::InDoubt),
        };
        let proof = token.secret.proof(shared.policy.cookie.name(), &token.key);
        record.proof = proof;
        self.draw(proof, token.secret.clone());
        self.mark_sent();
        self.creation = Creation::Sent {
            token: token.clone(),
            is_second,
        };
        Ok(Step::Create(token, Box::new(record), Arc::new(update)))
    }

    fn next_step_of_live(
        &mut self,
        shared: &Shared,
        key: SessionKey,
        now: Timestamp,
        can_tell_client: bool,
    ) -> Result<Step, SessionError> {
        let Some(record) = self.record.clone() else {
            return Ok(Step::Done(Saved::Unchanged));
        };
        self.seal(shared, key, &record, now, can_tell_client)?;
        if !self.sealed.is_empty() {
            let update = Arc::new(self.update(shared, now));
            self.mark_sent();
            return Ok(Step::Modify(key, record, update));
        }
        if self.is_to_be_counted {
            return Ok(Step::Count(key, record));
        }
        if !self.is_operator && shared.policy.lifetimes.is_touch_due(&record, now) {
            return Ok(Step::Touch(key, record));
        }
        Ok(Step::Done(Saved::Unchanged))
    }

    /// Seals what has changed, if that makes a difference to what is stored.
    fn seal(
        &mut self,
        shared: &Shared,
        key: SessionKey,
        record: &Record,
        now: Timestamp,
        can_tell_client: bool,
    ) -> Result<(), SessionError> {
        if self.open_batch.is_empty() {
            return Ok(());
        }
        if self.sealed.is_empty() {
            self.open_batch.retain_effective(record, &record.fields);
        } else {
            let fields = self.sent_fields(now);
            self.open_batch.retain_effective(record, &fields);
        }
        if self.open_batch.is_empty() {
            return Ok(());
        }
        if self.open_batch.is_privileged() && !can_tell_client {
            return Err(SessionError::HeadSent);
        }
        let secret_of = (!self.is_operator).then(|| (shared.policy.cookie.name(), key));
        let batch = std::mem::take(&mut self.open_batch);
        let (sealed, secret) = SealedBatch::seal(batch, Some(record), secret_of)?;
        if let Some((proof, secret)) = sealed.proof.zip(secret) {
            self.draw(proof, secret);
        }
        self.push(sealed);
        Ok(())
    }

    fn push(&mut self, sealed: SealedBatch) {
        self.sealed.push(Sending {
            batch: Arc::new(sealed),
            was_sent: false,
        });
    }

    fn mark_sent(&mut self) {
        for sending in &mut self.sealed {
            sending.was_sent = true;
        }
    }

    fn update(&self, shared: &Shared, now: Timestamp) -> Update {
        Update {
            policy: Arc::clone(&shared.policy),
            now,
            batches: self.sealed.clone(),
            known: (!self.is_operator).then(|| self.known.clone()),
            untold: self.untold(),
        }
    }

    fn signs_in(&self) -> bool {
        let sealed = self.sealed.iter().map(|sending| &sending.batch.batch);
        sealed
            .chain([&self.open_batch])
            .any(|batch| batch.signs_in() || batch.changes.rotates())
    }

    fn drop_late_changes(&mut self, key: SessionKey) {
        if self.has_changes() {
            tracing::info!(
                event = "late_changes_dropped",
                session = %key,
                "the changes of a request are dropped: a sign-in of the same client has overtaken it"
            );
        }
        self.discard();
    }

    /// Changes are dropped, and this is what their request is told.
    fn dropped(
        &self,
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

    fn refused(&mut self, refusal: Refusal) -> SessionError {
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

    /// The session `key` has been deleted. Gives what was known of it, unless another save of this
    /// request has noted that already.
    fn deleted(&mut self, key: SessionKey) -> Option<Option<Arc<Record>>> {
        let index = self.destroyed.iter().position(|(other, _)| *other == key)?;
        let (_, record) = self.destroyed.remove(index);
        self.removes_cookie = true;
        Some(record)
    }

    fn created(
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
    fn looked_up(
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

    fn modified(
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
                self.stored(shared, Some(before), after, &update.batches);
                Ok(Saved::Written)
            }
            ModifyOutcome::Deleted(_) => {
                self.end();
                self.removes_cookie = true;
                Ok(Saved::Written)
            }
            ModifyOutcome::Missing => {
                self.end();
                self.dropped(shared, key, "its session had ended before they were saved")
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
                    let error = self.refused(refusal);
                    self.learn(record);
                    Err(error)
                }
                Resolution::Expired | Resolution::SignedOut | Resolution::Applied(_) => {
                    self.end();
                    self.dropped(
                        shared,
                        key,
                        "its session had expired before they were saved",
                    )
                }
            },
        }
    }

    /// Another request has changed a privilege since this one read the session.
    fn declined(
        &mut self,
        shared: &Shared,
        key: SessionKey,
        record: &Record,
    ) -> Result<Saved, SessionError> {
        let batches = || self.sealed.iter().map(|sending| &sending.batch.batch);
        let is_privileged = batches().any(Batch::is_privileged);
        let wanted = batches().find_map(|batch| batch.changes.owner().flatten());
        // A sign-in that was sent twice: the first one has made what this one asks for.
        let is_made = wanted.is_some() && wanted == record.owner.as_deref();
        let is_failed = is_privileged && !is_made;
        self.end();
        let dropped = self.dropped(
            shared,
            key,
            "another request has changed the privileges of the session since it was read",
        );
        if is_failed {
            Err(SessionError::PrivilegeChanged)
        } else {
            dropped
        }
    }

    /// `after` is stored, and holds `batches`.
    fn stored(
        &mut self,
        shared: &Shared,
        before: Option<Record>,
        after: Record,
        batches: &[Sending],
    ) {
        let sign_in = batches.iter().find(|sent| sent.batch.batch.signs_in());
        if let Some(sign_in) = sign_in
            && !self.is_operator
            && shared.policy.session_limit.is_some()
        {
            self.is_to_be_counted = true;
            // Where it was found applied, nobody knows what was before it.
            let number = sign_in.batch.number;
            self.before_sign_in = before
                .as_ref()
                .filter(|r| !r.saves.contains(number))
                .cloned();
        }
        let persisted = self.record.as_ref().map(|record| record.persist_for);
        if after.persist_for.is_some() || persisted.is_some_and(|old| old != after.persist_for) {
            self.refresh_cookie(&after);
        }
        self.confirm(batches);
        self.learn(after);
    }

    fn counted(&mut self, shared: &Shared, verdict: Verdict) -> Result<(), SessionError> {
        self.is_to_be_counted = false;
        self.before_sign_in = None;
        match verdict {
            Verdict::Admitted => Ok(()),
            Verdict::Evicted => {
                self.end();
                Ok(())
            }
            Verdict::Refused(taken_back) => {
                match taken_back {
                    TakenBack::Restored(record) => self.learn(record),
                    TakenBack::Removed => {
                        self.end();
                        // A session that was only just created has no cookie yet: what the client holds
                        // may be the right one of its other tab.
                        self.removes_cookie |= self.client_holds_this();
                    }
                    TakenBack::Overtaken => self.end(),
                }
                let limit = shared.policy.session_limit.map_or(0, |(limit, _)| limit);
                Err(SessionError::TooManySessions { limit })
            }
        }
    }

    /// This request does not move the expiry.
    fn skip_touch(&mut self, now: Timestamp) {
        if let Some(record) = &mut self.record {
            Arc::make_mut(record).last_seen = now;
        }
    }
}
