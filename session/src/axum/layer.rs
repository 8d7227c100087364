//! The layer: a request to the session for each HTTP request, and one commit before the response head
//! leaves.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::response::{IntoResponse, Response};
use http::header::{COOKIE, HeaderValue};
use http::request::Parts;
use tokio::runtime::Handle;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument as _;

use super::response::failure;
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
/// What is saved depends on the response's status:
///
/// | The handler | Its changes | A `destroy()` |
/// |---|---|---|
/// | answers below 500 | are saved | is carried out |
/// | answers 500 or above | are dropped, unless [`on_server_error`](crate::SessionManagerBuilder::on_server_error) says otherwise | is carried out |
/// | panics | are dropped | is not reached |
///
/// A service inside the layer that fails with an error instead of a response counts as 500, and its error
/// carries no headers: convert errors into responses inside the layer, as axum does by itself.
///
/// When saving fails, the response is replaced by an empty one of the error's
/// [status](SessionError::status), or by what [`on_failed_save`](Self::on_failed_save) makes. A save runs
/// to its end also when the client goes away meanwhile.
///
/// The layer wraps every tower service whose response implements [`IntoResponse`]. A `Router` runs the layer
/// that was added last first: add a middleware that extracts the session before this layer.
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "memory"))] {
/// use axum::{Router, routing::get};
/// use session::{MemoryStore, Session, SessionLayer, SessionManager};
///
/// #[derive(Default, Session)]
/// struct Visit {
///     views: u64,
/// }
///
/// async fn index(mut session: Session<Visit>) -> String {
///     *session.views_mut() += 1;
///     format!("{} views", session.views)
/// }
///
/// let sessions = SessionManager::new(MemoryStore::new());
/// let app: Router = Router::new()
///     .route("/", get(index))
///     .layer(SessionLayer::new(sessions));
/// # }
/// ```
#[derive(Clone)]
pub struct SessionLayer(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    rules: Rules,
    on_failed_save: Option<OnFailedSave>,
}

type OnFailedSave = Arc<dyn Fn(&SessionError, &Parts) -> Response + Send + Sync>;

impl SessionLayer {
    /// A layer for the sessions of `manager`, whose clones share them.
    #[must_use]
    pub fn new(manager: SessionManager) -> Self {
        SessionLayer(Arc::new(Settings {
            rules: Rules::new(manager),
            on_failed_save: None,
        }))
    }

    /// Opens sessions of the type `T` only: beside another layer for the others, so that a handler can
    /// have two sessions of two cookies.
    ///
    /// ```
    /// # #[cfg(all(feature = "derive", feature = "memory"))] {
    /// use axum::Router;
    /// use session::{CookieSettings, MemoryStore, Session, SessionLayer, SessionManager, days};
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
    /// let app: Router = Router::new()
    ///     .layer(SessionLayer::new(visits))
    ///     .layer(SessionLayer::new(prefs).only_for::<Prefs>());
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
    /// The session's headers are added to it. A layer with this setting copies the head of each request.
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use axum::http::StatusCode;
    /// use axum::response::IntoResponse as _;
    /// use session::{MemoryStore, SessionLayer, SessionManager};
    ///
    /// let sessions = SessionManager::new(MemoryStore::new());
    /// let layer = SessionLayer::new(sessions).on_failed_save(|error, request| {
    ///     let status = StatusCode::from_u16(error.status());
    ///     let text = format!("{} could not be saved", request.uri.path());
    ///     (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text).into_response()
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn on_failed_save(
        self,
        respond: impl Fn(&SessionError, &Parts) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.on_failed_save = Some(Arc::new(respond)))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        change(&mut settings);
        SessionLayer(Arc::new(settings))
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("manager", self.0.rules.manager())
            .finish_non_exhaustive()
    }
}

impl<Inner> Layer<Inner> for SessionLayer {
    type Service = SessionService<Inner>;

    fn layer(&self, inner: Inner) -> Self::Service {
        SessionService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service inside a [`SessionLayer`].
#[derive(Clone)]
pub struct SessionService<Inner> {
    inner: Inner,
    layer: SessionLayer,
}

impl<Inner> fmt::Debug for SessionService<Inner> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<Inner, B> Service<http::Request<B>> for SessionService<Inner>
where
    Inner: Service<http::Request<B>>,
    Inner::Response: IntoResponse,
    Inner::Error: Send + 'static,
    Inner::Future: Send + 'static,
{
    type Response = Response;
    type Error = Inner::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Inner::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Inner::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, http_request: http::Request<B>) -> Self::Future {
        let settings = &self.layer.0;
        let (mut parts, body) = http_request.into_parts();
        let cookies = parts.headers.get_all(COOKIE).into_iter();
        let current = parts.extensions.get_or_insert_default::<Current>();
        let cookies = cookies.map(HeaderValue::as_bytes);
        let request = match settings.rules.enter(cookies, current) {
            Entered::Handling(request) => request,
            Entered::Passing => {
                let inner = self.inner.call(http::Request::from_parts(parts, body));
                return Box::pin(async move { inner.await.map(IntoResponse::into_response) });
            }
            Entered::Refused => return Box::pin(async { Ok(failure(500)) }),
        };
        let on_failed_save = settings.on_failed_save.clone();
        let on_failed_save = on_failed_save.map(|respond| (respond, parts.clone()));
        let inner = self.inner.call(http::Request::from_parts(parts, body));
        Box::pin(async move {
            let result = inner.await.map(IntoResponse::into_response);
            if !request.is_open() {
                return result;
            }
            let status = result
                .as_ref()
                .map_or(500, |response| response.status().as_u16());
            let finish = commit(request, status).await;
            let response = result?;
            let Some(mut finish) = finish else {
                return Ok(failure(500));
            };
            let mut response = match (finish.error.take(), on_failed_save) {
                (None, _) => response,
                (Some(error), on_failed_save) => {
                    let mut failed = match on_failed_save {
                        Some((respond, parts)) => respond(&error, &parts),
                        None => failure(error.status()),
                    };
                    Finish::take_cookies(response.headers(), failed.headers_mut());
                    failed
                }
            };
            finish.apply(response.headers_mut());
            Ok(response)
        })
    }
}

/// Commits the request by a task that no client can cancel. `None` after a panic in the application's own
/// merge function, which the runtime has reported.
async fn commit(request: Request, status: u16) -> Option<Finish> {
    let mut commit = Box::pin(async move { request.commit(status).await });
    // Most commits have nothing to wait for, and need no task.
    let first = poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await;
    if let Poll::Ready(finish) = first {
        return Some(finish);
    }
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn(commit.in_current_span()).await.ok(),
        // Another runtime, whose way to make a task is not known.
        Err(_) => Some(commit.await),
    }
}
