//! How a record takes its place: its bytes are written to a file of their own, which is then given the
//! record's name. A reader sees either the complete old record or the complete new one.

use std::io;

use super::engine::Engine;
use super::error::store_error;
use super::fs::{Content, FileSystem};
use super::lock::LockGuard;
use crate::SessionKey;
use crate::store::{CreateOutcome, StoreError};

impl<F: FileSystem> Engine<F> {
    /// Stores a record where there is none.
    pub(super) fn create_file(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        bytes: &[u8],
    ) -> Result<CreateOutcome, StoreError> {
        const OPERATION: &str = "create";
        let failed = |error| store_error(OPERATION, error);
        let draft = self.draft(guard, key, bytes).map_err(failed)?;
        self.owe_names(guard);
        let renamed = self.fs.rename_to_free(&draft.name, &self.names.record(key));
        match renamed {
            Ok(()) => {
                self.publish(key, &draft, bytes);
                self.count.created();
                self.sync_names(guard, OPERATION)?;
                Ok(CreateOutcome::Created)
            }
            Err(error) => {
                self.remove_temporary(key, &draft.name);
                if error.kind() != io::ErrorKind::AlreadyExists {
                    return Err(failed(error));
                }
                // An earlier try may have created it.
                self.sync_names(guard, OPERATION)?;
                Ok(CreateOutcome::Exists)
            }
        }
    }

    /// Puts a record in the place of the one in the file `replaced`; false when that file was removed by
    /// hand.
    pub(super) fn replace_file(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        bytes: &[u8],
        replaced: &F::File,
        operation: &'static str,
    ) -> Result<bool, StoreError> {
        let failed = |error| store_error(operation, error);
        let name = self.names.record(key);
        let draft = self.draft(guard, key, bytes).map_err(failed)?;
        self.owe_names(guard);
        let is_exchanged = match self.rename_over(&draft.name, &name) {
            Ok(is_exchanged) => is_exchanged,
            Err(error) => {
                self.remove_temporary(key, &draft.name);
                let is_gone = error.kind() == io::ErrorKind::NotFound
                    && matches!(self.fs.read(&name), Ok(Content::Missing));
                return if is_gone {
                    Ok(false)
                } else {
                    Err(failed(error))
                };
            }
        };
        self.publish(key, &draft, bytes);
        let synced = self.sync_names(guard, operation);
        if is_exchanged {
            if synced.is_ok() {
                self.recycle(guard, key, draft.name, replaced);
            } else {
                self.remove_temporary(key, &draft.name);
            }
        }
        synced.map(|()| true)
    }

    /// Gives the file `temporary` the record's name; true when the replaced file now has that of
    /// `temporary`, false when it has none.
    fn rename_over(&self, temporary: &str, name: &str) -> io::Result<bool> {
        if self.fs.exchange(temporary, name)? {
            return Ok(true);
        }
        self.fs.rename(temporary, name).map(|()| false)
    }

    fn owe_names(&self, guard: &mut LockGuard) {
        if self.is_durable() {
            guard.owe_sync();
        }
    }

    fn sync_names(&self, guard: &mut LockGuard, operation: &'static str) -> Result<(), StoreError> {
        if self.is_durable() {
            self.sync_folder(guard, operation)?;
        }
        Ok(())
    }
}
