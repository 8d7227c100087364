//! Opening the folder, and refusing one that the store could not keep its promises in.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FlockOperation, Mode, OFlags, RawMode, flock};
use rustix::io::Errno;

use super::directory::Directory;
use super::engine::{Engine, random};
use super::error::OpenError;
use super::index_folder::OWNERS;
use super::kind::FsKind;
use super::lock::{LOCKS, LockTable, STRIPES, open_lock_file};
use super::names::FileNames;
use super::options::FilesystemStoreBuilder;

/// Says in each folder how its files are named.
const FILE_NAME: &str = "file-name";

/// Says that the owner index has an entry for each session. Its name is no owner's.
const COMPLETE: &str = "complete";

pub(super) fn open(builder: FilesystemStoreBuilder) -> Result<Engine<Directory>, OpenError> {
    let options = builder.options;
    // Without a trailing slash, which would follow a link in spite of `O_NOFOLLOW`.
    let path: PathBuf = builder.path.components().collect();
    let names = FileNames::parse(&options.file_name).ok_or_else(|| OpenError::FileName {
        file_name: options.file_name.clone(),
    })?;
    if options.mode & 0o600 != 0o600 || options.mode & !0o777 != 0 {
        return Err(OpenError::FileMode { mode: options.mode });
    }
    let mode = RawMode::try_from(options.mode)
        .map_err(|_| OpenError::FileMode { mode: options.mode })
        .map(Mode::from_raw_mode)?;
    let failed = |source: io::Error| OpenError::Io {
        path: path.clone(),
        source,
    };

    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .or_else(|error| match error.kind() {
            // Told in better words below.
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Ok(()),
            _ => Err(failed(error)),
        })?;
    let folder = open_folder(rustix::fs::CWD, &path, &path)?;
    let status = rustix::fs::fstatfs(&folder).map_err(|error| failed(error.into()))?;
    let kind = FsKind::of(status.f_type);
    if kind == FsKind::Network && !builder.allow_network_filesystem {
        return Err(OpenError::NetworkFilesystem { path });
    }
    for name in [LOCKS, OWNERS] {
        make_private_folder(&folder, name, &path)?;
    }
    let files: Vec<OwnedFd> = (0..STRIPES)
        .map(|index| open_lock_file(&folder, index).map_err(failed))
        .collect::<Result<_, _>>()?;
    check_locks(&folder, &files, &path)?;
    check_file_name(&folder, &options.file_name, &path)?;

    let user = rustix::process::geteuid().as_raw();
    let root = folder.try_clone().map_err(failed)?;
    let locks = LockTable::new(
        Some(root),
        files.into_iter().map(Some),
        options.lock_timeout,
    );
    let fs = Directory::new(folder, user, mode, kind == FsKind::Local);
    let engine = Engine::new(fs, locks, names, options);
    build_index(&engine, &path)?;
    Ok(engine)
}

/// Refuses locks that exclude nothing, and files that cannot be opened again.
fn check_locks(folder: &OwnedFd, files: &[OwnedFd], path: &Path) -> Result<(), OpenError> {
    let failed = |source: io::Error| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let Some(file) = files.first() else {
        return Ok(());
    };
    let mode = rustix::fs::fstat(file).map_err(|error| failed(error.into()))?;
    if mode.st_mode & 0o600 != 0o600 {
        return Err(OpenError::Umask {
            path: path.to_owned(),
        });
    }
    let other = open_lock_file(folder, 0).map_err(failed)?;
    if excludes(file, &other).map_err(|error| failed(error.into()))? {
        Ok(())
    } else {
        Err(OpenError::NoLocks {
            path: path.to_owned(),
        })
    }
}

/// Whether a lock on one handle keeps the other one out. When another process has it, it does.
fn excludes(one: &OwnedFd, other: &OwnedFd) -> rustix::io::Result<bool> {
    match flock(one, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(true),
        result => result?,
    }
    let excluded = flock(other, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
    flock(one, FlockOperation::Unlock)?;
    Ok(excluded)
}

/// Refuses a folder whose files are named in another way: neither store would see the other's sessions,
/// and each would take the other's index entries for stale.
fn check_file_name(folder: &OwnedFd, asked: &str, path: &Path) -> Result<(), OpenError> {
    let failed = |source: io::Error| OpenError::Io {
        path: path.join(FILE_NAME),
        source,
    };
    let mut found = read_line(folder, FILE_NAME).map_err(failed)?;
    if found.is_none() {
        write_line(folder, FILE_NAME, asked).map_err(failed)?;
        // Another process may have been faster: the first one to open the folder decides.
        found = read_line(folder, FILE_NAME).map_err(failed)?;
    }
    match found {
        Some(found) if found != asked => Err(OpenError::OtherFileName {
            path: path.to_owned(),
            found,
            asked: asked.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn read_line(folder: &OwnedFd, name: &str) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut line = [0; 256];
    let length = rustix::io::read(&file, &mut line[..])?;
    let line = String::from_utf8_lossy(&line[..length]);
    Ok(Some(line.trim_end_matches('\n').to_owned()))
}

/// Makes a file with this line, unless there is a file of this name.
fn write_line(folder: &OwnedFd, name: &str, line: &str) -> io::Result<()> {
    let temporary = format!(".{name}.{:016x}.tmp", random()?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = std::fs::File::from(file);
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    let linked = rustix::fs::linkat(folder, &temporary, folder, name, AtFlags::empty());
    rustix::fs::unlinkat(folder, &temporary, AtFlags::empty())?;
    match linked {
        Ok(()) | Err(Errno::EXIST) => Ok(rustix::fs::fsync(folder)?),
        Err(error) => Err(error.into()),
    }
}

/// Builds the owner index of a folder that has none, as one that was restored without it.
fn build_index(engine: &Engine<Directory>, path: &Path) -> Result<(), OpenError> {
    let folder = &engine.fs.folder;
    let failed = |source: Errno| OpenError::Io {
        path: path.join(OWNERS),
        source: source.into(),
    };
    let complete = format!("{OWNERS}/{COMPLETE}");
    match rustix::fs::accessat(folder, &complete, Access::EXISTS, AtFlags::empty()) {
        Ok(()) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(failed(error)),
    }
    engine.index_all().map_err(|source| OpenError::Owners {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, &complete, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    Ok(())
}

fn make_private_folder(folder: &OwnedFd, name: &str, path: &Path) -> Result<(), OpenError> {
    let path = path.join(name);
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(source) => {
            let source = source.into();
            return Err(OpenError::Io { path, source });
        }
    }
    open_folder(folder, Path::new(name), &path).map(drop)
}

/// A folder that belongs to this user, and that no other user may use.
fn open_folder(parent: impl AsFd, name: &Path, path: &Path) -> Result<OwnedFd, OpenError> {
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
    let permissions = Mode::from_raw_mode(status.st_mode);
    if permissions.intersects(Mode::RWXG | Mode::RWXO) {
        return Err(OpenError::Mode {
            path: owned(),
            mode: status.st_mode as u32 & 0o7777,
        });
    }
    Ok(folder)
}

/// Only for the words of an error: nothing is decided by it.
fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}
