//! How bytes take the place of a record: they are written to a file of their own, which is then given
//! the record's name. Whoever looks sees the old ones or the new ones, whole.
//!
//! Making a file and removing another one is most of what a save costs. So where it is safe the two files
//! exchange their names, and the old one is kept, its content wiped, for the next save of the stripe to
//! write over. It is safe once no power cut can bring the old name back: when the folder has been
//! synced (`Durable`), or where a power cut may damage what was saved last (`Process`). At `Atomic` it
//! is not, and each save makes a file.
//!
//! Readers take no lock, so one may have a file open that is then written over: it sees zeros, a part,
//! another session's record, or a later one of its own session, and none of them must pass. The
//! checksum covers the key; and in a spare file it is written inverted, and put right only when the
//! record is in its place.

use std::borrow::Cow;
use std::io;

use super::disk::{Content, Disk};
use super::files::{Files, random};
use super::lock::Guard;
use super::options::Durability;
use super::store_error;
use crate::StoreKey;
use crate::log::{chain, correlation};
use crate::record::{CHECKSUM_RANGE, mark_pending};
use crate::store::{Created, StoreError};

impl<D: Disk> Files<D> {
    /// Puts a record where there is none.
    pub(super) fn put_new(
        &self,
        _guard: &Guard<'_>,
        key: &StoreKey,
        bytes: &[u8],
    ) -> Result<Created, StoreError> {
        const OPERATION: &str = "create";
        let failed = |error| store_error(OPERATION, error);
        let temporary = self.new_name(key).map_err(failed)?;
        let renamed = self
            .disk
            .create(&temporary)
            .and_then(|mut file| self.write(&mut file, bytes))
            .and_then(|()| {
                let name = self.template.record(key);
                self.disk.rename_to_free(&temporary, &name)
            });
        match renamed {
            Ok(()) => self.sync_names(OPERATION).map(|()| Created::Done),
            Err(error) => {
                self.remove_temporary(key, &temporary);
                match error.kind() {
                    io::ErrorKind::AlreadyExists => Ok(Created::Exists),
                    _ => Err(failed(error)),
                }
            }
        }
    }

    /// Puts a record in the place of the one that is in the file `old`; false when that is gone, as when
    /// somebody has removed it by hand.
    pub(super) fn put_in_place(
        &self,
        guard: &Guard<'_>,
        key: &StoreKey,
        bytes: &[u8],
        old: &D::File,
        operation: &'static str,
    ) -> Result<bool, StoreError> {
        let failed = |error| store_error(operation, error);
        let name = self.template.record(key);
        let (temporary, mut file, is_new) = self.temporary(guard, key).map_err(failed)?;
        // Somebody may still have it open as what it was before, of this very session even: until it
        // is in its place it must not be taken for a record.
        let mut pending = Cow::Borrowed(bytes);
        if !is_new {
            mark_pending(pending.to_mut());
        }
        let exchanged = self
            .write(&mut file, &pending)
            .and_then(|()| self.give_name(&temporary, &name));
        let is_exchanged = match exchanged {
            Ok(is_exchanged) => is_exchanged,
            Err(error) => {
                self.remove_temporary(key, &temporary);
                let is_gone = error.kind() == io::ErrorKind::NotFound
                    && matches!(self.disk.read(&name), Ok(Content::Missing));
                return if is_gone {
                    Ok(false)
                } else {
                    Err(failed(error))
                };
            }
        };
        if !is_new {
            self.settle(key, &file, bytes);
        }
        let synced = self.sync_names(operation);
        if is_exchanged {
            if synced.is_ok() && self.is_wiped(key, old) {
                guard.leave_spare(temporary);
            } else {
                self.remove_temporary(key, &temporary);
            }
        }
        synced.map(|()| true)
    }

    /// The name of a file to write to, the file, and whether it is a new one or the stripe's spare one.
    /// The lock is held while it is in use, so one that nobody locks is left over.
    fn temporary(&self, guard: &Guard<'_>, key: &StoreKey) -> io::Result<(String, D::File, bool)> {
        if let Some(name) = guard.take_spare() {
            let reopened = self.disk.reopen(&name);
            if let Ok(Some(file)) = reopened {
                return Ok((name, file, false));
            }
            self.remove_temporary(key, &name);
            reopened?;
        }
        let name = self.new_name(key)?;
        let file = self.disk.create(&name)?;
        Ok((name, file, true))
    }

    /// A failed sync is never tried again on the same file: the kernel has marked its pages as
    /// written, so the next one would succeed without writing them (Rebello et al., ATC '20).
    fn write(&self, file: &mut D::File, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(file, bytes)?;
        if self.options.durability != Durability::Process {
            self.disk.sync_data(file)?;
        }
        Ok(())
    }

    /// Gives the file `temporary` the record's name; true when the old one now has that of `temporary`.
    fn give_name(&self, temporary: &str, name: &str) -> io::Result<bool> {
        if self.options.durability != Durability::Atomic && self.disk.exchange(temporary, name)? {
            return Ok(true);
        }
        self.disk.rename(temporary, name).map(|()| false)
    }

    fn sync_names(&self, operation: &'static str) -> Result<(), StoreError> {
        match self.options.durability {
            Durability::Durable => self.sync_folder(operation),
            Durability::Process | Durability::Atomic => Ok(()),
        }
    }

    /// Says that the record is in its place. Where that fails, those who read it find out by its lock.
    fn settle(&self, key: &StoreKey, file: &D::File, bytes: &[u8]) {
        let checksum = &bytes[CHECKSUM_RANGE];
        if let Err(error) = self.disk.overwrite(file, CHECKSUM_RANGE.start, checksum) {
            tracing::warn!(
                event = "store_failure",
                session = %correlation(key),
                error = %chain(&error),
                "a session that was saved takes a lock to be read, until it is saved again"
            );
        }
    }

    /// What a save has replaced must not stay: a field may have been cleared because its time was up.
    fn is_wiped(&self, key: &StoreKey, old: &D::File) -> bool {
        self.disk
            .wipe(old)
            .inspect_err(|error| {
                tracing::warn!(
                    event = "store_failure",
                    session = %correlation(key),
                    error = %chain(error),
                    "what a save has replaced could not be wiped: its file is removed"
                );
            })
            .is_ok()
    }

    fn new_name(&self, key: &StoreKey) -> io::Result<String> {
        Ok(self.template.temporary(key, random()?))
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
}

impl<D: Disk> Drop for Files<D> {
    /// The sweep would remove the spare files, too.
    fn drop(&mut self) {
        for spare in self.stripes.take_spares() {
            if let Err(error) = self.disk.remove(&spare)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(
                    event = "store_failure",
                    error = %chain(&error),
                    "a temporary file is left over until the next sweep"
                );
            }
        }
    }
}
