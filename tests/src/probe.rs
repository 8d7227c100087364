//! The probe application: a route for each thing that a test wants a handler to do.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::pin;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, VARY};
use actix_web::rt::time::sleep;
use actix_web::{Either, HttpRequest, HttpResponse, Responder, error, web};
use futures_util::future::{self, select};
use serde::Deserialize;
use session::{
    Require, Requirement, Session, SessionError, SessionExt as _, SessionKey, SessionManager,
    Timestamp, merge, seconds,
};

use crate::gate::Gate;

/// The session of the probe.
#[derive(Debug, Default, Session)]
pub struct Visit {
    /// Who is signed in.
    #[session(rotate, index)]
    pub user: Option<String>,
    /// What they may do.
    #[session(rotate)]
    pub role: Option<String>,
    /// Plain fields by name, each a session field of its own below.
    pub a: String,
    pub b: String,
    pub last_page: String,
    pub big: String,
    #[session(secret)]
    pub secret: Option<String>,
    #[session(merge = merge::sum)]
    pub views: u64,
    #[session(flash)]
    pub notice: Option<String>,
    #[session(ttl = "10m")]
    pub sudo: bool,
    #[session(group = "division")]
    pub amount: i64,
    #[session(group = "division")]
    pub rest: i64,
    #[session(on_conflict = "reject")]
    pub alone: u64,
    pub f0: u64,
    pub f1: u64,
    pub f2: u64,
    pub f3: u64,
    pub f4: u64,
    pub f5: u64,
    pub f6: u64,
    pub f7: u64,
    pub f8: u64,
    pub f9: u64,
    pub f10: u64,
    pub f11: u64,
    pub f12: u64,
    pub f13: u64,
    pub f14: u64,
    pub f15: u64,
}

/// Another session struct over the same record.
#[derive(Debug, Default, Session)]
#[session(prefix = "second")]
pub struct Second {
    pub a: String,
    pub visits: u64,
}

/// The routes. They expect a session middleware around them.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/noop", web::to(noop))
        .route("/who", web::to(who))
        .route("/login/{user}", web::to(login))
        .route("/login-early/{user}", web::to(login_early))
        .route(
            "/login-early/{user}/{status}",
            web::to(login_early_and_fail),
        )
        .route("/login-in-steps/{user}", web::to(login_in_steps))
        .route("/give-up", web::to(give_up))
        .route("/give-up/login/{user}", web::to(give_up_login))
        .route("/role/{role}", web::to(role))
        .route("/role", web::to(no_role))
        .route("/logout", web::to(logout))
        .route("/logout-and-set/{value}", web::to(logout_and_set))
        .route("/renew", web::to(renew))
        .route("/clear", web::to(clear))
        .route("/mark", web::to(mark))
        .route("/set/{field}/{value}", web::to(set))
        .route("/set3/{value}", web::to(set3))
        .route("/inc/{field}", web::to(increment))
        .route("/slow", web::to(slow))
        .route("/held", web::to(held))
        .route("/held/{action}", web::to(held_then))
        .route("/held/{action}/{value}", web::to(held_then))
        .route("/held-read", web::to(held_read))
        .route("/cacheable", web::to(cacheable))
        .route("/cacheable/{value}", web::to(cacheable_write))
        .route("/varying", web::to(varying))
        .route("/fail/{status}", web::to(fail))
        .route("/fail-as-response/{status}", web::to(fail_as_response))
        .route("/fail-and-logout/{status}", web::to(fail_and_logout))
        .route("/count", web::to(count))
        .route("/notice/{text}", web::to(set_notice))
        .route("/take", web::to(take))
        .route("/sudo", web::to(sudo))
        .route("/balance/{amount}", web::to(balance))
        .route("/alone/{value}", web::to(alone))
        .route("/panic", web::to(panicking))
        .route("/stream", web::to(stream))
        .route("/stream-saving", web::to(stream_saving))
        .route("/stream-new", web::to(stream_new))
        .route("/big/{length}", web::to(big))
        .route("/two/{value}", web::to(two))
        .route("/everything/{value}", web::to(everything))
        .route("/persist/{seconds}", web::to(persist))
        .route("/persist", web::to(no_persist))
        .route("/end-at/{millis}", web::to(end_at))
        .route("/end-at", web::to(no_end_at))
        .route("/idle-within/{seconds}", web::to(idle_within))
        .route("/times", web::to(times))
        .route("/arrival", web::to(arrival))
        .route("/key", web::to(key))
        .route("/required", web::to(required))
        .route("/devices", web::to(devices))
        .route("/revoke/{key}", web::to(revoke))
        .route("/revoke-others", web::to(revoke_others))
        .route("/revoke-all", web::to(revoke_all))
        .route("/guarded", web::get().guard(is_signed_in).to(noop));
}

