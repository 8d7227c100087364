//! When sessions end, by a clock that only the test moves.

use std::process::Command;
use std::time::Duration;

use session::{Clock as _, MemoryStore, Timestamp, days, hours, minutes, seconds};
use session_tests::client::Client;
use session_tests::process::Process;
use session_tests::server::ProbeServer;
use session_tests::tools;

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

/// TO-1 [gate]: the idle timeout holds on the server, with the record still there and nothing
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

/// TO-2 [gate]: the absolute timeout holds whatever is done.
#[test]
fn a_session_in_constant_use_ends_after_twelve_hours() {
    let (probe, mut visitor) = started();
    for minute in 1..12 * 60 {
        probe.clock.advance(minutes(1));
        match minute % 60 {
            7 => visitor.get("/renew"),
            20 => visitor.get("/persist/100000000"),
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

/// TO-5: using a session moves its end, at one touch per tenth of the idle time and no other write.
#[test]
fn reading_moves_the_end_with_one_touch_per_tenth_of_the_idle_time() {
    let (probe, mut visitor) = started();
    let before = probe.sessions.store().calls();
    for _ in 0..1000 {
        visitor.get("/who");
        probe.clock.advance(MILLISECOND);
    }
    let calls = probe.sessions.store().calls();
    assert_eq!(calls.touch, before.touch);
    assert_eq!(calls.load, before.load + 1000);
    assert_eq!(calls.total(), before.total() + 1000);

    // Alive at 0.9 of the idle time after the last use, gone at the idle time.
    probe.clock.advance(minutes(3));
    visitor.get("/who");
    assert_eq!(probe.sessions.store().calls().touch, before.touch + 1);
    let last_use = minutes(3) - MILLISECOND;
    probe.clock.advance(last_use);
    visitor.get("/who");
    assert_eq!(probe.sessions.store().calls().touch, before.touch + 1);
    let mut other = probe.holding(&visitor.id());
    probe.clock.advance(minutes(27));
    assert!(is_alive(&mut other));
    probe.clock.advance(minutes(30));
    assert!(!is_alive(&mut other));
}

/// TO-6 [gate]: a clock that is set back ends no session early, and makes none immortal.
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
    let calls = probe.sessions.store().calls();
    assert!(is_alive(&mut visitor));
    assert_eq!(probe.sessions.store().calls().total(), calls.total() + 1);
}

/// TO-6: what falls back to its default by itself does so as long after as it would have, and an id gets
/// no older either.
#[test]
fn a_clock_that_is_set_back_lets_no_field_and_no_id_last_longer() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
        builder.renew_interval(hours(1)).idle_timeout(hours(10))
    });
    let start = Timestamp::from_millis(1_800_000_000_000);
    probe.clock.set(start);
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    probe.clock.advance(hours(1));
    visitor.get("/who");
    let renewed = visitor.id();
    assert_eq!(visitor.get("/sudo").text(), "None");
    probe.clock.set(start - days(100));
    assert!(visitor.get("/who").text().contains("sudo=true\n"));
    probe.clock.advance(minutes(10));
    assert!(visitor.get("/who").text().contains("sudo=false\n"));
    assert_eq!(visitor.id(), renewed);
    probe.clock.advance(minutes(50));
    visitor.get("/who");
    assert_ne!(visitor.id(), renewed);
}

/// TO-6 [gate]: whole processes whose clocks are behind: no panic, no mass loss, and what they write
/// is a good record for the others. TO-9: clocks that differ by minutes end nothing.
#[test]
fn a_process_whose_clock_is_behind_serves_the_sessions_of_the_others() {
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
        let mut behind = Client::holding(other.address, &visitor.id());
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
    let mut later = Client::holding(ahead.address, &visitor.id());
    assert!(!is_alive(&mut later));
    assert!(is_alive(&mut visitor), "a load ends nothing");
}

