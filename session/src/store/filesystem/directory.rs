//! A real folder. It is opened once, and everything in it is reached relative to that: whatever
//! happens to the path later, the store never touches another folder.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::fs::{Content, FileSystem};
use super::names::OwnerName;
use crate::record::MAX_ENCODED_LENGTH;
use crate::{SessionKey, Timestamp};

/// The folder of the owner index.
pub(super) const OWNERS: &str = "owners";

pub(super) struct Directory {
    pub(super) folder: OwnedFd,
    pub(super) user: u32,
    pub(super) mode: Mode,
    /// On a file system of this machine: opening a file whose name is in memory waits for nothing.
    pub(super) is_local: bool,
    /// What the process's umask makes of `mode`, once a file has been made.
    masked_mode: OnceLock<RawMode>,
}

/// Never follows a link, never waits for a pipe's other end, is not handed to child processes.
const SAFE_OPEN: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// To record the time of a read could wait for the file system's journal.
#[cfg(target_os = "linux")]
const NO_ATIME: OFlags = OFlags::NOATIME;
#[cfg(not(target_os = "linux"))]
const NO_ATIME: OFlags = OFlags::empty();

/// How often an index entry is tried to be added while other processes remove the owner's folder.
const INDEX_ATTEMPTS: u32 = 16;

impl Directory {
    pub(super) fn new(folder: OwnedFd, user: u32, mode: Mode, is_local: bool) -> Self {
        Directory {
            folder,
            user,
            mode,
            is_local,
            masked_mode: OnceLock::new(),
        }
    }