#[derive(Deserialize)]
struct Delay {
    #[serde(default)]
    ms: u64,
}

/// What the visitor's session holds, as `name=value` lines.
pub(crate) fn describe(session: &Session<Visit>) -> String {
    let numbers = numbers(session);
    let mut text = format!(
        "views={}\namount={}\nrest={}\nalone={}\nsudo={}\nuser={}\nrole={}\na={}\nb={}\nlast_page={}\nbig={}\nnew={}\n",
        session.views,
        session.amount,
        session.rest,
        session.alone,
        session.sudo,
        session.user.as_deref().unwrap_or("-"),
        session.role.as_deref().unwrap_or("-"),
        session.a,
        session.b,
        session.last_page,
        session.big.len(),
        session.is_new(),
    );
    for (name, number) in numbers {
        let _ = writeln!(text, "{name}={number}");
    }
    text
}

fn numbers(session: &Session<Visit>) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("f0", session.f0),
        ("f1", session.f1),
        ("f2", session.f2),
        ("f3", session.f3),
        ("f4", session.f4),
        ("f5", session.f5),
        ("f6", session.f6),
        ("f7", session.f7),
        ("f8", session.f8),
        ("f9", session.f9),
        ("f10", session.f10),
        ("f11", session.f11),
        ("f12", session.f12),
        ("f13", session.f13),
        ("f14", session.f14),
        ("f15", session.f15),
    ])
}

pub(crate) fn number_mut<'a>(session: &'a mut Session<Visit>, name: &str) -> Option<&'a mut u64> {
    Some(match name {
        "f0" => session.f0_mut(),
        "f1" => session.f1_mut(),
        "f2" => session.f2_mut(),
        "f3" => session.f3_mut(),
        "f4" => session.f4_mut(),
        "f5" => session.f5_mut(),
        "f6" => session.f6_mut(),
        "f7" => session.f7_mut(),
        "f8" => session.f8_mut(),
        "f9" => session.f9_mut(),
        "f10" => session.f10_mut(),
        "f11" => session.f11_mut(),
        "f12" => session.f12_mut(),
        "f13" => session.f13_mut(),
        "f14" => session.f14_mut(),
        "f15" => session.f15_mut(),
        _ => return None,
    })
}

async fn noop() -> &'static str {
    "nothing"
}

async fn who(session: Session<Visit>) -> String {
    describe(&session)
}

async fn login(mut session: Session<Visit>, user: web::Path<String>) -> String {
    session.set_user(Some(user.into_inner()));
    describe(&session)
}

/// Signs in before the response is ready, and goes on.
async fn login_early(
    mut session: Session<Visit>,
    user: web::Path<String>,
) -> Result<String, SessionError> {
    session.set_user(Some(user.into_inner()));
    session.save().await?;
    session.set_a(String::from("after"));
    Ok(describe(&session))
}

