//! Holds requests in their handler until a test lets them go on, so that no test has to guess how long
//! anything takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = session::minutes(1);
const PAUSE: Duration = Duration::from_millis(1);

/// A gate that requests wait at. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    arrived: AtomicU64,
    let_through: AtomicU64,
}

impl Gate {
    /// Waits, in the handler, until the test opens the gate.
    pub async fn pass(&self) {
        let number = self.0.arrived.fetch_add(1, Ordering::SeqCst);
        while self.0.let_through.load(Ordering::SeqCst) <= number {
            actix_web::rt::time::sleep(PAUSE).await;
        }
    }

    /// Waits, in the test, until there is a request at the gate.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub fn wait_for_one(&self) {
        let start = Instant::now();
        while self.0.arrived.load(Ordering::SeqCst) == self.0.let_through.load(Ordering::SeqCst) {
            assert!(start.elapsed() < PATIENCE, "no request came to the gate");
            std::thread::sleep(PAUSE);
        }
    }

    /// Lets everybody through who has arrived.
    pub fn open(&self) {
        let arrived = self.0.arrived.load(Ordering::SeqCst);
        self.0.let_through.store(arrived, Ordering::SeqCst);
    }
}
