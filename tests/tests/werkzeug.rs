//! Every row of what `secure_cookie.session` (werkzeug) offers, by its name there. The guide
//! `docs/coming-from-werkzeug.md` shows the code of both side by side.

use session::FilesystemStore;
use session::testing::{CountingStore, TestClock};
use session::{
    CookieChange, CookieSettings, MemoryStore, SameSite, Session, SessionManager, SessionToken,
    days, seconds,
};
use session_tests::stores::AnyStore;

#[derive(Debug, Clone, Default, Session)]
struct Visit {
    user: Option<String>,
    cart: Vec<u32>,
}

fn sessions() -> SessionManager {
    with_clock(&TestClock::default())
}

fn with_clock(clock: &TestClock) -> SessionManager {
    SessionManager::builder(MemoryStore::new())
        .clock(clock.clone())
        .build()
        .expect("good settings")
}

/// Saves a session, and gives the token that its client is told.
async fn saved(sessions: &SessionManager, session: &mut Session<Visit>) -> SessionToken {
    match sessions.save(session).await.expect("saved") {
        CookieChange::Set { token, .. } => token,
        change => panic!("a new session sets a cookie: {change:?}"),
    }
}

/// `Session(data, sid, new)`
#[tokio::test]
async fn session_has_data_a_key_and_knows_whether_it_is_new() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.create();
    assert!(session.is_new());
    assert_eq!(session.cart, Vec::<u32>::new());
    session.cart_mut().push(1);
    assert_eq!(session.key(), None);
    let token = saved(&sessions, &mut session).await;
    assert!(!session.is_new());
    assert_eq!(session.key(), Some(token.key()));
    assert_eq!(token.expose().len(), SessionToken::LENGTH);
}

/// `modified`: nested changes are seen too; `mark_modified` is the switch by hand.
#[tokio::test]
async fn modified_sees_nested_changes() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.create();
    assert!(!session.is_modified());
    session.cart_mut().push(1);
    assert!(session.is_modified());
    sessions.save(&mut session).await.expect("saved");
    assert!(!session.is_modified());
    session.mark_modified();
    assert!(session.is_modified());
}

/// `should_save`: after a change, a renew, a clear, and when a touch is due.
#[tokio::test]
async fn should_save_after_a_change_a_renew_a_clear_and_when_a_touch_is_due() {
    let clock = TestClock::default();
    let sessions = with_clock(&clock);
    let mut session: Session<Visit> = sessions.create();
    assert!(!session.should_save());
    session.cart_mut().push(1);
    assert!(session.should_save());
    sessions.save(&mut session).await.expect("saved");
    assert!(!session.should_save());
    session.renew();
    assert!(session.should_save());
    sessions.save(&mut session).await.expect("saved");
    session.clear();
    assert!(session.should_save());
    sessions.save(&mut session).await.expect("saved");
    clock.advance(session::minutes(3));
    assert!(session.should_save());
}

/// `copy()`: the data is `&T`; `T: Clone` copies it.
#[tokio::test]
async fn the_data_can_be_copied() {
    let mut session: Session<Visit> = sessions().create();
    session.cart_mut().push(7);
    let copy: Visit = Visit::clone(&session);
    session.cart_mut().clear();
    assert_eq!(copy.cart, [7]);
}

/// `generate_key` and `is_valid_key`
#[test]
fn keys_are_generated_and_checked() {
    let token = SessionToken::generate().expect("a token");
    assert_eq!(SessionToken::parse(&token.expose()), Some(token));
    for bad in ["", "../../x", "\0", &"A".repeat(44), &"ä".repeat(43)] {
        assert_eq!(SessionToken::parse(bad), None);
    }
}

/// `new()`: a session with a key of its own, not saved yet; the key is drawn at the save.
#[tokio::test]
async fn new_sessions_are_not_saved_yet() {
    let store = CountingStore::new(MemoryStore::new());
    let sessions = SessionManager::new(store.clone());
    let mut one: Session<Visit> = sessions.create();
    let mut other: Session<Visit> = sessions.create();
    assert_eq!(store.calls().total(), 0);
    let (one, other) = (
        saved(&sessions, &mut one).await,
        saved(&sessions, &mut other).await,
    );
    assert_ne!(one.key(), other.key());
    assert_ne!(one.expose()[22..], other.expose()[22..]);
}

/// `get(sid)`: a known one, or a new one; an unknown id is not adopted (`renew_missing`).
#[tokio::test]
async fn get_gives_the_session_or_a_new_one() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.open(None).await.expect("a session");
    session.set_user(Some(String::from("ada")));
    let token = saved(&sessions, &mut session).await.expose();
    let again: Session<Visit> = sessions.open(Some(&token)).await.expect("a session");
    assert_eq!(again.user.as_deref(), Some("ada"));
    let unknown = SessionToken::generate().expect("a token").expose();
    for value in [unknown.as_str(), "not a token"] {
        let mut new: Session<Visit> = sessions.open(Some(value)).await.expect("a session");
        assert!(new.is_new());
        assert_ne!(saved(&sessions, &mut new).await.expose(), value);
    }
}

/// `renew_missing=False`
#[tokio::test]
async fn renew_missing_can_be_switched_off() {
    let sessions = SessionManager::builder(MemoryStore::new())
        .renew_missing(false)
        .build()
        .expect("good settings");
    let unknown = SessionToken::generate().expect("a token").expose();
    let mut session: Session<Visit> = sessions.open(Some(&unknown)).await.expect("a session");
    session.cart_mut().push(1);
    assert_eq!(saved(&sessions, &mut session).await.expose(), unknown);
}