/// Signs in before the response is ready, and then fails.
async fn login_early_and_fail(
    mut session: Session<Visit>,
    path: web::Path<(String, u16)>,
) -> Result<&'static str, actix_web::Error> {
    let (user, status) = path.into_inner();
    session.set_user(Some(user));
    session.save().await?;
    Err(failure(status))
}

/// Changes what the visitor may do three times, and saves in between.
async fn login_in_steps(
    mut session: Session<Visit>,
    user: web::Path<String>,
) -> Result<String, SessionError> {
    session.set_user(Some(user.into_inner()));
    session.save().await?;
    session.set_role(Some(String::from("reader")));
    session.save().await?;
    session.set_role(Some(String::from("admin")));
    Ok(describe(&session))
}

/// Waits for its save no longer than until the gate is opened.
async fn give_up(mut session: Session<Visit>, gate: web::Data<Gate>) -> HttpResponse {
    session.set_a(String::from("given up"));
    save_or_give_up(&mut session, &gate).await
}

async fn give_up_login(
    mut session: Session<Visit>,
    user: web::Path<String>,
    gate: web::Data<Gate>,
) -> HttpResponse {
    session.set_user(Some(user.into_inner()));
    save_or_give_up(&mut session, &gate).await
}

async fn save_or_give_up(session: &mut Session<Visit>, gate: &Gate) -> HttpResponse {
    match select(pin!(session.save()), pin!(gate.pass())).await {
        future::Either::Left(_) => HttpResponse::Ok().finish(),
        future::Either::Right(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn role(mut session: Session<Visit>, role: web::Path<String>) -> String {
    session.set_role(Some(role.into_inner()));
    describe(&session)
}

async fn no_role(mut session: Session<Visit>) -> String {
    session.set_role(None);
    describe(&session)
}

async fn logout(mut session: Session<Visit>) -> &'static str {
    session.destroy();
    "signed out"
}

async fn logout_and_set(mut session: Session<Visit>, value: web::Path<String>) -> &'static str {
    session.set_a(String::from("before"));
    session.destroy();
    session.set_b(value.into_inner());
    "signed out"
}

async fn renew(mut session: Session<Visit>) -> &'static str {
    session.renew();
    "renewed"
}

async fn clear(mut session: Session<Visit>) -> &'static str {
    session.clear();
    "cleared"
}

async fn mark(mut session: Session<Visit>) -> &'static str {
    session.mark_modified();
    "marked"
}

async fn set(mut session: Session<Visit>, path: web::Path<(String, String)>) -> impl Responder {
    let (field, value) = path.into_inner();
    if set_field(&mut session, &field, value) {
        HttpResponse::Ok().body(describe(&session))
    } else {
        HttpResponse::NotFound().finish()
    }
}

/// Whether there is such a field, and it can have this value.
pub(crate) fn set_field(session: &mut Session<Visit>, field: &str, value: String) -> bool {
    match field {
        "a" => session.set_a(value),
        "b" => session.set_b(value),
        "last_page" => session.set_last_page(value),
        "secret" => session.set_secret(Some(value)),
        number => match (number_mut(session, number), value.parse()) {
            (Some(number), Ok(value)) => *number = value,
            _ => return false,
        },
    }
    true
}

async fn set3(mut session: Session<Visit>, value: web::Path<u64>) -> &'static str {
    let value = value.into_inner();
    session.set_f0(value);
    session.set_f1(value);
    session.set_f2(value);
    "set"
}

#[derive(Deserialize)]
struct Think {
    #[serde(default)]
    think: u64,
}

async fn increment(
    mut session: Session<Visit>,
    field: web::Path<String>,
    query: web::Query<Think>,
) -> impl Responder {
    let Some(before) = number_mut(&mut session, &field).map(|number| *number) else {
        return HttpResponse::NotFound().finish();
    };
    if query.think > 0 {
        sleep(Duration::from_millis(query.think)).await;
    }
    if let Some(number) = number_mut(&mut session, &field) {
        *number = before + 1;
    }
    HttpResponse::Ok().body(format!("{}", before + 1))
}

