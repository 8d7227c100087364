//! Giving a session a new id. At every moment the session is either the old one as it was, or the
//! new one whole; never what is new under the old id.

use std::sync::{Arc, Mutex, PoisonError};

use super::Inner;
use crate::log::{chain, correlation};
use crate::record::{Record, Revision};
use crate::slot::Unsaved;
use crate::store::Change;
use crate::{
    Created, Modified, SessionError, SessionId, SessionStore, StoreError, StoreKey, Swapped,
    Timestamp,
};

/// How often the old record's deletion is tried against others who save under the old id.
const CLOSE_ATTEMPTS: u32 = 4;

/// One renewal under way.
struct Rotation<'a> {
    old_key: StoreKey,
    new_key: StoreKey,
    unsaved: &'a Unsaved,
    now: Timestamp,
}

impl<S: SessionStore> Inner<S> {
    /// Stores the session with what is unsaved under a new id and deletes it under the old one.
    /// `None` when it is over.
    ///
    /// The new record is created before the old one is deleted: a failure in between leaves the
    /// client its old session, and a record that nobody has the id of, which expires.
    pub(super) async fn rotate(
        &self,
        old: &SessionId,
        base: &Record,
        unsaved: &Unsaved,
        now: Timestamp,
    ) -> Result<Option<(SessionId, Record)>, SessionError> {
        let id = SessionId::generate()?;
        let rotation = Rotation {
            old_key: self.key(old),
            new_key: self.key(&id),
            unsaved,
            now,
        };
        let record = self.policy.successor(base, unsaved, now)?;
        if self.store.create(&rotation.new_key, &record).await? == Created::Exists {
            return Err(StoreError::Conflict { attempts: 1 }.into());
        }
        let finished = match unsaved.changes.owner() {
            Some(_) => self.hold_to_limit(&rotation.new_key, &record).await,
            None => Ok(()),
        };
        let finished = match finished {
            Ok(()) => self.close_old(&rotation, base, record).await,
            Err(error) => Err(error),
        };
        if let Ok(Some(record)) = finished {
            tracing::info!(
                event = "renewed",
                session = %correlation(&rotation.old_key),
                renewed = %correlation(&rotation.new_key),
                "a session got a new id"
            );
            return Ok(Some((id, record)));
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
        finished.map(|_| None)
    }

    /// Deletes the old record once the new one, `record`, holds all that was saved under the old id.
    /// What others save meanwhile is taken along, and the deletion tried again. `None` when the
    /// session is over.
    async fn close_old(
        &self,
        rotation: &Rotation<'_>,
        base: &Record,
        mut record: Record,
    ) -> Result<Option<Record>, SessionError> {
        let mut taken_along = base.clone();
        for _ in 0..CLOSE_ATTEMPTS {
            let expected = Some(taken_along.revision);
            match self.store.delete(&rotation.old_key, expected).await? {
                Swapped::Done => return Ok(Some(record)),
                Swapped::Gone => return Ok(None),
                Swapped::Conflict => {}
            }
            match self.store.load(&rotation.old_key).await? {
                Some(latest) if !self.policy.timeouts.is_over(&latest, rotation.now) => {
                    match self.take_along(rotation, &latest, record).await? {
                        Some(next) => record = next,
                        None => return Ok(None),
                    }
                    taken_along = latest;
                }
                _ => return Ok(None),
            }
        }
        self.close_sealed(rotation, &taken_along, record).await
    }

    /// Merges what is unsaved into the latest state under the old id, and stores it in place of
    /// `record`, the new one.
    async fn take_along(
        &self,
        rotation: &Rotation<'_>,
        latest: &Record,
        record: Record,
    ) -> Result<Option<Record>, SessionError> {
        let Rotation { unsaved, now, .. } = *rotation;
        let mut next = self.policy.successor(latest, unsaved, now)?;
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
            Ok(Some(record)) => match self.store.delete(old_key, Some(sealed)).await {
                Ok(Swapped::Done) => Ok(Some(record)),
                // It was destroyed meanwhile.
                Ok(Swapped::Gone | Swapped::Conflict) => Ok(None),
                Err(error) => Err(error.into()),
            },
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
                sealed.expires = Timestamp::default();
                // A touch that comes late must not move the expiry again.
                sealed.last_seen = Timestamp::MAX;
                *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
                Some(sealed)
            })
        };
        match self.store.modify(key, base, &change).await? {
            Modified::Done(sealed) => {
                let latest = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
                Ok(latest.map(|latest| (latest, sealed.revision)))
            }
            Modified::Declined | Modified::Gone => Ok(None),
        }
    }

    /// Puts a sealed record back, after the renewal has failed: its visitor keeps the old session.
    async fn unseal(&self, key: &StoreKey, mut record: Record, sealed: Revision) {
        record.revision = sealed.next();
        let problem = match self.store.update(key, &record, sealed).await {
            Ok(Swapped::Done) => return,
            Ok(Swapped::Conflict | Swapped::Gone) => String::from("it has been removed meanwhile"),
            Err(error) => chain(&error).to_string(),
        };
        tracing::error!(
            event = "store_failure",
            session = %correlation(key),
            error = problem,
            "a session is lost: its renewal failed, and so did putting its record back"
        );
    }
}
