//! A store that counts what it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    Change, Created, Listing, Modified, Record, Revision, SessionStore, StoreError, StoreKey,
    Swapped, Timestamp,
};

/// Passes every call on to another store and counts it. Clones share the store and the counts.
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
    modify: AtomicU64,
    delete: AtomicU64,
    touch: AtomicU64,
    list: AtomicU64,
    find: AtomicU64,
    remove_expired: AtomicU64,
}

/// How often each method of a store was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is named for the method it counts")]
pub struct Calls {
    pub load: u64,
    pub create: u64,
    pub update: u64,
    pub modify: u64,
    pub delete: u64,
    pub touch: u64,
    pub list: u64,
    pub find: u64,
    pub remove_expired: u64,
}

impl Calls {
    /// All calls together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.load
            + self.create
            + self.update
            + self.modify
            + self.delete
            + self.touch
            + self.list
            + self.find
            + self.remove_expired
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

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let Counts {
            load,
            create,
            update,
            modify,
            delete,
            touch,
            list,
            find,
            remove_expired,
        } = &*self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Calls {
            load: read(load),
            create: read(create),
            update: read(update),
            modify: read(modify),
            delete: read(delete),
            touch: read(touch),
            list: read(list),
            find: read(find),
            remove_expired: read(remove_expired),
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
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        count(&self.counts.load);
        self.store.load(key).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        count(&self.counts.create);
        self.store.create(key, record).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        count(&self.counts.update);
        self.store.update(key, record, expected).await
    }

    async fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        count(&self.counts.delete);
        self.store.delete(key, expected).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        count(&self.counts.touch);
        self.store.touch(key, last_seen, expires).await
    }

    fn list(&self) -> Listing {
        count(&self.counts.list);
        self.store.list()
    }

    fn find(&self, owner: &str) -> Listing {
        count(&self.counts.find);
        self.store.find(owner)
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        count(&self.counts.remove_expired);
        self.store.remove_expired(now).await
    }

    async fn modify(
        &self,
        key: &StoreKey,
        base: &Record,
        change: &Change,
    ) -> Result<Modified, StoreError> {
        count(&self.counts.modify);
        self.store.modify(key, base, change).await
    }
}
