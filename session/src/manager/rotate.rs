//! Giving a session a new id. At every moment the session is either the old one as it was, or the
//! new one whole; never what is new under the old id.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Inner, forward};
use crate::log::{chain, correlation};
use crate::record::{Record, Revision};
use crate::slot::{Stored, Unsaved};
use crate::store::Change;
use crate::{
    Created, Modified, SessionError, SessionId, SessionStore, StoreError, StoreKey, Swapped,
    Timestamp,
};

/// How often the old record's deletion is tried against others who save under the old id.
const CLOSE_ATTEMPTS: u32 = 4;

/// When a sealed record has expired.
const SEALED: Timestamp = Timestamp::from_millis(0);

/// Why a session gets a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It was asked for, or what the session may do has changed: the old id is worthless at once.
    Asked,
    /// The old one is old: for a minute it leads to the new record.
    Due,
}

/// What became of a renewal.
pub(super) enum Rotated {
    Done(Stored),
    /// The session is over.
    Gone,
    /// It was due, and another request has just done it.
    ByAnother,
}

/// What became of the old record.
enum Closed {
    Done(Record),
    Gone,
    ByAnother,
}

/// One renewal under way.
struct Rotation<'a> {
    why: Why,
    old_key: StoreKey,
    new_key: StoreKey,
    unsaved: &'a Unsaved,
    now: Timestamp,
}

impl<S: SessionStore> Inner<S> {
    /// Stores the session with what is unsaved under a new id and deletes it under the old one.
    ///
    /// The new record is created before the old one is deleted: a failure in between leaves the
    /// client its old session, and a record that nobody has the id of, which expires.
    pub(super) async fn rotate(
        &self,
        why: Why,
        old_key: &StoreKey,
        base: &Record,
        unsaved: &Unsaved,
        now: Timestamp,
    ) -> Result<Rotated, SessionError> {
        let id = SessionId::generate()?;
        let mut rotation = Rotation {
            why,
            old_key: old_key.clone(),
            new_key: self.key(&id),
            unsaved,
            now,
        };
        let record = self.renewed(&rotation, base)?;
        let finished = match self.store.create(&rotation.new_key, &record).await {
            Ok(Created::Done) => self.finish(&mut rotation, base, record).await,
            Ok(Created::Exists) => return Err(StoreError::Conflict { attempts: 1 }.into()),
            Err(error) => {
                // It may be there all the same. Where it stays, nobody has its id, and it will expire.
                let _ = self.store.delete(&rotation.new_key, None).await;
                return Err(error.into());
            }
        };
        if let Ok(Closed::Done(record)) = finished {
            tracing::info!(
                event = "renewed",
                session = %correlation(&rotation.old_key),
                renewed = %correlation(&rotation.new_key),
                "a session got a new id"
            );
            return Ok(Rotated::Done(Stored {
                id: Some(id),
                key: rotation.new_key,
                record,
            }));
        }
        if let Err(error) = self.store.delete(&rotation.new_key, None).await {
            // Nobody has its id: it does no harm and will expire.
            tracing::error!(
                event = "store_failure",
                session = %correlation(&rotation.new_key),
                error = %chain(&error),
                "the record of a renewal that failed could not be deleted"
            );
        }
        finished.map(|closed| match closed {
            Closed::ByAnother => Rotated::ByAnother,
            Closed::Done(_) | Closed::Gone => Rotated::Gone,
        })
    }

    /// The record under the new id, when `latest` is the one under the old.
    fn renewed(&self, rotation: &Rotation<'_>, latest: &Record) -> Result<Record, SessionError> {
        let mut record = (self.policy).successor(latest, rotation.unsaved, rotation.now)?;
        if self.policy.renew_interval.is_some() {
            forward::note_issued(&mut record, rotation.now);
        }
        Ok(record)
    }

    /// What is to be done once `record` is there under the new id.
    async fn finish(
        &self,
        rotation: &mut Rotation<'_>,
        base: &Record,
        record: Record,
    ) -> Result<Closed, SessionError> {
        if rotation.unsaved.changes.owner().is_some() {
            let (new_key, old_key) = (&rotation.new_key, &rotation.old_key);
            self.hold_to_limit(new_key, &record, Some(old_key)).await?;
        }
        self.close_old(rotation, base, record).await
    }

    /// Deletes the old record once the new one, `record`, holds all that was saved under the old id.
    /// What others save meanwhile is taken along, and the deletion tried again.
    async fn close_old(
        &self,
        rotation: &mut Rotation<'_>,
        base: &Record,
        mut record: Record,
    ) -> Result<Closed, SessionError> {
        let mut taken_along = base.clone();
        for _ in 0..CLOSE_ATTEMPTS {
            match self.close(rotation, &taken_along).await? {
                Swapped::Done => return Ok(Closed::Done(record)),
                Swapped::Gone => return Ok(Closed::Gone),
                Swapped::Conflict => {}
            }
            let Some(latest) = self.store.load(&rotation.old_key).await? else {
                return Ok(Closed::Gone);
            };
            let is_forwarding = forward::target(&latest).is_some();
            if is_forwarding && rotation.why == Why::Due {
                return Ok(Closed::ByAnother);
            }
            // Renewed by time, by another request: this one goes on from there.
            let old_key = rotation.old_key.clone();
            match self.follow(old_key, latest, rotation.now).await? {
                Some((key, latest)) if !self.policy.timeouts.is_over(&latest, rotation.now) => {
                    match self.take_along(rotation, &latest, record).await? {
                        Some(next) => record = next,
                        None => return Ok(Closed::Gone),
                    }
                    rotation.old_key = key;
                    taken_along = latest;
                }
                _ => return Ok(Closed::Gone),
            }
        }
        let sealed = self.close_sealed(rotation, &taken_along, record).await?;
        Ok(sealed.map_or(Closed::Gone, Closed::Done))
    }

