//! A slot holds the record of one request: sessions are forked from it, their changes are laid over
//! it, and the manager commits it. It knows no policy and no framework.

mod saving;
mod state;
mod turn;
mod unsaved;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use saving::UnderWay;
pub(crate) use saving::{Begun, Fate, Outcome, Stored};
pub(crate) use state::{Phase, State};
use turn::Turn;
pub(crate) use unsaved::Unsaved;

use crate::cookie::{self, CookieError, CookieSettings};
use crate::log::{chain, malformed_ids};
use crate::record::Record;
use crate::{SessionError, SessionId, Timestamp};

/// One request's way to its session: opened at the first extraction, committed once before the
/// response head leaves.
///
/// For those who adapt the library to a framework; handlers use [`Session`](struct@crate::Session). Making
/// one costs one allocation and asks no store. Clones share it.
#[derive(Clone)]
pub struct Slot(Arc<Unopened>);

struct Unopened {
    manager: Arc<dyn Manage>,
    opening: Turn,
    open: OnceLock<OpenSlot>,
}

impl Slot {
    pub(crate) fn new(manager: Arc<dyn Manage>) -> Self {
        Slot(Arc::new(Unopened {
            manager,
            opening: Turn::default(),
            open: OnceLock::new(),
        }))
    }

    /// The settings of the cookie that the session is looked for in.
    #[must_use]
    pub fn cookie(&self) -> &CookieSettings {
        self.0.manager.cookie()
    }

    /// The distinct well-formed ids in the request's `Cookie` headers, to be given to
    /// [`open`](Self::open). None when the slot is open already: the cookies are read once.
    pub fn ids<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>) -> Vec<SessionId> {
        if self.opened().is_some() {
            return Vec::new();
        }
        let found = cookie::candidates(headers, self.cookie().name(), |value| {
            SessionId::parse(std::str::from_utf8(value).ok()?)
        });
        if found.malformed > 0 {
            malformed_ids(found.malformed);
        }
        found.values
    }

    /// Opens the session that one of `ids` names, or a new one, unless the slot is open already.
    ///
    /// `ids` are the distinct well-formed ids in the request's cookies of the manager's name. When
    /// exactly one of them is live, it is the session; when several are, none is.
    ///
    /// # Errors
    ///
    /// When the store fails, or no id can be made for a new session.
    pub async fn open(&self, ids: &[SessionId]) -> Result<&OpenSlot, SessionError> {
        let _turn = self.0.opening.take().await;
        if let Some(open) = self.0.open.get() {
            return Ok(open);
        }
        let state = self.0.manager.open(ids).await?;
        let open = OpenSlot::new(Arc::clone(&self.0.manager), state);
        Ok(self.0.open.get_or_init(|| open))
    }

    /// The open slot, if anybody has looked at the session: the response depends on it then.
    #[must_use]
    pub fn opened(&self) -> Option<&OpenSlot> {
        self.0.open.get()
    }

    /// Whether two slots are of the same manager, so that one of them does for both.
    #[must_use]
    pub fn is_of_same_manager(&self, other: &Slot) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0.manager), Arc::as_ptr(&other.0.manager))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("is_open", &self.opened().is_some())
            .finish_non_exhaustive()
    }
}

/// The record of one request. Sessions are forked from it. Clones share it.
#[derive(Clone)]
pub struct OpenSlot(Arc<Opened>);

struct Opened {
    manager: Arc<dyn Manage>,
    turn: Turn,
    under_way: Mutex<Option<UnderWay>>,
    state: Mutex<State>,
}

impl OpenSlot {
    pub(crate) fn new(manager: Arc<dyn Manage>, state: State) -> Self {
        OpenSlot(Arc::new(Opened {
            manager,
            turn: Turn::default(),
            under_way: Mutex::new(None),
            state: Mutex::new(state),
        }))
    }

    /// Forgets the changes that are not saved yet. A destroy is still carried out.
    ///
    /// A save that was given up half way is not waited for any more.
    pub fn discard(&self) {
        let mut state = self.state();
        state.discard();
        if state.destroyed.is_empty() {
            *self.under_way() = None;
        }
    }

