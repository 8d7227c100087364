//! When sessions end, by a clock that only the test moves.

use std::time::Duration;

use session::testing::TestClock;
use session::{
    Clock as _, MemoryStore, SessionManager, SessionMiddleware, SettingsError, Timestamp, days,
    hours, minutes, seconds,
};
use session_tests::client::Client;
use session_tests::events::Events;
use session_tests::gate::Gate;
use session_tests::probe;
use session_tests::server::{ProbeServer, Server, block_on};

const MILLISECOND: Duration = Duration::from_millis(1);

fn is_alive(client: &mut Client) -> bool {
    client.get("/who").text().contains("new=false\n")
}

fn started() -> (ProbeServer, Client) {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    (probe, visitor)
}

/// The idle timeout holds on the server, with the record still there and nothing
/// sweeping.
#[test]
fn an_idle_session_ends_after_thirty_minutes() {
    let (probe, mut visitor) = started();
    probe.clock.advance(minutes(30) - MILLISECOND);
    assert!(is_alive(&mut visitor));
    probe.clock.advance(minutes(30));
    assert!(!is_alive(&mut visitor));
    assert_eq!(probe.records(), 1);
    // Nor does anything that is set now reach the dead one.
    visitor.get("/set/a/1");
    assert!(visitor.get("/who").text().contains("user=-\n"));
}

/// The absolute timeout holds whatever is done.
#[test]
fn a_session_in_constant_use_ends_after_twelve_hours() {
    let (probe, mut visitor) = started();
    for minute in 1..12 * 60 {
        probe.clock.advance(minutes(1));
        match minute % 60 {
            7 => visitor.get("/renew"),
            20 => visitor.get("/idle-within/100000000"),
            30 => visitor.get("/end-at/99999999999999"),
            40 => visitor.get("/set/a/1"),
            _ => visitor.get("/who"),
        };
        assert!(is_alive(&mut visitor), "minute {minute}");
    }
    probe.clock.advance(minutes(1) - MILLISECOND);
    assert!(is_alive(&mut visitor));
    probe.clock.advance(MILLISECOND);
    assert!(!is_alive(&mut visitor));
}

/// Using a session moves its end, at one touch per tenth of the idle time and no other write.
#[test]
fn reading_moves_the_end_with_one_touch_per_tenth_of_the_idle_time() {
    let (probe, mut visitor) = started();
    let before = probe.calls();
    for _ in 0..1000 {
        visitor.get("/who");
        probe.clock.advance(MILLISECOND);
    }
    let calls = probe.calls();
    assert_eq!(calls.touch, before.touch);
    assert_eq!(calls.load, before.load + 1000);
    assert_eq!(calls.total(), before.total() + 1000);

    // Alive at 0.9 of the idle time after the last use, gone at the idle time.
    probe.clock.advance(minutes(3));
    visitor.get("/who");
    assert_eq!(probe.calls().touch, before.touch + 1);
    let last_use = minutes(3) - MILLISECOND;
    probe.clock.advance(last_use);
    visitor.get("/who");
    assert_eq!(probe.calls().touch, before.touch + 1);
    let mut other = probe.holding(&visitor.token());
    probe.clock.advance(minutes(27));
    assert!(is_alive(&mut other));
    probe.clock.advance(minutes(30));
    assert!(!is_alive(&mut other));
}

/// A clock that is set back ends no session early, and makes none immortal.
#[test]
fn a_clock_that_is_set_back_makes_no_session_immortal() {
    let start = Timestamp::from_millis(1_800_000_000_000);
    let (probe, mut visitor) = started();
    probe.clock.set(start);
    visitor.hold(None);
    visitor.get("/login/alice");
    probe.clock.advance(hours(2) - minutes(100));
    assert!(is_alive(&mut visitor), "in use");

    probe.clock.set(start - days(3650));
    assert!(is_alive(&mut visitor), "no mass loss");
    assert!(probe.events.count("clock_set_back") > 0);
    // From here on, forward time counts. The age was 20 minutes.
    let mut alive = Duration::ZERO;
    while is_alive(&mut visitor) {
        probe.clock.advance(minutes(1));
        alive += minutes(1);
        assert!(alive <= hours(12), "immortal");
    }
    assert_eq!(alive, hours(12) - minutes(20));
    // Back by less than hosts may differ by: nothing happens at all.
    let (probe, mut visitor) = started();
    let now = probe.clock.now();
    probe.clock.set(now - minutes(4));
    let calls = probe.calls();
    assert!(is_alive(&mut visitor));
    assert_eq!(probe.calls().total(), calls.total() + 1);
}

