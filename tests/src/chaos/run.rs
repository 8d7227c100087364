//! The whole of a run: starts everything, lets it go, and looks at what is stored now and then.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use session::{FilesystemStore, SessionManager};

use super::browser::Tab;
use super::ledger::{Ledger, Violation};
use super::random::Random;
use super::servers::{Recipe, Servers};
use super::{attacker, browser, nemesis, quiet};

/// How long it goes on between two looks at what is stored.
const EPOCH: Duration = Duration::from_secs(10);

/// Browsers whose session nobody else ends, browsers that share owners, and tabs of each.
const CALM: usize = 4;
const WILD: usize = 3;
const TABS: usize = 2;
const ATTACKERS: usize = 2;

/// What a run is like.
#[derive(Debug, Clone)]
pub struct Settings {
    pub duration: Duration,
    pub seed: u64,
    /// The program of the servers.
    pub probe: PathBuf,
    /// An empty folder for the sessions, and what is beside them.
    pub folder: PathBuf,
    /// How many sessions an owner may have, and whether one too many is refused.
    pub limit: Option<(usize, bool)>,
    /// The second server is one of axum.
    pub is_second_axum: bool,
    /// For a probe that can make mistakes.
    pub mistake: Option<String>,
}

/// What the threads share.
pub(super) struct Shared {
    ledger: Mutex<Ledger>,
    pub(super) servers: Servers,
    pub(super) folder: PathBuf,
    pub(super) beside: PathBuf,
    pub(super) store: FilesystemStore,
    pub(super) sessions: SessionManager,
    rest: Mutex<Rest>,
    changed: Condvar,
    is_over: AtomicBool,
    epoch: AtomicU64,
    violation: Mutex<Option<Violation>>,
}

#[derive(Default)]
struct Rest {
    is_wanted: bool,
    resting: usize,
}

impl Shared {
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rests while that is wanted; false when the run is over.
    pub(super) fn goes_on(&self) -> bool {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.resting += 1;
        self.changed.notify_all();
        while rest.is_wanted && !self.is_over.load(Ordering::SeqCst) {
            rest = self
                .changed
                .wait(rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
        rest.resting -= 1;
        !self.is_over.load(Ordering::SeqCst)
    }

    fn let_rest(&self, threads: usize) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_wanted = true;
        while rest.resting < threads && !self.is_over.load(Ordering::SeqCst) {
            rest = self
                .changed
                .wait(rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn let_go(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_wanted = false;
        self.changed.notify_all();
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.notify_all();
    }

    pub(super) fn stop(&self, violation: Violation) {
        let mut first = self
            .violation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(violation);
        drop(first);
        self.end();
    }

    /// Every third epoch has neither kills nor a damaged index, and every other one no resets, so that what
    /// these excuse is checked, too.
    pub(super) fn has_kills(&self) -> bool {
        !self.epoch.load(Ordering::SeqCst).is_multiple_of(3)
    }

    pub(super) fn has_resets(&self) -> bool {
        self.epoch.load(Ordering::SeqCst).is_multiple_of(2)
    }

    pub(super) fn some_server(&self, random: &mut Random) -> Option<SocketAddr> {
        let count = self.servers.count();
        let first = usize::try_from(random.below(count as u64)).unwrap_or_default();
        (0..count).find_map(|place| self.servers.address((first + place) % count))
    }
}

/// Runs it; gives the summary, and what was wrong.
///
/// # Errors
///
/// When something that must hold did not, or the servers cannot be started.
pub fn run(settings: &Settings) -> Result<String, String> {
    let sessions_folder = settings.folder.join("sessions");
    let recipe = |is_axum: bool| {
        let limit = settings.limit.map(|(sessions, rejects)| {
            let word = if rejects { "reject" } else { "evict" };
            format!("{word}={sessions}")
        });
        let framework = is_axum.then(|| String::from("axum"));
        Recipe {
            probe: settings.probe.clone(),
            folder: sessions_folder.clone(),
            arguments: limit.into_iter().chain(framework).collect(),
            mistake: settings.mistake.clone(),
        }
    };
    let servers = Servers::start(vec![recipe(false), recipe(settings.is_second_axum)]);
    let store = FilesystemStore::open(&sessions_folder).map_err(|error| format!("{error:?}"))?;
    let shared = Shared {
        ledger: Mutex::new(Ledger {
            jars: vec![None; CALM + WILD + ATTACKERS],
            limit: settings.limit,
            ..Ledger::default()
        }),
        servers: servers.ok_or("the servers do not start")?,
        folder: sessions_folder,
        beside: settings.folder.clone(),
        sessions: SessionManager::new(store.clone()),
        store,
        rest: Mutex::default(),
        changed: Condvar::new(),
        is_over: AtomicBool::new(false),
        epoch: AtomicU64::new(0),
        violation: Mutex::new(None),
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let shared = &shared;
        let mut threads = 0;
        let mut random = || {
            threads += 1;
            Random::new(settings.seed, threads)
        };
        for browser in 0..CALM + WILD {
            for place in 0..TABS {
                let owner = (browser < CALM).then(|| format!("calm-{browser}"));
                let tab = Tab {
                    browser,
                    place,
                    owner,
                };
                let random = random();
                scope.spawn(move || browser::run(shared, &tab, random));
            }
        }
        for attacker in 0..ATTACKERS {
            let random = random();
            scope.spawn(move || attacker::run(shared, CALM + WILD + attacker, random));
        }
        let (nemesis_random, mut quiet_random) = (random(), random());
        scope.spawn(move || nemesis::run(shared, nemesis_random));
        let count = (CALM + WILD) * TABS + ATTACKERS + 1;
        while !shared.is_over.load(Ordering::SeqCst) {
            let left = settings.duration.saturating_sub(began.elapsed());
            wait(shared, left.min(EPOCH));
            shared.let_rest(count);
            if shared.is_over.load(Ordering::SeqCst) {
                break;
            }
            let is_last = began.elapsed() >= settings.duration;
            if let Err(violation) = quiet::check(shared, &mut quiet_random) {
                shared.stop(violation);
            } else if is_last {
                shared.end();
            } else {
                shared.let_go();
            }
        }
    });
    let summary = summary(&shared.ledger(), began.elapsed());
    let mut violation = shared
        .violation
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match violation.take() {
        Some(Violation(text)) => Err(format!("VIOLATION {text}\n{summary}")),
        None => Ok(summary),
    }
}

fn wait(shared: &Shared, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until && !shared.is_over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn summary(ledger: &Ledger, time: Duration) -> String {
    let mut text = format!(
        "{} s, {} requests; by status:",
        time.as_secs(),
        ledger.next_number
    );
    for (status, count) in &ledger.figures.statuses {
        let _ = write!(text, " {status}: {count}");
    }
    for (what, count) in &ledger.figures.others {
        let _ = write!(text, "; {what}: {count}");
    }
    text
}
