//! The sessions of one owner over real HTTP: showing, ending, changing and limiting them, whatever other
//! requests do meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use session::testing::TestSessions;
use session::{
    CreateOutcome, Cursor, DecodeError, DeleteOutcome, EndReason, MemoryStore, Page, Record,
    Revision, Saved, Session, SessionError, SessionInfo, SessionKey, SessionLimit, SessionManager,
    SessionStore, StoreError, Unreadable, UpdateOutcome, minutes,
};
use session_tests::client::Client;
use session_tests::faults::{Answer, FaultyStore};
use session_tests::gate::Gate;
use session_tests::probe::{self, Visit};
use session_tests::server::{ProbeServer, block_on, key_of};

fn signed_in(probe: &ProbeServer, user: &str) -> Client {
    let mut visitor = probe.client();
    visitor.get(&format!("/set/a/{user}"));
    let response = visitor.get(&format!("/login/{user}"));
    assert_eq!(response.status, 200);
    visitor
}

fn is_alive(probe: &ProbeServer, token: &str) -> bool {
    let seen = probe.holding(token).get("/who").text();
    seen.contains("new=false\n")
}

/// The live sessions of an owner, as the manager finds them.
fn live(probe: &ProbeServer, owner: &str) -> Vec<SessionInfo> {
    block_on(probe.sessions.sessions_of(owner)).expect("the store works")
}

/// When `revoke_all` returns, every session that the owner had when it was called has ended, though all of
/// them get new tokens between the listing and the first end.
#[test]
fn revoking_all_ends_sessions_that_change_their_tokens_meanwhile() {
    for change in ["/renew", "/role/admin", "/set/b/1", "/two/x"] {
        let memory = MemoryStore::new();
        let probe = ProbeServer::start(memory.clone());
        let mut visitors: Vec<Client> = (0..5).map(|_| signed_in(&probe, "alice")).collect();
        let mut bob = signed_in(&probe, "bob");
        // Another process ends them. It has listed them, and waits.
        let store = FaultyStore::new(memory);
        let gate = Gate::default();
        store.hold("modify", &gate);
        let builder = SessionManager::builder(store).clock(probe.clock.clone());
        let sessions = builder.build().expect("good settings");
        let revoked = std::thread::spawn(move || block_on(sessions.revoke_all("alice")));
        gate.wait_for_one();
        for visitor in &mut visitors {
            visitor.get(change);
        }
        gate.open_for_ever();
        let revoked = revoked.join().expect("it ends").expect("the store works");
        assert_eq!(
            (revoked.ended, revoked.unreadable.len()),
            (5, 0),
            "{change}"
        );
        for visitor in &visitors {
            assert!(!is_alive(&probe, &visitor.token()), "{change}");
        }
        assert!(bob.get("/who").text().contains("user=bob\n"));
        assert_eq!(probe.records(), 1);
    }
}

/// What a page shows of a session names it for its whole life: an end by it is told as it is.
#[test]
fn what_a_page_shows_ends_the_session_however_it_has_changed() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut phone = signed_in(&probe, "alice");
    let mut laptop = signed_in(&probe, "alice");
    let bob = signed_in(&probe, "bob");
    let page = laptop.get("/devices").text();
    let mut shown: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    shown.sort_by_key(|(_, which)| *which);
    let (phone_key, laptop_key) = (phone.key().to_string(), laptop.key().to_string());
    assert_eq!(
        shown,
        [(phone_key.as_str(), "other"), (laptop_key.as_str(), "this")]
    );
    for path in ["/renew", "/role/admin", "/set/b/1", "/renew"] {
        phone.get(path);
        probe.clock.advance(minutes(5));
        laptop.get(path);
    }
    // A key may come from a form: another owner's ends nothing, nor does one that is none.
    assert_eq!(
        laptop.get(&format!("/revoke/{}", bob.key())).text(),
        "false"
    );
    assert!(is_alive(&probe, &bob.token()));
    assert_eq!(laptop.get("/revoke/rubbish").status, 404);
    assert_eq!(laptop.get(&format!("/revoke/{phone_key}")).text(), "true");
    assert!(!is_alive(&probe, &phone.token()));
    assert_eq!(laptop.get(&format!("/revoke/{phone_key}")).text(), "false");
    assert!(is_alive(&probe, &laptop.token()));
}

