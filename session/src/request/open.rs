//! From the tokens in a request to the session that one of them opens.

use std::sync::Arc;

use super::arrival::Arrival;
use super::state::{State, Times};
use super::update::LATE_FOR;
use crate::cookie::Candidates;
use crate::manager::{Shared, shifted_to_clock};
use crate::mistakes::mistake;
use crate::record::Record;
use crate::telemetry::chain;
use crate::{DecodeError, SessionError, SessionToken, StoreError, Timestamp};

/// The one live session that `tokens` open, or a new one.
///
/// The order of cookies says nothing about which is right (RFC 6265bis §4.2.2), so where several
/// tokens open a live session, one was planted, and none is believed.
pub(super) async fn open(
    shared: &Shared,
    tokens: &Candidates<SessionToken>,
) -> Result<State, SessionError> {
    if tokens.malformed > 0 {
        tracing::info!(
            event = "malformed_token",
            count = tokens.malformed,
            "a session cookie holds no session token: it is ignored"
        );
    }
    let now = shared.now();
    let mut live: Option<(&SessionToken, Arc<Record>)> = None;
    let mut late = None;
    let mut ended_by_destroy = Vec::new();
    let mut adoptable = None;
    let mut arrival = Arrival::NoCookie;
    for token in &tokens.values {
        let found = look(shared, token, now).await?;
        match found {
            Found::Live(record) => {
                if let Some((first, _)) = live.replace((token, record)) {
                    tracing::warn!(
                        event = "duplicate_cookie",
                        session = %first.key(),
                        other = %token.key(),
                        "a request holds the tokens of two live sessions: it gets neither"
                    );
                    let mut state = State::new(Arrival::Unknown);
                    state.ended_by_destroy = vec![first.key(), token.key()];
                    return Ok(state);
                }
            }
            Found::Late => late = Some(token.key()),
            Found::Expired => {
                arrival = Arrival::Ended;
                ended_by_destroy.push(token.key());
            }
            Found::Unreadable => arrival = Arrival::Ended,
            Found::Missing | Found::Unknown => {
                if matches!(found, Found::Missing) {
                    ended_by_destroy.push(token.key());
                    adoptable = Some(token.clone());
                }
                if arrival != Arrival::Ended {
                    arrival = Arrival::Unknown;
                }
            }
        }
    }
    if let Some((token, record)) = live {
        return Ok(live_state(token, record, now));
    }
    if let Some(key) = late {
        return Ok(State::late(key));
    }
    if arrival == Arrival::NoCookie && tokens.malformed > 0 {
        arrival = Arrival::Malformed;
    }
    let mut state = State::new(arrival);
    state.ended_by_destroy = ended_by_destroy;
    state.removes_cookie =
        arrival == Arrival::Unknown && mistake!("an unknown token's cookie is removed");
    if !shared.policy.renew_missing && arrival == Arrival::Unknown {
        state.adopt(adoptable);
    }
    Ok(state)
}

/// A session that was used in the future is taken to be in use now.
fn live_state(token: &SessionToken, record: Arc<Record>, now: Timestamp) -> State {
    let shifted = shifted_to_clock(&record, now);
    let is_shifted = shifted.is_some();
    if is_shifted {
        tracing::warn!(
            event = "clock_set_back",
            session = %token.key(),
            "a session was last used in the future: the clock has been set back. It is taken to \
             be in use now"
        );
    }
    let record = shifted.map_or(record, Arc::new);
    let mut state = State::live(token.clone(), record);
    if is_shifted {
        state.times = Times::Shifted;
        state.open_batch.is_forced = true;
    }
    state
}

enum Found {
    Live(Arc<Record>),
    /// A sign-in of the same client has just replaced the token.
    Late,
    /// The session has expired, by this host's clock.
    Expired,
    /// There is something, and it cannot be read.
    Unreadable,
    /// There is no record.
    Missing,
    Unknown,
}

async fn look(
    shared: &Shared,
    token: &SessionToken,
    now: Timestamp,
) -> Result<Found, SessionError> {
    let key = token.key();
    let record = match shared.store.load(&key).await {
        Ok(record) => record,
        Err(StoreError::Unreadable(error)) if !matches!(error, DecodeError::NewerFormat { .. }) => {
            tracing::error!(
                event = "unreadable_record",
                session = %key,
                error = %chain(&error),
                "a stored session cannot be read: its visitor gets a new one"
            );
            return Ok(Found::Unreadable);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(record) = record else {
        tracing::info!(
            event = "unknown_token",
            session = %key,
            "a session cookie holds a token that opens no session"
        );
        return Ok(Found::Missing);
    };
    let proof = token.secret.proof(shared.policy.cookie.name(), &key);
    if proof == record.proof {
        if shared.policy.lifetimes.is_expired(&record, now) {
            tracing::info!(event = "arrived_expired", session = %key, "a session has expired");
            return Ok(Found::Expired);
        }
        return Ok(Found::Live(Arc::new(record)));
    }
    let mut replaced = record.replaced.iter();
    let late_for = if mistake!("late for one minute only") {
        LATE_FOR / 2
    } else {
        LATE_FOR
    };
    if replaced.any(|(old, since)| *old == proof && now.since(*since) <= late_for) {
        if mistake!("a late request reads the session") {
            return Ok(Found::Live(Arc::new(record)));
        }
        tracing::info!(
            event = "late_request",
            session = %key,
            "a request came with a token that a sign-in of the same client has just replaced"
        );
        return Ok(Found::Late);
    }
    tracing::warn!(
        event = "wrong_secret",
        session = %key,
        "a session cookie holds the key of a session and not its secret: it opens nothing"
    );
    Ok(Found::Unknown)
}
