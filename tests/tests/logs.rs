//! What is said in the log: stable events, and no id, key or value in any form.

use base64::Engine as _;
use session::{MemoryStore, SessionId, SessionStore as _, StoreKey};
use session_tests::server::ProbeServer;

/// LG-4: each flow gives exactly its events.
#[test]
fn each_flow_gives_exactly_its_events() {
    let probe = ProbeServer::start(MemoryStore::new());
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
    expect("/logout", &["destroyed"]);
    expect("/set/a/1", &["created"]);
    probe.clock.advance(session::hours(1));
    expect("/who", &["expired"]);
    expect("/set/a/1", &["expired", "created"]);
    let forged = SessionId::generate().expect("an id");
    probe.holding(forged.as_str()).get("/who");
    assert_eq!(probe.events.take(), ["unknown_id"]);
    probe.holding("rubbish").get("/who");
    assert_eq!(probe.events.take(), ["malformed_id"]);
}

/// LG-5: a burst of unknown ids can be counted.
#[test]
fn unknown_ids_can_be_counted() {
    let probe = ProbeServer::start(MemoryStore::new());
    for _ in 0..1000 {
        let forged = SessionId::generate().expect("an id");
        probe.holding(forged.as_str()).get("/who");
    }
    assert_eq!(probe.events.count("unknown_id"), 1000);
}

/// LG-1 [gate]: through all flows, at every level, from every crate: no id and no key in any encoding,
/// and no value of a field.
#[test]
fn the_log_holds_no_id_no_key_and_no_value() {
    let probe = ProbeServer::start(MemoryStore::new());
    let canary = "canary-value-5f1c";
    let mut ids = Vec::new();
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
    ] {
        visitor.get(path);
        ids.extend(visitor.cookie().map(str::to_owned));
    }
    let bob = {
        let mut bob = probe.client();
        bob.get("/login/bob");
        bob.id()
    };
    let header = format!("Cookie: __Host-id={}; __Host-id={bob}", visitor.id());
    probe.client().raw("GET", "/who", &[header.as_bytes()]);
    let forged = SessionId::generate().expect("an id").as_str().to_owned();
    probe.holding(&forged).get("/who");
    probe.holding("rubbish-canary-value-5f1c").get("/who");
    let cookie = format!("Cookie: __Host-id={}", visitor.id());
    let _ = probe
        .client()
        .try_raw("GET", "/panic", &[cookie.as_bytes()]);
    let slow = {
        let mut client = probe.holding(&visitor.id());
        std::thread::spawn(move || client.get("/held"))
    };
    probe.gate.wait_for_one();
    visitor.get("/logout");
    probe.gate.open();
    slow.join().expect("answered");
    ids.extend([bob, forged]);

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
        for id in &ids {
            for form in forms(id) {
                assert!(!text.contains(&form.to_lowercase()), "an id: {}", line.text);
            }
        }
    }
}

/// The id and its store key as text, hex, base64 and the bytes behind it.
fn forms(id: &str) -> Vec<String> {
    let engine = base64::engine::general_purpose::STANDARD;
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat()
    };
    let key = StoreKey::new("__Host-id", &SessionId::parse(id).expect("an id"));
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(id)
        .expect("an id");
    vec![
        id.to_owned(),
        hex(id.as_bytes()),
        engine.encode(id),
        hex(&raw),
        engine.encode(&raw),
        key.as_str().to_owned(),
        key.as_str()[..8].to_owned(),
    ]
}

/// LG-2 [gate]: no public type prints an id, a key or a value, in any of its ways of printing.
#[tokio::test]
async fn no_public_type_prints_a_secret() {
    use session::{Record, Session, SessionInfo, SessionManager, Timestamp};
    use session_tests::probe::Visit;

    let canary = "canary-value-5f1c";
    let store = MemoryStore::new();
    let sessions = SessionManager::builder(store.clone()).build();
    let mut session: Session<Visit> = sessions.get(None).await.expect("a session");
    session.set_secret(Some(canary.to_owned()));
    let change = sessions.save(&mut session).await.expect("saved");
    let id = session.id();
    let key = StoreKey::new(sessions.cookie().name(), &id);
    let mut record = store.load(&key).await.expect("loaded").expect("there");
    record.owner = Some(canary.to_owned());
    let info = SessionInfo::new(key.clone(), &record, 1);
    let slot = sessions.slot();
    slot.open(std::slice::from_ref(&id)).await.expect("opened");
    let printed = [
        format!("{id:?} {id:#?}"),
        format!("{key:?} {key:#?}"),
        format!("{record:?} {record:#?}"),
        format!("{:?} {:#?}", record.fields, record.fields),
        format!("{info:?} {info:#?}"),
        format!("{session:?} {session:#?}"),
        format!("{change:?} {change:#?}"),
        format!("{slot:?} {:?}", slot.opened()),
        format!("{sessions:?} {store:?} {:?}", store.clone().boxed()),
        format!("{:?}", store.list()),
        format!("{:?}", Record::new(Timestamp::default(), Timestamp::MAX)),
    ];
    for text in printed {
        for form in forms(id.as_str()) {
            assert!(!text.contains(&form), "{text}");
        }
        assert!(!text.contains(canary), "{text}");
    }
}