/// "Sign out everywhere else" ends the others and keeps this one, whatever it is asked while.
#[test]
fn revoking_the_others_keeps_this_one() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut this = signed_in(&probe, "alice");
    let others: Vec<Client> = (0..3).map(|_| signed_in(&probe, "alice")).collect();
    assert_eq!(this.get("/revoke-others").text(), "3");
    assert!(is_alive(&probe, &this.token()));
    for other in &others {
        assert!(!is_alive(&probe, &other.token()));
    }

    // Another tab of this session gives it a new token meanwhile: the request that does not know it is told
    // so, and ends nothing, this session least of all.
    let other = signed_in(&probe, "alice");
    let mut tab = probe.holding(&this.token());
    let tab = std::thread::spawn(move || tab.get("/held/revoke-others"));
    probe.gate.wait_for_one();
    this.get("/renew");
    probe.gate.open();
    assert_eq!(tab.join().expect("answered").status, 401);
    assert!(is_alive(&probe, &this.token()));
    assert!(is_alive(&probe, &other.token()));
    // A visitor without an account has no others.
    let mut nobody = probe.client();
    nobody.get("/set/a/1");
    assert_eq!(nobody.get("/revoke-others").status, 401);
}

/// A sweep in the middle of a change of privilege ends nothing that is alive.
#[test]
fn a_sweep_during_a_change_of_privilege_ends_nothing() {
    for change in ["/renew", "/login/bob", "/role/admin"] {
        for is_carried_out in [false, true] {
            let memory = MemoryStore::new();
            let store = FaultyStore::new(memory.clone());
            let probe = ProbeServer::start(store.clone());
            let sweeper = ProbeServer::start(memory);
            let visitor = signed_in(&probe, "alice");
            let gate = Gate::default();
            if is_carried_out {
                store.answer("modify", Answer::Held(gate.clone()));
            } else {
                store.hold("modify", &gate);
            }
            let mut client = probe.holding(&visitor.token());
            let changing = std::thread::spawn(move || {
                client.get(change);
                client.token()
            });
            gate.wait_for_one();
            let swept = block_on(sweeper.sessions.remove_expired());
            assert_eq!(swept.expect("the store works"), 0);
            gate.open_for_ever();
            let token = changing.join().expect("answered");
            assert_ne!(token, visitor.token(), "{change}");
            assert!(is_alive(&probe, &token), "{change}");
        }
    }
}

/// A listing gives each session once, by the key that it keeps, though all of them get new tokens between two
/// of its pages.
#[test]
fn a_listing_gives_each_session_once() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitors: BTreeMap<SessionKey, Client> = BTreeMap::new();
    for _ in 0..600 {
        let visitor = signed_in(&probe, "alice");
        visitors.insert(visitor.key(), visitor);
    }
    let mut listing = probe.sessions.list();
    let now = block_on(listing.next()).expect("some").expect("readable");
    let now = now.last_seen;
    for visitor in visitors.values_mut() {
        visitor.get("/renew");
    }
    let mut seen = BTreeSet::new();
    let mut all = probe.sessions.list();
    block_on(async {
        while let Some(found) = listing.next().await {
            let found = found.expect("readable");
            assert!(seen.insert(found.key), "given twice");
            assert_eq!(found.last_seen, now);
        }
        let mut count = 0;
        while let Some(found) = all.next().await {
            assert!(visitors.contains_key(&found.expect("readable").key));
            count += 1;
        }
        assert_eq!(count, 600);
    });
    assert_eq!(seen.len(), 599);
    let found = live(&probe, "alice");
    assert_eq!(found.len(), 600);
}

/// A store in which a record of a newer version of the library is under one key.
#[derive(Clone)]
struct Newer {
    store: MemoryStore,
    key: Arc<Mutex<Option<SessionKey>>>,
}

