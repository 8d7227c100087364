//! What happens when the store fails: an error, never an empty session and never half a save.

use session::{MemoryStore, OnSessionEnded};
use session_tests::client::Client;
use session_tests::faults::{Answer, FaultyStore};
use session_tests::server::{ProbeServer, key_of};

use super::FRAMEWORK;

fn faulty() -> (ProbeServer, FaultyStore<MemoryStore>) {
    let store = FaultyStore::new(MemoryStore::new());
    (ProbeServer::start_in(FRAMEWORK, store.clone()), store)
}

/// An outage is a 503 with an empty body; nothing is lost, and all is well again as
/// soon as the store is back.
#[test]
fn an_outage_is_a_503_and_heals_by_itself() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let token = visitor.token();
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
    assert_eq!(visitor.token(), token);
}

/// A failed save is a 500: the answer of the handler, which says that all went well, is not sent.
#[test]
fn a_failed_save_is_not_answered_as_done() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let token = visitor.token();
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
    assert_eq!(visitor.token(), token);
}

/// A sign-out that fails is not reported as done: the cookie stays, and it can be
/// repeated.
#[test]
fn a_sign_out_that_fails_is_told_and_can_be_repeated() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let token = visitor.token();
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
        assert_eq!(visitor.token(), token);
    }
    store.repair();
    assert!(visitor.get("/who").text().contains("user=alice\n"));
    assert_eq!(visitor.get("/logout").status, 200);
    assert_eq!(visitor.cookie(), None);
    assert_eq!(probe.records(), 0);
}

/// A sign-in is one store call, so one that fails leaves the session as it was, and no second one.
#[test]
fn a_sign_in_that_fails_changes_nothing() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let token = visitor.token();
    store.fail("modify");
    assert_eq!(visitor.get("/login/alice").status, 500);
    assert_eq!(visitor.token(), token);
    store.repair();
    let seen = visitor.get("/who").text();
    assert!(
        seen.contains("user=-\n") && seen.contains("\na=kept\n"),
        "{seen}"
    );
    visitor.get("/login/alice");
    assert_ne!(visitor.token(), token);
    assert_eq!(visitor.key(), key_of(&token));
    assert_eq!(probe.records(), 1);
}

/// A sign-in that has been carried out and may not be durable is told as an error, and the client learns its
/// new token all the same: the old one is worthless. The same holds when the answer is lost.
#[test]
fn a_sign_in_in_doubt_reaches_the_client() {
    for answer in [Answer::NotDurable, Answer::Lost] {
        let (probe, store) = faulty();
        let mut visitor = probe.client();
        visitor.get("/set/a/kept");
        let token = visitor.token();
        store.answer("modify", answer.clone());
        let response = visitor.get("/login/alice");
        assert!(response.status >= 500, "{answer:?}");
        store.repair();
        if visitor.token() == token {
            // It could not be found out whether it was carried out.
            assert!(matches!(answer, Answer::Lost));
        } else {
            let seen = visitor.get("/who").text();
            assert!(seen.contains("user=alice\n") && seen.contains("\na=kept\n"));
        }
        assert_eq!(probe.records(), 1);
    }
}

/// One lost answer costs nothing: the save is sent again, and the record knows that it has it.
#[test]
fn a_lost_answer_is_made_up_for_within_the_request() {
    for path in ["/login/alice", "/set/a/after", "/logout", "/renew"] {
        let (probe, store) = faulty();
        let mut visitor = probe.client();
        visitor.get("/set/a/before");
        let operation = if path == "/logout" {
            "delete"
        } else {
            "modify"
        };
        store.answer(operation, Answer::lost_once());
        assert_eq!(visitor.get(path).status, 200, "{path}");
        store.repair();
        let seen = visitor.get("/who").text();
        match path {
            "/login/alice" => assert!(seen.contains("user=alice\n"), "{seen}"),
            "/set/a/after" => assert!(seen.contains("\na=after\n"), "{seen}"),
            "/logout" => assert_eq!(probe.records(), 0),
            _ => assert!(seen.contains("new=false\n"), "{seen}"),
        }
    }
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    store.answer("create", Answer::lost_once());
    assert_eq!(visitor.get("/set/a/1").status, 200);
    assert!(visitor.get("/who").text().contains("\na=1\n"));
    assert_eq!(probe.records(), 1);
}

/// A sign-out whose deletion may not be durable is an error. The second try makes the deletion again, though
/// there is nothing left to delete, so that its sync is made up for; and it removes the cookie.
#[test]
fn a_sign_out_that_may_not_be_durable_is_made_durable_by_the_next() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let token = visitor.token();
    store.answer("delete", Answer::NotDurable);
    assert_eq!(visitor.get("/logout").status, 500);
    assert_eq!(
        visitor.token(),
        token,
        "a sign-out in doubt keeps the cookie"
    );
    assert_eq!(visitor.get("/logout").status, 500);
    assert_eq!(visitor.token(), token);
    store.repair();
    let deletes = probe.calls().delete;
    assert_eq!(visitor.get("/logout").status, 200);
    assert_eq!(
        probe.calls().delete,
        deletes + 1,
        "the deletion is made again"
    );
    assert_eq!(visitor.cookie(), None);
    assert_eq!(probe.records(), 0);
}

