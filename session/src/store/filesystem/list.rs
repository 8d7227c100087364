//! Listings by pages, in the order of the keys.
//!
//! A folder gives its names in no useful order, and a record that is saved meanwhile may appear in it twice
//! or move. So a listing reads all names, keeps the first many keys in their order, and serves pages of
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
        let (keys, next) = next_keys(place, at_most, OPERATION, || {
            let key = |name: &[u8]| match self.names.named(name) {
                Named::Record(key) => Some(key),
                _ => None,
            };
            Ok((self.fs.names()?, key))
        })?;
        let mut page = Page::new(Vec::new(), next);
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
        let (keys, next) = next_keys(place, at_most, OPERATION, || {
            Ok((self.fs.index_entries(&owner)?, index_key))
        })?;
        let mut page = Page::new(Vec::new(), next);
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

/// The keys of a page and where the next one begins. `names` gives names and what key a name is of.
fn next_keys<N, K>(
    place: Option<Place>,
    at_most: usize,
    operation: &'static str,
    names: impl FnOnce() -> io::Result<(N, K)>,
) -> Result<(Vec<SessionKey>, Option<Cursor>), StoreError>
where
    N: Iterator<Item = io::Result<Vec<u8>>>,
    K: Fn(&[u8]) -> Option<SessionKey>,
{
    let failed = |error| store_error(operation, error);
    let mut place = match place {
        Some(place) if place.at < place.keys.len() => place,
        place => {
            let last = place.and_then(|place| place.keys.last().copied());
            let (names, key) = names().map_err(failed)?;
            first_keys(names, key, last, BLOCK).map_err(failed)?
        }
    };
    let end = place.keys.len().min(place.at + at_most.clamp(1, PAGE));
    let keys = place.keys[place.at..end].to_vec();
    place.at = end;
    let is_end = place.is_last && end == place.keys.len();
    Ok((keys, (!is_end).then(|| Cursor::new(place))))
}

/// The first `limit` keys after `last`.
fn first_keys(
    names: impl Iterator<Item = io::Result<Vec<u8>>>,
    key: impl Fn(&[u8]) -> Option<SessionKey>,
    last: Option<SessionKey>,
    limit: usize,
) -> io::Result<Place> {
    let mut keys = BTreeSet::new();
    let mut is_last = true;
    for name in names {
        let Some(key) = key(&name?) else {
            continue;
        };
        if last.is_some_and(|last| key <= last) {
            continue;
        }
        if keys.len() == limit {
            is_last = false;
            if keys.last().is_some_and(|last| key >= *last) {
                continue;
            }
        }
        keys.insert(key);
        if keys.len() > limit {
            keys.pop_last();
        }
    }
    Ok(Place {
        keys: keys.into_iter().collect(),
        at: 0,
        is_last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks smaller than the folder, names in any order and twice.
    #[test]
    fn blocks_of_keys_follow_each_other() {
        let key = |byte: u8| SessionKey::from_bytes([byte; 16]);
        let names = || {
            let numbers = (0..100u16).map(|number| u8::try_from(number * 37 % 100).unwrap());
            let names = numbers.clone().chain(numbers);
            names.map(|number| Ok(key(number).to_string().into_bytes()))
        };
        for limit in [1, 7, 50, 100, 1000] {
            let mut seen = Vec::new();
            loop {
                let last = seen.last().copied();
                let block = first_keys(names(), index_key, last, limit).unwrap();
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
