//! The settings of a filesystem store, each with its default and the reason for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{FilesystemStore, OpenError, open};
use crate::{days, seconds};

/// What a save waits for.
///
/// | | `kill -9` | power cut | typical cost |
/// |---|---|---|---|
/// | `Process` | old or new | old, missing, or damaged and set aside | 0.05 ms |
/// | `Atomic` | old or new | old or new; the last saves may be missing | 0.8 ms |
/// | `Durable` | old or new | every save that was reported done is there | 1.3 ms |
///
/// A record is as safe as its last save: processes that share a folder should use one level. Ending a
/// session waits for the disk at every level: a logout that a power cut undoes is a security event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// For nothing. After a power cut, what was saved in the last half a minute or so can be empty or
    /// full of zeros. That is noticed and set aside; those sessions are lost.
    Process,
    /// For the record's bytes, before the record takes its place.
    #[default]
    Atomic,
    /// For its place in the folder too.
    Durable,
}

/// Settings for a [`FilesystemStore`], from [`FilesystemStore::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct FilesystemStoreBuilder {
    pub(super) path: PathBuf,
    pub(super) options: Options,
    pub(super) allow_network_filesystem: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) durability: Durability,
    pub(super) template: String,
    pub(super) mode: u32,
    pub(super) lock_timeout: Duration,
    pub(super) quarantine: Limits,
}

/// How much is kept of what could not be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) age: Duration,
}

impl FilesystemStoreBuilder {
    pub(super) fn new(path: &Path) -> Self {
        FilesystemStoreBuilder {
            path: path.to_owned(),
            options: Options {
                durability: Durability::default(),
                template: String::from("%s.session"),
                mode: 0o600,
                lock_timeout: seconds(2),
                quarantine: Limits {
                    files: 100,
                    bytes: 10 * 1024 * 1024,
                    age: days(30),
                },
            },
            allow_network_filesystem: false,
        }
    }

    /// What a save waits for. Default: [`Durability::Atomic`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        self
    }

    /// The name of a session's file, with exactly one `%s` for the 64 hex digits of its key. Default:
    /// `%s.session`.
    ///
    /// Must not begin with a dot, contain a path separator, or end in `.tmp`.
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.options.template = template.into();
        self
    }

    /// The permission bits of the files, from which the process's umask is taken. Default: 0600.
    ///
    /// The owner must be able to read and write. What others may read, they can read the visitors'
    /// data from; the folder keeps them out even so, as it must have mode 0700.
    pub fn mode(mut self, mode: u32) -> Self {
        self.options.mode = mode;
        self
    }

    /// How long an operation waits for another one on the same session. Default: 2 seconds, after
    /// which it fails as unavailable.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.options.lock_timeout = timeout;
        self
    }

    /// How much is kept in `quarantine/` of what could not be read: at most so many files, bytes in
    /// all, and for so long; the newest is always kept. Default: 100 files, 10 MiB, 30 days.
    ///
    /// What lies there is the data of visitors: treat it like the sessions themselves.
    pub fn quarantine_limits(mut self, files: usize, bytes: u64, age: Duration) -> Self {
        self.options.quarantine = Limits { files, bytes, age };
        self
    }

    /// Opens the store on a network file system too, where its promises do not hold: locks may be
    /// local to one host, and a rename that failed may have happened (rename(2), flock(2)).
    ///
    /// Several hosts should share a database instead.
    pub fn allow_network_filesystem(mut self) -> Self {
        self.allow_network_filesystem = true;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// When the settings are wrong, or the folder cannot be made or does not belong to this store
    /// alone; see [`OpenError`].
    pub fn open(self) -> Result<FilesystemStore, OpenError> {
        open::open(self).map(FilesystemStore::from_files)
    }
}