impl Newer {
    fn error(&self, key: &SessionKey) -> Option<StoreError> {
        let newer = *self.key.lock().expect("not poisoned");
        let version = session::FORMAT_VERSION + 1;
        (newer == Some(*key))
            .then_some(StoreError::Unreadable(DecodeError::NewerFormat { version }))
    }
}

impl SessionStore for Newer {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        match self.error(key) {
            Some(error) => Err(error),
            None => self.store.load(key).await,
        }
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.store.create(key, record).await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        match self.error(key) {
            Some(error) => Err(error),
            None => self.store.update(key, record, expected).await,
        }
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        match (self.error(key), expected) {
            (Some(error), Some(_)) => Err(error),
            _ => self.store.delete(key, expected).await,
        }
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        let mut page = self.store.list(after, at_most).await?;
        let is_newer = |info: &SessionInfo| self.error(&info.key).is_some();
        let newer: Vec<SessionKey> = page
            .sessions
            .iter()
            .filter(|info| is_newer(info))
            .map(|info| info.key)
            .collect();
        page.sessions.retain(|info| !is_newer(info));
        for key in newer {
            if let Some(error) = self.error(&key) {
                page.unreadable.push(Unreadable::new(key, error));
            }
        }
        Ok(page)
    }
}

/// What cannot be read is told by `revoke_all`, since it may be alive where it can be read, and can be ended
/// unread.
#[test]
fn revoking_all_tells_what_it_could_not_read() {
    let store = Newer {
        store: MemoryStore::new(),
        key: Arc::default(),
    };
    let probe = ProbeServer::start(store.clone());
    let (readable, newer) = (signed_in(&probe, "alice"), signed_in(&probe, "alice"));
    *store.key.lock().expect("not poisoned") = Some(newer.key());
    let revoked = block_on(probe.sessions.revoke_all("alice")).expect("the store works");
    assert_eq!(revoked.ended, 1);
    assert_eq!(revoked.unreadable, [newer.key()]);
    assert!(!is_alive(&probe, &readable.token()));
    // Its visitor is told of an error, rather than given a new session in its place.
    assert_eq!(probe.holding(&newer.token()).get("/who").status, 500);
    let ended = block_on(probe.sessions.end(&newer.key()));
    assert!(ended.expect("the store works"));
    let ended = block_on(probe.sessions.end(&newer.key()));
    assert!(!ended.expect("the store works"), "it is not there any more");
    *store.key.lock().expect("not poisoned") = None;
    assert_eq!(probe.records(), 0);
}

fn limited(store: impl SessionStore, limit: usize, on_full: SessionLimit) -> ProbeServer {
    ProbeServer::configured(store, |builder| {
        builder.max_sessions_per_owner(limit, on_full)
    })
}

/// The newcomer stays and the oldest ends, however the others have changed since.
#[test]
fn a_sign_in_past_the_limit_ends_the_oldest() {
    let probe = limited(MemoryStore::new(), 2, SessionLimit::EvictOldest);
    let mut first = signed_in(&probe, "alice");
    probe.clock.advance(minutes(1));
    let second = signed_in(&probe, "alice");
    probe.clock.advance(minutes(1));
    // The first one is used, and gets a new token; it is still the one that signed in first.
    first.get("/renew");
    first.get("/role/admin");
    let third = signed_in(&probe, "alice");
    assert!(!is_alive(&probe, &first.token()));
    assert!(is_alive(&probe, &second.token()) && is_alive(&probe, &third.token()));
    assert_eq!(probe.events.count("evicted"), 1);
    // Another owner is another matter, and so is nobody.
    signed_in(&probe, "bob");
    assert_eq!(live(&probe, "alice").len(), 2);
}