    /// A plain file of this user's under `name`, for `access`, and its status; `None` when there is
    /// something else.
    fn open_file(&self, name: &str, access: OFlags) -> io::Result<Option<(File, Stat)>> {
        let open = |flags| {
            let open = || rustix::fs::openat(&self.folder, name, flags | SAFE_OPEN, Mode::empty());
            retry_on_intr(open)
        };
        // The kernel refuses `O_NOATIME` for another user's file.
        let opened = match open(access | NO_ATIME) {
            Err(Errno::PERM) => open(access),
            opened => opened,
        };
        match opened {
            Ok(file) => self.checked(file),
            // A symbolic link; a socket or a device without a driver; a folder, for writing.
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ISDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn checked(&self, file: OwnedFd) -> io::Result<Option<(File, Stat)>> {
        let status = rustix::fs::fstat(&file)?;
        let is_ours = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
            && status.st_uid == self.user;
        Ok(is_ours.then(|| (File::from(file), status)))
    }

    /// What is under `name`, and the file it was read from.
    fn read_from(&self, name: &str, access: OFlags) -> io::Result<(Content, Option<OpenFile>)> {
        let (file, status) = match self.open_file(name, access) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok((Content::Foreign, None)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Content::Missing, None));
            }
            Err(error) => return Err(error),
        };
        let Some((size, mut bytes)) = buffer(&status) else {
            return Ok((Content::Foreign, None));
        };
        // One that is written over meanwhile has a wrong checksum.
        (&file).take(size).read_to_end(&mut bytes)?;
        Ok((Content::Bytes(bytes), Some(OpenFile { file, size })))
    }

    fn open_folder(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | SAFE_OPEN;
        retry_on_intr(|| rustix::fs::openat(&self.folder, path, flags, Mode::empty()))
    }

    /// The names in a folder that need not be there.
    fn names_in(&self, path: &str) -> io::Result<Names> {
        match self.open_folder(path) {
            Ok(folder) => Ok(Names(Some(Dir::read_from(&folder)?))),
            Err(Errno::NOENT) => Ok(Names(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the folder of an owner, and the one of the index when it is missing; gives the former.
    fn make_owner_folder(&self, path: &str) -> io::Result<OwnedFd> {
        for _ in 0..INDEX_ATTEMPTS {
            match rustix::fs::mkdirat(&self.folder, path, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                // Somebody has removed the whole index.
                Err(Errno::NOENT) => {
                    match rustix::fs::mkdirat(&self.folder, OWNERS, Mode::RWXU) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    rustix::fs::fsync(&self.folder)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            // Whoever removes the last entry of an owner removes the folder, too.
            match self.open_folder(path) {
                Ok(folder) => return Ok(folder),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

/// An open file and how long it is.
pub(super) struct OpenFile {
    file: File,
    size: u64,
}

/// The names in a folder; none when there is no folder.
pub(super) struct Names(Option<Dir>);

impl Iterator for Names {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let name = match self.0.as_mut()?.read()? {
                Ok(entry) => entry.file_name().to_bytes().to_owned(),
                Err(error) => return Some(Err(error.into())),
            };
            if name != b"." && name != b".." {
                return Some(Ok(name));
            }
        }
    }
}

impl FileSystem for Directory {
    type File = OpenFile;
    type Names = Names;

    fn read(&self, name: &str) -> io::Result<Content> {
        Ok(self.read_from(name, OFlags::RDONLY)?.0)
    }

    fn open(&self, name: &str) -> io::Result<(Content, Option<OpenFile>)> {
        self.read_from(name, OFlags::RDWR)
    }

    #[cfg(target_os = "linux")]
    fn read_cached(&self, name: &str) -> Option<Content> {
        use std::io::IoSliceMut;

        use rustix::fs::{ResolveFlags, openat2};
        use rustix::io::{ReadWriteFlags, preadv2};

        if !self.is_local {
            return None;
        }
        let flags = OFlags::RDONLY | NO_ATIME | SAFE_OPEN;
        let (mode, cached) = (Mode::empty(), ResolveFlags::CACHED);
        let file = match openat2(&self.folder, name, flags, mode, cached) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Some(Content::Missing),
            // The name is not in memory, or it is no plain file: a read that may wait finds out.
            Err(_) => return None,
        };
        let (file, status) = self.checked(file).ok().flatten()?;
        let (size, mut bytes) = buffer(&status)?;
        bytes.resize(usize::try_from(size).ok()?, 0);
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let read = preadv2(&file, into, 0, ReadWriteFlags::NOWAIT).ok()?;
        // Less: the rest is not in memory.
        (read as u64 == size).then_some(Content::Bytes(bytes))
    }

    fn has_other_links(&self, file: &OpenFile) -> io::Result<bool> {
        Ok(rustix::fs::fstat(&file.file)?.st_nlink > 1)
    }

    fn create(&self, name: &str) -> io::Result<OpenFile> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFE_OPEN;
        let open = || rustix::fs::openat(&self.folder, name, flags, self.mode);
        let file = retry_on_intr(open)?;
        if self.masked_mode.get().is_none() {
            let mode = rustix::fs::fstat(&file)?.st_mode;
            self.masked_mode.get_or_init(|| mode);
        }
        let file = File::from(file);
        Ok(OpenFile { file, size: 0 })
    }

    fn reopen(&self, name: &str) -> io::Result<Option<OpenFile>> {
        match self.open_file(name, OFlags::WRONLY) {
            Ok(Some((file, status))) => {
                let is_like_new =
                    self.masked_mode.get() == Some(&status.st_mode) && status.st_nlink == 1;
                let size = u64::try_from(status.st_size).unwrap_or_default();
                Ok(is_like_new.then_some(OpenFile { file, size }))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, file: &mut OpenFile, bytes: &[u8]) -> io::Result<()> {
        file.file.write_all_at(bytes, 0)?;
        let size = bytes.len() as u64;
        if file.size > size {
            file.file.set_len(size)?;
        }
        file.size = size;
        Ok(())
    }

    fn overwrite(&self, file: &OpenFile, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let written = retry_on_intr(|| rustix::io::pwrite(&file.file, bytes, offset as u64))?;
        if written == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    fn zero(&self, file: &OpenFile) -> io::Result<()> {
        // Not cut to no length, so that a later save need not find new blocks.
        let size = usize::try_from(file.size).map_err(io::Error::other)?;
        file.file.write_all_at(&vec![0; size], 0)
    }

    fn sync_data(&self, file: &OpenFile) -> io::Result<()> {
        // Linux has fdatasync; elsewhere the standard library knows the call that really waits.
        file.file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        match rustix::fs::renameat_with(
            &self.folder,
            from,
            &self.folder,
            to,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            // A file system that does not know how.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            result => return Ok(result?),
        }
        // All that use the name hold the lock of its stripe, so it is not taken in between.
        match rustix::fs::statat(&self.folder, to, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => self.rename(from, to),
            Ok(_) => Err(Errno::EXIST.into()),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(target_os = "linux")]
    fn exchange(&self, one: &str, other: &str) -> io::Result<bool> {
        let (folder, flags) = (&self.folder, rustix::fs::RenameFlags::EXCHANGE);
        match rustix::fs::renameat_with(folder, one, folder, other, flags) {
            Ok(()) => Ok(true),
            // A file system that does not know how.
            Err(Errno::INVAL | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn exchange(&self, _one: &str, _other: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.folder)?)
    }

    fn names(&self) -> io::Result<Names> {
        Ok(Names(Some(Dir::read_from(&self.folder)?)))
    }

    fn status(&self, name: &str) -> io::Result<Option<(u64, Timestamp)>> {
        let status = match rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => status,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let seconds = u64::try_from(status.st_ctime).unwrap_or_default();
        let changed = Timestamp::from_millis(seconds.saturating_mul(1000));
        let size = u64::try_from(status.st_size).unwrap_or_default();
        Ok(is_file.then_some((size, changed)))
    }

    fn index_add(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
        let path = owner_path(owner);
        let flags = OFlags::WRONLY | OFlags::CREATE | SAFE_OPEN;
        for _ in 0..INDEX_ATTEMPTS {
            let folder = self.make_owner_folder(&path)?;
            let open = || rustix::fs::openat(&folder, key.to_string(), flags, self.mode);
            match retry_on_intr(open) {
                Ok(_) => {
                    rustix::fs::fsync(&folder)?;
                    return Ok(rustix::fs::fsync(&self.open_folder(OWNERS)?)?);
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::AGAIN.into())
    }

    fn index_has(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<bool> {
        let path = format!("{}/{key}", owner_path(owner));
        match rustix::fs::accessat(&self.folder, path, Access::EXISTS, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn index_remove(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
        let path = owner_path(owner);
        let entry = format!("{path}/{key}");
        rustix::fs::unlinkat(&self.folder, entry, AtFlags::empty())?;
        match rustix::fs::unlinkat(&self.folder, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn index_entries(&self, owner: &OwnerName) -> io::Result<Names> {
        self.names_in(&owner_path(owner))
    }

    fn index_owners(&self) -> io::Result<Names> {
        self.names_in(OWNERS)
    }
}

fn owner_path(owner: &OwnerName) -> String {
    format!("{OWNERS}/{}", owner.as_str())
}

/// The size of a file and room for it, if that can be a record.
fn buffer(status: &Stat) -> Option<(u64, Vec<u8>)> {
    let size = usize::try_from(status.st_size).ok()?;
    (size <= MAX_ENCODED_LENGTH).then(|| (size as u64, Vec::with_capacity(size)))
}
