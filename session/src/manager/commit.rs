//! Saving what a request has laid over its slot.

use std::sync::Arc;

use super::builder::Policy;
use super::rotate::{Rotated, Why};
use super::write::Failed;
use super::{Inner, WhenGone, forward, timeouts};
use crate::log::correlation;
use crate::record::Record;
use crate::slot::{Begun, BoxedFuture, Fate, Outcome, Phase, State, Stored, Unsaved};
use crate::{
    FieldConflict, Saved, SessionError, SessionId, SessionStore, StoreError, StoreKey, Swapped,
    Timestamp,
};

/// How often a session is looked at to be ended while others save it, where its id is renewed by time.
const END_ATTEMPTS: u32 = 64;

/// What a save has to do.
enum Plan {
    Nothing,
    Drop(StoreKey),
    Touch(StoreKey, Record),
    Create(SessionId, Arc<Unsaved>),
    Modify(StoreKey, Record, Arc<Unsaved>),
    Rotate(Why, StoreKey, Record, Arc<Unsaved>),
}

impl<S: SessionStore> Inner<S> {
    /// Begins to save what has been laid over the slot of `state`.
    pub(super) fn begin(self: Arc<Self>, state: &mut State) -> Begun {
        let now = self.clock.now();
        let destroyed = state.destroyed.clone();
        let plan = self.plan(state, now);
        if destroyed.is_empty() {
            match plan {
                Ok(Plan::Nothing) => return Begun::Done(Ok(Saved::Unchanged)),
                Err(error) => return Begun::Done(Err(error)),
                Ok(_) => {}
            }
        }
        Begun::Saving(Box::pin(async move {
            let mut deleted = Vec::new();
            let outcome = match self.delete_destroyed(destroyed, &mut deleted).await {
                Ok(()) => match plan {
                    Ok(plan) => self.carry_out(plan, now).await,
                    Err(error) => Outcome::failed(error),
                },
                Err(error) => Outcome::failed(error),
            };
            Outcome { deleted, ..outcome }
        }))
    }

    async fn carry_out(self: &Arc<Self>, plan: Plan, now: Timestamp) -> Outcome {
        let (key, written) = match plan {
            Plan::Nothing => return Outcome::new(Fate::Unchanged, Saved::Unchanged),
            Plan::Drop(key) => return self.gone(&key),
            Plan::Touch(key, record) => return self.touch(&key, record, now).await,
            Plan::Create(id, unsaved) => {
                let key = self.key(&id);
                let created = self.create(id, &unsaved, now).await;
                (key, created.map(Some))
            }
            Plan::Modify(key, base, unsaved) => {
                let modified = self.modify(key.clone(), base, &unsaved, now).await;
                (key, modified)
            }
            Plan::Rotate(why, key, base, unsaved) => {
                let rotated = match self.rotate(why, &key, &base, &unsaved, now).await {
                    Ok(Rotated::Done(stored)) => Ok(Some(stored)),
                    Ok(Rotated::Gone) => Ok(None),
                    Ok(Rotated::ByAnother) => self.modify(key.clone(), base, &unsaved, now).await,
                    Err(error) => Err(error.into()),
                };
                (key, rotated)
            }
        };
        match written {
            Ok(Some(stored)) => Outcome::new(Fate::Stored(stored), Saved::Written),
            Ok(None) => self.gone(&key),
            Err(failed) => match failed.error {
                SessionError::Conflict(conflict) => self.rejected(key, conflict, now).await,
                _ => self.failed(failed),
            },
        }
    }

    /// What a write that failed has come to.
    fn failed(self: &Arc<Self>, failed: Failed) -> Outcome {
        let Failed { error, attempted } = failed;
        match (&error, attempted) {
            (SessionError::Store(StoreError::DurabilityUnknown { .. }), Some(stored)) => Outcome {
                fate: Fate::Stored(stored),
                ..Outcome::failed(error)
            },
            (SessionError::Store(StoreError::Unavailable { .. }), Some(attempted)) => Outcome {
                in_doubt: Some(Arc::clone(self).find_out(attempted)),
                ..Outcome::failed(error)
            },
            _ => Outcome::failed(error),
        }
    }