/// A sign-in past the limit is refused and tells so; the session is as it was, and its old token is good.
#[test]
fn a_sign_in_past_the_limit_can_be_refused() {
    let probe = limited(MemoryStore::new(), 2, SessionLimit::RejectNew);
    let mut visitors = [signed_in(&probe, "alice"), signed_in(&probe, "alice")];
    let mut refused = probe.client();
    refused.get("/set/a/cart");
    let token = refused.token();
    for path in ["/login/alice", "/login-early/alice"] {
        let response = refused.get(path);
        assert_eq!(response.status, 409, "{path}");
        assert!(response.header("set-cookie").is_none(), "{path}");
        assert_eq!(refused.token(), token);
        let seen = refused.get("/who").text();
        assert!(
            seen.contains("user=-\n") && seen.contains("\na=cart\n"),
            "{seen}"
        );
    }
    // One without a session before has none afterwards.
    let mut stranger = probe.client();
    assert_eq!(stranger.get("/login/alice").status, 409);
    assert_eq!(stranger.cookie(), None);
    assert_eq!(probe.records(), 3);
    // Setting the owner to the same one is no sign-in of another.
    assert_eq!(visitors[0].get("/login/alice").status, 200);
    visitors[1].get("/logout");
    assert_eq!(refused.get("/login/alice").status, 200);
    assert!(refused.get("/who").text().contains("user=alice\n"));
    assert_eq!(live(&probe, "alice").len(), 2);
}

/// The limit is exact in both directions while the others get new tokens in the middle of the count.
#[test]
fn the_limit_is_exact_under_changes_of_privilege() {
    for (on_full, before) in [
        (SessionLimit::EvictOldest, 2),
        (SessionLimit::EvictOldest, 1),
        (SessionLimit::RejectNew, 1),
    ] {
        let memory = MemoryStore::new();
        let store = FaultyStore::new(memory.clone());
        let others = ProbeServer::start(memory);
        let probe = limited(store.clone(), 2, on_full);
        let mut signed: Vec<Client> = Vec::new();
        for _ in 0..before {
            signed.push(signed_in(&others, "alice"));
            others.clock.advance(minutes(1));
        }
        probe.clock.advance(minutes(5));
        let gate = Gate::default();
        store.answer("sessions_of", Answer::Held(gate.clone()));
        let mut newcomer = probe.client();
        let newcomer = std::thread::spawn(move || {
            let status = newcomer.get("/login/alice").status;
            (status, newcomer.token())
        });
        gate.wait_for_one();
        for visitor in &mut signed {
            visitor.get("/renew");
            visitor.get("/role/admin");
        }
        gate.open_for_ever();
        let (status, token) = newcomer.join().expect("answered");
        assert_eq!(status, 200);
        assert!(is_alive(&probe, &token), "{on_full:?}: the newcomer stays");
        let alive = signed.iter().filter(|one| is_alive(&others, &one.token()));
        assert_eq!(alive.count(), 1, "{on_full:?} of {before}");
        assert_eq!(live(&probe, "alice").len(), 2);
    }
}

/// A crowd that signs in at once: exactly the limit at the end. Those who are refused are told so.
#[test]
fn the_limit_is_exact_in_a_crowd() {
    for on_full in [SessionLimit::EvictOldest, SessionLimit::RejectNew] {
        let store = FaultyStore::new(MemoryStore::new());
        let probe = limited(store.clone(), 3, on_full);
        let gate = Gate::default();
        store.answer("create", Answer::Held(gate.clone()));
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let crowd: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| probe.client().get("/login/alice").status))
                .collect();
            gate.wait_for(16);
            gate.open_for_ever();
            let answers = crowd.into_iter().map(|one| one.join().expect("answered"));
            answers.collect()
        });
        statuses.sort_unstable();
        statuses.dedup();
        let alive = live(&probe, "alice").len();
        match on_full {
            // Two that race for the last place may both be refused; never are there more.
            SessionLimit::RejectNew => {
                assert!(alive <= 3, "{alive}");
                assert!(statuses.contains(&409));
            }
            _ => {
                assert_eq!(alive, 3);
                assert_eq!(statuses, [200]);
            }
        }
        assert_eq!(probe.records_of("alice"), alive);
    }
}

