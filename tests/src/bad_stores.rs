//! Stores with one mistake each: those that stores really make. The conformance suite must catch
//! every one of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use session::{
    Change, Created, Listing, MemoryStore, Modified, Record, Revision, SessionStore, StoreError,
    StoreKey, Swapped, Timestamp,
};

/// A memory store with one mistake.
#[derive(Debug, Clone)]
pub struct BadStore {
    /// What is wrong with it.
    pub mistake: Mistake,
    good: MemoryStore,
    /// Whose the sessions were when they were made.
    first_owners: Arc<Mutex<HashMap<StoreKey, Option<String>>>>,
}

/// What can be wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// An update of what is not there makes it: how sessions come back after a sign-out.
    Upsert,
    /// An update compares nothing: the last writer wins over the whole record.
    NoCompare,
    /// A save writes the record that the request began with, as changed by it.
    WholeRecordWrite,
    /// A create replaces what is there: how one session takes another one's place.
    CreateReplaces,
    /// A delete ignores the revision it was told.
    DeleteIgnoresRevision,
    /// A delete is reported done and is not.
    DeleteDoesNothing,
    /// A touch that comes late moves the expiry back.
    TouchMovesBack,
    /// A touch makes a record where there is none.
    TouchCreates,
    /// A touch counts as a save, so that readers make writers conflict.
    TouchRaisesRevision,
    /// What expires at this very moment is kept.
    SweepIsLate,
    /// What expires a moment later is removed.
    SweepIsEarly,
    /// Expired records are hidden.
    HidesExpired,
    /// Only fields that the store knows are kept.
    DropsUnknownFields,
    /// The owner is compared as a prefix.
    FindsTooMuch,
    /// The index is written when a session is made, and never again.
    IndexIsOld,
    /// The list leaves one out.
    ListIsShort,
}

impl Mistake {
    /// All of them, each with the behaviour of the suite that is to catch it.
    pub const ALL: [(Mistake, &str); 16] = [
        (Mistake::Upsert, "update_never_creates"),
        (Mistake::NoCompare, "update_compares_the_revision"),
        (
            Mistake::WholeRecordWrite,
            "modify_writes_what_the_change_makes",
        ),
        (Mistake::CreateReplaces, "create_never_replaces"),
        (
            Mistake::DeleteIgnoresRevision,
            "delete_compares_the_revision",
        ),
        (Mistake::DeleteDoesNothing, "update_never_creates"),
        (Mistake::TouchMovesBack, "touch_never_moves_back"),
        (Mistake::TouchCreates, "touch_never_creates"),
        (
            Mistake::TouchRaisesRevision,
            "touch_moves_the_expiry_and_nothing_else",
        ),
        (Mistake::SweepIsLate, "remove_expired_is_exact"),
        (Mistake::SweepIsEarly, "remove_expired_is_exact"),
        (Mistake::HidesExpired, "create_never_replaces"),
        (
            Mistake::DropsUnknownFields,
            "a_record_comes_back_as_it_went_in",
        ),
        (
            Mistake::FindsTooMuch,
            "find_gives_the_sessions_of_one_owner",
        ),
        (Mistake::IndexIsOld, "find_follows_every_change"),
        (Mistake::ListIsShort, "list_gives_every_session_once"),
    ];
}

impl BadStore {
    /// An empty store with this mistake.
    #[must_use]
    pub fn new(mistake: Mistake) -> Self {
        BadStore {
            mistake,
            good: MemoryStore::new(),
            first_owners: Arc::default(),
        }
    }

    fn found_by_the_first_owner(&self, owner: &str) -> Listing {
        let (good, owner) = (self.good.clone(), owner.to_owned());
        let first_owners = Arc::clone(&self.first_owners);
        Listing::pages(Some(()), move |more| {
            let (good, owner) = (good.clone(), owner.clone());
            let first_owners = Arc::clone(&first_owners);
            async move {
                more?;
                let mut sessions = Vec::new();
                let mut listing = good.list();
                while let Some(session) = listing.next().await {
                    let key = session.as_ref().ok().map(|info| info.key.clone());
                    let first_owners = first_owners.lock().expect("not poisoned");
                    let first = key.and_then(|key| first_owners.get(&key)?.clone());
                    if first.as_ref() == Some(&owner) {
                        sessions.push(session);
                    }
                }
                Some((sessions, None))
            }
        })
    }

