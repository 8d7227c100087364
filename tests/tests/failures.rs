//! What happens when the store fails: an error, never an empty session and never half a save.

use session::{MemoryStore, SessionManager, SessionMiddleware, WhenGone};
use session_tests::client::Client;
use session_tests::events::Events;
use session_tests::faults::{Answer, FaultyStore};
use session_tests::gate::Gate;
use session_tests::probe;
use session_tests::server::{ProbeServer, Server};

fn faulty() -> (ProbeServer, FaultyStore<MemoryStore>) {
    let store = FaultyStore::new(MemoryStore::new());
    (ProbeServer::start(store.clone()), store)
}

/// AV-6 [gate], LG-3: an outage is a 503 with an empty body; nothing is lost, and all is well again as
/// soon as the store is back.
#[test]
fn an_outage_is_a_503_and_heals_by_itself() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let id = visitor.id();
    let _ = probe.events.take();
    store.set_down(true);
    for path in ["/who", "/set/a/1", "/logout", "/renew", "/login/bob"] {
        let response = visitor.get(path);
        assert_eq!(response.status, 503, "{path}");
        assert!(response.body.is_empty(), "{path}");
        assert!(response.header("set-cookie").is_none(), "{path}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert!(response.varies_by_cookie());
    }
    assert_eq!(probe.events.count("store_failure"), 5);
    // Without the session everything goes on; a visitor without a cookie needs no store to be read.
    assert_eq!(visitor.get("/noop").status, 200);
    assert_eq!(probe.client().get("/who").status, 200);
    assert_eq!(probe.client().get("/set/a/1").status, 503);
    store.set_down(false);
    assert!(visitor.get("/who").text().contains("user=alice\n"));
    assert_eq!(visitor.id(), id);
}

/// A failed save is a 500: the answer of the handler, which says that all went well, is not sent.
#[test]
fn a_failed_save_is_not_answered_as_done() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let id = visitor.id();
    store.fail("modify");
    store.fail("create");
    for path in ["/set/a/after", "/two/x", "/login/alice", "/renew", "/clear"] {
        let response = visitor.get(path);
        assert_eq!(response.status, 500, "{path}");
        assert!(response.body.is_empty(), "{path}");
        assert!(response.header("set-cookie").is_none(), "{path}");
    }
    let lines = probe.events.lines();
    let line = lines
        .iter()
        .rfind(|line| line.name == "store_failure")
        .expect("an event");
    assert!(
        line.text.contains("broken on purpose"),
        "the chain: {}",
        line.text
    );
    store.repair();
    assert!(visitor.get("/who").text().contains("\na=before\n"));
    assert_eq!(visitor.id(), id);
}

/// LC-8 [gate]: a sign-out that fails is not reported as done: the cookie stays, and it can be
/// repeated.
#[test]
fn a_sign_out_that_fails_is_told_and_can_be_repeated() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let id = visitor.id();
    store.fail("delete");
    for path in [
        "/logout",
        "/fail-and-logout/400",
        "/fail-and-logout/500",
        "/logout-and-set/x",
    ] {
        let response = visitor.get(path);
        assert_eq!(response.status, 500, "{path}");
        assert!(response.header("set-cookie").is_none(), "{path}");
        assert_eq!(visitor.id(), id);
    }
    store.repair();
    assert!(visitor.get("/who").text().contains("user=alice\n"));
    assert_eq!(visitor.get("/logout").status, 200);
    assert_eq!(visitor.cookie(), None);
    assert_eq!(probe.records(), 0);
}

/// Renewing writes the new record before the old one goes, so that a failure in between loses
/// nobody's session, and leaves no second one.
#[test]
fn a_renewal_that_fails_half_way_loses_nothing() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let id = visitor.id();
    store.fail("delete");
    assert_eq!(visitor.get("/login/alice").status, 500);
    assert_eq!(visitor.id(), id);
    store.repair();
    let seen = visitor.get("/who").text();
    assert!(
        seen.contains("user=-\n") && seen.contains("\na=kept\n"),
        "{seen}"
    );
    visitor.get("/login/alice");
    assert_ne!(visitor.id(), id);
}

/// An old record that is gone, but perhaps not for good, does not cost the visitor the new one. A sign-out
/// that may not be for good is told.
#[test]
fn a_renewal_whose_end_may_not_be_durable_keeps_the_session() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let id = visitor.id();
    store.answer("delete", Answer::NotDurable);
    assert_eq!(visitor.get("/login/alice").status, 200);
    assert_ne!(visitor.id(), id);
    let seen = visitor.get("/who").text();
    assert!(
        seen.contains("user=alice\n") && seen.contains("\na=kept\n"),
        "{seen}"
    );
    assert_eq!(probe.records(), 1);
    assert_eq!(probe.events.count("store_failure"), 1);
    assert_eq!(visitor.get("/logout").status, 500);
}