/// A refused sign-in that was found applied after its answer was lost does not stay either.
#[test]
fn a_refused_sign_in_in_doubt_does_not_stay() {
    let store = FaultyStore::new(MemoryStore::new());
    let probe = limited(store.clone(), 1, SessionLimit::RejectNew);
    let alice = signed_in(&probe, "alice");
    for path in [
        "/login/alice",
        "/login-early/alice",
        "/login-in-steps/alice",
    ] {
        let mut visitor = probe.client();
        visitor.get("/set/a/cart");
        store.answer("modify", Answer::lost_once());
        assert_eq!(visitor.get(path).status, 409, "{path}");
        store.repair();
        assert_eq!(live(&probe, "alice").len(), 1, "{path}");
        assert!(is_alive(&probe, &alice.token()), "{path}");
    }
}

/// Clients that reset their sign-ins half way leave at most as many sessions as are allowed.
#[test]
fn clients_that_go_away_half_way_leave_no_more_sessions_than_allowed() {
    let store = FaultyStore::new(MemoryStore::new());
    let probe = limited(store.clone(), 2, SessionLimit::EvictOldest);
    let mut visitor = signed_in(&probe, "alice");
    for operation in ["create", "modify", "sessions_of"] {
        for is_carried_out in [false, true] {
            let gate = Gate::default();
            if is_carried_out {
                store.answer(operation, Answer::Held(gate.clone()));
            } else {
                store.hold(operation, &gate);
            }
            let sent: Vec<_> = (0..8)
                .map(|_| {
                    let mut client = probe.client();
                    if operation == "modify" {
                        client.get("/set/a/1");
                    }
                    client.send("/login/alice")
                })
                .collect();
            gate.wait_for(8);
            for request in sent {
                request.reset();
            }
            gate.open_for_ever();
            store.repair();
        }
    }
    // Each of them is carried out to its end, and counts.
    let started = Instant::now();
    while probe.calls().create < 49 || probe.records_of("alice") > 2 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "too many sessions stay"
        );
        std::thread::yield_now();
    }
    // It is later than the others, so it is none of the oldest.
    probe.clock.advance(minutes(1));
    visitor.hold(None);
    assert_eq!(visitor.get("/login/alice").status, 200);
    assert_eq!(live(&probe, "alice").len(), 2);
    assert!(is_alive(&probe, &visitor.token()));
}

/// An operator changes a session that was found: merged with what its visitor changes, who keeps the token.
#[test]
fn a_session_that_was_found_can_be_changed() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = signed_in(&probe, "alice");
    let token = visitor.token();
    let mut tab = probe.holding(&token);
    let tab = std::thread::spawn(move || tab.get("/held"));
    probe.gate.wait_for_one();
    let found = &live(&probe, "alice")[0];
    let saved = block_on(probe.sessions.update(found, |visit: &mut Session<Visit>| {
        assert_eq!(visit.user.as_deref(), Some("alice"));
        visit.set_b(String::from("by the operator"));
        visit.set_role(Some(String::from("blocked")));
    }));
    assert_eq!(saved.expect("saved"), Saved::Written);
    probe.gate.open();
    assert_eq!(tab.join().expect("answered").status, 200);
    let response = visitor.get("/who");
    let seen = response.text();
    assert!(
        seen.contains("role=blocked\na=alice\nb=by the operator\nlast_page=held\n"),
        "{seen}"
    );
    assert!(response.header("set-cookie").is_none());
    assert_eq!(visitor.token(), token);
    let unchanged = block_on(probe.sessions.update(found, |_: &mut Session<Visit>| {}));
    assert_eq!(unchanged.expect("nothing to do"), Saved::Unchanged);
    visitor.get("/logout");
    let ended = block_on(probe.sessions.update(found, |visit: &mut Session<Visit>| {
        visit.set_b(String::from("too late"));
    }));
    assert!(matches!(ended, Err(SessionError::Ended)), "{ended:?}");
    let view = block_on(probe.sessions.view::<Visit>(found));
    assert!(view.expect("the store works").is_none());
    assert_eq!(probe.records(), 0);
}

/// What was called when which session ended.
type Ended = Arc<Mutex<Vec<(SessionKey, EndReason, Option<String>)>>>;

