//! What a field can say, over real HTTP: flash, ttl, merge, group, `on_conflict`, rotate, owner.

use std::process::Command;
use std::time::Duration;

use session::testing::TestSessions;
use session::{
    CookieChange, FilesystemStore, MemoryStore, Saved, Session, SessionError, SessionKey,
    SessionLimit, SessionManager, SessionStore as _, minutes, seconds,
};
use session_tests::client::Client;
use session_tests::events::Events;
use session_tests::faults::FaultyStore;
use session_tests::gate::Gate;
use session_tests::probe::Visit;
use session_tests::process::Process;
use session_tests::server::{ProbeServer, block_on};
use session_tests::stores::AnyStore;

/// Each store of the library, and the folder that it is in.
fn stores() -> [(AnyStore, Option<tempfile::TempDir>); 2] {
    let kept = tempfile::tempdir().expect("a folder");
    let files = FilesystemStore::open(kept.path().join("sessions")).expect("a store");
    [
        (MemoryStore::new().into(), None),
        (files.into(), Some(kept)),
    ]
}

fn probes() -> [(ProbeServer, Option<tempfile::TempDir>); 2] {
    stores().map(|(store, kept)| (ProbeServer::start(store), kept))
}

/// Another server over `store`, whose changes wait at the gate until the test lets them through.
fn slow_probe(store: &AnyStore) -> (ProbeServer, Gate) {
    let (slow, gate) = (FaultyStore::new(store.clone()), Gate::default());
    slow.hold("modify", &gate);
    (ProbeServer::start(slow), gate)
}

/// A flash is shown once in a later request; setting it anew replaces it; taking nothing writes
/// nothing.
#[test]
fn a_flash_is_shown_once() {
    for (probe, _kept) in probes() {
        let mut visitor = probe.client();
        assert_eq!(visitor.get("/take").text(), "-");
        assert!(visitor.cookie().is_none(), "taking nothing stores nothing");
        visitor.get("/notice/first");
        visitor.get("/notice/second");
        assert_eq!(visitor.get("/take").text(), "second");
        let before = probe.calls();
        assert_eq!(visitor.get("/take").text(), "-");
        let calls = probe.calls();
        assert_eq!(calls.modify, before.modify, "taking nothing writes nothing");
    }
}

/// Taken in two requests at once it is shown at most twice and then gone; one that is set while an
/// older one is being taken is not lost.
#[test]
fn a_flash_that_is_set_meanwhile_is_not_taken() {
    for (store, _kept) in stores() {
        let probe = ProbeServer::start(store.clone());
        let (slow_probe, gate) = slow_probe(&store);
        let mut visitor = probe.client();
        visitor.get("/notice/old");
        let token = visitor.token();
        let take = || slow_probe.holding(&token).get("/take").text();
        std::thread::scope(|scope| {
            let slow = [(); 2].map(|()| scope.spawn(take));
            gate.wait_for(2);
            gate.open();
            for slow in slow {
                assert_eq!(slow.join().expect("answered"), "old");
            }
            assert_eq!(visitor.get("/take").text(), "-");
            visitor.get("/notice/old");
            let slow = scope.spawn(take);
            gate.wait_for_one();
            visitor.get("/notice/new");
            gate.open();
            assert_eq!(slow.join().expect("answered"), "old");
            assert_eq!(visitor.get("/take").text(), "new");
            assert_eq!(visitor.get("/take").text(), "-");
        });
    }
}

/// A field with a `ttl` falls back to its default that long after it was set, whoever looks, and its
/// bytes are gone with the next save.
#[test]
fn a_field_with_a_ttl_runs_out() {
    for (store, _kept) in stores() {
        let probe = ProbeServer::start(store.clone());
        let mut visitor = probe.client();
        visitor.get("/set/a/1");
        let key = visitor.key();
        assert_eq!(visitor.get("/sudo").text(), "None");
        probe.clock.advance(minutes(10) - seconds(1));
        assert!(visitor.get("/who").text().contains("sudo=true\n"));
        assert_eq!(visitor.get("/sudo").text(), "Some(1)");
        // What else is saved does not let it last longer.
        visitor.get("/set/a/2");
        probe.clock.advance(seconds(1));
        assert!(visitor.get("/who").text().contains("sudo=false\n"));
        let is_stored = || {
            let record = block_on(store.load(&key)).expect("loaded");
            record.expect("there").fields.get("sudo").is_some()
        };
        assert!(is_stored());
        visitor.get("/set/a/3");
        assert!(!is_stored());
        // Set anew, it lasts anew.
        assert_eq!(visitor.get("/sudo").text(), "None");
        probe.clock.advance(minutes(9));
        assert!(visitor.get("/who").text().contains("sudo=true\n"));
    }
}

