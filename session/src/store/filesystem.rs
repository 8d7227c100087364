//! Records as files: one file a session, safe across threads, processes, `kill -9` and power cuts.
//!
//! The folder holds a file for each session, `locks/` with a fixed number of lock files, `owners/` with
//! the index of whose sessions there are, and `file-name`, which says how the files are named. Unreadable
//! records are renamed in place. ARCHITECTURE.md describes a save, system call by system call.
//!
//! The files below this one import each other in one direction: `names`, `error`, `options`, `kind`;
//! then `lock`, `fs`; `engine`; `read`, `index`; `replace`, `sweep`; `operations`; and this one.

mod backup;
mod call;
mod count;
mod directory;
mod engine;
mod error;
mod fs;
mod index;
mod index_folder;
mod kind;
mod list;
mod lock;
mod names;
mod open;
mod operations;
mod options;
mod quarantine;
mod read;
mod recycle;
mod replace;
mod sweep;
mod tasks;
#[cfg(test)]
mod tests;
mod waiter;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use error::OpenError;
pub use options::{Durability, FilesystemStoreBuilder};

use self::directory::Directory;
use self::engine::Engine;
use self::list::Place;
use self::lock::LockGuard;
use super::{
    CreateOutcome, Cursor, DeleteOutcome, ModifyOutcome, Page, RecordUpdate, SessionStore,
    StoreError, UpdateOutcome,
};
use crate::record::{DecodeError, Record, Revision};
use crate::{SessionKey, Timestamp};

/// Keeps each session in a file of its own, in one folder. Clones share it; so may any number of
/// processes on one machine.
///
/// The folder belongs to the store alone: it has mode 0700 and is owned by the user that the process runs
/// as, or it is not opened. Files are named by the sessions' keys; the store leaves files alone whose names
/// it did not make.
///
/// Needs a tokio runtime, which every actix-web application has: each operation is one trip to a
/// blocking thread, except for loading what the kernel has in memory. Only Linux's durability is tested.
///
/// # Backups
///
/// A program that copies the files of a folder in use (`tar`, `cp`, `rsync`) can copy zeros in the place of
/// a session that is saved at that moment. [`back_up`](Self::back_up) makes a folder whose files never
/// change; copy that one, and remove it then. A snapshot of the whole file system is as good. To restore,
/// put the files into an empty folder of mode 0700 and open it; the owner index is built then.
///
/// # What holds across processes
///
/// - A lock file that is removed is noticed, and made again. Only a process that starts while another one is
///   in the middle of a save can miss that one's lock then.
/// - A process that dies between a change and its sync leaves a mark in the stripe's lock file. The next
///   operation on that part of the sessions that would acknowledge the change syncs first.
///
/// # Example
///
/// ```no_run
/// use session::{FilesystemStore, SessionManager};
///
/// let store = FilesystemStore::open("/var/lib/shop/sessions")?;
/// let sessions = SessionManager::builder(store).build();
/// # Ok::<(), session::OpenError>(())
/// ```
#[derive(Clone)]
pub struct FilesystemStore(Arc<Engine<Directory>>);

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

    /// Makes a backup of the sessions while they are in use, and gives how many there are in it.
    ///
    /// The backup is the folder `into`, which must not be there yet and must be on the same file system: it
    /// holds a hard link to each session's file, so it takes no time to copy and no space. Each session is as it
    /// was at some moment during the call. Copy the folder wherever the backup belongs, and remove it: until
    /// then the first save or touch of each session makes a file instead of writing to one that there is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] when `into` is there already, cannot be made, or is on another file system.
    pub async fn back_up(&self, into: impl AsRef<Path>) -> Result<usize, StoreError> {
        const OPERATION: &str = "back up the sessions";
        let into = into.as_ref().to_owned();
        let begin = move |engine: &Engine<Directory>| engine.begin_backup(&into);
        let mut backup = tasks::blocking(&self.0, OPERATION, begin).await?;
        loop {
            let piece = move |engine: &Engine<Directory>| {
                let has_more = engine.back_up_piece(&mut backup)?;
                Ok((backup, has_more))
            };
            let has_more;
            (backup, has_more) = tasks::blocking(&self.0, OPERATION, piece).await?;
            if !has_more {
                return Ok(backup.sessions);
            }
        }
    }
}

