//! The frameworks without any session: what the others' requests per second are a part of.
//!
//! They answer on the same paths, and give out a cookie as long as that of a session, so that a
//! request to them is as long as one to the others.

use std::io;

use actix_web::{App, HttpServer, web};

use crate::allocations;
use crate::visit::ANSWER;

/// As long as the cookie of `session`.
const ACTIX_COOKIE: &str = "id=0123456789abcdef0123456789abcdef0123456789a; HttpOnly; SameSite=Lax";

/// As long as the cookie of tower-sessions.
const AXUM_COOKIE: &str = "id=0123456789abcdef012345; HttpOnly; SameSite=Strict";

/// actix-web alone.
pub async fn serve_actix(port: u16) -> io::Result<()> {
    HttpServer::new(|| App::new().configure(routes))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", port))?
        .run()
        .await
}

/// The routes of all servers, whose handlers here ask for no session.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/set-up", web::get().to(set_up))
        .route("/read", web::get().to(bare))
        .route("/write", web::get().to(bare))
        .route("/allocations", web::get().to(allocations::report));
}

async fn set_up() -> impl actix_web::Responder {
    use actix_web::Responder as _;

    ANSWER
        .customize()
        .insert_header(("Set-Cookie", ACTIX_COOKIE))
}

async fn bare() -> &'static str {
    ANSWER
}

/// axum alone.
pub async fn serve_axum(port: u16) -> io::Result<()> {
    use axum::routing::get;

    let routes = axum::Router::new()
        .route(
            "/set-up",
            get(async || ([("Set-Cookie", AXUM_COOKIE)], ANSWER)),
        )
        .route("/read", get(bare))
        .route("/write", get(bare))
        .route("/allocations", get(allocations::report));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, routes).await
}
