//! The store's operations, each in one piece, as sequences of file operations.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::disk::Disk;
use super::lock::{Guard, Stripes};
use super::names::Template;
use super::options::Options;
use super::read::head;
use super::store_error;
use crate::record::{ACTIVITY_RANGE, Record, Revision, encoded_activity};
use crate::store::{Created, Modified, StoreError, Swapped};
use crate::{MAX_ENCODED_LENGTH, StoreKey, Timestamp};

pub(super) struct Files<D: Disk> {
    pub(super) disk: D,
    pub(super) stripes: Stripes,
    pub(super) template: Template,
    pub(super) options: Options,
    /// A folder could not be synced: from now on an ended session counts as ended only when it can.
    pub(super) sync_failed: AtomicBool,
}

impl<D: Disk> Files<D> {
    pub(super) fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        let bytes = encode(key, record)?;
        let guard = self.lock(key, "create")?;
        self.note_owner(key, None, record.owner.as_deref(), "create")?;
        self.put_new(&guard, key, &bytes)
    }

    pub(super) fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        let guard = self.lock(key, "update")?;
        match self.open_locked(&guard, key, "update", Record::decode)? {
            None => Ok(Swapped::Gone),
            Some((current, _)) if current.revision != expected => Ok(Swapped::Conflict),
            Some(current) => {
                let is_there = self.replace(&guard, key, &current, record, "update")?;
                Ok(if is_there {
                    Swapped::Done
                } else {
                    Swapped::Gone
                })
            }
        }
    }

    /// Holds the lock from the read to the write, so that no conflict can arise.
    pub(super) fn modify(
        &self,
        key: &StoreKey,
        change: &dyn Fn(&Record) -> Option<Record>,
    ) -> Result<Modified, StoreError> {
        let guard = self.lock(key, "save")?;
        let Some(current) = self.open_locked(&guard, key, "save", Record::decode)? else {
            return Ok(Modified::Gone);
        };
        let Some(next) = change(&current.0) else {
            return Ok(Modified::Declined);
        };
        let is_there = self.replace(&guard, key, &current, &next, "save")?;
        Ok(if is_there {
            Modified::Done(next)
        } else {
            Modified::Gone
        })
    }

    /// Puts a record in the place of another one, which is in the file `old`; false when that is gone.
    fn replace(
        &self,
        guard: &Guard<'_>,
        key: &StoreKey,
        (current, old): &(Record, D::File),
        next: &Record,
        operation: &'static str,
    ) -> Result<bool, StoreError> {
        let bytes = encode(key, next)?;
        let (before, owner) = (current.owner.as_deref(), next.owner.as_deref());
        self.note_owner(key, before, owner, operation)?;
        self.put_in_place(guard, key, &bytes, old, operation)
    }

    pub(super) fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        let guard = self.lock(key, "delete")?;
        let owner = match expected {
            Some(expected) => match self.read_locked(&guard, key, "delete", Record::decode)? {
                None => return Ok(Swapped::Gone),
                Some(found) if found.revision != expected => return Ok(Swapped::Conflict),
                Some(found) => found.owner,
            },
            // What cannot be read goes as well; whose it was is found out when they are looked for.
            None => match self.look_locked(&guard, key, "delete", head) {
                Ok(Some((found, _))) => found.owner,
                Ok(None) | Err(_) => None,
            },
        };
        let swapped = match self.disk.remove(&self.template.record(key)) {
            Ok(()) => Swapped::Done,
            // It may be gone because an earlier delete could not make that durable; this one does.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Swapped::Gone,
            Err(error) => return Err(store_error("delete", error)),
        };
        if swapped == Swapped::Done || self.sync_failed.load(Ordering::SeqCst) {
            self.sync_folder("delete")?;
        }
        self.forget_owner(key, owner.as_deref());
        Ok(swapped)
    }

    /// Writes the few bytes of the last use and the expiry in place. They lie in the first sector of
    /// the file and in its first page, so neither a power cut nor a kill leaves half of them.
    pub(super) fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let guard = self.lock(key, "touch")?;
        let with_bytes =
            |key: &StoreKey, bytes: Vec<u8>| Ok((Record::decode_head(key, &bytes)?, bytes));
        let opened = self.open_locked(&guard, key, "touch", with_bytes)?;
        let Some(((record, bytes), file)) = opened else {
            return Ok(false);
        };
        if record.last_seen <= last_seen {
            // The bytes as they are, which are what the checksum is over.
            let activity = encoded_activity(key, bytes, last_seen, expires);
            self.disk
                .overwrite(&file, ACTIVITY_RANGE.start, &activity)
                .map_err(|error| store_error("touch", error))?;
        }
        Ok(true)
    }

    pub(super) fn lock(
        &self,
        key: &StoreKey,
        operation: &'static str,
    ) -> Result<Guard<'_>, StoreError> {
        self.stripes
            .lock(key)
            .map_err(|error| store_error(operation, error))
    }

    pub(super) fn sync_folder(&self, operation: &'static str) -> Result<(), StoreError> {
        let synced = self.disk.sync_folder();
        self.sync_failed.store(synced.is_err(), Ordering::SeqCst);
        synced.map_err(|error| StoreError::DurabilityUnknown {
            operation,
            source: Box::new(error),
        })
    }
}

pub(super) fn random() -> io::Result<u64> {
    SysRng.try_next_u64().map_err(io::Error::other)
}

fn encode(key: &StoreKey, record: &Record) -> Result<Vec<u8>, StoreError> {
    let bytes = record.encode(key);
    if bytes.len() > MAX_ENCODED_LENGTH {
        return Err(StoreError::TooLarge {
            length: bytes.len(),
            limit: MAX_ENCODED_LENGTH,
        });
    }
    Ok(bytes)
}