/// What falls back to its default by itself does so as long after as it would have.
#[test]
fn a_clock_that_is_set_back_lets_no_field_last_longer() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
        builder.idle_timeout(hours(10))
    });
    let start = Timestamp::from_millis(1_800_000_000_000);
    probe.clock.set(start);
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    assert_eq!(visitor.get("/sudo").text(), "None");
    probe.clock.set(start - days(100));
    assert!(visitor.get("/who").text().contains("sudo=true\n"));
    probe.clock.advance(minutes(10) - MILLISECOND);
    assert!(visitor.get("/who").text().contains("sudo=true\n"));
    probe.clock.advance(MILLISECOND);
    assert!(visitor.get("/who").text().contains("sudo=false\n"));
}

/// Whole processes whose clocks are behind: no panic, no mass loss, and what they write is a good record
/// for the others. Clocks that differ by minutes end nothing.
#[test]
fn a_process_whose_clock_is_behind_serves_the_sessions_of_the_others() {
    use session_tests::process::Process;
    use session_tests::tools;
    use std::process::Command;

    if !tools::has("faketime", &["-f", "-1d", "true"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let serve = |offset: &str| {
        Process::start(
            Command::new("faketime")
                .args(["-f", offset, env!("CARGO_BIN_EXE_probe")])
                .arg(&folder)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        )
    };
    let right = serve("+0");
    for (offset, is_minor) in [
        ("-90s", true),
        ("+90s", true),
        ("-1d", false),
        ("-3650d", false),
    ] {
        let mut visitor = Client::new(right.address);
        visitor.get("/login/alice");
        let other = serve(offset);
        let mut behind = Client::holding(other.address, &visitor.token());
        assert!(is_alive(&mut behind), "{offset}");
        assert_eq!(behind.get("/set/a/there").status, 200, "{offset}");
        assert!(
            behind.get("/who").text().contains("\na=there\n"),
            "{offset}"
        );
        // Where the clock is right, a session that was last used a day ago is over.
        assert_eq!(is_alive(&mut visitor), is_minor, "{offset}");
        assert_eq!(visitor.get("/login/bob").status, 200, "{offset}");
        assert!(is_alive(&mut visitor), "{offset}");
    }
    let ahead = serve("+30d");
    let mut visitor = Client::new(right.address);
    visitor.get("/login/alice");
    let mut later = Client::holding(ahead.address, &visitor.token());
    assert!(!is_alive(&mut later));
    assert!(is_alive(&mut visitor), "a load ends nothing");
}

/// A clock that is wrong for a moment does not have the sweeper end every session.
#[test]
fn a_sweep_is_left_out_when_the_clock_has_jumped() {
    let (probe, mut visitor) = started();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    // The sweeper sleeps until the gate is opened.
    let gate = Gate::default();
    let alarm = gate.clone();
    runtime.spawn(probe.sessions.clone().sweep(minutes(10), move |_| {
        let alarm = alarm.clone();
        async move { alarm.pass().await }
    }));
    gate.wait_for_one();
    // A jump of thirty days: this run is left out.
    probe.clock.advance(days(30));
    gate.open();
    gate.wait_for_one();
    assert_eq!(probe.calls().take_expired, 0);
    assert!(
        !is_alive(&mut probe.holding(&visitor.token())),
        "during the jump"
    );
    // Its last use is in the past again, and it is asleep.
    probe.clock.set(probe.clock.now() - days(30));
    gate.open();
    gate.wait_for_one();
    assert_eq!(probe.calls().take_expired, 1, "the next run comes");
    assert_eq!(probe.records(), 1);
    assert!(is_alive(&mut visitor), "afterwards");
    runtime.shutdown_background();
}

/// The sweep takes what has expired, at the very moment of its expiry.
#[test]
fn the_sweep_takes_what_has_expired_and_nothing_else() {
    let (probe, mut visitor) = started();
    probe.clock.advance(minutes(10));
    let mut later = probe.client();
    later.get("/login/bob");
    probe.clock.advance(minutes(20) - MILLISECOND);
    let sweep = || block_on(probe.sessions.remove_expired()).expect("the store works");
    assert_eq!(sweep(), 0);
    probe.clock.advance(MILLISECOND);
    assert_eq!(sweep(), 1);
    assert!(!is_alive(&mut visitor));
    assert!(is_alive(&mut later));
}

/// Any duration that makes sense is taken; none overflows.
#[test]
fn no_duration_overflows() {
    for duration in [
        Duration::from_nanos(1),
        MILLISECOND,
        days(400),
        days(3_652_500),
        Duration::MAX,
    ] {
        let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
            builder
                .idle_timeout(duration)
                .absolute_timeout(duration)
                .anonymous_timeouts(duration, duration)
                .persistent_timeouts(duration, duration)
                .touch_interval(Duration::ZERO)
        });
        let mut visitor = probe.client();
        for path in [
            "/set/a/1",
            "/who",
            "/persist/18446744073709551615",
            "/who",
            "/idle-within/18446744073709551615",
            "/end-at/18446744073709551615",
            "/who",
            "/renew",
            "/who",
        ] {
            assert_eq!(visitor.get(path).status, 200, "{duration:?} {path}");
            probe.clock.advance(hours(1));
        }
    }
}