async fn slow(mut session: Session<Visit>, query: web::Query<Delay>) -> String {
    sleep(Duration::from_millis(query.ms)).await;
    session.set_last_page(String::from("slow"));
    describe(&session)
}

async fn held(mut session: Session<Visit>, gate: web::Data<Gate>) -> String {
    gate.pass().await;
    session.set_last_page(String::from("held"));
    describe(&session)
}

/// Does what it is told to when the gate is opened, to the session that it has read before.
async fn held_then(
    mut session: Session<Visit>,
    gate: web::Data<Gate>,
    sessions: SessionManager,
    request: HttpRequest,
) -> Result<String, SessionError> {
    gate.pass().await;
    let value = request.match_info().get("value").unwrap_or_default();
    match request.match_info().get("action").unwrap_or_default() {
        "set" => session.set_last_page(value.to_owned()),
        "login" => session.set_user(Some(value.to_owned())),
        "no-user" => session.set_user(None),
        "role" => session.set_role(Some(value.to_owned())),
        "renew" => session.renew(),
        "clear" => session.clear(),
        "logout" => session.destroy(),
        "save-and-logout" => {
            session.set_last_page(value.to_owned());
            session.save().await?;
            session.destroy();
        }
        "reload" => {
            let reloaded = session.reload().await;
            return Ok(format!("{reloaded:?}\n{}", describe(&session)));
        }
        "revoke-others" => {
            let revoked = sessions.revoke_others(&session).await?;
            return Ok(revoked.ended.to_string());
        }
        _ => {}
    }
    Ok(describe(&session))
}

async fn held_read(session: Session<Visit>, gate: web::Data<Gate>) -> String {
    gate.pass().await;
    describe(&session)
}

async fn cacheable(session: Session<Visit>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=600"))
        .body(describe(&session))
}

async fn cacheable_write(mut session: Session<Visit>, value: web::Path<String>) -> impl Responder {
    session.set_a(value.into_inner());
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=600"))
        .append_header(("Set-Cookie", "first=1; Path=/"))
        .append_header(("Set-Cookie", "second=2; Path=/"))
        .append_header(("Set-Cookie", "third=3; Path=/"))
        .body(describe(&session))
}

async fn varying(session: Session<Visit>) -> impl Responder {
    HttpResponse::Ok()
        .insert_header((VARY, "Accept"))
        .body(describe(&session))
}

/// Writes, and ends in an `Err` of this status.
async fn fail(
    mut session: Session<Visit>,
    status: web::Path<u16>,
) -> Result<&'static str, actix_web::Error> {
    session.set_a(format!("failed with {status}"));
    Err(failure(*status))
}

async fn fail_and_logout(
    mut session: Session<Visit>,
    status: web::Path<u16>,
) -> Result<&'static str, actix_web::Error> {
    session.destroy();
    Err(failure(*status))
}

async fn fail_as_response(mut session: Session<Visit>, status: web::Path<u16>) -> impl Responder {
    session.set_a(format!("failed with {status}"));
    failure(*status).error_response()
}

fn failure(status: u16) -> actix_web::Error {
    let response =
        HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap_or_default());
    error::InternalError::from_response("on purpose", { response }.finish()).into()
}

async fn count(mut session: Session<Visit>, delay: web::Query<Delay>) -> String {
    let next = session.views + 1;
    sleep(Duration::from_millis(delay.ms)).await;
    session.set_views(next);
    String::new()
}

async fn set_notice(mut session: Session<Visit>, text: web::Path<String>) -> String {
    session.set_notice(Some(text.into_inner()));
    String::new()
}

async fn take(mut session: Session<Visit>, delay: web::Query<Delay>) -> String {
    let notice = session.take_notice();
    sleep(Duration::from_millis(delay.ms)).await;
    notice.unwrap_or_else(|| String::from("-"))
}

