//! Single operations on sessions that are chosen at random, each timed by itself, beside the bare
//! system calls on the same files.

use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};
use session::{
    Durability, FilesystemStore, Record, Session, SessionManager, SessionStore as _, Timestamp,
    UpdateOutcome, days,
};
use tokio::runtime::Runtime;

use super::bare::file_name;
use super::{Folder, Population};
use crate::random::Random;
use crate::samples::Samples;
use crate::visit::{Visit, decode};

struct Bench {
    population: Population,
    folder: Folder,
    lock: OwnedFd,
    runtime: Runtime,
    store: FilesystemStore,
    manager: SessionManager,
    random: Random,
}

type Operation = fn(&mut Bench) -> Duration;

/// Every operation, what it is called first.
const OPERATIONS: [(&str, Operation); 10] = [
    ("bare", Bench::bare),
    ("bare_decoded", Bench::bare_decoded),
    ("bare_save", Bench::bare_save),
    ("hop", Bench::hop),
    ("load", Bench::load),
    ("get", Bench::get),
    ("save", Bench::save),
    ("swap", Bench::swap),
    ("touch", Bench::touch),
    ("find", Bench::find),
];

/// The times of all operations, which take turns.
///
/// # Panics
///
/// When the store does not do what it should.
#[must_use]
pub fn operations(population: &Population, path: &Path, rounds: usize, turn: usize) -> Value {
    let mut bench = Bench::new(population, path);
    let mut samples: Vec<Samples> = OPERATIONS.iter().map(|_| Samples::default()).collect();
    // One round that does not count.
    for round in 0..=rounds {
        for ((_, operation), samples) in OPERATIONS.iter().zip(&mut samples) {
            // The same sessions once before, as some machines empty their page cache by themselves.
            let before = bench.random.clone();
            for _ in 0..turn {
                operation(&mut bench);
            }
            bench.random = before;
            for _ in 0..turn {
                samples.push(operation(&mut bench));
            }
            samples.end_turn();
            if round == 0 {
                samples.clear();
            }
        }
    }
    let told = OPERATIONS.iter().zip(samples);
    let told = told.map(|((name, _), samples)| (String::from(*name), json!(samples.quantiles())));
    Value::Object(told.collect::<Map<_, _>>())
}

/// Does one of the operations again and again, for a profiler.
///
/// # Panics
///
/// When there is no such operation.
pub fn repeat(population: &Population, path: &Path, name: &str, times: usize) {
    let mut bench = Bench::new(population, path);
    let operation = OPERATIONS.iter().find(|(known, _)| *known == name);
    let (_, operation) = operation.expect("an operation");
    for _ in 0..times {
        black_box(operation(&mut bench));
    }
}

/// The times of loads of sessions that have not been looked at since the caches were emptied; or, when
/// `forgotten`, of sessions whose bytes alone are emptied out of the cache before each load.
///
/// # Panics
///
/// When the store does not do what it should.
#[must_use]
pub fn cold(population: &Population, path: &Path, loads: usize, forgotten: bool) -> Value {
    let mut bench = Bench::new(population, path);
    let order = bench.random.order(population.count);
    // The first ones find the store's own folders and files; the next ones are the bare contender's.
    let loads = loads.min(population.count / 3);
    let (warm, rest) = order.split_at(loads);
    let (ours, bares) = rest.split_at(loads);
    if forgotten {
        for number in order.iter().take(3 * loads) {
            bench.folder.forget(&bench.name(*number));
        }
    }
    let (mut load, mut bare) = (Samples::default(), Samples::default());
    for number in warm.iter().take(8) {
        let _ = bench.load_at(*number);
    }
    for (our, other) in ours.iter().zip(bares) {
        load.push(bench.load_at(*our));
        bare.push(bench.bare_at(*other));
    }
    json!({ "load": load.quantiles(), "bare": bare.quantiles() })
}

impl Bench {
    fn new(population: &Population, path: &Path) -> Self {
        let store = FilesystemStore::builder(path)
            .durability(Durability::Relaxed)
            .open()
            .expect("a store");
        // What is saved must not end before the sweep that is to find one session in a hundred.
        let manager = SessionManager::builder(store.clone())
            .idle_timeout(days(200 * 365))
            .absolute_timeout(days(200 * 365))
            .build()
            .expect("good settings");
        let folder = Folder::open(path);
        Bench {
            population: population.clone(),
            lock: folder.lock(),
            folder,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime"),
            store,
            manager,
            random: Random::new(population.count as u64),
        }
    }

