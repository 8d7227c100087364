//! Several requests of one client across a change of privilege: who wins, who reads what, and whose cookie
//! the client is left with.

use std::thread::JoinHandle;

use session::{MemoryStore, SessionLimit, SessionToken, days, minutes, seconds};
use session_tests::client::{Client, Response};
use session_tests::server::{ProbeServer, key_of};

fn probe() -> ProbeServer {
    ProbeServer::start(MemoryStore::new())
}

/// A visitor who is signed in as Alice.
fn signed_in(probe: &ProbeServer) -> Client {
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    visitor.get("/login/alice");
    visitor
}

/// A request of another tab, which has read the session and waits at the gate; its answer, and the cookie that
/// the tab holds then.
fn tab(probe: &ProbeServer, token: &str, path: &str) -> JoinHandle<(Response, Option<String>)> {
    let waiting = probe.gate.waiting();
    let mut client = probe.holding(token);
    let path = path.to_owned();
    let tab = std::thread::spawn(move || {
        let response = client.get(&path);
        (response, client.cookie().map(str::to_owned))
    });
    probe.gate.wait_for(waiting + 1);
    tab
}

/// Whether the token opens a session.
fn is_alive(probe: &ProbeServer, token: &str) -> bool {
    let seen = probe.holding(token).get("/who").text();
    seen.contains("new=false\n")
}

/// However a request that has opened the session signs out, it ends the session, whatever another one has
/// changed meanwhile.
#[test]
fn a_sign_out_wins_over_a_change_of_privilege() {
    for sign_out in ["logout", "no-user", "clear", "save-and-logout"] {
        for change in ["/role/admin", "/renew", "/login/bob"] {
            let probe = probe();
            let mut visitor = signed_in(&probe);
            let tab = tab(&probe, &visitor.token(), &format!("/held/{sign_out}"));
            assert_eq!(visitor.get(change).status, 200);
            probe.gate.open();
            let (response, cookie) = tab.join().expect("answered");
            let at = format!("{sign_out} after {change}");
            assert_eq!(response.status, 200, "{at}");
            assert_eq!(cookie, None, "{at}");
            assert!(!is_alive(&probe, &visitor.token()), "{at}");
            assert_eq!(probe.records(), 0, "{at}");
        }
    }
}

/// The other way round: a change of privilege brings no session back.
#[test]
fn a_change_of_privilege_after_a_sign_out_changes_nothing() {
    for change in ["role/admin", "renew", "login/bob", "clear", "no-user"] {
        let probe = probe();
        let mut visitor = signed_in(&probe);
        let old = visitor.token();
        let tab = tab(&probe, &old, &format!("/held/{change}"));
        visitor.get("/logout");
        probe.gate.open();
        let (response, cookie) = tab.join().expect("answered");
        assert!(response.header("set-cookie").is_none(), "{change}");
        assert_eq!(cookie.as_deref(), Some(old.as_str()), "{change}");
        assert_eq!(probe.records(), 0, "{change}");
    }
}

/// Of two changes of privilege at once, the second is told that it was not made.
#[test]
fn a_change_of_privilege_that_was_overtaken_is_a_409() {
    let probe = probe();
    let mut visitor = signed_in(&probe);
    for change in ["role/admin", "renew", "login/bob"] {
        let old = visitor.token();
        let tab = tab(&probe, &old, &format!("/held/{change}"));
        visitor.get("/role/reader");
        visitor.get("/role");
        probe.gate.open();
        let (response, cookie) = tab.join().expect("answered");
        assert_eq!(response.status, 409, "{change}");
        assert!(response.header("set-cookie").is_none(), "{change}");
        assert_eq!(cookie.as_deref(), Some(old.as_str()), "{change}");
        let seen = visitor.get("/who").text();
        assert!(seen.contains("user=alice\nrole=-\n"), "{change}: {seen}");
    }
    assert_eq!(probe.events.count("store_failure"), 0);
}

/// A request that was sent before a sign-in and arrives after it comes with the token that the sign-in has
/// replaced. It makes no session of its own, whose cookie would sign the visitor out.
#[test]
fn a_late_request_makes_no_session_and_touches_no_cookie() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let old = visitor.token();
    visitor.get("/login/alice");
    let late = |path: &str| probe.holding(&old).get(path);
    for path in [
        "/who",
        "/set/a/cart",
        "/inc/f0",
        "/two/x",
        "/renew",
        "/clear",
    ] {
        let response = late(path);
        assert_eq!(response.status, 200, "{path}");
        assert!(response.header("set-cookie").is_none(), "{path}");
        assert!(!response.text().contains("alice"), "{path}");
    }
    assert_eq!(probe.records(), 1);
    assert_eq!(probe.events.count("late_changes_dropped"), 5);
    let seen = visitor.get("/who").text();
    assert!(
        seen.contains("user=alice\n") && seen.contains("\na=kept\n"),
        "{seen}"
    );
    // For two minutes: a request and an answer may each be on their way for one.
    probe.clock.advance(minutes(2));
    assert!(late("/set/a/cart").header("set-cookie").is_none());
    probe.clock.advance(std::time::Duration::from_millis(1));
    assert!(late("/set/a/cart").header("set-cookie").is_some());
    assert_eq!(probe.records(), 2);
    assert!(visitor.get("/who").text().contains("user=alice\n"));
}

