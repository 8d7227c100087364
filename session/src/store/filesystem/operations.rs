//! The store's operations, each in one piece, with the key's lock held, as sequences of file operations.

use std::io;

use super::engine::Engine;
use super::error::store_error;
use super::fs::FileSystem;
use super::lock::LockGuard;
use super::read::metadata;
use crate::record::{ACTIVITY_RANGE, MAX_ENCODED_LENGTH, Record, Revision, encoded_activity};
use crate::store::{
    CreateOutcome, Decision, DeleteOutcome, ModifyOutcome, StoreError, UpdateOutcome,
};
use crate::{SessionKey, Timestamp};

impl<F: FileSystem> Engine<F> {
    pub(super) fn load_locked(
        &self,
        guard: &LockGuard,
        key: &SessionKey,
    ) -> Result<Option<Record>, StoreError> {
        self.read_locked(guard, key, "load", Record::decode)
    }

    pub(super) fn create(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        record: &Record,
    ) -> Result<CreateOutcome, StoreError> {
        if let Some(limit) = self.options.max_sessions
            && !self.count.is_below(limit)
        {
            // An earlier try may have created it.
            return match self.peek_locked(guard, key, "create", metadata)? {
                Some(_) => {
                    self.pay_sync(guard, "create")?;
                    Ok(CreateOutcome::Exists)
                }
                None => Err(StoreError::Full { limit }),
            };
        }
        let bytes = encode(key, record)?;
        self.index(key, None, record.owner.as_deref(), "create")?;
        self.expires_at(record.expires);
        self.create_file(guard, key, &bytes)
    }

    pub(super) fn update(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        match self.open_locked(guard, key, "update", Record::decode)? {
            None => Ok(UpdateOutcome::Missing),
            Some((current, _)) if current.revision != expected => {
                Ok(UpdateOutcome::RevisionMismatch)
            }
            Some((current, file)) => {
                let is_there = self.replace(guard, key, (&current, &file), record, "update")?;
                Ok(if is_there {
                    UpdateOutcome::Updated
                } else {
                    UpdateOutcome::Missing
                })
            }
        }
    }

    /// The lock is held from the read to the write, so no conflict can arise.
    pub(super) fn modify(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        change: &dyn Fn(&Record) -> Decision,
    ) -> Result<ModifyOutcome, StoreError> {
        let Some((before, file)) = self.open_locked(guard, key, "save", Record::decode)? else {
            // A try that was not acknowledged may have deleted it.
            self.pay_sync(guard, "save")?;
            return Ok(ModifyOutcome::Missing);
        };
        match change(&before) {
            Decision::Keep => {
                // A try that was not acknowledged may have saved it.
                self.pay_sync(guard, "save")?;
                Ok(ModifyOutcome::Kept(before))
            }
            Decision::Replace(after) => {
                let is_there = self.replace(guard, key, (&before, &file), &after, "save")?;
                Ok(if is_there {
                    ModifyOutcome::Replaced { before, after }
                } else {
                    ModifyOutcome::Missing
                })
            }
            Decision::Delete => match self.remove(guard, key, before.owner.as_deref())? {
                DeleteOutcome::Deleted => Ok(ModifyOutcome::Deleted(before)),
                _ => Ok(ModifyOutcome::Missing),
            },
        }
    }

    pub(super) fn delete(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        let found = match expected {
            Some(_) => self.read_locked(guard, key, "delete", metadata)?,
            None => match self.peek_locked(guard, key, "delete", metadata) {
                Ok(found) => found,
                // What cannot be read is removed all the same; its index entry is found to be stale.
                Err(_) => return self.remove(guard, key, None),
            },
        };
        match found {
            None => {
                self.pay_sync(guard, "delete")?;
                Ok(DeleteOutcome::Missing)
            }
            Some((found, _)) if expected.is_some_and(|revision| revision != found.revision) => {
                Ok(DeleteOutcome::RevisionMismatch)
            }
            Some((found, _)) => self.remove(guard, key, found.owner.as_deref()),
        }
    }

