//! Removing expired records, left-over files and stale index entries, a few files at a time, so that
//! neither memory nor a thread is used for long.
//!
//! No file keeps a sweep from the next ones: a failure is logged and counted, and the sweep continues.

use std::collections::BTreeSet;
use std::io;
use std::sync::PoisonError;

use super::engine::{Engine, Stage, Walk};
use super::error::store_error;
use super::fs::FileSystem;
use super::index::Stale;
use super::list::PAGE;
use super::names::{Named, OwnerName, index_key};
use super::read::metadata;
use crate::record::Record;
use crate::store::StoreError;
use crate::telemetry::chain;
use crate::{SessionKey, Timestamp};

const OPERATION: &str = "remove expired sessions";

/// How many failures of one sweep are logged one by one; all are counted.
const MAX_LOGGED: usize = 10;

/// What one piece of a sweep gives.
pub(super) struct Swept {
    pub(super) taken: Vec<(SessionKey, Record)>,
    /// Whether a record may have expired that this sweep has not come across: it has to begin anew.
    pub(super) is_to_be_repeated: bool,
    /// Whether all files have been passed.
    pub(super) is_complete: bool,
}

impl<F: FileSystem> Engine<F> {
    /// The next piece of a sweep, which continues where the last piece ended, also one of an earlier call: at most
    /// `at_most` sessions that have expired at `now`.
    pub(super) fn sweep_piece(&self, now: Timestamp, at_most: usize) -> Result<Swept, StoreError> {
        // Another call may be sweeping: then this one begins its own, and each session is removed by one.
        let resumed = self.walk().take();
        let is_resumed = resumed.is_some();
        let mut walk = match resumed {
            Some(walk) => walk,
            None => self.begin_walk()?,
        };
        let mut taken = Vec::new();
        let mut stale = Vec::new();
        for _ in 0..PAGE {
            if taken.len() >= at_most {
                break;
            }
            match walk.stage {
                Stage::Files(_) => self.sweep_file(&mut walk, now, &mut taken),
                Stage::Owners(_) | Stage::Entries { .. } => {
                    self.sweep_entry(&mut walk, &mut stale);
                }
                Stage::End => break,
            }
        }
        if let Err(error) = self.remove_stale(&stale, OPERATION) {
            walk.failed(None, &error);
        }
        let is_complete = matches!(walk.stage, Stage::End);
        if is_complete {
            self.end_walk(&walk);
        } else {
            *self.walk() = Some(walk);
        }
        let is_to_be_repeated = is_complete && is_resumed && now >= self.earliest_expiry();
        Ok(Swept {
            taken,
            is_to_be_repeated,
            is_complete,
        })
    }

