//! The file operations that the store is made of. A seam: tests fail each of them in its turn, and
//! enumerate every state that a power cut may leave.

use std::io;

use super::names::OwnerName;
use crate::{SessionKey, Timestamp};

/// A folder of files. Names are plain names within it.
pub(super) trait FileSystem: Send + Sync + 'static {
    /// An open file.
    type File: Send;

    /// The names in a folder, one after the other, in an order of the file system's.
    type Names: Iterator<Item = io::Result<Vec<u8>>> + Send;

    /// Reads the file of a name, in one step: a check before the read could be outdated by then.
    fn read(&self, name: &str) -> io::Result<Content>;

    /// The same where that can be told without waiting for the disk; otherwise `None`.
    fn read_cached(&self, _name: &str) -> Option<Content> {
        None
    }

    /// The same as [`read`](Self::read), with the file that the bytes are of, to be written to.
    fn open(&self, name: &str) -> io::Result<(Content, Option<Self::File>)>;

    /// Whether the file has another name than the one it was opened by, as a backup of hard links gives it.
    fn has_other_links(&self, file: &Self::File) -> io::Result<bool>;

    /// Makes a new empty file, with its final permissions.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that is as [`create`](Self::create) would make it, but for its content; `None`
    /// when there is none, or when it has another name too.
    fn reopen(&self, name: &str) -> io::Result<Option<Self::File>>;

    /// Makes `bytes` the whole content of a file.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Writes a few bytes into a file in place.
    fn overwrite(&self, file: &Self::File, offset: usize, bytes: &[u8]) -> io::Result<()>;

    /// Writes zeros over all of a file's content.
    fn zero(&self, file: &Self::File) -> io::Result<()>;

    /// Waits until the bytes of the file are on the disk.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file the name of another one, which it replaces.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file a name that must be free; [`io::ErrorKind::AlreadyExists`] when it is not.
    fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives each of two files the other's name, in one step; false when the file system cannot do that.
    fn exchange(&self, one: &str, other: &str) -> io::Result<bool>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until the names in the folder are on the disk.
    fn sync_folder(&self) -> io::Result<()>;

    /// The names in the folder.
    fn names(&self) -> io::Result<Self::Names>;

    /// The size of the plain file under a name, and when it was last written to or renamed; `None`
    /// when there is no plain file.
    fn status(&self, name: &str) -> io::Result<Option<(u64, Timestamp)>>;

    /// Adds to the owner index that `owner` may have a session under `key`, and waits until that is on the
    /// disk.
    fn index_add(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()>;

    /// The same without waiting, for many entries.
    fn index_add_unsynced(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()>;

    /// Waits until everything that was added without waiting is on the disk.
    fn sync_all(&self) -> io::Result<()>;

    /// Whether the owner index has that entry.
    fn index_has(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<bool>;

    /// Removes an entry of the owner index.
    fn index_remove(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()>;

    /// The names of the entries of `owner`, and perhaps other names.
    fn index_entries(&self, owner: &OwnerName) -> io::Result<Self::Names>;

    /// The names of the owners that have entries, and perhaps other names.
    fn index_owners(&self) -> io::Result<Self::Names>;
}

/// The content of a name.
pub(super) enum Content {
    Missing,
    /// Not a plain file of the store's: a link, a pipe, a folder, another user's, or far too large.
    Foreign,
    Bytes(Vec<u8>),
}