/// A save in the handler has renewed the id: the client learns it even when the last save of the request
/// fails, or it would be signed out.
#[test]
fn an_id_that_was_renewed_before_the_last_save_failed_reaches_the_client() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let id = visitor.id();
    store.fail("modify");
    let response = visitor.get("/login-early/alice");
    assert_eq!(response.status, 500);
    assert!(response.body.is_empty());
    store.repair();
    assert_ne!(visitor.id(), id);
    let seen = visitor.get("/who").text();
    assert!(
        seen.contains("user=alice\n") && seen.contains("\na=before\n"),
        "{seen}"
    );
}

/// A touch that fails does not fail the request: it has read what it asked for.
#[test]
fn a_touch_that_fails_is_only_logged() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    probe.clock.advance(session::minutes(10));
    store.fail("touch");
    let response = visitor.get("/who");
    assert!(response.text().contains("user=alice\n"));
    assert_eq!(probe.events.count("store_failure"), 1);
}

/// AV-5 [gate]: conflicts that do not end are a typed error: 503, logged as `conflict_exhausted`.
#[test]
fn conflicts_that_do_not_end_are_a_503() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/1");
    store.conflict(1);
    assert_eq!(visitor.get("/set/a/2").status, 503);
    assert_eq!(probe.events.count("conflict_exhausted"), 1);
    assert_eq!(visitor.get("/set/a/3").status, 200);
    assert!(visitor.get("/who").text().contains("\na=3\n"));
}

/// SR-7: a record that grows over the limit is a typed error that names the field; the old one stays.
#[test]
fn a_session_that_is_too_large_is_an_error_and_the_old_one_stays() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/big/60000");
    let mut refused = 0;
    for length in (65_000..65_600).step_by(20) {
        let response = visitor.get(&format!("/big/{length}"));
        let stored = visitor.get("/who").text();
        if response.status == 200 {
            assert_eq!(refused, 0, "{length} fits after less did not");
            assert!(stored.contains(&format!("big={length}\n")));
        } else {
            assert_eq!(response.status, 500);
            assert!(!stored.contains(&format!("big={length}\n")));
            refused += 1;
        }
    }
    assert!(refused > 0);
    let lines = probe.events.lines();
    let line = lines
        .iter()
        .find(|line| line.text.contains("65536 are allowed"))
        .expect("the error says what is allowed");
    assert!(line.text.contains("`big`"), "{}", line.text);
    // A new session that is too large is not made either.
    assert_eq!(probe.client().get("/big/70000").status, 500);
}

/// By choice, a save whose session is gone is an error.
#[test]
fn a_gone_session_can_be_an_error() {
    let sessions = SessionManager::builder(MemoryStore::new())
        .when_gone(WhenGone::Error)
        .build();
    let gate = Gate::default();
    let held = actix_web::web::Data::new(gate.clone());
    let server = Server::start(2, &Events::default(), move |config| {
        config.service(
            actix_web::web::scope("")
                .app_data(held.clone())
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(probe::routes),
        );
    });
    let mut visitor = Client::new(server.address);
    visitor.get("/login/alice");
    let mut slow = Client::holding(server.address, &visitor.id());
    let slow = std::thread::spawn(move || slow.get("/held"));
    gate.wait_for_one();
    visitor.get("/logout");
    gate.open();
    let response = slow.join().expect("answered");
    assert_eq!(response.status, 500);
    assert!(response.header("set-cookie").is_none());
}

/// AV-1 [gate]: a full memory store refuses new sessions and throws out no live one.
#[test]
fn a_full_memory_store_signs_nobody_out() {
    let clock = session::testing::TestClock::default();
    let store = MemoryStore::builder()
        .limit(100)
        .clock(clock.clone())
        .build();
    let probe = ProbeServer::configured(store, |builder| builder.clock(clock.clone()));
    let mut signed_in: Vec<Client> = (0..60)
        .map(|number| {
            let mut visitor = probe.client();
            visitor.get(&format!("/login/user{number}"));
            visitor
        })
        .collect();
    let refused = (0..1000)
        .filter(|_| probe.client().get("/set/a/flood").status == 503)
        .count();
    assert_eq!(refused, 960);
    for (number, visitor) in signed_in.iter_mut().enumerate() {
        let seen = visitor.get("/set/b/still").text();
        assert!(seen.contains(&format!("user=user{number}\n")));
    }
    assert_eq!(probe.records(), 100);
    // What has expired makes room.
    clock.advance(session::minutes(29));
    for visitor in &mut signed_in {
        visitor.get("/who");
    }
    clock.advance(session::minutes(2));
    assert_eq!(probe.client().get("/set/a/1").status, 200);
    assert!(signed_in[0].get("/who").text().contains("user=user0\n"));
}
