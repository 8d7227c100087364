//! Session tokens and keys: where they come from, and what they are good for.

use std::collections::HashSet;

use session::{CookieSettings, FilesystemStore, MemoryStore, SessionKey, SessionToken};
use session_tests::server::{ProbeServer, key_of};

/// 256 random bits in 43 characters, all different, no position favoured.
#[test]
fn a_hundred_thousand_tokens_are_random_and_distinct() {
    const COUNT: usize = 100_000;
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut seen = HashSet::new();
    let mut counts = vec![[0_u32; 64]; 43];
    for _ in 0..COUNT {
        let token = SessionToken::generate().expect("a token").expose();
        assert_eq!(token.len(), 43);
        for (position, character) in token.bytes().enumerate() {
            let value = alphabet.iter().position(|known| *known == character);
            counts[position][value.expect("of the alphabet")] += 1;
        }
        assert!(seen.insert(token));
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

/// A token that was not issued is not adopted, neither half of it.
#[test]
fn a_token_that_was_not_issued_is_not_adopted() {
    let probe = ProbeServer::start(MemoryStore::new());
    let forged = SessionToken::generate().expect("a token").expose();
    let mut visitor = probe.holding(&forged);
    visitor.get("/set/a/1");
    assert_ne!(visitor.token(), forged);
    assert_ne!(visitor.key(), key_of(&forged));
    let mut again = probe.holding(&forged);
    assert!(again.get("/who").text().contains("new=true\n"));
    assert_eq!(probe.records(), 1);
}

/// Werkzeug's way, `renew_missing`, is there for those who ask for it.
#[test]
fn renew_missing_can_be_switched_off() {
    let probe = ProbeServer::configured(MemoryStore::new(), |builder| builder.renew_missing(false));
    let chosen = SessionToken::generate().expect("a token").expose();
    let mut visitor = probe.holding(&chosen);
    visitor.get("/set/a/1");
    assert_eq!(visitor.token(), chosen);
    assert!(
        probe
            .holding(&chosen)
            .get("/who")
            .text()
            .contains("new=false\n")
    );
    // A sign-in gives it a new secret even so.
    visitor.get("/login/alice");
    assert_ne!(visitor.token(), chosen);
}

/// What is no token is no session, and no store is asked.
#[test]
fn what_is_no_token_never_reaches_the_store() {
    let id = SessionToken::generate().expect("a token").expose();
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
        // Bits that no token has in its last character.
        format!("{}{flipped}", &id[..42]),
        "_".repeat(43),
        "-".repeat(43),
        "9".repeat(43),
        key_of(&id).to_string(),
        id[..22].to_owned(),
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
        assert_eq!(SessionToken::parse(value), None, "{value:?}");
        let header = format!("Cookie: __Host-id={value}");
        let response = client.raw("GET", "/who", &[header.as_bytes()]);
        assert_eq!(response.status, 200, "{value:?}");
        assert!(response.text().contains("new=true\n"));
    }
    assert_eq!(probe.store_calls(), 0);
}

/// Nothing in the store's folder is, or leads to, the secret half of what a client presents; and what is
/// there lets nobody in.
#[test]
fn a_stolen_store_lets_nobody_in() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions");
    let probe = ProbeServer::start(FilesystemStore::open(&path).expect("a store"));
    let mut tokens = Vec::new();
    for number in 0..20 {
        let mut visitor = probe.client();
        visitor.get("/set/a/1");
        tokens.push(visitor.token());
        visitor.get(&format!("/login/user{number}"));
        tokens.push(visitor.token());
        visitor.get("/renew");
        tokens.push(visitor.token());
    }
    let files = walk(&path);
    let mut everything = Vec::new();
    for file in &files {
        everything.extend_from_slice(file.to_string_lossy().as_bytes());
        everything.extend(std::fs::read(file).expect("readable"));
    }
    for token in &tokens {
        let raw = URL_SAFE_NO_PAD.decode(token).expect("a token");
        let secret = &raw[16..];
        let hex: Vec<String> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = URL_SAFE_NO_PAD.encode(secret);
        for form in [
            token.as_bytes(),
            token[22..].as_bytes(),
            base64.as_bytes(),
            hex.concat().as_bytes(),
            secret,
        ] {
            let found = everything.windows(form.len()).any(|window| window == form);
            assert!(!found, "a secret is in the store");
        }
    }
    // Each stored name as a cookie, as it is and cut to a token's length.
    let is_session =
        |file: &&std::path::PathBuf| file.extension().is_some_and(|end| end == "session");
    let sessions: Vec<_> = files.iter().filter(is_session).collect();
    assert_eq!(sessions.len(), 20);
    for file in &sessions {
        let name = file.file_name().expect("a name").to_string_lossy();
        for value in [&name[..32], &name] {
            assert!(probe.holding(value).get("/who").text().contains("user=-\n"));
        }
    }
    // The stolen key with everything that is stored beside it in the secret's place.
    let name = sessions[0].file_stem().expect("a name").to_string_lossy();
    let key: SessionKey = name.parse().expect("named by its key");
    let stored = std::fs::read(sessions[0]).expect("readable");
    let mut thief = probe.client();
    for window in stored.windows(16) {
        let token = URL_SAFE_NO_PAD.encode([key.as_bytes(), window].concat());
        thief.hold(Some(&token));
        assert!(thief.get("/who").text().contains("user=-\n"));
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

/// The key is public, so a token with the right key and a wrong secret opens nothing, changes nothing and
/// ends nothing; the log tells it.
#[test]
fn the_right_key_with_a_wrong_secret_is_an_unknown_session() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let token = visitor.token();
    let before = probe.records();
    let _ = probe.events.take();
    let mut tried = 0;
    for position in 22..43 {
        let mut text = token.clone();
        let other = if &text[position..=position] == "A" {
            "Q"
        } else {
            "A"
        };
        text.replace_range(position..=position, other);
        let wrong = SessionToken::parse(&text).expect("a token");
        assert_eq!(wrong.key(), key_of(&token));
        let mut attacker = probe.holding(&text);
        assert!(attacker.get("/who").text().contains("new=true\n"));
        assert_eq!(probe.events.take(), ["wrong_secret"]);
        for path in ["/logout", "/renew", "/clear", "/persist"] {
            attacker.hold(Some(&text));
            attacker.get(path);
        }
        let _ = probe.events.take();
        tried += 1;
    }
    assert_eq!(tried, 21);
    assert_eq!(probe.records(), before);
    let seen = visitor.get("/who");
    assert!(seen.text().contains("user=alice\n"));
    assert!(seen.header("set-cookie").is_none());
}

/// A token is worthless under another cookie's name, on one store.
#[test]
fn a_token_is_worthless_under_another_cookie() {
    let store = MemoryStore::new();
    let named = |name: &str| {
        let cookie = CookieSettings::builder().name(name).build().expect("good");
        ProbeServer::configured(store.clone(), |builder| builder.cookie(cookie))
    };
    let (one, other) = (named("__Host-one"), named("__Host-other"));
    let mut visitor = one.client();
    visitor.get("/login/alice");
    let seen = other.holding(&visitor.token()).get("/who").text();
    assert!(seen.contains("user=-\n"));
}

/// A token anywhere but in the cookie is ignored.
#[test]
fn a_token_is_taken_from_the_cookie_only() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let id = visitor.token();
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