    async fn put(&self, key: &StoreKey, record: &Record) -> Result<(), StoreError> {
        let _ = self.good.delete(key, None).await?;
        let _ = self.good.create(key, record).await?;
        Ok(())
    }
}

impl SessionStore for BadStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        let record = self.good.load(key).await?;
        Ok(record.filter(|record| {
            self.mistake != Mistake::HidesExpired
                || !record.is_expired(Timestamp::from_millis(1_767_225_600_000))
        }))
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        self.first_owners
            .lock()
            .expect("not poisoned")
            .insert(key.clone(), record.owner.clone());
        match self.mistake {
            Mistake::CreateReplaces => {
                self.put(key, record).await?;
                Ok(Created::Done)
            }
            Mistake::DropsUnknownFields => {
                let mut known = record.clone();
                let names: Vec<String> =
                    record.fields.iter().map(|(name, _)| name.into()).collect();
                for name in names.iter().filter(|name| name.contains("unknown")) {
                    known.fields.remove(name);
                }
                self.good.create(key, &known).await
            }
            _ => self.good.create(key, record).await,
        }
    }

    async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        let current = self.good.load(key).await?;
        match (self.mistake, current) {
            (Mistake::Upsert, None) | (Mistake::NoCompare, Some(_)) => {
                self.put(key, record).await?;
                Ok(Swapped::Done)
            }
            _ => self.good.update(key, record, expected).await,
        }
    }

    async fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        match self.mistake {
            Mistake::DeleteIgnoresRevision => self.good.delete(key, None).await,
            Mistake::DeleteDoesNothing => Ok(Swapped::Done),
            _ => self.good.delete(key, expected).await,
        }
    }

    async fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let current = self.good.load(key).await?;
        match (self.mistake, current) {
            (Mistake::TouchMovesBack, Some(mut record)) => {
                record.last_seen = last_seen;
                record.expires = expires;
                self.put(key, &record).await?;
                Ok(true)
            }
            (Mistake::TouchCreates, None) => {
                self.put(key, &Record::new(last_seen, expires)).await?;
                Ok(false)
            }
            (Mistake::TouchRaisesRevision, Some(mut record)) => {
                record.last_seen = last_seen;
                record.expires = expires;
                record.revision = record.revision.next();
                self.put(key, &record).await?;
                Ok(true)
            }
            _ => self.good.touch(key, last_seen, expires).await,
        }
    }

    fn list(&self) -> Listing {
        if self.mistake != Mistake::ListIsShort {
            return self.good.list();
        }
        let good = self.good.clone();
        Listing::pages(Some(()), move |more| {
            let good = good.clone();
            async move {
                more?;
                let mut sessions = Vec::new();
                let mut listing = good.list();
                while let Some(session) = listing.next().await {
                    sessions.push(session);
                }
                sessions.pop();
                Some((sessions, None))
            }
        })
    }

    fn find(&self, owner: &str) -> Listing {
        if self.mistake == Mistake::IndexIsOld {
            return self.found_by_the_first_owner(owner);
        }
        if self.mistake != Mistake::FindsTooMuch {
            return self.good.find(owner);
        }
        let (good, owner) = (self.good.clone(), owner.to_owned());
        Listing::pages(Some(()), move |more| {
            let (good, owner) = (good.clone(), owner.clone());
            async move {
                more?;
                let mut sessions = Vec::new();
                let mut listing = good.list();
                while let Some(session) = listing.next().await {
                    let found = session.as_ref().ok().and_then(|info| info.owner.clone());
                    if found.is_some_and(|found| found.starts_with(&owner)) {
                        sessions.push(session);
                    }
                }
                Some((sessions, None))
            }
        })
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let moment = std::time::Duration::from_millis(1);
        match self.mistake {
            Mistake::SweepIsLate => self.good.remove_expired(now - moment).await,
            Mistake::SweepIsEarly => self.good.remove_expired(now + moment).await,
            _ => self.good.remove_expired(now).await,
        }
    }

    async fn modify(
        &self,
        key: &StoreKey,
        base: &Record,
        change: &Change,
    ) -> Result<Modified, StoreError> {
        if self.mistake != Mistake::WholeRecordWrite || self.good.load(key).await?.is_none() {
            return self.good.modify(key, base, change).await;
        }
        match change(base) {
            Some(next) => {
                self.put(key, &next).await?;
                Ok(Modified::Done(next))
            }
            None => Ok(Modified::Declined),
        }
    }
}
