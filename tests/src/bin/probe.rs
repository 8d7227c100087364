//! The probe application as a process of its own, on a folder that other processes share.
//!
//! `probe <folder> [setting …]`: prints its address; ends when its standard input does. Its routes are
//! there twice, at `/` and at `/sub`; `/found/{owner}` counts the sessions of an owner. `memory` for the folder is the memory store. A cookie setting is `name=…`, `path=…`, `domain=…`,
//! `strict`, `none`, `partitioned` or `insecure`;
//! `relaxed` is a durability.
//!
//! With `chaos` it serves the application of the chaos driver instead, with `axum` in axum; `evict=…` and `reject=…`
//! are limits of the sessions of an owner. A build with `--cfg session_mistakes` makes the mistake that the
//! environment variable `SESSION_MISTAKE` names.

use std::io::Read as _;
use std::time::Duration;

use session::{
    CookieSettings, Durability, FilesystemStore, MemoryStore, OnSessionEnded, SameSite,
    SessionLimit, SessionManager, SessionMiddleware,
};
use session_tests::chaos;
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
    let (mut is_chaos, mut is_axum, mut limit) = (false, false, None);
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
            "chaos" => {
                is_chaos = true;
                cookie
            }
            "axum" => {
                is_axum = true;
                cookie
            }
            "evict" => {
                limit = Some((value.parse()?, SessionLimit::EvictOldest));
                cookie
            }
            "reject" => {
                limit = Some((value.parse()?, SessionLimit::RejectNew));
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
    make_mistake();
    let mut builder = SessionManager::builder(store).cookie(cookie.build()?);
    if let Some((sessions, limit)) = limit {
        builder = builder.max_sessions_per_owner(sessions, limit);
    }
    let server = if is_chaos {
        // So that what was not saved is never answered as if it were; and touches come often.
        let sessions = builder
            .on_session_ended(OnSessionEnded::Fail)
            .touch_interval(Duration::from_secs(1))
            .build()?;
        serve_chaos(&sessions, is_axum)
    } else {
        serve_probe(&builder.build()?)
    };
    println!("{}", server.address);
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}

#[cfg(session_mistakes)]
fn make_mistake() {
    if let Ok(name) = std::env::var("SESSION_MISTAKE") {
        assert!(
            session::mistakes::ALL.contains(&name.as_str()),
            "no such mistake: {name}"
        );
        session::mistakes::switch(Some(&name));
    }
}

#[cfg(not(session_mistakes))]
fn make_mistake() {}

fn serve_chaos(sessions: &SessionManager, is_axum: bool) -> Server {
    let events = Events::default();
    let said = events.clone();
    // A driver may run for hours: only what is an error is kept, on the standard error.
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(200));
            for line in said.take_lines() {
                if line.level == tracing::Level::ERROR {
                    eprintln!("{} {}", std::process::id(), line.text);
                }
            }
        }
    });
    if is_axum {
        return Server::start_axum(2, &events, chaos::app::router(sessions));
    }
    let sessions = sessions.clone();
    Server::start(2, &events, move |config| {
        chaos::app::configure(config, &sessions);
    })
}

fn serve_probe(sessions: &SessionManager) -> Server {
    let sessions = sessions.clone();
    Server::start(2, &Events::default(), move |config| {
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
    })
}
