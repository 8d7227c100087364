//! All policy of sessions: when they end, when their id is renewed, what is saved and when. Knows no
//! framework and no session type.

mod builder;
mod commit;
mod forward;
mod open;
mod owners;
mod rotate;
mod sweep;
mod timeouts;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use builder::Policy;
pub use builder::{SessionManagerBuilder, WhenGone};
pub use owners::{Snapshot, WhenFull};

use crate::record::Record;
use crate::slot::{Begun, BoxedFuture, Manage, OpenSlot, Phase, State};
use crate::typed::SessionData;
use crate::{
    Clock, CookieChange, CookieSettings, Listing, Session, SessionError, SessionId, SessionStore,
    Slot, StoreError, StoreKey, Timestamp,
};

/// Opens and saves the sessions of one store, by one set of rules. Clones share it.
///
/// In actix-web, give it to [`SessionMiddleware`](crate::SessionMiddleware) and be done. Without a
/// framework, [`get`](Self::get) and [`save`](Self::save) are all it takes:
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "memory"))] {
/// use session::{CookieChange, MemoryStore, Session, SessionManager};
///
/// #[derive(Debug, Default, Session)]
/// struct Visit {
///     views: u64,
/// }
///
/// # async fn example(cookie_value: Option<&str>) -> Result<(), session::SessionError> {
/// let sessions = SessionManager::builder(MemoryStore::new()).build();
///
/// let mut session: Session<Visit> = sessions.get(cookie_value).await?;
/// *session.views_mut() += 1;
///
/// match sessions.save(&mut session).await? {
///     CookieChange::Set { id, max_age } => { /* set the cookie to `id.as_str()` */ }
///     CookieChange::Remove => { /* remove the cookie */ }
///     _ => {}
/// }
/// # Ok(())
/// # }
/// # }
/// ```
pub struct SessionManager<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
    policy: Arc<Policy>,
    clock: Box<dyn Clock>,
}

impl<S: SessionStore> SessionManager<S> {
    /// A manager with other settings than the defaults.
    pub fn builder(store: S) -> SessionManagerBuilder<S> {
        SessionManagerBuilder::new(store)
    }

    /// The session whose id the cookie's value is, or a new one.
    ///
    /// A value that is no id at all never reaches the store.
    ///
    /// # Errors
    ///
    /// When the store fails, or no id can be made for a new session.
    pub async fn get<T: SessionData>(
        &self,
        cookie_value: Option<&str>,
    ) -> Result<Session<T>, SessionError> {
        let id = cookie_value.and_then(|value| {
            let id = SessionId::parse(value);
            if id.is_none() {
                crate::log::malformed_ids(1);
            }
            id
        });
        let state = self.0.open_ids(id.as_slice()).await?;
        Ok(self.fork(state))
    }

    /// A new session with an id of its own, not stored yet.
    ///
    /// # Errors
    ///
    /// When no id can be made.
    pub fn create<T: SessionData>(&self) -> Result<Session<T>, SessionError> {
        Ok(self.fork(State::new(SessionId::generate()?)))
    }

    /// Saves the session, changed or not, and tells what must be done to the client's cookie.
    ///
    /// # Errors
    ///
    /// See [`SessionError`]. The changes are kept: a later save tries again.
    pub async fn save<T: SessionData>(
        &self,
        session: &mut Session<T>,
    ) -> Result<CookieChange, SessionError> {
        session.force();
        session.save_for_client().await
    }

    /// Saves the session if there is a reason to, and tells what must be done to the client's
    /// cookie.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub async fn save_if_modified<T: SessionData>(
        &self,
        session: &mut Session<T>,
    ) -> Result<CookieChange, SessionError> {
        session.save_for_client().await
    }

    /// Ends the session, durably. The client's cookie is to be removed.
    ///
    /// # Errors
    ///
    /// When the store fails: the session may then still be alive.
    pub async fn delete<T: SessionData>(
        &self,
        mut session: Session<T>,
    ) -> Result<CookieChange, SessionError> {
        session.destroy();
        session.save_for_client().await
    }

    /// All sessions in the store, piece by piece, the expired ones that have not been removed yet
    /// among them.
    pub fn list(&self) -> Listing {
        self.0.store.list()
    }

    /// Takes the expired sessions out of the store; gives their number.
    ///
    /// Security does not depend on it: an expired session is dead from the first moment on.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn remove_expired(&self) -> Result<u64, StoreError> {
        self.0.store.remove_expired(self.0.clock.now()).await
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }

    /// The settings of the cookie that carries the id.
    #[must_use]
    pub fn cookie(&self) -> &CookieSettings {
        &self.0.policy.cookie
    }

    /// A slot for one request: for those who adapt the library to a framework.
    #[must_use]
    pub fn slot(&self) -> Slot {
        Slot::new(Arc::clone(&self.0) as Arc<dyn Manage>)
    }

    fn fork<T: SessionData>(&self, mut state: State) -> Session<T> {
        state.phase = Phase::Direct;
        let manager = Arc::clone(&self.0) as Arc<dyn Manage>;
        Session::fork(&OpenSlot::new(manager, state))
    }
}

impl<S> Clone for SessionManager<S> {
    fn clone(&self) -> Self {
        SessionManager(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for SessionManager<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

impl<S: SessionStore> Inner<S> {
    fn key(&self, id: &SessionId) -> StoreKey {
        StoreKey::new(self.policy.cookie.name(), id)
    }
}

impl<S: SessionStore> Manage for Inner<S> {
    fn cookie(&self) -> &CookieSettings {
        &self.policy.cookie
    }

    fn open<'a>(&'a self, ids: &'a [SessionId]) -> BoxedFuture<'a, Result<State, SessionError>> {
        Box::pin(self.open_ids(ids))
    }

    fn begin_save(self: Arc<Self>, state: &mut State) -> Begun {
        self.begin(state)
    }

    fn is_save_due(&self, record: &Record) -> bool {
        let now = self.clock.now();
        self.policy.timeouts.is_touch_due(record, now) || self.policy.is_renewal_due(record, now)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn lifetime_from_now(&self) -> (Timestamp, Timestamp) {
        let now = self.clock.now();
        (now, self.policy.timeouts.expires(now, now, None))
    }

    fn cookie_max_age(&self, record: &Record) -> Option<Duration> {
        self.policy
            .timeouts
            .cookie_max_age(record, self.clock.now())
    }
}
