//! The commit of a request over real HTTP: it runs to its end whoever waits, what fails is a response, and two
//! sessions in one handler are two cookies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::dev::Service as _;
use actix_web::middleware::DefaultHeaders;
use actix_web::{HttpResponse, web};
use session::{
    CookieSettings, MemoryStore, OnSessionEnded, Saved, Session, SessionLimit, SessionManager,
    SessionMiddleware, days,
};
use session_tests::client::Client;
use session_tests::events::Events;
use session_tests::faults::{Answer, FaultyStore};
use session_tests::gate::Gate;
use session_tests::probe::{self, Visit};
use session_tests::server::{ProbeServer, Server, block_on};

/// Counts what is dropped.
struct Dropped(Arc<AtomicU64>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A client that resets its connection while its sign-out is being stored has signed out; and the same for
/// everything else that a request has changed.
#[test]
fn a_client_that_goes_away_during_the_commit_cancels_nothing() {
    for (operation, path) in [
        ("delete", "/logout"),
        ("modify", "/no-user"),
        ("modify", "/set/a/after"),
        ("create", "/set/a/after"),
    ] {
        let store = FaultyStore::new(MemoryStore::new());
        let sessions = SessionManager::new(store.clone());
        let dropped = Arc::new(AtomicU64::new(0));
        let (manager, counted) = (sessions.clone(), Arc::clone(&dropped));
        let server = Server::start(1, &Events::default(), move |config| {
            let counted = Arc::clone(&counted);
            let app = web::scope("")
                .wrap(SessionMiddleware::new(manager.clone()))
                // Further out: what is dropped here is what waits for the commit.
                .wrap_fn(move |request, service| {
                    let guard = Dropped(Arc::clone(&counted));
                    let answer = service.call(request);
                    async move {
                        let answer = answer.await;
                        drop(guard);
                        answer
                    }
                })
                .route("/no-user", web::get().to(no_user))
                .configure(probe::routes);
            config.service(app);
        });
        let mut visitor = Client::new(server.address);
        if operation != "create" {
            visitor.get("/login/alice");
        }
        let answered = dropped.load(Ordering::SeqCst);
        let gate = Gate::default();
        store.hold(operation, &gate);
        let request = visitor.send(path);
        gate.wait_for_one();
        request.reset();
        // The server has noticed, and nobody waits for the answer any more.
        while dropped.load(Ordering::SeqCst) == answered {
            std::thread::yield_now();
        }
        let calls = store.calls();
        gate.open_for_ever();
        store.repair();
        while store.calls() == calls {
            std::thread::yield_now();
        }
        let live = block_on(async {
            let mut listing = sessions.list();
            let mut live = Vec::new();
            while let Some(info) = listing.next().await {
                let info = info.expect("readable");
                let view = sessions.view::<Visit>(&info).await;
                let view = view.expect("the store works").expect("it is there");
                live.push((view.user.clone(), view.a.clone()));
            }
            live
        });
        let alice = (operation == "modify").then(|| String::from("alice"));
        let expected = match path {
            "/logout" => vec![],
            "/no-user" => vec![(None, String::new())],
            _ => vec![(alice, String::from("after"))],
        };
        assert_eq!(live, expected, "{operation} {path}");
    }
}

/// A sign-out by way of the owner.
async fn no_user(mut session: Session<Visit>) -> &'static str {
    session.set_user(None);
    "signed out"
}

/// A handle that a task still holds when its response is being committed: what it drops unsaved is reported,
/// what it saves is saved.
#[test]
fn a_handle_that_is_dropped_during_the_commit_is_reported() {
    for is_saving in [false, true] {
        let store = FaultyStore::new(MemoryStore::new());
        let events = Events::default();
        let (released, done) = (Gate::default(), Gate::default());
        let manager = SessionManager::new(store.clone());
        let gates = (released.clone(), done.clone());
        let server = Server::start(1, &events, move |config| {
            let (released, done) = gates.clone();
            let leak = move |mut first: Session<Visit>, mut kept: Session<Visit>| {
                let (released, done) = (released.clone(), done.clone());
                async move {
                    first.set_a(String::from("of the handler"));
                    actix_web::rt::spawn(async move {
                        released.pass().await;
                        kept.set_b(String::from("of the task"));
                        if is_saving {
                            let saved = kept.save().await;
                            assert_eq!(saved.expect("saved"), Saved::Written);
                        }
                        drop(kept);
                        done.pass().await;
                    });
                    "committing"
                }
            };
            config.service(
                web::scope("")
                    .wrap(SessionMiddleware::new(manager.clone()))
                    .route("/leak", web::get().to(leak))
                    .configure(probe::routes),
            );
        });
        let mut visitor = Client::new(server.address);
        visitor.get("/set/last_page/before");
        let _ = events.take();
        let gate = Gate::default();
        store.answer("modify", Answer::Held(gate.clone()));
        let mut client = Client::holding(server.address, &visitor.token());
        let answered = std::thread::spawn(move || client.get("/leak").status);
        gate.wait_for_one();
        released.open_for_ever();
        if is_saving {
            // Both of them are at the store now.
            gate.wait_for(2);
            gate.open_for_ever();
        }
        done.wait_for_one();
        gate.open_for_ever();
        assert_eq!(answered.join().expect("answered"), 200);
        done.open_for_ever();
        let seen = visitor.get("/who").text();
        assert!(seen.contains("\na=of the handler\n"), "{seen}");
        let (told, b) = match is_saving {
            true => (0, "b=of the task\n"),
            false => (1, "b=\n"),
        };
        assert_eq!(events.count("dropped_after_commit"), told);
        assert!(seen.contains(b), "{seen}");
    }
}

