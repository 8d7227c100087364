//! How many sessions there are, as far as this process knows: what it has counted, and what it has created
//! and deleted since.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a full store relies on its count: other processes may have deleted sessions since.
const RECOUNT_AFTER: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct SessionCount {
    sessions: AtomicUsize,
    is_counted: AtomicBool,
    counted_at: Mutex<Option<Instant>>,
}

impl SessionCount {
    /// Whether the sessions have to be counted before it is known whether a store that takes
    /// `limit` of them is full.
    pub(super) fn is_due(&self, limit: usize) -> bool {
        if !self.is_counted.load(Ordering::SeqCst) {
            return true;
        }
        let mut counted_at = self.counted_at();
        let is_recent = counted_at.is_some_and(|at| at.elapsed() < RECOUNT_AFTER);
        if self.is_below(limit) || is_recent {
            return false;
        }
        // One counts, the others go by what is known.
        *counted_at = Some(Instant::now());
        true
    }

    pub(super) fn is_below(&self, limit: usize) -> bool {
        self.sessions.load(Ordering::SeqCst) < limit
    }

    /// So many have just been counted.
    pub(super) fn set(&self, sessions: usize) {
        self.sessions.store(sessions, Ordering::SeqCst);
        *self.counted_at() = Some(Instant::now());
        self.is_counted.store(true, Ordering::SeqCst);
    }

    pub(super) fn created(&self) {
        self.sessions.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn deleted(&self) {
        let one_less = |sessions: usize| Some(sessions.saturating_sub(1));
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        let _ = self.sessions.fetch_update(set, get, one_less);
    }

    fn counted_at(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.counted_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
