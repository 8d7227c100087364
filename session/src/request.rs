//! One HTTP request's way to its session: opened once, when a handler asks for it, and committed once,
//! before the response head leaves. Knows no framework.

mod arrival;
mod batch;
mod commit;
mod finish;
mod limit;
mod open;
mod outcome;
mod refusal;
mod saved;
mod state;
mod step;
mod update;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use arrival::Arrival;
pub(crate) use batch::Batch;
#[cfg(any(feature = "actix-web", feature = "axum"))]
pub(crate) use finish::ResponseHeaders;
pub use finish::{CookieChange, Finish};
pub use saved::Saved;
pub(crate) use state::{Known, Phase, State};

use crate::cookie::{self, Candidates};
use crate::manager::Shared;
use crate::{SessionError, SessionToken};

/// One request's way to its session.
///
/// For adapters to a framework; handlers use [`Session`](struct@crate::Session). Making one asks no
/// store. [`session`](Self::session) opens it, lazily and once; [`commit`](Self::commit) saves what the
/// handlers have changed and tells what the response needs. Clones share it.
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "memory"))] {
/// use session::{MemoryStore, Session, SessionManager};
///
/// #[derive(Debug, Default, Session)]
/// struct Visit {
///     views: u64,
/// }
///
/// # async fn example(cookie_header: &[u8]) -> Result<(), session::SessionError> {
/// let sessions = SessionManager::new(MemoryStore::new());
/// let request = sessions.request([cookie_header]);
///
/// let mut session: Session<Visit> = request.session().await?;
/// *session.views_mut() += 1;
/// drop(session);
///
/// let finish = request.commit(200).await;
/// for (name, value) in finish.headers() {
///     println!("{name}: {value}");
/// }
/// # Ok(())
/// # }
/// # }
/// ```
#[derive(Clone)]
pub struct Request(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    tokens: Candidates<SessionToken>,
    state: OnceLock<Mutex<State>>,
}

impl Request {
    /// A request with these `Cookie` headers, which are read byte by byte.
    pub(crate) fn new<'a>(
        shared: Arc<Shared>,
        cookie_headers: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let name = shared.policy.cookie.name();
        let tokens = cookie::candidates(cookie_headers, name, SessionToken::parse_bytes);
        Request(Arc::new(Inner {
            shared,
            tokens,
            state: OnceLock::new(),
        }))
    }

    /// A request that is open already.
    pub(crate) fn opened(shared: Arc<Shared>, state: State) -> Self {
        let tokens = Candidates::none();
        let state = OnceLock::from(Mutex::new(state));
        Request(Arc::new(Inner {
            shared,
            tokens,
            state,
        }))
    }

    /// Opens the session, unless it is open already.
    pub(crate) async fn open(&self) -> Result<(), SessionError> {
        if !self.is_open() {
            let state = open::open(&self.0.shared, &self.0.tokens).await?;
            // Two may have opened it at the same time: either has read the same session.
            let _ = self.0.state.set(Mutex::new(state));
        }
        Ok(())
    }

    /// Whether the session has been asked for: the response depends on it then.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.state.get().is_some()
    }

    /// Whether two requests are of the same manager.
    #[must_use]
    pub fn is_of_same_manager(&self, other: &Request) -> bool {
        Arc::ptr_eq(&self.0.shared, &other.0.shared)
    }

    /// The name of the cookie that the session is looked for in.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        self.0.shared.policy.cookie.name()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// What is known of the session; `None` before it is opened.
    pub(crate) fn state(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.0.state.get()?;
        // No change of it is left half made, so what a panic leaves behind is whole.
        Some(state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}
