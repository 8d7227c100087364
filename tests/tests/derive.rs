//! What the derive's attributes do to what is stored and read.

use std::time::Duration;

use session::testing::TestClock;
use session::{
    CookieChange, MemoryStore, Record, Session, SessionData, SessionManager, SessionStore as _,
};
use session_tests::events::Events;

fn sessions() -> (SessionManager, MemoryStore) {
    let store = MemoryStore::new();
    let builder = SessionManager::builder(store.clone()).clock(TestClock::default());
    (builder.build().expect("good settings"), store)
}

/// Saves a session that is new, and gives the value of its cookie.
async fn saved<T: SessionData>(sessions: &SessionManager, session: &mut Session<T>) -> String {
    match sessions.save(session).await.expect("saved") {
        CookieChange::Set { token, .. } => token.expose(),
        change => panic!("a new session sets its cookie: {change:?}"),
    }
}

/// The session as a later request reads it.
async fn opened<T: SessionData>(sessions: &SessionManager, token: &str) -> Session<T> {
    let session: Session<T> = sessions.open(Some(token)).await.expect("opened");
    assert!(!session.is_new());
    session
}

async fn stored<T: SessionData>(store: &MemoryStore, session: &Session<T>) -> Record {
    let key = session.key().expect("it has been saved");
    store.load(&key).await.expect("loaded").expect("there")
}

fn names(record: &Record) -> Vec<&str> {
    record.fields.iter().map(|(name, _)| name).collect()
}

mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.as_secs())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

/// Without `Debug`, as a struct with a secret field should be.
#[derive(Default, Session)]
#[session(prefix = "shop")]
struct Visit {
    #[session(rename = "account")]
    user: Option<String>,
    #[session(default = 20)]
    page_size: u32,
    #[session(with = seconds)]
    length: Duration,
    #[session(skip)]
    request: u64,
    #[session(secret)]
    token: Option<String>,
    r#type: u8,
}

/// `rename`, `prefix`, `skip`, `with`, `default` and a raw identifier, as they are stored.
#[tokio::test]
async fn attributes_say_how_a_field_is_stored() {
    let (sessions, store) = sessions();
    let mut session: Session<Visit> = sessions.create();
    assert_eq!(session.page_size, 20);
    session.set_user(Some(String::from("ada")));
    session.set_length(Duration::from_mins(1));
    session.set_request(7);
    session.set_type(3);
    let token = saved(&sessions, &mut session).await;
    let record = stored(&store, &session).await;
    assert_eq!(names(&record), ["shop.account", "shop.length", "shop.type"]);
    assert_eq!(record.fields.get("shop.length"), Some(&b"\x3c"[..]));
    assert_eq!(record.fields.get("shop.type"), Some(&b"\x03"[..]));
    let again: Session<Visit> = opened(&sessions, &token).await;
    assert_eq!(again.user.as_deref(), Some("ada"));
    assert_eq!(again.length, Duration::from_mins(1));
    assert_eq!(again.request, 0, "a skipped field is never stored");
    assert_eq!(again.r#type, 3);
}

/// `secret`: printed by neither the handle, nor the companion, nor the read-only view.
#[tokio::test]
async fn a_secret_field_is_never_printed() {
    let (sessions, _) = sessions();
    let mut session: Session<Visit> = sessions.create();
    session.set_token(Some(String::from("hunter2")));
    for text in [
        format!("{session:?}"),
        format!("{:?}", *session),
        format!("{session:#?}"),
    ] {
        assert!(
            text.contains("<redacted>") && !text.contains("hunter2"),
            "{text}"
        );
        assert!(text.contains("page_size: 20"), "{text}");
    }
    sessions.save(&mut session).await.expect("saved");
    let info = sessions.list().next().await.expect("one").expect("listed");
    let view = sessions
        .view::<Visit>(&info)
        .await
        .expect("read")
        .expect("there");
    let text = format!("{view:?}");
    assert_eq!(view.token.as_deref(), Some("hunter2"));
    assert!(
        text.contains("<redacted>") && !text.contains("hunter2"),
        "{text}"
    );
}

/// Before the rename of `basket` to `cart`.
#[derive(Debug, Default, Session)]
struct Old {
    basket: Vec<u32>,
    #[session(rotate)]
    user: Option<String>,
}

/// After it.
#[derive(Debug, Default, Session)]
struct New {
    #[session(alias = "basket")]
    cart: Vec<u32>,
    #[session(rotate)]
    user: Option<String>,
    added: Option<String>,
}

/// An old and a new build take turns on one session, and no field is lost.
#[tokio::test]
async fn a_rolling_deploy_loses_nothing() {
    let (sessions, store) = sessions();
    let mut old: Session<Old> = sessions.create();
    old.set_basket(vec![1]);
    let token = saved(&sessions, &mut old).await;
    for round in 2..40_u32 {
        let mut new: Session<New> = opened(&sessions, &token).await;
        assert_eq!(new.cart.last(), Some(&(2 * round - 3)));
        new.cart_mut().push(2 * round - 2);
        new.set_added(Some(format!("round {round}")));
        sessions.save_if_modified(&mut new).await.expect("saved");
        let mut old: Session<Old> = opened(&sessions, &token).await;
        assert_eq!(
            old.basket.last(),
            Some(&(2 * round - 2)),
            "what the new build wrote"
        );
        old.basket_mut().push(2 * round - 1);
        sessions.save_if_modified(&mut old).await.expect("saved");
        let record = stored(&store, &old).await;
        let mut expected =
            vec![0xa0 | u8::try_from(format!("round {round}").len()).expect("short")];
        expected.extend_from_slice(format!("round {round}").as_bytes());
        assert_eq!(
            record.fields.get("added"),
            Some(&expected[..]),
            "byte for byte"
        );
    }
}

#[derive(Debug, Default, Session)]
struct Numbers {
    count: u64,
    name: String,
}

#[derive(Debug, Default, Session)]
struct Words {
    count: String,
    name: String,
}

/// A field that this build cannot decode reads as its default, is warned of by its name
/// alone, and keeps its bytes until it is set.
#[tokio::test]
async fn an_undecodable_field_keeps_its_bytes_until_it_is_set() {
    let events = Events::default();
    events.install_on_this_thread();
    let (sessions, store) = sessions();
    let mut numbers: Session<Numbers> = sessions.create();
    numbers.set_count(4_242_424_242);
    let token = saved(&sessions, &mut numbers).await;
    let bytes = stored(&store, &numbers)
        .await
        .fields
        .get("count")
        .map(<[u8]>::to_vec);

    let mut words: Session<Words> = opened(&sessions, &token).await;
    assert_eq!(words.count, "");
    let lines = events.take_lines();
    let warning = lines
        .iter()
        .find(|line| line.name == "undecodable_field")
        .expect("a warning");
    assert_eq!(warning.level, tracing::Level::WARN);
    assert!(warning.text.contains("field=count") && !warning.text.contains("4242"));

    words.set_name(String::from("other"));
    sessions.save(&mut words).await.expect("saved");
    let record = stored(&store, &words).await;
    assert_eq!(record.fields.get("count").map(<[u8]>::to_vec), bytes);
    words.set_count(String::from("now a word"));
    sessions.save(&mut words).await.expect("saved");
    let words: Session<Words> = opened(&sessions, &token).await;
    assert_eq!(words.count, "now a word");
}

/// Two session structs over one record keep out of each other's way.
#[tokio::test]
async fn two_structs_share_one_record() {
    let (sessions, store) = sessions();
    let mut visit: Session<Visit> = sessions.create();
    visit.set_type(1);
    let token = saved(&sessions, &mut visit).await;
    let mut words: Session<Words> = opened(&sessions, &token).await;
    words.set_name(String::from("x"));
    sessions.save(&mut words).await.expect("saved");
    assert_eq!(names(&stored(&store, &words).await), ["name", "shop.type"]);
}

#[derive(Debug, Default, Session)]
struct Stubborn {
    good: u8,
    list: Vec<Unserializable>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Deserialize)]
