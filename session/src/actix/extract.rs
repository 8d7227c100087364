//! `Session<T>` and `SessionManager` as extractors.

use std::future::{Future, Ready, ready};
use std::pin::Pin;

use actix_web::dev::{Extensions, Payload, ServiceRequest};
use actix_web::guard::GuardContext;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};

use super::{ADVICE, response};
use crate::adapter::Current;
use crate::typed::SessionData;
use crate::{ExtractError, Session, SessionManager};

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
        Box::pin(Current::extract(request.extensions().get(), ADVICE))
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
        let extracted = Current::extract_manager(request.extensions().get(), ADVICE);
        ready(extracted)
    }
}

impl ResponseError for ExtractError {
    fn status_code(&self) -> StatusCode {
        response::status(self.status())
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
