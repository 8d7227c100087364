//! What a place that keeps records must do: the [`SessionStore`] trait and its errors. Not what is
//! done with the records: that is the manager's.

mod boxed;
#[cfg(feature = "filesystem")]
mod filesystem;
mod listing;
#[cfg(feature = "memory")]
mod memory;

use std::future::Future;
use std::sync::Arc;

pub use boxed::BoxedStore;
#[cfg(feature = "filesystem")]
pub use filesystem::{Durability, FilesystemStore, FilesystemStoreBuilder, OpenError};
pub use listing::{Listing, SessionHandle, SessionInfo};
#[cfg(feature = "memory")]
pub use memory::{MemoryStore, MemoryStoreBuilder};

use crate::record::{DecodeError, Record, Revision};
use crate::{StoreKey, Timestamp};

/// How often [`SessionStore::modify`] tries before it gives up with [`StoreError::Conflict`].
pub const MODIFY_ATTEMPTS: u32 = 8;

/// Keeps records under keys, with compare-and-swap.
///
/// A store is dumb: it never decides when a session ends, and never writes a record over one that it
/// was not told about. There is no upsert, by intention: upserts are how a slow request brings a
/// destroyed session back.
///
/// Each sentence below is checked by the conformance suite in [`testing`](crate::testing), which
/// every store should run in its own tests.
///
/// - Each method is one atomic step: whoever looks on sees the record before it or after it. When
///   a method returns, every later call, of this process or another one, sees what it did.
/// - A future that is dropped before it is done has done the whole step or nothing. One that nobody polls
///   any more, because a handler has given up waiting, may live as long as its request: while it waits it
///   holds nothing that the request itself could need.
/// - A record comes back exactly as it went in, fields of unknown meaning included.
/// - A record that has expired is given like any other; only
///   [`remove_expired`](Self::remove_expired) takes it away.
/// - A stored value that cannot be read is [`StoreError::Unreadable`], never `None`, and is never
///   written over: the store sets it aside or leaves it where it is.
///
/// # Writing one
///
/// Methods may be written as `async fn`; the futures must be `Send`. Records become bytes by
/// [`Record::encode`] and [`Record::decode`].
pub trait SessionStore: Send + Sync + 'static {
    /// The record under `key`, or `None` when there is none.
    fn load(
        &self,
        key: &StoreKey,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Stores `record` under `key` if there is nothing under it yet.
    ///
    /// What is there already stays as it is, expired or not.
    fn create(
        &self,
        key: &StoreKey,
        record: &Record,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Replaces the record under `key` by `record` if the revision there is `expected`.
    fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> impl Future<Output = Result<Swapped, StoreError>> + Send;

    /// Takes the record under `key` away: if the revision there is `expected`, or with `None`
    /// whatever it is.
    ///
    /// When this returns, the removal is as durable as the store can make it: a logout that is
    /// lost in a power cut is a security event. With `None` an unreadable value goes as well.
    fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> impl Future<Output = Result<Swapped, StoreError>> + Send;

    /// Moves the last use and the expiry of the record under `key`, and nothing else: no data is
    /// written and the revision stays.
    ///
    /// Does nothing when the record there was used later than `last_seen`. False when there is no
    /// record.
    fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// All sessions, in no order. Those that come or go meanwhile may be given or not.
    ///
    /// A listing is read piece by piece: a million sessions do not have to fit in memory.
    fn list(&self) -> Listing;

    /// The sessions of `owner`, in no order.
    fn find(&self, owner: &str) -> Listing;

    /// Takes away every record that has expired at `now`; gives their number.
    fn remove_expired(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Replaces the record under `key` by what `change` makes of it, as one step.
    ///
    /// `base` is what the caller believes to be stored. `change` may be called several times.
    ///
    /// The provided method is right for every store: it updates, and on a conflict loads, changes
    /// and updates again, [`MODIFY_ATTEMPTS`] times at most. A store that can hold a lock
    /// of its own over reading and writing does better to override it: no conflict can then arise.
    fn modify(
        &self,
        key: &StoreKey,
        base: &Record,
        change: &Change,
    ) -> impl Future<Output = Result<Modified, StoreError>> + Send {
        async move {
            let mut current = base.clone();
            for _ in 0..MODIFY_ATTEMPTS {
                let Some(next) = change(&current) else {
                    return Ok(Modified::Declined);
                };
                match self.update(key, &next, current.revision).await? {
                    Swapped::Done => return Ok(Modified::Done(next)),
                    Swapped::Gone => return Ok(Modified::Gone),
                    Swapped::Conflict => match self.load(key).await? {
                        Some(record) => current = record,
                        None => return Ok(Modified::Gone),
                    },
                }
            }
            Err(StoreError::Conflict {
                attempts: MODIFY_ATTEMPTS,
            })
        }
    }

    /// This store behind a pointer, for those who choose the store at run time.
    fn boxed(self) -> BoxedStore
    where
        Self: Sized,
    {
        BoxedStore::new(self)
    }
}

/// What [`SessionStore::modify`] makes of the current record: its successor, or `None` to leave it.
///
/// A pure function: it may be called on another thread, and more than once.
pub type Change = Arc<dyn Fn(&Record) -> Option<Record> + Send + Sync>;

/// What became of a [`SessionStore::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Created {
    /// The record is stored.
    Done,
    /// There was something under the key, and it is still there.
    Exists,
}

/// What became of a conditional [`SessionStore::update`] or [`SessionStore::delete`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Swapped {
    /// It was carried out.
    Done,
    /// The record has another revision; nothing was done.
    Conflict,
    /// There is no record; nothing was done.
    Gone,
}

/// What became of a [`SessionStore::modify`].
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Modified {
    /// This record is stored now.
    Done(Record),
    /// The change wanted none; nothing was done.
    Declined,
    /// There is no record; nothing was done.
    Gone,
}

/// A store could not do what it was asked to.
///
/// Names the operation and keeps the cause; never holds an id, a key or a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, or not in time. Trying again later may help.
    #[error("the session store is not available to {operation}")]
    Unavailable {
        /// What was asked of it.
        operation: &'static str,
        /// Why it is not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store tried and failed. What was stored before is unharmed.
    #[error("the session store failed to {operation}")]
    Failed {
        /// What was asked of it.
        operation: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The write was carried out and can be seen, but may not survive a power cut.
    #[error("the session store carried out the {operation} but could not make it durable")]
    DurabilityUnknown {
        /// What was asked of it.
        operation: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored under the key is no whole record. It has been set aside, or left alone.
    #[error("a stored session cannot be read")]
    Unreadable(#[source] DecodeError),
    /// Others changed the record at every attempt.
    #[error("the session was changed by others at each of {attempts} attempts to save it")]
    Conflict {
        /// How many attempts were made.
        attempts: u32,
    },
    /// The store is full and takes no further session.
    #[error("the session store is full: it holds its limit of {limit} sessions")]
    Full {
        /// How many sessions it takes.
        limit: usize,
    },
    /// The record is larger than the store takes.
    #[error("the session takes {length} bytes, the store takes at most {limit}")]
    TooLarge {
        /// How many bytes it takes.
        length: usize,
        /// How many it may take.
        limit: usize,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody doing anything about it.
    ///
    /// The middleware answers 503 for these, and 500 for the others.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable { .. } | StoreError::Full { .. } | StoreError::Conflict { .. }
        )
    }
}