    /// Removes the record under `key`, and waits until that is on the disk.
    fn remove(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        owner: Option<&str>,
    ) -> Result<DeleteOutcome, StoreError> {
        guard.owe_sync();
        let outcome = match self.fs.remove(&self.names.record(key)) {
            Ok(()) => {
                self.count.deleted();
                DeleteOutcome::Deleted
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => DeleteOutcome::Missing,
            Err(error) => return Err(store_error("delete", error)),
        };
        self.sync_folder(guard, "delete")?;
        self.index_remove(key, owner);
        Ok(outcome)
    }

    /// Removes the record under `key` if it has expired at `now`; gives it then.
    ///
    /// Not synced: if a power cut brings it back, it is as expired as it was.
    pub(super) fn remove_expired(
        &self,
        guard: &LockGuard,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        const OPERATION: &str = "remove an expired session";
        let found = self.peek_locked(guard, key, OPERATION, Record::decode)?;
        let Some(record) = found.filter(|record| record.is_expired(now)) else {
            return Ok(None);
        };
        match self.fs.remove(&self.names.record(key)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(store_error(OPERATION, error)),
        }
        self.count.deleted();
        self.index_remove(key, record.owner.as_deref());
        Ok(Some(record))
    }

    /// Writes the few bytes of the last use and the expiry in place. They are in the first sector of
    /// the file and in its first page, so neither a power cut nor a kill leaves half of them. What comes before
    /// them is written again, which unmasks a record whose writer was killed.
    pub(super) fn touch(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        const OPERATION: &str = "touch";
        let failed = |error| store_error(OPERATION, error);
        let with_bytes =
            |key: &SessionKey, bytes: Vec<u8>| Ok((Record::decode_head(key, &bytes)?, bytes));
        let opened = self.open_locked(guard, key, OPERATION, with_bytes)?;
        let Some(((record, mut bytes), file)) = opened else {
            return Ok(UpdateOutcome::Missing);
        };
        if record.revision != expected {
            return Ok(UpdateOutcome::RevisionMismatch);
        }
        let owner = record.owner.as_deref();
        self.index(key, owner, owner, OPERATION)?;
        if record.last_seen > last_seen {
            return Ok(UpdateOutcome::Updated);
        }
        self.expires_at(expires);
        // The checksum is over the bytes as they are stored.
        let activity = encoded_activity(key, bytes.clone(), last_seen, expires);
        bytes[ACTIVITY_RANGE].copy_from_slice(&activity);
        if self.fs.has_other_links(&file).map_err(failed)? {
            // The other name is a backup's, whose content must stay as it is.
            let is_there = self.replace_file(guard, key, &bytes, &file, OPERATION)?;
            return Ok(if is_there {
                UpdateOutcome::Updated
            } else {
                UpdateOutcome::Missing
            });
        }
        self.fs
            .overwrite(&file, 0, &bytes[..ACTIVITY_RANGE.end])
            .map_err(failed)?;
        Ok(UpdateOutcome::Updated)
    }

    fn replace(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        (current, file): (&Record, &F::File),
        next: &Record,
        operation: &'static str,
    ) -> Result<bool, StoreError> {
        let bytes = encode(key, next)?;
        let (before, owner) = (current.owner.as_deref(), next.owner.as_deref());
        self.index(key, before, owner, operation)?;
        self.expires_at(next.expires);
        self.replace_file(guard, key, &bytes, file, operation)
    }
}

fn encode(key: &SessionKey, record: &Record) -> Result<Vec<u8>, StoreError> {
    let bytes = record.encode(key);
    if bytes.len() > MAX_ENCODED_LENGTH {
        return Err(StoreError::TooLarge {
            length: bytes.len(),
            limit: MAX_ENCODED_LENGTH,
        });
    }
    Ok(bytes)
}