    /// Deletes the old record, or has it lead to the new one, if it still is as it was read.
    async fn close(&self, rotation: &Rotation<'_>, latest: &Record) -> Result<Swapped, StoreError> {
        let (old_key, new_key) = (&rotation.old_key, &rotation.new_key);
        let closed = match rotation.why {
            Why::Asked => self.store.delete(old_key, Some(latest.revision)).await,
            Why::Due => {
                let forwarding = forward::forwarding(latest, new_key, rotation.now);
                self.store
                    .update(old_key, &forwarding, latest.revision)
                    .await
            }
        };
        match despite_durability(closed, old_key) {
            // Whose answer is lost: that it leads on can be seen, that it was deleted for this could not.
            Err(error @ StoreError::Unavailable { .. }) if rotation.why == Why::Due => {
                let found = self.store.load(old_key).await.ok().flatten();
                match found.as_ref().and_then(forward::target) {
                    Some(target) if target == *new_key => Ok(Swapped::Done),
                    _ => Err(error),
                }
            }
            closed => closed,
        }
    }

    /// Merges what is unsaved into the latest state under the old id, and stores it in place of
    /// `record`, the new one.
    async fn take_along(
        &self,
        rotation: &Rotation<'_>,
        latest: &Record,
        record: Record,
    ) -> Result<Option<Record>, SessionError> {
        let mut next = self.renewed(rotation, latest)?;
        next.revision = next.revision.max(record.revision.next());
        let swapped = self
            .store
            .update(&rotation.new_key, &next, record.revision)
            .await?;
        // Nobody else has the id. Whoever removed the record, or changed it, ended the session.
        Ok((swapped == Swapped::Done).then_some(next))
    }

    /// Where others save faster than the old record can be deleted, it is sealed first, that is, made
    /// to have expired, so that nobody can save any more while its last state is on its way. Not the
    /// first choice: a process that is killed between these steps costs its visitor the session.
    async fn close_sealed(
        &self,
        rotation: &Rotation<'_>,
        base: &Record,
        record: Record,
    ) -> Result<Option<Record>, SessionError> {
        let old_key = &rotation.old_key;
        let Some((latest, sealed)) = self.seal(old_key, base, rotation.now).await? else {
            return Ok(None);
        };
        let finished = match self.take_along(rotation, &latest, record).await {
            Ok(Some(record)) => {
                match despite_durability(self.store.delete(old_key, Some(sealed)).await, old_key) {
                    Ok(Swapped::Done) => Ok(Some(record)),
                    // It was destroyed meanwhile.
                    Ok(Swapped::Gone | Swapped::Conflict) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            unfinished => unfinished,
        };
        if finished.is_err() {
            self.unseal(old_key, latest, sealed).await;
        }
        finished
    }

    /// Makes the record under `key` to have expired; gives it as it was, and its revision as it is.
    async fn seal(
        &self,
        key: &StoreKey,
        base: &Record,
        now: Timestamp,
    ) -> Result<Option<(Record, Revision)>, SessionError> {
        let latest: Arc<Mutex<Option<Record>>> = Arc::default();
        let change: Change = {
            let (timeouts, latest) = (self.policy.timeouts, Arc::clone(&latest));
            Arc::new(move |current| {
                if timeouts.is_over(current, now) {
                    return None;
                }
                let mut sealed = current.clone();
                sealed.revision = current.revision.next();
                sealed.expires = SEALED;
                // A touch that comes late must not move the expiry again.
                sealed.last_seen = Timestamp::MAX;
                *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
                Some(sealed)
            })
        };
        let modified = self.store.modify(key, base, &change).await;
        let latest = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (modified, latest) {
            (Ok(Modified::Done(_)) | Err(StoreError::DurabilityUnknown { .. }), Some(latest)) => {
                let sealed = latest.revision.next();
                Ok(Some((latest, sealed)))
            }
            (Ok(_), _) => Ok(None),
            (Err(error), Some(latest)) => {
                // It may be sealed all the same.
                let found = self.store.load(key).await.ok().flatten();
                if let Some(sealed) = found.filter(|found| found.expires == SEALED) {
                    self.unseal(key, latest, sealed.revision).await;
                }
                Err(error.into())
            }
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Puts a sealed record back, after the renewal has failed: its visitor keeps the old session.
    async fn unseal(&self, key: &StoreKey, mut record: Record, sealed: Revision) {
        record.revision = sealed.next();
        // Where it is gone, or another than the sealed one, somebody has ended it, or nobody sealed it.
        if let Err(error) = self.store.update(key, &record, sealed).await {
            tracing::error!(
                event = "store_failure",
                session = %correlation(key),
                error = %chain(&error),
                "a session is lost: its renewal failed, and so did putting its record back"
            );
        }
    }
}

/// A closing that was carried out is done, durable or not: the new record is all there is of the session,
/// and to take that away as well would sign its visitor out. After any other error the old record is
/// believed to be there.
fn despite_durability(
    closed: Result<Swapped, StoreError>,
    old_key: &StoreKey,
) -> Result<Swapped, StoreError> {
    match closed {
        Err(error @ StoreError::DurabilityUnknown { .. }) => {
            tracing::error!(
                event = "store_failure",
                session = %correlation(old_key),
                error = %chain(&error),
                "a session got a new id, but a power cut may bring its old record back"
            );
            Ok(Swapped::Done)
        }
        closed => closed,
    }
}