    fn any(&mut self) -> usize {
        self.random.below(self.population.count)
    }

    /// Any session but those that end early, which are to stay as they are.
    fn any_late(&mut self) -> usize {
        loop {
            let number = self.any();
            if !self.population.is_early(number) {
                return number;
            }
        }
    }

    fn name(&self, number: usize) -> String {
        file_name(&self.population.key(number))
    }

    fn bare(&mut self) -> Duration {
        let number = self.any();
        self.bare_at(number)
    }

    fn bare_at(&self, number: usize) -> Duration {
        let name = self.name(number);
        let start = Instant::now();
        black_box(self.folder.read(&name));
        start.elapsed()
    }

    fn bare_decoded(&mut self) -> Duration {
        let number = self.any();
        let (name, key) = (self.name(number), self.population.key(number));
        let start = Instant::now();
        let record = Record::decode(&key, self.folder.read(&name)).expect("decoded");
        black_box(decode(&record));
        start.elapsed()
    }

    fn bare_save(&mut self) -> Duration {
        let number = self.any_late();
        let name = self.name(number);
        let start = Instant::now();
        self.folder.rewrite(&self.lock, &name);
        start.elapsed()
    }

    fn hop(&mut self) -> Duration {
        let start = Instant::now();
        let hop = self.runtime.spawn_blocking(|| ());
        self.runtime.block_on(hop).expect("done");
        start.elapsed()
    }

    fn load(&mut self) -> Duration {
        let number = self.any();
        self.load_at(number)
    }

    fn load_at(&self, number: usize) -> Duration {
        let key = self.population.key(number);
        let start = Instant::now();
        let record = self.runtime.block_on(self.store.load(&key));
        let time = start.elapsed();
        assert!(record.expect("loaded").is_some(), "nobody deletes");
        time
    }

    fn get(&mut self) -> Duration {
        let number = self.any();
        let start = Instant::now();
        let session = self.session(number);
        let time = start.elapsed();
        assert_eq!(session.cart.len(), 5, "the cart is there");
        time
    }

    fn save(&mut self) -> Duration {
        let number = self.any_late();
        let mut session = self.session(number);
        *session.views_mut() += 1;
        let start = Instant::now();
        self.runtime.block_on(session.save()).expect("saved");
        start.elapsed()
    }

    /// A compare-and-swap of a record that was loaded before.
    fn swap(&mut self) -> Duration {
        let number = self.any_late();
        let key = self.population.key(number);
        let load = self.runtime.block_on(self.store.load(&key));
        let mut record = load.expect("loaded").expect("nobody deletes");
        let expected = record.revision;
        record.revision = expected.next();
        let start = Instant::now();
        let swap = self.store.update(&key, &record, expected);
        let swapped = self.runtime.block_on(swap).expect("updated");
        let time = start.elapsed();
        assert_eq!(swapped, UpdateOutcome::Updated, "nobody else writes");
        time
    }

    fn touch(&mut self) -> Duration {
        let number = self.any_late();
        let key = self.population.key(number);
        let load = self.runtime.block_on(self.store.load(&key));
        let revision = load.expect("loaded").expect("nobody deletes").revision;
        let now = Timestamp::from(SystemTime::now());
        let start = Instant::now();
        let expires = Population::late_expiry();
        let touch = self.store.touch(&key, now, expires, revision);
        let touched = self.runtime.block_on(touch).expect("touched");
        let time = start.elapsed();
        assert_eq!(touched, UpdateOutcome::Updated, "nobody else writes");
        time
    }

    fn find(&mut self) -> Duration {
        let number = self.any();
        let owner = self.population.owner(number);
        let start = Instant::now();
        let found = self.runtime.block_on(self.manager.sessions_of(&owner));
        let time = start.elapsed();
        let expected = self.population.sessions_of_owner(number);
        assert_eq!(found.expect("found").len(), expected, "all of them");
        time
    }

    fn session(&self, number: usize) -> Session<Visit> {
        let cookie = self.population.cookie(number);
        let session = self.runtime.block_on(self.manager.open(Some(&cookie)));
        session.expect("opened")
    }
}
