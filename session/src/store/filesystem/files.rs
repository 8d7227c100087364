//! The store's operations, each in one piece, as sequences of file operations.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::disk::{Content, Disk};
use super::lock::{Guard, Stripes};
use super::names::Template;
use super::options::Options;
use super::store_error;
use crate::log::{chain, correlation};
use crate::record::{ACTIVITY_RANGE, DecodeError, Record, Revision, encoded_activity};
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
    /// What is under `key`, where that can be told without waiting for anything.
    pub(super) fn load_cached(&self, key: &StoreKey) -> Option<Found> {
        let content = self.disk.read_cached(&self.template.record(key))?;
        Some(found(key, content))
    }

    /// Takes no lock: one open file is one record, whole.
    pub(super) fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        match self.read(key, "load")? {
            Found::Nothing => Ok(None),
            Found::Record(record) => Ok(Some(record)),
            // Newer formats are whole; anything else may be a write seen half way.
            Found::Unreadable(error @ DecodeError::NewerFormat { .. }) => {
                Err(StoreError::Unreadable(error))
            }
            Found::Unreadable(_) => {
                let guard = self.lock(key, "load")?;
                self.read_locked(&guard, key, "load")
            }
        }
    }

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
        let bytes = encode(key, record)?;
        let guard = self.lock(key, "update")?;
        match self.open_locked(&guard, key, "update")? {
            None => Ok(Swapped::Gone),
            Some((current, _)) if current.revision != expected => Ok(Swapped::Conflict),
            Some((current, old)) => {
                let (before, owner) = (current.owner.as_deref(), record.owner.as_deref());
                self.note_owner(key, before, owner, "update")?;
                let is_done = self.put_in_place(&guard, key, &bytes, &old, "update")?;
                Ok(if is_done {
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
        let Some((current, old)) = self.open_locked(&guard, key, "save")? else {
            return Ok(Modified::Gone);
        };
        let Some(next) = change(&current) else {
            return Ok(Modified::Declined);
        };
        let bytes = encode(key, &next)?;
        let (before, owner) = (current.owner.as_deref(), next.owner.as_deref());
        self.note_owner(key, before, owner, "save")?;
        let is_done = self.put_in_place(&guard, key, &bytes, &old, "save")?;
        Ok(if is_done {
            Modified::Done(next)
        } else {
            Modified::Gone
        })
    }

    pub(super) fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        let guard = self.lock(key, "delete")?;
        let owner = match expected {
            Some(expected) => match self.read_locked(&guard, key, "delete")? {
                None => return Ok(Swapped::Gone),
                Some(found) if found.revision != expected => return Ok(Swapped::Conflict),
                Some(found) => found.owner,
            },
            // What cannot be read goes as well; whose it was is found out when they are looked for.
            None => match self.read(key, "delete") {
                Ok(Found::Record(found)) => found.owner,
                _ => None,
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
        let _guard = self.lock(key, "touch")?;
        let failed = |error| store_error("touch", error);
        // The bytes as they are, which are what the checksum is over.
        let opened = self.disk.open(&self.template.record(key));
        let (bytes, file) = match opened.map_err(failed)? {
            (Content::Bytes(bytes), Some(file)) => (bytes, file),
            (content, _) => return Ok(self.whole(key, found(key, content))?.is_some()),
        };
        match Record::decode_head(key, &bytes) {
            Ok(record) if record.last_seen > last_seen => Ok(true),
            Ok(_) => {
                let activity = encoded_activity(key, bytes, last_seen, expires);
                self.disk
                    .overwrite(&file, ACTIVITY_RANGE.start, &activity)
                    .map_err(failed)?;
                Ok(true)
            }
            Err(error) => Ok(self.whole(key, Found::Unreadable(error))?.is_some()),
        }
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

    pub(super) fn read(
        &self,
        key: &StoreKey,
        operation: &'static str,
    ) -> Result<Found, StoreError> {
        let content = self
            .disk
            .read(&self.template.record(key))
            .map_err(|error| store_error(operation, error))?;
        Ok(found(key, content))
    }

    /// The record under `key`, with its lock held.
    fn read_locked(
        &self,
        _guard: &Guard<'_>,
        key: &StoreKey,
        operation: &'static str,
    ) -> Result<Option<Record>, StoreError> {
        self.whole(key, self.read(key, operation)?)
    }

    /// The same, with the file that it is in.
    fn open_locked(
        &self,
        _guard: &Guard<'_>,
        key: &StoreKey,
        operation: &'static str,
    ) -> Result<Option<(Record, D::File)>, StoreError> {
        let (content, file) = self
            .disk
            .open(&self.template.record(key))
            .map_err(|error| store_error(operation, error))?;
        Ok(self.whole(key, found(key, content))?.zip(file))
    }

    /// What was found while the lock was held. What cannot be read is set aside: a later record must not
    /// be written over it.
    fn whole(&self, key: &StoreKey, found: Found) -> Result<Option<Record>, StoreError> {
        match found {
            Found::Nothing => Ok(None),
            Found::Record(record) => Ok(Some(record)),
            Found::Unreadable(error) => {
                if error == DecodeError::Unreadable {
                    self.set_aside(key);
                }
                Err(StoreError::Unreadable(error))
            }
        }
    }

    /// A record without its fields, and how many bytes it takes, for those who only look on: what
    /// cannot be read is left where it is.
    pub(super) fn look(
        &self,
        key: &StoreKey,
        operation: &'static str,
    ) -> Result<Option<(Record, u64)>, StoreError> {
        match self.glance(key, operation) {
            // It may be a write seen half way.
            Err(StoreError::Unreadable(DecodeError::Unreadable)) => {
                let _guard = self.lock(key, operation)?;
                self.glance(key, operation)
            }
            seen => seen,
        }
    }

    /// The same in one look.
    pub(super) fn glance(
        &self,
        key: &StoreKey,
        operation: &'static str,
    ) -> Result<Option<(Record, u64)>, StoreError> {
        let content = self
            .disk
            .read(&self.template.record(key))
            .map_err(|error| store_error(operation, error))?;
        match content {
            Content::Missing => Ok(None),
            Content::Foreign => Err(StoreError::Unreadable(DecodeError::Unreadable)),
            Content::Bytes(bytes) => match Record::decode_head(key, &bytes) {
                Ok(record) => Ok(Some((record, bytes.len() as u64))),
                Err(error) => Err(StoreError::Unreadable(error)),
            },
        }
    }

    fn set_aside(&self, key: &StoreKey) {
        let name = self.template.record(key);
        let set_aside = random().and_then(|random| {
            self.disk
                .set_aside(&name, &super::quarantine::name(&name, random))
        });
        match set_aside {
            Ok(()) => tracing::error!(
                event = "quarantined",
                session = %correlation(key),
                "a stored session that cannot be read was moved to the quarantine folder"
            ),
            Err(error) => tracing::error!(
                event = "store_failure",
                session = %correlation(key),
                error = %chain(&error),
                "a stored session that cannot be read could not be moved to the quarantine folder"
            ),
        }
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

/// What is under a key.
pub(super) enum Found {
    Nothing,
    Record(Record),
    Unreadable(DecodeError),
}

fn found(key: &StoreKey, content: Content) -> Found {
    match content {
        Content::Missing => Found::Nothing,
        Content::Foreign => Found::Unreadable(DecodeError::Unreadable),
        Content::Bytes(bytes) => match Record::decode(key, bytes) {
            Ok(record) => Found::Record(record),
            Err(error) => Found::Unreadable(error),
        },
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
