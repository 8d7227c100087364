//! The settings of a filesystem store, each with its default and the reason for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{days, seconds};

/// What a save waits for before it is acknowledged.
///
/// | | `kill -9` | power cut | typical cost |
/// |---|---|---|---|
/// | `Durable` | old or new record | every acknowledged save is there | 1 ms |
/// | `Relaxed` | old or new record | the last saves may be missing, or damaged and quarantined | 0.05 ms |
///
/// A touch, which only moves a session's expiry, is never waited for. A deletion is always waited for: a
/// sign-out that a power cut undoes is a security event.
///
/// A record is as safe as its last save, so all processes that share a folder should use one durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// The record's bytes and its file's name are on the disk before the save is acknowledged.
    #[default]
    Durable,
    /// The operating system decides when it writes. After a power cut, a session that was saved in the last
    /// half a minute or so can be its older self, or empty or full of zeros. The store notices the latter
    /// two and quarantines the file; those sessions are lost.
    Relaxed,
}

/// Settings for a [`FilesystemStore`](super::FilesystemStore), from
/// [`FilesystemStore::builder`](super::FilesystemStore::builder).
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
    pub(super) file_name: String,
    pub(super) mode: u32,
    pub(super) lock_timeout: Duration,
    pub(super) quarantine: Limits,
    pub(super) max_sessions: Option<usize>,
}

/// How many unreadable records are kept.
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
                file_name: String::from("{}.session"),
                mode: 0o600,
                lock_timeout: seconds(2),
                quarantine: Limits {
                    files: 100,
                    bytes: 10 * 1024 * 1024,
                    age: days(30),
                },
                max_sessions: Some(1_000_000),
            },
            allow_network_filesystem: false,
        }
    }

    /// What a save waits for. Default: [`Durability::Durable`], as an application that was told that a
    /// change is saved tells its user so.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        self
    }

    /// The name of a session's file, with exactly one `{}` for the 32 hex digits of its key. Default:
    /// `{}.session`.
    ///
    /// It must not begin with a dot, contain a path separator or a control character, or end in `.tmp` or
    /// `.unreadable`. A folder keeps the name that it was first opened with: to open it with another one is an
    /// error, as neither store would see the other's sessions.
    pub fn file_name(mut self, file_name: impl Into<String>) -> Self {
        self.options.file_name = file_name.into();
        self
    }

    /// The permission bits of the files, from which the process's umask is subtracted. Default: 0600.
    ///
    /// The owner must be able to read and write. The files hold the visitors' data; the folder keeps other
    /// users out even when the files do not, as it must have mode 0700.
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

    /// How many unreadable records are kept: at most so many files, bytes in all, and for so long; the
    /// newest one is always kept. Default: 100 files, 10 MiB, 30 days.
    ///
    /// They stay in the folder, as `<name>.unreadable`, until a sweep removes them. They hold the data of
    /// visitors: treat them like the sessions themselves.
    pub fn quarantine_limits(mut self, files: usize, bytes: u64, age: Duration) -> Self {
        self.options.quarantine = Limits { files, bytes, age };
        self
    }

    /// How many sessions the folder takes before it refuses further ones with
    /// [`StoreError::Full`](crate::StoreError::Full); `None` for any number. Default: 1,000,000, about 4 GiB of
    /// small files, so that a client that opens sessions without end cannot fill the disk.
    ///
    /// Each process adds what it creates and subtracts what it deletes. It counts the files at its first
    /// create, at each sweep, and at most every ten seconds while the store is full. So the limit is exact
    /// for one process; several processes exceed it by at most what the other ones created since the last
    /// count.
    pub fn max_sessions(mut self, sessions: impl Into<Option<usize>>) -> Self {
        self.options.max_sessions = sessions.into();
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
}