impl FilesystemStoreBuilder {
    /// Opens the store.
    ///
    /// # Errors
    ///
    /// When the settings are wrong, or the folder cannot be made or does not belong to this store
    /// alone; see [`OpenError`].
    pub fn open(self) -> Result<FilesystemStore, OpenError> {
        let engine = open::open(self)?;
        Ok(FilesystemStore(Arc::new(engine)))
    }
}

fn place(cursor: Option<&Cursor>, operation: &'static str) -> Result<Option<Place>, StoreError> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    match cursor.get::<Place>() {
        Some(place) => Ok(Some(place.clone())),
        None => Err(StoreError::Failed {
            operation,
            source: "the cursor is another store's".into(),
        }),
    }
}

impl fmt::Debug for FilesystemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesystemStore").finish_non_exhaustive()
    }
}

impl SessionStore for FilesystemStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        // A call that was abandoned half-way is carried out first.
        if !self.0.locks.has_abandoned_calls(key) {
            // Most are in memory: a trip to another thread would take several times as long as reading them.
            if let Some(Ok(found)) = self.0.load_cached(key) {
                return Ok(found);
            }
            let key = *key;
            let loaded = tasks::blocking(&self.0, "load", move |engine| engine.load_unlocked(&key));
            match loaded.await {
                Err(StoreError::Unreadable(DecodeError::Unreadable)) => {}
                loaded => return loaded,
            }
        }
        let load = |engine: &Engine<Directory>, guard: &mut LockGuard, key: &SessionKey| {
            engine.load_locked(guard, key)
        };
        tasks::locked(&self.0, key, "load", load).await
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        if let Some(limit) = self.0.options.max_sessions
            && self.0.count.is_due(limit)
        {
            let count = |engine: &Engine<Directory>| {
                let began = engine.count.begin();
                engine.count.end(began, engine.count_sessions()?);
                Ok(())
            };
            tasks::blocking(&self.0, "create", count).await?;
        }
        let record = record.clone();
        tasks::locked(&self.0, key, "create", move |engine, guard, key| {
            engine.create(guard, key, &record)
        })
        .await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let record = record.clone();
        tasks::locked(&self.0, key, "update", move |engine, guard, key| {
            engine.update(guard, key, &record, expected)
        })
        .await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        tasks::locked(&self.0, key, "delete", move |engine, guard, key| {
            engine.delete(guard, key, expected)
        })
        .await
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        let place = place(after.as_ref(), "list")?;
        tasks::blocking(&self.0, "list", move |engine| engine.page(place, at_most)).await
    }

    async fn modify(
        &self,
        key: &SessionKey,
        _base: Option<&Record>,
        change: &RecordUpdate,
    ) -> Result<ModifyOutcome, StoreError> {
        let change = Arc::clone(change);
        tasks::locked(&self.0, key, "save", move |engine, guard, key| {
            engine.modify(guard, key, &*change)
        })
        .await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        tasks::locked(&self.0, key, "touch", move |engine, guard, key| {
            engine.touch(guard, key, last_seen, expires, expected)
        })
        .await
    }

    async fn sessions_of(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        const OPERATION: &str = "list the sessions of an owner";
        let (owner, place) = (owner.to_owned(), place(after.as_ref(), OPERATION)?);
        tasks::blocking(&self.0, OPERATION, move |engine| {
            engine.page_of(&owner, place, at_most)
        })
        .await
    }

    async fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        let mut taken = Vec::new();
        while taken.len() < at_most {
            let at_most = at_most - taken.len();
            let piece = tasks::blocking(&self.0, "remove expired sessions", move |engine| {
                engine.sweep_piece(now, at_most)
            });
            let mut piece = match piece.await {
                Ok(piece) => piece,
                // What has been taken must be told; the next call meets the error again.
                Err(_) if !taken.is_empty() => break,
                Err(error) => return Err(error),
            };
            taken.append(&mut piece.taken);
            if piece.is_complete && !piece.is_to_be_repeated {
                break;
            }
        }
        Ok(taken)
    }
}
