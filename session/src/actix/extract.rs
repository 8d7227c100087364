//! `Session<T>` and `SessionManager` as extractors.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;

use actix_web::dev::{Extensions, Payload, ServiceRequest};
use actix_web::guard::GuardContext;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};

use super::current::Current;
use super::response;
use crate::request::Request;
use crate::telemetry::chain;
use crate::typed::SessionData;
use crate::{Session, SessionError, SessionManager};

/// Opens the visitor's session at the first extraction in a request. Further extractions, of this
/// session type or another one, see what the earlier ones changed once those are dropped.
///
/// # Errors
///
/// [`ExtractError`]: 503 when the store is not available, 500 when it fails and when there is no
/// [`SessionMiddleware`](crate::SessionMiddleware). Both are logged; the client is told nothing.
impl<T: SessionData> FromRequest for Session<T> {
    type Error = ExtractError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ExtractError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let current = extensions.get::<Current>();
        let Some(session_request) = current.and_then(Current::request_for::<T>).cloned() else {
            return Box::pin(ready(Err(no_middleware(std::any::type_name::<T>()))));
        };
        Box::pin(async move {
            session_request.session().await.map_err(|error| {
                tracing::error!(
                    event = "store_failure",
                    error = %chain(&error),
                    "a session could not be opened"
                );
                ExtractError(Problem::Open(error))
            })
        })
    }
}

/// The manager of the middleware around the handler: for handlers that list or revoke sessions.
///
/// # Errors
///
/// [`ExtractError`]: 500 when there is no [`SessionMiddleware`](crate::SessionMiddleware).
impl FromRequest for SessionManager {
    type Error = ExtractError;
    type Future = Ready<Result<Self, ExtractError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let manager = extensions
            .get::<Current>()
            .and_then(Current::request)
            .map(Request::manager);
        ready(manager.ok_or_else(|| no_middleware("SessionManager")))
    }
}

fn no_middleware(asked_for: &'static str) -> ExtractError {
    tracing::error!(
        event = "missing_middleware",
        asked_for,
        "a handler asks for a session, but nothing opens sessions for it: add \
         `.wrap(SessionMiddleware::new(sessions.clone()))` to its `App` or `scope`"
    );
    ExtractError(Problem::NoMiddleware)
}

/// A session could not be extracted.
#[derive(Debug)]
pub struct ExtractError(Problem);

#[derive(Debug)]
enum Problem {
    NoMiddleware,
    Open(SessionError),
}

impl ExtractError {
    /// Why the session could not be opened; `None` when there is no middleware to open it.
    #[must_use]
    pub fn session_error(&self) -> Option<&SessionError> {
        match &self.0 {
            Problem::NoMiddleware => None,
            Problem::Open(error) => Some(error),
        }
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::NoMiddleware => f.write_str("no session middleware is around this handler"),
            Problem::Open(_) => f.write_str("the session could not be opened"),
        }
    }
}

impl std::error::Error for ExtractError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Problem::NoMiddleware => None,
            Problem::Open(error) => Some(error),
        }
    }
}

impl ResponseError for ExtractError {
    fn status_code(&self) -> StatusCode {
        match &self.0 {
            Problem::NoMiddleware => StatusCode::INTERNAL_SERVER_ERROR,
            Problem::Open(error) => response::status(error.status()),
        }
    }

    fn error_response(&self) -> HttpResponse {
        response::failure(self.status_code())
    }
}

/// A look at the session where nothing can be awaited: in guards, and in helpers that are given no
/// more than the request.
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "actix-web"))] {
/// use actix_web::guard::GuardContext;
/// use session::{Session, SessionExt as _};
///
/// #[derive(Default, Session)]
/// struct Visit {
///     beta: bool,
/// }
///
/// /// A guard, behind a middleware that has extracted the session.
/// fn is_beta(context: &GuardContext<'_>) -> bool {
///     context.session::<Visit>().is_some_and(|session| session.beta)
/// }
/// # }
/// ```
pub trait SessionExt: sealed::HasExtensions {
    /// The session, if an extraction has opened it earlier in this request; asks no store.
    fn session<T: SessionData>(&self) -> Option<Session<T>> {
        self.with_extensions(|extensions| {
            let request = extensions.get::<Current>()?.request_for::<T>()?;
            request.opened_session()
        })
    }
}

impl SessionExt for HttpRequest {}
impl SessionExt for ServiceRequest {}
impl SessionExt for GuardContext<'_> {}

mod sealed {
    use actix_web::HttpMessage as _;

    use super::{Extensions, GuardContext, HttpRequest, ServiceRequest};

    pub trait HasExtensions {
        fn with_extensions<R>(&self, look: impl FnOnce(&Extensions) -> R) -> R;
    }

    impl HasExtensions for HttpRequest {
        fn with_extensions<R>(&self, look: impl FnOnce(&Extensions) -> R) -> R {
            look(&self.extensions())
        }
    }

    impl HasExtensions for ServiceRequest {
        fn with_extensions<R>(&self, look: impl FnOnce(&Extensions) -> R) -> R {
            look(&self.extensions())
        }
    }

    impl HasExtensions for GuardContext<'_> {
        fn with_extensions<R>(&self, look: impl FnOnce(&Extensions) -> R) -> R {
            look(&self.req_data())
        }
    }
}