    fn walk(&self) -> std::sync::MutexGuard<'_, Option<Walk<F::Names>>> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_walk(&self) -> Result<Walk<F::Names>, StoreError> {
        let names = self.fs.names();
        let names = names.map_err(|error| store_error(OPERATION, error))?;
        self.forget_earliest_expiry();
        Ok(Walk {
            stage: Stage::Files(names),
            began: self.count.begin(),
            records: 0,
            failures: 0,
            quarantined: BTreeSet::new(),
        })
    }

    fn end_walk(&self, walk: &Walk<F::Names>) {
        self.count.end(walk.began, walk.records);
        if walk.failures > 0 {
            tracing::error!(
                event = "store_failure",
                failures = walk.failures,
                "a sweep could not handle some files: they are left until the next one"
            );
        }
    }

    /// Handles the next file.
    fn sweep_file(
        &self,
        walk: &mut Walk<F::Names>,
        now: Timestamp,
        taken: &mut Vec<(SessionKey, Record)>,
    ) {
        let Stage::Files(names) = &mut walk.stage else {
            return;
        };
        let name = match names.next() {
            Some(Ok(name)) => self.names.named(&name),
            Some(Err(error)) => {
                // What comes after it cannot be reached: the folder itself is damaged.
                walk.failed(None, &error);
                walk.stage = self.owners_stage(walk);
                return;
            }
            None => {
                walk.stage = self.owners_stage(walk);
                return;
            }
        };
        match name {
            Named::Record(key) => {
                walk.records += 1;
                match self.sweep_record(&key, now) {
                    Ok(Some(record)) => {
                        walk.records -= 1;
                        taken.push((key, record));
                    }
                    Ok(None) => {}
                    Err(error) => walk.failed(Some(&key), &error),
                }
            }
            Named::Temporary { key, name } => {
                if let Err(error) = self.remove_left_over(&key, &name) {
                    walk.failed(Some(&key), &error);
                }
            }
            Named::Quarantined { name } => {
                let trimmed = self.trim_quarantine(&mut walk.quarantined, name, now);
                if let Err(error) = trimmed {
                    walk.failed(None, &error);
                }
            }
            Named::Foreign => {}
        }
    }

    /// The record under `key` if it had expired and was removed.
    fn sweep_record(&self, key: &SessionKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let Some((record, _)) = self.peek(key, OPERATION, metadata)? else {
            return Ok(None);
        };
        if record.is_expired(now) {
            let guard = self.lock(key, OPERATION)?;
            return self.remove_expired(&guard, key, now);
        }
        self.expires_at(record.expires);
        if let Some(owner) = &record.owner {
            self.heal_index(key, owner)?;
        }
        Ok(None)
    }

    /// Removes a temporary file of `key`, unless the key's lock is held, as it is while one is written. So one
    /// that is not locked is left over, however old it is.
    fn remove_left_over(&self, key: &SessionKey, name: &str) -> io::Result<()> {
        let Some(_guard) = self.locks.try_lock(key)? else {
            return Ok(());
        };
        match self.fs.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn owners_stage(&self, walk: &mut Walk<F::Names>) -> Stage<F::Names> {
        match self.fs.index_owners() {
            Ok(owners) => Stage::Owners(owners),
            Err(error) => {
                walk.failed(None, &error);
                Stage::End
            }
        }
    }

    /// Handles the next entry of the index, or finds the next owner.
    fn sweep_entry(&self, walk: &mut Walk<F::Names>, stale: &mut Vec<Stale>) {
        let stage = std::mem::replace(&mut walk.stage, Stage::End);
        walk.stage = match stage {
            Stage::Owners(mut owners) => match owners.next() {
                Some(Ok(name)) => self.entries_stage(walk, &name, owners),
                Some(Err(error)) => {
                    walk.failed(None, &error);
                    Stage::End
                }
                None => Stage::End,
            },
            Stage::Entries {
                owner,
                mut entries,
                owners,
            } => match entries.next() {
                Some(Ok(name)) => {
                    if let Some(key) = index_key(&name) {
                        self.sweep_key(walk, &owner, &key, stale);
                    }
                    Stage::Entries {
                        owner,
                        entries,
                        owners,
                    }
                }
                Some(Err(error)) => {
                    walk.failed(None, &error);
                    Stage::Owners(owners)
                }
                None => Stage::Owners(owners),
            },
            stage => stage,
        };
    }

    fn entries_stage(
        &self,
        walk: &mut Walk<F::Names>,
        name: &[u8],
        owners: F::Names,
    ) -> Stage<F::Names> {
        let Some(owner) = OwnerName::parse(name) else {
            return Stage::Owners(owners);
        };
        match self.fs.index_entries(&owner) {
            Ok(entries) => Stage::Entries {
                owner,
                entries,
                owners,
            },
            Err(error) => {
                walk.failed(None, &error);
                Stage::Owners(owners)
            }
        }
    }

    fn sweep_key(
        &self,
        walk: &mut Walk<F::Names>,
        owner: &OwnerName,
        key: &SessionKey,
        stale: &mut Vec<Stale>,
    ) {
        match self.indexed(owner, key, OPERATION) {
            Ok(Err(entry)) => stale.push(entry),
            // An unreadable one was reported when its file was passed.
            Ok(Ok(_)) | Err(StoreError::Unreadable(_)) => {}
            Err(error) => walk.failed(Some(key), &error),
        }
    }
}

impl<N> Walk<N> {
    fn failed(&mut self, key: Option<&SessionKey>, error: &(dyn std::error::Error + 'static)) {
        self.failures += 1;
        if self.failures > MAX_LOGGED {
            return;
        }
        let is_unreadable = matches!(error.downcast_ref(), Some(StoreError::Unreadable(_)));
        tracing::error!(
            event = if is_unreadable { "unreadable_record" } else { "store_failure" },
            session = key.map(tracing::field::display),
            error = %chain(error),
            "a file could not be swept: the sweep continues with the next one"
        );
    }
}