/// Settings by which every session would end at once, or would end while it is in constant use, are refused
/// when the manager is built.
#[test]
fn timeouts_that_no_session_could_live_by_are_refused() {
    let builder = || SessionManager::builder(MemoryStore::new());
    for contradiction in [
        builder().idle_timeout(Duration::ZERO),
        builder().absolute_timeout(Duration::ZERO),
        builder().anonymous_timeouts(Duration::ZERO, hours(1)),
        builder().anonymous_timeouts(minutes(1), Duration::ZERO),
        builder().persistent_timeouts(Duration::ZERO, hours(1)),
    ] {
        let refused = contradiction.build().err();
        assert!(
            matches!(refused, Some(SettingsError::ZeroTimeout { .. })),
            "{refused:?}"
        );
    }
    for contradiction in [
        builder().touch_interval(minutes(30)),
        builder().touch_interval(hours(1)),
        builder()
            .idle_timeout(minutes(5))
            .touch_interval(minutes(5)),
        builder()
            .touch_interval(minutes(5))
            .anonymous_timeouts(minutes(5), hours(1)),
        builder()
            .touch_interval(minutes(5))
            .persistent_timeouts(minutes(4), hours(1)),
        builder().touch_interval(minutes(5)).persist_for(minutes(5)),
    ] {
        let refused = contradiction.build().err();
        assert!(
            matches!(refused, Some(SettingsError::TouchInterval { .. })),
            "{refused:?}"
        );
    }
    assert!(builder().touch_interval(minutes(29)).build().is_ok());
    for limit in [
        session::SessionLimit::EvictOldest,
        session::SessionLimit::RejectNew,
    ] {
        let refused = builder().max_sessions_per_owner(0, limit).build().err();
        assert_eq!(refused, Some(SettingsError::ZeroSessions));
    }
}

/// The longest touch interval that is allowed does not end a session in constant use, one shorter than the
/// idle time by a moment neither.
#[test]
fn no_touch_interval_ends_a_session_in_constant_use() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
        builder.touch_interval(minutes(30) - MILLISECOND)
    });
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    for minute in 1..12 * 60 {
        probe.clock.advance(minutes(1));
        assert!(is_alive(&mut visitor), "minute {minute}");
    }
}

