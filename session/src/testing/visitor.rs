//! Visitors for the tests of handlers: a session to begin with, and a look at what became of it.

use std::fmt;

use actix_http::Request;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{COOKIE, SET_COOKIE};
use actix_web::test::{TestRequest, call_service};

use super::TestClock;
use crate::record::Fields;
use crate::typed::{Companion as _, Reader, SessionData};
use crate::{
    CookieChange, MemoryStore, Session, SessionManager, SessionManagerBuilder, SessionMiddleware,
    SessionStore, Timestamp,
};

/// Sessions for the tests of an application, with a clock to move: in memory, or over any other store.
///
/// ```
/// # #[cfg(all(feature = "derive", feature = "actix-web"))] {
/// use actix_web::test::{TestRequest, init_service};
/// use actix_web::{App, HttpResponse, web};
/// use session::Session;
/// use session::testing::TestSessions;
///
/// #[derive(Debug, Default, Session)]
/// struct Visit {
///     #[session(rotate)]
///     user: Option<String>,
///     views: u64,
/// }
///
/// async fn hello(mut session: Session<Visit>) -> HttpResponse {
///     *session.views_mut() += 1;
///     match &session.user {
///         Some(user) => HttpResponse::Ok().body(format!("hello {user}")),
///         None => HttpResponse::Unauthorized().finish(),
///     }
/// }
///
/// # actix_web::rt::System::new().block_on(async {
/// let sessions = TestSessions::new();
/// let routes = |config: &mut web::ServiceConfig| {
///     config.route("/", web::get().to(hello));
/// };
/// let app = init_service(App::new().wrap(sessions.middleware()).configure(routes)).await;
///
/// let mut ada = sessions.visitor::<Visit>(|visit| visit.set_user(Some("ada".into()))).await;
/// let response = ada.call(&app, TestRequest::get().uri("/")).await;
/// assert_eq!(response.status(), 200);
/// ada.assert_session::<Visit>(|expected| {
///     expected.set_user(Some("ada".into()));
///     expected.set_views(1);
/// })
/// .await;
///
/// let mut stranger = sessions.stranger();
/// let response = stranger.call(&app, TestRequest::get().uri("/")).await;
/// assert_eq!(response.status(), 401);
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct TestSessions {
    manager: SessionManager,
    clock: TestClock,
}

impl TestSessions {
    /// In memory, with the settings that a manager has by default.
    #[must_use]
    pub fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    /// In memory, with other settings.
    ///
    /// # Panics
    ///
    /// When the settings contradict each other.
    #[must_use]
    pub fn with(settings: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder) -> Self {
        Self::of(settings(SessionManager::builder(MemoryStore::new())))
    }

    /// Over this store: one that fails, for instance, or the one that the application uses.
    #[must_use]
    pub fn over(store: impl SessionStore) -> Self {
        Self::of(SessionManager::builder(store))
    }

    /// The sessions of the manager that the application builds, whose clock is replaced.
    ///
    /// # Panics
    ///
    /// When the settings contradict each other.
    #[must_use]
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    pub fn of(builder: SessionManagerBuilder) -> Self {
        let clock = TestClock::default();
        match builder.clock(clock.clone()).build() {
            Ok(manager) => TestSessions { manager, clock },
            Err(error) => panic!("the manager cannot be built: {error}"),
        }
    }

    /// The manager, for what asks for it.
    #[must_use]
    pub fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// The middleware to wrap the application in.
    #[must_use]
    pub fn middleware(&self) -> SessionMiddleware {
        SessionMiddleware::new(self.manager.clone())
    }

    /// The clock, to be moved.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// A visitor without a session.
    #[must_use]
    pub fn stranger(&self) -> TestVisitor {
        TestVisitor {
            manager: self.manager.clone(),
            cookie: None,
        }
    }

    /// A visitor with a session that `fill` has filled.
    ///
    /// # Panics
    ///
    /// When the session cannot be stored.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    pub async fn visitor<T: SessionData>(&self, fill: impl FnOnce(&mut T::Tracked)) -> TestVisitor {
        let mut visitor = self.stranger();
        let filled = async {
            let mut session: Session<T> = self.manager.create();
            fill(&mut session);
            self.manager.save(&mut session).await
        };
        match filled.await {
            Ok(CookieChange::Set { token, .. }) => visitor.cookie = Some(token.expose()),
            Ok(_) => {}
            Err(error) => panic!("the visitor's session cannot be stored: {error}"),
        }
        visitor
    }
}

