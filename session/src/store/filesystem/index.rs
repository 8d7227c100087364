//! Whose sessions there are: `owners/<hash of the owner>/<key>`, an empty file for each session.
//!
//! An entry says that the owner may have that session; the record says whose it is. An entry is added before
//! the record is written, and both while the key is locked, so a killed process never leaves a record
//! without its entry. An entry without its record is harmless. A listing or a sweep that meets one removes it.

use std::io;

use super::engine::Engine;
use super::error::store_error;
use super::fs::FileSystem;
use super::lock::LockGuard;
use super::names::{Named, OwnerName};
use super::read::metadata;
use crate::SessionKey;
use crate::record::{Record, Revision};
use crate::store::StoreError;
use crate::telemetry::chain;

/// An entry that leads to no record of its owner.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stale {
    owner: OwnerName,
    key: SessionKey,
    /// Of the record of another owner that is under the key.
    revision: Option<Revision>,
}

impl<F: FileSystem> Engine<F> {
    /// Sees to it that the session of `owner` is in the index, before its record is written: `before` had
    /// that owner already or not. An entry that was removed by hand is added again.
    pub(super) fn index(
        &self,
        key: &SessionKey,
        before: Option<&str>,
        owner: Option<&str>,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        let Some(owner) = owner else {
            return Ok(());
        };
        let name = OwnerName::new(owner);
        let has_entry = before == Some(owner) && self.fs.index_has(&name, key).unwrap_or(false);
        if has_entry {
            return Ok(());
        }
        let added = self.fs.index_add(&name, key);
        added.map_err(|error| store_error(operation, error))
    }

    /// Adds the entries of all sessions, and waits once for all of them.
    pub(super) fn index_all(&self) -> Result<(), StoreError> {
        const OPERATION: &str = "build the owner index";
        let failed = |error| store_error(OPERATION, error);
        for name in self.fs.names().map_err(failed)? {
            let Named::Record(key) = self.names.named(&name.map_err(failed)?) else {
                continue;
            };
            let guard = self.lock(&key, OPERATION)?;
            let owner = match self.peek_locked(&guard, &key, OPERATION, metadata) {
                Ok(found) => found.and_then(|(record, _)| record.owner),
                Err(StoreError::Unreadable(_)) => None,
                Err(error) => return Err(error),
            };
            if let Some(owner) = owner {
                let added = self.fs.index_add_unsynced(&OwnerName::new(&owner), &key);
                added.map_err(failed)?;
            }
        }
        self.fs.sync_all().map_err(failed)
    }

    /// Adds an entry that is missing for the record that is under `key`. For a sweep.
    pub(super) fn heal_index(&self, key: &SessionKey, owner: &str) -> Result<(), StoreError> {
        const OPERATION: &str = "heal the owner index";
        let has_entry = self.fs.index_has(&OwnerName::new(owner), key);
        if has_entry.map_err(|error| store_error(OPERATION, error))? {
            return Ok(());
        }
        let guard = self.lock(key, OPERATION)?;
        match self.peek_locked(&guard, key, OPERATION, metadata)? {
            Some((record, _)) => {
                let owner = record.owner.as_deref();
                self.index(key, owner, owner, OPERATION)
            }
            None => Ok(()),
        }
    }

    /// Removes the entry of a record of `owner` that is deleted for good: a power cut must not bring the
    /// record back without its entry. An entry that stays is removed by the next sweep.
    pub(super) fn index_remove(&self, key: &SessionKey, owner: Option<&str>) {
        if let Some(owner) = owner {
            self.remove_entry(key, &OwnerName::new(owner));
        }
    }

    fn remove_entry(&self, key: &SessionKey, owner: &OwnerName) {
        match self.fs.index_remove(owner, key) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                event = "store_failure",
                session = %key,
                error = %chain(&error),
                "a stale entry of the owner index could not be removed"
            ),
        }
    }

    /// The record that the entry of `owner` leads to, or that it is stale.
    pub(super) fn indexed(
        &self,
        owner: &OwnerName,
        key: &SessionKey,
        operation: &'static str,
    ) -> Result<Result<(Record, u64), Stale>, StoreError> {
        let found = self.peek(key, operation, metadata)?;
        Ok(is_of(owner, key, found))
    }

    /// Removes stale entries. The folder is synced once for all of them, as a power cut may bring
    /// back a record that was deleted or changed its owner.
    pub(super) fn remove_stale(&self, stale: &[Stale], operation: &'static str) -> io::Result<()> {
        if stale.is_empty() {
            return Ok(());
        }
        self.fs.sync_folder()?;
        for entry in stale {
            // A save of this owner's record holds the lock from the entry to the record. An entry whose lock
            // is held is left for the next time.
            if let Some(mut guard) = self.locks.try_lock(&entry.key)? {
                self.remove_if_still(&mut guard, entry, operation);
            }
        }
        Ok(())
    }

    /// Only as it was before the sync: a change since then may be undone by a power cut.
    fn remove_if_still(&self, guard: &mut LockGuard, entry: &Stale, operation: &'static str) {
        let Ok(found) = self.peek_locked(guard, &entry.key, operation, metadata) else {
            return;
        };
        let is_still = is_of(&entry.owner, &entry.key, found).is_err_and(|now| now == *entry);
        // A deletion since then has been synced, unless that failed.
        if is_still && self.pay_sync(guard, operation).is_ok() {
            self.remove_entry(&entry.key, &entry.owner);
        }
    }
}

fn is_of(
    owner: &OwnerName,
    key: &SessionKey,
    found: Option<(Record, u64)>,
) -> Result<(Record, u64), Stale> {
    let is_its = |record: &Record| {
        let name = record.owner.as_deref().map(OwnerName::new);
        name.as_ref() == Some(owner)
    };
    match found {
        Some((record, size)) if is_its(&record) => Ok((record, size)),
        found => Err(Stale {
            owner: owner.clone(),
            key: *key,
            revision: found.map(|(record, _)| record.revision),
        }),
    }
}
