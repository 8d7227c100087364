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
        let (old_key, new_key) = (self.key(old), self.key(&id));
        let record = self.policy.successor(base, unsaved, now)?;
        if self.store.create(&new_key, &record).await? == Created::Exists {
            return Err(StoreError::Conflict { attempts: 1 }.into());
        }
        let finished = match self.store.delete(&old_key, Some(base.revision)).await {
            Ok(Swapped::Done) => Ok(Some(record)),
            Ok(Swapped::Gone) => Ok(None),
            Ok(Swapped::Conflict) => {
                self.catch_up(&old_key, &new_key, base, &record, unsaved, now)
                    .await
            }
            Err(error) => Err(error.into()),
        };
        if let Ok(Some(record)) = finished {
            tracing::info!(
                event = "renewed",
                session = %correlation(&old_key),
                renewed = %correlation(&new_key),
                "a session got a new id"
            );
            return Ok(Some((id, record)));
        }
        if let Err(error) = self.store.delete(&new_key, None).await {
            // Nobody has its id: it does no harm and will expire.
            tracing::error!(
                event = "store_failure",
                session = %correlation(&new_key),
                error = %chain(&error),
                "the record of a renewal that failed could not be deleted"
            );
        }
        finished.map(|_| None)
    }

    /// Others have saved under the old id since `base` was read. What they saved goes along; then
    /// the old id is closed. The record under it is sealed first, that is, made to have expired, so
    /// that nobody can save any more while its last state is on its way.
    async fn catch_up(
        &self,
        old_key: &StoreKey,
        new_key: &StoreKey,
        base: &Record,
        created: &Record,
        unsaved: &Unsaved,
        now: Timestamp,
    ) -> Result<Option<Record>, SessionError> {
        let Some((latest, sealed)) = self.seal(old_key, base, now).await? else {
            return Ok(None);
        };
        let finished = self
            .replace(old_key, new_key, &latest, created, unsaved, now)
            .await;
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

    async fn replace(
        &self,
        old_key: &StoreKey,
        new_key: &StoreKey,
        latest: &Record,
        created: &Record,
        unsaved: &Unsaved,
        now: Timestamp,
    ) -> Result<Option<Record>, SessionError> {
        let mut record = self.policy.successor(latest, unsaved, now)?;
        record.revision = record.revision.max(created.revision.next());
        match self
            .store
            .update(new_key, &record, created.revision)
            .await?
        {
            Swapped::Done => {}
            // Nobody else has the id. Whoever removed it ended the session.
            Swapped::Gone | Swapped::Conflict => return Ok(None),
        }
        let _ = self.store.delete(old_key, None).await?;
        Ok(Some(record))
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
