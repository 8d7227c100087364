//! The probe application in axum: those routes of [`probe`](crate::probe) that the tests of both
//! frameworks use, each of which does the same.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use axum::http::request::Parts;
use axum::response::{AppendHeaders, IntoResponse, Json};
use axum::routing::any;
use axum::{Router, http::HeaderName};
use futures_util::future::{Either, select};
use futures_util::stream::once;
use serde::Deserialize;
use session::{ExtractError, Session, SessionError, Timestamp, seconds};
use tokio::time::sleep;

use crate::gate::Gate;
use crate::probe::{Second, Visit, act, describe, number_mut, set_field, times_of};

/// The routes. They expect a session layer around them.
pub(crate) fn routes(gate: Gate) -> Router {
    Router::new()
        .route("/noop", any(noop))
        .route("/who", any(who))
        .route("/login/{user}", any(login))
        .route("/login-early/{user}", any(login_early))
        .route("/login-early/{user}/{status}", any(login_early_and_fail))
        .route("/login-in-steps/{user}", any(login_in_steps))
        .route("/give-up", any(give_up))
        .route("/give-up/login/{user}", any(give_up_login))
        .route("/role/{role}", any(role))
        .route("/role", any(no_role))
        .route("/logout", any(logout))
        .route("/logout-and-set/{value}", any(logout_and_set))
        .route("/renew", any(renew))
        .route("/clear", any(clear))
        .route("/mark", any(mark))
        .route("/set/{field}/{value}", any(set))
        .route("/inc/{field}", any(increment))
        .route("/slow", any(slow))
        .route("/held", any(held))
        .route("/held/{action}", any(held_then))
        .route("/held/{action}/{value}", any(held_then))
        .route("/held-read", any(held_read))
        .route("/cacheable", any(cacheable))
        .route("/cacheable/{value}", any(cacheable_write))
        .route("/varying", any(varying))
        .route("/fail/{status}", any(fail))
        .route("/fail-as-response/{status}", any(fail_as_response))
        .route("/fail-and-logout/{status}", any(fail_and_logout))
        .route("/panic", any(panicking))
        .route("/stream", any(stream))
        .route("/stream-saving", any(stream_saving))
        .route("/stream-new", any(stream_new))
        .route("/big/{length}", any(big))
        .route("/two/{value}", any(two))
        .route("/everything/{value}", any(everything))
        .route("/persist/{seconds}", any(persist))
        .route("/persist", any(no_persist))
        .route("/end-at/{millis}", any(end_at))
        .route("/idle-within/{seconds}", any(idle_within))
        .route("/times", any(times))
        .route("/arrival", any(arrival))
        .with_state(gate)
}

#[derive(Deserialize)]
struct Delay {
    #[serde(default)]
    ms: u64,
}

async fn noop() -> &'static str {
    "nothing"
}

async fn who(session: Session<Visit>) -> String {
    describe(&session)
}

async fn login(mut session: Session<Visit>, Path(user): Path<String>) -> String {
    session.set_user(Some(user));
    describe(&session)
}

/// Signs in before the response is ready, and goes on.
async fn login_early(
    mut session: Session<Visit>,
    Path(user): Path<String>,
) -> Result<String, SessionError> {
    session.set_user(Some(user));
    session.save().await?;
    session.set_a(String::from("after"));
    Ok(describe(&session))
}

/// Signs in before the response is ready, and then fails.
async fn login_early_and_fail(
    mut session: Session<Visit>,
    Path((user, status)): Path<(String, u16)>,
) -> Result<StatusCode, SessionError> {
    session.set_user(Some(user));
    session.save().await?;
    Ok(failure(status))
}

/// Changes what the visitor may do three times, and saves in between.
async fn login_in_steps(
    mut session: Session<Visit>,
    Path(user): Path<String>,
) -> Result<String, SessionError> {
    session.set_user(Some(user));
    session.save().await?;
    session.set_role(Some(String::from("reader")));
    session.save().await?;
    session.set_role(Some(String::from("admin")));
    Ok(describe(&session))
}

/// Waits for its save no longer than until the gate is opened.
async fn give_up(mut session: Session<Visit>, State(gate): State<Gate>) -> StatusCode {
    session.set_a(String::from("given up"));
    save_or_give_up(&mut session, &gate).await
}

async fn give_up_login(
    mut session: Session<Visit>,
    Path(user): Path<String>,
    State(gate): State<Gate>,
) -> StatusCode {
    session.set_user(Some(user));
    save_or_give_up(&mut session, &gate).await
}

