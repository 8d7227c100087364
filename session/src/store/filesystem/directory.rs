//! A real folder. It is opened once, and everything in it is reached relative to that: whatever
//! happens to the path later, the store never touches another folder.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::fs::{Content, FileSystem};
use super::index_folder::{self, SAFE_OPEN};
use super::names::OwnerName;
use crate::record::MAX_ENCODED_LENGTH;
use crate::{SessionKey, Timestamp};

pub(super) struct Directory {
    pub(super) folder: OwnedFd,
    pub(super) user: u32,
    pub(super) mode: Mode,
    /// On a file system of this machine: opening a file whose name is in memory waits for nothing.
    pub(super) is_local: bool,
    /// What the process's umask makes of `mode`, once a file has been made.
    masked_mode: OnceLock<RawMode>,
}

/// To record the time of a read could wait for the file system's journal.
#[cfg(target_os = "linux")]
const NO_ATIME: OFlags = OFlags::NOATIME;
#[cfg(not(target_os = "linux"))]
const NO_ATIME: OFlags = OFlags::empty();

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

    /// Reads the file `name`; gives its content and the open file.
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
        index_folder::add(&self.folder, self.mode, owner, key)
    }

    fn index_add_unsynced(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
        index_folder::add_unsynced(&self.folder, self.mode, owner, key).map(drop)
    }

    #[cfg(target_os = "linux")]
    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.folder)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_all(&self) -> io::Result<()> {
        rustix::fs::sync();
        Ok(())
    }

    fn index_has(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<bool> {
        index_folder::has(&self.folder, owner, key)
    }

    fn index_remove(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
        index_folder::remove(&self.folder, owner, key)
    }

    fn index_entries(&self, owner: &OwnerName) -> io::Result<Names> {
        index_folder::entries(&self.folder, owner).map(Names)
    }

    fn index_owners(&self) -> io::Result<Names> {
        index_folder::owners(&self.folder).map(Names)
    }
}

/// The size of a file and room for it, if that can be a record.
fn buffer(status: &Stat) -> Option<(u64, Vec<u8>)> {
    let size = usize::try_from(status.st_size).ok()?;
    (size <= MAX_ENCODED_LENGTH).then(|| (size as u64, Vec::with_capacity(size)))
}
