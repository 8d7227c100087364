//! A store that counts how often it is called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    CreateOutcome, Cursor, DeleteOutcome, ModifyOutcome, Page, Record, RecordUpdate, Revision,
    SessionKey, SessionStore, StoreError, Timestamp, UpdateOutcome,
};

/// Passes every call on to the same method of another store, and counts it. Clones share the store and the
/// counts.
///
/// ```
/// use session::testing::CountingStore;
/// use session::{MemoryStore, SessionKey, SessionStore as _};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = CountingStore::new(MemoryStore::new());
/// store.load(&SessionKey::from_bytes([7; 16])).await?;
/// assert_eq!(store.calls().load, 1);
/// assert_eq!(store.calls().total(), 1);
/// # Ok::<(), session::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct CountingStore<S> {
    store: Arc<S>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    load: AtomicU64,
    create: AtomicU64,
    update: AtomicU64,
    delete: AtomicU64,
    list: AtomicU64,
    modify: AtomicU64,
    touch: AtomicU64,
    sessions_of: AtomicU64,
    take_expired: AtomicU64,
}

/// How often each method of a store was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is named for the method it counts")]
pub struct Calls {
    pub load: u64,
    pub create: u64,
    pub update: u64,
    pub delete: u64,
    pub list: u64,
    pub modify: u64,
    pub touch: u64,
    pub sessions_of: u64,
    pub take_expired: u64,
}

impl Calls {
    /// All calls together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Calls {
            load,
            create,
            update,
            delete,
            list,
            modify,
            touch,
            sessions_of,
            take_expired,
        } = *self;
        load + create + update + delete + list + modify + touch + sessions_of + take_expired
    }
}

impl<S> CountingStore<S> {
    /// Counts the calls of `store`.
    pub fn new(store: S) -> Self {
        CountingStore {
            store: Arc::new(store),
            counts: Arc::default(),
        }
    }

    /// The store that the calls are passed on to: what is asked of it directly is not counted.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Calls {
            load: read(&self.counts.load),
            create: read(&self.counts.create),
            update: read(&self.counts.update),
            delete: read(&self.counts.delete),
            list: read(&self.counts.list),
            modify: read(&self.counts.modify),
            touch: read(&self.counts.touch),
            sessions_of: read(&self.counts.sessions_of),
            take_expired: read(&self.counts.take_expired),
        }
    }
}

impl<S> Clone for CountingStore<S> {
    fn clone(&self) -> Self {
        CountingStore {
            store: Arc::clone(&self.store),
            counts: Arc::clone(&self.counts),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

impl<S: SessionStore> SessionStore for CountingStore<S> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        count(&self.counts.load);
        self.store.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        count(&self.counts.create);
        self.store.create(key, record).await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        count(&self.counts.update);
        self.store.update(key, record, expected).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        count(&self.counts.delete);
        self.store.delete(key, expected).await
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        count(&self.counts.list);
        self.store.list(after, at_most).await
    }

    async fn modify(
        &self,
        key: &SessionKey,
        base: Option<&Record>,
        change: &RecordUpdate,
    ) -> Result<ModifyOutcome, StoreError> {
        count(&self.counts.modify);
        self.store.modify(key, base, change).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        count(&self.counts.touch);
        self.store.touch(key, last_seen, expires, expected).await
    }

    async fn sessions_of(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        count(&self.counts.sessions_of);
        self.store.sessions_of(owner, after, at_most).await
    }

    async fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        count(&self.counts.take_expired);
        self.store.take_expired(now, at_most).await
    }
}
