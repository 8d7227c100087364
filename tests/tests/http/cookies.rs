//! What the server makes of the cookies it is sent, and what it sends, byte by byte over real sockets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use session::{
    CookieSettings, FilesystemStore, MemoryStore, SessionToken, days, hours, minutes, seconds,
};
use session_tests::client::{Client, Response};
use session_tests::server::ProbeServer;

use super::FRAMEWORK;

fn probe() -> ProbeServer {
    ProbeServer::start_in(FRAMEWORK, MemoryStore::new())
}

fn is_alice(response: &Response) -> bool {
    assert_eq!(response.status, 200, "{response:?}");
    response.text().contains("user=alice\n")
}

fn who(client: &mut Client, headers: &[&[u8]]) -> Response {
    client.raw("GET", "/who", headers)
}

fn signed_in(probe: &ProbeServer, user: &str) -> String {
    let mut client = probe.client();
    client.get(&format!("/login/{user}"));
    client.token()
}

/// The header is exactly this and nothing else.
#[test]
fn the_cookie_has_its_flags_and_nothing_else() {
    let probe = probe();
    let mut client = probe.client();
    let response = client.get("/set/a/1");
    let headers: Vec<&str> = response.all("set-cookie").collect();
    let id = client.token();
    assert_eq!(id.len(), 43);
    assert_eq!(
        headers,
        [format!(
            "__Host-id={id}; Path=/; Secure; HttpOnly; SameSite=Lax"
        )]
    );
}

/// One `Set-Cookie` of the session at the most, whatever the handler did, and the
/// application's own cookies stay.
#[test]
fn one_session_cookie_a_response_and_the_others_stay() {
    let probe = probe();
    let mut client = probe.client();
    client.get("/login/alice");
    let old = client.token();
    let response = client.get("/everything/last");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    for own in ["first=1; Path=/", "second=2; Path=/", "third=3; Path=/"] {
        assert!(response.all("set-cookie").any(|value| value == own));
    }
    assert_eq!(response.all("set-cookie").count(), 4);
    assert_ne!(client.token(), old);
    let seen = client.get("/who").text();
    assert!(
        seen.contains("user=last\n") && seen.contains("b=last\n"),
        "{seen}"
    );
    assert!(seen.contains("\na=\n"), "dropped by the destroy: {seen}");
    assert_eq!(probe.records(), 1);
}

/// For how many seconds a response asks the client to keep the session's cookie.
fn max_age(response: &Response) -> Option<u64> {
    let header = *response.set_cookies("__Host-id").first()?;
    header
        .split("; ")
        .find_map(|attribute| attribute.strip_prefix("Max-Age="))
        .map(|seconds| seconds.parse().expect("a number"))
}

/// Not persistent by default; with `persist_for` no longer than the timeouts of persistent sessions let the
/// session last.
#[test]
fn the_cookie_is_kept_no_longer_than_the_session_can_last() {
    let probe = ProbeServer::configured_in(FRAMEWORK, MemoryStore::new(), |builder| {
        builder.persistent_timeouts(minutes(30), hours(12))
    });
    let mut client = probe.client();
    let response = client.get("/set/a/1");
    let header = response.set_cookies("__Host-id")[0];
    assert!(!header.contains("Max-Age") && !header.contains("Expires"));

    let ten_years = 10 * 365 * 24 * 60 * 60;
    let response = client.get(&format!("/persist/{ten_years}"));
    assert_eq!(max_age(&response), Some(12 * 60 * 60));
    probe.clock.advance(minutes(20));
    let response = client.get("/set/b/2");
    assert_eq!(max_age(&response), Some(12 * 60 * 60 - 20 * 60));
    // A read that moves the expiry moves the cookie's too.
    probe.clock.advance(minutes(20));
    assert_eq!(max_age(&client.get("/who")), Some(12 * 60 * 60 - 40 * 60));
    assert_eq!(max_age(&client.get("/who")), None, "nothing has moved");
    // A shorter life is kept, over a renewal too.
    assert_eq!(max_age(&client.get("/persist/60")), Some(60));
    assert_eq!(max_age(&client.get("/renew")), Some(60));
    // And back until the browser closes.
    let response = client.get("/persist");
    let header = response.set_cookies("__Host-id")[0];
    assert!(!header.contains("Max-Age"));
}

