//! A real folder. It is opened once, and everything in it is reached relative to that: whatever is
//! done to the path later on, no other folder is ever touched.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

use super::disk::{Content, Disk};
use super::index::OwnerName;
use crate::StoreKey;
use crate::record::MAX_ENCODED_LENGTH;

pub(super) struct Folder {
    pub(super) folder: OwnedFd,
    pub(super) quarantine: OwnedFd,
    pub(super) owners: OwnedFd,
    pub(super) user: u32,
    pub(super) mode: Mode,
    /// On a file system of this machine: opening a file whose name is in memory waits for nothing.
    pub(super) is_local: bool,
}

/// Never follows a link, never waits for a pipe's other end, is not handed to child processes.
const GUARDED: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// How often a note is tried against others who take the owner's folder away.
const NOTE_ATTEMPTS: u32 = 16;

impl Folder {
    /// The folder of an owner.
    fn owner(&self, owner: &OwnerName) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | GUARDED;
        retry_on_intr(|| rustix::fs::openat(&self.owners, owner.as_str(), flags, Mode::empty()))
    }

    /// A plain file of this user's under `name`, for `access`, and its size; `None` when there is
    /// something else.
    fn open(&self, name: &str, access: OFlags) -> io::Result<Option<(File, u64)>> {
        let open = || rustix::fs::openat(&self.folder, name, access | GUARDED, Mode::empty());
        match retry_on_intr(open) {
            Ok(file) => self.checked(file),
            // A symbolic link; a socket or a device without a driver; a folder, for writing.
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ISDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn checked(&self, file: OwnedFd) -> io::Result<Option<(File, u64)>> {
        let status = rustix::fs::fstat(&file)?;
        // No link at all: it was replaced since it was opened, and is whole.
        let is_ours = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
            && status.st_uid == self.user
            && status.st_nlink <= 1;
        let size = u64::try_from(status.st_size).unwrap_or_default();
        Ok(is_ours.then(|| (File::from(file), size)))
    }
}

impl Disk for Folder {
    type Temporary = File;

    fn read(&self, name: &str) -> io::Result<Content> {
        let (file, size) = match self.open(name, OFlags::RDONLY) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Content::Foreign),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Missing),
            Err(error) => return Err(error),
        };
        let Some(mut bytes) = buffer(size) else {
            return Ok(Content::Foreign);
        };
        // Nobody writes a file longer once it has its name.
        file.take(size).read_to_end(&mut bytes)?;
        Ok(Content::Bytes(bytes))
    }

    #[cfg(target_os = "linux")]
    fn read_cached(&self, name: &str) -> Option<Content> {
        use std::io::IoSliceMut;

        use rustix::fs::{ResolveFlags, openat2};
        use rustix::io::{ReadWriteFlags, preadv2};

        if !self.is_local {
            return None;
        }
        // Noting that the file was read could wait for the file system's journal.
        let flags = OFlags::RDONLY | OFlags::NOATIME | GUARDED;
        let (mode, cached) = (Mode::empty(), ResolveFlags::CACHED);
        let file = match openat2(&self.folder, name, flags, mode, cached) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Some(Content::Missing),
            // The name is not in memory; or whatever it is, waiting for it finds out.
            Err(_) => return None,
        };
        let (file, size) = self.checked(file).ok().flatten()?;
        let mut bytes = buffer(size)?;
        bytes.resize(usize::try_from(size).ok()?, 0);
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let read = preadv2(&file, into, 0, ReadWriteFlags::NOWAIT).ok()?;
        // Less: the rest is not in memory.
        (read as u64 == size).then(|| {
            bytes.truncate(read);
            Content::Bytes(bytes)
        })
    }

    fn create_temporary(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | GUARDED;
        let open = || rustix::fs::openat(&self.folder, name, flags, self.mode);
        Ok(File::from(retry_on_intr(open)?))
    }

    fn write(&self, temporary: &mut File, bytes: &[u8]) -> io::Result<()> {
        temporary.write_all(bytes)
    }

    fn sync_data(&self, temporary: &File) -> io::Result<()> {
        // Linux has fdatasync; elsewhere the standard library knows the call that really waits.
        temporary.sync_data()
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
            RenameFlags::NOREPLACE,
        ) {
            // A file system that does not know how.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            result => return Ok(result?),
        }
        // All who use the name hold the lock of its stripe, so nobody takes it in between.
        match self.read(to)? {
            Content::Missing => self.rename(from, to),
            _ => Err(Errno::EXIST.into()),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn overwrite(&self, name: &str, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let Some((file, _)) = self.open(name, OFlags::WRONLY)? else {
            return Err(io::Error::other("not a plain file of this store"));
        };
        let written = retry_on_intr(|| rustix::io::pwrite(file.as_fd(), bytes, offset as u64))?;
        if written == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.folder)?)
    }

    fn set_aside(&self, name: &str, as_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(
            &self.folder,
            name,
            &self.quarantine,
            as_name,
        )?)
    }

    fn note(&self, owner: &OwnerName, key: &StoreKey) -> io::Result<()> {
        // Whoever takes the last note of an owner away takes the folder away, too.
        for _ in 0..NOTE_ATTEMPTS {
            match rustix::fs::mkdirat(&self.owners, owner.as_str(), Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let folder = match self.owner(owner) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let flags = OFlags::WRONLY | OFlags::CREATE | GUARDED;
            let open = || rustix::fs::openat(&folder, key.as_str(), flags, self.mode);
            match retry_on_intr(open) {
                Ok(_) => {
                    rustix::fs::fsync(&folder)?;
                    return Ok(rustix::fs::fsync(&self.owners)?);
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::AGAIN.into())
    }

    fn forget(&self, owner: &OwnerName, key: &StoreKey) -> io::Result<()> {
        rustix::fs::unlinkat(&self.owner(owner)?, key.as_str(), AtFlags::empty())?;
        match rustix::fs::unlinkat(&self.owners, owner.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn noted(&self, owner: &OwnerName) -> io::Result<Vec<StoreKey>> {
        let folder = match self.owner(owner) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut keys = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            keys.extend(name.and_then(StoreKey::parse));
        }
        Ok(keys)
    }
}

/// Room for a file of this size, if that can be a record.
fn buffer(size: u64) -> Option<Vec<u8>> {
    let size = usize::try_from(size).ok()?;
    (size <= MAX_ENCODED_LENGTH).then(|| Vec::with_capacity(size))
}
