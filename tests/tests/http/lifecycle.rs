//! The life of a session over real HTTP: when it begins, when its token changes, when it ends, and that
//! nothing brings it back.

use std::time::Duration;

use session::{MemoryStore, OnServerError, SessionToken, minutes, seconds};
use session_tests::client::Client;
use session_tests::server::{ProbeServer, key_of};

use super::FRAMEWORK;

fn probe() -> ProbeServer {
    ProbeServer::start_in(FRAMEWORK, MemoryStore::new())
}

fn field(text: &str, name: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .to_owned()
}

/// Signing in changes the token. The old one reads nothing and changes nothing, for as long as it is
/// known to be late and afterwards. The key stays, so that a page may show it.
#[test]
fn signing_in_changes_the_token_and_the_old_one_reads_nothing() {
    let probe = probe();
    let mut attacker = probe.client();
    attacker.get("/set/a/planted");
    let planted = attacker.token();

    let mut victim = probe.holding(&planted);
    let response = victim.get("/login/alice");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    assert_ne!(victim.token(), planted);
    assert_eq!(victim.key(), key_of(&planted));

    // Before the victim's next request.
    let seen = probe.holding(&planted).get("/who").text();
    assert_eq!(field(&seen, "user"), "-");
    assert_eq!(field(&seen, "new"), "true");
    // What was in it came along.
    let seen = victim.get("/who").text();
    assert_eq!(field(&seen, "user"), "alice");
    assert_eq!(field(&seen, "a"), "planted");

    // No route revives the old token.
    let (harmless, ending) = (
        [
            "/who",
            "/set/a/1",
            "/set/b/1",
            "/inc/f0",
            "/login/mallory",
            "/role/admin",
            "/renew",
            "/clear",
            "/mark",
            "/slow",
            "/two/x",
            "/persist/60",
            "/persist",
            "/end-at/1",
            "/idle-within/1",
            "/fail/404",
            "/fail-as-response/404",
            "/big/10",
            "/times",
        ],
        ["/logout", "/logout-and-set/x", "/everything/x"],
    );
    let mut stays_worthless = |path: &str| {
        probe.holding(&planted).get(path);
        let seen = probe.holding(&planted).get("/who").text();
        assert_eq!(field(&seen, "new"), "true", "{path} revived the old token");
        let seen = victim.get("/who").text();
        assert_eq!(field(&seen, "user"), "alice", "{path}");
        assert_eq!(field(&seen, "a"), "planted", "{path}");
        assert_eq!(field(&seen, "role"), "-", "{path}");
    };
    for path in harmless {
        stays_worthless(path);
    }
    // While it is late a sign-out by it ends the session, as it may come from the visitor's own other tab.
    // Afterwards it is unknown.
    probe.clock.advance(seconds(121));
    for path in harmless.into_iter().chain(ending) {
        stays_worthless(path);
    }
    assert_eq!(field(&victim.get("/who").text(), "user"), "alice");
}

/// Any other change of privilege changes the token too, up and down.
#[test]
fn a_change_of_role_changes_the_token_up_and_down() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let mut tokens = vec![visitor.token()];
    for path in ["/role/admin", "/role", "/renew"] {
        visitor.get(path);
        tokens.push(visitor.token());
    }
    for (index, token) in tokens.iter().enumerate() {
        assert!(!tokens[index + 1..].contains(token), "a token was kept");
        assert_eq!(key_of(token), key_of(&tokens[0]));
    }
    for old in &tokens[..3] {
        assert_eq!(field(&probe.holding(old).get("/who").text(), "new"), "true");
    }
    // Setting the role to what it is already is no change.
    visitor.get("/role");
    assert_eq!(visitor.token(), tokens[3]);
}

