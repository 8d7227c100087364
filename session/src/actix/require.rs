//! Sessions that must be in a certain state before a handler runs.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest};

use crate::Session;
use crate::typed::SessionData;

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

/// The session of a visitor who meets a requirement; nobody else reaches the handler.
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
            R::check(&session).map_err(Into::into)?;
            Ok(Require(session))
        })
    }
}

impl<R: Requirement> fmt::Debug for Require<R>
where
    Session<R::Data>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Require").field(&self.0).finish()
    }
}