/// `save` writes whatever has changed; `save_if_modified` only when there is a reason.
#[tokio::test]
async fn save_and_save_if_modified() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.create();
    let change = sessions
        .save_if_modified(&mut session)
        .await
        .expect("saved");
    assert_eq!(change, CookieChange::Keep);
    assert!(session.is_new());
    let change = sessions.save(&mut session).await.expect("saved");
    let CookieChange::Set { token, max_age } = &change else {
        panic!("a new session sets a cookie: {change:?}");
    };
    assert_eq!((Some(token.key()), *max_age), (session.key(), None));
    assert!(!session.is_new());
    let header = change
        .header(sessions.cookie())
        .expect("fits")
        .expect("a header");
    assert!(header.starts_with("__Host-id="));
}

/// `delete`
#[tokio::test]
async fn delete_ends_the_session() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.create();
    session.cart_mut().push(1);
    let token = saved(&sessions, &mut session).await.expose();
    assert_eq!(
        sessions.delete(session).await.expect("deleted"),
        CookieChange::Remove
    );
    let again: Session<Visit> = sessions.open(Some(&token)).await.expect("a session");
    assert!(again.is_new());
}

/// `FilesystemSessionStore`, `filename_template`, `mode`, `list()`: see also `filesystem.rs`.
#[tokio::test]
async fn filesystem_session_store_lists_its_sessions() {
    let kept = tempfile::tempdir().expect("a folder");
    let store = FilesystemStore::builder(kept.path().join("sessions"))
        .file_name("werkzeug_{}.sess")
        .mode(0o600)
        .open()
        .expect("a store");
    let sessions = SessionManager::new(store);
    for number in 0..700 {
        let mut session: Session<Visit> = sessions.create();
        session.cart_mut().push(number);
        sessions.save(&mut session).await.expect("saved");
    }
    let mut listing = sessions.list();
    let mut seen = std::collections::HashSet::new();
    while let Some(info) = listing.next().await {
        let info = info.expect("readable");
        assert!(info.size > 0 && info.created <= info.last_seen && info.last_seen < info.expires);
        assert!(seen.insert(info.key));
    }
    assert_eq!(seen.len(), 700);
}

/// cleanup and expiry: `remove_expired`, which werkzeug leaves to a scheduled job.
#[tokio::test]
async fn expired_sessions_are_removed() {
    let clock = TestClock::default();
    let sessions = with_clock(&clock);
    let mut session: Session<Visit> = sessions.create();
    sessions.save(&mut session).await.expect("saved");
    assert_eq!(sessions.remove_expired().await.expect("swept"), 0);
    clock.advance(session::minutes(30));
    assert_eq!(sessions.remove_expired().await.expect("swept"), 1);
}

/// `cookie_name`, `cookie_age`, `cookie_path`, `cookie_domain`, `cookie_secure`, `cookie_httponly`,
/// `cookie_samesite`
#[test]
fn every_cookie_setting_is_there() {
    let settings = CookieSettings::builder()
        .name("sid")
        .path("/shop")
        .domain("example.org")
        .secure(true)
        .http_only(false)
        .same_site(SameSite::None)
        .partitioned(true)
        .build()
        .expect("good settings");
    assert_eq!(
        settings
            .set_cookie("value", Some(seconds(60)))
            .expect("fits"),
        "sid=value; Path=/shop; Domain=example.org; Secure; SameSite=None; Partitioned; Max-Age=60"
    );
}

/// `cookie_age`: for all sessions, as there; for one session by `persist_for`.
#[tokio::test]
async fn every_cookie_can_be_kept_for_a_time() {
    let sessions = SessionManager::builder(MemoryStore::new())
        .persist_for(days(31))
        .build()
        .expect("good settings");
    let mut session: Session<Visit> = sessions.create();
    session.cart_mut().push(1);
    let change = sessions.save(&mut session).await.expect("saved");
    let header = change.header(sessions.cookie()).expect("fits");
    assert!(header.expect("a header").ends_with("; Max-Age=2678400"));
}

/// `environ_key`: two sessions at once, each of its own manager and cookie.
#[tokio::test]
async fn two_sessions_can_be_open_at_once() {
    let cookie = CookieSettings::builder().name("prefs").build();
    let prefs = SessionManager::builder(MemoryStore::new())
        .cookie(cookie.expect("good settings"))
        .build()
        .expect("good settings");
    let visits = sessions();
    let (mut visit, mut pref): (Session<Visit>, Session<Visit>) = (visits.create(), prefs.create());
    visit.cart_mut().push(1);
    pref.cart_mut().push(2);
    let one = saved(&visits, &mut visit).await.expose();
    let other = saved(&prefs, &mut pref).await.expose();
    let visit: Session<Visit> = visits.open(Some(&one)).await.expect("opened");
    let pref: Session<Visit> = prefs.open(Some(&other)).await.expect("opened");
    assert_eq!((visit.cart[0], pref.cart[0]), (1, 2));
    let mixed: Session<Visit> = visits.open(Some(&other)).await.expect("opened");
    assert!(mixed.is_new());
}

/// `session_class`, another store: chosen at run time.
#[tokio::test]
async fn a_store_can_be_chosen_at_run_time() {
    let kept = tempfile::tempdir().expect("a folder");
    let stores: [fn(&std::path::Path) -> AnyStore; 2] = [
        |_| MemoryStore::new().into(),
        |path| FilesystemStore::open(path).expect("a store").into(),
    ];
    for store in stores {
        // Whatever it is, the manager's type is the same.
        let sessions: SessionManager = SessionManager::new(store(&kept.path().join("sessions")));
        let mut session: Session<Visit> = sessions.create();
        saved(&sessions, &mut session).await;
        assert!(!session.is_new());
    }
}
