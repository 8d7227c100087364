//! `session` in actix-web, as its README uses it.

use std::io;
use std::path::Path;

use actix_web::{App, HttpServer, web};
use session::{
    CookieSettings, Durability, FilesystemStore, MemoryStore, Session, SessionManager,
    SessionMiddleware, SessionStore,
};

use crate::visit::{CSRF, Line, USER, VIEWS, answer, cart};
use crate::{allocations, bare};

#[derive(Debug, Default, Session)]
struct Visit {
    #[session(rotate)]
    user: Option<String>,
    cart: Vec<Line>,
    #[session(secret)]
    csrf: Option<String>,
    views: u64,
}

/// The middleware on a store of files around the handlers of the bare server, which ask for no session.
pub async fn serve_unused(port: u16, folder: &Path) -> io::Result<()> {
    serve(port, files(folder, Durability::default())?, bare::routes).await
}

/// Sessions in files.
pub async fn serve_files(port: u16, folder: &Path, durability: Durability) -> io::Result<()> {
    serve(port, files(folder, durability)?, routes).await
}

/// Sessions in memory.
pub async fn serve_memory(port: u16) -> io::Result<()> {
    serve(port, MemoryStore::new(), routes).await
}

fn files(folder: &Path, durability: Durability) -> io::Result<FilesystemStore> {
    FilesystemStore::builder(folder)
        .durability(durability)
        .open()
        .map_err(io::Error::other)
}

async fn serve(
    port: u16,
    store: impl SessionStore,
    routes: fn(&mut web::ServiceConfig),
) -> io::Result<()> {
    let cookie = CookieSettings::builder()
        .insecure_for_local_development()
        .build()
        .map_err(io::Error::other)?;
    let sessions = SessionManager::builder(store)
        .cookie(cookie)
        .build()
        .map_err(io::Error::other)?;
    HttpServer::new(move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .configure(routes)
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", port))?
    .run()
    .await
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/set-up", web::get().to(set_up))
        .route("/read", web::get().to(read))
        .route("/write", web::get().to(write))
        .route("/allocations", web::get().to(allocations::report));
}

async fn set_up(mut session: Session<Visit>) -> String {
    session.set_user(Some(USER.to_owned()));
    session.set_cart(cart());
    session.set_csrf(Some(CSRF.to_owned()));
    session.set_views(VIEWS);
    answer(USER, VIEWS)
}

async fn read(session: Session<Visit>) -> String {
    answer(session.user.as_deref().unwrap_or_default(), session.views)
}

async fn write(mut session: Session<Visit>) -> String {
    *session.views_mut() += 1;
    answer(session.user.as_deref().unwrap_or_default(), session.views)
}
