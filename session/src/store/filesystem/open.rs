//! Opening the folder, and refusing one that the store could not keep its promises in.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use rustix::fs::{Access, AtFlags, FlockOperation, Mode, OFlags, RawMode, flock};
use rustix::io::Errno;

use super::FilesystemStoreBuilder;
use super::files::Files;
use super::folder::Folder;
use super::kind::Kind;
use super::lock::{STRIPES, Stripes};
use super::names::Template;
use crate::store::StoreError;

/// The store's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The template cannot name files.
    #[error(
        "the file name template `{template}` must have exactly one `%s`, no path separator, no \
         leading dot, at most 120 bytes, and must not end in `.tmp`"
    )]
    Template {
        /// The template.
        template: String,
    },
    /// The mode would keep the store from its own files, or has other bits than permissions.
    #[error("the file mode {mode:o} must let the owner read and write, and set no special bits")]
    FileMode {
        /// The mode.
        mode: u32,
    },
    /// The folder could not be made, opened or looked at.
    #[error("the session folder {} cannot be opened", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// There is a symbolic link where the folder should be.
    #[error("{} is a symbolic link: name the folder itself", path.display())]
    Symlink {
        /// The path.
        path: PathBuf,
    },
    /// There is something else where the folder should be.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder belongs to another user.
    #[error("the session folder {} belongs to another user", path.display())]
    Owner {
        /// The folder.
        path: PathBuf,
    },
    /// Others than the owner may use the folder.
    #[error(
        "the session folder {} has mode {mode:o}, which lets others in: it must be 0700",
        path.display()
    )]
    Mode {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The process's umask takes the owner's own permissions away.
    #[error(
        "files made in {} cannot be read again: the process's umask takes the owner's permissions",
        path.display()
    )]
    Umask {
        /// The folder.
        path: PathBuf,
    },
    /// The notes whose sessions there are could not be made.
    #[error("the index of session owners in {} cannot be made", path.display())]
    Owners {
        /// The session folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<StoreError>,
    },
    /// The folder is on a network file system.
    #[error(
        "the session folder {} is on a network file system, whose locks and renames promise less \
         than a local one's; `allow_network_filesystem()` uses it all the same",
        path.display()
    )]
    NetworkFilesystem {
        /// The folder.
        path: PathBuf,
    },
    /// Locks do not exclude anybody.
    #[error("file locks do not work in the session folder {}", path.display())]
    NoLocks {
        /// The folder.
        path: PathBuf,
    },
}

pub(super) fn open(builder: FilesystemStoreBuilder) -> Result<Files<Folder>, OpenError> {
    let options = builder.options;
    // Without a trailing slash, which would follow a link in spite of `O_NOFOLLOW`.
    let path: PathBuf = builder.path.components().collect();
    let template = Template::parse(&options.template).ok_or_else(|| OpenError::Template {
        template: options.template.clone(),
    })?;
    if options.mode & 0o600 != 0o600 || options.mode & !0o777 != 0 {
        return Err(OpenError::FileMode { mode: options.mode });
    }
    let failed = |source: Errno| OpenError::Io {
        path: path.clone(),
        source: source.into(),
    };

    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .or_else(|error| match error.kind() {
            // Told in better words below.
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Ok(()),
            _ => Err(OpenError::Io {
                path: path.clone(),
                source: error,
            }),
        })?;
    let folder = open_folder(rustix::fs::CWD, &path, &path)?;
    let kind = Kind::from(rustix::fs::fstatfs(&folder).map_err(failed)?.f_type);
    if kind == Kind::Network && !builder.allow_network_filesystem {
        return Err(OpenError::NetworkFilesystem { path });
    }
    let locks = private_folder(&folder, "locks", &path)?;
    let quarantine = private_folder(&folder, "quarantine", &path)?;
    let owners = private_folder(&folder, "owners", &path)?;
    let files: Vec<OwnedFd> = (0..STRIPES)
        .map(|index| lock_file(&locks, index).map_err(failed))
        .collect::<Result<_, _>>()?;
    if let Some(file) = files.first() {
        let mode = rustix::fs::fstat(file).map_err(failed)?.st_mode;
        if mode & 0o600 != 0o600 {
            return Err(OpenError::Umask { path });
        }
        let other = lock_file(&locks, 0).map_err(failed)?;
        if !excludes(file, &other).map_err(failed)? {
            return Err(OpenError::NoLocks { path });
        }
    }
    let files = Files {
        disk: Folder {
            folder,
            is_local: kind == Kind::Local,
            quarantine,
            owners,
            user: rustix::process::geteuid().as_raw(),
            mode: Mode::from_raw_mode(options.mode as RawMode),
            masked_mode: OnceLock::new(),
        },
        stripes: Stripes::new(files.into_iter().map(Some), options.lock_timeout),
        template,
        options,
        sync_failed: AtomicBool::new(false),
    };
    note_owners(&files).map_err(|source| OpenError::Owners {
        path,
        source: Box::new(source),
    })?;
    Ok(files)
}

/// The mark that every session there is has been noted; its name is no key.
const NOTED: &str = "complete";

/// Where there are no notes whose sessions there are, as in a folder that was restored without them,
/// they are made.
fn note_owners(files: &Files<Folder>) -> Result<(), StoreError> {
    let owners = &files.disk.owners;
    let failed = |error: Errno| StoreError::Failed {
        operation: "note whose sessions there are",
        source: Box::new(io::Error::from(error)),
    };
    match rustix::fs::accessat(owners, NOTED, Access::EXISTS, AtFlags::empty()) {
        Ok(()) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(failed(error)),
    }
    files.note_all()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(owners, NOTED, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    Ok(())
}

/// A folder that belongs to this user, and that nobody else may use.
fn open_folder(
    parent: impl std::os::fd::AsFd,
    name: &Path,
    path: &Path,
) -> Result<OwnedFd, OpenError> {
    let owned = || path.to_owned();
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(folder) => folder,
        // Linux says so of a link when a folder is asked for, too.
        Err(Errno::LOOP | Errno::NOTDIR) if is_link(path) => {
            return Err(OpenError::Symlink { path: owned() });
        }
        Err(Errno::NOTDIR) => return Err(OpenError::NotAFolder { path: owned() }),
        Err(source) => {
            return Err(OpenError::Io {
                path: owned(),
                source: source.into(),
            });
        }
    };
    let status = rustix::fs::fstat(&folder).map_err(|source| OpenError::Io {
        path: owned(),
        source: source.into(),
    })?;
    if status.st_uid != rustix::process::geteuid().as_raw() {
        return Err(OpenError::Owner { path: owned() });
    }
    let mode = status.st_mode as u32 & 0o7777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Mode {
            path: owned(),
            mode,
        });
    }
    Ok(folder)
}

/// Only for the words of an error: nothing is decided by it.
fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

fn private_folder(folder: &OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, OpenError> {
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(source) => {
            return Err(OpenError::Io {
                path: path.join(name),
                source: source.into(),
            });
        }
    }
    open_folder(folder, Path::new(name), &path.join(name))
}

fn lock_file(locks: &OwnedFd, index: usize) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::openat(locks, format!("{index:02}"), flags, mode)
}

/// Whether a lock on one handle keeps the other one out. When somebody else has it, it does.
fn excludes(one: &OwnedFd, other: &OwnedFd) -> rustix::io::Result<bool> {
    match flock(one, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(true),
        result => result?,
    }
    let excluded = flock(other, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
    flock(one, FlockOperation::Unlock)?;
    Ok(excluded)
}