/// A session can be told to end earlier than the policy says, at a time or after being unused, and never
/// later. The cookie that the client keeps ends with it.
#[test]
fn a_session_ends_when_it_says_itself_and_never_later_than_the_policy() {
    // At a time.
    let (probe, mut visitor) = started();
    let end = probe.clock.now() + minutes(20);
    visitor.get(&format!("/end-at/{}", end.as_millis()));
    assert_eq!(visitor.get("/times").json()["expires"], end.as_millis());
    probe.clock.advance(minutes(10));
    assert!(is_alive(&mut visitor), "in use");
    probe.clock.advance(minutes(10) - MILLISECOND);
    assert!(is_alive(&mut visitor));
    probe.clock.advance(MILLISECOND);
    assert!(!is_alive(&mut visitor));

    // Later than the policy is no later than the policy.
    let (probe, mut visitor) = started();
    let end = probe.clock.now() + days(100);
    visitor.get(&format!("/end-at/{}", end.as_millis()));
    visitor.get("/idle-within/100000000");
    let times = visitor.get("/times").json();
    let thirty_minutes = probe.clock.now() + minutes(30);
    assert_eq!(times["expires"], thirty_minutes.as_millis());
    for _ in 0..12 * 4 - 1 {
        probe.clock.advance(minutes(15));
        assert!(is_alive(&mut visitor));
    }
    probe.clock.advance(minutes(15));
    assert!(!is_alive(&mut visitor), "after twelve hours");

    // After being unused for a minute.
    let (probe, mut visitor) = started();
    visitor.get("/idle-within/60");
    for _ in 0..10 {
        probe.clock.advance(seconds(59));
        assert!(is_alive(&mut visitor), "in use");
    }
    probe.clock.advance(seconds(60));
    assert!(!is_alive(&mut visitor));

    // A time that has passed ends it at once; taken back, the policy holds again.
    let (probe, mut visitor) = started();
    let end = probe.clock.now() + minutes(5);
    visitor.get(&format!("/end-at/{}", end.as_millis()));
    visitor.get("/end-at");
    probe.clock.advance(minutes(6));
    assert!(is_alive(&mut visitor));
    visitor.get(&format!("/end-at/{}", end.as_millis()));
    assert!(!is_alive(&mut visitor));

    // What the client keeps.
    let (probe, mut visitor) = started();
    let end = probe.clock.now() + minutes(5);
    visitor.get("/persist/86400");
    let response = visitor.get(&format!("/end-at/{}", end.as_millis()));
    assert!(response.set_cookies("__Host-id")[0].contains("Max-Age=300"));
}

/// When a session was last used, to the precision of the touches; none before it is stored.
#[test]
fn a_session_tells_when_it_was_last_used() {
    let (probe, mut visitor) = started();
    let start = probe.clock.now();
    probe.clock.advance(minutes(10));
    assert_eq!(visitor.get("/times").json()["last_seen"], start.as_millis());
    probe.clock.advance(minutes(10));
    let before = (start + minutes(10)).as_millis();
    assert_eq!(visitor.get("/times").json()["last_seen"], before);
    let times = probe.client().get("/times").json();
    assert_eq!(times["last_seen"], serde_json::Value::Null);
}

/// Sessions without an owner can have shorter timeouts than others; a sign-in gives them those of the
/// others.
#[test]
fn sessions_of_nobody_can_end_earlier() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
        builder.anonymous_timeouts(minutes(5), hours(1))
    });
    let (mut nobody, mut alice) = (probe.client(), probe.client());
    nobody.get("/set/a/1");
    alice.get("/set/a/1");
    alice.get("/login/alice");
    probe.clock.advance(minutes(5) - MILLISECOND);
    assert!(is_alive(&mut nobody));
    probe.clock.advance(minutes(5));
    assert!(!is_alive(&mut nobody));
    assert!(is_alive(&mut alice));
    // And back at a sign-out that goes on.
    alice.get("/clear");
    probe.clock.advance(minutes(5));
    assert!(!is_alive(&mut alice));
}

/// A timeout that was shortened holds for the sessions that are there already.
#[test]
fn a_shortened_timeout_holds_at_once() {
    let clock = TestClock::default();
    let store = MemoryStore::new();
    let serve = |idle| {
        let sessions = SessionManager::builder(store.clone())
            .clock(clock.clone())
            .idle_timeout(idle)
            .build()
            .expect("good settings");
        Server::start(1, &Events::default(), move |config| {
            config.service(
                actix_web::web::scope("")
                    .wrap(SessionMiddleware::new(sessions.clone()))
                    .configure(probe::routes),
            );
        })
    };
    let (long, short) = (serve(hours(1)), serve(minutes(10)));
    let mut visitor = Client::new(long.address);
    visitor.get("/set/a/1");
    clock.advance(minutes(10));
    assert!(!is_alive(&mut Client::holding(
        short.address,
        &visitor.token()
    )));
    assert!(is_alive(&mut Client::holding(
        long.address,
        &visitor.token()
    )));
}