impl Default for TestSessions {
    fn default() -> Self {
        Self::new()
    }
}

/// A visitor, with the session cookie that a browser would hold.
#[derive(Clone)]
pub struct TestVisitor {
    manager: SessionManager,
    cookie: Option<String>,
}

impl TestVisitor {
    /// Sends the request with the visitor's cookie, and keeps what the response makes of that.
    ///
    /// # Panics
    ///
    /// When the application answers with an error that no middleware has turned into a response.
    pub async fn call<S, B>(&mut self, app: &S, request: TestRequest) -> ServiceResponse<B>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
        B: MessageBody,
    {
        let request = self.request(request).to_request();
        let response = call_service(app, request).await;
        self.answered(&response);
        response
    }

    /// The request with the visitor's cookie, for what sends it in another way.
    #[must_use]
    pub fn request(&self, request: TestRequest) -> TestRequest {
        match &self.cookie {
            Some(value) => {
                let name = self.manager.cookie().name();
                request.append_header((COOKIE, format!("{name}={value}")))
            }
            None => request,
        }
    }

    /// Keeps what a response makes of the visitor's cookie.
    pub fn answered<B>(&mut self, response: &ServiceResponse<B>) {
        let start = format!("{}=", self.manager.cookie().name());
        for header in response.headers().get_all(SET_COOKIE) {
            let header = header.to_str().unwrap_or_default();
            if let Some(value) = header.strip_prefix(&start) {
                let value = value.split(';').next().unwrap_or_default();
                self.cookie = (!value.is_empty()).then(|| value.to_owned());
            }
        }
    }

    /// The value of the visitor's session cookie.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// The visitor's session as the next request would see it.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    pub async fn session<T: SessionData>(&self) -> Session<T> {
        match self.manager.open(self.cookie()).await {
            Ok(session) => session,
            Err(error) => panic!("the visitor's session cannot be read: {error}"),
        }
    }

    /// Checks that the visitor's session holds what `fill` fills an empty one with. Compares what
    /// `Debug` prints, so fields marked `secret` are not compared.
    ///
    /// # Panics
    ///
    /// When it holds something else: shows the lines that differ.
    #[expect(clippy::panic, reason = "an assertion fails by panicking")]
    pub async fn assert_session<T: SessionData>(&self, fill: impl FnOnce(&mut T::Tracked))
    where
        T::Tracked: fmt::Debug,
    {
        let nothing = Fields::default();
        let mut expected = T::Tracked::decode(&mut Reader::new(&nothing, Timestamp::default()));
        fill(&mut expected);
        let actual = self.session::<T>().await;
        let difference = difference(&format!("{expected:#?}"), &format!("{:#?}", *actual));
        if let Some(difference) = difference {
            panic!("the session is not as expected (- expected, + found):\n{difference}");
        }
    }
}

/// Prints no token.
impl fmt::Debug for TestVisitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestVisitor")
            .field("has_cookie", &self.cookie.is_some())
            .finish_non_exhaustive()
    }
}

/// The lines of two texts, those that differ marked; `None` when none does.
fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let common = common_lines(&old, &new);
    let mut text = String::new();
    let (mut left, mut right) = (0, 0);
    for (at_left, at_right) in common.into_iter().chain([(old.len(), new.len())]) {
        let missing = old[left..at_left].iter().map(|line| ('-', line));
        let unexpected = new[right..at_right].iter().map(|line| ('+', line));
        let same = old.get(at_left).map(|line| (' ', line));
        for (mark, line) in missing.chain(unexpected).chain(same) {
            text.extend([mark, ' ']);
            text.push_str(line);
            text.push('\n');
        }
        (left, right) = (at_left + 1, at_right + 1);
    }
    Some(text)
}

/// The longest common part of two lists of lines, as pairs of places.
fn common_lines(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let mut lengths = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, line) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            lengths[i][j] = if line == other {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut common = Vec::new();
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            common.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    common
}
