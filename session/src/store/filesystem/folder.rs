//! A real folder. It is opened once, and everything in it is reached relative to that: whatever is
//! done to the path later on, no other folder is ever touched.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode, RenameFlags, Stat};
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
    /// What the process's umask makes of it.
    pub(super) masked_mode: OnceLock<RawMode>,
    /// On a file system of this machine: opening a file whose name is in memory waits for nothing.
    pub(super) is_local: bool,
}

/// Never follows a link, never waits for a pipe's other end, is not handed to child processes.
const GUARDED: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// Noting that a file was read could wait for the file system's journal.
#[cfg(target_os = "linux")]
const UNNOTED: OFlags = OFlags::NOATIME;
#[cfg(not(target_os = "linux"))]
const UNNOTED: OFlags = OFlags::empty();

/// How often a note is tried against others who take the owner's folder away.
const NOTE_ATTEMPTS: u32 = 16;

impl Folder {
    /// The folder of an owner.
    fn owner(&self, owner: &OwnerName) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | GUARDED;
        retry_on_intr(|| rustix::fs::openat(&self.owners, owner.as_str(), flags, Mode::empty()))
    }

    /// A plain file of this user's under `name`, for `access`, and what is known of it; `None` when
    /// there is something else.
    fn open_file(&self, name: &str, access: OFlags) -> io::Result<Option<(File, Stat)>> {
        let open = |flags| {
            let open = || rustix::fs::openat(&self.folder, name, flags | GUARDED, Mode::empty());
            retry_on_intr(open)
        };
        // What is somebody else's may not be opened so.
        let opened = match open(access | UNNOTED) {
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
        // No link at all: it was replaced since it was opened, and is whole.
        let is_ours = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
            && status.st_uid == self.user
            && status.st_nlink <= 1;
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
}

/// An open file and how long it is.
pub(super) struct OpenFile {
    file: File,
    size: u64,
}

impl Disk for Folder {
    type File = OpenFile;

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
        let flags = OFlags::RDONLY | UNNOTED | GUARDED;
        let (mode, cached) = (Mode::empty(), ResolveFlags::CACHED);
        let file = match openat2(&self.folder, name, flags, mode, cached) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Some(Content::Missing),
            // The name is not in memory; or whatever it is, waiting for it finds out.
            Err(_) => return None,
        };
        let (file, status) = self.checked(file).ok().flatten()?;
        let (size, mut bytes) = buffer(&status)?;
        bytes.resize(usize::try_from(size).ok()?, 0);
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let read = preadv2(&file, into, 0, ReadWriteFlags::NOWAIT).ok()?;
        // Less: the rest is not in memory.
        (read as u64 == size).then(|| {
            bytes.truncate(read);
            Content::Bytes(bytes)
        })
    }

    fn create(&self, name: &str) -> io::Result<OpenFile> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | GUARDED;
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
                let is_like_new = self.masked_mode.get() == Some(&status.st_mode);
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

    fn wipe(&self, file: &OpenFile) -> io::Result<()> {
        // Zeros, as its blocks can then be written over.
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

    #[cfg(target_os = "linux")]
    fn exchange(&self, one: &str, other: &str) -> io::Result<bool> {
        let (folder, flags) = (&self.folder, RenameFlags::EXCHANGE);
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

/// The size of a file and room for it, if that can be a record.
fn buffer(status: &Stat) -> Option<(u64, Vec<u8>)> {
    let size = usize::try_from(status.st_size).ok()?;
    (size <= MAX_ENCODED_LENGTH).then(|| (size as u64, Vec::with_capacity(size)))
}
