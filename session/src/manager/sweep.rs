//! Removing expired records in the background.

use std::convert::Infallible;
use std::future::Future;
use std::time::{Duration, Instant};

use super::SessionManager;
use crate::log::chain;
use crate::{SessionStore, hours};

/// How far the wall clock may run ahead of a clock that cannot be set, from one run to the next.
const CLOCK_JUMP: Duration = hours(1);

impl<S: SessionStore> SessionManager<S> {
    /// Removes expired sessions again and again, `every` so often; never ends.
    ///
    /// Runs on any runtime: `sleep` is its timer. A run that fails is logged, and the next one
    /// comes. When the clock has jumped ahead by more than an hour since the last run, one run is
    /// left out, so that a clock that is wrong for a moment does not end every session.
    ///
    /// ```
    /// # #[cfg(feature = "memory")]
    /// # async fn example(sessions: session::SessionManager<session::MemoryStore>) {
    /// use session::minutes;
    ///
    /// // In actix-web: `actix_web::rt::spawn` and `actix_web::rt::time::sleep`.
    /// tokio::spawn(sessions.sweep(minutes(10), tokio::time::sleep));
    /// # }
    /// ```
    pub async fn sweep<F, Fut>(self, every: Duration, sleep: F) -> Infallible
    where
        F: Fn(Duration) -> Fut,
        Fut: Future<Output = ()>,
    {
        loop {
            let (wall, monotonic) = (self.0.clock.now(), Instant::now());
            sleep(every).await;
            let passed = self.0.clock.now().since(wall);
            if passed.saturating_sub(monotonic.elapsed()) > CLOCK_JUMP {
                tracing::warn!(
                    event = "clock_jumped",
                    "the clock has jumped ahead: expired sessions are left alone this time"
                );
                continue;
            }
            match self.remove_expired().await {
                Ok(removed) => {
                    tracing::debug!(event = "swept", removed, "expired sessions removed");
                }
                Err(error) => tracing::error!(
                    event = "store_failure",
                    error = %chain(&error),
                    "expired sessions could not be removed"
                ),
            }
        }
    }
}
