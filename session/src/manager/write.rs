//! The writes that a save is made of, and what is known of those that fail.

use std::sync::{Arc, Mutex, PoisonError};

use super::Inner;
use crate::log::correlation;
use crate::record::{Record, Revision};
use crate::slot::{Fate, Outcome, Stored, Unsaved};
use crate::store::Change;
use crate::{
    Created, GenerateError, Modified, Saved, SessionError, SessionId, SessionStore, StoreError,
    StoreKey, Timestamp,
};

/// How often a new id is made when the one before turns out to be taken. With 256 random bits that
/// never happens by chance; it is a bound for a generator that is broken.
const ID_ATTEMPTS: u32 = 4;

/// A write that failed.
pub(super) struct Failed {
    pub(super) error: SessionError,
    /// What is stored now, if it was carried out for all that.
    pub(super) attempted: Option<Stored>,
}

impl Failed {
    fn perhaps(error: StoreError, attempted: Stored) -> Self {
        Failed {
            error: error.into(),
            attempted: Some(attempted),
        }
    }
}

impl From<SessionError> for Failed {
    fn from(error: SessionError) -> Self {
        Failed {
            error,
            attempted: None,
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed::from(SessionError::from(error))
    }
}

impl From<GenerateError> for Failed {
    fn from(error: GenerateError) -> Self {
        Failed::from(SessionError::from(error))
    }
}

impl<S: SessionStore> Inner<S> {
    /// Moves the expiry. That it fails is logged and no more: the request has read what it asked for,
    /// and the session lives on until its old expiry.
    pub(super) async fn touch(
        &self,
        key: &StoreKey,
        mut record: Record,
        now: Timestamp,
    ) -> Outcome {
        record.last_seen = now;
        record.expires = self
            .policy
            .timeouts
            .expires(record.created, now, record.persist_for);
        match self.store.touch(key, now, record.expires).await {
            Ok(true) => Outcome::new(Fate::Touched(record), Saved::Written),
            Ok(false) => Outcome::new(Fate::Gone, Saved::Gone),
            Err(error) => {
                tracing::error!(
                    event = "store_failure",
                    session = %correlation(key),
                    error = %crate::log::chain(&error),
                    "the expiry of a session could not be moved"
                );
                Outcome::new(Fate::Unchanged, Saved::Unchanged)
            }
        }
    }

    /// Stores a session for the first time.
    pub(super) async fn create(
        &self,
        mut id: SessionId,
        unsaved: &Unsaved,
        now: Timestamp,
    ) -> Result<Stored, Failed> {
        let record = self
            .policy
            .successor(&Record::new(now, now), unsaved, now)?;
        let record = Record {
            revision: Revision::FIRST,
            ..record
        };
        for _ in 0..ID_ATTEMPTS {
            let key = self.key(&id);
            let created = self.store.create(&key, &record).await;
            if matches!(created, Ok(Created::Exists)) {
                id = SessionId::generate()?;
                continue;
            }
            let id = Some(id);
            let record = record.clone();
            let stored = Stored { id, key, record };
            if let Err(error) = created {
                if matches!(error, StoreError::DurabilityUnknown { .. }) {
                    self.let_in(&stored, unsaved).await?;
                }
                return Err(Failed::perhaps(error, stored));
            }
            tracing::info!(
                event = "created",
                session = %correlation(&stored.key),
                "a session was created"
            );
            self.let_in(&stored, unsaved).await?;
            return Ok(stored);
        }
        Err(Failed::from(StoreError::Conflict {
            attempts: ID_ATTEMPTS,
        }))
    }

    /// Counts a sign-in that has made a session of its own; takes that away when it is one too many.
    async fn let_in(&self, stored: &Stored, unsaved: &Unsaved) -> Result<(), SessionError> {
        if unsaved.changes.owner().is_none() {
            return Ok(());
        }
        let held = self.hold_to_limit(&stored.key, &stored.record, None).await;
        if held.is_err() {
            let _ = self.store.delete(&stored.key, None).await?;
        }
        held
    }

    /// Merges what is unsaved into the stored record, wherever renewals by others have taken it; gives
    /// what is stored now. `None` when the session is over.
    pub(super) async fn modify(
        &self,
        mut key: StoreKey,
        mut base: Record,
        unsaved: &Arc<Unsaved>,
        now: Timestamp,
    ) -> Result<Option<Stored>, Failed> {
        loop {
            if let Some(stored) = self.modify_at(&key, &base, unsaved, now).await? {
                return Ok(Some(stored));
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
    ) -> Result<Option<Stored>, Failed> {
        // What was made of the record that the store gave last.
        let made: Arc<Mutex<Option<Result<Record, SessionError>>>> = Arc::default();
        let change: Change = {
            let policy = Arc::clone(&self.policy);
            let (unsaved, made) = (Arc::clone(unsaved), Arc::clone(&made));
            Arc::new(move |current| {
                // A record that leads on is over, too.
                let next = (!policy.timeouts.is_over(current, now))
                    .then(|| policy.successor(current, &unsaved, now));
                let record = next.as_ref().and_then(|next| next.as_ref().ok().cloned());
                *made.lock().unwrap_or_else(PoisonError::into_inner) = next;
                record
            })
        };
        let modified = self.store.modify(key, base, &change).await;
        let stored = |record| Stored {
            id: None,
            key: key.clone(),
            record,
        };
        let made = made.lock().unwrap_or_else(PoisonError::into_inner).take();
        match modified {
            Ok(Modified::Done(record)) => Ok(Some(stored(record))),
            Ok(Modified::Gone) => Ok(None),
            Ok(Modified::Declined) => match made {
                Some(Err(refused)) => Err(refused.into()),
                _ => Ok(None),
            },
            Err(error) => {
                if matches!(error, StoreError::Conflict { .. }) {
                    tracing::error!(
                        event = "conflict_exhausted",
                        session = %correlation(key),
                        "a session could not be saved: others changed it at every attempt"
                    );
                }
                Err(match made {
                    Some(Ok(record)) => Failed::perhaps(error, stored(record)),
                    _ => error.into(),
                })
            }
        }
    }
}
