//! What is left under an old id for a minute after it has been renewed by time: the way to the new
//! record, for the other requests of the same page. Never after a change of privilege.

use std::time::Duration;

use rmp::decode::read_str_from_slice;
use rmp::encode::{write_str, write_u64};

use super::Inner;
use crate::record::Record;
use crate::{SessionStore, StoreError, StoreKey, Timestamp, seconds};

/// How long the old id goes on being good: as long as the requests of one page may be under way.
const FORWARDED_FOR: Duration = seconds(60);

/// How many renewals are followed, one after the other.
const MAX_HOPS: u32 = 4;

/// Where a forwarding record keeps the key of the new one. No application's field begins so.
const TARGET: &str = "#renewed-to";

/// Where a record keeps when it got its id, if that was later than it began.
const RENEWED: &str = "#renewed";

/// The record that leads from `latest`, which it replaces, to `target`.
pub(super) fn forwarding(latest: &Record, target: &StoreKey, now: Timestamp) -> Record {
    let mut record = Record::new(latest.created, latest.expires.min(now + FORWARDED_FOR));
    record.revision = latest.revision.next();
    // A touch that comes late must not move the expiry.
    record.last_seen = Timestamp::MAX;
    let mut value = Vec::new();
    let _infallible = write_str(&mut value, target.as_str());
    record.fields.set(TARGET, &value);
    record
}

/// Where `record` leads, if it is one that does.
pub(super) fn target(record: &Record) -> Option<StoreKey> {
    let (text, _) = read_str_from_slice(record.fields.get(TARGET)?).ok()?;
    StoreKey::parse(text)
}

/// When the session got the id that it has.
pub(super) fn id_issued(record: &Record) -> Timestamp {
    let stored = record.fields.get(RENEWED);
    let millis = stored.and_then(|mut bytes| rmp::decode::read_u64(&mut bytes).ok());
    millis.map_or(record.created, Timestamp::from_millis)
}

/// Notes that the session has just got its id.
pub(super) fn note_issued(record: &mut Record, now: Timestamp) {
    if record.created == now {
        record.fields.remove(RENEWED);
        return;
    }
    let mut value = Vec::new();
    let _infallible = write_u64(&mut value, now.as_millis());
    record.fields.set(RENEWED, &value);
}

impl<S: SessionStore> Inner<S> {
    /// The record that `record` leads to, and its key; `record` itself where it leads nowhere further.
    /// `None` when what it leads to is no more.
    pub(super) async fn follow(
        &self,
        key: StoreKey,
        record: Record,
        now: Timestamp,
    ) -> Result<Option<(StoreKey, Record)>, StoreError> {
        let (mut key, mut record) = (key, record);
        for _ in 0..MAX_HOPS {
            let Some(next) = target(&record) else {
                return Ok(Some((key, record)));
            };
            if record.is_expired(now) {
                return Ok(None);
            }
            match self.store.load(&next).await? {
                Some(found) => (key, record) = (next, found),
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}
