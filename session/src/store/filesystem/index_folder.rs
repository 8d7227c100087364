//! The files of the owner index in a real folder: `owners/<hash of the owner>/<key>`.
//!
//! All paths are relative to the session folder, so that an index which was removed by hand is made again by
//! the next entry.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, Dir, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::names::OwnerName;
use crate::SessionKey;

/// The folder of the owner index.
pub(super) const OWNERS: &str = "owners";

/// How often an entry is tried to be added while other processes remove the owner's folder.
const ATTEMPTS: u32 = 16;

/// Never follows a link, never waits for a pipe's other end, is not handed to child processes.
pub(super) const SAFE_OPEN: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

pub(super) fn add(
    root: &OwnedFd,
    mode: Mode,
    owner: &OwnerName,
    key: &SessionKey,
) -> io::Result<()> {
    let folder = add_unsynced(root, mode, owner, key)?;
    rustix::fs::fsync(&folder)?;
    Ok(rustix::fs::fsync(open_folder(root, OWNERS)?)?)
}

/// Gives the folder that the entry is in.
pub(super) fn add_unsynced(
    root: &OwnedFd,
    mode: Mode,
    owner: &OwnerName,
    key: &SessionKey,
) -> io::Result<OwnedFd> {
    let path = path(owner);
    let flags = OFlags::WRONLY | OFlags::CREATE | SAFE_OPEN;
    for _ in 0..ATTEMPTS {
        let folder = make_folder(root, &path)?;
        let open = || rustix::fs::openat(&folder, key.to_string(), flags, mode);
        match retry_on_intr(open) {
            Ok(_) => return Ok(folder),
            // Another process has removed the folder meanwhile.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::AGAIN.into())
}

pub(super) fn has(root: &OwnedFd, owner: &OwnerName, key: &SessionKey) -> io::Result<bool> {
    let entry = format!("{}/{key}", path(owner));
    match rustix::fs::accessat(root, entry, Access::EXISTS, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes an entry, and the owner's folder after the last one.
pub(super) fn remove(root: &OwnedFd, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
    let path = path(owner);
    rustix::fs::unlinkat(root, format!("{path}/{key}"), AtFlags::empty())?;
    match rustix::fs::unlinkat(root, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The folder of an owner; `None` when there is none.
pub(super) fn entries(root: &OwnedFd, owner: &OwnerName) -> io::Result<Option<Dir>> {
    read_folder(root, &path(owner))
}

/// The folder of all owners; `None` when there is none.
pub(super) fn owners(root: &OwnedFd) -> io::Result<Option<Dir>> {
    read_folder(root, OWNERS)
}

fn path(owner: &OwnerName) -> String {
    format!("{OWNERS}/{}", owner.as_str())
}

fn open_folder(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | SAFE_OPEN;
    retry_on_intr(|| rustix::fs::openat(root, path, flags, Mode::empty()))
}

fn read_folder(root: &OwnedFd, path: &str) -> io::Result<Option<Dir>> {
    match open_folder(root, path) {
        Ok(folder) => Ok(Some(Dir::read_from(&folder)?)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the folder of an owner, and the one of the index when it is missing; gives the former.
fn make_folder(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    for _ in 0..ATTEMPTS {
        match rustix::fs::mkdirat(root, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            // The whole index was removed by hand.
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(root, OWNERS, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                rustix::fs::fsync(root)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        // A process that removes the last entry of an owner removes the folder, too.
        match open_folder(root, path) {
            Ok(folder) => return Ok(folder),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::AGAIN.into())
}
