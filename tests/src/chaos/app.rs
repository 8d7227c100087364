//! The application that is driven: `/do/{number}/{steps}` does what its steps say, in either framework, and
//! tells what it has read and what became of its early saves.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use axum::extract::{Extension, Path, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use session::{
    Clock as _, Session, SessionError, SessionKey, SessionLayer, SessionManager, SessionMiddleware,
    SystemClock, merge,
};
use tokio::time::{sleep, timeout};

/// How many fields there are of which each tab has its own.
pub const FIELDS: usize = 8;

/// What the sessions hold.
#[derive(Debug, Default, Session)]
pub struct Visit {
    /// Who is signed in.
    #[session(rotate, owner)]
    pub user: Option<String>,
    /// The number of the request that changed it.
    #[session(rotate)]
    pub role: u64,
    /// How many requests have added one.
    #[session(merge = merge::sum)]
    pub views: u64,
    /// Which requests these were.
    #[session(merge = merge::append)]
    pub log: Vec<u64>,
    pub f0: u64,
    pub f1: u64,
    pub f2: u64,
    pub f3: u64,
    pub f4: u64,
    pub f5: u64,
    pub f6: u64,
    pub f7: u64,
}

impl Visit {
    /// The fields of the tabs.
    pub fn fields(&self) -> [u64; FIELDS] {
        [
            self.f0, self.f1, self.f2, self.f3, self.f4, self.f5, self.f6, self.f7,
        ]
    }
}

/// Nanoseconds of a clock that all processes of the machine share and nobody sets.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

struct Outcome {
    status: u16,
    text: String,
}

fn describe(session: &Session<Visit>) -> String {
    let log: Vec<String> = session.log.iter().map(u64::to_string).collect();
    let fields: Vec<String> = session.fields().iter().map(u64::to_string).collect();
    format!(
        "arrival={:?}\nuser={}\nrole={}\nviews={}\nlog={}\nfields={}\n",
        session.arrival(),
        session.user.as_deref().unwrap_or_default(),
        session.role,
        session.views,
        log.join(","),
        fields.join(","),
    )
}

/// Does the steps, one after the other; the first one that fails is the last one.
async fn perform(
    mut session: Session<Visit>,
    sessions: &SessionManager,
    number: u64,
    steps: &str,
) -> Outcome {
    let mut text = describe(&session);
    let mut status = 200;
    for step in steps.split(',') {
        if step == "fail" {
            text.push_str("purpose=failed\n");
            status = 500;
        } else if let Err(error) = take(&mut session, sessions, number, step, &mut text).await {
            let _ = writeln!(text, "failed={error}");
            status = error.status();
            break;
        }
    }
    let _ = writeln!(text, "at={}", now());
    Outcome { status, text }
}

async fn take(
    session: &mut Session<Visit>,
    sessions: &SessionManager,
    number: u64,
    step: &str,
    text: &mut String,
) -> Result<(), SessionError> {
    let (word, value) = step.split_once('=').unwrap_or((step, ""));
    let amount: u64 = value.parse().unwrap_or_default();
    match word {
        "add" => {
            *session.views_mut() += 1;
            session.log_mut().push(number);
        }
        "f0" => session.set_f0(number),
        "f1" => session.set_f1(number),
        "f2" => session.set_f2(number),
        "f3" => session.set_f3(number),
        "f4" => session.set_f4(number),
        "f5" => session.set_f5(number),
        "f6" => session.set_f6(number),
        "f7" => session.set_f7(number),
        "login" => session.set_user(Some(value.to_owned())),
        "leave" => session.set_user(None),
        "role" => session.set_role(number),
        "renew" => session.renew(),
        "clear" => session.clear(),
        "destroy" => session.destroy(),
        "end" => session.end_at(SystemClock.now() + Duration::from_millis(amount)),
        "think" => sleep(Duration::from_millis(amount)).await,
        "save" => {
            let saved = session.save().await?;
            let _ = writeln!(text, "saved={saved:?}");
        }
        // Goes on whatever becomes of it.
        "attempt" => {
            let is_saved = session.save().await.is_ok();
            let _ = writeln!(text, "attempted={is_saved}");
        }
        // Waits for the save no longer than so many microseconds; the commit finishes it.
        "try" => match timeout(Duration::from_micros(amount), session.save()).await {
            Ok(saved) => {
                let saved = saved?;
                let _ = writeln!(text, "saved={saved:?}");
            }
            Err(_) => text.push_str("saved=GaveUp\n"),
        },
        "reload" => {
            session.reload().await?;
            let _ = writeln!(text, "reloaded={}", session.role);
        }
        _ => return of_owner(session, sessions, word, value, text).await,
    }
    Ok(())
}

