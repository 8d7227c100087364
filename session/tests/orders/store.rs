//! A store that lets the explorer choose who makes the next call, and what becomes of its answer.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use session::{
    CreateOutcome, Cursor, DeleteOutcome, MemoryStore, ModifyOutcome, Page, Record, RecordUpdate,
    Revision, SessionKey, SessionStore, StoreError, Timestamp, UpdateOutcome,
};

/// What becomes of a store call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// Carried out, and the answer is lost.
    AnswerLost,
    /// Not carried out, and the answer is an error.
    NotCarriedOut,
    /// Not carried out, and the answer says so.
    Busy,
    /// Carried out, and nothing comes back any more: its request is dropped, or its process killed.
    Stuck,
}

thread_local! {
    /// What becomes of the call that is made next.
    static FATE: Cell<Fate> = const { Cell::new(Fate::Answered) };
    /// What the calls have done, in their order.
    static LOG: RefCell<Vec<Done>> = const { RefCell::new(Vec::new()) };
    /// What each actor has loaded last.
    static LOADED: RefCell<Vec<Option<Record>>> = const { RefCell::new(Vec::new()) };
    /// Whose call it is.
    static ACTOR: Cell<usize> = const { Cell::new(0) };
}

/// Something that a call has done to a record.
#[derive(Clone)]
pub struct Done {
    pub actor: usize,
    pub key: SessionKey,
    pub before: Option<Record>,
    pub after: Option<Record>,
}

pub fn set_next(actor: usize, fate: Fate) {
    ACTOR.set(actor);
    FATE.set(fate);
}

/// What this actor has loaded last.
pub fn loaded(actor: usize) -> Option<Record> {
    LOADED.with_borrow(|loaded| loaded.get(actor).cloned().flatten())
}

pub fn forget_all() {
    LOG.take();
    LOADED.take();
}

pub fn take_log() -> Vec<Done> {
    LOG.take()
}

/// Is pending once: where the explorer may choose another one to go on.
pub async fn turn() {
    let mut has_waited = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut has_waited, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// The memory store, one call a step.
#[derive(Clone)]
pub struct SteppingStore {
    pub memory: Arc<MemoryStore>,
    /// `modify` and `touch` are one call, as in stores that lock; otherwise they are made of loads and
    /// updates.
    pub modifies_in_one_step: bool,
}

impl SteppingStore {
    async fn step<R>(
        &self,
        call: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        turn().await;
        let lost = || StoreError::Unavailable {
            operation: "answer",
            source: "the answer is lost".into(),
        };
        match FATE.replace(Fate::Answered) {
            Fate::Answered => call.await,
            Fate::NotCarriedOut => Err(lost()),
            Fate::Busy => Err(StoreError::Busy {
                operation: "be stepped",
            }),
            Fate::AnswerLost => {
                let _ = call.await;
                Err(lost())
            }
            Fate::Stuck => {
                let _ = call.await;
                std::future::pending().await
            }
        }
    }
}

fn note(key: &SessionKey, before: Option<Record>, after: Option<Record>) {
    let done = Done {
        actor: ACTOR.get(),
        key: *key,
        before,
        after,
    };
    LOG.with_borrow_mut(|log| log.push(done));
}

impl SessionStore for SteppingStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let found = self.step(self.memory.load(key)).await?;
        LOADED.with_borrow_mut(|loaded| {
            loaded.resize(loaded.len().max(ACTOR.get() + 1), None);
            loaded[ACTOR.get()].clone_from(&found);
        });
        Ok(found)
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.step(async {
            let outcome = self.memory.create(key, record).await?;
            if outcome == CreateOutcome::Created {
                note(key, None, Some(record.clone()));
            }
            Ok(outcome)
        })
        .await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        self.step(async {
            let before = self.memory.load(key).await?;
            let outcome = self.memory.update(key, record, expected).await?;
            if outcome == UpdateOutcome::Updated {
                note(key, before, Some(record.clone()));
            }
            Ok(outcome)
        })
        .await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        self.step(async {
            let before = self.memory.load(key).await?;
            let outcome = self.memory.delete(key, expected).await?;
            if outcome == DeleteOutcome::Deleted {
                note(key, before, None);
            }
            Ok(outcome)
        })
        .await
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.step(self.memory.list(after, at_most)).await
    }

    async fn modify(
        &self,
        key: &SessionKey,
        base: Option<&Record>,
        change: &RecordUpdate,
    ) -> Result<ModifyOutcome, StoreError> {
        if !self.modifies_in_one_step {
            return FiveMethods(self.clone()).modify(key, base, change).await;
        }
        self.step(async {
            let outcome = self.memory.modify(key, base, change).await?;
            match &outcome {
                ModifyOutcome::Replaced { before, after } => {
                    note(key, Some(before.clone()), Some(after.clone()));
                }
                ModifyOutcome::Deleted(before) => note(key, Some(before.clone()), None),
                ModifyOutcome::Kept(_) | ModifyOutcome::Missing => {}
            }
            Ok(outcome)
        })
        .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        if !self.modifies_in_one_step {
            let provided = FiveMethods(self.clone());
            return provided.touch(key, last_seen, expires, expected).await;
        }
        self.step(self.memory.touch(key, last_seen, expires, expected))
            .await
    }

    async fn sessions_of(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        let page = self.step(self.memory.sessions_of(owner, after, at_most));
        let mut page = page.await?;
        // Keys are random, and an execution must be the same each time.
        page.sessions.sort_by_key(|session| session.owner_since);
        Ok(page)
    }

    async fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        self.step(async {
            let taken = self.memory.take_expired(now, at_most).await?;
            for (key, record) in &taken {
                note(key, Some(record.clone()), None);
            }
            Ok(taken)
        })
        .await
    }
}

/// The provided `modify` and `touch`, made of the five methods.
struct FiveMethods(SteppingStore);

impl SessionStore for FiveMethods {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.0.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.0.create(key, record).await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        self.0.update(key, record, expected).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        self.0.delete(key, expected).await
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.0.list(after, at_most).await
    }
}

/// A future that runs on this thread only.
pub type Local = std::pin::Pin<Box<dyn Future<Output = ()>>>;
