//! Sessions that must be in a certain state before a handler runs.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{Error, FromRequest, HttpRequest, error::InternalError};

use super::response::failure;
use crate::typed::SessionData;
use crate::{Arrival, Session};

/// What a handler needs of the session, to be asked for by [`Require`].
pub trait Requirement: 'static {
    /// The session type that is looked at.
    type Data: SessionData;
    /// The answer to those who do not meet it: an error of 401, a redirect to the page for signing in.
    type Rejection: Into<Error>;

    /// Looks at the session.
    ///
    /// # Errors
    ///
    /// When the handler must not run.
    fn check(session: &Session<Self::Data>) -> Result<(), Self::Rejection>;
}

/// The session of a visitor who meets a requirement; no other visitor reaches the handler.
///
/// A request that a sign-in of the same client has overtaken ([`Arrival::Late`]) is answered with 409 and
/// `Retry-After: 0` instead of the rejection: the page tries again, with the cookie that has arrived
/// meanwhile.
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "actix-web"))] {
/// use actix_web::{HttpResponse, error};
/// use session::{Require, Requirement, Session};
///
/// #[derive(Default, Session)]
/// struct Visit {
///     #[session(rotate)]
///     user: Option<String>,
///     orders: u32,
/// }
///
/// struct SignedIn;
///
/// impl Requirement for SignedIn {
///     type Data = Visit;
///     type Rejection = actix_web::Error;
///
///     fn check(session: &Session<Visit>) -> Result<(), actix_web::Error> {
///         match session.user {
///             Some(_) => Ok(()),
///             None => Err(error::ErrorUnauthorized("please sign in")),
///         }
///     }
/// }
///
/// async fn order(mut session: Require<SignedIn>) -> HttpResponse {
///     *session.orders_mut() += 1;
///     HttpResponse::NoContent().finish()
/// }
/// # }
/// ```
pub struct Require<R: Requirement>(Session<R::Data>);

impl<R: Requirement> Require<R> {
    /// The session.
    #[must_use]
    pub fn into_inner(self) -> Session<R::Data> {
        self.0
    }
}

impl<R: Requirement> Deref for Require<R> {
    type Target = Session<R::Data>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<R: Requirement> DerefMut for Require<R> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<R: Requirement> FromRequest for Require<R> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = Session::from_request(request, payload);
        Box::pin(async move {
            let session = session.await?;
            match R::check(&session) {
                Ok(()) => Ok(Require(session)),
                Err(_) if session.arrival() == Arrival::Late => Err(try_again()),
                Err(rejection) => Err(rejection.into()),
            }
        })
    }
}

fn try_again() -> Error {
    let mut response = failure(StatusCode::CONFLICT);
    let now = HeaderValue::from_static("0");
    response.headers_mut().insert(RETRY_AFTER, now);
    InternalError::from_response("overtaken by a sign-in of the same client", response).into()
}

impl<R: Requirement> fmt::Debug for Require<R>
where
    Session<R::Data>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require").field(&self.0).finish()
    }
}
