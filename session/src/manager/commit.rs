//! Saving what a request has laid over its slot.

use std::sync::{Arc, Mutex, PoisonError};

use super::builder::Policy;
use super::rotate::{Rotated, Why};
use super::{Inner, WhenGone, forward, timeouts};
use crate::log::correlation;
use crate::record::{Record, Revision};
use crate::slot::{OpenSlot, Phase, State, Unsaved};
use crate::store::Change;
use crate::{
    Created, FieldConflict, Modified, Saved, SessionError, SessionId, SessionStore, StoreError,
    StoreKey, Swapped, Timestamp,
};

/// How often a new id is made when the one before turns out to be taken. With 256 random bits that
/// never happens by chance; it is a bound for a generator that is broken.
const ID_ATTEMPTS: u32 = 4;

/// How often a session is looked at to be ended while others save it, where its id is renewed by time.
const END_ATTEMPTS: u32 = 64;

/// What a save has to do.
enum Plan {
    Nothing,
    Drop,
    Touch(StoreKey, Record),
    Create(SessionId, Arc<Unsaved>),
    Modify(StoreKey, Record, Arc<Unsaved>),
    Rotate(Why, StoreKey, Record, Arc<Unsaved>),
}

impl<S: SessionStore> Inner<S> {
    /// Saves what has been laid over `slot`. One save of a slot at a time; one that is dropped half
    /// way leaves what it was saving to the next.
    pub(super) async fn save(&self, slot: &OpenSlot) -> Result<Saved, SessionError> {
        let _turn = slot.turn().await;
        let has_deleted = self.delete_destroyed(slot).await?;
        let now = self.clock.now();
        let (plan, epoch) = {
            let mut state = slot.state();
            (self.plan(&mut state, now)?, state.epoch)
        };
        let saved = self.carry_out(slot, epoch, plan, now).await;
        if let Err(SessionError::Conflict(conflict)) = &saved {
            self.rejected(slot, epoch, conflict, now).await;
        }
        Ok(match saved? {
            Saved::Unchanged if has_deleted => Saved::Written,
            saved => saved,
        })
    }

    async fn carry_out(
        &self,
        slot: &OpenSlot,
        epoch: u32,
        plan: Plan,
        now: Timestamp,
    ) -> Result<Saved, SessionError> {
        Ok(match plan {
            Plan::Nothing => Saved::Unchanged,
            Plan::Drop => self.gone(slot, epoch)?,
            Plan::Touch(key, record) => self.touch(slot, epoch, &key, record, now).await,
            Plan::Create(id, unsaved) => {
                let (id, record) = self.create(id, &unsaved, now).await?;
                self.let_in(&id, &record, &unsaved).await?;
                self.saved(slot, epoch, id, record)
            }
            Plan::Modify(key, base, unsaved) => {
                self.save_changes(slot, epoch, key, base, &unsaved, now)
                    .await?
            }
            Plan::Rotate(why, old, base, unsaved) => {
                match self.rotate(why, &old, &base, &unsaved, now).await? {
                    Rotated::Done(id, record) => self.saved(slot, epoch, id, record),
                    Rotated::Gone => self.gone(slot, epoch)?,
                    Rotated::ByAnother => {
                        self.save_changes(slot, epoch, old, base, &unsaved, now)
                            .await?
                    }
                }
            }
        })
    }

    /// Saves changes of a session that keeps its id.
    async fn save_changes(
        &self,
        slot: &OpenSlot,
        epoch: u32,
        key: StoreKey,
        base: Record,
        unsaved: &Arc<Unsaved>,
        now: Timestamp,
    ) -> Result<Saved, SessionError> {
        let Some((stored_at, record)) = self.modify(key.clone(), base, unsaved, now).await? else {
            return self.gone(slot, epoch);
        };
        let id = {
            let mut state = slot.state();
            if stored_at != key && state.epoch == epoch {
                state.renewed_key = Some(stored_at.clone());
            }
            state.id.clone()
        };
        Ok(saved_at(slot, epoch, id, stored_at, record))
    }

