//! The stores of the library as one type, for tests that run on each of them.

use session::{
    CreateOutcome, Cursor, DeleteOutcome, FilesystemStore, MemoryStore, ModifyOutcome, Page,
    Record, RecordUpdate, Revision, SessionKey, SessionStore, StoreError, Timestamp, UpdateOutcome,
};

/// A store of the library.
#[derive(Debug, Clone)]
pub enum AnyStore {
    /// In memory.
    Memory(MemoryStore),
    /// On files.
    Files(FilesystemStore),
}

impl From<MemoryStore> for AnyStore {
    fn from(store: MemoryStore) -> Self {
        AnyStore::Memory(store)
    }
}

impl From<FilesystemStore> for AnyStore {
    fn from(store: FilesystemStore) -> Self {
        AnyStore::Files(store)
    }
}

macro_rules! pass_on {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            AnyStore::Memory(store) => store.$method($($argument),*).await,
            AnyStore::Files(store) => store.$method($($argument),*).await,
        }
    };
}

impl SessionStore for AnyStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        pass_on!(self.load(key))
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        pass_on!(self.create(key, record))
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        pass_on!(self.update(key, record, expected))
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        pass_on!(self.delete(key, expected))
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        pass_on!(self.list(after, at_most))
    }

    async fn modify(
        &self,
        key: &SessionKey,
        base: Option<&Record>,
        change: &RecordUpdate,
    ) -> Result<ModifyOutcome, StoreError> {
        pass_on!(self.modify(key, base, change))
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        pass_on!(self.touch(key, last_seen, expires, expected))
    }

    async fn sessions_of(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        pass_on!(self.sessions_of(owner, after, at_most))
    }

    async fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        pass_on!(self.take_expired(now, at_most))
    }
}
