//! What the least is that anybody has to do to read a file of a folder: `openat`, `read`, `close`.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    Advice, CWD, Dir, FlockOperation, Mode, OFlags, fadvise, flock, openat, renameat,
};
use session::SessionKey;

/// A folder that is open.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder of a store.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Folder(openat(CWD, path, flags, Mode::empty()).expect("the folder"))
    }

    /// The bytes of a file.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        let mut file = std::fs::File::from(self.file(name));
        let mut bytes = vec![0; 1024];
        // One `read`: the records of a population are far smaller.
        let length = file.read(&mut bytes).expect("read");
        bytes.truncate(length);
        bytes
    }

    /// Does to a file the least that a save by a temporary file takes, nothing waited for: reads it, writes its
    /// bytes to a new one, and renames that over it, under a lock.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn rewrite(&self, lock: &OwnedFd, name: &str) {
        flock(lock, FlockOperation::LockExclusive).expect("locked");
        let bytes = self.read(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.0, ".bare.tmp", flags, mode).expect("created");
        let mut file = std::fs::File::from(file);
        file.write_all(&bytes).expect("written");
        drop(file);
        renameat(&self.0, ".bare.tmp", &self.0, name).expect("renamed");
        flock(lock, FlockOperation::Unlock).expect("unlocked");
    }

    /// Something to lock that is no stripe of the store's.
    ///
    /// # Panics
    ///
    /// When it cannot be opened.
    #[must_use]
    pub fn lock(&self) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.0, "owners", flags, Mode::empty()).expect("opened")
    }

    /// Lets the kernel forget the bytes of a file, though not where they lie.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn forget(&self, name: &str) {
        let file = std::fs::File::from(self.file(name));
        // What is not written yet is not forgotten.
        file.sync_all().expect("synced");
        fadvise(&file, 0, None, Advice::DontNeed).expect("advised");
    }

    /// The entries of the folder, one after the other.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[must_use]
    pub fn entries(&self) -> Dir {
        Dir::read_from(&self.0).expect("the entries")
    }

    fn file(&self, name: &str) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        openat(&self.0, name, flags, Mode::empty()).expect("opened")
    }
}

impl AsRef<OwnedFd> for Folder {
    fn as_ref(&self) -> &OwnedFd {
        &self.0
    }
}

/// The name of a session's file.
pub(super) fn file_name(key: &SessionKey) -> String {
    format!("{key}.session")
}