/// Marking everything lets no field last longer that falls back to its default by itself.
#[actix_web::test]
async fn marking_all_as_changed_lets_no_field_last_longer() {
    let sessions = TestSessions::new();
    let visitor = sessions
        .visitor::<Visit>(|visit| visit.set_sudo(true))
        .await;
    sessions.clock().advance(minutes(9));
    let mut session = visitor.session::<Visit>().await;
    session.mark_modified();
    assert_eq!(session.save().await.expect("saved"), Saved::Written);
    assert!(visitor.session::<Visit>().await.sudo);
    sessions.clock().advance(minutes(1));
    assert!(!visitor.session::<Visit>().await.sudo);
}

/// 64 clients × 100 increments of one counter through two processes on one folder: exactly 6,400.
#[test]
fn a_merged_counter_counts_everything() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let serve = || Process::start(Command::new(env!("CARGO_BIN_EXE_probe")).arg(&folder));
    let processes = [serve(), serve()];
    let mut first = Client::new(processes[0].address);
    first.get("/set/a/1");
    let token = first.token();
    std::thread::scope(|scope| {
        for client in 0..64 {
            let mut mine = Client::holding(processes[client % 2].address, &token);
            scope.spawn(move || {
                for round in 0..100 {
                    let path = format!("/count?ms={}", (client + round) % 5);
                    // A lock that could not be had in time is told, and tried again.
                    while mine.get(&path).status != 200 {}
                }
            });
        }
    });
    let seen = first.get("/who").text();
    assert!(seen.contains("views=6400\n"), "{seen}");
}

/// A group is one request's as a whole, never a mix; a field of its own beside it is merged.
#[test]
fn a_group_is_never_a_mix() {
    for (probe, _kept) in probes() {
        let mut visitor = probe.client();
        visitor.get("/balance/1");
        let token = visitor.token();
        std::thread::scope(|scope| {
            for client in 0..8_u64 {
                let (mut mine, mut other) = (probe.holding(&token), probe.holding(&token));
                scope.spawn(move || {
                    for round in 0..20 {
                        // Often the rest stays the same, and only one of the two is changed.
                        let amount = 7 * client + 3 * round + u64::from(round % 5 == 0);
                        mine.get(&format!("/balance/{amount}?ms={}", round % 4));
                        mine.get(&format!("/set/f{client}/{round}"));
                        let seen = other.get("/who").text();
                        let number = |name: &str| -> i64 {
                            let line = seen.lines().find_map(|line| line.strip_prefix(name));
                            line.expect("a line").parse().expect("a number")
                        };
                        assert_eq!(number("rest="), number("amount=") % 3, "{seen}");
                    }
                });
            }
        });
        let seen = visitor.get("/who").text();
        for client in 0..8 {
            assert!(seen.contains(&format!("f{client}=19\n")), "{seen}");
        }
    }
}

/// `on_conflict = "reject"`: the later of two concurrent changes is a 409 that changes nothing, or an
/// error that the handler can match on.
#[test]
fn a_rejected_change_is_a_409() {
    for (store, _kept) in stores() {
        let probe = ProbeServer::start(store.clone());
        let (slow_probe, gate) = slow_probe(&store);
        let mut visitor = probe.client();
        visitor.get("/alone/1");
        let token = visitor.token();
        // What a request is answered whose save waits while `path` is asked for.
        let mut overtaken = |slow: &'static str, path: &str| {
            let mut client = slow_probe.holding(&token);
            let slow = std::thread::spawn(move || client.get(slow));
            gate.wait_for_one();
            assert_eq!(visitor.get(path).status, 200);
            gate.open();
            slow.join().expect("answered")
        };
        let who = || probe.holding(&token).get("/who").text();
        let rejected = overtaken("/alone/2", "/alone/3");
        assert_eq!(rejected.status, 409);
        assert!(rejected.header("set-cookie").is_none());
        assert_eq!(rejected.header("cache-control"), Some("no-store"));
        assert!(who().contains("alone=3\n"));
        assert_eq!(slow_probe.events.count("field_conflict"), 1);
        assert_eq!(slow_probe.events.count("store_failure"), 0);
        let told = overtaken("/alone/4?save=1", "/alone/5");
        assert_eq!(
            (told.status, told.text()),
            (200, String::from("alone is 5"))
        );
        // What others change beside it is no conflict, and neither is the value that was read.
        let beside = overtaken("/alone/6", "/set/a/beside");
        assert_eq!(beside.status, 200);
        let unchanged = block_on(probe.sessions.open(Some(&token)));
        let mut unchanged: Session<Visit> = unchanged.expect("opened");
        probe.holding(&token).get("/alone/7");
        unchanged.set_alone(6);
        let unchanged = block_on(unchanged.save()).expect("no conflict");
        assert_eq!(unchanged, Saved::Unchanged);
        // Two that come to the same value have still both changed it.
        let same = overtaken("/alone/8", "/alone/8");
        assert_eq!(same.status, 409);
        let seen = who();
        assert!(
            seen.contains("alone=8\n") && seen.contains("\na=beside\n"),
            "{seen}"
        );
    }
}

