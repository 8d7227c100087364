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
    /// How many this process has created since it started.
    created: AtomicUsize,
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
        // One call counts the files; the calls beside it rely on the old number.
        *counted_at = Some(Instant::now());
        true
    }

    pub(super) fn is_below(&self, limit: usize) -> bool {
        self.sessions.load(Ordering::SeqCst) < limit
    }

    fn set(&self, sessions: usize) {
        self.sessions.store(sessions, Ordering::SeqCst);
        *self.counted_at() = Some(Instant::now());
        self.is_counted.store(true, Ordering::SeqCst);
    }

    pub(super) fn created(&self) {
        self.created.fetch_add(1, Ordering::SeqCst);
        self.sessions.fetch_add(1, Ordering::SeqCst);
    }

    /// For a count that takes a while: a mark of its beginning.
    pub(super) fn begin(&self) -> usize {
        self.created.load(Ordering::SeqCst)
    }

    /// So many were counted since `begin`. Those created meanwhile are added, as the count may have missed
    /// them: a number that is too high is corrected before it makes a store full.
    pub(super) fn end(&self, begin: usize, sessions: usize) {
        let created = self.created.load(Ordering::SeqCst).wrapping_sub(begin);
        self.set(sessions.saturating_add(created));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_created_during_a_count_is_not_missed() {
        let count = SessionCount::default();
        assert!(count.is_due(3));
        let began = count.begin();
        count.created();
        count.created();
        count.end(began, 1);
        assert!(!count.is_below(3) && count.is_below(4));
        // One that has just counted relies on it.
        assert!(!count.is_due(3) && !count.is_due(4));
        count.deleted();
        assert!(count.is_below(3));
    }
}
