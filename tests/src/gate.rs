//! Holds what a test has started until the test lets it go on, so that no test has to guess how long
//! anything takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = session::minutes(1);
const PAUSE: Duration = Duration::from_millis(1);

/// A gate that requests and store calls wait at. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    arrived: AtomicU64,
    let_through: AtomicU64,
}

impl Gate {
    /// Waits until the test opens the gate.
    pub async fn pass(&self) {
        let number = self.0.arrived.fetch_add(1, Ordering::SeqCst);
        while self.0.let_through.load(Ordering::SeqCst) <= number {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits, in the test, until there is somebody at the gate.
    ///
    /// # Panics
    ///
    /// When nobody comes.
    pub fn wait_for_one(&self) {
        self.wait_for(1);
    }

    /// Waits, in the test, until there are so many at the gate.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub fn wait_for(&self, count: u64) {
        let start = Instant::now();
        while self.waiting() < count {
            assert!(start.elapsed() < PATIENCE, "not enough came to the gate");
            std::thread::sleep(PAUSE);
        }
    }

    /// The same in an asynchronous test.
    ///
    /// # Panics
    ///
    /// When nobody comes.
    pub async fn one_has_come(&self) {
        let start = Instant::now();
        while self.waiting() == 0 {
            assert!(start.elapsed() < PATIENCE, "nobody came to the gate");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How many wait at the gate.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // In this order: nobody is let through who has not arrived.
        let let_through = self.0.let_through.load(Ordering::SeqCst);
        let arrived = self.0.arrived.load(Ordering::SeqCst);
        arrived.saturating_sub(let_through)
    }

    /// Lets everybody through who has arrived.
    pub fn open(&self) {
        let arrived = self.0.arrived.load(Ordering::SeqCst);
        self.0.let_through.fetch_max(arrived, Ordering::SeqCst);
    }

    /// Lets the one through who arrived first.
    pub fn open_for_one(&self) {
        self.0.let_through.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets everybody through, whoever comes later included.
    pub fn open_for_ever(&self) {
        self.0.let_through.store(u64::MAX / 2, Ordering::SeqCst);
    }
}
