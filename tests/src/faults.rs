//! A store that fails, loses answers and keeps its callers waiting when it is told to.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session::{
    CreateOutcome, Cursor, DeleteOutcome, ModifyOutcome, Page, Record, RecordUpdate, Revision,
    SessionKey, SessionStore, StoreError, Timestamp, UpdateOutcome,
};

use crate::gate::Gate;

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
    gates: Mutex<Vec<(&'static str, Gate)>>,
    is_down: AtomicBool,
    conflicts: AtomicU32,
    calls: AtomicU32,
}

/// What becomes of the answer of an operation that has been carried out.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It waits at this gate first.
    Held(Gate),
    /// It is lost: the store seems to be unavailable.
    Lost,
    /// It is lost once, and comes from then on.
    LostOnce(Arc<AtomicBool>),
    /// What was done may not be durable.
    NotDurable,
}

impl Answer {
    /// The next answer is lost.
    #[must_use]
    pub fn lost_once() -> Self {
        Answer::LostOnce(Arc::default())
    }
}

impl<S> FaultyStore<S> {
    /// A store that does not fail yet.
    pub fn new(store: S) -> Self {
        FaultyStore {
            store: Arc::new(store),
            faults: Arc::default(),
        }
    }

    /// Has this operation fail from now on: it is not carried out.
    pub fn fail(&self, operation: &'static str) {
        locked(&self.faults.failing).push(operation);
    }

    /// Has this operation be carried out from now on, and answered so.
    pub fn answer(&self, operation: &'static str, answer: Answer) {
        locked(&self.faults.answers).push((operation, answer));
    }

    /// Has this operation wait at the gate from now on, before it is carried out.
    pub fn hold(&self, operation: &'static str, gate: &Gate) {
        locked(&self.faults.gates).push((operation, gate.clone()));
    }

    /// Has every operation fail as unavailable, or none.
    pub fn set_down(&self, down: bool) {
        self.faults.is_down.store(down, Ordering::SeqCst);
    }

    /// Has the next saves meet a conflict.
    pub fn conflict(&self, times: u32) {
        self.faults.conflicts.store(times, Ordering::SeqCst);
    }

    /// Ends all faults. What waits at a gate goes on waiting.
    pub fn repair(&self) {
        locked(&self.faults.failing).clear();
        locked(&self.faults.answers).clear();
        locked(&self.faults.gates).clear();
        self.set_down(false);
        self.conflict(0);
    }

    /// How many calls have been passed on.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    async fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        let source = Box::new(io::Error::other("broken on purpose"));
        if self.faults.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { operation, source });
        }
        if locked(&self.faults.failing).contains(&operation) {
            return Err(StoreError::Failed { operation, source });
        }
        let gates = locked(&self.faults.gates).clone();
        for (_, gate) in gates.iter().filter(|(of, _)| *of == operation) {
            gate.pass().await;
        }
        self.faults.calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn answered(&self, operation: &'static str) -> Result<(), StoreError> {
        let answers = locked(&self.faults.answers).clone();
        for (_, answer) in answers.iter().filter(|(of, _)| *of == operation) {
            let source = Box::new(io::Error::other("broken on purpose"));
            match answer {
                Answer::Held(gate) => gate.pass().await,
                Answer::Lost => return Err(StoreError::Unavailable { operation, source }),
                Answer::LostOnce(was_lost) if !was_lost.swap(true, Ordering::SeqCst) => {
                    return Err(StoreError::Unavailable { operation, source });
                }
                Answer::LostOnce(_) => {}
                Answer::NotDurable => {
                    return Err(StoreError::DurabilityUnknown { operation, source });
                }
            }
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: SessionStore> SessionStore for FaultyStore<S> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.check("load").await?;
        let loaded = self.store.load(key).await?;
        self.answered("load").await.map(|()| loaded)
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.check("create").await?;
        let created = self.store.create(key, record).await?;
        self.answered("create").await.map(|()| created)
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        self.check("update").await?;
        let updated = self.store.update(key, record, expected).await?;
        self.answered("update").await.map(|()| updated)
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        self.check("delete").await?;
        let deleted = self.store.delete(key, expected).await?;
        self.answered("delete").await.map(|()| deleted)
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.check("list").await?;
        let page = self.store.list(after, at_most).await?;
        self.answered("list").await.map(|()| page)
    }

    async fn modify(
        &self,
        key: &SessionKey,
        base: Option<&Record>,
        change: &RecordUpdate,
    ) -> Result<ModifyOutcome, StoreError> {
        self.check("modify").await?;
        if self.faults.conflicts.load(Ordering::SeqCst) > 0 {
            self.faults.conflicts.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::Conflict {
                attempts: session::MODIFY_ATTEMPTS,
            });
        }
        let modified = self.store.modify(key, base, change).await?;
        self.answered("modify").await.map(|()| modified)
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        self.check("touch").await?;
        let touched = self.store.touch(key, last_seen, expires, expected).await?;
        self.answered("touch").await.map(|()| touched)
    }

    async fn sessions_of(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        self.check("sessions_of").await?;
        let page = self.store.sessions_of(owner, after, at_most).await?;
        self.answered("sessions_of").await.map(|()| page)
    }

    async fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        self.check("take_expired").await?;
        let taken = self.store.take_expired(now, at_most).await?;
        self.answered("take_expired").await.map(|()| taken)
    }
}
