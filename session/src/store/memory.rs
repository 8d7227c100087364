//! Records in this process's memory: for tests and for small applications that may forget.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Change, Created, Listing, Modified, SessionInfo, SessionStore, StoreError, Swapped};
use crate::record::{Record, Revision};
use crate::{Clock, StoreKey, SystemClock, Timestamp};

/// Keeps records in memory, up to a bound. Clones share them; they end with the process.
///
/// When the bound is reached, a new session takes the place of one that has expired; when there is
/// none, it is refused with [`StoreError::Full`]. A live session is never thrown out for a new one:
/// whoever can open many anonymous sessions could otherwise sign everybody out.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    limit: usize,
    byte_limit: usize,
    clock: Box<dyn Clock>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    records: HashMap<StoreKey, Stored>,
    /// The keys of the sessions of each owner.
    owners: HashMap<String, BTreeSet<StoreKey>>,
    bytes: usize,
    /// No record expires before this: spares a full store a search at every refused session.
    earliest_expiry: Timestamp,
}

struct Stored {
    record: Record,
    size: usize,
}

impl MemoryStore {
    /// An empty store with the default bounds: 100,000 sessions and 256 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings for a store with other bounds.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            limit: 100_000,
            byte_limit: 256 * 1024 * 1024,
            clock: Box::new(SystemClock),
        }
    }

    /// How many sessions there are, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held().records.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change below is made in one piece, so what a panic leaves behind is whole.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `record` where one may be already, or fails and changes nothing.
    fn put(&self, held: &mut Held, key: &StoreKey, record: Record) -> Result<(), StoreError> {
        let size = record.encoded_length();
        if held.bytes_without(key) + size > self.0.byte_limit {
            held.make_room(self.0.clock.now());
            if held.bytes_without(key) + size > self.0.byte_limit {
                return Err(self.full());
            }
        }
        held.remove(key);
        held.bytes += size;
        held.earliest_expiry = held.earliest_expiry.min(record.expires);
        if let Some(owner) = &record.owner {
            let keys = held.owners.entry(owner.clone()).or_default();
            keys.insert(key.clone());
        }
        held.records.insert(key.clone(), Stored { record, size });
        Ok(())
    }

    fn full(&self) -> StoreError {
        StoreError::Full {
            limit: self.0.limit,
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("limit", &self.0.limit)
            .field("byte_limit", &self.0.byte_limit)
            .finish_non_exhaustive()
    }
}

/// Settings for a [`MemoryStore`].
#[must_use]
pub struct MemoryStoreBuilder {
    limit: usize,
    byte_limit: usize,
    clock: Box<dyn Clock>,
}

impl MemoryStoreBuilder {
    /// How many sessions are kept at the most; 100,000 by default.
    pub fn limit(mut self, sessions: usize) -> Self {
        self.limit = sessions;
        self
    }

    /// How many bytes all records may take together in their stored form; 256 MiB by default.
    pub fn byte_limit(mut self, bytes: usize) -> Self {
        self.byte_limit = bytes;
        self
    }

    /// What tells whether a session that is in the way has expired; the system clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        MemoryStore(Arc::new(Shared {
            limit: self.limit,
            byte_limit: self.byte_limit,
            clock: self.clock,
            held: Mutex::default(),
        }))
    }
}

impl fmt::Debug for MemoryStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStoreBuilder")
            .field("limit", &self.limit)
            .field("byte_limit", &self.byte_limit)
            .finish_non_exhaustive()
    }
}

impl Held {
    fn bytes_without(&self, key: &StoreKey) -> usize {
        self.bytes - self.records.get(key).map_or(0, |stored| stored.size)
    }

    fn make_room(&mut self, now: Timestamp) {
        if now >= self.earliest_expiry {
            self.remove_expired(now);
        }
    }

    fn remove(&mut self, key: &StoreKey) {
        let Some(stored) = self.records.remove(key) else {
            return;
        };
        self.bytes -= stored.size;
        let Some(owner) = stored.record.owner else {
            return;
        };
        if let Some(keys) = self.owners.get_mut(&owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }

    fn remove_expired(&mut self, now: Timestamp) -> u64 {
        let before = self.records.len();
        let expired = self.records.iter();
        let expired = expired.filter(|(_, stored)| stored.record.is_expired(now));
        let expired: Vec<StoreKey> = expired.map(|(key, _)| key.clone()).collect();
        for key in &expired {
            self.remove(key);
        }
        let expiries = self.records.values().map(|stored| stored.record.expires);
        self.earliest_expiry = expiries.min().unwrap_or(Timestamp::MAX);
        (before - self.records.len()) as u64
    }

    fn info(&self, key: &StoreKey) -> Option<SessionInfo> {
        let Stored { record, size } = self.records.get(key)?;
        Some(SessionInfo::new(key.clone(), record, *size as u64))
    }
}

impl SessionStore for MemoryStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        let held = self.held();
        Ok(held.records.get(key).map(|stored| stored.record.clone()))
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        let mut held = self.held();
        if held.records.contains_key(key) {
            return Ok(Created::Exists);
        }
        if held.records.len() >= self.0.limit {
            held.make_room(self.0.clock.now());
            if held.records.len() >= self.0.limit {
                return Err(self.full());
            }
        }
        self.put(&mut held, key, record.clone())?;
        Ok(Created::Done)
    }

    async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        let mut held = self.held();
        match held.records.get(key) {
            None => Ok(Swapped::Gone),
            Some(stored) if stored.record.revision != expected => Ok(Swapped::Conflict),
            Some(_) => {
                self.put(&mut held, key, record.clone())?;
                Ok(Swapped::Done)
            }
        }
    }

    async fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        let mut held = self.held();
        match held.records.get(key) {
            None => Ok(Swapped::Gone),
            Some(stored) if expected.is_some_and(|revision| revision != stored.record.revision) => {
                Ok(Swapped::Conflict)
            }
            Some(_) => {
                held.remove(key);
                Ok(Swapped::Done)
            }
        }
    }

    async fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut held = self.held();
        held.earliest_expiry = held.earliest_expiry.min(expires);
        match held.records.entry(key.clone()) {
            Entry::Vacant(_) => Ok(false),
            Entry::Occupied(mut entry) => {
                let record = &mut entry.get_mut().record;
                if last_seen >= record.last_seen {
                    record.last_seen = last_seen;
                    record.expires = expires;
                }
                Ok(true)
            }
        }
    }

    fn list(&self) -> Listing {
        let held = self.held();
        held.records
            .keys()
            .filter_map(|key| held.info(key))
            .collect()
    }

    fn find(&self, owner: &str) -> Listing {
        let held = self.held();
        let keys = held.owners.get(owner).into_iter().flatten();
        keys.filter_map(|key| held.info(key)).collect()
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.held().remove_expired(now))
    }

    async fn modify(
        &self,
        key: &StoreKey,
        _base: &Record,
        change: &Change,
    ) -> Result<Modified, StoreError> {
        let mut held = self.held();
        let Some(stored) = held.records.get(key) else {
            return Ok(Modified::Gone);
        };
        let Some(next) = change(&stored.record) else {
            return Ok(Modified::Declined);
        };
        self.put(&mut held, key, next.clone())?;
        Ok(Modified::Done(next))
    }
}
