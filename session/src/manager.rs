//! The face of the library for applications, operators and adapters: all policy of sessions. Knows no
//! framework, no session type and no store's type.

mod config;
mod lifetime;
mod on_end;
mod owned;
mod owners;
mod policy;
mod shared;
mod sweep;

use std::fmt;
use std::sync::Arc;

pub use config::{SessionManagerBuilder, SettingsError};
pub(crate) use lifetime::shifted_to_clock;
pub use on_end::{EndReason, EndedSession};
pub(crate) use owned::delete_if_owned;
pub use owners::Revoked;
pub(crate) use policy::Policy;
pub use policy::{OnServerError, OnSessionEnded, SessionLimit};
pub(crate) use shared::Shared;

use crate::cookie::CookieSettings;
use crate::request::{Arrival, CookieChange, Phase, Request, State};
use crate::store::{Listing, SessionStore};
use crate::typed::SessionData;
use crate::{Session, SessionError};

/// Opens and saves the sessions of one store, by one set of rules. Clones share it.
///
/// In actix-web, give it to [`SessionMiddleware`](crate::SessionMiddleware), in axum to
/// [`SessionLayer`](crate::SessionLayer), and be done; handlers that list or revoke sessions extract it.
/// Without a framework, [`open`](Self::open) and [`save`](Self::save) are all it takes:
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
/// let sessions = SessionManager::new(MemoryStore::new());
///
/// let mut session: Session<Visit> = sessions.open(cookie_value).await?;
/// *session.views_mut() += 1;
///
/// match sessions.save(&mut session).await? {
///     CookieChange::Set { token, max_age } => { /* set the cookie to `token.expose()` */ }
///     CookieChange::Remove => { /* remove the cookie */ }
///     _ => {}
/// }
/// # Ok(())
/// # }
/// # }
/// ```
#[derive(Clone)]
pub struct SessionManager(Arc<Shared>);

impl SessionManager {
    /// A manager with the default settings.
    pub fn new(store: impl SessionStore) -> Self {
        Self::builder(store).build_default()
    }

    /// A manager with other settings than the defaults.
    pub fn builder(store: impl SessionStore) -> SessionManagerBuilder {
        SessionManagerBuilder::new(store)
    }

    pub(crate) fn from_shared(shared: Shared) -> Self {
        SessionManager(Arc::new(shared))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// One HTTP request's way to its session, by the values of its `Cookie` headers: for adapters to a
    /// framework.
    pub fn request<'a>(&self, cookie_headers: impl IntoIterator<Item = &'a [u8]>) -> Request {
        Request::new(Arc::clone(&self.0), cookie_headers)
    }

    /// The session that the cookie's value opens, or a new one.
    ///
    /// A value that is no token at all never reaches the store.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn open<T: SessionData>(
        &self,
        cookie_value: Option<&str>,
    ) -> Result<Session<T>, SessionError> {
        let cookie = cookie_value.map(|value| format!("{}={value}", self.cookie().name()));
        let request = self.request(cookie.as_deref().map(str::as_bytes));
        request.open().await?;
        Ok(self.direct(&request))
    }

    /// A new session, not stored yet.
    #[must_use]
    pub fn create<T: SessionData>(&self) -> Session<T> {
        let request = Request::opened(Arc::clone(&self.0), State::new(Arrival::NoCookie));
        self.direct(&request)
    }

    /// A session that only an explicit save saves.
    #[expect(clippy::unused_self, reason = "reads as what it does")]
    fn direct<T: SessionData>(&self, request: &Request) -> Session<T> {
        if let Some(mut state) = request.state() {
            state.phase = Phase::Direct;
        }
        Session::of(request)
    }

    /// Saves the session, changed or not, and tells what must be done to the client's cookie.
    ///
    /// # Errors
    ///
    /// See [`SessionError`].
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

    /// All sessions in the store, page by page, the expired ones that have not been removed yet
    /// among them.
    pub fn list(&self) -> Listing {
        const PAGE: usize = 256;
        let shared = Arc::clone(&self.0);
        Listing::new(move |after| {
            let shared = Arc::clone(&shared);
            Box::pin(async move { shared.store.list(after, PAGE).await })
        })
    }

    /// The settings of the cookie that carries the token.
    #[must_use]
    pub fn cookie(&self) -> &CookieSettings {
        &self.0.policy.cookie
    }
}

impl Request {
    /// The manager whose sessions the request opens.
    #[must_use]
    pub fn manager(&self) -> SessionManager {
        SessionManager(Arc::clone(self.shared()))
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