/// The absolute lifetime goes on over a renewal and begins anew at a sign-in.
#[test]
fn the_absolute_lifetime_goes_on_over_a_renewal_and_begins_anew_at_a_sign_in() {
    for (path, hours_until_over) in [("/renew", 12), ("/login/bob", 23)] {
        let probe = ProbeServer::configured_in(FRAMEWORK, MemoryStore::new(), |builder| {
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

/// After a sign-out the old cookie is worthless, for a hundred requests at once.
#[test]
fn after_a_sign_out_the_old_cookie_is_worthless() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let old = visitor.token();
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

/// A request that was under way cannot bring a session back, whatever ended it.
#[test]
fn a_slow_request_cannot_bring_a_session_back() {
    let probe = probe();
    for _ in 0..20 {
        for ending in ["logout", "renew", "login", "revoke"] {
            let mut visitor = probe.client();
            visitor.get("/login/alice");
            let old = visitor.token();
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
                _ => probe.end(&old),
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
                // Nor does it reach the session that has changed its token.
                assert_eq!(field(&visitor.get("/who").text(), "last_page"), "");
                visitor.get("/logout");
            }
        }
    }
    assert!(probe.events.count("write_after_end") > 0);
}

/// Neither can one that only reads, at the moment when its expiry is due to be moved.
#[test]
fn a_slow_read_cannot_bring_a_session_back() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let old = visitor.token();
    probe.clock.advance(minutes(10));
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

/// Reading, signing out and bad cookies make no session.
#[test]
fn no_session_without_a_write() {
    let probe = probe();
    let mut expired = probe.client();
    expired.get("/set/a/1");
    let expired = expired.token();
    probe.clock.advance(session::hours(1));
    let forged = SessionToken::generate().expect("a token").expose();
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
                "/noop",
                "/who",
                "/times",
                "/renew",
                "/clear",
                "/persist",
                "/end-at/1",
            ] {
                let response = client.get(path);
                assert_eq!(response.status, 200, "{path}");
                assert!(
                    response.header("set-cookie").is_none(),
                    "{path} set a cookie"
                );
                assert_eq!(client.cookie(), held.as_deref());
            }
            // A sign-out removes the cookie that it came with, whatever that was.
            let removed = usize::from(held.is_some());
            let response = client.get("/logout");
            assert_eq!(response.set_cookies("__Host-id").len(), removed);
            assert_eq!(client.cookie(), None);
            client.hold(held.as_deref());
        }
    }
    // The one that had expired was ended for good by its sign-out.
    assert_eq!(probe.records(), 0);
    let calls = probe.calls();
    assert_eq!(calls.create, 1);
}

/// A new session in which every field that was set holds its default is not stored.
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
    let before = probe.calls();
    let response = visitor.get("/set/a/same");
    let after = probe.calls();
    assert!(response.header("set-cookie").is_none());
    assert_eq!(after.load, before.load + 1);
    assert_eq!(after.total(), before.total() + 1, "only the load");
}

/// What is saved depends on the status alone, and a destroy is always carried out.
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
        let old = visitor.token();
        assert_eq!(
            visitor.get(&format!("/fail-and-logout/{status}")).status,
            status
        );
        assert_eq!(visitor.cookie(), None);
        assert_eq!(field(&probe.holding(&old).get("/who").text(), "user"), "-");
    }
}

/// A panic saves nothing, and the server goes on.
#[test]
fn a_panic_saves_nothing_and_the_server_goes_on() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let cookie = format!("Cookie: __Host-id={}", visitor.token());
    for _ in 0..5 {
        let answer = visitor.try_raw("GET", "/panic", &[cookie.as_bytes()]);
        assert!(answer.is_none_or(|answer| answer.status == 500));
    }
    let id = visitor.token();
    let mut again = probe.holding(&id);
    assert_eq!(field(&again.get("/who").text(), "a"), "before");
}

/// The other rule can be chosen.
#[test]
fn changes_of_a_500_can_be_kept() {
    let probe = ProbeServer::configured_in(FRAMEWORK, MemoryStore::new(), |builder| {
        builder.on_server_error(OnServerError::Save)
    });
    let mut visitor = probe.client();
    assert_eq!(visitor.get("/fail/500").status, 500);
    assert_eq!(field(&visitor.get("/who").text(), "a"), "failed with 500");
}

/// Nothing of one visitor is seen by another, on one worker and kept connections.
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

/// What is set after a destroy makes a new session under a new key.
#[test]
fn what_is_set_after_a_destroy_makes_a_new_session() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let old = visitor.token();
    let response = visitor.get("/logout-and-set/farewell");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    assert_ne!(visitor.key(), key_of(&old));
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

/// `clear` takes everything out, other session types included, and changes the token.
#[test]
fn clearing_empties_the_session_and_changes_the_token() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/two/x");
    let old = visitor.token();
    visitor.get("/clear");
    assert_ne!(visitor.token(), old);
    assert_eq!(field(&visitor.get("/who").text(), "a"), "");
    assert_eq!(
        visitor.get("/two/y").text(),
        "visits=1",
        "the other type's field is gone"
    );
}
