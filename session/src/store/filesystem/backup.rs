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
use super::fs::FileSystem;
use super::list::PAGE;
use super::names::Named;
use crate::store::StoreError;

const OPERATION: &str = "back up the sessions";

/// A backup that is being made.
pub(super) struct Backup {
    names: <Directory as FileSystem>::Names,
    into: OwnedFd,
    pub(super) sessions: usize,
}

impl Engine<Directory> {
    /// Begins a backup in the folder `into`, which must not be there yet.
    pub(super) fn begin_backup(&self, into: &Path) -> Result<Backup, StoreError> {
        let begin = || -> io::Result<Backup> {
            std::fs::DirBuilder::new().mode(0o700).create(into)?;
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let into = rustix::fs::open(into, flags, Mode::empty())?;
            Ok(Backup {
                names: self.fs.names()?,
                into,
                sessions: 0,
            })
        };
        begin().map_err(|error| store_error(OPERATION, error))
    }

    /// Links the next files; says whether there are more.
    pub(super) fn back_up_piece(&self, backup: &mut Backup) -> Result<bool, StoreError> {
        let failed = |error| store_error(OPERATION, error);
        for _ in 0..PAGE {
            let Some(name) = backup.names.next() else {
                rustix::fs::fsync(&backup.into).map_err(|error| failed(error.into()))?;
                return Ok(false);
            };
            let name = name.map_err(failed)?;
            let Named::Record(key) = self.names.named(&name) else {
                continue;
            };
            // A save finds out whether its file has another name while it holds the lock.
            let _guard = self.lock(&key, OPERATION)?;
            let (from, to) = (&self.fs.folder, &backup.into);
            match rustix::fs::linkat(from, &*name, to, &*name, AtFlags::empty()) {
                Ok(()) => backup.sessions += 1,
                // It has ended; or it was saved and is met again.
                Err(Errno::NOENT | Errno::EXIST) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(true)
    }
}