/// A save in the handler has changed the token: the client learns it even when the last save of the request
/// fails, or it would be signed out.
#[test]
fn a_token_that_was_changed_before_the_last_save_failed_reaches_the_client() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let token = visitor.token();
    let id = visitor.key();
    // The first of two saves of one request goes through.
    let gate = session_tests::gate::Gate::default();
    store.answer("modify", Answer::Held(gate.clone()));
    let answered = std::thread::spawn({
        let mut client = probe.holding(&token);
        move || (client.get("/login-early/alice"), client.token())
    });
    gate.wait_for_one();
    store.fail("modify");
    gate.open_for_ever();
    let (response, new_token) = answered.join().expect("answered");
    assert_eq!(response.status, 500);
    assert!(response.body.is_empty());
    store.repair();
    assert_ne!(new_token, token);
    assert_eq!(key_of(&new_token), id);
    let seen = probe.holding(&new_token).get("/who").text();
    assert!(
        seen.contains("user=alice\n") && seen.contains("\na=before\n"),
        "{seen}"
    );
}

/// A handler that signs in by an early save and then fails: the sign-in has been carried out, so its cookie
/// goes out with the 5xx.
#[test]
fn a_sign_in_that_was_saved_early_reaches_the_client_with_a_500() {
    let (probe, store) = faulty();
    for is_lost in [false, true] {
        let mut visitor = probe.client();
        visitor.get("/set/a/before");
        let token = visitor.token();
        if is_lost {
            store.answer("modify", Answer::lost_once());
        }
        let response = visitor.get("/login-early/alice/500");
        assert_eq!(response.status, 500);
        assert_ne!(visitor.token(), token);
        store.repair();
        assert!(visitor.get("/who").text().contains("user=alice\n"));
    }
}

/// A save that the handler gave up after a time limit is finished, and its cookie goes out with the 5xx: the
/// visitor is never signed out by a slow store.
#[test]
fn a_sign_in_that_was_given_up_is_finished_and_reaches_the_client() {
    let (probe, store) = faulty();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let token = visitor.token();
    let slow = session_tests::gate::Gate::default();
    store.answer("modify", Answer::Held(slow.clone()));
    let answered = std::thread::spawn({
        let mut client = probe.holding(&token);
        move || (client.get("/give-up/login/alice"), client.token())
    });
    // The save is carried out and its answer is on the way when the handler gives it up.
    slow.wait_for_one();
    probe.gate.open_for_ever();
    // The commit asks again; the record tells it that the sign-in is there.
    slow.wait_for(2);
    slow.open_for_ever();
    let (response, new_token) = answered.join().expect("answered");
    assert_eq!(response.status, 503);
    assert_ne!(new_token, token);
    store.repair();
    let seen = probe.holding(&new_token).get("/who").text();
    assert!(seen.contains("user=alice\n") && seen.contains("\na=before\n"));
    assert_eq!(probe.records(), 1);
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

/// Conflicts that do not end are a typed error: 503, logged as `conflict_exhausted`.
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

/// A record that grows over the limit is a typed error that names the field; the old one stays.
#[test]
fn a_session_that_is_too_large_is_an_error_and_the_old_one_stays() {
    let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
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
            assert_eq!(response.status, 413);
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
    assert_eq!(probe.client().get("/big/70000").status, 413);
    // A visitor can cause it, so it is no failure of the store.
    assert_eq!(probe.events.count("store_failure"), 0);
    assert!(probe.events.count("save_refused") > 0);
}

/// By choice, a save whose session has ended is an error.
#[test]
fn an_ended_session_can_be_an_error() {
    let probe = ProbeServer::configured_in(FRAMEWORK, MemoryStore::new(), |builder| {
        builder.on_session_ended(OnSessionEnded::Fail)
    });
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let mut slow = probe.holding(&visitor.token());
    let slow = std::thread::spawn(move || slow.get("/held"));
    probe.gate.wait_for_one();
    visitor.get("/logout");
    probe.gate.open();
    let response = slow.join().expect("answered");
    assert_eq!(response.status, 401);
    assert!(response.header("set-cookie").is_none());
    assert_eq!(probe.records(), 0);
}

/// A full memory store refuses new sessions and throws out no live one.
#[test]
fn a_full_memory_store_signs_nobody_out() {
    let clock = session::testing::TestClock::default();
    let store = MemoryStore::builder()
        .limit(100)
        .clock(clock.clone())
        .build();
    let probe =
        ProbeServer::configured_in(FRAMEWORK, store, |builder| builder.clock(clock.clone()));
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
