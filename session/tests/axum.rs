//! The axum layer and its extractors, called as services. What both adapters promise is tested over real
//! sockets, in the workspace's `tests`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and its names are its docs"
)]

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, COOKIE, HeaderMap, SET_COOKIE, VARY};
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use session::{
    CookieSettings, CreateOutcome, Cursor, DeleteOutcome, ExtractError, MemoryStore, Page, Record,
    Revision, Session, SessionError, SessionKey, SessionLayer, SessionManager, SessionStore,
    StoreError, UpdateOutcome,
};
use tokio::sync::Semaphore;
use tower_layer::Layer as _;
use tower_service::Service;

#[derive(Debug, Default, Session)]
struct Visit {
    text: String,
    views: u64,
}

#[derive(Debug, Default, Session)]
struct Prefs {
    is_dark: bool,
}

async fn count(mut session: Session<Visit>) -> String {
    *session.views_mut() += 1;
    session.views.to_string()
}

async fn nothing() -> &'static str {
    "nothing"
}

async fn sign_out(mut session: Session<Visit>) -> StatusCode {
    session.destroy();
    StatusCode::NO_CONTENT
}

async fn write_much(mut session: Session<Visit>) -> &'static str {
    session.set_text("x".repeat(10_000));
    "written"
}

fn routes() -> Router {
    Router::new()
        .route("/count", get(count))
        .route("/nothing", get(nothing))
        .route("/sign-out", get(sign_out))
        .route("/much", get(write_much))
}

fn manager() -> SessionManager {
    SessionManager::new(MemoryStore::new())
}

fn request(path: &str, cookie: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path);
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    request.body(Body::empty()).unwrap()
}

async fn call<S>(service: &mut S, path: &str, cookie: Option<&str>) -> Response
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    poll_fn(|context| service.poll_ready(context))
        .await
        .unwrap();
    service.call(request(path, cookie)).await.unwrap()
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SET_COOKIE).iter();
    values
        .map(|value| {
            value
                .to_str()
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn assert_is_bare(response: &Response, status: StatusCode) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[VARY], "Cookie");
}

#[tokio::test]
async fn the_cookie_of_one_response_opens_the_session_in_the_next_request() {
    let mut app = routes().layer(SessionLayer::new(manager()));
    let response = call(&mut app, "/count", None).await;
    let cookie = cookies(response.headers()).remove(0);
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[VARY], "Cookie");
    assert_eq!(text(response).await, "1");

    let response = call(&mut app, "/count", Some(&cookie)).await;
    assert_eq!(cookies(response.headers()), Vec::<String>::new());
    assert_eq!(response.headers()[CACHE_CONTROL], "private");
    assert_eq!(text(response).await, "2");

    let response = call(&mut app, "/sign-out", Some(&cookie)).await;
    assert_eq!(cookies(response.headers()), ["__Host-id="]);
    let response = call(&mut app, "/count", Some(&cookie)).await;
    assert_eq!(text(response).await, "1");
}

#[tokio::test]
async fn a_handler_that_extracts_no_session_gets_no_header() {
    let mut app = routes().layer(SessionLayer::new(manager()));
    let response = call(&mut app, "/nothing", None).await;
    for name in [SET_COOKIE, CACHE_CONTROL, VARY] {
        assert!(!response.headers().contains_key(name));
    }
}

#[tokio::test]
async fn without_a_layer_the_extractors_answer_with_500() {
    async fn list(_: SessionManager) {}
    async fn told(session: Result<Session<Visit>, ExtractError>) -> String {
        session.unwrap_err().to_string()
    }
    let mut app = routes().route("/list", get(list)).route("/told", get(told));
    for path in ["/count", "/list"] {
        let response = call(&mut app, path, None).await;
        assert_is_bare(&response, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text(response).await, "");
    }
    let response = call(&mut app, "/told", None).await;
    assert_eq!(
        text(response).await,
        "no session middleware is around this handler"
    );
}

#[tokio::test]
async fn the_manager_is_that_of_the_layer() {
    async fn name(manager: SessionManager) -> String {
        manager.cookie().name().to_owned()
    }
    let layer = SessionLayer::new(manager());
    let mut app = Router::new().route("/", get(name)).layer(layer);
    assert_eq!(text(call(&mut app, "/", None).await).await, "__Host-id");
}

#[tokio::test]
async fn of_two_layers_of_one_manager_the_outer_one_does_all() {
    async fn count_too(
        mut session: Session<Visit>,
        request: Request<Body>,
        next: Next,
    ) -> Response {
        *session.views_mut() += 1;
        drop(session);
        next.run(request).await
    }
    let manager = manager();
    let mut app = routes()
        .layer(SessionLayer::new(manager.clone()))
        .layer(from_fn(count_too))
        .layer(SessionLayer::new(manager));
    let response = call(&mut app, "/count", None).await;
    assert_eq!(cookies(response.headers()).len(), 1);
    assert_eq!(text(response).await, "2");
}

