//! A save under way. It outlives whoever waits for it, though not its request: a save that is dropped half
//! way may have been carried out or not, and the next one finishes it before it begins anything of its own.

use super::{BoxedFuture, Saved, State};
use crate::log::chain;
use crate::record::Record;
use crate::{SessionError, SessionId, StoreKey};

/// How a save begins.
pub(crate) enum Begun {
    /// It is over already: the store was not needed.
    Done(Result<Saved, SessionError>),
    /// The store is at work. What this comes to is to be noted in the slot's state.
    Saving(BoxedFuture<'static, Outcome>),
}

/// A save that has begun and not ended.
pub(super) struct UnderWay {
    pub(super) saving: BoxedFuture<'static, Outcome>,
    /// The epoch of the state that it is of.
    pub(super) epoch: u32,
}

/// What a save has come to.
pub(crate) struct Outcome {
    /// The destroyed sessions that are deleted now.
    pub(crate) deleted: Vec<StoreKey>,
    /// What the session is now.
    pub(crate) fate: Fate,
    /// What to tell whoever asked for the save.
    pub(crate) result: Result<Saved, SessionError>,
    /// How to find out whether a save was carried out whose answer was lost.
    pub(crate) in_doubt: Option<BoxedFuture<'static, Outcome>>,
}

/// What has become of a session in a save.
pub(crate) enum Fate {
    /// It is what it was.
    Unchanged,
    /// Its expiry has moved.
    Touched(Record),
    /// What was being saved is stored.
    Stored(Stored),
    /// What was being saved is dropped, and others have made this of the session.
    Rejected(StoreKey, Record),
    /// What was being saved is dropped.
    Dropped,
    /// It is over.
    Gone,
}

/// What a save has stored.
#[derive(Clone)]
pub(crate) struct Stored {
    /// The id that the session has got; `None` when it kept its own.
    pub(crate) id: Option<SessionId>,
    pub(crate) key: StoreKey,
    pub(crate) record: Record,
}

impl Outcome {
    pub(crate) fn new(fate: Fate, saved: Saved) -> Self {
        Outcome {
            deleted: Vec::new(),
            fate,
            result: Ok(saved),
            in_doubt: None,
        }
    }

    pub(crate) fn failed(error: impl Into<SessionError>) -> Self {
        Outcome {
            result: Err(error.into()),
            ..Outcome::new(Fate::Unchanged, Saved::Unchanged)
        }
    }
}

impl State {
    /// Takes note of what a save has come to that began in `epoch`.
    pub(super) fn note(
        &mut self,
        epoch: u32,
        outcome: Outcome,
        cookie_name: &str,
    ) -> Result<Saved, SessionError> {
        let has_deleted = !outcome.deleted.is_empty();
        self.destroyed.retain(|key| !outcome.deleted.contains(key));
        self.remove_cookie |= has_deleted;
        if self.epoch == epoch {
            if outcome.result.is_err() && matches!(outcome.fate, Fate::Stored(_)) {
                // It is there and may not be durable: the next save writes it again.
                self.pending.is_forced = true;
            }
            self.meet(outcome.fate, cookie_name);
        } else {
            if let Fate::Stored(stored) = outcome.fate {
                // It was destroyed while this save was under way: what was just stored goes too.
                self.destroyed.push(stored.key);
            }
            if let Err(error) = outcome.result {
                tracing::debug!(
                    event = "store_failure",
                    error = %chain(&error),
                    "a save has failed whose session has been destroyed since"
                );
                return Ok(if has_deleted {
                    Saved::Written
                } else {
                    Saved::Unchanged
                });
            }
        }
        Ok(match outcome.result? {
            Saved::Unchanged if has_deleted => Saved::Written,
            saved => saved,
        })
    }

    fn meet(&mut self, fate: Fate, cookie_name: &str) {
        match fate {
            Fate::Unchanged => {}
            Fate::Touched(record) => {
                self.refresh_cookie |= record.persist_for.is_some();
                self.base = Some(record);
            }
            Fate::Stored(Stored { id, key, record }) => {
                let id = id.unwrap_or_else(|| {
                    self.lies_at(key, cookie_name);
                    self.id.clone()
                });
                self.saved(id, record);
            }
            Fate::Rejected(key, record) => {
                self.discard();
                self.lies_at(key, cookie_name);
                self.base = Some(record);
            }
            Fate::Dropped => self.discard(),
            Fate::Gone => self.end(),
        }
    }

    fn lies_at(&mut self, key: StoreKey, cookie_name: &str) {
        if self.key(cookie_name) != key {
            self.renewed_key = Some(key);
        }
    }
}
