//! What a place that keeps records must do: the [`SessionStore`] trait, its outcomes and its errors.
//! Not what is done with the records: that is the manager's.

mod dynamic;
#[cfg(feature = "filesystem")]
mod filesystem;
mod listing;
#[cfg(feature = "memory")]
mod memory;

use std::future::Future;
use std::sync::Arc;

pub(crate) use dynamic::DynStore;
#[cfg(feature = "filesystem")]
pub use filesystem::{Durability, FilesystemStore, FilesystemStoreBuilder, OpenError};
pub use listing::{Cursor, Listing, Page, SessionInfo, Unreadable};
#[cfg(feature = "memory")]
pub use memory::{MemoryStore, MemoryStoreBuilder};

use crate::record::{DecodeError, Record, Revision};
use crate::{SessionKey, Timestamp};

/// How often the provided [`SessionStore::modify`] tries before it gives up with
/// [`StoreError::Conflict`].
pub const MODIFY_ATTEMPTS: u32 = 8;

/// How many sessions the provided methods ask [`SessionStore::list`] for at once.
const PAGE: usize = 256;

/// Keeps records under keys, with compare-and-swap.
///
/// A store decides nothing about sessions: it never ends one by itself, and never writes a record over
/// another one that it was not told about. There is no upsert, by intention: with an upsert a slow
/// request brings a destroyed session back.
///
/// Each sentence below is checked by the conformance suite in `session::testing`, which every store
/// should run in its own tests.
///
/// - Each method is one atomic step: a reader sees the record before it or after it. When
///   a method returns, every later call, of this process or another one, sees what it did.
/// - A future that is dropped before it is done has done the whole step or nothing, and a call whose
///   future was dropped is not carried out after a later call on the same key.
/// - A suspended future holds nothing (a lock, a pooled connection) that another call of the same request
///   needs.
/// - A record comes back exactly as it went in, fields of unknown meaning included.
/// - A record that has expired is given like any other until
///   [`take_expired`](Self::take_expired) removes it. An engine with an expiry of its own may drop a record
///   15 minutes after it expired, and never earlier.
/// - A stored value that cannot be read is [`StoreError::Unreadable`], never `None`, and is never
///   written over: the store quarantines it or leaves it where it is.
///
/// # Writing one
///
/// Five methods are to be written: [`load`](Self::load), [`create`](Self::create),
/// [`update`](Self::update), [`delete`](Self::delete) and [`list`](Self::list). The others are made of
/// these five, and right for every store; override one where the engine can do it in fewer steps. Methods
/// may be written as `async fn`; the futures must be `Send`. Records become bytes by
/// [`Record::encode`] and [`Record::decode`].
pub trait SessionStore: Send + Sync + 'static {
    /// The record under `key`, or `None` when there is none.
    fn load(
        &self,
        key: &SessionKey,
    ) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Stores `record` under `key` if there is nothing under it yet.
    ///
    /// What is there already stays as it is, expired or not.
    fn create(
        &self,
        key: &SessionKey,
        record: &Record,
    ) -> impl Future<Output = Result<CreateOutcome, StoreError>> + Send;

    /// Replaces the record under `key` by `record` if the revision there is `expected`.
    fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> impl Future<Output = Result<UpdateOutcome, StoreError>> + Send;

    /// Removes the record under `key`: if the revision there is `expected`, or with `None`
    /// whatever it is.
    ///
    /// When this returns, the removal is as durable as the store can make it, also when there was
    /// nothing to remove: a sign-out that is lost in a power cut is a security event. With `None` an
    /// unreadable value is removed as well.
    fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> impl Future<Output = Result<DeleteOutcome, StoreError>> + Send;

    /// At most `at_most` sessions, in an order of the store's own: the first ones, or those after the
    /// place that an earlier page gave as [`Page::next`].
    ///
    /// A session that is there the whole time is on exactly one page, whatever is created or deleted
    /// between two of them; any other one is on one page or none. So a cursor names a place by
    /// a key, or by a cursor of the engine's, never by an offset. `at_most` is at least 1; a page may be
    /// shorter, and even empty, without being the last.
    fn list(
        &self,
        after: Option<Cursor>,
        at_most: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Decides by the record under `key` what becomes of it, and does that, as one step.
    ///
    /// `change` is a pure function, and may be called several times, on other threads, with `base` too:
    /// `base` is what the caller believes to be stored. What is decided is decided by what is stored.
    ///
    /// The provided method decides by `base` first: it replaces or deletes the record if its revision is
    /// that of `base`. Where the revision is another one, it loads, decides
    /// and tries again, [`MODIFY_ATTEMPTS`] times at most. A store that can hold a lock
    /// of its own over reading and writing does better to override it: no conflict can then arise.
    /// After an I/O error it must not try again: the first try may have been carried out. The caller
    /// knows how to find that out.
    fn modify(
        &self,
        key: &SessionKey,
        base: Option<&Record>,
        change: &RecordUpdate,
    ) -> impl Future<Output = Result<ModifyOutcome, StoreError>> + Send {
        async move {
            let mut current = base.cloned();
            let mut is_stored = false;
            for _ in 0..MODIFY_ATTEMPTS {
                let before = match current.take() {
                    Some(record) => record,
                    None => match self.load(key).await? {
                        Some(record) => {
                            is_stored = true;
                            record
                        }
                        None => return Ok(ModifyOutcome::Missing),
                    },
                };
                let outcome = match change(&before) {
                    // To keep a record compares no revision, so the record must be the stored one.
                    Decision::Keep if !is_stored => continue,
                    Decision::Keep => return Ok(ModifyOutcome::Kept(before)),
                    Decision::Replace(after) => {
                        match self.update(key, &after, before.revision).await? {
                            UpdateOutcome::Updated => ModifyOutcome::Replaced { before, after },
                            UpdateOutcome::RevisionMismatch => continue,
                            UpdateOutcome::Missing => ModifyOutcome::Missing,
                        }
                    }
                    Decision::Delete => match self.delete(key, Some(before.revision)).await? {
                        DeleteOutcome::Deleted => ModifyOutcome::Deleted(before),
                        DeleteOutcome::RevisionMismatch => continue,
                        DeleteOutcome::Missing => ModifyOutcome::Missing,
                    },
                };
                return Ok(outcome);
            }
            Err(StoreError::Conflict {
                attempts: MODIFY_ATTEMPTS,
            })
        }
    }

    /// Moves the last use and the expiry of the record under `key` if its revision is `expected`, and
    /// raises its revision; changes nothing else.
    ///
    /// The revision rises by one, so that a save or a sweep that has read the record before the touch meets
    /// a mismatch. A record that was used later than `last_seen` stays as it is, revision included, and
    /// counts as [`Updated`](UpdateOutcome::Updated).
    fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> impl Future<Output = Result<UpdateOutcome, StoreError>> + Send {
        async move {
            let Some(mut record) = self.load(key).await? else {
                return Ok(UpdateOutcome::Missing);
            };
            if record.revision != expected {
                return Ok(UpdateOutcome::RevisionMismatch);
            }
            if record.last_seen > last_seen {
                return Ok(UpdateOutcome::Updated);
            }
            record.last_seen = last_seen;
            record.expires = expires;
            record.revision = expected.next();
            self.update(key, &record, expected).await
        }
    }

    /// As [`list`](Self::list), but only the sessions of `owner`.
    ///
    /// The provided method reads the pages of all sessions. An index of owners must never
    /// miss a live session: its entry is made before the record is.
    fn sessions_of(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send {
        async move {
            let mut page = self.list(after, at_most).await?;
            page.sessions
                .retain(|session| session.owner.as_deref() == Some(owner));
            Ok(page)
        }
    }

    /// Removes records that have expired at `now`, at most `at_most` of them, and gives them.
    ///
    /// Fewer than `at_most` mean that there are no more. A record that was used since it was read
    /// stays. A record that cannot be read is no reason to stop: it is logged and left.
    fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> impl Future<Output = Result<Vec<(SessionKey, Record)>, StoreError>> + Send {
        async move {
            let is_expired: RecordUpdate = Arc::new(move |record: &Record| {
                if record.is_expired(now) {
                    Decision::Delete
                } else {
                    Decision::Keep
                }
            });
            let mut taken = Vec::new();
            let mut after = None;
            loop {
                let page = match self.list(after, PAGE).await {
                    Ok(page) => page,
                    // What has been taken must be told; the next call meets the error again.
                    Err(_) if !taken.is_empty() => return Ok(taken),
                    Err(error) => return Err(error),
                };
                for session in page
                    .sessions
                    .iter()
                    .filter(|session| now >= session.expires)
                {
                    match self.modify(&session.key, None, &is_expired).await {
                        Ok(ModifyOutcome::Deleted(record)) => taken.push((session.key, record)),
                        Ok(_) => {}
                        Err(error) => sweep_failure(&session.key, &error),
                    }
                    if taken.len() >= at_most {
                        return Ok(taken);
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => return Ok(taken),
                }
            }
        }
    }
}

/// One record that cannot be swept must not keep a sweep from the others.
pub(crate) fn sweep_failure(key: &SessionKey, error: &StoreError) {
    tracing::error!(
        event = "store_failure",
        session = %key,
        error = %crate::telemetry::chain(error),
        "an expired session could not be removed: the sweep goes on with the others"
    );
}

/// What [`SessionStore::modify`] makes of the record that is stored.
///
/// A pure function: it may be called on another thread, and more than once.
pub type RecordUpdate = Arc<dyn Fn(&Record) -> Decision + Send + Sync>;

/// What is to become of a record.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would be one more allocation a save"
)]
pub enum Decision {
    /// It stays as it is.
    Keep,
    /// This record takes its place.
    Replace(Record),
    /// It is removed, as durably as by [`SessionStore::delete`].
    Delete,
}

