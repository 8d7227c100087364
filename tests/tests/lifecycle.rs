//! The life of a session over real HTTP: when it begins, when its id changes, when it ends, and that
//! nothing brings it back.

use std::time::Duration;

use session::{MemoryStore, SessionId, StoreKey};
use session_tests::client::Client;
use session_tests::probe;
use session_tests::server::ProbeServer;

fn probe() -> ProbeServer {
    ProbeServer::start(MemoryStore::new())
}

fn field(text: &str, name: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .to_owned()
}

/// LC-1 [gate]: signing in changes the id, and the old one is worthless.
#[test]
fn signing_in_changes_the_id_and_ends_the_old_one() {
    let probe = probe();
    let mut attacker = probe.client();
    attacker.get("/set/a/planted");
    let planted = attacker.id();

    let mut victim = probe.holding(&planted);
    let response = victim.get("/login/alice");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    assert_ne!(victim.id(), planted);

    // Before the victim's next request.
    let seen = probe.holding(&planted).get("/who").text();
    assert_eq!(field(&seen, "user"), "-");
    assert_eq!(field(&seen, "new"), "true");
    // What was in it came along.
    let seen = victim.get("/who").text();
    assert_eq!(field(&seen, "user"), "alice");
    assert_eq!(field(&seen, "a"), "planted");

    // No route revives the old id.
    for path in [
        "/who",
        "/set/a/1",
        "/set/b/1",
        "/inc/f0",
        "/login/mallory",
        "/role/admin",
        "/renew",
        "/clear",
        "/mark",
        "/logout",
        "/logout-and-set/x",
        "/slow",
        "/two/x",
        "/everything/x",
        "/persist/60",
        "/persist",
        "/fail/404",
        "/fail-as-response/404",
        "/big/10",
        "/times",
    ] {
        probe.holding(&planted).get(path);
        let seen = probe.holding(&planted).get("/who").text();
        assert_eq!(field(&seen, "new"), "true", "{path} revived the old id");
    }
    assert_eq!(field(&victim.get("/who").text(), "user"), "alice");
}

/// LC-2: any other change of privilege changes the id too, up and down.
#[test]
fn a_change_of_role_changes_the_id_up_and_down() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let mut ids = vec![visitor.id()];
    visitor.get("/role/admin");
    ids.push(visitor.id());
    visitor.get("/role");
    ids.push(visitor.id());
    visitor.get("/renew");
    ids.push(visitor.id());
    for (index, id) in ids.iter().enumerate() {
        assert!(!ids[index + 1..].contains(id), "an id was kept");
    }
    for old in &ids[..3] {
        assert_eq!(field(&probe.holding(old).get("/who").text(), "new"), "true");
    }
    // Setting the role to what it is already is no change.
    visitor.get("/role");
    assert_eq!(visitor.id(), ids[3]);
}

/// LC-4: the absolute lifetime goes on over a renewal and begins anew at a sign-in.
#[test]
fn the_absolute_lifetime_goes_on_over_a_renewal_and_begins_anew_at_a_sign_in() {
    for (path, hours_until_over) in [("/renew", 12), ("/login/bob", 23)] {
        let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
            builder.idle_timeout(session::hours(100))
        });
        let mut visitor = probe.client();
        visitor.get("/login/alice");
        probe.clock.advance(session::hours(11));
        visitor.get(path);
        probe
            .clock
            .advance(session::hours(hours_until_over - 11) - Duration::from_millis(1));
        assert_eq!(field(&visitor.get("/who").text(), "new"), "false", "{path}");
        probe.clock.advance(Duration::from_millis(1));
        assert_eq!(field(&visitor.get("/who").text(), "new"), "true", "{path}");
    }
}

/// LC-5 [gate]: after a sign-out the old cookie is worthless, for a hundred requests at once.
#[test]
fn after_a_sign_out_the_old_cookie_is_worthless() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let old = visitor.id();
    let response = visitor.get("/logout");
    assert_eq!(response.status, 200);
    assert_eq!(visitor.cookie(), None, "the cookie is removed");
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let seen = probe.holding(&old).get("/who").text();
                assert_eq!(field(&seen, "user"), "-");
            });
        }
    });
    assert_eq!(probe.records(), 0);
}

