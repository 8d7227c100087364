//! A right store of five methods, which can be damaged and lose answers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use session::testing::conformance::Handles;
use session::{
    CreateOutcome, Cursor, DeleteOutcome, Page, Record, Revision, SessionInfo, SessionKey,
    SessionStore, StoreError, Unreadable, UpdateOutcome,
};

pub(crate) type Map = BTreeMap<SessionKey, Vec<u8>>;

/// Encoded records in a map. Clones share it.
#[derive(Clone)]
pub(crate) struct ByteStore {
    map: Arc<Mutex<Map>>,
    loses_next_answer: Arc<AtomicBool>,
    /// Whether each call is suspended before and after its step, as a call over a network is.
    is_remote: bool,
}

impl ByteStore {
    pub(crate) fn new(is_remote: bool) -> Self {
        ByteStore {
            map: Arc::default(),
            loses_next_answer: Arc::default(),
            is_remote,
        }
    }

    pub(crate) fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().expect("nothing panics with the map")
    }

    pub(crate) fn damage(&self, key: &SessionKey) {
        let mut map = self.map();
        let bytes = map.get_mut(key).expect("there is a record to damage");
        // The length alone tells nothing: the damage is in the middle.
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
    }

    /// The next write is carried out, and then reports an error.
    pub(crate) fn lose_next_answer(&self) {
        self.loses_next_answer.store(true, Ordering::SeqCst);
    }

    /// Two handles with every hook.
    pub(crate) fn handles<S: SessionStore>(&self, first: S, second: S) -> Handles<S> {
        let (damaged, lossy) = (self.clone(), self.clone());
        Handles::new(first, second)
            .damage(async move |key| damaged.damage(&key))
            .lose_next_answer(async move || lossy.lose_next_answer())
            .pause(async || tokio::task::yield_now().await)
    }

    fn answer<T>(&self, operation: &'static str, outcome: T) -> Result<T, StoreError> {
        if self.loses_next_answer.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                operation,
                source: "the connection broke".into(),
            });
        }
        Ok(outcome)
    }

    pub(crate) async fn suspend(&self) {
        if self.is_remote {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn read(map: &Map, key: &SessionKey) -> Result<Option<Record>, StoreError> {
    let Some(bytes) = map.get(key) else {
        return Ok(None);
    };
    Record::decode(key, bytes.clone())
        .map(Some)
        .map_err(StoreError::Unreadable)
}

impl SessionStore for ByteStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.suspend().await;
        let found = read(&self.map(), key);
        self.suspend().await;
        found
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.suspend().await;
        let is_free = {
            let mut map = self.map();
            let is_free = !map.contains_key(key);
            if is_free {
                map.insert(*key, record.encode(key));
            }
            is_free
        };
        self.suspend().await;
        if is_free {
            self.answer("create", CreateOutcome::Created)
        } else {
            Ok(CreateOutcome::Exists)
        }
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        self.suspend().await;
        {
            let mut map = self.map();
            match read(&map, key)? {
                None => return Ok(UpdateOutcome::Missing),
                Some(stored) if stored.revision != expected => {
                    return Ok(UpdateOutcome::RevisionMismatch);
                }
                Some(_) => map.insert(*key, record.encode(key)),
            };
        }
        self.suspend().await;
        self.answer("update", UpdateOutcome::Updated)
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        self.suspend().await;
        let removed = {
            let mut map = self.map();
            if let Some(expected) = expected
                && read(&map, key)?.is_some_and(|stored| stored.revision != expected)
            {
                return Ok(DeleteOutcome::RevisionMismatch);
            }
            map.remove(key)
        };
        self.suspend().await;
        if removed.is_some() {
            self.answer("delete", DeleteOutcome::Deleted)
        } else {
            Ok(DeleteOutcome::Missing)
        }
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.suspend().await;
        let last = after.as_ref().and_then(Cursor::get::<SessionKey>);
        let start = last.map_or(Bound::Unbounded, |key| Bound::Excluded(*key));
        let map = self.map();
        let mut page = Page::default();
        for (key, bytes) in map.range((start, Bound::Unbounded)).take(at_most) {
            match Record::decode(key, bytes.clone()) {
                Ok(record) => {
                    let size = bytes.len() as u64;
                    page.sessions.push(SessionInfo::new(*key, &record, size));
                }
                Err(error) => {
                    let found = Unreadable::new(*key, StoreError::Unreadable(error));
                    page.unreadable.push(found);
                }
            }
            page.next = Some(Cursor::new(*key));
        }
        Ok(page)
    }
}
