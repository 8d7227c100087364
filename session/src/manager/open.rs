//! From the ids in a request to the session they name.

use super::{Inner, timeouts};
use crate::log::{chain, correlation};
use crate::record::Record;
use crate::slot::State;
use crate::{DecodeError, SessionError, SessionId, SessionStore, StoreError, StoreKey, Timestamp};

impl<S: SessionStore> Inner<S> {
    /// The one live session among those that `ids` name, or a new one.
    ///
    /// The order of cookies says nothing about which is right (RFC 6265bis §4.2.2), so where several
    /// are live, somebody has planted one, and none is believed.
    pub(super) async fn open_ids(&self, ids: &[SessionId]) -> Result<State, SessionError> {
        let now = self.clock.now();
        let mut live: Option<Live<'_>> = None;
        let mut unknown = None;
        for id in ids {
            let id_key = self.key(id);
            match self.load(&id_key, now).await? {
                Loaded::Live(key, record) => {
                    let found = Live {
                        id,
                        id_key: id_key.clone(),
                        key,
                        record,
                    };
                    if let Some(first) = live.replace(found) {
                        tracing::warn!(
                            event = "duplicate_cookie",
                            session = %correlation(&first.id_key),
                            other = %correlation(&id_key),
                            "a request holds the ids of two live sessions: it gets neither"
                        );
                        return Ok(State::new(SessionId::generate()?));
                    }
                }
                Loaded::Unknown => unknown = Some(id),
                Loaded::Over => {}
            }
        }
        match (live, unknown) {
            (Some(live), _) => Ok(stored(live, now)),
            (None, Some(id)) if !self.policy.renew_missing => Ok(State::new(id.clone())),
            _ => Ok(State::new(SessionId::generate()?)),
        }
    }

    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Loaded, StoreError> {
        let record = match self.store.load(key).await {
            Ok(record) => record,
            Err(StoreError::Unreadable(error))
                if !matches!(error, DecodeError::NewerFormat { .. }) =>
            {
                tracing::error!(
                    event = "unreadable_record",
                    session = %correlation(key),
                    error = %chain(&error),
                    "a stored session cannot be read: its visitor gets a new one"
                );
                return Ok(Loaded::Over);
            }
            Err(error) => return Err(error),
        };
        let Some(record) = record else {
            tracing::info!(
                event = "unknown_id",
                session = %correlation(key),
                "a session cookie holds an id that no session has"
            );
            return Ok(Loaded::Unknown);
        };
        match self.follow(key.clone(), record, now).await? {
            Some((key, record)) if !self.policy.timeouts.is_over(&record, now) => {
                Ok(Loaded::Live(key, record))
            }
            _ => {
                tracing::info!(
                    event = "expired",
                    session = %correlation(key),
                    "a session has expired"
                );
                Ok(Loaded::Over)
            }
        }
    }
}

/// The live session that a request has named.
struct Live<'a> {
    id: &'a SessionId,
    /// The key that belongs to the id.
    id_key: StoreKey,
    /// Where the record lies: elsewhere, when the id has been renewed by time.
    key: StoreKey,
    record: Record,
}

/// What is known of a session that has been found. One that was used in the future is taken to be in use
/// now.
fn stored(live: Live<'_>, now: Timestamp) -> State {
    let rebased = timeouts::rebased(&live.record, now);
    let is_rebased = rebased.is_some();
    if is_rebased {
        tracing::warn!(
            event = "clock_set_back",
            session = %correlation(&live.id_key),
            "a session was last used in the future: the clock has been set back. It is taken to \
             be in use now"
        );
    }
    let renewed_key = Some(live.key).filter(|key| *key != live.id_key);
    let mut state = State::stored(live.id.clone(), live.id_key, rebased.unwrap_or(live.record));
    state.renewed_key = renewed_key;
    state.pending.is_forced = is_rebased;
    state
}

enum Loaded {
    /// Under this key, which is not that of its id when another request has just renewed it.
    Live(StoreKey, Record),
    /// It has expired, or cannot be read.
    Over,
    Unknown,
}