fn watched(store: impl SessionStore, ended: &Ended) -> ProbeServer {
    let ended = Arc::clone(ended);
    ProbeServer::configured(store, move |builder| {
        let builder = builder.max_sessions_per_owner(2, SessionLimit::EvictOldest);
        builder.on_end(move |session| {
            let held = session.view::<Visit>().map(|visit| visit.a.clone());
            let told = (session.key, session.reason, held);
            ended.lock().expect("not poisoned").push(told);
        })
    })
}

/// Whatever ends a session and however many do at once, the application is told once, with what it held.
#[test]
fn the_end_of_a_session_is_told_once() {
    let ended = Ended::default();
    let memory = MemoryStore::new();
    let store = FaultyStore::new(memory.clone());
    let probe = watched(store.clone(), &ended);
    let other = watched(memory, &ended);
    let told = || std::mem::take(&mut *ended.lock().expect("not poisoned"));
    let held = || Some(String::from("alice"));

    // By several sign-outs and a revocation at once.
    let visitor = signed_in(&probe, "alice");
    let gate = Gate::default();
    store.hold("delete", &gate);
    store.hold("modify", &gate);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| probe.holding(&visitor.token()).get("/logout"));
        }
        scope.spawn(|| block_on(probe.sessions.revoke("alice", &visitor.key())));
        gate.wait_for(5);
        gate.open_for_ever();
    });
    store.repair();
    let all = told();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].0, &all[0].2), (visitor.key(), &held()));

    // By the limit.
    let first = signed_in(&probe, "alice");
    probe.clock.advance(minutes(1));
    let (second, third) = (signed_in(&probe, "alice"), signed_in(&probe, "alice"));
    assert_eq!(told(), [(first.key(), EndReason::Evicted, held())]);

    // By an operator.
    let is_ended = block_on(probe.sessions.end(&second.key()));
    assert!(is_ended.expect("the store works"));
    assert_eq!(told(), [(second.key(), EndReason::Revoked, held())]);

    // By time, found by two sweeps at once, and after a request has met it.
    probe.clock.advance(minutes(31));
    other.clock.advance(minutes(32));
    assert!(!is_alive(&probe, &third.token()));
    assert_eq!(told(), []);
    std::thread::scope(|scope| {
        for probe in [&probe, &other, &probe] {
            scope.spawn(|| block_on(probe.sessions.remove_expired()));
        }
    });
    assert_eq!(told(), [(third.key(), EndReason::Expired, held())]);

    // A save, a new token and a session that was not stored are no ends.
    let mut visitor = signed_in(&probe, "alice");
    visitor.get("/renew");
    probe.client().get("/logout");
    visitor.get("/clear");
    assert_eq!(told(), []);
    let mut other = probe.holding(&visitor.token());
    visitor.get("/logout");
    other.get("/logout");
    assert_eq!(told().len(), 1);
}

/// Handlers find and end sessions by a manager that they extract, whose type names no store: so they run in
/// tests as in production.
#[actix_web::test]
async fn handlers_that_find_sessions_run_over_any_store() {
    use actix_web::test::{TestRequest, call_and_read_body, init_service};

    for sessions in [
        TestSessions::new(),
        TestSessions::over(FaultyStore::new(MemoryStore::new())),
        TestSessions::with(|builder| builder.idle_timeout(minutes(5))),
    ] {
        let app = actix_web::App::new().wrap(sessions.middleware());
        let app = init_service(app.configure(probe::routes)).await;
        let as_alice = |visit: &mut probe::VisitTracked| visit.set_user(Some("alice".into()));
        let laptop = sessions.visitor::<Visit>(as_alice).await;
        let mut phone = sessions.visitor::<Visit>(as_alice).await;
        let request = laptop.request(TestRequest::get().uri("/revoke-others"));
        assert_eq!(call_and_read_body(&app, request.to_request()).await, "1");
        let response = phone.call(&app, TestRequest::get().uri("/required")).await;
        assert_eq!(response.status(), 401);
        let devices = laptop.request(TestRequest::get().uri("/devices"));
        let body = call_and_read_body(&app, devices.to_request()).await;
        let key = key_of(laptop.cookie().expect("a cookie"));
        assert_eq!(body, format!("{key} this\n"));
    }
}
