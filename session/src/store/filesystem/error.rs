//! Why a folder is not opened, and what an error of the operating system means to the caller.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::store::StoreError;
use crate::telemetry::chain;

/// The store's folder cannot be used.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The setting cannot name files.
    #[error(
        "the file name `{file_name}` must have exactly one `{{}}`, no path separator, no control \
         character, no leading dot, at most 120 bytes, and must not end in `.tmp` or `.unreadable`"
    )]
    FileName {
        /// The setting.
        file_name: String,
    },
    /// The folder holds sessions whose files are named in another way.
    #[error(
        "the files of the sessions in {} are named `{found}`, not `{asked}`: open the folder with \
         `file_name(\"{found}\")`, or use another folder",
        path.display()
    )]
    OtherFileName {
        /// The folder.
        path: PathBuf,
        /// How its files are named.
        found: String,
        /// How they were to be named.
        asked: String,
    },
    /// The mode would keep the store from its own files, or has other bits than permissions.
    #[error("the file mode {mode:o} must let the owner read and write, and set no special bits")]
    FileMode {
        /// The mode.
        mode: u32,
    },
    /// The folder could not be made, opened or read.
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
    /// Other users than the owner may use the folder.
    #[error(
        "the session folder {} has mode {mode:o}, which admits other users: run `chmod 700` on it",
        path.display()
    )]
    Mode {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The process's umask removes the owner's own permissions.
    #[error(
        "files made in {} cannot be read again: the process's umask removes the owner's permissions",
        path.display()
    )]
    Umask {
        /// The folder.
        path: PathBuf,
    },
    /// The owner index could not be built.
    #[error("the owner index in {} could not be built", path.display())]
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
    /// File locks do not exclude each other here.
    #[error("file locks do not work in the session folder {}", path.display())]
    NoLocks {
        /// The folder.
        path: PathBuf,
    },
}

/// As its text, with its causes: that is what a program prints whose `main` returns it.
impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", chain(self))
    }
}

/// What an error of the operating system means to the caller: only what heals by itself is temporary.
///
/// A full disk heals when sessions expire and are swept. Missing permissions and a file system that became
/// read-only do not.
pub(super) fn store_error(operation: &'static str, error: io::Error) -> StoreError {
    use io::ErrorKind as Kind;

    let is_temporary = matches!(
        error.kind(),
        Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::TimedOut
            | Kind::OutOfMemory
            | Kind::WouldBlock
            | Kind::Interrupted
    ) || [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    let source = Box::new(error);
    if is_temporary {
        StoreError::Unavailable { operation, source }
    } else {
        StoreError::Failed { operation, source }
    }
}