/// `persist_for` alone says how long the cookie is kept and how long the session lasts, used or not; the
/// default timeouts do not cut it short.
#[test]
fn a_remembered_session_lasts_as_long_as_its_cookie() {
    let thirty_days = 30 * 24 * 60 * 60;
    let moment = std::time::Duration::from_millis(1);
    let by_handler = probe();
    let by_setting = ProbeServer::configured_in(FRAMEWORK, MemoryStore::new(), |builder| {
        builder.persist_for(days(30))
    });
    for (probe, path) in [
        (&by_handler, format!("/persist/{thirty_days}")),
        (&by_setting, String::from("/set/a/persistent")),
    ] {
        let mut visitor = probe.client();
        assert_eq!(max_age(&visitor.get(&path)), Some(thirty_days), "{path}");
        let mut idle = probe.client();
        idle.get(&path);
        probe.clock.advance(days(30) - moment);
        assert!(idle.get("/who").text().contains("a=persistent\n"), "{path}");
        probe.clock.advance(moment);
        assert!(idle.get("/who").text().contains("new=true\n"), "{path}");
        assert!(visitor.get("/who").text().contains("new=true\n"), "{path}");
    }
    // The session's own word goes first, for the shorter as well as for no time at all.
    let mut visitor = by_setting.client();
    assert_eq!(max_age(&visitor.get("/persist/3600")), Some(3600));
    let response = visitor.get("/persist");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    assert_eq!(max_age(&response), None);
}

/// A cookie is never asked to be kept for no time at all while its session lives on: that would remove it.
#[test]
fn a_cookie_that_is_kept_for_less_than_a_second_is_kept_for_one() {
    let probe = probe();
    let mut visitor = probe.client();
    assert_eq!(max_age(&visitor.get("/persist/0")), Some(1));
    probe.clock.advance(seconds(1));
    assert!(visitor.get("/who").text().contains("new=true\n"));
    let refused = session::SessionManager::builder(MemoryStore::new())
        .persist_for(std::time::Duration::from_millis(999))
        .build();
    assert_eq!(refused.err(), Some(session::SettingsError::PersistFor));
}

/// What removes the cookie names it exactly as it was set.
#[test]
fn the_removal_matches_the_cookie() {
    for settings in [
        CookieSettings::builder(),
        CookieSettings::builder().name("sid").path("/shop"),
        CookieSettings::builder()
            .name("__Secure-sid")
            .domain("example.org"),
        CookieSettings::builder().same_site(session::SameSite::Strict),
        CookieSettings::builder().insecure_for_local_development(),
        CookieSettings::builder()
            .same_site(session::SameSite::None)
            .partitioned(true),
    ] {
        let settings = settings.build().expect("good settings");
        let name = settings.name().to_owned();
        let probe = ProbeServer::configured_in(FRAMEWORK, MemoryStore::new(), |builder| {
            builder.cookie(settings)
        });
        let mut client = probe.client();
        let set = client.get("/set/a/1").set_cookies(&name)[0].to_owned();
        let id = client.token();
        let removed = client.get("/logout").set_cookies(&name)[0].to_owned();
        let mut expected: Vec<String> = set
            .replace(&id, "")
            .split("; ")
            .map(str::to_owned)
            .collect();
        expected.push(String::from("Max-Age=0"));
        let mut attributes: Vec<String> = removed.split("; ").map(str::to_owned).collect();
        expected.sort();
        attributes.sort();
        assert_eq!(attributes, expected);
        assert_eq!(client.cookie(), None);
    }
}