/// LC-6 [gate]: a request that was under way cannot bring a session back, whatever ended it.
#[test]
fn a_slow_request_cannot_bring_a_session_back() {
    let probe = probe();
    for _ in 0..20 {
        for ending in ["logout", "renew", "login", "revoke"] {
            let mut visitor = probe.client();
            visitor.get("/login/alice");
            let old = visitor.id();
            let slow = {
                let mut client = probe.holding(&old);
                std::thread::spawn(move || {
                    let response = client.get("/held");
                    (response, client.cookie().map(str::to_owned))
                })
            };
            probe.gate.wait_for_one();
            match ending {
                "logout" => {
                    visitor.get("/logout");
                }
                "renew" => {
                    visitor.get("/renew");
                }
                "login" => {
                    visitor.get("/login/bob");
                }
                _ => revoke(&probe, &old),
            }
            let records = probe.records();
            probe.gate.open();
            let (response, cookie) = slow.join().expect("the slow request is answered");
            assert_eq!(response.status, 200);
            assert!(
                response.set_cookies("__Host-id").is_empty(),
                "{ending}: a cookie was set"
            );
            assert_eq!(cookie.as_deref(), Some(old.as_str()));
            let seen = probe.holding(&old).get("/who").text();
            assert_eq!(field(&seen, "user"), "-", "{ending}: the session came back");
            assert_eq!(probe.records(), records, "{ending}: a record was made");
            if matches!(ending, "renew" | "login") {
                // Nor does it reach the session under its new id (decision 2).
                assert_eq!(field(&visitor.get("/who").text(), "last_page"), "");
                visitor.get("/logout");
            }
        }
    }
    assert!(probe.events.count("write_after_destroy") > 0);
}

/// LC-6: neither can one that only reads, at the moment when its expiry is due to be moved.
#[test]
fn a_slow_read_cannot_bring_a_session_back() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let old = visitor.id();
    probe.clock.advance(session::minutes(10));
    let mut client = probe.holding(&old);
    let slow = std::thread::spawn(move || client.get("/held-read"));
    probe.gate.wait_for_one();
    visitor.get("/logout");
    probe.gate.open();
    let response = slow.join().expect("the slow request is answered");
    assert!(response.set_cookies("__Host-id").is_empty());
    assert_eq!(probe.records(), 0);
    assert_eq!(
        field(&probe.holding(&old).get("/who").text(), "new"),
        "true"
    );
}

/// LC-9 [gate]: reading, signing out and bad cookies make no session.
#[test]
fn no_session_without_a_write() {
    let probe = probe();
    let mut expired = probe.client();
    expired.get("/set/a/1");
    let expired = expired.id();
    probe.clock.advance(session::hours(1));
    let forged = SessionId::generate().expect("an id").as_str().to_owned();
    let mut clients: Vec<Client> = vec![
        probe.client(),
        probe.holding(&forged),
        probe.holding(&expired),
        probe.holding("rubbish"),
    ];
    for _ in 0..250 {
        for client in &mut clients {
            let held = client.cookie().map(str::to_owned);
            for path in [
                "/noop", "/who", "/logout", "/times", "/renew", "/clear", "/persist",
            ] {
                let response = client.get(path);
                assert_eq!(response.status, 200, "{path}");
                assert!(
                    response.header("set-cookie").is_none(),
                    "{path} set a cookie"
                );
                assert_eq!(client.cookie(), held.as_deref());
            }
        }
    }
    // The one that expired is all there is.
    assert_eq!(probe.records(), 1);
    let calls = probe.sessions.store().calls();
    assert_eq!(calls.create, 1);
}

/// LC-9: a new session in which every field that was set holds its default is not stored.
#[test]
fn setting_a_field_to_its_default_makes_no_session() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/f0/0");
    visitor.get("/role");
    assert_eq!(visitor.cookie(), None);
    assert_eq!(probe.records(), 0);
    // By hand it is.
    visitor.get("/mark");
    assert!(visitor.cookie().is_some());
    assert_eq!(probe.records(), 1);
}

/// A field set to what it holds already writes nothing.
#[test]
fn a_field_set_to_what_it_holds_writes_nothing() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/same");
    let before = probe.sessions.store().calls();
    let response = visitor.get("/set/a/same");
    let after = probe.sessions.store().calls();
    assert!(response.header("set-cookie").is_none());
    assert_eq!(after.load, before.load + 1);
    assert_eq!(after.total(), before.total() + 1, "only the load");
}

