//! The probe application as a process of its own, on a folder that other processes share.
//!
//! `probe <folder> [setting …]`: prints its address; ends when its standard input does. Its routes are
//! there twice, at `/` and at `/sub`; `/found/{owner}` counts the sessions of an owner. `memory` for the folder is the memory store. A cookie setting is `name=…`, `path=…`, `domain=…`,
//! `strict`, `none`, `partitioned` or `insecure`;
//! `relaxed` is a durability.

use std::io::Read as _;

use session::{
    CookieSettings, Durability, FilesystemStore, MemoryStore, SameSite, SessionManager,
    SessionMiddleware,
};
use session_tests::events::Events;
use session_tests::probe;
use session_tests::server::Server;
use session_tests::stores::AnyStore;

#[expect(
    clippy::print_stdout,
    reason = "the test that started it reads its address"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: probe <folder>")?;
    let mut cookie = CookieSettings::builder();
    let mut durability = Durability::default();
    for setting in arguments {
        let (word, value) = setting.split_once('=').unwrap_or((&setting, ""));
        cookie = match word {
            "name" => cookie.name(value),
            "path" => cookie.path(value),
            "domain" => cookie.domain(value),
            "strict" => cookie.same_site(SameSite::Strict),
            "none" => cookie.same_site(SameSite::None),
            "partitioned" => cookie.partitioned(true),
            "relaxed" => {
                durability = Durability::Relaxed;
                cookie
            }
            "insecure" => cookie.insecure_for_local_development(),
            _ => return Err(format!("unknown setting: {setting}").into()),
        };
    }
    let store = match folder.as_str() {
        "memory" => AnyStore::from(MemoryStore::new()),
        _ => AnyStore::from(
            FilesystemStore::builder(folder)
                .durability(durability)
                .open()?,
        ),
    };
    let sessions = SessionManager::builder(store)
        .cookie(cookie.build()?)
        .build()?;
    let server = Server::start(2, &Events::default(), move |config| {
        let manager = sessions.clone();
        config.route(
            "/found/{owner}",
            actix_web::web::get().to(move |owner: actix_web::web::Path<String>| {
                let sessions = manager.clone();
                async move {
                    sessions
                        .sessions_of(&*owner)
                        .await
                        .map(|found| found.len().to_string())
                }
            }),
        );
        config.service(
            actix_web::web::scope("")
                .wrap(SessionMiddleware::new(sessions.clone()))
                .service(actix_web::web::scope("/sub").configure(probe::routes))
                .configure(probe::routes),
        );
    });
    println!("{}", server.address);
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}