struct Unserializable;

impl serde::Serialize for Unserializable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("on purpose"))
    }
}

/// An error while encoding fails the save, names the field, and loses nothing: a later save succeeds
/// when the field has been put right.
#[tokio::test]
async fn an_encoding_error_fails_the_save_and_loses_nothing() {
    let (sessions, _) = sessions();
    let mut session: Session<Stubborn> = sessions.create();
    session.set_good(7);
    session.list_mut().push(Unserializable);
    for _ in 0..2 {
        let error = sessions
            .save(&mut session)
            .await
            .expect_err("it cannot be encoded");
        assert!(error.to_string().contains("`list`"), "{error}");
        assert!(session.is_modified());
    }
    session.list_mut().clear();
    let token = saved(&sessions, &mut session).await;
    let again: Session<Stubborn> = opened(&sessions, &token).await;
    assert_eq!(again.good, 7);
}

/// `update_<field>` marks the field, and gives what the closure returns.
#[tokio::test]
async fn an_update_marks_its_field_and_gives_what_the_closure_returns() {
    let (sessions, store) = sessions();
    let mut session: Session<Visit> = sessions.create();
    assert_eq!(session.update_request(|request| *request + 1), 1);
    assert!(!session.is_modified(), "a skipped field is never stored");
    let before = session.update_user(|user| user.replace(String::from("ada")));
    assert_eq!((before, session.user.as_deref()), (None, Some("ada")));
    sessions.save(&mut session).await.expect("saved");
    assert_eq!(names(&stored(&store, &session).await), ["shop.account"]);
}

/// Merging a field with a `default` of its own builds no default of the whole struct.
#[tokio::test]
async fn a_merge_needs_the_default_of_its_field_alone() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static BUILT: AtomicUsize = AtomicUsize::new(0);

    #[derive(Session)]
    struct Costly {
        page: String,
        #[session(merge = session::merge::sum, default = 100)]
        points: u64,
    }

    impl Default for Costly {
        fn default() -> Self {
            BUILT.fetch_add(1, Ordering::Relaxed);
            Costly {
                page: String::new(),
                points: 0,
            }
        }
    }

    let (sessions, _) = sessions();
    let mut first = sessions.create::<Costly>();
    first.set_page(String::from("/"));
    let token = saved(&sessions, &mut first).await;
    let open = async || opened::<Costly>(&sessions, &token).await;
    let (mut slow, mut fast) = (open().await, open().await);
    fast.update_points(|points| *points += 5);
    slow.update_points(|points| *points += 7);
    fast.save().await.expect("saved");
    let built = BUILT.load(Ordering::Relaxed);
    slow.save().await.expect("merged");
    assert_eq!(BUILT.load(Ordering::Relaxed), built);
    assert_eq!(open().await.points, 112);
}
