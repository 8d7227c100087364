//! A store that fails when it is told to.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session::{
    Change, Created, Listing, Modified, Record, Revision, SessionStore, StoreError, StoreKey,
    Swapped, Timestamp,
};

/// Passes every call on, except for those that are told to fail.
#[derive(Debug, Clone)]
pub struct FaultyStore<S> {
    store: Arc<S>,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    failing: Mutex<Vec<&'static str>>,
    answers: Mutex<Vec<(&'static str, Answer)>>,
    is_down: AtomicBool,
    conflicts: AtomicU32,
}

const CONFLICTING_DELETES: &str = "delete of a revision";

/// What becomes of the answer of an operation that has been carried out.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// It comes this much later.
    Late(Duration),
    /// It is lost: the store seems to be unavailable.
    Lost,
    /// What was done may not be durable.
    NotDurable,
}

impl<S> FaultyStore<S> {
    /// A store that does not fail yet.
    pub fn new(store: S) -> Self {
        FaultyStore {
            store: Arc::new(store),
            faults: Arc::default(),
        }
    }

    /// Has this operation fail from now on.
    pub fn fail(&self, operation: &'static str) {
        self.failing().push(operation);
    }

    /// Has this operation be carried out from now on, and answered so.
    pub fn answer(&self, operation: &'static str, answer: Answer) {
        self.answers().push((operation, answer));
    }

    /// Has every operation fail as unavailable, or none.
    pub fn set_down(&self, down: bool) {
        self.faults.is_down.store(down, Ordering::SeqCst);
    }

    /// Has the next saves meet a conflict.
    pub fn conflict(&self, times: u32) {
        self.faults.conflicts.store(times, Ordering::SeqCst);
    }

    /// Has every delete of a revision meet another one.
    pub fn conflict_deletes(&self) {
        self.failing().push(CONFLICTING_DELETES);
    }

    /// Ends all faults.
    pub fn repair(&self) {
        self.failing().clear();
        self.answers().clear();
        self.set_down(false);
        self.conflict(0);
    }

    fn failing(&self) -> MutexGuard<'_, Vec<&'static str>> {
        let failing = self.faults.failing.lock();
        failing.unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, Vec<(&'static str, Answer)>> {
        let answers = self.faults.answers.lock();
        answers.unwrap_or_else(PoisonError::into_inner)
    }

    async fn answered(&self, operation: &'static str) -> Result<(), StoreError> {
        let answers = self.answers().clone();
        for (_, answer) in answers.iter().filter(|(of, _)| *of == operation) {
            let source = Box::new(io::Error::other("broken on purpose"));
            match *answer {
                Answer::Late(by) => tokio::time::sleep(by).await,
                Answer::Lost => return Err(StoreError::Unavailable { operation, source }),
                Answer::NotDurable => {
                    return Err(StoreError::DurabilityUnknown { operation, source });
                }
            }
        }
        Ok(())
    }

    fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        let source = Box::new(io::Error::other("broken on purpose"));
        if self.faults.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { operation, source });
        }
        if self.failing().contains(&operation) {
            return Err(StoreError::Failed { operation, source });
        }
        Ok(())
    }
}

impl<S: SessionStore> SessionStore for FaultyStore<S> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        self.check("load")?;
        self.store.load(key).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        self.check("create")?;
        let created = self.store.create(key, record).await?;
        self.answered("create").await.map(|()| created)
    }

    async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        self.check("update")?;
        let updated = self.store.update(key, record, expected).await?;
        self.answered("update").await.map(|()| updated)
    }

    async fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        self.check("delete")?;
        if expected.is_some() && self.failing().contains(&CONFLICTING_DELETES) {
            return Ok(Swapped::Conflict);
        }
        let deleted = self.store.delete(key, expected).await?;
        self.answered("delete").await.map(|()| deleted)
    }

    async fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        self.check("touch")?;
        self.store.touch(key, last_seen, expires).await
    }

    fn list(&self) -> Listing {
        self.store.list()
    }

    fn find(&self, owner: &str) -> Listing {
        self.store.find(owner)
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.check("remove_expired")?;
        self.store.remove_expired(now).await
    }

    async fn modify(
        &self,
        key: &StoreKey,
        base: &Record,
        change: &Change,
    ) -> Result<Modified, StoreError> {
        self.check("modify")?;
        if self.faults.conflicts.load(Ordering::SeqCst) > 0 {
            self.faults.conflicts.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::Conflict {
                attempts: session::MODIFY_ATTEMPTS,
            });
        }
        let modified = self.store.modify(key, base, change).await?;
        self.answered("modify").await.map(|()| modified)
    }
}
