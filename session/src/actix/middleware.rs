//! The middleware: a request to the session for each HTTP request, and one commit before the response
//! head leaves.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::{COOKIE, HeaderValue};
use actix_web::rt::task::JoinHandle;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, error};
use pin_project_lite::pin_project;
use tracing::Instrument as _;

use super::response::{WithHeaders, failure, status};
use crate::adapter::{Current, Entered, Rules};
use crate::request::{Finish, Request};
use crate::typed::SessionData;
use crate::{SessionError, SessionManager};

/// Opens sessions for the handlers inside it, on demand, and saves them.
///
/// A request whose handler does not extract a [`Session`](struct@crate::Session) touches no store and gets
/// no header. One that does gets `Vary: Cookie`, and `Cache-Control: private` where the handler says
/// nothing about caches; when its session's cookie changes, `Set-Cookie`, and `Cache-Control: no-store`
/// in place of what the handler said.
///
/// What is saved depends on the response's status, whether it came as a response or as an `Err`:
///
/// | The handler | Its changes | A `destroy()` |
/// |---|---|---|
/// | answers below 500 | are saved | is carried out |
/// | answers 500 or above | are dropped, unless [`on_server_error`](crate::SessionManagerBuilder::on_server_error) says otherwise | is carried out |
/// | panics | are dropped | is not reached |
///
/// When saving fails, the response is replaced by an empty one of the error's
/// [status](SessionError::status), or by what [`on_failed_save`](Self::on_failed_save) makes. A save runs
/// to its end also when the client goes away meanwhile.
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
/// let sessions = SessionManager::new(MemoryStore::new());
/// let app = App::new()
///     .wrap(SessionMiddleware::new(sessions.clone()))
///     .route("/", web::get().to(index));
/// # }
/// ```
#[derive(Clone)]
pub struct SessionMiddleware(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    rules: Rules,
    on_failed_save: Option<OnFailedSave>,
}

type OnFailedSave = Arc<dyn Fn(&SessionError, &HttpRequest) -> HttpResponse + Send + Sync>;

impl SessionMiddleware {
    /// A middleware for the sessions of `manager`, whose clones share them.
    #[must_use]
    pub fn new(manager: SessionManager) -> Self {
        SessionMiddleware(Arc::new(Settings {
            rules: Rules::new(manager),
            on_failed_save: None,
        }))
    }

    /// Opens sessions of the type `T` only: beside another middleware for the others, so that a handler can
    /// have two sessions of two cookies.
    ///
    /// ```
    /// # #[cfg(all(feature = "derive", feature = "actix-web", feature = "memory"))] {
    /// use actix_web::App;
    /// use session::{CookieSettings, MemoryStore, Session, SessionManager, SessionMiddleware, days};
    ///
    /// #[derive(Default, Session)]
    /// struct Prefs {
    ///     is_dark: bool,
    /// }
    ///
    /// let visits = SessionManager::new(MemoryStore::new());
    /// let prefs = SessionManager::builder(MemoryStore::new())
    ///     .cookie(CookieSettings::builder().name("__Host-prefs").build()?)
    ///     .persist_for(days(365))
    ///     .build()?;
    /// let app = App::new()
    ///     .wrap(SessionMiddleware::new(visits))
    ///     .wrap(SessionMiddleware::new(prefs).only_for::<Prefs>());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn only_for<T: SessionData>(self) -> Self {
        self.with(|settings| settings.rules.only_for::<T>())
    }

    /// What a response becomes when its session could not be saved: what visitors see of a conflict, a
    /// session that is too large, or a store that is down. Default: an empty response of the error's
    /// [status](SessionError::status).
    ///
    /// The session's headers are added to it.
    #[must_use]
    pub fn on_failed_save(
        self,
        respond: impl Fn(&SessionError, &HttpRequest) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.on_failed_save = Some(Arc::new(respond)))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        change(&mut settings);
        SessionMiddleware(Arc::new(settings))
    }
}

impl fmt::Debug for SessionMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware")
            .field("manager", self.0.rules.manager())
            .finish_non_exhaustive()
    }
}

impl<Inner, B> Transform<Inner, ServiceRequest> for SessionMiddleware
where
    Inner: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = SessionService<Inner>;
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
pub struct SessionService<Inner> {
    inner: Inner,
    middleware: SessionMiddleware,
}

impl<Inner> fmt::Debug for SessionService<Inner> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("middleware", &self.middleware)
            .finish_non_exhaustive()
    }
}

