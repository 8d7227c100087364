//! [`SessionStore`] in a form that can stand behind a pointer: the one boundary behind which the type
//! of the store is not known any more. Costs one allocation a call.

use std::future::Future;
use std::pin::Pin;

use super::{
    CreateOutcome, Cursor, DeleteOutcome, ModifyOutcome, Page, RecordUpdate, SessionStore,
    StoreError, UpdateOutcome,
};
use crate::record::{Record, Revision};
use crate::{SessionKey, Timestamp};

pub(crate) type StoreFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The methods that the manager calls, as [`SessionStore`] has them.
pub(crate) trait DynStore: Send + Sync {
    fn load<'a>(&'a self, key: &'a SessionKey) -> StoreFuture<'a, Option<Record>>;

    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a Record,
    ) -> StoreFuture<'a, CreateOutcome>;

    fn delete<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Option<Revision>,
    ) -> StoreFuture<'a, DeleteOutcome>;

    fn modify<'a>(
        &'a self,
        key: &'a SessionKey,
        base: Option<&'a Record>,
        change: &'a RecordUpdate,
    ) -> StoreFuture<'a, ModifyOutcome>;

    fn touch<'a>(
        &'a self,
        key: &'a SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> StoreFuture<'a, UpdateOutcome>;

    fn list(&self, after: Option<Cursor>, at_most: usize) -> StoreFuture<'_, Page>;

    fn sessions_of<'a>(
        &'a self,
        owner: &'a str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> StoreFuture<'a, Page>;

    fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> StoreFuture<'_, Vec<(SessionKey, Record)>>;
}

impl<S: SessionStore> DynStore for S {
    fn load<'a>(&'a self, key: &'a SessionKey) -> StoreFuture<'a, Option<Record>> {
        Box::pin(SessionStore::load(self, key))
    }

    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a Record,
    ) -> StoreFuture<'a, CreateOutcome> {
        Box::pin(SessionStore::create(self, key, record))
    }

    fn delete<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Option<Revision>,
    ) -> StoreFuture<'a, DeleteOutcome> {
        Box::pin(SessionStore::delete(self, key, expected))
    }

    fn modify<'a>(
        &'a self,
        key: &'a SessionKey,
        base: Option<&'a Record>,
        change: &'a RecordUpdate,
    ) -> StoreFuture<'a, ModifyOutcome> {
        Box::pin(SessionStore::modify(self, key, base, change))
    }

    fn touch<'a>(
        &'a self,
        key: &'a SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> StoreFuture<'a, UpdateOutcome> {
        Box::pin(SessionStore::touch(self, key, last_seen, expires, expected))
    }

    fn list(&self, after: Option<Cursor>, at_most: usize) -> StoreFuture<'_, Page> {
        Box::pin(SessionStore::list(self, after, at_most))
    }

    fn sessions_of<'a>(
        &'a self,
        owner: &'a str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> StoreFuture<'a, Page> {
        Box::pin(SessionStore::sessions_of(self, owner, after, at_most))
    }

    fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> StoreFuture<'_, Vec<(SessionKey, Record)>> {
        Box::pin(SessionStore::take_expired(self, now, at_most))
    }
}
