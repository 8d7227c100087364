//! What all operations share: the folder, the locks, the settings, and the sync of the folder.

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::count::SessionCount;
use super::error::store_error;
use super::fs::FileSystem;
use super::lock::{LockGuard, LockTable};
use super::names::{FileNames, OwnerName};
use super::options::{Durability, Options};
use crate::store::StoreError;
use crate::{SessionKey, Timestamp};

pub(super) struct Engine<F: FileSystem> {
    pub(super) fs: F,
    pub(super) locks: LockTable,
    pub(super) names: FileNames,
    pub(super) options: Options,
    pub(super) count: SessionCount,
    /// Where the sweep continues.
    pub(super) walk: Mutex<Option<Walk<F::Names>>>,
    /// No record that the sweep has passed, or that this process has written since the sweep began,
    /// expires before this.
    earliest_expiry: AtomicU64,
}

/// How far a sweep has come.
pub(super) struct Walk<N> {
    pub(super) stage: Stage<N>,
    /// When it began, for the count of sessions.
    pub(super) began: usize,
    /// How many records it has passed and left.
    pub(super) records: usize,
    /// How many files it could not handle.
    pub(super) failures: usize,
    /// The quarantined files it has passed and left, the oldest first.
    pub(super) quarantined: BTreeSet<(Timestamp, String, u64)>,
}

/// A sweep passes all files and then all entries of the index.
pub(super) enum Stage<N> {
    Files(N),
    Owners(N),
    Entries {
        owner: OwnerName,
        entries: N,
        owners: N,
    },
    End,
}

impl<F: FileSystem> Engine<F> {
    pub(super) fn new(fs: F, locks: LockTable, names: FileNames, options: Options) -> Self {
        Engine {
            fs,
            locks,
            names,
            options,
            count: SessionCount::default(),
            walk: Mutex::new(None),
            earliest_expiry: AtomicU64::new(u64::MAX),
        }
    }

    /// Waits for the stripe of `key`, on a thread that may block.
    pub(super) fn lock(
        &self,
        key: &SessionKey,
        operation: &'static str,
    ) -> Result<LockGuard, StoreError> {
        let locked = self.locks.lock(key);
        locked.map_err(|error| store_error(operation, error))
    }

    pub(super) fn is_durable(&self) -> bool {
        self.options.durability == Durability::Durable
    }

    /// Waits until the names in the folder are on the disk.
    pub(super) fn sync_folder(
        &self,
        guard: &mut LockGuard,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        match self.fs.sync_folder() {
            Ok(()) => {
                guard.sync_is_paid();
                Ok(())
            }
            Err(error) => Err(StoreError::DurabilityUnknown {
                operation,
                source: Box::new(error),
            }),
        }
    }

    /// Makes up for a sync that an earlier operation of this stripe owed: before it is acknowledged that
    /// there is nothing left to do.
    pub(super) fn pay_sync(
        &self,
        guard: &mut LockGuard,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        if guard.is_sync_owed() {
            self.sync_folder(guard, operation)?;
        }
        Ok(())
    }

    /// A record that expires then is passed, or is written.
    pub(super) fn expires_at(&self, expires: Timestamp) {
        let millis = expires.as_millis();
        self.earliest_expiry.fetch_min(millis, Ordering::SeqCst);
    }

    /// A sweep begins anew.
    pub(super) fn forget_earliest_expiry(&self) {
        self.earliest_expiry.store(u64::MAX, Ordering::SeqCst);
    }

    pub(super) fn earliest_expiry(&self) -> Timestamp {
        Timestamp::from_millis(self.earliest_expiry.load(Ordering::SeqCst))
    }
}

pub(super) fn random() -> io::Result<u64> {
    SysRng.try_next_u64().map_err(io::Error::other)
}