async fn save_or_give_up(session: &mut Session<Visit>, gate: &Gate) -> StatusCode {
    match select(pin!(session.save()), pin!(gate.pass())).await {
        Either::Left(_) => StatusCode::OK,
        Either::Right(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn role(mut session: Session<Visit>, Path(role): Path<String>) -> String {
    session.set_role(Some(role));
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

async fn logout_and_set(mut session: Session<Visit>, Path(value): Path<String>) -> &'static str {
    session.set_a(String::from("before"));
    session.destroy();
    session.set_b(value);
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

async fn set(
    mut session: Session<Visit>,
    Path((field, value)): Path<(String, String)>,
) -> Result<String, StatusCode> {
    if set_field(&mut session, &field, value) {
        Ok(describe(&session))
    } else {
        Err(StatusCode::NOT_FOUND)
    }
}

async fn increment(
    mut session: Session<Visit>,
    Path(field): Path<String>,
) -> Result<String, StatusCode> {
    let number = number_mut(&mut session, &field).ok_or(StatusCode::NOT_FOUND)?;
    *number += 1;
    Ok(number.to_string())
}

async fn slow(mut session: Session<Visit>, Query(delay): Query<Delay>) -> String {
    sleep(Duration::from_millis(delay.ms)).await;
    session.set_last_page(String::from("slow"));
    describe(&session)
}

async fn held(mut session: Session<Visit>, State(gate): State<Gate>) -> String {
    gate.pass().await;
    session.set_last_page(String::from("held"));
    describe(&session)
}

/// Does what it is told to when the gate is opened, to the session that it has read before.
async fn held_then(
    mut session: Session<Visit>,
    State(gate): State<Gate>,
    Path(what): Path<Vec<(String, String)>>,
) -> Result<String, SessionError> {
    gate.pass().await;
    let part = |name: &str| {
        let part = what.iter().find(|(known, _)| known == name);
        part.map_or("", |(_, value)| value.as_str())
    };
    if part("action") == "reload" {
        let reloaded = session.reload().await;
        return Ok(format!("{reloaded:?}\n{}", describe(&session)));
    }
    act(&mut session, part("action"), part("value")).await?;
    Ok(describe(&session))
}

async fn held_read(session: Session<Visit>, State(gate): State<Gate>) -> String {
    gate.pass().await;
    describe(&session)
}

async fn cacheable(session: Session<Visit>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=600")], describe(&session))
}

async fn cacheable_write(
    mut session: Session<Visit>,
    Path(value): Path<String>,
) -> impl IntoResponse {
    session.set_a(value);
    let cache = [(CACHE_CONTROL, "public, max-age=600")];
    (cache, own_cookies(), describe(&session))
}

async fn varying(session: Session<Visit>) -> impl IntoResponse {
    ([(VARY, "Accept")], describe(&session))
}

/// Writes, and ends in an `Err` of this status.
async fn fail(
    mut session: Session<Visit>,
    Path(status): Path<u16>,
) -> Result<&'static str, StatusCode> {
    session.set_a(format!("failed with {status}"));
    Err(failure(status))
}

async fn fail_and_logout(
    mut session: Session<Visit>,
    Path(status): Path<u16>,
) -> Result<&'static str, StatusCode> {
    session.destroy();
    Err(failure(status))
}

async fn fail_as_response(
    mut session: Session<Visit>,
    Path(status): Path<u16>,
) -> impl IntoResponse {
    session.set_a(format!("failed with {status}"));
    failure(status)
}

fn failure(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or_default()
}

async fn panicking(mut session: Session<Visit>) -> &'static str {
    session.set_a(String::from("panicked"));
    panic!("on purpose, with the session in hand: {session:?}");
}

/// Moves the handle into the body and changes it there, without saving.
async fn stream(mut session: Session<Visit>) -> Body {
    Body::from_stream(once(async move {
        session.set_a(String::from("from the stream"));
        drop(session);
        Ok::<_, Infallible>("streamed")
    }))
}

/// The same, with a save.
async fn stream_saving(mut session: Session<Visit>) -> Body {
    Body::from_stream(once(async move {
        session.set_a(String::from("from the stream"));
        let saved = session.save().await;
        Ok::<_, Infallible>(format!("{saved:?}"))
    }))
}

/// Saves once before the head leaves, as the client must learn the token, and again in the stream.
async fn stream_new(mut session: Session<Visit>) -> Result<Body, SessionError> {
    session.set_a(String::from("before the head"));
    session.save().await?;
    Ok(Body::from_stream(once(async move {
        session.set_b(String::from("after the head"));
        let saved = session.save().await;
        Ok::<_, Infallible>(format!("{saved:?}"))
    })))
}

async fn big(mut session: Session<Visit>, Path(length): Path<usize>) -> &'static str {
    session.set_big("x".repeat(length));
    "set"
}

/// Two extractors of one type and one of another in one handler.
async fn two(
    mut first: Session<Visit>,
    mut second: Session<Visit>,
    mut other: Session<Second>,
    Path(value): Path<String>,
) -> String {
    first.set_a(value.clone());
    second.set_b(value.clone());
    other.set_a(value);
    *other.visits_mut() += 1;
    format!("visits={}", other.visits)
}

/// Every kind of change at once, and cookies of the application's own.
async fn everything(
    mut first: Session<Visit>,
    mut second: Session<Second>,
    Path(value): Path<String>,
    mut parts: Parts,
) -> Result<impl IntoResponse, ExtractError> {
    first.set_a(value.clone());
    first.renew();
    first.destroy();
    second.set_a(String::from("dropped: it began before the destroy"));
    first.set_user(Some(value.clone()));
    first.renew();
    first.set_b(value);
    drop(first);
    let seen = Session::<Visit>::from_request_parts(&mut parts, &()).await?;
    Ok((own_cookies(), seen.b.clone()))
}

fn own_cookies() -> AppendHeaders<[(HeaderName, &'static str); 3]> {
    let cookies = ["first=1; Path=/", "second=2; Path=/", "third=3; Path=/"];
    AppendHeaders(cookies.map(|cookie| (SET_COOKIE, cookie)))
}

async fn persist(mut session: Session<Visit>, Path(length): Path<u64>) -> &'static str {
    session.persist_for(seconds(length));
    session.set_a(String::from("persistent"));
    "persistent"
}

async fn no_persist(mut session: Session<Visit>) -> &'static str {
    session.persist_for(None);
    "until the browser closes"
}

async fn end_at(mut session: Session<Visit>, Path(millis): Path<u64>) -> &'static str {
    session.end_at(Timestamp::from_millis(millis));
    "ends"
}

async fn idle_within(mut session: Session<Visit>, Path(length): Path<u64>) -> &'static str {
    session.idle_within(seconds(length));
    "idles"
}

async fn arrival(session: Session<Visit>) -> String {
    format!("{:?}", session.arrival())
}

async fn times(session: Session<Visit>) -> impl IntoResponse {
    Json(times_of(&session))
}
