//! Backups of a folder that is in use.
//!
//! Who copies the files of such a folder may have one open while a save recycles it, and copies zeros. So a
//! backup is made of hard links, each while the session is locked: a link costs no copy, and a file that
//! has two names is never written to again.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::directory::Directory;
use super::engine::Engine;
use super::error::store_error;
use super::list::{PAGE, Place};
use crate::store::StoreError;

const OPERATION: &str = "back up the sessions";

/// A backup that is being made.
pub(super) struct Backup {
    into: OwnedFd,
    /// Where the listing of the sessions continues.
    next: Option<Place>,
    pub(super) sessions: usize,
}

impl Backup {
    /// Begins a backup in the folder `into`, which must not be there yet.
    pub(super) fn begin(into: &Path) -> Result<Backup, StoreError> {
        let begin = || -> io::Result<Backup> {
            std::fs::DirBuilder::new().mode(0o700).create(into)?;
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(Backup {
                into: rustix::fs::open(into, flags, Mode::empty())?,
                next: None,
                sessions: 0,
            })
        };
        begin().map_err(|error| store_error(OPERATION, error))
    }
}

impl Engine<Directory> {
    /// Links the next files; says whether there are more.
    pub(super) fn back_up_piece(&self, backup: &mut Backup) -> Result<bool, StoreError> {
        let failed = |error: Errno| store_error(OPERATION, error.into());
        let (keys, next) = self.record_keys(backup.next.take(), PAGE, OPERATION)?;
        for key in keys {
            // A save finds out whether its file has another name while it holds the lock.
            let _guard = self.lock(&key, OPERATION)?;
            let (from, to, name) = (&self.fs.folder, &backup.into, self.names.record(&key));
            match rustix::fs::linkat(from, &*name, to, &*name, AtFlags::empty()) {
                Ok(()) => backup.sessions += 1,
                // It has ended.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if next.is_none() {
            rustix::fs::fsync(&backup.into).map_err(failed)?;
        }
        backup.next = next;
        Ok(backup.next.is_some())
    }
}