/// LC-12 [gate]: what is saved depends on the status alone, and a destroy is always carried out.
#[test]
fn error_answers_are_saved_below_500_and_dropped_from_500_on() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    for path in ["/fail/404", "/fail-as-response/403"] {
        let status = path.rsplit('/').next().expect("a status");
        assert_eq!(visitor.get(path).status.to_string(), status);
        let seen = visitor.get("/who").text();
        assert_eq!(field(&seen, "a"), format!("failed with {status}"), "{path}");
    }
    visitor.get("/set/a/before");
    for path in ["/fail/500", "/fail/503", "/fail-as-response/500"] {
        let response = visitor.get(path);
        assert!(response.status >= 500);
        assert!(response.varies_by_cookie());
        assert_eq!(field(&visitor.get("/who").text(), "a"), "before", "{path}");
    }
    // A visitor who had no session gets none from a 500.
    let mut stranger = probe.client();
    assert!(stranger.get("/fail/500").header("set-cookie").is_none());
    assert!(stranger.get("/fail/400").header("set-cookie").is_some());

    for status in [400, 500] {
        let mut visitor = probe.client();
        visitor.get("/login/alice");
        let old = visitor.id();
        assert_eq!(
            visitor.get(&format!("/fail-and-logout/{status}")).status,
            status
        );
        assert_eq!(visitor.cookie(), None);
        assert_eq!(field(&probe.holding(&old).get("/who").text(), "user"), "-");
    }
}

/// LC-12: a panic saves nothing, and the server goes on.
#[test]
fn a_panic_saves_nothing_and_the_server_goes_on() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let cookie = format!("Cookie: __Host-id={}", visitor.id());
    for _ in 0..5 {
        let answer = visitor.try_raw("GET", "/panic", &[cookie.as_bytes()]);
        assert!(answer.is_none_or(|answer| answer.status == 500));
    }
    let id = visitor.id();
    let mut again = probe.holding(&id);
    assert_eq!(field(&again.get("/who").text(), "a"), "before");
}

/// LC-12: the other rule can be chosen.
#[test]
fn changes_of_a_500_can_be_kept() {
    use session::{OnServerError, SessionManager, SessionMiddleware};
    use session_tests::events::Events;
    use session_tests::server::Server;

    let sessions = SessionManager::builder(MemoryStore::new()).build();
    let server = Server::start(1, &Events::default(), move |config| {
        let middleware =
            SessionMiddleware::new(sessions.clone()).on_server_error(OnServerError::Save);
        config.service(
            actix_web::web::scope("")
                .wrap(middleware)
                .configure(probe::routes),
        );
    });
    let mut visitor = Client::new(server.address);
    assert_eq!(visitor.get("/fail/500").status, 500);
    assert_eq!(field(&visitor.get("/who").text(), "a"), "failed with 500");
}

/// LC-13 [gate]: nothing of one visitor is seen by another, on one worker and kept connections.
#[test]
fn no_visitor_sees_anything_of_another() {
    let probe = probe();
    std::thread::scope(|scope| {
        for user in 0..64 {
            let probe = &probe;
            scope.spawn(move || {
                let mut visitor = probe.client();
                visitor.get(&format!("/login/user{user}"));
                for _ in 0..200 {
                    let seen = visitor.get("/who").text();
                    assert_eq!(field(&seen, "user"), format!("user{user}"));
                }
            });
        }
    });
}

/// What is set after a destroy makes a new session under a new id.
#[test]
fn what_is_set_after_a_destroy_makes_a_new_session() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let old = visitor.id();
    let response = visitor.get("/logout-and-set/farewell");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    assert_ne!(visitor.id(), old);
    let seen = visitor.get("/who").text();
    assert_eq!(field(&seen, "user"), "-");
    assert_eq!(
        field(&seen, "a"),
        "",
        "a change before the destroy is dropped"
    );
    assert_eq!(field(&seen, "b"), "farewell");
    assert_eq!(probe.records(), 1);
}

/// `clear` takes everything out, other session types included, and changes the id.
#[test]
fn clearing_empties_the_session_and_changes_the_id() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/two/x");
    let old = visitor.id();
    visitor.get("/clear");
    assert_ne!(visitor.id(), old);
    assert_eq!(field(&visitor.get("/who").text(), "a"), "");
    assert_eq!(
        visitor.get("/two/y").text(),
        "visits=1",
        "the other type's field is gone"
    );
}

fn revoke(probe: &ProbeServer, id: &str) {
    use session::SessionStore as _;
    let id = SessionId::parse(id).expect("an id");
    let key = StoreKey::new(probe.sessions.cookie().name(), &id);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let deleted = runtime.block_on(probe.sessions.store().delete(&key, None));
    assert_eq!(deleted.expect("the store works"), session::Swapped::Done);
}
