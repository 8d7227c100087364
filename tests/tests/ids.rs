//! Session ids: where they come from, and what they are good for.

use std::collections::HashSet;

use session::{FilesystemStore, MemoryStore, SessionId, StoreKey};
use session_tests::server::ProbeServer;

/// ID-1 [gate], ID-10: 256 random bits in 43 characters, all different, no position favoured.
#[test]
fn a_hundred_thousand_ids_are_random_and_distinct() {
    const COUNT: usize = 100_000;
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut seen = HashSet::new();
    let mut counts = vec![[0_u32; 64]; 43];
    for _ in 0..COUNT {
        let id = SessionId::generate().expect("an id");
        assert_eq!(id.as_str().len(), 43);
        for (position, character) in id.as_str().bytes().enumerate() {
            let value = alphabet.iter().position(|known| *known == character);
            counts[position][value.expect("of the alphabet")] += 1;
        }
        assert!(seen.insert(id.as_str().to_owned()));
    }
    for (position, counts) in counts.iter().enumerate() {
        // The last character holds four bits.
        let legal = if position == 42 { 16 } else { 64 };
        let expected = f64::from(u32::try_from(COUNT).expect("small")) / f64::from(legal);
        let used = counts.iter().filter(|count| **count > 0).count();
        assert_eq!(
            used,
            usize::try_from(legal).expect("small"),
            "position {position}"
        );
        let chi: f64 = counts
            .iter()
            .filter(|count| **count > 0)
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        // p = 1e-9 for 63 degrees of freedom; 43 positions.
        assert!(chi < 140.0, "position {position}: chi² is {chi}");
    }
}

/// ID-4 [gate]: an id that was not issued is not adopted.
#[test]
fn an_id_that_was_not_issued_is_not_adopted() {
    let probe = ProbeServer::start(MemoryStore::new());
    let forged = SessionId::generate().expect("an id").as_str().to_owned();
    let mut visitor = probe.holding(&forged);
    visitor.get("/set/a/1");
    assert_ne!(visitor.id(), forged);
    let mut again = probe.holding(&forged);
    assert!(again.get("/who").text().contains("new=true\n"));
    assert_eq!(probe.records(), 1);
}

/// SEED `renew_missing`: werkzeug's way is there for those who ask for it.
#[test]
fn renew_missing_can_be_switched_off() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| builder.renew_missing(false));
    let chosen = SessionId::generate().expect("an id").as_str().to_owned();
    let mut visitor = probe.holding(&chosen);
    visitor.get("/set/a/1");
    assert_eq!(visitor.id(), chosen);
    assert!(
        probe
            .holding(&chosen)
            .get("/who")
            .text()
            .contains("new=false\n")
    );
    // A sign-in renews it even so.
    visitor.get("/login/alice");
    assert_ne!(visitor.id(), chosen);
}

/// ID-5 [gate]: what is no id is no session, and no store is asked.
#[test]
fn what_is_no_id_never_reaches_the_store() {
    let id = SessionId::generate().expect("an id").as_str().to_owned();
    let flipped = if id.ends_with('A') { "B" } else { "C" };
    let mut hostile: Vec<String> = [
        "",
        " ",
        "../../x",
        "..",
        "/etc/passwd",
        "%2e%2e%2f",
        "%00",
        "CON",
        "NUL",
        "aux",
        "*",
        "?",
        "'; DROP TABLE sessions",
        "<script>",
        "${jndi:ldap://x}",
        "null",
        "undefined",
        "0",
        "-1",
        "true",
        "[]",
        "{}",
        "\\",
        "a=b",
        "é",
        "\u{202e}",
        "\u{feff}",
        "𝔸",
    ]
    .map(str::to_owned)
    .into();
    hostile.extend([
        "A".repeat(42),
        "A".repeat(44),
        "A".repeat(4000),
        format!("{id}="),
        format!("{id}=="),
        format!("\"{id}\""),
        format!("{id} {id}"),
        format!("{}+", &id[..42]),
        format!("{}/", &id[..42]),
        format!("{}.", &id[..42]),
        format!("{}%", &id[..42]),
        // Bits that no id has in its last character.
        format!("{}{flipped}", &id[..42]),
        "_".repeat(43),
        "-".repeat(43),
        "9".repeat(43),
        StoreKey::new("__Host-id", &SessionId::parse(&id).expect("an id"))
            .as_str()
            .to_owned(),
    ]);
    for position in [0, 1, 21, 41] {
        for bad in ['!', '.', '/', '+', '=', ' ', '~', ','] {
            let mut text: Vec<char> = id.chars().collect();
            text[position] = bad;
            hostile.push(text.into_iter().collect());
        }
    }
    assert!(hostile.len() >= 70);
    let probe = ProbeServer::start(MemoryStore::new());
    let mut client = probe.client();
    for value in &hostile {
        assert_eq!(SessionId::parse(value), None, "{value:?}");
        let header = format!("Cookie: __Host-id={value}");
        let response = client.raw("GET", "/who", &[header.as_bytes()]);
        assert_eq!(response.status, 200, "{value:?}");
        assert!(response.text().contains("new=true\n"));
    }
    assert_eq!(probe.store_calls(), 0);
}

