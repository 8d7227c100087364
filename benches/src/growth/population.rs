//! A folder of very many sessions, made fast: the files are written side by side with the layout that
//! docs/operating.md describes, as the store itself would wait for the disk for every session that has an
//! owner. That it is the right layout, the measurements show: the store finds all of them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session::{FilesystemStore, Record, SessionKey, SessionToken, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::visit::Records;

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
}

impl Population {
    /// So many sessions.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Population { count }
    }

    /// What the client of a session holds.
    #[must_use]
    pub fn cookie(&self, number: usize) -> String {
        self.token(number).expose()
    }

    /// What the store knows a session by.
    #[must_use]
    pub fn key(&self, number: usize) -> SessionKey {
        self.token(number).key()
    }

    /// The key is the beginning of a hash of the number, so that neighbours in number are none in the
    /// folder. The secret is the rest of it.
    fn token(&self, number: usize) -> SessionToken {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(number.to_be_bytes()));
        SessionToken::parse(&hash).expect("32 bytes are a token")
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

    fn record(&self, records: &Records, number: usize) -> Record {
        let mut record = records.record(&self.token(number));
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
                let records = Records::new();
                for number in numbers {
                    write(population, &records, folder, number * step);
                }
            });
        }
    });
}

/// As the store does it, but for the syncs: the index entry, a temporary file, its bytes, its name.
fn write(population: &Population, records: &Records, folder: &Path, number: usize) {
    let key = population.key(number);
    let owner = folder
        .join("owners")
        .join(owner_name(&population.owner(number)));
    match DirBuilder::new().mode(0o700).create(&owner) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => panic!("no folder for an owner: {error}"),
    }
    create(&owner.join(key.to_string()));
    let name = format!("{key}.session");
    let temporary = folder.join(format!(".{name}.{number:016x}.tmp"));
    let bytes = population.record(records, number).encode(&key);
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