/// Enters it, unless the visitor is there.
async fn sudo(mut session: Session<Visit>) -> String {
    let left = session.expires_in_sudo().map(|left| left.as_secs());
    if !session.sudo {
        session.set_sudo(true);
    }
    format!("{left:?}")
}

async fn balance(
    mut session: Session<Visit>,
    amount: web::Path<i64>,
    delay: web::Query<Delay>,
) -> String {
    sleep(Duration::from_millis(delay.ms)).await;
    session.set_amount(*amount);
    session.set_rest(*amount % 3);
    String::new()
}

/// Tells itself what became of it, where it is asked to.
async fn alone(
    mut session: Session<Visit>,
    value: web::Path<u64>,
    delay: web::Query<Delay>,
    query: web::Query<BTreeMap<String, String>>,
) -> Result<String, SessionError> {
    sleep(Duration::from_millis(delay.ms)).await;
    session.set_alone(*value);
    if !query.contains_key("save") {
        return Ok(String::new());
    }
    match session.save().await {
        Err(SessionError::Conflict(conflict)) => {
            session.refresh();
            Ok(format!("{} is {}", conflict.field, session.alone))
        }
        saved => saved.map(|saved| format!("{saved:?}")),
    }
}

async fn panicking(mut session: Session<Visit>) -> &'static str {
    session.set_a(String::from("panicked"));
    panic!("on purpose, with the session in hand: {session:?}");
}

/// Moves the handle into the body and changes it there, without saving.
async fn stream(mut session: Session<Visit>) -> impl Responder {
    HttpResponse::Ok().streaming(futures_util::stream::once(async move {
        session.set_a(String::from("from the stream"));
        drop(session);
        Ok::<_, Infallible>(web::Bytes::from_static(b"streamed"))
    }))
}

/// The same, with a save.
async fn stream_saving(mut session: Session<Visit>) -> impl Responder {
    HttpResponse::Ok().streaming(futures_util::stream::once(async move {
        session.set_a(String::from("from the stream"));
        let saved = session.save().await;
        Ok::<_, Infallible>(web::Bytes::from(format!("{saved:?}")))
    }))
}

/// Saves once before the head leaves, as the client must learn the token, and again in the stream.
async fn stream_new(mut session: Session<Visit>) -> Result<impl Responder, actix_web::Error> {
    session.set_a(String::from("before the head"));
    session.save().await?;
    Ok(
        HttpResponse::Ok().streaming(futures_util::stream::once(async move {
            session.set_b(String::from("after the head"));
            let saved = session.save().await;
            Ok::<_, Infallible>(web::Bytes::from(format!("{saved:?}")))
        })),
    )
}

async fn big(mut session: Session<Visit>, length: web::Path<usize>) -> &'static str {
    session.set_big("x".repeat(*length));
    "set"
}

/// Two extractors of one type and one of another in one handler.
async fn two(
    mut first: Session<Visit>,
    mut second: Session<Visit>,
    mut other: Session<Second>,
    value: web::Path<String>,
) -> String {
    first.set_a(value.clone());
    second.set_b(value.clone());
    other.set_a(value.into_inner());
    *other.visits_mut() += 1;
    format!("visits={}", other.visits)
}

/// Every kind of change at once, and cookies of the application's own.
async fn everything(
    mut first: Session<Visit>,
    mut second: Session<Second>,
    value: web::Path<String>,
    request: HttpRequest,
) -> impl Responder {
    first.set_a(value.clone());
    first.renew();
    first.destroy();
    second.set_a(String::from("dropped: it began before the destroy"));
    first.set_user(Some(value.clone()));
    first.renew();
    first.set_b(value.into_inner());
    drop(first);
    let seen = request.session::<Visit>().map(|session| session.b.clone());
    HttpResponse::Ok()
        .append_header(("Set-Cookie", "first=1; Path=/"))
        .append_header(("Set-Cookie", "second=2; Path=/"))
        .append_header(("Set-Cookie", "third=3; Path=/"))
        .body(format!("{seen:?}"))
}