/// Nothing but the very name is the session's cookie.
#[test]
fn look_alikes_of_the_cookie_are_not_the_session() {
    let probe = probe();
    let id = signed_in(&probe, "alice");
    let mut client = probe.client();
    let good = format!("Cookie: __Host-id={id}");
    assert!(is_alice(&who(&mut client, &[good.as_bytes()])));
    let calls = probe.store_calls();
    let before = calls;
    for name in [
        "%5f%5fHost-id",
        "__Host-%69d",
        "\u{2000}__Host-id",
        "\u{85}__Host-id",
        "\u{a0}__Host-id",
        "__Host-id\u{2000}",
        "__Host-id\u{85}",
        "__Host-id\u{a0}",
        "\u{3000}__Host-id",
        "__host-id",
        "__HOST-ID",
        "__Host-Id",
        "=__Host-id",
        "$Version=1, __Host-id",
        "\"__Host-id\"",
        "x__Host-id",
        "__Host-idx",
        "__Host-id.",
        "__Host-id[]",
        "\u{b}__Host-id",
        "\u{c}__Host-id",
    ] {
        let header = format!("Cookie: {name}={id}");
        let Some(response) = client.try_raw("GET", "/who", &[header.as_bytes()]) else {
            continue;
        };
        // Control characters are refused by the frameworks themselves.
        if response.status != 400 {
            assert!(!is_alice(&response), "accepted as the session: {name:?}");
        }
    }
    for value in [
        format!("\"{id}\""),
        format!("{id}="),
        format!("={id}"),
        format!("%{id}"),
        id.replace('A', "%41") + "%",
        format!("{id}\u{a0}"),
        format!("\u{2000}{id}"),
        format!("{id},"),
        format!("{id} x"),
    ] {
        let header = format!("Cookie: __Host-id={value}");
        assert!(
            !is_alice(&who(&mut client, &[header.as_bytes()])),
            "{value:?}"
        );
    }
    assert_eq!(probe.store_calls(), before, "the store was asked");
    // Space and tab around it are what the RFC allows.
    for header in [
        format!("Cookie:\t__Host-id={id}"),
        format!("Cookie: a=b;\t__Host-id={id}"),
        format!("Cookie: a=b;__Host-id={id}"),
        format!("Cookie: a=b; __Host-id={id} ; c=d"),
    ] {
        assert!(
            is_alice(&who(&mut client, &[header.as_bytes()])),
            "{header:?}"
        );
    }
}

/// Foreign rubbish never hides the session's cookie.
#[test]
fn rubbish_in_other_cookies_never_hides_ours() {
    let probe = probe();
    let id = signed_in(&probe, "alice");
    let ours = format!("Cookie: __Host-id={id}").into_bytes();
    let inline = |before: &[u8], after: &[u8]| {
        let mut header = b"Cookie: ".to_vec();
        header.extend_from_slice(before);
        header.extend_from_slice(format!("__Host-id={id}").as_bytes());
        header.extend_from_slice(after);
        header
    };
    let sixty: Vec<u8> = (0..60)
        .flat_map(|n| format!("c{n}=v{n}; ").into_bytes())
        .collect();
    let variants: Vec<Vec<Vec<u8>>> = vec![
        vec![b"Cookie: a=b".to_vec(), ours.clone()],
        vec![ours.clone(), b"Cookie: a=b".to_vec()],
        vec![b"Cookie: bad=\xff\xfe".to_vec(), ours.clone()],
        vec![ours.clone(), b"Cookie: \xff".to_vec()],
        vec![inline(b"bad=\xff\xfe; ", b"")],
        vec![inline(b"", b"; \xc3\x28=\xa0")],
        vec![inline(b"novalue; ", b"; novalue")],
        vec![inline(b"=emptyname; ", b"; =; ;;")],
        vec![inline(b"bad=%; worse=%zz; ", b"")],
        vec![inline(b"quoted=\"a; ", b"; b\"")],
        vec![inline(b"; ; ;", b";;;")],
        vec![inline(&sixty, b"")],
        vec![inline(b"$Version=1; ", b"; $Path=/")],
        vec![inline(b"__Host-id=rubbish; ", b"")],
        vec![inline(b"", b"; __Host-id=")],
    ];
    let mut client = probe.client();
    for variant in &variants {
        let headers: Vec<&[u8]> = variant.iter().map(Vec::as_slice).collect();
        assert!(is_alice(&who(&mut client, &headers)), "{variant:?}");
    }
}