/// An owner's sessions are found and ended, each, all, and all but this one; nobody else's.
#[test]
fn sessions_are_found_and_ended_by_their_owner() {
    for (probe, _kept) in probes() {
        let sign_in = |user: &str| {
            let mut visitor = probe.client();
            visitor.get(&format!("/login/{user}"));
            probe.clock.advance(seconds(1));
            visitor
        };
        let mut alices = [(); 3].map(|()| sign_in("alice"));
        let mut bob = sign_in("bob");
        let is_alive = |visitor: &mut Client| visitor.get("/who").text().contains("new=false\n");
        let sessions = &probe.sessions;
        let found = block_on(sessions.sessions_of("alice")).expect("found");
        assert_eq!(found.len(), 3);
        assert!(found.is_sorted_by(|a, b| a.last_seen > b.last_seen));
        assert!(
            found
                .iter()
                .all(|info| info.owner.as_deref() == Some("alice"))
        );
        block_on(async {
            let session: Session<Visit> = sessions.open(alices[1].cookie()).await.expect("opened");
            let this = found.iter().map(|info| session.is_same_session(info));
            assert_eq!(this.collect::<Vec<_>>(), [false, true, false]);
            let data = sessions.view::<Visit>(&found[0]).await;
            let data = data.expect("read").expect("alive");
            assert_eq!(data.user.as_deref(), Some("alice"));
            // A key of somebody else's session ends nothing, nor does one that no session has.
            for key in [bob.key(), SessionKey::from_bytes([7; 16])] {
                assert!(!sessions.revoke("alice", &key).await.expect("asked"));
            }
            assert!(
                sessions
                    .revoke("alice", &found[0].key)
                    .await
                    .expect("ended")
            );
        });
        assert!(!is_alive(&mut alices[2]));
        assert!(is_alive(&mut alices[0]) && is_alive(&mut alices[1]) && is_alive(&mut bob));
        block_on(async {
            let session: Session<Visit> = sessions.open(alices[1].cookie()).await.expect("opened");
            let revoked = sessions.revoke_others(&session).await.expect("ended");
            assert_eq!((revoked.ended, revoked.unreadable), (1, vec![]));
        });
        assert!(!is_alive(&mut alices[0]) && is_alive(&mut alices[1]) && is_alive(&mut bob));
        // A change of role renews the token and keeps the key; signing in as another one moves the session.
        let (key, token) = (alices[1].key(), alices[1].token());
        alices[1].get("/role/admin");
        assert_eq!(alices[1].key(), key);
        assert_ne!(alices[1].token(), token);
        assert_eq!(
            block_on(sessions.sessions_of("alice"))
                .expect("found")
                .len(),
            1
        );
        alices[1].get("/login/carol");
        assert_eq!(block_on(sessions.sessions_of("alice")).expect("found"), []);
        assert_eq!(
            block_on(sessions.sessions_of("carol"))
                .expect("found")
                .len(),
            1
        );
        let revoked = block_on(sessions.revoke_all("bob")).expect("ended");
        assert_eq!((revoked.ended, revoked.unreadable), (1, vec![]));
        assert!(!is_alive(&mut bob) && is_alive(&mut alices[1]));
    }
}