/// An application in which saves fail in every way that a visitor and a store can cause.
fn failing(
    store: &FaultyStore<MemoryStore>,
    gate: &Gate,
    events: &Events,
    is_shaped: bool,
) -> Server {
    let sessions = SessionManager::builder(store.clone())
        .on_session_ended(OnSessionEnded::Fail)
        .max_sessions_per_owner(1, SessionLimit::RejectNew)
        .build()
        .expect("good settings");
    let gate = web::Data::new(gate.clone());
    Server::start(2, events, move |config| {
        let mut middleware = SessionMiddleware::new(sessions.clone());
        if is_shaped {
            middleware = middleware.on_failed_save(|error, request| {
                let status = actix_web::http::StatusCode::from_u16(error.status());
                HttpResponse::build(status.unwrap_or_default())
                    .insert_header(("x-path", request.path()))
                    .body(format!("sorry: {}", error.status()))
            });
        }
        config.service(
            web::scope("")
                .app_data(gate.clone())
                .wrap(middleware)
                // What applications put around everything: headers for scripts of other origins.
                .wrap(DefaultHeaders::new().add(("access-control-allow-origin", "*")))
                .configure(probe::routes),
        );
    })
}

/// A save that fails is a response like any other: it passes what is around the session middleware, with the
/// status that says who caused it, and says nothing of the store.
#[test]
fn a_failed_save_is_a_response_that_passes_the_outer_middlewares() {
    for is_shaped in [false, true] {
        let (store, gate) = (FaultyStore::new(MemoryStore::new()), Gate::default());
        let events = Events::default();
        let server = failing(&store, &gate, &events, is_shaped);
        let mut visitor = Client::new(server.address);
        visitor.get("/login/alice");
        let overtaken = |token: &str, path: &str, by: &mut dyn FnMut()| {
            let mut tab = Client::holding(server.address, token);
            let path = path.to_owned();
            let tab = std::thread::spawn(move || tab.get(&path));
            gate.wait_for_one();
            by();
            gate.open();
            tab.join().expect("answered")
        };
        let mut other = Client::holding(server.address, &visitor.token());
        let mut answers = vec![
            (413, "/big/70000", visitor.get("/big/70000")),
            (
                409,
                "/login/alice",
                Client::new(server.address).get("/login/alice"),
            ),
        ];
        let privilege = overtaken(&visitor.token(), "/held/role/x", &mut || {
            other.get("/role/admin");
        });
        answers.push((409, "/held/role/x", privilege));
        let ended = overtaken(&other.token(), "/held", &mut || {
            other.get("/logout");
        });
        answers.push((401, "/held", ended));
        assert_eq!(
            events.count("store_failure"),
            0,
            "a visitor has caused these"
        );
        store.fail("create");
        answers.push((500, "/set/a/1", Client::new(server.address).get("/set/a/1")));
        store.repair();
        store.set_down(true);
        answers.push((503, "/set/a/1", Client::new(server.address).get("/set/a/1")));
        assert_eq!(
            events.count("store_failure"),
            3,
            "one doubt and two failures"
        );
        for (status, path, answer) in answers {
            assert_eq!(answer.status, status, "{path}");
            let origin = answer.header("access-control-allow-origin");
            assert_eq!(origin, Some("*"), "{status} {path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            assert!(answer.varies_by_cookie(), "{status} {path}");
            assert!(answer.header("set-cookie").is_none(), "{status} {path}");
            if is_shaped {
                assert_eq!(answer.text(), format!("sorry: {status}"));
                assert_eq!(answer.header("x-path"), Some(path));
            } else {
                assert_eq!(answer.text(), "");
            }
        }
    }
}

#[derive(Debug, Default, Session)]
struct Prefs {
    theme: String,
}

fn manager(name: &str) -> SessionManager {
    let cookie = CookieSettings::builder().name(name).build();
    SessionManager::builder(MemoryStore::new())
        .cookie(cookie.expect("good settings"))
        .build()
        .expect("good settings")
}

/// Changes both of the visitor's sessions.
async fn both(mut visit: Session<Visit>, mut prefs: Session<Prefs>) -> String {
    visit.set_a(String::from("visit"));
    prefs.set_theme(String::from("dark"));
    format!("{:?} {:?}", visit.key(), prefs.key())
}

async fn show(visit: Session<Visit>, prefs: Session<Prefs>, sessions: SessionManager) -> String {
    let keys = visit.key().zip(prefs.key());
    let differ = keys.is_some_and(|(visit, prefs)| visit != prefs);
    format!(
        "{} {} {differ} {}",
        visit.a,
        prefs.theme,
        sessions.cookie().name()
    )
}

async fn leave(mut visit: Session<Visit>, prefs: Session<Prefs>) -> String {
    visit.destroy();
    prefs.theme.clone()
}

/// Two sessions in one handler: two cookies, each of its own life, in whichever order the middlewares are.
#[test]
fn two_sessions_in_one_handler_are_two_cookies() {
    let visits = manager("visit");
    let cookie = CookieSettings::builder().name("prefs").build();
    let prefs = SessionManager::builder(MemoryStore::new())
        .cookie(cookie.expect("good settings"))
        .persist_for(days(365))
        .build()
        .expect("good settings");
    let events = Events::default();
    let server = Server::start(1, &events, move |config| {
        let routes = |config: &mut web::ServiceConfig| {
            config
                .route("/both", web::get().to(both))
                .route("/show", web::get().to(show))
                .route("/leave", web::get().to(leave));
        };
        let visits = || SessionMiddleware::new(visits.clone());
        let prefs = || SessionMiddleware::new(prefs.clone()).only_for::<Prefs>();
        config
            .service(
                web::scope("/inside")
                    .wrap(visits())
                    .wrap(prefs())
                    .configure(routes),
            )
            .service(
                web::scope("/outside")
                    .wrap(prefs())
                    .wrap(visits())
                    .configure(routes),
            );
    });
    let mut client = Client::new(server.address);
    for scope in ["/inside", "/outside"] {
        let response = client.raw("GET", &format!("{scope}/both"), &[]);
        assert_eq!(response.all("set-cookie").count(), 2, "{scope}");
        assert!(!response.set_cookies("visit")[0].contains("Max-Age"));
        assert!(response.set_cookies("prefs")[0].contains("Max-Age=31536000"));
        let visit = response.cookie("visit").expect("a cookie");
        let prefs = response.cookie("prefs").expect("a cookie");
        let header = format!("Cookie: visit={visit}; prefs={prefs}");
        let seen = client.raw("GET", &format!("{scope}/show"), &[header.as_bytes()]);
        assert_eq!(seen.text(), "visit dark true visit", "{scope}");
        assert!(seen.header("set-cookie").is_none());
        assert_eq!(seen.all("vary").count(), 1);
        // Neither is good for the other.
        let swapped = format!("Cookie: visit={prefs}; prefs={visit}");
        let seen = client.raw("GET", &format!("{scope}/show"), &[swapped.as_bytes()]);
        assert_eq!(seen.text(), "  false visit", "{scope}");
        // Signing out of one leaves the other.
        let left = client.raw("GET", &format!("{scope}/leave"), &[header.as_bytes()]);
        assert_eq!(left.text(), "dark");
        assert_eq!(left.cookie("visit").as_deref(), Some(""));
        assert!(left.set_cookies("prefs").is_empty());
        let seen = client.raw("GET", &format!("{scope}/show"), &[header.as_bytes()]);
        assert_eq!(seen.text(), " dark false visit", "{scope}");
    }
    assert_eq!(events.count("hidden_manager"), 0);
}

/// A middleware that hides another one from the handlers inside it is told of, once.
#[test]
fn a_hidden_manager_is_told_of_once() {
    let (one, other) = (manager("one"), manager("other"));
    let events = Events::default();
    let server = Server::start(1, &events, move |config| {
        config.service(
            web::scope("/outer")
                .wrap(SessionMiddleware::new(one.clone()))
                .service(
                    web::scope("/inner")
                        .wrap(SessionMiddleware::new(other.clone()))
                        .configure(probe::routes),
                )
                .configure(probe::routes),
        );
    });
    let mut client = Client::new(server.address);
    client.get("/outer/who");
    assert_eq!(events.count("hidden_manager"), 0);
    for _ in 0..3 {
        let response = client.get("/outer/inner/set/a/1");
        assert_eq!(response.set_cookies("other").len(), 1);
    }
    assert_eq!(events.count("hidden_manager"), 1);
    let lines = events.lines();
    let line = lines.iter().find(|line| line.name == "hidden_manager");
    let line = line.expect("just counted");
    assert_eq!(line.level, tracing::Level::WARN);
    assert!(line.text.contains("only_for::<T>()"));
}