impl<Inner, B> Service<ServiceRequest> for SessionService<Inner>
where
    Inner: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Respond<Inner::Future, B>;

    forward_ready!(inner);

    fn call(&self, http_request: ServiceRequest) -> Self::Future {
        let entered = {
            let mut extensions = http_request.extensions_mut();
            if !extensions.contains::<Current>() {
                extensions.insert(Current::default());
            }
            let Some(current) = extensions.get_mut::<Current>() else {
                return Respond::Refused;
            };
            let cookies = http_request.headers().get_all(COOKIE);
            let rules = &self.middleware.0.rules;
            rules.enter(cookies.map(HeaderValue::as_bytes), current)
        };
        match entered {
            Entered::Refused => Respond::Refused,
            Entered::Passing => Respond::Passing {
                inner: self.inner.call(http_request),
            },
            Entered::Handling(request) => Respond::Handling {
                inner: self.inner.call(http_request),
                request,
                middleware: self.middleware.clone(),
            },
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
            request: Request,
            middleware: SessionMiddleware,
        },
        // The session that it opened is being saved, by a task that no client can cancel.
        Committing {
            commit: JoinHandle<Finish>,
            result: Option<Result<ServiceResponse<B>, Error>>,
            middleware: SessionMiddleware,
        },
        // The middlewares contradict each other.
        Refused,
    }
}

impl<Fut, B> Future for Respond<Fut, B>
where
    Fut: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody + 'static,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                RespondProjection::Passing { inner } => {
                    let result = ready!(inner.poll(context));
                    return Poll::Ready(result.map(ServiceResponse::map_into_left_body));
                }
                RespondProjection::Refused => {
                    return Poll::Ready(Err(error::ErrorInternalServerError("")));
                }
                RespondProjection::Handling {
                    inner,
                    request,
                    middleware,
                } => {
                    let result = ready!(inner.poll(context));
                    if let Ok(response) = &result {
                        let mut extensions = response.request().extensions_mut();
                        if let Some(current) = extensions.get_mut::<Current>() {
                            current.pop();
                        }
                    }
                    if !request.is_open() {
                        return Poll::Ready(result.map(ServiceResponse::map_into_left_body));
                    }
                    let status = match &result {
                        Ok(response) => response.status(),
                        Err(error) => error.as_response_error().status_code(),
                    };
                    let request = request.clone();
                    let mut commit = Box::pin(async move { request.commit(status.as_u16()).await });
                    // Most commits have nothing to wait for, and need no task.
                    if let Poll::Ready(finish) = commit.as_mut().poll(context) {
                        return Poll::Ready(respond(result, finish, middleware));
                    }
                    Respond::Committing {
                        commit: actix_web::rt::spawn(commit.in_current_span()),
                        result: Some(result),
                        middleware: middleware.clone(),
                    }
                }
                RespondProjection::Committing {
                    commit,
                    result,
                    middleware,
                } => {
                    let joined = ready!(Pin::new(commit).poll(context));
                    let Some(result) = result.take() else {
                        return Poll::Pending;
                    };
                    let Ok(finish) = joined else {
                        // A panic in the application's own merge function; the runtime has reported it.
                        return Poll::Ready(Err(error::ErrorInternalServerError("")));
                    };
                    return Poll::Ready(respond(result, finish, middleware));
                }
            };
            self.set(next);
        }
    }
}

/// The response after a commit.
fn respond<B: MessageBody + 'static>(
    result: Result<ServiceResponse<B>, Error>,
    mut finish: Finish,
    middleware: &SessionMiddleware,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match (result, finish.error.take()) {
        (Ok(mut response), None) => {
            finish.apply(response.headers_mut());
            Ok(response.map_into_left_body())
        }
        (Ok(response), Some(failed)) => {
            let (http_request, replaced) = response.into_parts();
            let mut response = match &middleware.0.on_failed_save {
                Some(respond) => respond(&failed, &http_request),
                None => failure(status(failed.status())),
            };
            Finish::take_cookies(replaced.headers(), response.headers_mut());
            finish.apply(response.headers_mut());
            let response = ServiceResponse::new(http_request, response);
            Ok(response.map_into_right_body())
        }
        (Err(error), None) => Err(WithHeaders { error, finish }.into()),
        (Err(_), Some(failed)) => {
            let error = failed.into();
            Err(WithHeaders { error, finish }.into())
        }
    }
}
