//! What a save does next, decided from what is known: one store call, or nothing more.

use std::sync::Arc;

use super::batch::{Batch, SealedBatch};
use super::saved::Saved;
use super::state::{Counting, Creation, Known, Phase, State, Times};
use super::update::{Resolution, Sending, Update};
use crate::manager::Shared;
use crate::mistakes::mistake;
use crate::record::Record;
use crate::{Revision, SessionError, SessionKey, SessionToken, Timestamp};

/// The next store call of a save.
pub(super) enum Step {
    Done(Saved),
    Delete(SessionKey),
    Create(SessionToken, Box<Record>, Arc<Update>),
    LookUp(SessionToken, bool),
    Modify(SessionKey, Arc<Record>, Arc<Update>),
    Touch(SessionKey, Arc<Record>),
    Count(SessionKey, Arc<Record>),
    TakeBack(SessionKey, Option<Box<Record>>),
}

impl State {
    /// Decides the next store call, and marks what it sends.
    pub(super) fn next_step(
        &mut self,
        shared: &Shared,
        now: Timestamp,
        is_commit: bool,
        may_touch: bool,
    ) -> Result<Step, SessionError> {
        if let Some((key, _)) = self.destroyed.first() {
            return Ok(Step::Delete(*key));
        }
        if self.counting == Counting::Done && std::mem::take(&mut self.is_refused) {
            let limit = shared.policy.session_limit.map_or(0, |(limit, _)| limit);
            return Err(SessionError::TooManySessions { limit });
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
            if !self.has_batch(Batch::signs_in) {
                return self.drop_late_changes(key).map(Step::Done);
            }
            // Signing in again, from the tab that was overtaken: a session of its own.
            self.session = Known::New;
        }
        match self.session {
            Known::Live(key) => {
                self.next_step_of_live(shared, key, now, can_tell_client, may_touch)
            }
            Known::New => self.next_step_of_new(shared, now, can_tell_client),
            Known::Late(key) | Known::Ended(key) if self.has_changes() => {
                self.discard();
                State::dropped(shared, key, "its session had ended before they were saved")
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
            Creation::Sent { .. } if mistake!("a create in doubt takes a new key at once") => {
                (SessionToken::generate()?, true)
            }
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
        may_touch: bool,
    ) -> Result<Step, SessionError> {
        let Some(record) = self.record.clone() else {
            return Ok(Step::Done(Saved::Unchanged));
        };
        self.seal(shared, key, &record, now, can_tell_client)?;
        if !self.sealed.is_empty() {
            #[cfg(session_mistakes)]
            if mistake!("a new secret for each try") {
                self.draw_again(shared, key)?;
            }
            let update = Arc::new(self.update(shared, now));
            self.mark_sent();
            return Ok(Step::Modify(key, record, update));
        }
        match self.counting {
            Counting::Done => {}
            Counting::Due => return Ok(Step::Count(key, record)),
            Counting::Refused => {
                return Ok(Step::TakeBack(
                    key,
                    self.before_sign_in.clone().map(Box::new),
                ));
            }
        }
        let lifetimes = &shared.policy.lifetimes;
        // A session that has expired while its request was at work is not brought back by its use.
        let is_live = !lifetimes.is_expired(&record, now)
            || mistake!("a touch brings an expired session back");
        let is_used = may_touch && !self.is_operator && is_live && self.times == Times::Stored;
        if is_used && (self.is_refresh_due || lifetimes.is_touch_due(&record, now)) {
            return Ok(Step::Touch(key, record));
        }
        Ok(Step::Done(Saved::Unchanged))
    }

    /// Seals what has changed, if that makes a difference to what is stored.
    pub(super) fn seal(
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
            // It can never be saved any more, and must not keep later changes from it.
            self.open_batch = Batch::default();
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
            sends: 0,
        });
    }

    /// For the test that must notice it: secrets belong to batches, not to tries.
    #[cfg(session_mistakes)]
    fn draw_again(&mut self, shared: &Shared, key: SessionKey) -> Result<(), SessionError> {
        for place in 0..self.sealed.len() {
            let sending = self.sealed[place].clone();
            if sending.sends == 0 || sending.batch.proof.is_none() {
                continue;
            }
            let secret = crate::id::Secret::generate()?;
            let proof = secret.proof(shared.policy.cookie.name(), &key);
            let batch = SealedBatch {
                proof: Some(proof),
                ..(*sending.batch).clone()
            };
            self.forget_drawn(sending.batch.proof);
            self.sealed[place].batch = Arc::new(batch);
            self.draw(proof, secret);
        }
        Ok(())
    }

    pub(super) fn mark_sent(&mut self) {
        for sending in &mut self.sealed {
            sending.sends += 1;
        }
    }

    pub(super) fn update(&self, shared: &Shared, now: Timestamp) -> Update {
        Update {
            policy: Arc::clone(&shared.policy),
            now,
            batches: self.sealed.clone(),
            known: (!self.is_operator).then(|| {
                let only_first = mistake!("only the proof read at open is known, not the own ones");
                let kept = if only_first { 1 } else { usize::MAX };
                self.known.iter().take(kept).copied().collect()
            }),
            untold: self.untold(),
        }
    }

    pub(super) fn has_batch(&self, is_one: impl Fn(&Batch) -> bool) -> bool {
        let sealed = self.sealed.iter().map(|sending| &sending.batch.batch);
        sealed.chain([&self.open_batch]).any(is_one)
    }
}
