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
        let mut live: Option<(&SessionId, StoreKey, Record)> = None;
        let mut unknown = None;
        for id in ids {
            match self.load(&self.key(id), now).await? {
                Loaded::Live(key, record) => {
                    if let Some((first, ..)) = live.replace((id, key, record)) {
                        tracing::warn!(
                            event = "duplicate_cookie",
                            session = %correlation(&self.key(first)),
                            other = %correlation(&self.key(id)),
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
            (Some((id, key, record)), _) => {
                let renewed_key = Some(key).filter(|key| *key != self.key(id));
                let mut state = self.stored(id, record, now);
                state.renewed_key = renewed_key;
                Ok(state)
            }
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

    fn stored(&self, id: &SessionId, record: Record, now: Timestamp) -> State {
        let Some(rebased) = timeouts::rebased(&record, now) else {
            return State::stored(id.clone(), record);
        };
        tracing::warn!(
            event = "clock_set_back",
            session = %correlation(&self.key(id)),
            "a session was last used in the future: the clock has been set back. It is taken to \
             be in use now"
        );
        let mut state = State::stored(id.clone(), rebased);
        state.pending.is_forced = true;
        state
    }
}

enum Loaded {
    /// Under this key, which is not that of its id when another request has just renewed it.
    Live(StoreKey, Record),
    /// It has expired, or cannot be read.
    Over,
    Unknown,
}
