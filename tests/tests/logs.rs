//! What is said in the log: stable events, the session's public key, and no secret and no value in any form.

use base64::Engine as _;
use session::{MemoryStore, SessionToken};
use session_tests::faults::FaultyStore;
use session_tests::server::{ProbeServer, key_of};

/// Each flow gives exactly its events.
#[test]
fn each_flow_gives_exactly_its_events() {
    let store = FaultyStore::new(MemoryStore::new());
    let probe = ProbeServer::start(store.clone());
    let mut visitor = probe.client();
    let mut expect = |path: &str, expected: &[&str]| {
        visitor.get(path);
        assert_eq!(probe.events.take(), expected, "{path}");
    };
    expect("/noop", &[]);
    expect("/who", &[]);
    expect("/set/a/1", &["created"]);
    expect("/set/a/2", &[]);
    expect("/login/alice", &["renewed"]);
    expect("/renew", &["renewed"]);
    expect("/clear", &["renewed"]);
    expect("/big/70000", &["save_refused"]);
    store.fail("modify");
    expect("/set/a/3", &["store_failure"]);
    store.repair();
    expect("/logout", &["destroyed"]);
    expect("/set/a/1", &["created"]);
    probe.clock.advance(session::hours(1));
    expect("/who", &["arrived_expired"]);
    expect("/set/a/1", &["arrived_expired", "created"]);
    let forged = SessionToken::generate().expect("a token").expose();
    probe.holding(&forged).get("/who");
    assert_eq!(probe.events.take(), ["unknown_token"]);
    probe.holding("rubbish").get("/who");
    assert_eq!(probe.events.take(), ["malformed_token"]);
}

/// What belongs to one session has its key, which is the same in every process, over sign-ins, and on a
/// page that lists sessions.
#[test]
fn the_log_names_a_session_by_its_key() {
    let store = MemoryStore::new();
    let probes = [ProbeServer::start(store.clone()), ProbeServer::start(store)];
    let mut visitor = probes[0].client();
    visitor.get("/set/a/1");
    let key = visitor.key();
    visitor.get("/login/alice");
    let mut other = probes[1].holding(&visitor.token());
    other.get("/renew");
    assert_eq!(other.get("/key").text(), key.to_string());
    assert_eq!(other.get("/devices").text(), format!("{key} this\n"));
    other.get("/logout");
    for (probe, expected) in [
        (&probes[0], &["created", "renewed"][..]),
        (&probes[1], &["renewed", "destroyed"][..]),
    ] {
        let lines = probe.events.lines();
        let told: Vec<&str> = lines
            .iter()
            .filter(|line| line.text.contains(&format!("session={key} ")))
            .map(|line| line.name.as_str())
            .collect();
        assert_eq!(told, expected);
    }
}

/// A burst of unknown tokens can be counted.
#[test]
fn unknown_tokens_can_be_counted() {
    let probe = ProbeServer::start(MemoryStore::new());
    for _ in 0..1000 {
        let forged = SessionToken::generate().expect("a token").expose();
        probe.holding(&forged).get("/who");
    }
    assert_eq!(probe.events.count("unknown_token"), 1000);
}

/// Through all flows, at every level: no token and no secret in any encoding, and no value of a field.
#[test]
fn the_log_holds_no_token_and_no_value() {
    let probe = ProbeServer::start(MemoryStore::new());
    let canary = "canary-value-5f1c";
    let mut tokens = Vec::new();
    let mut visitor = probe.client();
    for path in [
        "/set/a/canary-value-5f1c",
        "/set/secret/canary-value-5f1c",
        "/login/canary-value-5f1c",
        "/who",
        "/renew",
        "/two/canary-value-5f1c",
        "/stream",
        "/stream-saving",
        "/fail/404",
        "/fail/500",
        "/big/70000",
        "/persist/100",
        "/times",
        "/role/canary-value-5f1c",
        "/everything/canary-value-5f1c",
        "/logout-and-set/canary-value-5f1c",
        "/login-early/canary-value-5f1c/500",
        "/login-early/canary-value-5f1c/403",
    ] {
        visitor.get(path);
        tokens.extend(visitor.cookie().map(str::to_owned));
    }
    let bob = {
        let mut bob = probe.client();
        bob.get("/login/bob");
        bob.token()
    };
    let header = format!("Cookie: __Host-id={}; __Host-id={bob}", visitor.token());
    probe.client().raw("GET", "/who", &[header.as_bytes()]);
    let forged = SessionToken::generate().expect("a token").expose();
    probe.holding(&forged).get("/who");
    probe.holding("rubbish-canary-value-5f1c").get("/who");
    let cookie = format!("Cookie: __Host-id={}", visitor.token());
    let _ = probe
        .client()
        .try_raw("GET", "/panic", &[cookie.as_bytes()]);
    let slow = {
        let mut client = probe.holding(&visitor.token());
        std::thread::spawn(move || client.get("/held"))
    };
    probe.gate.wait_for_one();
    visitor.get("/logout");
    probe.gate.open();
    slow.join().expect("answered");
    tokens.extend([bob, forged]);

    let lines = probe.events.take_lines();
    assert!(lines.len() > 30, "there is something to look at");
    let ours: Vec<&_> = lines
        .iter()
        // actix-web's own request parser shows whole heads at TRACE; that is not ours to change.
        .filter(|line| line.target.starts_with("session"))
        .collect();
    assert!(ours.len() > 10);
    for line in ours {
        let text = line.text.to_lowercase();
        assert!(!text.contains(canary), "a value: {}", line.text);
        for token in &tokens {
            for form in forms(token) {
                let form = form.to_lowercase();
                assert!(!text.contains(&form), "a secret: {}", line.text);
            }
        }
    }
}

