//! Removing expired records, at once or in the background.

use std::convert::Infallible;
use std::future::Future;
use std::time::{Duration, Instant};

use super::SessionManager;
use super::on_end::EndReason;
use crate::telemetry::chain;
use crate::{StoreError, hours};

/// How far the wall clock may run ahead of a clock that cannot be set, from one run to the next.
const CLOCK_JUMP: Duration = hours(1);

/// How many records are removed in one store call.
const BATCH: usize = 1000;

impl SessionManager {
    /// Removes the expired sessions from the store; gives their number.
    ///
    /// Security does not depend on it: an expired session has ended, swept or not.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn remove_expired(&self) -> Result<u64, StoreError> {
        let shared = self.shared();
        let now = shared.now();
        let mut removed = 0;
        loop {
            let taken = shared.store.take_expired(now, BATCH).await?;
            for (key, record) in &taken {
                shared.ended(*key, EndReason::Expired, Some(record));
            }
            removed += taken.len() as u64;
            if taken.len() < BATCH {
                return Ok(removed);
            }
        }
    }

    /// Removes expired sessions again and again, `every` so often; never ends.
    ///
    /// Runs on any runtime: `sleep` is its timer. A run that fails is logged, and the next one
    /// comes. When the clock has jumped ahead by more than an hour since the last run, one run is
    /// left out, so that a clock that is wrong for a moment does not end every session.
    ///
    /// ```
    /// # async fn example(sessions: session::SessionManager) {
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
            let (wall, monotonic) = (self.shared().now(), Instant::now());
            sleep(every).await;
            let passed = self.shared().now().since(wall);
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