/// ID-6 [gate]: nothing in the store's folder is, or leads to, what a client presents; and what is
/// there lets nobody in.
#[test]
fn a_stolen_store_lets_nobody_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions");
    let probe = ProbeServer::start(FilesystemStore::open(&path).expect("a store"));
    let mut ids = Vec::new();
    for number in 0..20 {
        let mut visitor = probe.client();
        visitor.get("/set/a/1");
        ids.push(visitor.id());
        visitor.get(&format!("/login/user{number}"));
        ids.push(visitor.id());
        visitor.get("/renew");
        ids.push(visitor.id());
    }
    let mut everything = Vec::new();
    let mut names = Vec::new();
    for entry in walk(&path) {
        names.push(
            entry
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
        );
        everything.extend_from_slice(entry.to_string_lossy().as_bytes());
        everything.extend(std::fs::read(&entry).expect("readable"));
    }
    for id in &ids {
        use base64::Engine as _;
        let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(id)
            .expect("an id");
        let hex: Vec<String> = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [id.as_bytes(), &raw, hex.concat().as_bytes()] {
            let found = everything.windows(form.len()).any(|window| window == form);
            assert!(!found, "an id lies in the store");
        }
    }
    // Each stored name as a cookie, as it is and cut to an id's length.
    for name in names.iter().filter(|name| name.ends_with(".session")) {
        for value in [&name[..64], &name[..43], name.as_str()] {
            assert!(probe.holding(value).get("/who").text().contains("user=-\n"));
        }
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// ID-7: two ids that differ in their last character have nothing in common in the store.
#[test]
fn keys_of_similar_ids_are_unlike() {
    for _ in 0..1000 {
        let id = SessionId::generate().expect("an id");
        let last = if id.as_str().ends_with('A') { 'E' } else { 'A' };
        let near = SessionId::parse(&format!("{}{last}", &id.as_str()[..42])).expect("an id");
        let (one, other) = (StoreKey::new("id", &id), StoreKey::new("id", &near));
        assert_ne!(one.as_str()[..8], other.as_str()[..8]);
    }
}

/// ID-8: an id is worthless under another cookie's name, on one store.
#[test]
fn an_id_is_worthless_under_another_cookie() {
    use session::{CookieSettings, SessionStore as _};
    let store = MemoryStore::new().boxed();
    let named = |name: &str| {
        let cookie = CookieSettings::builder().name(name).build().expect("good");
        ProbeServer::configured(store.clone(), |builder| builder.cookie(cookie))
    };
    let (one, other) = (named("__Host-one"), named("__Host-other"));
    let mut visitor = one.client();
    visitor.get("/login/alice");
    let seen = other.holding(&visitor.id()).get("/who").text();
    assert!(seen.contains("user=-\n"));
}

/// ID-9 [gate]: an id anywhere but in the cookie is ignored.
#[test]
fn an_id_is_taken_from_the_cookie_only() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let id = visitor.id();
    let before = probe.store_calls();
    let mut client = probe.client();
    for (path, header) in [
        (
            format!("/who?id={id}&__Host-id={id}"),
            String::from("Accept: */*"),
        ),
        (format!("/who?;__Host-id={id}"), String::from("Accept: */*")),
        (String::from("/who"), format!("X-Session-Id: {id}")),
        (String::from("/who"), format!("Authorization: Bearer {id}")),
        (String::from("/who"), format!("Set-Cookie: __Host-id={id}")),
        (String::from("/who"), format!("Cookie2: __Host-id={id}")),
    ] {
        let response = client.raw("GET", &path, &[header.as_bytes()]);
        assert!(response.text().contains("user=-\n"), "{path} {header}");
    }
    assert_eq!(probe.store_calls(), before);
}
