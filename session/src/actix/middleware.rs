//! The middleware: a slot for each request, and one commit before the response head leaves.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{Error, HttpMessage as _, error};
use pin_project_lite::pin_project;

use super::Current;
use super::response::{Headers, WithHeaders};
use crate::log::chain;
use crate::{CookieChange, OpenSlot, SessionError, SessionManager, SessionStore, Slot};

/// Opens sessions for the handlers inside it, on demand, and saves them.
///
/// A request whose handler does not extract a [`Session`](struct@crate::Session) touches no store and gets
/// no header. One that does gets `Vary: Cookie`; when its session's cookie changes, also
/// `Set-Cookie`, and `Cache-Control: no-store` in place of what the handler said.
///
/// What is saved depends on the response's status, whether it came as a response or as an `Err`:
///
/// | The handler | Its changes | A `destroy()` |
/// |---|---|---|
/// | answers below 500 | are saved | is carried out |
/// | answers 500 or above | are dropped, unless [`on_server_error`](Self::on_server_error) says otherwise | is carried out |
/// | panics | are dropped | is not reached |
///
/// When saving fails, the response is replaced by an empty 500, or 503 when the store is not
/// available, and the cookie stays as it is.
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "actix-web", feature = "memory"))] {
/// use actix_web::{App, HttpResponse, Responder, web};
/// use session::{MemoryStore, Session, SessionManager, SessionMiddleware};
///
/// #[derive(Default, Session)]
/// struct Visit {
///     views: u64,
/// }
///
/// async fn index(mut session: Session<Visit>) -> impl Responder {
///     *session.views_mut() += 1;
///     HttpResponse::Ok().body(format!("{} views", session.views))
/// }
///
/// let sessions = SessionManager::builder(MemoryStore::new()).build();
/// let app = App::new()
///     .wrap(SessionMiddleware::new(sessions.clone()))
///     .route("/", web::get().to(index));
/// # }
/// ```
pub struct SessionMiddleware<S> {
    manager: SessionManager<S>,
    options: Options,
}

#[derive(Debug, Clone, Copy, Default)]
struct Options {
    on_server_error: OnServerError,
    clear_site_data: bool,
}

/// What becomes of the changes of a request that is answered with 500 or above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnServerError {
    /// They are dropped: what broke half way is not kept half done.
    #[default]
    Discard,
    /// They are saved like any others.
    Save,
}

impl<S: SessionStore> SessionMiddleware<S> {
    /// A middleware for the sessions of `manager`, whose clones share them.
    #[must_use]
    pub fn new(manager: SessionManager<S>) -> Self {
        SessionMiddleware {
            manager,
            options: Options::default(),
        }
    }

    /// What becomes of the changes of a request that is answered with 500 or above. Default:
    /// [`OnServerError::Discard`].
    #[must_use]
    pub fn on_server_error(mut self, on_server_error: OnServerError) -> Self {
        self.options.on_server_error = on_server_error;
        self
    }

    /// Whether the response that removes the cookie of a destroyed session also asks the browser, by
    /// `Clear-Site-Data`, to forget all it keeps of this site (ASVS 5.0 row 14.3.1). Default:
    /// false, because it also throws away what has nothing to do with sessions.
    #[must_use]
    pub fn clear_site_data(mut self, clear: bool) -> Self {
        self.options.clear_site_data = clear;
        self
    }
}

impl<S> Clone for SessionMiddleware<S> {
    fn clone(&self) -> Self {
        SessionMiddleware {
            manager: self.manager.clone(),
            options: self.options,
        }
    }
}

impl<S> fmt::Debug for SessionMiddleware<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware")
            .field("manager", &self.manager)
            .field("options", &self.options)
            .finish()
    }
}

impl<S, Inner, B> Transform<Inner, ServiceRequest> for SessionMiddleware<S>
where
    S: SessionStore,
    Inner: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = SessionService<S, Inner>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: Inner) -> Self::Future {
        ready(Ok(SessionService {
            inner,
            middleware: self.clone(),
        }))
    }
}

/// A service inside a [`SessionMiddleware`].
pub struct SessionService<S, Inner> {
    inner: Inner,
    middleware: SessionMiddleware<S>,
}

impl<S, Inner> fmt::Debug for SessionService<S, Inner> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("middleware", &self.middleware)
            .finish_non_exhaustive()
    }
}