/// What became of a [`SessionStore::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum CreateOutcome {
    /// The record is stored.
    Created,
    /// There was something under the key, and it is still there.
    Exists,
}

/// What became of a [`SessionStore::update`] or [`SessionStore::touch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum UpdateOutcome {
    /// It was carried out.
    Updated,
    /// The record has another revision; nothing was done.
    RevisionMismatch,
    /// There is no record; nothing was done.
    Missing,
}

/// What became of a [`SessionStore::delete`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum DeleteOutcome {
    /// The record has been removed.
    Deleted,
    /// The record has another revision; nothing was done.
    RevisionMismatch,
    /// There is no record.
    Missing,
}

/// What became of a [`SessionStore::modify`].
#[derive(Debug, Clone, PartialEq)]
#[must_use]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would be one more allocation a save"
)]
pub enum ModifyOutcome {
    /// `after` has taken the place of `before`.
    Replaced {
        /// What was stored, and what the decision was made by.
        before: Record,
        /// What is stored now.
        after: Record,
    },
    /// This record is stored, and stays.
    Kept(Record),
    /// This record was removed.
    Deleted(Record),
    /// There is no record; nothing was done.
    Missing,
}

/// A store could not do what it was asked to.
///
/// Names the operation and keeps the cause; never holds a token or a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, or not in time. The operation may have been carried out all the same.
    /// Trying again later may help.
    #[error("the session store is not available to {operation}")]
    Unavailable {
        /// What was asked of it.
        operation: &'static str,
        /// Why it is not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Other operations on the session kept the store busy for too long. Nothing was done. Trying again later
    /// may help.
    #[error("the session store was too busy with the session to {operation}")]
    Busy {
        /// What was asked of it.
        operation: &'static str,
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
    /// What is stored under the key is no whole record. It has been quarantined, or left alone.
    #[error("a stored session cannot be read")]
    Unreadable(#[source] DecodeError),
    /// Other requests changed the record at every attempt.
    #[error("the session was changed by other requests at each of {attempts} attempts to save it")]
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
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable { .. }
                | StoreError::Busy { .. }
                | StoreError::Full { .. }
                | StoreError::Conflict { .. }
        )
    }

    /// The HTTP status of an answer that fails with this error: 503 for what heals by itself, 413 for
    /// a record that is too large, and 500.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            StoreError::TooLarge { .. } => 413,
            error if error.is_temporary() => 503,
            _ => 500,
        }
    }

    /// Whether the operation may have been carried out although it reports an error.
    pub(crate) fn is_in_doubt(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable { .. } | StoreError::DurabilityUnknown { .. }
        )
    }
}