/// Of several cookies of the name, the live one is the session; of two live ones none is.
#[test]
fn of_two_live_cookies_neither_is_believed() {
    let probe = probe();
    let (alice, bob) = (signed_in(&probe, "alice"), signed_in(&probe, "bob"));
    let bogus = SessionToken::generate().expect("a token").expose();
    let mut client = probe.client();
    for (first, second) in [
        (alice.as_str(), bogus.as_str()),
        (bogus.as_str(), alice.as_str()),
    ] {
        let header = format!("Cookie: __Host-id={first}; __Host-id={second}");
        assert!(is_alice(&who(&mut client, &[header.as_bytes()])));
    }
    // Twice the same is one.
    let header = format!("Cookie: __Host-id={alice}; __Host-id={alice}");
    assert!(is_alice(&who(&mut client, &[header.as_bytes()])));

    let _ = probe.events.take();
    for (first, second) in [(&alice, &bob), (&bob, &alice)] {
        let header = format!("Cookie: __Host-id={first}; __Host-id={second}");
        let response = who(&mut client, &[header.as_bytes()]);
        assert!(response.text().contains("user=-\n"));
        assert!(response.header("set-cookie").is_none());
        assert_eq!(probe.events.take(), ["duplicate_cookie"]);
    }
    // Both still live, each on its own.
    let header = format!("Cookie: __Host-id={alice}");
    assert!(is_alice(&who(&mut client, &[header.as_bytes()])));
}

/// `Secure` does not depend on what the request says of itself.
#[test]
fn secure_is_never_deduced_from_the_request() {
    let probe = probe();
    for header in [
        "X-Forwarded-Proto: http",
        "X-Forwarded-Proto: https",
        "Forwarded: proto=http",
    ] {
        let response = probe.client().raw("GET", "/set/a/1", &[header.as_bytes()]);
        assert!(response.set_cookies("__Host-id")[0].contains("; Secure"));
    }
}

/// An answer to an unknown or replaced token neither sets nor removes a cookie: it may arrive after the one
/// that brought the right token. Only a sign-out removes the cookie that it came with.
#[test]
fn an_unknown_or_replaced_token_removes_no_cookie() {
    let probe = probe();
    let mut visitor = probe.client();
    visitor.get("/set/a/1");
    let old = visitor.token();
    visitor.get("/login/alice");
    let unknown = SessionToken::generate().expect("a token").expose();
    for token in [&old, &unknown] {
        for path in ["/who", "/times", "/role", "/renew", "/clear", "/persist"] {
            let response = probe.holding(token).get(path);
            assert!(response.header("set-cookie").is_none(), "{path}");
        }
    }
    assert!(is_alice(&visitor.get("/who")));
    let mut stranger = probe.holding(&unknown);
    assert_eq!(stranger.get("/logout").set_cookies("__Host-id").len(), 1);
    assert_eq!(stranger.cookie(), None);
    assert!(is_alice(&visitor.get("/who")));
}

/// Reading cookies is bounded: 64 KB of them ask the store four times at the most.
///
/// actix-web refuses heads that large, so the header is as long as that lets through; 64 KB at
/// once are tested beside the parser.
#[test]
fn a_flood_of_cookies_asks_the_store_four_times_at_the_most() {
    let probe = probe();
    let mut client = probe.client();
    let pairs: Vec<String> = (0..400)
        .map(|_| {
            format!(
                "__Host-id={}",
                SessionToken::generate().expect("a token").expose()
            )
        })
        .collect();
    let before = probe.store_calls();
    let header = format!("Cookie: {}", pairs.join("; "));
    let response = who(&mut client, &[header.as_bytes()]);
    assert!(!is_alice(&response));
    assert!(probe.store_calls() - before <= 4);
}