    /// Drops changes that must not be made to what others have stored meanwhile; what the session is
    /// forked from next is that.
    async fn rejected(
        &self,
        slot: &OpenSlot,
        epoch: u32,
        conflict: &FieldConflict,
        now: Timestamp,
    ) {
        let key = {
            let state = slot.state();
            state.key(self.policy.cookie.name())
        };
        tracing::info!(
            event = "field_conflict",
            session = %correlation(&key),
            field = conflict.field,
            "the changes of a request are dropped: another one has changed a field that allows no \
             concurrent change"
        );
        // Where it cannot be read, the next save is told so.
        let latest = match self.store.load(&key).await {
            Ok(Some(record)) => self.follow(key.clone(), record, now).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let mut state = slot.state();
        if state.epoch != epoch {
            return;
        }
        state.discard();
        match latest {
            Ok(Some((stored_at, record))) => {
                if stored_at != key {
                    state.renewed_key = Some(stored_at);
                }
                state.base = Some(record);
            }
            Ok(None) => state.end(),
            Err(_) => {}
        }
    }

    /// Deletes the sessions that were destroyed. What fails stays to be deleted.
    async fn delete_destroyed(&self, slot: &OpenSlot) -> Result<bool, StoreError> {
        let mut has_deleted = false;
        loop {
            let Some(key) = slot.state().destroyed.last().cloned() else {
                return Ok(has_deleted);
            };
            self.end(&key).await?;
            tracing::info!(
                event = "destroyed",
                session = %correlation(&key),
                "a session was destroyed"
            );
            let mut state = slot.state();
            state.destroyed.retain(|destroyed| *destroyed != key);
            state.remove_cookie = true;
            has_deleted = true;
        }
    }

    /// Deletes the record under `key`, and what a renewal by time has made of it: that must not save a
    /// session from being destroyed.
    async fn end(&self, key: &StoreKey) -> Result<(), StoreError> {
        let mut next = self.policy.renew_interval.map(|_| key.clone());
        for attempt in 1.. {
            let Some(key) = next.take() else {
                break;
            };
            if attempt > END_ATTEMPTS {
                let attempts = END_ATTEMPTS;
                return Err(StoreError::Conflict { attempts });
            }
            let record = match self.store.load(&key).await {
                Ok(Some(record)) => record,
                // What cannot be read is deleted below, or has been set aside.
                Ok(None) | Err(StoreError::Unreadable(_)) => break,
                Err(error) => return Err(error),
            };
            if let Some(target) = forward::target(&record) {
                next = Some(target);
            } else if self.store.delete(&key, Some(record.revision)).await? == Swapped::Conflict {
                // Somebody saves, or renews it at this moment.
                next = Some(key);
            }
        }
        // Done, or gone already: either way there is no such session any more.
        let _ = self.store.delete(key, None).await?;
        Ok(())
    }

    fn plan(&self, state: &mut State, now: Timestamp) -> Result<Plan, SessionError> {
        if let Some(error) = &state.encode_error {
            return Err(error.clone().into());
        }
        let has_unsaved = state.has_unsaved();
        if state.is_gone {
            return Ok(if has_unsaved {
                Plan::Drop
            } else {
                Plan::Nothing
            });
        }
        let key = state.key(self.policy.cookie.name());
        let is_renewal_due = state.phase != Phase::AfterHead
            && (state.base.as_ref()).is_some_and(|base| self.policy.is_renewal_due(base, now));
        if !has_unsaved && !is_renewal_due {
            return Ok(match &state.base {
                Some(base) if self.policy.timeouts.is_touch_due(base, now) => {
                    Plan::Touch(key, base.clone())
                }
                _ => Plan::Nothing,
            });
        }
        let unsaved = state.begin_save();
        let id = state.id.clone();
        let Some(base) = state.base.clone() else {
            if !unsaved.is_forced && !unsaved.is_worth_storing {
                return Ok(Plan::Nothing);
            }
            if state.phase == Phase::AfterHead {
                return Err(SessionError::HeadSent);
            }
            let id = if state.id_is_spent {
                SessionId::generate()?
            } else {
                id
            };
            return Ok(Plan::Create(id, unsaved));
        };
        if self.policy.timeouts.is_over(&base, now) {
            return Ok(Plan::Drop);
        }
        let changes = &unsaved.changes;
        if unsaved.renew || changes.rotates() || changes.is_cleared() {
            if state.phase == Phase::AfterHead {
                return Err(SessionError::HeadSent);
            }
            return Ok(Plan::Rotate(Why::Asked, key, base, unsaved));
        }
        if is_renewal_due {
            return Ok(Plan::Rotate(Why::Due, key, base, unsaved));
        }
        if unsaved.is_empty() {
            state.in_flight = None;
            return Ok(if self.policy.timeouts.is_touch_due(&base, now) {
                Plan::Touch(key, base)
            } else {
                Plan::Nothing
            });
        }
        Ok(Plan::Modify(key, base, unsaved))
    }

    /// Moves the expiry. That it fails is logged and no more: the request has read what it asked for,
    /// and the session lives on until its old expiry.
    async fn touch(
        &self,
        slot: &OpenSlot,
        epoch: u32,
        key: &StoreKey,
        mut record: Record,
        now: Timestamp,
    ) -> Saved {
        record.last_seen = now;
        record.expires = self
            .policy
            .timeouts
            .expires(record.created, now, record.persist_for);
        match self.store.touch(key, now, record.expires).await {
            Ok(true) => {
                let mut state = slot.state();
                if state.epoch == epoch {
                    state.refresh_cookie |= record.persist_for.is_some();
                    state.base = Some(record);
                }
                Saved::Written
            }
            Ok(false) => {
                let mut state = slot.state();
                if state.epoch == epoch {
                    state.end();
                }
                Saved::Gone
            }
            Err(error) => {
                tracing::error!(
                    event = "store_failure",
                    session = %correlation(key),
                    error = %crate::log::chain(&error),
                    "the expiry of a session could not be moved"
                );
                Saved::Unchanged
            }
        }
    }

    async fn create(
        &self,
        mut id: SessionId,
        unsaved: &Unsaved,
        now: Timestamp,
    ) -> Result<(SessionId, Record), SessionError> {
        let record = self
            .policy
            .successor(&Record::new(now, now), unsaved, now)?;
        let record = Record {
            revision: Revision::FIRST,
            ..record
        };
        for _ in 0..ID_ATTEMPTS {
            let key = self.key(&id);
            if self.store.create(&key, &record).await? == Created::Done {
                tracing::info!(
                    event = "created",
                    session = %correlation(&key),
                    "a session was created"
                );
                return Ok((id, record));
            }
            id = SessionId::generate()?;
        }
        Err(StoreError::Conflict {
            attempts: ID_ATTEMPTS,
        }
        .into())
    }

    /// Counts a sign-in that has made a session of its own; takes that away when it is one too many.
    async fn let_in(
        &self,
        id: &SessionId,
        record: &Record,
        unsaved: &Unsaved,
    ) -> Result<(), SessionError> {
        if unsaved.changes.owner().is_none() {
            return Ok(());
        }
        let key = self.key(id);
        let held = self.hold_to_limit(&key, record, None).await;
        if held.is_err() {
            let _ = self.store.delete(&key, None).await?;
        }
        held
    }

    /// Merges what is unsaved into the stored record, wherever renewals by others have taken it; gives
    /// its key and what it is now. `None` when the session is over.
    async fn modify(
        &self,
        mut key: StoreKey,
        mut base: Record,
        unsaved: &Arc<Unsaved>,
        now: Timestamp,
    ) -> Result<Option<(StoreKey, Record)>, SessionError> {
        loop {
            if let Some(record) = self.modify_at(&key, &base, unsaved, now).await? {
                return Ok(Some((key, record)));
            }
            let Some(latest) = self.store.load(&key).await? else {
                return Ok(None);
            };
            match self.follow(key.clone(), latest, now).await? {
                Some((next, record)) if next != key => (key, base) = (next, record),
                _ => return Ok(None),
            }
        }
    }

    async fn modify_at(
        &self,
        key: &StoreKey,
        base: &Record,
        unsaved: &Arc<Unsaved>,
        now: Timestamp,
    ) -> Result<Option<Record>, SessionError> {
        let refused: Arc<Mutex<Option<SessionError>>> = Arc::default();
        let change: Change = {
            let policy = Arc::clone(&self.policy);
            let (unsaved, refused) = (Arc::clone(unsaved), Arc::clone(&refused));
            Arc::new(move |current| {
                // A record that leads on is over, too.
                if policy.timeouts.is_over(current, now) {
                    return None;
                }
                match policy.successor(current, &unsaved, now) {
                    Ok(record) => Some(record),
                    Err(error) => {
                        *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        None
                    }
                }
            })
        };
        match self.store.modify(key, base, &change).await {
            Ok(Modified::Done(record)) => Ok(Some(record)),
            Ok(Modified::Gone) => Ok(None),
            Ok(Modified::Declined) => {
                let refused = refused
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                refused.map_or(Ok(None), Err)
            }
            Err(error) => {
                if matches!(error, StoreError::Conflict { .. }) {
                    tracing::error!(
                        event = "conflict_exhausted",
                        session = %correlation(key),
                        "a session could not be saved: others changed it at every attempt"
                    );
                }
                Err(error.into())
            }
        }
    }

    /// Notes in the slot what is stored now.
    fn saved(&self, slot: &OpenSlot, epoch: u32, id: SessionId, record: Record) -> Saved {
        let key = self.key(&id);
        saved_at(slot, epoch, id, key, record)
    }

    /// Drops what cannot be saved, because its session is over.
    fn gone(&self, slot: &OpenSlot, epoch: u32) -> Result<Saved, SessionError> {
        let mut state = slot.state();
        if state.epoch == epoch {
            tracing::warn!(
                event = "write_after_destroy",
                session = %correlation(&state.key(self.policy.cookie.name())),
                "the changes of a request are dropped: its session ended before they were saved"
            );
            state.end();
        }
        match self.policy.when_gone {
            WhenGone::Drop => Ok(Saved::Gone),
            WhenGone::Error => Err(SessionError::Gone),
        }
    }
}

fn saved_at(slot: &OpenSlot, epoch: u32, id: SessionId, key: StoreKey, record: Record) -> Saved {
    let mut state = slot.state();
    if state.epoch == epoch {
        state.saved(id, record);
    } else {
        // It was destroyed while this save was under way: what was just stored goes too.
        state.destroyed.push(key);
    }
    Saved::Written
}

impl Policy {
    /// Whether the session's id is old enough to be replaced.
    pub(super) fn is_renewal_due(&self, record: &Record, now: Timestamp) -> bool {
        self.renew_interval
            .is_some_and(|interval| now.since(forward::id_issued(record)) >= interval)
    }

    /// The record that follows `current` when what is unsaved is merged into it.
    pub(super) fn successor(
        &self,
        current: &Record,
        unsaved: &Unsaved,
        now: Timestamp,
    ) -> Result<Record, SessionError> {
        let mut next = timeouts::rebased(current, now).unwrap_or_else(|| current.clone());
        next.fields.expire(now);
        next = next.merge(&unsaved.changes, now)?;
        next.revision = current.revision.next();
        next.last_seen = next.last_seen.max(now);
        if let Some(persist_for) = unsaved.persist_for {
            next.persist_for = persist_for;
        }
        if unsaved.changes.rotates() {
            next.created = now;
        }
        next.expires = self
            .timeouts
            .expires(next.created, next.last_seen, next.persist_for);
        let length = next.encoded_length();
        if length > self.max_record_size {
            let too_large = unsaved.changes.too_large(length, self.max_record_size);
            return Err(too_large.into());
        }
        Ok(next)
    }
}
