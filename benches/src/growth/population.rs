//! A folder of very many sessions, made fast: the files are written side by side with the layout that
//! ARCHITECTURE.md describes, as the store itself would wait for the disk for every session that has an
//! owner. That it is the right layout, the measurements show: the store finds all of them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use session::{CookieSettings, FilesystemStore, Record, SessionId, StoreKey, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::visit;

/// How many sessions an owner has.
const SESSIONS_PER_OWNER: usize = 10;

/// One session in so many ends early.
const EARLY: usize = 100;

/// When it does: in 2100.
const EARLY_EXPIRY: u64 = 4_102_444_800_000;

/// When the others do: in 2200.
const LATE_EXPIRY: u64 = 7_258_118_400_000;

/// When the early ones are over and the others are not: in 2150.
const BETWEEN: u64 = 5_680_281_600_000;

const THREADS: usize = 4;

/// The sessions with the numbers below `count`. All of them follow from their numbers.
#[derive(Debug, Clone)]
pub struct Population {
    /// How many there are.
    pub count: usize,
    cookie_name: String,
    record: Record,
}

impl Population {
    /// So many sessions.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Population {
            count,
            cookie_name: CookieSettings::default().name().to_owned(),
            record: visit::record(),
        }
    }

    /// What the client of a session holds: its number, spelled like an id.
    #[must_use]
    pub fn cookie(&self, number: usize) -> String {
        format!("{number:042}A")
    }

    /// What the store knows a session by.
    ///
    /// # Panics
    ///
    /// Never: the cookies are well formed.
    #[must_use]
    pub fn key(&self, number: usize) -> StoreKey {
        let id = SessionId::parse(&self.cookie(number)).expect("well formed");
        StoreKey::new(&self.cookie_name, &id)
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self, number: usize) -> String {
        format!("visitor {}", number / SESSIONS_PER_OWNER)
    }

    /// How many sessions that owner has.
    #[must_use]
    pub fn sessions_of_owner(&self, number: usize) -> usize {
        let first = number / SESSIONS_PER_OWNER * SESSIONS_PER_OWNER;
        SESSIONS_PER_OWNER.min(self.count - first)
    }

    /// Whether it ends before [`between`](Self::between).
    #[must_use]
    pub fn is_early(&self, number: usize) -> bool {
        number.is_multiple_of(EARLY)
    }

    /// How many do.
    #[must_use]
    pub fn early(&self) -> usize {
        self.count.div_ceil(EARLY)
    }

    /// A moment when one session in a hundred is over.
    #[must_use]
    pub fn between() -> Timestamp {
        Timestamp::from_millis(BETWEEN)
    }

    /// When most sessions end.
    #[must_use]
    pub fn late_expiry() -> Timestamp {
        Timestamp::from_millis(LATE_EXPIRY)
    }

    fn record(&self, number: usize) -> Record {
        let mut record = self.record.clone();
        record.owner = Some(self.owner(number));
        record.expires = Timestamp::from_millis(if self.is_early(number) {
            EARLY_EXPIRY
        } else {
            LATE_EXPIRY
        });
        record
    }
}

/// Writes all sessions into the folder, or only those that end early.
///
/// # Panics
///
/// When the disk is full, for example.
pub fn populate(population: &Population, folder: &Path, only_early: bool) {
    // Makes the folders, and the mark that the owners are complete while there are no sessions yet.
    drop(FilesystemStore::open(folder).expect("a store"));
    let (places, step) = if only_early {
        (population.early(), EARLY)
    } else {
        (population.count, 1)
    };
    // Whole owners to each thread.
    let share = places
        .div_ceil(THREADS)
        .next_multiple_of(SESSIONS_PER_OWNER);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let numbers = (thread * share).min(places)..((thread + 1) * share).min(places);
            scope.spawn(move || {
                for number in numbers {
                    write(population, folder, number * step);
                }
            });
        }
    });
}

/// As the store does it, but for the syncs: the hint, a temporary file, its bytes, its name.
fn write(population: &Population, folder: &Path, number: usize) {
    let key = population.key(number);
    let owner = folder
        .join("owners")
        .join(owner_name(&population.owner(number)));
    match DirBuilder::new().mode(0o700).create(&owner) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => panic!("no folder for an owner: {error}"),
    }
    create(&owner.join(key.as_str()));
    let name = format!("{}.session", key.as_str());
    let temporary = folder.join(format!(".{name}.{number:016x}.tmp"));
    let bytes = population.record(number).encode(&key);
    create(&temporary).write_all(&bytes).expect("written");
    std::fs::rename(temporary, folder.join(name)).expect("renamed");
}

fn create(path: &Path) -> File {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("created")
}

fn owner_name(owner: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"session owner v1\0");
    hasher.update(owner.as_bytes());
    let digits = hasher.finalize();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}