    /// Saves what has been laid over the slot.
    ///
    /// When the future is dropped before it is done, the save may have been carried out or not; the next
    /// one finishes it first. One save of a slot at a time.
    ///
    /// # Errors
    ///
    /// See [`SessionError`]. The changes are kept, but for a conflict: a later save tries again.
    pub async fn save(&self) -> Result<Saved, SessionError> {
        let _turn = self.0.turn.take().await;
        let mut earlier = self.finish().await;
        if matches!(earlier, Some(Err(_))) && self.under_way().is_some() {
            // What it left in doubt may be found out.
            earlier = self.finish().await;
        }
        let earlier = match earlier {
            Some(Err(error)) if error.drops_changes() || self.under_way().is_some() => {
                return Err(error);
            }
            Some(Err(error)) => {
                // The changes are still there: this save is another try.
                tracing::warn!(
                    event = "store_failure",
                    error = %chain(&error),
                    "a save that was not waited for has failed, and is tried again"
                );
                None
            }
            Some(Ok(saved)) => Some(saved),
            None => None,
        };
        let begun = {
            let mut state = self.state();
            let epoch = state.epoch;
            match Arc::clone(&self.0.manager).begin_save(&mut state) {
                Begun::Done(result) => Some(result?),
                Begun::Saving(saving) => {
                    *self.under_way() = Some(UnderWay { saving, epoch });
                    None
                }
            }
        };
        let saved = match begun {
            Some(saved) => Some(saved),
            None => self.finish().await.transpose()?,
        };
        Ok(match saved {
            None | Some(Saved::Unchanged) => earlier.unwrap_or(Saved::Unchanged),
            Some(saved) => saved,
        })
    }

    /// Waits for the save that is under way, if there is one.
    async fn finish(&self) -> Option<Result<Saved, SessionError>> {
        std::future::poll_fn(|context| {
            // Taken out, so that one that panics is not asked again.
            let Some(mut under_way) = self.under_way().take() else {
                return Poll::Ready(None);
            };
            let Poll::Ready(mut outcome) = under_way.saving.as_mut().poll(context) else {
                *self.under_way() = Some(under_way);
                return Poll::Pending;
            };
            let epoch = under_way.epoch;
            *self.under_way() = (outcome.in_doubt.take()).map(|saving| UnderWay { saving, epoch });
            let cookie_name = self.0.manager.cookie().name();
            Poll::Ready(Some(self.state().note(epoch, outcome, cookie_name)))
        })
        .await
    }

    /// Saves, for the last time before the response head leaves, and tells what the response must do
    /// to the client's cookie.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save). The response must then be an error, and what it does to the cookie is what
    /// [`cookie_change`](Self::cookie_change) says.
    pub async fn commit(&self) -> Result<CookieChange, SessionError> {
        let saved = self.save().await;
        let mut state = self.state();
        state.phase = Phase::AfterHead;
        saved?;
        Ok(state.cookie_change(|record| self.0.manager.cookie_max_age(record)))
    }

    /// What the response must do to the client's cookie when a commit has failed: an earlier save of the
    /// same request may have given the session an id that the client must learn.
    #[must_use]
    pub fn cookie_change(&self) -> CookieChange {
        let mut state = self.state();
        state.cookie_change(|record| self.0.manager.cookie_max_age(record))
    }

    pub(crate) fn manager(&self) -> &dyn Manage {
        &*self.0.manager
    }

    fn under_way(&self) -> MutexGuard<'_, Option<UnderWay>> {
        self.0
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No change of it is left half made, so what a panic leaves behind is whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for OpenSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSlot").finish_non_exhaustive()
    }
}

/// What a slot and the handles forked from it ask of their manager, whose store's type they do not
/// know.
pub(crate) trait Manage: Send + Sync {
    fn cookie(&self) -> &CookieSettings;
    /// Opens the session that one of `ids` names, or a new one.
    fn open<'a>(&'a self, ids: &'a [SessionId]) -> BoxedFuture<'a, Result<State, SessionError>>;
    /// Begins to save what has been laid over a slot.
    fn begin_save(self: Arc<Self>, state: &mut State) -> Begun;
    /// Whether using the session now moves its expiry or renews its id.
    fn is_save_due(&self, record: &Record) -> bool;
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// The beginning and the end of a session that begins now.
    fn lifetime_from_now(&self) -> (Timestamp, Timestamp);
    /// For how long the client shall keep the cookie of this session.
    fn cookie_max_age(&self, record: &Record) -> Option<Duration>;
}

pub(crate) type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a save did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saved {
    /// There was nothing to save.
    Unchanged,
    /// The changes are stored, or the destroyed session is gone from the store.
    Written,
    /// The session had ended before: the changes are dropped.
    Gone,
}

/// What the response must do to the client's cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieChange {
    /// Nothing: the client holds the right cookie, or none.
    Keep,
    /// Set the cookie to this id.
    Set {
        /// The id.
        id: SessionId,
        /// For how long; until the browser closes when `None`.
        max_age: Option<Duration>,
    },
    /// Remove the cookie.
    Remove,
}

impl CookieChange {
    /// The value of the `Set-Cookie` header that makes the change; `None` when nothing changes.
    ///
    /// # Errors
    ///
    /// When the cookie would be larger than browsers accept.
    pub fn header(&self, settings: &CookieSettings) -> Result<Option<String>, CookieError> {
        match self {
            CookieChange::Keep => Ok(None),
            CookieChange::Set { id, max_age } => {
                settings.set_cookie(id.as_str(), *max_age).map(Some)
            }
            CookieChange::Remove => Ok(Some(settings.removal())),
        }
    }
}
