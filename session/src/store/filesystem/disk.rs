//! The file operations that a save is made of. A seam, so that tests can fail each of them and can
//! look at every state that a power cut may leave.

use std::io;

use super::index::OwnerName;
use crate::StoreKey;

/// A folder of files. Names are plain names within it.
pub(super) trait Disk: Send + Sync + 'static {
    /// An open file that is being written to.
    type File;

    /// What is under a name, in one step: there is no look before the read that could be outdated.
    fn read(&self, name: &str) -> io::Result<Content>;

    /// The same where that can be told without waiting for the disk; otherwise `None`.
    fn read_cached(&self, _name: &str) -> Option<Content> {
        None
    }

    /// The same, with the file that the bytes are of, to be written to.
    fn open(&self, name: &str) -> io::Result<(Content, Option<Self::File>)>;

    /// Makes a new empty file, with its final permissions.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that is as [`create`](Self::create) would make it, but for what is in it; `None`
    /// when there is none.
    fn reopen(&self, name: &str) -> io::Result<Option<Self::File>>;

    /// Makes `bytes` the whole content of a file.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Writes a few bytes into a file in place.
    fn overwrite(&self, file: &Self::File, offset: usize, bytes: &[u8]) -> io::Result<()>;

    /// Leaves nothing of what was in the file.
    fn wipe(&self, file: &Self::File) -> io::Result<()>;

    /// Waits until the bytes of the file are on the disk.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file the name of another one, which it replaces.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file a name that must be free; [`io::ErrorKind::AlreadyExists`] when it is not.
    fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives each of two files the other's name, in one step; false when that cannot be done here.
    fn exchange(&self, one: &str, other: &str) -> io::Result<bool>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until the names in the folder are on the disk.
    fn sync_folder(&self) -> io::Result<()>;

    /// Notes that there may be a session of `owner` under `key`, and waits until that is on the disk:
    /// whoever revokes all sessions must find it.
    fn note(&self, owner: &OwnerName, key: &StoreKey) -> io::Result<()>;

    /// Takes such a note away.
    fn forget(&self, owner: &OwnerName, key: &StoreKey) -> io::Result<()>;

    /// The keys that have been noted for `owner`.
    fn noted(&self, owner: &OwnerName) -> io::Result<Vec<StoreKey>>;

    /// Moves what is under `name` into the quarantine.
    fn set_aside(&self, name: &str, as_name: &str) -> io::Result<()>;
}

/// What is under a name.
pub(super) enum Content {
    Missing,
    /// Not a plain file of ours: a link, a pipe, a folder, somebody else's, or far too large.
    Foreign,
    Bytes(Vec<u8>),
}
