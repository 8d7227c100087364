//! `Session<T>` as an extractor.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::{Extensions, Payload, ServiceRequest};
use actix_web::guard::GuardContext;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};

use super::{Current, response};
use crate::log::chain;
use crate::typed::SessionData;
use crate::{Session, SessionError};

/// Opens the visitor's session at the first extraction in a request. Further extractions, of this
/// session type or another one, see what the earlier ones changed once those are dropped.
///
/// # Errors
///
/// [`ExtractError`]: 503 when the store is not available, 500 when it fails and when there is no
/// [`SessionMiddleware`](super::SessionMiddleware). Both are logged; the client is told nothing.
impl<T: SessionData> FromRequest for Session<T> {
    type Error = ExtractError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ExtractError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let slot = request
            .extensions()
            .get::<Current>()
            .map(|Current(slot)| slot.clone());
        let Some(slot) = slot else {
            tracing::error!(
                event = "missing_middleware",
                session_type = std::any::type_name::<T>(),
                "a handler asks for a session, but nothing opens sessions for it: add \
                 `.wrap(SessionMiddleware::new(sessions.clone()))` to its `App` or `scope`"
            );
            return Box::pin(std::future::ready(Err(ExtractError(Problem::NoMiddleware))));
        };
        let cookies = request.headers().get_all(header::COOKIE);
        // Read here and now: a clone of the request that is held while the router works makes
        // actix-web panic.
        let ids = slot.ids(cookies.map(header::HeaderValue::as_bytes));
        Box::pin(async move {
            match slot.open(&ids).await {
                Ok(open) => Ok(Session::fork(open)),
                Err(error) => {
                    tracing::error!(
                        event = "store_failure",
                        error = %chain(&error),
                        "a session could not be opened"
                    );
                    Err(ExtractError(Problem::Open(error)))
                }
            }
        })
    }
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
            Problem::Open(error) => response::status(error),
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
            let Current(slot) = extensions.get::<Current>()?;
            slot.opened().map(Session::fork)
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