    /// Whether a write was carried out whose answer was lost. When others have saved since, that cannot
    /// be seen any more, and it is taken not to have been.
    fn find_out(self: Arc<Self>, attempted: Stored) -> BoxedFuture<'static, Outcome> {
        Box::pin(async move {
            match self.store.load(&attempted.key).await {
                Ok(Some(found)) if self.is_but_for_touches(&found, &attempted.record) => {
                    Outcome::new(Fate::Stored(attempted), Saved::Written)
                }
                Ok(_) | Err(StoreError::Unreadable(_)) => {
                    Outcome::new(Fate::Unchanged, Saved::Unchanged)
                }
                Err(error) => Outcome {
                    in_doubt: Some(Arc::clone(&self).find_out(attempted)),
                    ..Outcome::failed(error)
                },
            }
        })
    }

    /// Whether two records hold the same, but that one may have been touched since, which happens no
    /// sooner than a touch is due: a save by others at about the same time is none.
    fn is_but_for_touches(&self, found: &Record, record: &Record) -> bool {
        let touched = Record {
            last_seen: found.last_seen,
            expires: found.expires,
            ..record.clone()
        };
        let is_touch_due = self.policy.timeouts.is_touch_due(record, found.last_seen);
        found == record || (is_touch_due && *found == touched)
    }

    /// Drops changes that must not be made to what others have stored meanwhile; what the session is
    /// forked from next is that.
    async fn rejected(&self, key: StoreKey, conflict: FieldConflict, now: Timestamp) -> Outcome {
        tracing::info!(
            event = "field_conflict",
            session = %correlation(&key),
            field = conflict.field,
            "the changes of a request are dropped: another one has changed a field that allows no \
             concurrent change"
        );
        // Where it cannot be read, the next save is told so.
        let latest = match self.store.load(&key).await {
            Ok(Some(record)) => self.follow(key, record, now).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        Outcome {
            fate: match latest {
                Ok(Some((key, record))) => Fate::Rejected(key, record),
                Ok(None) => Fate::Gone,
                Err(_) => Fate::Dropped,
            },
            ..Outcome::failed(conflict)
        }
    }

    /// Drops what cannot be saved, because its session is over.
    fn gone(&self, key: &StoreKey) -> Outcome {
        tracing::warn!(
            event = "write_after_destroy",
            session = %correlation(key),
            "the changes of a request are dropped: its session ended before they were saved"
        );
        Outcome {
            result: match self.policy.when_gone {
                WhenGone::Drop => Ok(Saved::Gone),
                WhenGone::Error => Err(SessionError::Gone),
            },
            ..Outcome::new(Fate::Gone, Saved::Gone)
        }
    }

    /// Deletes the sessions that were destroyed, and notes those in `deleted`.
    async fn delete_destroyed(
        &self,
        destroyed: Vec<StoreKey>,
        deleted: &mut Vec<StoreKey>,
    ) -> Result<(), StoreError> {
        for key in destroyed {
            self.end(&key).await?;
            tracing::info!(
                event = "destroyed",
                session = %correlation(&key),
                "a session was destroyed"
            );
            deleted.push(key);
        }
        Ok(())
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
        let has_changes = state.has_changes();
        if state.is_gone {
            return Ok(if has_changes {
                Plan::Drop(state.key(self.policy.cookie.name()))
            } else {
                Plan::Nothing
            });
        }
        let key = state.key(self.policy.cookie.name());
        let is_renewal_due = state.phase != Phase::AfterHead
            && (state.base.as_ref()).is_some_and(|base| self.policy.is_renewal_due(base, now));
        if !has_changes && !is_renewal_due {
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
            return Ok(Plan::Drop(key));
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
        next = next.merged(&unsaved.changes, now)?;
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