/// The steps about the owner's other sessions.
async fn of_owner(
    session: &Session<Visit>,
    sessions: &SessionManager,
    word: &str,
    value: &str,
    text: &mut String,
) -> Result<(), SessionError> {
    let Some(user) = session.user.as_deref() else {
        return Ok(());
    };
    match word {
        "devices" => {
            let found = sessions.sessions_of(user).await?;
            let keys: Vec<String> = found.iter().map(|info| info.key.to_string()).collect();
            let _ = writeln!(text, "devices={}", keys.join(","));
        }
        "revoke" => {
            if let Ok(key) = value.parse::<SessionKey>() {
                let is_ended = sessions.revoke(user, &key).await?;
                let _ = writeln!(text, "revoked={is_ended}");
            }
        }
        "revoke-all" => {
            let revoked = sessions.revoke_all(user).await?;
            let _ = writeln!(text, "revoked-all={}", revoked.ended);
        }
        "revoke-others" => {
            let revoked = sessions.revoke_others(session).await?;
            let _ = writeln!(text, "revoked-others={}", revoked.ended);
        }
        _ => {}
    }
    Ok(())
}

/// What a handler has told, for the answer that replaces its own when saving fails.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Told {
    fn tell(&self, text: &str) {
        text.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn text(&self, error: &SessionError) -> String {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{}failed={error}\n", *told)
    }
}

/// The routes in actix-web.
pub fn configure(config: &mut web::ServiceConfig, sessions: &SessionManager) {
    let middleware =
        SessionMiddleware::new(sessions.clone()).on_failed_save(|error, request: &HttpRequest| {
            let told = request.extensions().get::<Told>().cloned();
            let status = actix_web::http::StatusCode::from_u16(error.status());
            HttpResponse::build(status.unwrap_or_default())
                .body(told.unwrap_or_default().text(error))
        });
    let (doing, sweeping) = (sessions.clone(), sessions.clone());
    let act = move |request: HttpRequest, path: web::Path<(u64, String)>, session| {
        let sessions = doing.clone();
        async move {
            let outcome = perform(session, &sessions, path.0, &path.1).await;
            let told = Told::default();
            told.tell(&outcome.text);
            request.extensions_mut().insert(told);
            let status = actix_web::http::StatusCode::from_u16(outcome.status);
            HttpResponse::build(status.unwrap_or_default()).body(outcome.text)
        }
    };
    let sweep = move || {
        let sessions = sweeping.clone();
        async move { sessions.remove_expired().await.map(|n| n.to_string()) }
    };
    config.route("/sweep", web::get().to(sweep)).service(
        web::scope("/do")
            .wrap(middleware)
            .route("/{number}/{steps}", web::get().to(act)),
    );
}

/// The routes in axum.
pub fn router(sessions: &SessionManager) -> axum::Router {
    let layer = SessionLayer::new(sessions.clone()).on_failed_save(|error, parts| {
        let told = parts.extensions.get::<Told>().cloned();
        let status = StatusCode::from_u16(error.status()).unwrap_or_default();
        (status, told.unwrap_or_default().text(error)).into_response()
    });
    let (doing, sweeping) = (sessions.clone(), sessions.clone());
    let act = async move |Extension(told): Extension<Told>,
                          Path((number, steps)): Path<(u64, String)>,
                          session: Session<Visit>| {
        let outcome = perform(session, &doing, number, &steps).await;
        told.tell(&outcome.text);
        let status = StatusCode::from_u16(outcome.status).unwrap_or_default();
        (status, outcome.text)
    };
    let sweep = async move || -> Result<String, StatusCode> {
        let swept = sweeping.remove_expired().await;
        swept
            .map(|n| n.to_string())
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    axum::Router::new()
        .route("/do/{number}/{steps}", any(act))
        .layer(layer)
        .layer(from_fn(with_told))
        .route("/sweep", any(sweep))
}

async fn with_told(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Told::default());
    next.run(request).await
}
