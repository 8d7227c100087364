//! tower-sessions in axum, as its documentation uses it: a key for each value, its default settings
//! but for the cookie, which may travel over plain http.

use std::io;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_sessions::session::Error;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::allocations;
use crate::visit::{CSRF, USER, VIEWS, answer, cart};

/// Sessions in memory.
pub async fn serve_memory(port: u16) -> io::Result<()> {
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    let routes = Router::new()
        .route("/set-up", get(set_up))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/allocations", get(allocations::report))
        .layer(sessions);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, routes).await
}

async fn set_up(session: Session) -> Result<String, StatusCode> {
    fill(&session).await.map_err(failed)?;
    Ok(answer(USER, VIEWS))
}

async fn fill(session: &Session) -> Result<(), Error> {
    session.insert("user", USER).await?;
    session.insert("cart", cart()).await?;
    session.insert("csrf", CSRF).await?;
    session.insert("views", VIEWS).await
}

async fn read(session: Session) -> Result<String, StatusCode> {
    let (user, views) = stored(&session).await.map_err(failed)?;
    Ok(answer(&user, views))
}

async fn write(session: Session) -> Result<String, StatusCode> {
    let (user, views) = stored(&session).await.map_err(failed)?;
    session.insert("views", views + 1).await.map_err(failed)?;
    Ok(answer(&user, views + 1))
}

async fn stored(session: &Session) -> Result<(String, u64), Error> {
    let user: Option<String> = session.get("user").await?;
    let views: Option<u64> = session.get("views").await?;
    Ok((user.unwrap_or_default(), views.unwrap_or_default()))
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
