//! Listings by pages, in the order of the keys.
//!
//! A folder gives its names in no useful order, and a name whose file is replaced meanwhile may appear twice,
//! or be missed. So a listing reads all names, keeps the first many keys in their order, and serves pages of
//! those before it reads the names again for the next many. A session that is there the whole time is then
//! on exactly one page, and a cursor holds nothing open.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::engine::Engine;
use super::error::store_error;
use super::fs::FileSystem;
use super::names::{Named, OwnerName, index_key};
use super::read::metadata;
use crate::SessionKey;
use crate::store::{Cursor, Page, SessionInfo, StoreError, Unreadable};

/// How many keys are kept at once: 1 MiB of them. A million sessions are listed in 16 passes over the names.
const BLOCK: usize = 65_536;

/// How many records are read in one trip to a blocking thread.
pub(super) const PAGE: usize = 256;

/// Where a listing continues: at one of the keys that it has read, and after the last one by reading on.
#[derive(Clone)]
pub(super) struct Place {
    keys: Arc<[SessionKey]>,
    at: usize,
    /// No key comes after these.
    is_last: bool,
}

impl<F: FileSystem> Engine<F> {
    /// The sessions after a place.
    pub(super) fn page(&self, place: Option<Place>, at_most: usize) -> Result<Page, StoreError> {
        const OPERATION: &str = "list";
        let (keys, next) = self.record_keys(place, at_most, OPERATION)?;
        let mut page = Page::new(Vec::new(), next.map(Cursor::new));
        for key in keys {
            match self.peek(&key, OPERATION, metadata) {
                Ok(Some((record, size))) => {
                    page.sessions.push(SessionInfo::new(key, &record, size));
                }
                Ok(None) => {}
                Err(error) => page.unreadable.push(Unreadable::new(key, error)),
            }
        }
        Ok(page)
    }

    /// The sessions of `owner` after a place. Index entries that lead to none are removed.
    pub(super) fn page_of(
        &self,
        owner: &str,
        place: Option<Place>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        const OPERATION: &str = "list the sessions of an owner";
        let owner = OwnerName::new(owner);
        let (keys, next) = next_keys(place, at_most, OPERATION, |last| {
            let mut block = Block::new(last);
            for name in self.fs.index_entries(&owner)? {
                block.extend(index_key(&name?));
            }
            Ok(block)
        })?;
        let mut page = Page::new(Vec::new(), next.map(Cursor::new));
        let mut stale = Vec::new();
        for key in keys {
            match self.indexed(&owner, &key, OPERATION) {
                Ok(Ok((record, size))) => {
                    page.sessions.push(SessionInfo::new(key, &record, size));
                }
                Ok(Err(entry)) => stale.push(entry),
                Err(error) => page.unreadable.push(Unreadable::new(key, error)),
            }
        }
        if let Err(error) = self.remove_stale(&stale, OPERATION) {
            // They mislead no listing, and the sweep meets them again.
            tracing::warn!(
                event = "store_failure",
                error = %crate::telemetry::chain(&error),
                "stale entries of the owner index could not be removed"
            );
        }
        Ok(page)
    }

    /// The keys of the next records, and where to continue.
    pub(super) fn record_keys(
        &self,
        place: Option<Place>,
        at_most: usize,
        operation: &'static str,
    ) -> Result<(Vec<SessionKey>, Option<Place>), StoreError> {
        let key = |name: &[u8]| match self.names.named(name) {
            Named::Record(key) => Some(key),
            _ => None,
        };
        next_keys(place, at_most, operation, |last| {
            let reading = self.renamed.reading();
            let mut block = Block::new(last);
            for name in self.all_names() {
                block.extend(key(&name?));
            }
            block.extend(reading.renamed());
            Ok(block)
        })
    }

    /// The names in the folder. Where a name can move while it is read past, it is read twice: a save of
    /// another process would have to meet both.
    fn all_names(&self) -> impl Iterator<Item = io::Result<Vec<u8>>> {
        let passes = if self.fs.keeps_places() { 1 } else { 2 };
        (0..passes).flat_map(|_| {
            let (names, error) = match self.fs.names() {
                Ok(names) => (Some(names), None),
                Err(error) => (None, Some(Err(error))),
            };
            names.into_iter().flatten().chain(error)
        })
    }

    /// How many sessions there are.
    pub(super) fn count_sessions(&self) -> Result<usize, StoreError> {
        let failed = |error| store_error("count the sessions", error);
        let mut sessions = 0;
        for name in self.fs.names().map_err(failed)? {
            let name = name.map_err(failed)?;
            sessions += usize::from(matches!(self.names.named(&name), Named::Record(_)));
        }
        Ok(sessions)
    }
}

/// The keys of a page and where to continue. `read` reads the first keys after one.
fn next_keys(
    place: Option<Place>,
    at_most: usize,
    operation: &'static str,
    read: impl FnOnce(Option<SessionKey>) -> io::Result<Block>,
) -> Result<(Vec<SessionKey>, Option<Place>), StoreError> {
    let mut place = match place {
        Some(place) if place.at < place.keys.len() => place,
        place => {
            let last = place.and_then(|place| place.keys.last().copied());
            let block = read(last).map_err(|error| store_error(operation, error))?;
            block.place()
        }
    };
    let end = place.keys.len().min(place.at + at_most.clamp(1, PAGE));
    let keys = place.keys[place.at..end].to_vec();
    place.at = end;
    let is_end = place.is_last && end == place.keys.len();
    Ok((keys, (!is_end).then_some(place)))
}

/// The first keys after `last`, of those that are added in any order.
struct Block {
    last: Option<SessionKey>,
    limit: usize,
    keys: BTreeSet<SessionKey>,
    is_last: bool,
}

impl Block {
    fn new(last: Option<SessionKey>) -> Self {
        Block {
            last,
            limit: BLOCK,
            keys: BTreeSet::new(),
            is_last: true,
        }
    }

    fn extend(&mut self, keys: impl IntoIterator<Item = SessionKey>) {
        for key in keys {
            if self.last.is_some_and(|last| key <= last) {
                continue;
            }
            let is_full = self.keys.len() == self.limit;
            if is_full && self.keys.last().is_some_and(|last| key > *last) {
                self.is_last = false;
                continue;
            }
            self.keys.insert(key);
            if self.keys.len() > self.limit {
                self.is_last = false;
                self.keys.pop_last();
            }
        }
    }

    fn place(self) -> Place {
        Place {
            keys: self.keys.into_iter().collect(),
            at: 0,
            is_last: self.is_last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks smaller than the folder, keys in any order and twice.
    #[test]
    fn blocks_of_keys_follow_each_other() {
        let key = |byte: u8| SessionKey::from_bytes([byte; 16]);
        let keys = || {
            let numbers = (0..100u16).map(|number| u8::try_from(number * 37 % 100).unwrap());
            numbers.clone().chain(numbers).map(key)
        };
        for limit in [1, 7, 50, 100, 1000] {
            let mut seen = Vec::new();
            loop {
                let last = seen.last().copied();
                let mut block = Block::new(last);
                block.limit = limit;
                block.extend(keys());
                let block = block.place();
                assert!(block.keys.len() <= limit);
                seen.extend_from_slice(&block.keys);
                if block.is_last {
                    break;
                }
            }
            assert_eq!(seen, (0..100).map(key).collect::<Vec<_>>(), "{limit}");
        }
    }
}