async fn persist(mut session: Session<Visit>, length: web::Path<u64>) -> &'static str {
    session.persist_for(seconds(*length));
    session.set_a(String::from("persistent"));
    "persistent"
}

async fn no_persist(mut session: Session<Visit>) -> &'static str {
    session.persist_for(None);
    "until the browser closes"
}

async fn end_at(mut session: Session<Visit>, millis: web::Path<u64>) -> &'static str {
    session.end_at(Timestamp::from_millis(*millis));
    "ends"
}

async fn no_end_at(mut session: Session<Visit>) -> &'static str {
    session.end_at(None);
    "ends by the policy"
}

async fn idle_within(mut session: Session<Visit>, length: web::Path<u64>) -> &'static str {
    session.idle_within(seconds(*length));
    "idles"
}

async fn arrival(session: Session<Visit>) -> String {
    format!("{:?}", session.arrival())
}

async fn key(session: Session<Visit>) -> String {
    let key = session.key();
    key.map_or_else(|| String::from("-"), |key| key.to_string())
}

/// For those who have signed in.
pub struct SignedIn;

impl Requirement for SignedIn {
    type Data = Visit;
    type Rejection = actix_web::Error;

    fn check(session: &Session<Visit>) -> Result<(), actix_web::Error> {
        match session.user {
            Some(_) => Ok(()),
            None => Err(error::ErrorUnauthorized("please sign in")),
        }
    }
}

async fn required(session: Require<SignedIn>) -> String {
    describe(&session)
}

/// The sessions of who is signed in, the one used last first, as lines of key and `this` or `other`.
async fn devices(
    session: Session<Visit>,
    sessions: SessionManager,
) -> Result<String, SessionError> {
    let Some(user) = &session.user else {
        return Ok(String::new());
    };
    let mut text = String::new();
    for found in sessions.sessions_of(user).await? {
        let which = if session.is_same_session(&found) {
            "this"
        } else {
            "other"
        };
        let _ = writeln!(text, "{} {which}", found.key);
    }
    Ok(text)
}

async fn revoke(
    session: Session<Visit>,
    sessions: SessionManager,
    key: web::Path<String>,
) -> Result<String, actix_web::Error> {
    let key: SessionKey = key.parse().map_err(error::ErrorNotFound)?;
    let Some(user) = &session.user else {
        return Ok(String::from("nobody"));
    };
    Ok(sessions.revoke(user, &key).await?.to_string())
}

async fn revoke_others(
    session: Session<Visit>,
    sessions: SessionManager,
) -> Result<String, SessionError> {
    Ok(sessions.revoke_others(&session).await?.ended.to_string())
}

async fn revoke_all(
    session: Session<Visit>,
    sessions: SessionManager,
) -> Result<String, SessionError> {
    let Some(user) = &session.user else {
        return Ok(String::from("nobody"));
    };
    Ok(sessions.revoke_all(user).await?.ended.to_string())
}

async fn times(session: Session<Visit>) -> impl Responder {
    web::Json(times_of(&session))
}

pub(crate) fn times_of(session: &Session<Visit>) -> serde_json::Value {
    serde_json::json!({
        "created": session.created_at().as_millis(),
        "last_seen": session.last_seen_at().map(Timestamp::as_millis),
        "expires": session.expires_at().as_millis(),
        "is_new": session.is_new(),
        "is_modified": session.is_modified(),
        "should_save": session.should_save(),
    })
}

fn is_signed_in(context: &actix_web::guard::GuardContext<'_>) -> bool {
    context
        .session::<Visit>()
        .is_some_and(|session| session.user.is_some())
}

/// Extracts the session twice in one handler, one of them only sometimes.
pub async fn either(session: Either<Session<Visit>, ()>) -> String {
    match session {
        Either::Left(session) => describe(&session),
        Either::Right(()) => String::from("no session"),
    }
}