/// Fifty visitors with requests in flight, some of which renew their tokens, and none of the sessions is left
/// when all of them are revoked.
#[test]
fn nothing_in_flight_survives_a_revocation() {
    for (probe, _kept) in probes() {
        let visitors: Vec<String> = (0..50)
            .map(|_| {
                let mut visitor = probe.client();
                visitor.get("/login/alice");
                visitor.token()
            })
            .collect();
        std::thread::scope(|scope| {
            for (number, token) in visitors.iter().enumerate() {
                let mut visitor = probe.holding(token);
                scope.spawn(move || {
                    for round in 0..20 {
                        let path = match (number + round) % 4 {
                            0 => String::from("/renew"),
                            1 => format!("/set/f0/{round}"),
                            2 => String::from("/slow?ms=5"),
                            _ => String::from("/count?ms=3"),
                        };
                        visitor.get(&path);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(30));
            let revoked = block_on(probe.sessions.revoke_all("alice")).expect("ended");
            assert_eq!((revoked.ended, revoked.unreadable), (50, vec![]));
            assert_eq!(
                block_on(probe.sessions.sessions_of("alice")).expect("found"),
                []
            );
        });
        assert_eq!(
            block_on(probe.sessions.sessions_of("alice")).expect("found"),
            []
        );
        assert_eq!(probe.records_of("alice"), 0);
    }
}

/// At most so many sessions of one owner under fifty sign-ins at once, and exactly so many when the rest comes
/// one after the other. Two that race for the last place may both be refused.
#[test]
fn an_owner_has_no_more_sessions_than_allowed() {
    for on_full in [SessionLimit::EvictOldest, SessionLimit::RejectNew] {
        let kept = tempfile::tempdir().expect("a folder");
        let files = FilesystemStore::open(kept.path().join("sessions")).expect("a store");
        let probe =
            ProbeServer::configured(files, |builder| builder.max_sessions_per_owner(5, on_full));
        let mut bob = probe.client();
        bob.get("/login/bob");
        let sign_in = |probe: &ProbeServer| {
            let mut visitor = probe.client();
            visitor.get("/set/a/cart");
            let status = visitor.get("/login/alice").status;
            (visitor, status)
        };
        let mut visitors: Vec<(Client, u16)> = std::thread::scope(|scope| {
            let signing_in: Vec<_> = (0..50).map(|_| scope.spawn(|| sign_in(&probe))).collect();
            signing_in
                .into_iter()
                .map(|visitor| visitor.join().expect("answered"))
                .collect()
        });
        let found = || block_on(probe.sessions.sessions_of("alice")).expect("found");
        let mut alive = 0;
        for (visitor, status) in &mut visitors {
            let seen = visitor.get("/who").text();
            let is_alice = seen.contains("user=alice\n");
            alive += usize::from(is_alice);
            match on_full {
                SessionLimit::RejectNew if *status == 409 => {
                    // Not signed in, and nothing is lost.
                    assert!(seen.contains("\na=cart\n") && !is_alice, "{seen}");
                }
                _ => assert_eq!(*status, 200),
            }
        }
        assert_eq!(found().len(), alive);
        match on_full {
            SessionLimit::RejectNew => assert!(alive <= 5, "{alive}"),
            _ => assert_eq!(alive, 5),
        }
        assert!(bob.get("/who").text().contains("user=bob\n"));
        // One after the other, without a race.
        while alive < 5 {
            assert_eq!(sign_in(&probe).1, 200);
            alive += 1;
        }
        probe.clock.advance(seconds(1));
        let (mut latest, status) = sign_in(&probe);
        let is_let_in = latest.get("/who").text().contains("user=alice\n");
        assert_eq!(is_let_in, on_full == SessionLimit::EvictOldest);
        assert_eq!(status, if is_let_in { 200 } else { 409 });
        assert_eq!(found().len(), 5);
    }
}

/// `on_conflict = "reject"` on the struct is said for each of its fields that says nothing else, and on
/// one field of a group for all of them.
#[actix_web::test]
async fn a_struct_and_a_group_reject_as_a_whole() {
    #[derive(Debug, Default, Session)]
    #[session(on_conflict = "reject")]
    struct Strict {
        balance: i64,
        #[session(on_conflict = "last-write-wins")]
        page: String,
        #[session(merge = session::merge::sum)]
        views: u64,
    }

    #[derive(Debug, Default, Session)]
    #[session(prefix = "cart")]
    struct Grouped {
        #[session(group = "cart", on_conflict = "reject")]
        lines: Vec<u32>,
        #[session(group = "cart")]
        total: u64,
    }

    let sessions = TestSessions::new();
    let visitor = sessions
        .visitor::<Strict>(|visit| visit.set_balance(1))
        .await;
    let mut mine = visitor.session::<Strict>().await;
    let mut theirs = visitor.session::<Strict>().await;
    theirs.set_balance(2);
    theirs.set_page(String::from("theirs"));
    theirs.set_views(5);
    theirs.save().await.expect("saved");
    mine.set_page(String::from("mine"));
    mine.set_views(1);
    mine.save().await.expect("these two may");
    mine.set_balance(3);
    let rejected = mine.save().await.expect_err("this one may not");
    assert!(matches!(rejected, SessionError::Conflict(conflict) if conflict.field == "balance"));
    mine.refresh();
    assert_eq!(
        (mine.balance, mine.page.as_str(), mine.views),
        (2, "mine", 6)
    );
    mine.set_balance(3);
    mine.save().await.expect("now it may");

    let mut mine = visitor.session::<Grouped>().await;
    let mut theirs = visitor.session::<Grouped>().await;
    theirs.set_total(7);
    theirs.save().await.expect("saved");
    mine.set_lines(vec![1]);
    let rejected = mine.save().await.expect_err("its group has changed");
    assert!(matches!(rejected, SessionError::Conflict(conflict) if conflict.field == "cart.total"));
}

/// A flash that was taken is not shown again by another process, nor after a restart; one that was not
/// is.
#[test]
fn a_flash_outlives_a_restart_only_until_it_is_taken() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let serve = || Process::start(Command::new(env!("CARGO_BIN_EXE_probe")).arg(&folder));
    let first = serve();
    let mut visitor = Client::new(first.address);
    visitor.get("/notice/hello");
    let token = visitor.token();
    drop(first);
    let second = serve();
    assert_eq!(
        Client::holding(second.address, &token).get("/take").text(),
        "hello"
    );
    drop(second);
    let third = serve();
    assert_eq!(
        Client::holding(third.address, &token).get("/take").text(),
        "-"
    );
}

/// Any change of a `rotate` field renews the session, through `_mut()` and back to `None` too; several in one
/// request renew it once; the same value again does not. The key stays.
#[actix_web::test]
async fn any_change_of_a_rotate_field_renews_the_session_once() {
    type Change = fn(&mut Session<Visit>);
    let events = Events::default();
    events.install_on_this_thread();
    let store = MemoryStore::new();
    let sessions = TestSessions::over(store.clone());
    let visitor = sessions
        .visitor::<Visit>(|visit| visit.set_a(String::from("kept")))
        .await;
    let mut session = visitor.session::<Visit>().await;
    let key = session.key();
    let mut token = visitor.cookie().expect("a cookie").to_owned();
    let changes: [(&str, bool, Change); 6] = [
        ("signed in", true, |session| {
            session.set_user(Some(String::from("alice")));
            session.set_role(Some(String::from("clerk")));
        }),
        ("the same again", false, |session| {
            session.set_user(Some(String::from("alice")));
            session.set_b(String::from("changed"));
        }),
        ("looked at", false, |session| {
            let _ = session.user_mut();
        }),
        ("through `_mut`", true, |session| {
            session.role_mut().get_or_insert_default().push('s');
        }),
        ("taken back", true, |session| {
            session.role_mut().take();
        }),
        ("signed out", true, |session| session.set_user(None)),
    ];
    for (what, renews, change) in changes {
        change(&mut session);
        let told = sessions.manager().save_if_modified(&mut session).await;
        let renewals = events.count("renewed");
        let _ = events.take();
        match told.expect("saved") {
            CookieChange::Set { token: new, .. } => {
                assert!(renews, "{what}");
                assert_eq!(renewals, 1, "{what}");
                let old = std::mem::replace(&mut token, new.expose());
                assert_ne!(old, token, "{what}");
                let old = sessions.manager().open::<Visit>(Some(&old)).await;
                assert!(
                    old.expect("opened").is_new(),
                    "{what}: the old token is worthless"
                );
            }
            change => {
                assert_eq!((change, renewals), (CookieChange::Keep, 0), "{what}");
                assert!(!renews, "{what}");
            }
        }
        assert_eq!(session.key(), key, "{what}");
        let now = sessions.manager().open::<Visit>(Some(&token)).await;
        assert_eq!(now.expect("opened").key(), key, "{what}");
        assert_eq!(store.len(), 1, "{what}");
    }
    assert_eq!(session.a, "kept");
}

/// Setting a `rotate` field of an anonymous session to nothing changes nothing: neither the token nor the
/// absolute timeout.
#[actix_web::test]
async fn signing_out_whoever_is_not_signed_in_changes_nothing() {
    let sessions = TestSessions::new();
    let visitor = sessions
        .visitor::<Visit>(|visit| visit.set_a(String::from("kept")))
        .await;
    sessions.clock().advance(minutes(1));
    let mut session = visitor.session::<Visit>().await;
    let (key, began) = (session.key(), session.created_at());
    session.set_user(None);
    session.set_b(String::from("changed"));
    let change = sessions.manager().save_if_modified(&mut session).await;
    assert_eq!(change.expect("saved"), CookieChange::Keep);
    let now = visitor.session::<Visit>().await;
    assert_eq!((now.key(), now.created_at()), (key, began));
    assert_eq!(now.b, "changed");
}

/// A session that is signed in anew does not count against itself.
#[actix_web::test]
async fn a_session_does_not_count_against_itself() {
    for on_full in [SessionLimit::EvictOldest, SessionLimit::RejectNew] {
        let store = MemoryStore::new();
        let builder = SessionManager::builder(store.clone()).max_sessions_per_owner(1, on_full);
        let sessions = TestSessions::of(builder);
        let visitor = sessions
            .visitor::<Visit>(|visit| visit.set_user(Some(String::from("alice"))))
            .await;
        sessions.clock().advance(seconds(1));
        let mut session = visitor.session::<Visit>().await;
        session.clear();
        session.set_user(Some(String::from("alice")));
        session.save().await.expect("saved");
        let found = sessions.manager().sessions_of("alice").await;
        assert_eq!(found.expect("found").len(), 1);
        assert_eq!(store.len(), 1);
    }
}

/// A request beside others of the same session, all of whose cookies stay as they are: it keeps the session
/// when it revokes all others, its change does not undo theirs, and it sees a conflict and what caused it.
#[actix_web::test]
async fn a_request_beside_others_is_of_the_same_session() {
    let sessions = TestSessions::new();
    let manager = sessions.manager();
    let visitor = sessions
        .visitor::<Visit>(|visit| {
            visit.set_user(Some(String::from("alice")));
            visit.set_alone(1);
        })
        .await;
    let mut slow = visitor.session::<Visit>().await;
    let mut fast = visitor.session::<Visit>().await;
    fast.set_alone(2);
    let change = manager.save_if_modified(&mut fast).await.expect("saved");
    assert_eq!(change, CookieChange::Keep);
    let revoked = manager.revoke_others(&slow).await.expect("asked");
    assert_eq!((revoked.ended, revoked.unreadable), (0, vec![]));
    slow.set_a(String::from("late"));
    let change = manager.save_if_modified(&mut slow).await.expect("saved");
    assert_eq!(change, CookieChange::Keep);
    let mut late = visitor.session::<Visit>().await;
    assert_eq!((late.alone, late.a.as_str()), (2, "late"));
    fast.set_alone(3);
    fast.save().await.expect("saved");
    late.set_alone(4);
    assert!(matches!(late.save().await, Err(SessionError::Conflict(_))));
    late.refresh();
    assert_eq!(late.alone, 3);
    late.set_alone(4);
    assert_eq!(late.save().await.expect("saved"), Saved::Written);
}

/// The cookie of a session that is kept is set again by a request that another one has not overtaken, with
/// the same token; a request that a change of privilege has overtaken sets none, and ends no session.
#[actix_web::test]
async fn a_request_of_a_kept_session_hands_out_no_old_token() {
    let sessions =
        TestSessions::with(|builder| builder.persistent_timeouts(minutes(60), minutes(600)));
    let manager = sessions.manager();
    let visitor = sessions
        .visitor::<Visit>(|visit| visit.set_user(Some(String::from("alice"))))
        .await;
    let mut first = visitor.session::<Visit>().await;
    first.persist_for(minutes(60));
    first.save().await.expect("saved");
    sessions.clock().advance(minutes(10));
    let token_of = |change| match change {
        CookieChange::Set { token, .. } => token.expose(),
        change => panic!("the cookie is to be set: {change:?}"),
    };
    let mut slow = visitor.session::<Visit>().await;
    let mut beside = visitor.session::<Visit>().await;
    beside.set_b(String::from("beside"));
    let change = manager.save_if_modified(&mut beside).await.expect("saved");
    assert_eq!(Some(token_of(change).as_str()), visitor.cookie());
    let mut fast = visitor.session::<Visit>().await;
    fast.renew();
    let change = manager.save_if_modified(&mut fast).await.expect("saved");
    let token = token_of(change);
    assert_ne!(Some(token.as_str()), visitor.cookie());
    assert!(matches!(
        manager.revoke_others(&slow).await,
        Err(SessionError::Ended)
    ));
    slow.set_a(String::from("late"));
    let dropped = manager.save_if_modified(&mut slow).await;
    assert!(matches!(dropped, Err(SessionError::Ended)));
    let now = manager.open::<Visit>(Some(&token)).await.expect("opened");
    assert!(!now.is_new());
    assert_eq!((now.a.as_str(), now.b.as_str()), ("", "beside"));
}

/// Types whose encoding has no order of its own.
mod without_order {
    use std::collections::{HashMap, HashSet};

    use serde::{Deserialize, Serialize};
    use session::Session;

    #[derive(Debug, Default, Session)]
    pub struct Unordered {
        #[session(rotate)]
        pub rights: HashMap<String, u32>,
        #[session(on_conflict = "reject")]
        pub seen: HashSet<u32>,
        #[session(group = "cart")]
        pub cart: Cart,
        #[session(group = "cart")]
        pub total: u64,
        pub notes: HashMap<u32, String>,
        #[session(with = as_numbers)]
        pub flags: HashSet<bool>,
        #[session(migrate = from_list)]
        pub amounts: HashMap<u32, u32>,
    }

    /// A type of the application with a map inside.
    #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Cart {
        pub lines: HashMap<u32, u32>,
    }

    mod as_numbers {
        use std::collections::HashSet;

        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub fn serialize<S: Serializer>(
            value: &HashSet<bool>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            let numbers: Vec<u8> = value.iter().map(|flag| u8::from(*flag)).collect();
            numbers.serialize(serializer)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<HashSet<bool>, D::Error> {
            let numbers = Vec::<u8>::deserialize(deserializer)?;
            Ok(numbers.into_iter().map(|number| number != 0).collect())
        }
    }

    fn from_list(list: Vec<u32>) -> HashMap<u32, u32> {
        list.into_iter().map(|item| (item, 1)).collect()
    }

    pub fn fill(visit: &mut <Unordered as session::SessionData>::Tracked) {
        let numbers = || (0..8_u32).map(|number| (number, number));
        visit.set_rights(numbers().map(|(k, v)| (k.to_string(), v)).collect());
        visit.set_seen((0..8).collect());
        visit.update_cart(|cart| cart.lines.extend(numbers()));
        visit.set_total(1);
        visit.set_notes(numbers().map(|(k, v)| (k, v.to_string())).collect());
        visit.set_flags(HashSet::from([true, false]));
        visit.set_amounts(numbers().collect());
    }

    /// Borrows every field mutably and changes none.
    pub fn look(session: &mut Session<Unordered>) {
        let _ = session.rights_mut().get_mut("1");
        let _ = session.seen_mut();
        let _ = session.cart_mut();
        let _ = session.total_mut();
        let _ = session.notes_mut();
        let _ = session.flags_mut();
        let _ = session.amounts_mut();
    }
}

/// A `HashMap` encodes its entries in another order each time it is decoded anew. A mutable borrow of one
/// that changes nothing is no change: it renews no session, conflicts with no other request, and overwrites
/// nothing that another request saved.
#[actix_web::test]
async fn a_mutable_borrow_of_an_unordered_field_is_no_change() {
    use without_order::{Unordered, fill, look};

    let sessions = TestSessions::new();
    for round in 0..100 {
        let visitor = sessions.visitor::<Unordered>(fill).await;
        let mut looking = visitor.session::<Unordered>().await;
        look(&mut looking);
        assert_eq!(
            looking.save().await.expect("saved"),
            Saved::Unchanged,
            "round {round}"
        );
        let change = sessions.manager().save_if_modified(&mut looking).await;
        assert_eq!(
            change.expect("saved"),
            CookieChange::Keep,
            "round {round}: no change, so no new token"
        );

        let mut looking = visitor.session::<Unordered>().await;
        look(&mut looking);
        let mut changing = visitor.session::<Unordered>().await;
        changing.update_seen(|seen| seen.insert(99));
        changing.update_cart(|cart| cart.lines.insert(99, 1));
        changing.update_notes(|notes| notes.insert(99, String::from("kept")));
        changing.save().await.expect("saved");
        looking
            .save()
            .await
            .expect("nothing changed, so no conflict");
        let seen = visitor.session::<Unordered>().await;
        assert!(
            seen.seen.contains(&99) && seen.notes.contains_key(&99),
            "round {round}"
        );
        assert!(seen.cart.lines.contains_key(&99), "round {round}");
    }
}

/// A real change of such a field is one.
#[actix_web::test]
async fn a_change_of_an_unordered_field_is_saved() {
    use without_order::{Unordered, fill};

    let sessions = TestSessions::new();
    let visitor = sessions.visitor::<Unordered>(fill).await;
    let mut session = visitor.session::<Unordered>().await;
    session.update_rights(|rights| rights.insert(String::from("1"), 7));
    session.update_cart(|cart| cart.lines.remove(&3));
    session.set_flags(std::collections::HashSet::from([true]));
    session.update_amounts(|amounts| amounts.insert(1, 2));
    let change = sessions.manager().save_if_modified(&mut session).await;
    let CookieChange::Set { token, .. } = change.expect("saved") else {
        panic!("a changed `rotate` field renews the session");
    };
    let token = token.expose();
    let seen = sessions.manager().open::<Unordered>(Some(&token)).await;
    let seen = seen.expect("opened");
    assert_eq!(seen.rights["1"], 7);
    assert!(!seen.cart.lines.contains_key(&3) && seen.flags.len() == 1);
    assert_eq!(seen.amounts[&1], 2);
}

/// A type whose `PartialEq` compares only a part of it loses no change of the rest.
#[actix_web::test]
async fn a_partial_eq_that_compares_less_hides_no_change() {
    #[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
    struct Product {
        id: u32,
        name: String,
    }

    impl PartialEq for Product {
        fn eq(&self, other: &Self) -> bool {
            self.id == other.id
        }
    }

    #[derive(Debug, Default, Session)]
    struct Visit {
        product: Product,
        sold: std::collections::HashMap<u32, Product>,
    }

    let sessions = TestSessions::new();
    let product = |name: &str| Product {
        id: 1,
        name: String::from(name),
    };
    let visitor = sessions
        .visitor::<Visit>(|visit| {
            visit.set_product(product("pen"));
            visit.update_sold(|sold| sold.insert(1, product("pen")));
        })
        .await;
    let mut session = visitor.session::<Visit>().await;
    session.set_product(product("ink"));
    session.update_sold(|sold| sold.insert(1, product("ink")));
    session.save().await.expect("saved");
    let seen = visitor.session::<Visit>().await;
    assert_eq!(
        (seen.product.name.as_str(), seen.sold[&1].name.as_str()),
        ("ink", "ink")
    );
}

/// A field that expires between the read and the save was changed by no other request: a save of it
/// conflicts with nobody, although the field rejects concurrent changes. A real change still conflicts.
#[actix_web::test]
async fn a_field_that_expires_before_the_save_conflicts_with_nobody() {
    #[derive(Debug, Default, Session)]
    struct Visit {
        #[session(ttl = "10m", on_conflict = "reject")]
        code: Option<u32>,
        page: String,
    }

    let sessions = TestSessions::new();
    let visitor = sessions
        .visitor::<Visit>(|visit| visit.set_code(Some(1)))
        .await;
    sessions.clock().advance(minutes(9));
    let mut session = visitor.session::<Visit>().await;
    assert_eq!(session.code, Some(1));
    sessions.clock().advance(minutes(2));
    session.set_code(Some(2));
    session.save().await.expect("no other request changed it");
    assert_eq!(visitor.session::<Visit>().await.code, Some(2));

    // The store still holds the expired bytes when the field is read as its default.
    sessions.clock().advance(minutes(11));
    let mut session = visitor.session::<Visit>().await;
    assert_eq!(session.code, None);
    session.set_code(Some(3));
    session.save().await.expect("no other request changed it");

    let mut slow = visitor.session::<Visit>().await;
    let mut fast = visitor.session::<Visit>().await;
    sessions.clock().advance(minutes(11));
    fast.set_code(Some(4));
    fast.save().await.expect("saved");
    slow.set_code(Some(5));
    let conflict = slow.save().await.expect_err("another request set it");
    assert!(matches!(conflict, SessionError::Conflict(conflict) if conflict.field == "code"));
}