#[tokio::test]
async fn two_managers_with_one_cookie_are_refused() {
    let mut app = routes()
        .layer(SessionLayer::new(manager()))
        .layer(SessionLayer::new(manager()));
    let response = call(&mut app, "/count", None).await;
    assert_is_bare(&response, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(cookies(response.headers()), Vec::<String>::new());
}

#[tokio::test]
async fn a_handler_can_have_two_sessions_of_two_cookies() {
    async fn both(mut visit: Session<Visit>, mut prefs: Session<Prefs>) -> String {
        *visit.views_mut() += 1;
        prefs.set_is_dark(true);
        format!("{} {}", visit.views, prefs.is_new())
    }
    let prefs = SessionManager::builder(MemoryStore::new())
        .cookie(
            CookieSettings::builder()
                .name("__Host-prefs")
                .build()
                .unwrap(),
        )
        .build()
        .unwrap();
    let mut app = Router::new()
        .route("/", get(both))
        .layer(SessionLayer::new(manager()))
        .layer(SessionLayer::new(prefs).only_for::<Prefs>());
    let response = call(&mut app, "/", None).await;
    let mut set = cookies(response.headers());
    set.sort();
    assert!(set[0].starts_with("__Host-id=") && set[1].starts_with("__Host-prefs="));
    let response = call(&mut app, "/", Some(&set.join("; "))).await;
    assert_eq!(text(response).await, "2 false");
}

#[tokio::test]
async fn a_failed_save_is_answered_by_its_status_or_by_what_the_application_makes() {
    let small = || {
        let builder = SessionManager::builder(MemoryStore::new());
        builder.max_record_size(5_000).build().unwrap()
    };
    let mut app = routes().layer(SessionLayer::new(small()));
    let response = call(&mut app, "/much", None).await;
    assert_is_bare(&response, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(response).await, "");

    let layer = SessionLayer::new(small()).on_failed_save(|error, request| {
        assert!(matches!(error, SessionError::TooLarge(_)));
        (StatusCode::CONFLICT, request.uri.path().to_owned()).into_response()
    });
    let mut app = routes().layer(layer);
    let response = call(&mut app, "/much", None).await;
    assert_is_bare(&response, StatusCode::CONFLICT);
    assert_eq!(text(response).await, "/much");
}

/// A service that is not axum's may fail with an error.
#[tokio::test]
async fn an_error_of_the_service_inside_drops_changes_and_carries_out_a_destroy() {
    let manager = manager();
    let mut app = routes().layer(SessionLayer::new(manager.clone()));
    let response = call(&mut app, "/count", None).await;
    let cookie = cookies(response.headers()).remove(0);

    let mut failing = SessionLayer::new(manager).layer(Failing);
    for (path, views) in [("/write", "2"), ("/destroy", "1")] {
        let failed = failing.call(request(path, Some(&cookie))).await;
        assert_eq!(failed.unwrap_err(), "failed on purpose");
        let response = call(&mut app, "/count", Some(&cookie)).await;
        assert_eq!(text(response).await, views, "{path}");
    }
}

struct Failing;

impl Service<Request<Body>> for Failing {
    type Response = Response;
    type Error = &'static str;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send + 'static>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        use axum::extract::FromRequestParts as _;

        Box::pin(async move {
            let (mut parts, _) = request.into_parts();
            let session = Session::<Visit>::from_request_parts(&mut parts, &()).await;
            let mut session = session.map_err(|_| "no session")?;
            if parts.uri.path() == "/destroy" {
                session.destroy();
            } else {
                session.set_views(100);
            }
            Err("failed on purpose")
        })
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_no_save() {
    let store = SlowStore::default();
    let manager = SessionManager::new(store.clone());
    let mut app = routes().layer(SessionLayer::new(manager));
    {
        let mut response = pin!(app.call(request("/count", None)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(response.as_mut().poll(&mut context).is_pending());
    }
    assert!(store.memory.is_empty());
    store.gate.add_permits(1);
    let is_saved = async {
        while store.memory.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let patience = session::seconds(10);
    let waited = tokio::time::timeout(patience, is_saved).await;
    waited.expect("the save goes on without the client");
}

#[test]
fn outside_of_tokio_a_save_is_awaited_in_place() {
    let store = SlowStore::default();
    let manager = SessionManager::new(store.clone());
    let mut app = routes().layer(SessionLayer::new(manager));
    let mut response = pin!(app.call(request("/count", None)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(response.as_mut().poll(&mut context).is_pending());
    store.gate.add_permits(1);
    let Poll::Ready(Ok(response)) = response.as_mut().poll(&mut context) else {
        panic!("the save goes on when it is polled");
    };
    assert_eq!(cookies(response.headers()).len(), 1);
}

/// A store whose `create` waits for a permit.
#[derive(Clone)]
struct SlowStore {
    memory: MemoryStore,
    gate: Arc<Semaphore>,
}

impl Default for SlowStore {
    fn default() -> Self {
        SlowStore {
            memory: MemoryStore::new(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }
}

impl SessionStore for SlowStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.memory.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.gate.acquire().await.expect("never closed").forget();
        self.memory.create(key, record).await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        self.memory.update(key, record, expected).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        self.memory.delete(key, expected).await
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.memory.list(after, at_most).await
    }
}
