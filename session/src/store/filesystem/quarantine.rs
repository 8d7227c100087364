//! Unreadable records, renamed in place and kept for a while in case something can be made of them.

use std::collections::BTreeSet;
use std::io;

use super::engine::Engine;
use super::fs::FileSystem;
use super::lock::LockGuard;
use crate::telemetry::chain;
use crate::{SessionKey, Timestamp};

/// How many unreadable records of one session are kept.
const MAX_OF_ONE_SESSION: u32 = 100;

impl<F: FileSystem> Engine<F> {
    /// Renames the unreadable record under `key`.
    pub(super) fn quarantine(&self, _guard: &LockGuard, key: &SessionKey) {
        match self.rename_unreadable(key) {
            Ok(name) => {
                self.count.deleted();
                tracing::error!(
                    event = "quarantined",
                    session = %key,
                    file = %name,
                    "a stored session cannot be read: its file was renamed"
                );
            }
            // Another process has renamed it, or it was removed by hand.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(
                event = "store_failure",
                session = %key,
                error = %chain(&error),
                "a stored session that cannot be read could not be quarantined"
            ),
        }
    }

    /// Never over another file: each unreadable record is kept.
    fn rename_unreadable(&self, key: &SessionKey) -> io::Result<String> {
        let record = self.names.record(key);
        for number in 1..=MAX_OF_ONE_SESSION {
            let name = self.names.quarantined(key, number);
            match self.fs.rename_to_free(&record, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => return renamed.map(|()| name),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Adds the quarantined file `name` to those that a sweep has `kept`, and removes the oldest ones until
    /// the rest is within the limits. The newest one always stays.
    pub(super) fn trim_quarantine(
        &self,
        kept: &mut BTreeSet<(Timestamp, String, u64)>,
        name: String,
        now: Timestamp,
    ) -> io::Result<()> {
        let limits = self.options.quarantine;
        // A folder that was made under a session's name may hold anything; it stays.
        let Some((size, since)) = self.fs.status(&name)? else {
            return Ok(());
        };
        kept.insert((since, name, size));
        let mut bytes: u64 = kept.iter().map(|(.., size)| size).sum();
        while kept.len() > 1 {
            let is_too_much = kept.len() > limits.files || bytes > limits.bytes;
            let oldest = kept.first().map(|(since, ..)| *since).unwrap_or_default();
            if !is_too_much && now.since(oldest) < limits.age {
                break;
            }
            let Some((_, name, size)) = kept.pop_first() else {
                break;
            };
            bytes -= size;
            match self.fs.remove(&name) {
                // Another process does the same.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
