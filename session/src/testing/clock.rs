//! A clock that moves only when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::saturating_millis;
use crate::{Clock, Timestamp};

/// A clock that moves only when it is told to. Clones show the same time.
///
/// ```
/// use session::testing::TestClock;
/// use session::{Clock, minutes};
///
/// let clock = TestClock::default();
/// let before = clock.now();
/// clock.advance(minutes(5));
/// assert_eq!(clock.now().since(before), minutes(5));
/// ```
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        TestClock(Arc::new(AtomicU64::new(now.as_millis())))
    }

    /// Moves it ahead; saturates.
    pub fn advance(&self, duration: Duration) {
        let by = saturating_millis(duration);
        // The closure always gives a value, so the update cannot fail.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(now.saturating_add(by))
            });
    }

    /// Sets it, back as well as ahead.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

/// Stands at the first of January 2026.
impl Default for TestClock {
    fn default() -> Self {
        TestClock::new(Timestamp::from_millis(1_767_225_600_000))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}
