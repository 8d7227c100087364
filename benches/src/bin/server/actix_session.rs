//! actix-session in actix-web, as its documentation uses it: a key for each value, its default
//! settings but for the cookie, which may travel over plain http.

use std::io;

use actix_session::storage::{CookieSessionStore, RedisSessionStore, SessionStore};
use actix_session::{Session, SessionGetError, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{App, HttpServer, web};

use crate::allocations;
use crate::visit::{CSRF, USER, VIEWS, answer, cart};

/// Sessions in encrypted cookies.
pub async fn serve_cookie(port: u16) -> io::Result<()> {
    serve(port, CookieSessionStore::default).await
}

/// Sessions in Redis.
pub async fn serve_redis(port: u16, redis_port: u16) -> io::Result<()> {
    let store = RedisSessionStore::new(format!("redis://127.0.0.1:{redis_port}"))
        .await
        .map_err(io::Error::other)?;
    serve(port, move || store.clone()).await
}

async fn serve<S: SessionStore + 'static>(
    port: u16,
    store: impl Fn() -> S + Clone + Send + 'static,
) -> io::Result<()> {
    let key = Key::generate();
    HttpServer::new(move || {
        let sessions = SessionMiddleware::builder(store(), key.clone())
            .cookie_secure(false)
            .build();
        App::new()
            .wrap(sessions)
            .route("/set-up", web::get().to(set_up))
            .route("/read", web::get().to(read))
            .route("/write", web::get().to(write))
            .route("/allocations", web::get().to(allocations::report))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", port))?
    .run()
    .await
}

async fn set_up(session: Session) -> actix_web::Result<String> {
    session.insert("user", USER)?;
    session.insert("cart", cart())?;
    session.insert("csrf", CSRF)?;
    session.insert("views", VIEWS)?;
    Ok(answer(USER, VIEWS))
}

async fn read(session: Session) -> actix_web::Result<String> {
    let (user, views) = stored(&session)?;
    Ok(answer(&user, views))
}

async fn write(session: Session) -> actix_web::Result<String> {
    let (user, views) = stored(&session)?;
    session.insert("views", views + 1)?;
    Ok(answer(&user, views + 1))
}

fn stored(session: &Session) -> Result<(String, u64), SessionGetError> {
    let user: Option<String> = session.get("user")?;
    let views: Option<u64> = session.get("views")?;
    Ok((user.unwrap_or_default(), views.unwrap_or_default()))
}