/// A token and its secret half as text, hex, base64 and the bytes behind it.
fn forms(token: &str) -> Vec<String> {
    let engine = base64::engine::general_purpose::STANDARD;
    let hex = |bytes: &[u8]| {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat()
    };
    let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let raw = url_safe.decode(token).expect("a token");
    let secret = &raw[16..];
    vec![
        token.to_owned(),
        token[22..].to_owned(),
        hex(token.as_bytes()),
        engine.encode(token),
        hex(secret),
        format!("{secret:?}"),
        engine.encode(secret),
        url_safe.encode(secret),
    ]
}

/// No public type prints a secret or a value, in any of its ways of printing.
#[tokio::test]
async fn no_public_type_prints_a_secret() {
    use session::testing::TestSessions;
    use session::{
        CookieChange, Record, Session, SessionInfo, SessionManager, SessionStore as _, Timestamp,
    };
    use session_tests::probe::Visit;

    let canary = "canary-value-5f1c";
    let store = MemoryStore::new();
    let sessions = SessionManager::new(store.clone());
    let mut session: Session<Visit> = sessions.open(None).await.expect("a session");
    session.set_secret(Some(canary.to_owned()));
    let change = sessions.save(&mut session).await.expect("saved");
    let CookieChange::Set { token, .. } = change.clone() else {
        panic!("a new session sets a cookie");
    };
    let text = token.expose();
    let key = token.key();
    let mut record = store.load(&key).await.expect("loaded").expect("there");
    record.owner = Some(canary.to_owned());
    let info = SessionInfo::new(key, &record, 1);
    let header = format!("__Host-id={text}");
    let request = sessions.request([header.as_bytes()]);
    let mut opened: Session<Visit> = request.session().await.expect("opened");
    opened.renew();
    drop(opened);
    let finish = request.commit(200).await;
    let renewed = finish.headers().find(|(name, _)| *name == "set-cookie");
    let (_, renewed) = renewed.expect("a cookie is set");
    let renewed = renewed["__Host-id=".len()..][..SessionToken::LENGTH].to_owned();
    assert_eq!(key_of(&renewed), key);
    let visitor = TestSessions::new();
    let visitor = visitor.visitor::<Visit>(|visit| visit.set_a("1".into()));
    let visitor = visitor.await;
    let printed = [
        format!("{token:?} {token:#?}"),
        format!("{record:?} {record:#?}"),
        format!("{:?} {:#?}", record.proof, record.replaced),
        format!("{:?} {:#?}", record.fields, record.fields),
        format!("{info:?} {info:#?}"),
        format!("{session:?} {session:#?}"),
        format!("{change:?} {change:#?}"),
        format!("{request:?} {request:#?}"),
        format!("{finish:?} {finish:#?}"),
        format!("{sessions:?} {store:?}"),
        format!("{:?}", sessions.list()),
        format!("{visitor:?}"),
        format!("{:?}", Record::new(Timestamp::default(), Timestamp::MAX)),
    ];
    for printed in printed {
        for token in [&text, &renewed, &visitor.cookie().expect("one").to_owned()] {
            for form in forms(token) {
                assert!(!printed.contains(&form), "{printed}");
            }
        }
        assert!(!printed.contains(canary), "{printed}");
    }
}
