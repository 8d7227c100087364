//! Records as files: one file a session, safe across threads, processes, `kill -9` and power cuts.
//!
//! The folder holds a file for each session, `locks/` with a fixed number of lock files that are
//! never removed, and `quarantine/` with what could not be read. See ARCHITECTURE.md for how a save
//! goes, system call by system call.

mod disk;
mod files;
mod folder;
mod index;
mod kind;
mod lock;
mod names;
mod open;
mod options;
mod put;
mod quarantine;
mod read;
mod sweep;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use files::Files;
use folder::Folder;
pub use open::OpenError;
pub use options::{Durability, FilesystemStoreBuilder};

use super::{Change, Created, Listing, Modified, SessionStore, StoreError, Swapped};
use crate::record::{Record, Revision};
use crate::{StoreKey, Timestamp};

/// Keeps each session in a file of its own, in one folder. Clones share it; so may any number of
/// processes on one machine.
///
/// The folder belongs to the store and to nobody else: it has mode 0700 and is owned by the user
/// that the process runs as, or it is not opened. File names are hashes of the ids; the names of
/// files that the store did not make are left alone.
///
/// Needs a tokio runtime, which every actix-web application has: each operation is one trip to a
/// blocking thread, but for loading what the kernel has in memory. Only Linux's durability is tested.
///
/// ```no_run
/// use session::{FilesystemStore, SessionManager};
///
/// let store = FilesystemStore::open("/var/lib/shop/sessions")?;
/// let sessions = SessionManager::builder(store).build();
/// # Ok::<(), session::OpenError>(())
/// ```
#[derive(Clone)]
pub struct FilesystemStore(Arc<Files<Folder>>);

impl FilesystemStore {
    /// Opens the store in the folder `path`, which is made when it is not there.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or does not belong to this store alone; see [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open()
    }

    /// Opens a store in a private folder of this user inside the system's temporary folder.
    ///
    /// For trying things out: whatever clears the temporary folder ends the sessions. The folder is
    /// checked like any other.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn in_temp_dir() -> Result<Self, OpenError> {
        let user = rustix::process::geteuid().as_raw();
        Self::open(std::env::temp_dir().join(format!("sessions-of-user-{user}")))
    }

    /// Settings for a store in the folder `path`.
    pub fn builder(path: impl AsRef<Path>) -> FilesystemStoreBuilder {
        FilesystemStoreBuilder::new(path.as_ref())
    }

    fn from_files(files: Files<Folder>) -> Self {
        FilesystemStore(Arc::new(files))
    }

    /// Runs `work` on a thread that may block. It runs to its end even when the future is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Files<Folder>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Failed {
            operation,
            source,
        };
        let runtime =
            tokio::runtime::Handle::try_current().map_err(|error| failed(Box::new(error)))?;
        let files = Arc::clone(&self.0);
        match runtime.spawn_blocking(move || work(&files)).await {
            Ok(result) => result,
            Err(error) => Err(failed(Box::new(error))),
        }
    }

    fn pages(&self) -> Listing {
        let store = self.clone();
        Listing::pages(None, move |position| {
            let store = store.clone();
            async move {
                let page = store
                    .blocking("list", move |files| files.page(position))
                    .await;
                match page {
                    Ok((sessions, Some(position))) => Some((sessions, Some(position))),
                    Ok((sessions, None)) if sessions.is_empty() => None,
                    // The last page, after which the position says that there is no more.
                    Ok((sessions, None)) => Some((sessions, Some(sweep::Position::end()))),
                    Err(error) => Some((vec![Err(error)], Some(sweep::Position::end()))),
                }
            }
        })
    }
}

impl fmt::Debug for FilesystemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesystemStore").finish_non_exhaustive()
    }
}

impl SessionStore for FilesystemStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        // Most are in memory: a trip to another thread would take several times as long as reading them.
        if let Some(Ok(found)) = self.0.load_cached(key) {
            return Ok(found);
        }
        let key = key.clone();
        self.blocking("load", move |files| files.load(&key)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        let (key, record) = (key.clone(), record.clone());
        self.blocking("create", move |files| files.create(&key, &record))
            .await
    }

    async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        let (key, record) = (key.clone(), record.clone());
        self.blocking("update", move |files| files.update(&key, &record, expected))
            .await
    }

    async fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        let key = key.clone();
        self.blocking("delete", move |files| files.delete(&key, expected))
            .await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = key.clone();
        self.blocking("touch", move |files| files.touch(&key, last_seen, expires))
            .await
    }

    fn list(&self) -> Listing {
        self.pages()
    }

    fn find(&self, owner: &str) -> Listing {
        let (store, owner) = (self.clone(), owner.to_owned());
        Listing::pages(None, move |left: Option<Vec<StoreKey>>| {
            let (store, owner) = (store.clone(), owner.clone());
            async move {
                if left.as_ref().is_some_and(Vec::is_empty) {
                    return None;
                }
                let page = store.blocking("find", move |files| files.find_page(&owner, left));
                Some(match page.await {
                    Ok((sessions, left)) => (sessions, Some(left)),
                    Err(error) => (vec![Err(error)], Some(Vec::new())),
                })
            }
        })
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut position = None;
        loop {
            let (count, next) = self
                .blocking("remove expired sessions", move |files| {
                    files.remove_expired_page(position, now)
                })
                .await?;
            removed += count;
            match next {
                Some(next) => position = Some(next),
                None => return Ok(removed),
            }
        }
    }

    async fn modify(
        &self,
        key: &StoreKey,
        _base: &Record,
        change: &Change,
    ) -> Result<Modified, StoreError> {
        let (key, change) = (key.clone(), Arc::clone(change));
        self.blocking("save", move |files| files.modify(&key, &*change))
            .await
    }
}

/// What an operating system's error means to the caller: what time may heal is unavailable.
fn store_error(operation: &'static str, error: io::Error) -> StoreError {
    use io::ErrorKind as Kind;
    use rustix::io::Errno;

    let is_temporary = matches!(
        error.kind(),
        Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::TimedOut
            | Kind::OutOfMemory
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