impl<S, Inner, B> Service<ServiceRequest> for SessionService<S, Inner>
where
    S: SessionStore,
    Inner: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Respond<Inner::Future, B>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let slot = self.middleware.manager.slot();
        let outer = {
            let mut extensions = request.extensions_mut();
            match extensions.remove::<Current>() {
                // The same middleware twice: the outer one does all there is to do.
                Some(Current(outer)) if outer.is_of_same_manager(&slot) => {
                    extensions.insert(Current(outer));
                    drop(extensions);
                    return Respond::Passing {
                        inner: self.inner.call(request),
                    };
                }
                Some(Current(outer)) if outer.cookie().name() == slot.cookie().name() => {
                    tracing::error!(
                        event = "two_managers",
                        "two session middlewares with different managers use a cookie of the same \
                         name: give one of them another `CookieSettings::name`"
                    );
                    return Respond::Refused;
                }
                outer => {
                    extensions.insert(Current(slot.clone()));
                    outer
                }
            }
        };
        Respond::Handling {
            inner: self.inner.call(request),
            slot,
            outer,
            options: self.middleware.options,
        }
    }
}

pin_project! {
    /// The response of a [`SessionService`].
    #[project = RespondProjection]
    pub enum Respond<Fut, B> {
        // Another middleware of the same manager is further out.
        Passing { #[pin] inner: Fut },
        // The handler is at work.
        Handling {
            #[pin]
            inner: Fut,
            slot: Slot,
            outer: Option<Current>,
            options: Options,
        },
        // The session that it opened is being saved.
        Committing {
            commit: Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>,
        },
        // The middlewares contradict each other.
        Refused,
    }
}

impl<Fut, B> Future for Respond<Fut, B>
where
    Fut: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: 'static,
{
    type Output = Result<ServiceResponse<B>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let commit = match self.as_mut().project() {
                RespondProjection::Passing { inner } => return inner.poll(context),
                RespondProjection::Committing { commit } => return commit.as_mut().poll(context),
                RespondProjection::Refused => {
                    return Poll::Ready(Err(error::ErrorInternalServerError("")));
                }
                RespondProjection::Handling {
                    inner,
                    slot,
                    outer,
                    options,
                } => {
                    let result = ready!(inner.poll(context));
                    if let (Ok(response), Some(outer)) = (&result, outer.take()) {
                        response.request().extensions_mut().insert(outer);
                    }
                    let Some(open) = slot.opened() else {
                        return Poll::Ready(result);
                    };
                    Box::pin(commit(open.clone(), slot.clone(), result, *options))
                }
            };
            self.set(Respond::Committing { commit });
        }
    }
}

async fn commit<B>(
    open: OpenSlot,
    slot: Slot,
    result: Result<ServiceResponse<B>, Error>,
    options: Options,
) -> Result<ServiceResponse<B>, Error> {
    let status = match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    if is_discarded(status, options.on_server_error) {
        open.discard();
    }
    let headers = match headers(&open, &slot, options).await {
        Ok(headers) => headers,
        Err(failed) => {
            let error = failed.into();
            return Err(match earned(&open, &slot) {
                Some(headers) => WithHeaders { error, headers }.into(),
                None => error,
            });
        }
    };
    match result {
        Ok(mut response) => {
            headers.add_to(response.headers_mut());
            Ok(response)
        }
        Err(error) => Err(WithHeaders { error, headers }.into()),
    }
}

/// The cookie that an earlier save of the request has made necessary, although the last one has failed.
fn earned(open: &OpenSlot, slot: &Slot) -> Option<Headers> {
    let header = open.cookie_change().header(slot.cookie()).ok()??;
    let value = HeaderValue::try_from(header).ok()?;
    Some(Headers::with_cookie(slot.cookie().name(), value, false))
}

fn is_discarded(status: StatusCode, on_server_error: OnServerError) -> bool {
    status.is_server_error() && on_server_error == OnServerError::Discard
}

async fn headers(open: &OpenSlot, slot: &Slot, options: Options) -> Result<Headers, SessionError> {
    let settings = slot.cookie();
    let saved = open.commit().await.and_then(|change| {
        let header = change.header(settings)?;
        Ok((change, header))
    });
    let (change, header) = saved.map_err(|error| {
        // These two are answers to the client, told as events of their own.
        if !matches!(
            error,
            SessionError::Conflict(_) | SessionError::TooManySessions { .. }
        ) {
            tracing::error!(
                event = "store_failure",
                error = %chain(&error),
                "a session could not be saved"
            );
        }
        error
    })?;
    // Visible ASCII, as the settings were checked when they were built.
    let value = header.and_then(|header| HeaderValue::try_from(header).ok());
    Ok(match value {
        Some(value) => {
            let clear = options.clear_site_data && change == CookieChange::Remove;
            Headers::with_cookie(settings.name(), value, clear)
        }
        None => Headers::without_cookie(),
    })
}
