//! The store on a simulated file system, whose power can be cut and whose operations can fail, and
//! on real folders.

mod calls;
mod failures;
mod index;
mod locks;
mod open;
mod power_cuts;
mod recycling;
mod simulated;
mod store;
mod sweep;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use simulated::SimulatedFs;

use super::engine::Engine;
use super::fs::FileSystem;
use super::lock::{LockTable, STRIPES};
use super::names::FileNames;
use super::options::{Durability, FilesystemStoreBuilder};
use super::recycle::unmask;
use crate::record::{Changes, Field, Record, Revision};
use crate::store::{
    CreateOutcome, Decision, DeleteOutcome, ModifyOutcome, Page, StoreError, UpdateOutcome,
};
use crate::{DecodeError, SessionKey, SessionToken, Timestamp, seconds};

static VALUE: Field = Field::new("value");

const DURABILITIES: [Durability; 2] = [Durability::Durable, Durability::Relaxed];

/// The operations as the store has them, each with its lock.
struct Operations<F: FileSystem>(Engine<F>);

impl<F: FileSystem> Operations<F> {
    fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        match self.0.load_unlocked(key) {
            Err(StoreError::Unreadable(DecodeError::Unreadable)) => {
                self.0.load_locked(&self.0.lock(key, "load")?, key)
            }
            loaded => loaded,
        }
    }

    fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.0.create(&mut self.0.lock(key, "create")?, key, record)
    }

    fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let mut guard = self.0.lock(key, "update")?;
        self.0.update(&mut guard, key, record, expected)
    }

    fn modify(
        &self,
        key: &SessionKey,
        change: impl Fn(&Record) -> Decision,
    ) -> Result<ModifyOutcome, StoreError> {
        self.0.modify(&mut self.0.lock(key, "save")?, key, &change)
    }

    fn save(
        &self,
        key: &SessionKey,
        change: impl Fn(&Record) -> Record,
    ) -> Result<ModifyOutcome, StoreError> {
        self.modify(key, |record| Decision::Replace(change(record)))
    }

    fn touch(
        &self,
        key: &SessionKey,
        last_seen: u64,
        expires: u64,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let (last_seen, expires) = (at(last_seen), at(expires));
        let mut guard = self.0.lock(key, "touch")?;
        self.0.touch(&mut guard, key, last_seen, expires, expected)
    }

    fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        let mut guard = self.0.lock(key, "delete")?;
        self.0.delete(&mut guard, key, expected)
    }

    /// The keys of all sessions of `owner`.
    fn keys_of(&self, owner: &str) -> Vec<SessionKey> {
        let page = self.0.page_of(owner, None, usize::MAX).unwrap();
        assert!(page.next.is_none() && page.unreadable.is_empty());
        keys(&page)
    }

    /// A whole sweep: what it removed.
    fn sweep(&self, now: u64) -> Vec<SessionKey> {
        let mut taken = Vec::new();
        loop {
            let piece = self.0.sweep_piece(at(now), usize::MAX).unwrap();
            taken.extend(piece.taken.into_iter().map(|(key, _)| key));
            if piece.is_complete {
                return taken;
            }
        }
    }
}

fn keys(page: &Page) -> Vec<SessionKey> {
    page.sessions.iter().map(|session| session.key).collect()
}

fn simulated(fs: &SimulatedFs, durability: Durability) -> Operations<SimulatedFs> {
    let mut options = FilesystemStoreBuilder::new(Path::new("unused")).options;
    options.durability = durability;
    let locks = LockTable::new(None, (0..STRIPES).map(|_| None), seconds(2));
    let names = FileNames::parse("{}.session").unwrap();
    Operations(Engine::new(fs.clone(), locks, names, options))
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn key() -> SessionKey {
    SessionToken::generate().unwrap().key()
}

/// The first of these keys is in a stripe of its own.
fn key_of_stripe(stripe: u8, number: u8) -> SessionKey {
    let mut bytes = [number; 16];
    bytes[0] = stripe;
    SessionKey::from_bytes(bytes)
}

fn record(value: u8) -> Record {
    changed(&Record::new(at(1), at(1000)), value)
}

fn changed(record: &Record, value: u8) -> Record {
    let mut changes = Changes::default();
    changes.set(&VALUE, vec![value & 0x7f], None);
    record.merge(&changes, Timestamp::default()).unwrap()
}

fn owned(record: &Record, owner: &str) -> Record {
    let owner = Some(String::from(owner));
    Record {
        owner,
        ..record.clone()
    }
}

/// As a reader that holds the lock decodes it.
fn decode(key: &SessionKey, bytes: &[u8]) -> Result<Record, DecodeError> {
    let mut bytes = bytes.to_vec();
    unmask(&mut bytes);
    Record::decode(key, bytes)
}

/// A folder of this test's own, which is removed with it.
struct TestFolder(PathBuf);

impl TestFolder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("session-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        TestFolder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn record(&self, key: &SessionKey) -> PathBuf {
        self.path(&format!("{key}.session"))
    }

    /// The names of the files in the folder that are not the store's own.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter(|name| !["locks", "owners", "file-name"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }

    fn builder(&self) -> FilesystemStoreBuilder {
        FilesystemStoreBuilder::new(&self.0).durability(Durability::Relaxed)
    }

    fn operations(&self) -> Operations<super::directory::Directory> {
        Operations(super::open::open(self.builder()).unwrap())
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
