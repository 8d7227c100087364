//! The requests of the middlewares around a handler. An adapter keeps them in the extensions of its
//! framework's request.

use std::any::TypeId;

use super::ExtractError;
use crate::request::Request;
use crate::telemetry::chain;
use crate::typed::SessionData;
use crate::{Session, SessionManager};

/// The requests of all middlewares around a handler, the outermost first.
#[derive(Clone, Default)]
pub(crate) struct Current(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    /// The one session type that the middleware is for; all, when `None`.
    only_for: Option<TypeId>,
    request: Request,
}

/// What a middleware finds around it.
pub(super) enum Around {
    /// Nothing that concerns it.
    Nothing,
    /// The same middleware: the outer one does all there is to do.
    SameManager,
    /// Another manager with a cookie of the same name.
    SameCookie,
    /// Another manager for the same session types, which handlers do not reach any more.
    Hidden,
}

impl Current {
    pub(super) fn around(&self, request: &Request, only_for: Option<TypeId>) -> Around {
        let same_manager =
            |entry: &Entry| entry.request.is_of_same_manager(request) && entry.only_for == only_for;
        let same_cookie = |entry: &Entry| entry.request.cookie_name() == request.cookie_name();
        if self.0.iter().any(same_manager) {
            Around::SameManager
        } else if self.0.iter().any(same_cookie) {
            Around::SameCookie
        } else if self.0.iter().any(|entry| entry.only_for == only_for) {
            Around::Hidden
        } else {
            Around::Nothing
        }
    }

    pub(super) fn push(&mut self, request: Request, only_for: Option<TypeId>) {
        self.0.push(Entry { only_for, request });
    }

    /// The innermost middleware has answered. The outermost one stays, for code that asks for the session
    /// after the response. Only where the request outlives the handler.
    #[cfg(feature = "actix-web")]
    pub(crate) fn pop(&mut self) {
        if self.0.len() > 1 {
            self.0.pop();
        }
    }

    /// The request that opens sessions of the type `T`: of the innermost middleware for just this type,
    /// or else for all.
    pub(crate) fn request_for<T: SessionData>(&self) -> Option<&Request> {
        let of = |wanted| {
            let mut entries = self.0.iter().rev();
            entries.find(|entry| entry.only_for == wanted)
        };
        let entry = of(Some(TypeId::of::<T>())).or_else(|| of(None))?;
        Some(&entry.request)
    }

    /// The manager of the innermost middleware for all session types, or else of the innermost one.
    fn manager(&self) -> Option<SessionManager> {
        let mut entries = self.0.iter().rev();
        let entry = entries.find(|entry| entry.only_for.is_none());
        Some(entry.or(self.0.last())?.request.manager())
    }

    /// The manager for a handler that asks for it. `advice` says how a middleware is added.
    pub(crate) fn extract_manager(
        current: Option<&Self>,
        advice: &'static str,
    ) -> Result<SessionManager, ExtractError> {
        let manager = current.and_then(Current::manager);
        manager.ok_or_else(|| ExtractError::no_middleware("SessionManager", advice))
    }

    /// The session for a handler that asks for it.
    pub(crate) fn extract<T: SessionData>(
        current: Option<&Self>,
        advice: &'static str,
    ) -> impl Future<Output = Result<Session<T>, ExtractError>> + Send + use<T> {
        let request = current.and_then(Current::request_for::<T>).cloned();
        async move {
            let Some(request) = request else {
                let asked_for = std::any::type_name::<T>();
                return Err(ExtractError::no_middleware(asked_for, advice));
            };
            request.session().await.map_err(|error| {
                tracing::error!(
                    event = "store_failure",
                    error = %chain(&error),
                    "a session could not be opened"
                );
                ExtractError::failed(error)
            })
        }
    }
}
