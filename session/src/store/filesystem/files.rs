//! The store's operations, each in one piece, as sequences of file operations.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::disk::{Content, Disk};
use super::lock::{Guard, Stripes};
use super::names::Template;
use super::options::{Durability, Options};
use super::store_error;
use crate::log::{chain, correlation};
use crate::record::{ACTIVITY_RANGE, DecodeError, Record, Revision, encoded_activity};
use crate::store::{Created, Modified, StoreError, Swapped};
use crate::{MAX_ENCODED_LENGTH, StoreKey, Timestamp};

pub(super) struct Files<D> {
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
            Found::Record(record) => Ok(Some(record.record)),
            // Newer formats are whole; anything else may be a touch seen half way.
            Found::Unreadable(error @ DecodeError::NewerFormat { .. }) => {
                Err(StoreError::Unreadable(error))
            }
            Found::Unreadable(_) => {
                let guard = self.lock(key, "load")?;
                Ok(self
                    .read_locked(&guard, key, "load")?
                    .map(|found| found.record))
            }
        }
    }

    pub(super) fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        let bytes = encode(key, record)?;
        let guard = self.lock(key, "create")?;
        self.note_owner(key, None, record.owner.as_deref(), "create")?;
        match self.put(&guard, key, &bytes, D::rename_to_free, "create") {
            Ok(()) => Ok(Created::Done),
            Err(Put::NotFree) => Ok(Created::Exists),
            Err(Put::Error(error)) => Err(error),
        }
    }

    pub(super) fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        let bytes = encode(key, record)?;
        let guard = self.lock(key, "update")?;
        match self.read_locked(&guard, key, "update")? {
            None => Ok(Swapped::Gone),
            Some(found) if found.record.revision != expected => Ok(Swapped::Conflict),
            Some(found) => {
                self.replace(&guard, key, &found.record, record, &bytes, "update")?;
                Ok(Swapped::Done)
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
        let Some(found) = self.read_locked(&guard, key, "save")? else {
            return Ok(Modified::Gone);
        };
        let Some(next) = change(&found.record) else {
            return Ok(Modified::Declined);
        };
        let bytes = encode(key, &next)?;
        self.replace(&guard, key, &found.record, &next, &bytes, "save")?;
        Ok(Modified::Done(next))
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
                Some(found) if found.record.revision != expected => return Ok(Swapped::Conflict),
                Some(found) => found.record.owner,
            },
            // What cannot be read goes as well; whose it was is found out when they are looked for.
            None => match self.read(key, "delete") {
                Ok(Found::Record(found)) => found.record.owner,
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
        let guard = self.lock(key, "touch")?;
        let name = self.template.record(key);
        let failed = |error| store_error("touch", error);
        // The bytes as they are, which are what the checksum is over.
        let Content::Bytes(bytes) = self.disk.read(&name).map_err(failed)? else {
            return Ok(self.read_locked(&guard, key, "touch")?.is_some());
        };
        match Record::decode(key, bytes.clone()) {
            Ok(record) if record.last_seen > last_seen => Ok(true),
            Ok(_) => {
                let activity = encoded_activity(key, bytes, last_seen, expires);
                self.disk
                    .overwrite(&name, ACTIVITY_RANGE.start, &activity)
                    .map_err(failed)?;
                Ok(true)
            }
            Err(_) => Ok(self.read_locked(&guard, key, "touch")?.is_some()),
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

    /// The record under `key`, with its lock held. What cannot be read is set aside: a later record
    /// must not be written over it.
    fn read_locked(
        &self,
        _guard: &Guard<'_>,
        key: &StoreKey,
        operation: &'static str,
    ) -> Result<Option<Stored>, StoreError> {
        match self.read(key, operation)? {
            Found::Nothing => Ok(None),
            Found::Record(stored) => Ok(Some(stored)),
            Found::Unreadable(error) => {
                if error == DecodeError::Unreadable {
                    self.set_aside(key);
                }
                Err(StoreError::Unreadable(error))
            }
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

    fn replace(
        &self,
        guard: &Guard<'_>,
        key: &StoreKey,
        current: &Record,
        next: &Record,
        bytes: &[u8],
        operation: &'static str,
    ) -> Result<(), StoreError> {
        let (before, owner) = (current.owner.as_deref(), next.owner.as_deref());
        self.note_owner(key, before, owner, operation)?;
        match self.put(guard, key, bytes, D::rename, operation) {
            Ok(()) => Ok(()),
            Err(Put::NotFree) => Err(store_error(operation, io::ErrorKind::AlreadyExists.into())),
            Err(Put::Error(error)) => Err(error),
        }
    }

    /// Writes a temporary file and gives it the record's name. The lock is held for as long as the
    /// temporary file exists, so one that nobody locks is left over.
    fn put(
        &self,
        _guard: &Guard<'_>,
        key: &StoreKey,
        bytes: &[u8],
        rename: impl FnOnce(&D, &str, &str) -> io::Result<()>,
        operation: &'static str,
    ) -> Result<(), Put> {
        let failed = |error| Put::Error(store_error(operation, error));
        let name = self.template.record(key);
        let temporary = self.template.temporary(key, random().map_err(failed)?);
        let renamed = self
            .write_temporary(&temporary, bytes)
            .and_then(|()| rename(&self.disk, &temporary, &name));
        if let Err(error) = renamed {
            self.remove_temporary(key, &temporary);
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => Put::NotFree,
                _ => failed(error),
            });
        }
        if self.options.durability == Durability::Durable {
            self.sync_folder(operation).map_err(Put::Error)?;
        }
        Ok(())
    }

    /// A failed sync is never tried again on the same file: the kernel has marked its pages as
    /// written, so the next one would succeed without writing them (Rebello et al., ATC '20).
    fn write_temporary(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = self.disk.create_temporary(name)?;
        self.disk.write(&mut temporary, bytes)?;
        if self.options.durability != Durability::Process {
            self.disk.sync_data(&temporary)?;
        }
        Ok(())
    }

    /// After another error, which is the one to be reported.
    fn remove_temporary(&self, key: &StoreKey, name: &str) {
        match self.disk.remove(name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                event = "store_failure",
                session = %correlation(key),
                error = %chain(&error),
                "a temporary file is left over until the next sweep"
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
    Record(Stored),
    Unreadable(DecodeError),
}

pub(super) struct Stored {
    pub(super) record: Record,
    pub(super) size: u64,
}

fn found(key: &StoreKey, content: Content) -> Found {
    match content {
        Content::Missing => Found::Nothing,
        Content::Foreign => Found::Unreadable(DecodeError::Unreadable),
        Content::Bytes(bytes) => {
            let size = bytes.len() as u64;
            match Record::decode(key, bytes) {
                Ok(record) => Found::Record(Stored { record, size }),
                Err(error) => Found::Unreadable(error),
            }
        }
    }
}

enum Put {
    NotFree,
    Error(StoreError),
}

fn random() -> io::Result<u64> {
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