/// TO-7: a clock that is wrong for a moment does not have the sweeper end every session.
#[test]
fn a_sweep_is_left_out_when_the_clock_has_jumped() {
    let (probe, mut visitor) = started();
    let (wake, sleeping) = tokio::sync::mpsc::unbounded_channel::<()>();
    let sleeping = std::sync::Arc::new(tokio::sync::Mutex::new(sleeping));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    let swept = probe.sessions.store().clone();
    runtime.spawn(probe.sessions.clone().sweep(minutes(10), move |_| {
        let sleeping = sleeping.clone();
        async move {
            sleeping.lock().await.recv().await;
        }
    }));
    let runs = |count: u64| {
        for _ in 0..400 {
            if swept.calls().remove_expired == count {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    };
    std::thread::sleep(Duration::from_millis(50));
    // A jump of thirty days: this run is left out.
    probe.clock.advance(days(30));
    wake.send(()).expect("the sweeper waits");
    std::thread::sleep(Duration::from_millis(100));
    assert!(
        !is_alive(&mut probe.holding(&visitor.id())),
        "during the jump"
    );
    probe.clock.set(probe.clock.now() - days(30));
    assert_eq!(swept.calls().remove_expired, 0);
    assert_eq!(probe.records(), 1);
    assert!(is_alive(&mut visitor), "afterwards");
    // The next one comes.
    wake.send(()).expect("the sweeper waits");
    assert!(runs(1), "the sweeper goes on");
    assert_eq!(probe.records(), 1);
    runtime.shutdown_background();
}

/// TO-4: the sweep takes what has expired, at the very moment of its expiry.
#[test]
fn the_sweep_takes_what_has_expired_and_nothing_else() {
    let (probe, mut visitor) = started();
    probe.clock.advance(minutes(10));
    let mut later = probe.client();
    later.get("/login/bob");
    probe.clock.advance(minutes(20) - MILLISECOND);
    let sweep = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(probe.sessions.remove_expired())
            .expect("the store works")
    };
    assert_eq!(sweep(), 0);
    probe.clock.advance(MILLISECOND);
    assert_eq!(sweep(), 1);
    assert!(!is_alive(&mut visitor));
    assert!(is_alive(&mut later));
}

/// TO-8: any duration is taken; none overflows.
#[test]
fn no_duration_overflows() {
    for duration in [
        Duration::ZERO,
        Duration::from_nanos(1),
        days(400),
        days(3_652_500),
        Duration::MAX,
    ] {
        let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
            builder
                .idle_timeout(duration)
                .absolute_timeout(duration)
                .persistent_timeouts(duration, duration)
                .touch_interval(duration)
        });
        let mut visitor = probe.client();
        for path in [
            "/set/a/1",
            "/who",
            "/persist/18446744073709551615",
            "/who",
            "/renew",
            "/who",
        ] {
            assert_eq!(visitor.get(path).status, 200, "{duration:?} {path}");
            probe.clock.advance(hours(1));
        }
    }
}

/// A timeout that was shortened holds for the sessions that are there already.
#[test]
fn a_shortened_timeout_holds_at_once() {
    use session::testing::TestClock;
    use session::{SessionManager, SessionMiddleware, SessionStore as _};
    use session_tests::events::Events;
    use session_tests::probe;
    use session_tests::server::Server;

    let clock = TestClock::default();
    let store = MemoryStore::new().boxed();
    let serve = |idle| {
        let sessions = SessionManager::builder(store.clone())
            .clock(clock.clone())
            .idle_timeout(idle)
            .build();
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
        &visitor.id()
    )));
    assert!(is_alive(&mut Client::holding(long.address, &visitor.id())));
}

/// An id that is as old as the renewal interval is replaced; for a minute it leads to the same session,
/// and what is saved by way of it is there. The timeouts go on from where they were.
#[test]
fn an_old_id_is_renewed_and_leads_on_for_a_minute() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| {
        builder.renew_interval(minutes(15))
    });
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let first = visitor.id();
    probe.clock.advance(minutes(14));
    assert!(visitor.get("/who").header("set-cookie").is_none());
    probe.clock.advance(minutes(1));
    // A read renews as well; a request that does not look at the session does not.
    assert!(visitor.get("/noop").header("set-cookie").is_none());
    assert_eq!(visitor.get("/who").set_cookies("__Host-id").len(), 1);
    let second = visitor.id();
    assert_ne!(first, second);
    assert_eq!(probe.events.count("renewed"), 1);

    // Another request of the same page, with the old id.
    let mut other = probe.holding(&first);
    let answer = other.get("/set/a/late");
    assert!(answer.header("set-cookie").is_none());
    assert!(other.get("/who").text().contains("user=alice\n"));
    assert!(visitor.get("/who").text().contains("\na=late\n"));
    probe.clock.advance(seconds(60));
    assert!(other.get("/who").text().contains("new=true\n"));
    assert!(visitor.get("/who").text().contains("user=alice\n"));

    // Signing out by way of the old id ends the session, not only the way to it.
    probe.clock.advance(minutes(15));
    visitor.get("/who");
    assert_ne!(visitor.id(), second);
    let mut other = probe.holding(&second);
    assert_eq!(other.get("/logout").status, 200);
    assert!(!is_alive(&mut visitor));

    // Twelve hours are twelve hours.
    visitor.hold(None);
    visitor.get("/login/alice");
    let mut alive = Duration::ZERO;
    while is_alive(&mut visitor) {
        probe.clock.advance(minutes(10));
        alive += minutes(10);
        assert!(alive <= hours(12), "immortal");
    }
    assert_eq!(alive, hours(12));
}
