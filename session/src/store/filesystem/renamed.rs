//! Which records are replaced while the names in the folder are read.
//!
//! A file system promises to give each name once that is there the whole time. But on some (Btrfs, tmpfs) a
//! name whose file is replaced moves within its folder, so that a reading which has passed the new place
//! and not yet the old one misses it. So the saves of this process tell the readings that are under way.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::SessionKey;

#[derive(Default)]
pub(super) struct Renamed {
    readings: AtomicUsize,
    keys: Mutex<BTreeSet<SessionKey>>,
}

/// A reading that is told, from before it opens the folder until it is dropped.
pub(super) struct Reading<'a>(&'a Renamed);

impl Renamed {
    pub(super) fn reading(&self) -> Reading<'_> {
        self.readings.fetch_add(1, Ordering::SeqCst);
        Reading(self)
    }

    /// After the record under `key` has been replaced.
    pub(super) fn tell(&self, key: &SessionKey) {
        if self.readings.load(Ordering::SeqCst) > 0 {
            self.keys().insert(*key);
        }
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeSet<SessionKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading<'_> {
    /// The keys of all records that were replaced since the reading began, and perhaps further ones.
    pub(super) fn renamed(&self) -> Vec<SessionKey> {
        self.0.keys().iter().copied().collect()
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut keys = self.0.keys();
        if self.0.readings.fetch_sub(1, Ordering::SeqCst) == 1 {
            keys.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_told_of_what_is_replaced_meanwhile() {
        let (renamed, key) = (Renamed::default(), SessionKey::from_bytes([7; 16]));
        renamed.tell(&key);
        let first = renamed.reading();
        assert_eq!(first.renamed(), []);
        renamed.tell(&key);
        let second = renamed.reading();
        drop(first);
        assert_eq!(second.renamed(), [key]);
        drop(second);
        assert_eq!(renamed.reading().renamed(), []);
    }
}