/// Ten thousand generated values: no 5xx, nothing that is malformed reaches the store, no record comes of any, and no file anywhere near is touched.
#[test]
fn ten_thousand_hostile_cookies() {
    let kept = tempfile::tempdir().expect("a folder");
    std::fs::write(kept.path().join("x"), b"beside the store").expect("written");
    let store = FilesystemStore::open(kept.path().join("sessions")).expect("a store");
    let probe = ProbeServer::start_in(FRAMEWORK, store);
    let alice = signed_in(&probe, "alice");
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let values = hostile_values(&alice);
    let mut client = probe.client();
    let records = probe.records();
    let before_all = tree(kept.path());
    let mut well_formed = 0;
    for _ in 0..10_000 {
        let value = values.new_tree(&mut runner).expect("a value").current();
        let is_well_formed = std::str::from_utf8(&value)
            .is_ok_and(|value| SessionToken::parse(value.trim_matches([' ', '\t'])).is_some());
        let before = probe.store_calls();
        let mut header = b"Cookie: __Host-id=".to_vec();
        header.extend_from_slice(&value);
        // What the framework itself refuses gets a 400 and a closed connection, or none at all.
        let Some(response) = client.try_raw("GET", "/who", &[&header]) else {
            continue;
        };
        assert!(response.status < 500, "{}: {value:?}", response.status);
        assert!(response.header("set-cookie").is_none());
        let asked = probe.store_calls() - before;
        if is_well_formed {
            well_formed += 1;
            assert!(asked <= 1);
        } else if !value.contains(&b';') {
            assert_eq!(asked, 0, "the store was asked for {value:?}");
        }
        if response.status == 200 {
            assert!(!is_alice(&response), "let in by {value:?}");
        }
    }
    assert!(
        well_formed > 500,
        "{well_formed} of the values were well formed"
    );
    assert_eq!(probe.records(), records);
    assert_eq!(tree(kept.path()), before_all);
    assert!(is_alice(&client.raw(
        "GET",
        "/who",
        &[format!("Cookie: __Host-id={alice}").as_bytes()]
    )));
}

/// Every file below `folder`, with its bytes.
fn tree(folder: &std::path::Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.insert(path.clone(), Vec::new());
            files.extend(tree(&path));
        } else {
            let bytes = std::fs::read(&path).expect("readable");
            files.insert(path, bytes);
        }
    }
    files
}

/// Path tricks, NUL, overlong, wrong alphabet, near misses, valid shape but unknown, duplicates.
fn hostile_values(alice: &str) -> impl Strategy<Value = Vec<u8>> {
    let near = alice.to_owned();
    let twin = alice.to_owned();
    prop_oneof![
        "[A-Za-z0-9_-]{43}".prop_map(String::into_bytes),
        "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]".prop_map(String::into_bytes),
        "(\\.\\./){1,20}[a-z/]{1,30}".prop_map(String::into_bytes),
        "(%2e%2e%2f|%2e%2e/|..%5c|%00|%0a){1,12}[a-z]{0,20}".prop_map(String::into_bytes),
        "[A-Za-z0-9_-]{44,3000}".prop_map(String::into_bytes),
        "[A-Za-z0-9+/=]{43,44}".prop_map(String::into_bytes),
        "[A-Za-z0-9_-]{0,42}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(|mut bytes| {
            bytes.retain(|byte| !matches!(byte, b'\r' | b'\n'));
            bytes
        }),
        "(CON|NUL|aux|\\*|\\?|'; DROP TABLE sessions|\\$\\(id\\)|<script>){1,3}"
            .prop_map(String::into_bytes),
        "[0-9a-f]{64}".prop_map(String::into_bytes),
        "\\PC{1,60}".prop_map(String::into_bytes),
        (0..43_usize, any::<u8>()).prop_map(move |(at, byte)| {
            let mut bytes = near.clone().into_bytes();
            bytes[at] = if bytes[at] == byte | 1 {
                b'!'
            } else {
                byte | 1
            };
            bytes.retain(|byte| !matches!(byte, b'\r' | b'\n'));
            bytes
        }),
        Just(twin.to_ascii_uppercase().into_bytes())
            .prop_filter("differs", move |value| { value != twin.as_bytes() }),
        ("[A-Za-z0-9_-]{10}", 2..5_usize)
            .prop_map(|(value, count)| { vec![value; count].join("; __Host-id=").into_bytes() }),
    ]
}