/// A sign-in from a late request is a session of its own.
#[test]
fn a_late_sign_in_makes_a_session_of_its_own() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let mut other = probe.holding(&visitor.token());
    visitor.get("/login/alice");
    assert_eq!(other.get("/login/bob").status, 200);
    assert_ne!(other.key(), visitor.key());
    let seen = other.get("/who").text();
    assert!(
        seen.contains("user=bob\n") && seen.contains("\na=\n"),
        "{seen}"
    );
    assert!(visitor.get("/who").text().contains("user=alice\n"));
    assert_eq!(probe.records(), 2);
}

/// A late sign-in that is refused leaves the cookie alone: it is that of the client's other tab.
#[test]
fn a_late_sign_in_that_is_refused_removes_no_cookie() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
        builder.max_sessions_per_owner(1, SessionLimit::RejectNew)
    });
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let old = visitor.token();
    visitor.get("/login/alice");
    for token in [Some(old.as_str()), Some("rubbish"), None] {
        let mut other = probe.client();
        other.hold(token);
        let response = other.get("/login/alice");
        assert_eq!(response.status, 409, "{token:?}");
        assert!(response.header("set-cookie").is_none(), "{token:?}");
    }
    assert!(visitor.get("/who").text().contains("user=alice\n"));
    assert_eq!(probe.records(), 1);
}

/// A sign-out that was sent before a change of privilege and arrives after it ends the session: ending only
/// takes away. The last two replaced tokens do.
#[test]
fn a_late_sign_out_ends_the_session() {
    for overtaken_by in 1..=2 {
        let probe = probe();
        let mut visitor = signed_in(&probe);
        let mut other = probe.holding(&visitor.token());
        for number in 0..overtaken_by {
            visitor.get(&format!("/role/{number}"));
        }
        assert_eq!(other.get("/logout").status, 200);
        assert_eq!(other.cookie(), None);
        assert!(!is_alive(&probe, &visitor.token()));
        assert_eq!(probe.records(), 0);
    }
}

/// Nor does a request that changes its privileges several times push the visitor's own token out of those that
/// are known to be late.
#[test]
fn a_sign_in_of_several_steps_leaves_the_other_tabs_late() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let old = visitor.token();
    let response = visitor.get("/login-in-steps/alice");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    assert!(
        visitor
            .get("/who")
            .text()
            .contains("user=alice\nrole=admin\n")
    );
    let mut other = probe.holding(&old);
    assert_eq!(other.get("/arrival").text(), "Late");
    assert!(other.get("/set/a/cart").header("set-cookie").is_none());
    assert_eq!(other.get("/logout").status, 200);
    assert!(!is_alive(&probe, &visitor.token()));
}

/// A guard tells a late request to try again, as the right cookie is on its way; an unknown one is turned away.
#[test]
fn a_guard_tells_a_late_request_to_try_again() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/1");
    let old = visitor.token();
    assert_eq!(visitor.get("/required").status, 401);
    visitor.get("/login/alice");
    assert_eq!(visitor.get("/required").status, 200);
    let late = probe.holding(&old).get("/required");
    assert_eq!(late.status, 409);
    assert_eq!(late.header("retry-after"), Some("0"));
    assert!(late.header("set-cookie").is_none());
    assert!(late.varies_by_cookie());
    probe.clock.advance(seconds(121));
    let unknown = probe.holding(&old).get("/required");
    assert_eq!(unknown.status, 401);
    assert!(unknown.header("retry-after").is_none());
}

/// What a request came with, for a page that says "your session has ended".
#[test]
fn a_request_knows_what_it_came_with() {
    let probe = probe();
    let mut visitor = signed_in(&probe);
    let first = visitor.token();
    let arrival = |token: Option<&str>| {
        let mut client = probe.client();
        client.hold(token);
        let response = client.get("/arrival");
        assert!(response.header("set-cookie").is_none(), "{token:?}");
        response.text()
    };
    assert_eq!(arrival(None), "NoCookie");
    assert_eq!(arrival(Some("rubbish")), "Malformed");
    let never = SessionToken::generate().expect("a token").expose();
    assert_eq!(arrival(Some(&never)), "Unknown");
    assert_eq!(arrival(Some(&first)), "Live");
    visitor.get("/renew");
    assert_eq!(arrival(Some(&first)), "Late");
    probe.clock.advance(seconds(121));
    assert_eq!(arrival(Some(&first)), "Unknown");
    // A live session beside anything else is what counts.
    let header = format!(
        "Cookie: __Host-id={never}; __Host-id=x; __Host-id={}",
        visitor.token()
    );
    let response = probe.client().raw("GET", "/arrival", &[header.as_bytes()]);
    assert_eq!(response.text(), "Live");
    let mut other = signed_in(&probe);
    probe.clock.advance(minutes(30));
    assert_eq!(arrival(Some(&other.token())), "Ended");
    other = signed_in(&probe);
    let destroyed = other.token();
    other.get("/logout");
    assert_eq!(arrival(Some(&destroyed)), "Unknown");
}

