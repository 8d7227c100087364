//! Any store behind a pointer: for those who choose the store from configuration at run time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Change, Created, Listing, Modified, SessionStore, StoreError, Swapped};
use crate::record::{Record, Revision};
use crate::{StoreKey, Timestamp};

/// A store whose type is not known until run time. Clones share it.
///
/// ```
/// # #[cfg(all(feature = "filesystem", feature = "memory"))]
/// # fn example(folder: Option<&str>) -> Result<(), Box<dyn std::error::Error>> {
/// use session::{BoxedStore, FilesystemStore, MemoryStore, SessionStore};
///
/// let store: BoxedStore = match folder {
///     Some(folder) => FilesystemStore::open(folder)?.boxed(),
///     None => MemoryStore::new().boxed(),
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BoxedStore(Arc<dyn DynStore>);

impl BoxedStore {
    /// Puts `store` behind a pointer.
    pub fn new(store: impl SessionStore) -> Self {
        BoxedStore(Arc::new(store))
    }
}

impl fmt::Debug for BoxedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedStore").finish_non_exhaustive()
    }
}

impl SessionStore for BoxedStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        self.0.load(key).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        self.0.create(key, record).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        self.0.update(key, record, expected).await
    }

    async fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        self.0.delete(key, expected).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        self.0.touch(key, last_seen, expires).await
    }

    fn list(&self) -> Listing {
        self.0.list()
    }

    fn find(&self, owner: &str) -> Listing {
        self.0.find(owner)
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.0.remove_expired(now).await
    }

    async fn modify(
        &self,
        key: &StoreKey,
        base: &Record,
        change: &Change,
    ) -> Result<Modified, StoreError> {
        self.0.modify(key, base, change).await
    }

    fn boxed(self) -> BoxedStore {
        self
    }
}

type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`SessionStore`] in a form that can stand behind a pointer.
trait DynStore: Send + Sync {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxedFuture<'a, Option<Record>>;
    fn create<'a>(&'a self, key: &'a StoreKey, record: &'a Record) -> BoxedFuture<'a, Created>;
    fn update<'a>(
        &'a self,
        key: &'a StoreKey,
        record: &'a Record,
        expected: Revision,
    ) -> BoxedFuture<'a, Swapped>;
    fn delete<'a>(
        &'a self,
        key: &'a StoreKey,
        expected: Option<Revision>,
    ) -> BoxedFuture<'a, Swapped>;
    fn touch<'a>(
        &'a self,
        key: &'a StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> BoxedFuture<'a, bool>;
    fn list(&self) -> Listing;
    fn find(&self, owner: &str) -> Listing;
    fn remove_expired(&self, now: Timestamp) -> BoxedFuture<'_, u64>;
    fn modify<'a>(
        &'a self,
        key: &'a StoreKey,
        base: &'a Record,
        change: &'a Change,
    ) -> BoxedFuture<'a, Modified>;
}

impl<S: SessionStore> DynStore for S {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxedFuture<'a, Option<Record>> {
        Box::pin(SessionStore::load(self, key))
    }

    fn create<'a>(&'a self, key: &'a StoreKey, record: &'a Record) -> BoxedFuture<'a, Created> {
        Box::pin(SessionStore::create(self, key, record))
    }

    fn update<'a>(
        &'a self,
        key: &'a StoreKey,
        record: &'a Record,
        expected: Revision,
    ) -> BoxedFuture<'a, Swapped> {
        Box::pin(SessionStore::update(self, key, record, expected))
    }

    fn delete<'a>(
        &'a self,
        key: &'a StoreKey,
        expected: Option<Revision>,
    ) -> BoxedFuture<'a, Swapped> {
        Box::pin(SessionStore::delete(self, key, expected))
    }

    fn touch<'a>(
        &'a self,
        key: &'a StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> BoxedFuture<'a, bool> {
        Box::pin(SessionStore::touch(self, key, last_seen, expires))
    }

    fn list(&self) -> Listing {
        SessionStore::list(self)
    }

    fn find(&self, owner: &str) -> Listing {
        SessionStore::find(self, owner)
    }

    fn remove_expired(&self, now: Timestamp) -> BoxedFuture<'_, u64> {
        Box::pin(SessionStore::remove_expired(self, now))
    }

    fn modify<'a>(
        &'a self,
        key: &'a StoreKey,
        base: &'a Record,
        change: &'a Change,
    ) -> BoxedFuture<'a, Modified> {
        Box::pin(SessionStore::modify(self, key, base, change))
    }
}
