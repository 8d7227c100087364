//! Records in this process's memory: for tests and for small applications that may forget.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    CreateOutcome, Cursor, Decision, DeleteOutcome, ModifyOutcome, Page, RecordUpdate, SessionInfo,
    SessionStore, StoreError, UpdateOutcome,
};
use crate::record::{Record, Revision};
use crate::{Clock, SessionKey, SystemClock, Timestamp};

/// Keeps records in memory, up to a bound. Clones share them; they end with the process.
///
/// When the bound is reached, a new session takes the place of one that has expired; when there is
/// none, it is refused with [`StoreError::Full`]. A live session is never removed for a new one:
/// otherwise a client that opens many anonymous sessions could sign all visitors out.
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
    records: BTreeMap<SessionKey, Stored>,
    /// The keys of the sessions of each owner.
    owners: HashMap<String, BTreeSet<SessionKey>>,
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
    fn put(&self, held: &mut Held, key: &SessionKey, record: Record) -> Result<(), StoreError> {
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
            keys.insert(*key);
        }
        held.records.insert(*key, Stored { record, size });
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
    fn bytes_without(&self, key: &SessionKey) -> usize {
        self.bytes - self.records.get(key).map_or(0, |stored| stored.size)
    }

    fn make_room(&mut self, now: Timestamp) {
        if now >= self.earliest_expiry {
            self.take_expired(now, usize::MAX);
        }
    }

    fn remove(&mut self, key: &SessionKey) -> Option<Record> {
        let Stored { record, size } = self.records.remove(key)?;
        self.bytes -= size;
        if let Some(owner) = &record.owner
            && let Some(keys) = self.owners.get_mut(owner)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.owners.remove(owner);
            }
        }
        Some(record)
    }

    fn take_expired(&mut self, now: Timestamp, at_most: usize) -> Vec<(SessionKey, Record)> {
        let expired = self.records.iter();
        let expired = expired.filter(|(_, stored)| stored.record.is_expired(now));
        let expired: Vec<SessionKey> = expired.map(|(key, _)| *key).take(at_most).collect();
        let taken = expired
            .into_iter()
            .filter_map(|key| Some((key, self.remove(&key)?)))
            .collect();
        let expiries = self.records.values().map(|stored| stored.record.expires);
        self.earliest_expiry = expiries.min().unwrap_or(Timestamp::MAX);
        taken
    }

    fn info(&self, key: &SessionKey) -> Option<SessionInfo> {
        let Stored { record, size } = self.records.get(key)?;
        Some(SessionInfo::new(*key, record, *size as u64))
    }

    /// The sessions with the first of `keys`, and where to go on.
    fn page<'a>(&self, keys: impl Iterator<Item = &'a SessionKey>, at_most: usize) -> Page {
        let mut keys = keys.peekable();
        let first = keys.by_ref().take(at_most.max(1));
        let sessions: Vec<SessionInfo> = first.filter_map(|key| self.info(key)).collect();
        let last = sessions.last().map(|session| session.key);
        let next = keys.peek().and(last).map(Cursor::new);
        Page::new(sessions, next)
    }
}

/// The keys after the one that a cursor holds.
fn after(cursor: Option<&Cursor>) -> (Bound<SessionKey>, Bound<SessionKey>) {
    let last = cursor.and_then(Cursor::get::<SessionKey>);
    let start = last.map_or(Bound::Unbounded, |key| Bound::Excluded(*key));
    (start, Bound::Unbounded)
}

impl SessionStore for MemoryStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let held = self.held();
        Ok(held.records.get(key).map(|stored| stored.record.clone()))
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        let mut held = self.held();
        if held.records.contains_key(key) {
            return Ok(CreateOutcome::Exists);
        }
        if held.records.len() >= self.0.limit {
            held.make_room(self.0.clock.now());
            if held.records.len() >= self.0.limit {
                return Err(self.full());
            }
        }
        self.put(&mut held, key, record.clone())?;
        Ok(CreateOutcome::Created)
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let mut held = self.held();
        match held.records.get(key) {
            None => Ok(UpdateOutcome::Missing),
            Some(stored) if stored.record.revision != expected => {
                Ok(UpdateOutcome::RevisionMismatch)
            }
            Some(_) => {
                self.put(&mut held, key, record.clone())?;
                Ok(UpdateOutcome::Updated)
            }
        }
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        let mut held = self.held();
        match held.records.get(key) {
            None => Ok(DeleteOutcome::Missing),
            Some(stored) if expected.is_some_and(|revision| revision != stored.record.revision) => {
                Ok(DeleteOutcome::RevisionMismatch)
            }
            Some(_) => {
                held.remove(key);
                Ok(DeleteOutcome::Deleted)
            }
        }
    }

    async fn list(&self, cursor: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        let held = self.held();
        let keys = held
            .records
            .range(after(cursor.as_ref()))
            .map(|(key, _)| key);
        Ok(held.page(keys, at_most))
    }

    async fn modify(
        &self,
        key: &SessionKey,
        _base: Option<&Record>,
        change: &RecordUpdate,
    ) -> Result<ModifyOutcome, StoreError> {
        loop {
            let Some(before) = self.load(key).await? else {
                return Ok(ModifyOutcome::Missing);
            };
            // Not under the lock that all sessions share: a decision runs merge functions of the application.
            let decision = change(&before);
            let mut held = self.held();
            match held.records.get(key) {
                None => return Ok(ModifyOutcome::Missing),
                Some(stored) if stored.record.revision != before.revision => continue,
                Some(_) => {}
            }
            return Ok(match decision {
                Decision::Keep => ModifyOutcome::Kept(before),
                Decision::Replace(after) => {
                    self.put(&mut held, key, after.clone())?;
                    ModifyOutcome::Replaced { before, after }
                }
                Decision::Delete => {
                    held.remove(key);
                    ModifyOutcome::Deleted(before)
                }
            });
        }
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let mut held = self.held();
        held.earliest_expiry = held.earliest_expiry.min(expires);
        let Some(Stored { record, .. }) = held.records.get_mut(key) else {
            return Ok(UpdateOutcome::Missing);
        };
        if record.revision != expected {
            return Ok(UpdateOutcome::RevisionMismatch);
        }
        if last_seen >= record.last_seen {
            record.last_seen = last_seen;
            record.expires = expires;
            record.revision = expected.next();
        }
        Ok(UpdateOutcome::Updated)
    }

    async fn sessions_of(
        &self,
        owner: &str,
        cursor: Option<Cursor>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        let held = self.held();
        let keys = held.owners.get(owner).into_iter();
        let keys = keys.flat_map(|keys| keys.range(after(cursor.as_ref())));
        Ok(held.page(keys, at_most))
    }

    async fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        Ok(self.held().take_expired(now, at_most))
    }
}