/// A double click on "Sign in": both requests have read the anonymous session. The second finds the sign-in
/// made, and its answer is its own; the cookie of the first is on its way.
#[test]
fn a_sign_in_that_was_sent_twice_is_made_once_and_answered_twice() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/kept");
    let old = visitor.token();
    let first = tab(&probe, &old, "/held/login/alice");
    let second = tab(&probe, &old, "/held/login/alice");
    let other = tab(&probe, &old, "/held/login/bob");
    probe.gate.open_for_one();
    let (answer, token) = first.join().expect("answered");
    assert_eq!(answer.status, 200);
    probe.gate.open_for_one();
    let (answer, unchanged) = second.join().expect("answered");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("user=alice\n"));
    assert!(answer.header("set-cookie").is_none());
    assert_eq!(unchanged.as_deref(), Some(old.as_str()));
    // Another one that signs somebody else in is told that it did not.
    probe.gate.open_for_one();
    let (answer, _) = other.join().expect("answered");
    assert_eq!(answer.status, 409);
    assert!(answer.header("set-cookie").is_none());
    let token = token.expect("a cookie");
    assert_eq!(key_of(&token), key_of(&old));
    let seen = probe.holding(&token).get("/who").text();
    assert!(
        seen.contains("user=alice\n") && seen.contains("\na=kept\n"),
        "{seen}"
    );
    assert_eq!(probe.records(), 1);
}

/// A read that moves the expiry does so by what it has read: it never shortens what another request has made
/// longer meanwhile.
#[test]
fn a_read_never_shortens_what_a_sign_in_has_made_longer() {
    for remember in ["/persist/2592000", "/login/bob"] {
        let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
            builder.anonymous_timeouts(minutes(10), minutes(60))
        });
        let mut visitor = probe.client();
        visitor.get("/set/a/1");
        probe.clock.advance(minutes(5));
        let tab = tab(&probe, &visitor.token(), "/held-read");
        visitor.get(remember);
        let expires = visitor.get("/times").json()["expires"].clone();
        let touches = probe.calls().touch;
        probe.gate.open();
        let (response, _) = tab.join().expect("answered");
        assert_eq!(response.status, 200);
        assert!(response.header("set-cookie").is_none(), "{remember}");
        assert_eq!(probe.calls().touch, touches + 1, "its own touch is due");
        assert_eq!(
            visitor.get("/times").json()["expires"],
            expires,
            "{remember}"
        );
    }
}

/// The cookie of a remembered session is set again with each write that moves its end, and never by a request
/// that a change of privilege has overtaken: that would bring the replaced token back.
#[test]
fn an_overtaken_request_never_repeats_the_cookie_that_it_came_with() {
    let probe =
        ProbeServer::configured(MemoryStore::new(), |builder| builder.persist_for(days(30)));
    let mut visitor = signed_in(&probe);
    for path in ["/held", "/held-read"] {
        probe.clock.advance(days(4));
        let old = visitor.token();
        let tab = tab(&probe, &old, path);
        visitor.get("/renew");
        probe.gate.open();
        let (response, cookie) = tab.join().expect("answered");
        assert_eq!(response.status, 200, "{path}");
        assert!(response.header("set-cookie").is_none(), "{path}");
        assert_eq!(cookie.as_deref(), Some(old.as_str()), "{path}");
        assert!(
            visitor.get("/who").text().contains("user=alice\n"),
            "{path}"
        );
    }
}

/// A request that has opened the session before another one reloads: it learns of the change of privilege as
/// the end of the session that it has read.
#[test]
fn a_reload_tells_of_a_change_of_privilege() {
    let probe = probe();
    let mut visitor = signed_in(&probe);
    let plain = tab(&probe, &visitor.token(), "/held/reload");
    visitor.get("/set/b/meanwhile");
    probe.gate.open();
    let (response, _) = plain.join().expect("answered");
    let seen = response.text();
    assert!(
        seen.starts_with("Ok(())\n") && seen.contains("\nb=meanwhile\n"),
        "{seen}"
    );
    let overtaken = tab(&probe, &visitor.token(), "/held/reload");
    visitor.get("/role/admin");
    probe.gate.open();
    let (response, _) = overtaken.join().expect("answered");
    let seen = response.text();
    assert!(
        seen.starts_with("Err(Ended)\n") && seen.contains("user=-\n"),
        "{seen}"
    );
    assert!(response.header("set-cookie").is_none());
    assert!(visitor.get("/who").text().contains("user=alice\n"));
}
