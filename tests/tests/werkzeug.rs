//! Every row of what `secure_cookie.session` (werkzeug) offers, by its name there. The guide
//! `docs/coming-from-werkzeug.md` shows the code of both side by side.

use session::testing::{CountingStore, TestClock};
use session::{
    CookieChange, CookieSettings, FilesystemStore, MemoryStore, SameSite, Session, SessionId,
    SessionManager, SessionStore as _, seconds,
};

#[derive(Debug, Clone, Default, Session)]
struct Visit {
    user: Option<String>,
    cart: Vec<u32>,
}

fn sessions() -> SessionManager<CountingStore<MemoryStore>> {
    SessionManager::builder(CountingStore::new(MemoryStore::new()))
        .clock(TestClock::default())
        .build()
}

/// `Session(data, sid, new)`
#[tokio::test]
async fn session_has_data_an_id_and_knows_whether_it_is_new() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.create().expect("a session");
    assert!(session.is_new());
    assert_eq!(session.cart, Vec::<u32>::new());
    session.cart_mut().push(1);
    sessions.save(&mut session).await.expect("saved");
    assert!(!session.is_new());
    assert_eq!(session.id().as_str().len(), SessionId::LENGTH);
}

/// `modified`: nested changes are seen too; `mark_modified` is the switch by hand.
#[tokio::test]
async fn modified_sees_nested_changes() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.create().expect("a session");
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
    let sessions = SessionManager::builder(MemoryStore::new())
        .clock(clock.clone())
        .build();
    let mut session: Session<Visit> = sessions.create().expect("a session");
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
    let mut session: Session<Visit> = sessions().create().expect("a session");
    session.cart_mut().push(7);
    let copy: Visit = Visit::clone(&session);
    session.cart_mut().clear();
    assert_eq!(copy.cart, [7]);
}

/// `generate_key` and `is_valid_key`
#[test]
fn keys_are_generated_and_checked() {
    let id = SessionId::generate().expect("an id");
    assert_eq!(SessionId::parse(id.as_str()), Some(id));
    for bad in ["", "../../x", "\0", &"A".repeat(44), &"ä".repeat(43)] {
        assert_eq!(SessionId::parse(bad), None);
    }
}

/// `new()`: a session with a unique id, not saved.
#[test]
fn new_sessions_are_not_saved_yet() {
    let sessions = sessions();
    let one: Session<Visit> = sessions.create().expect("a session");
    let other: Session<Visit> = sessions.create().expect("a session");
    assert_ne!(one.id(), other.id());
    assert_eq!(sessions.store().calls().total(), 0);
}

/// `get(sid)`: a known one, or a new one; an unknown id is not adopted (`renew_missing`).
#[tokio::test]
async fn get_gives_the_session_or_a_new_one() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.get(None).await.expect("a session");
    session.set_user(Some(String::from("ada")));
    sessions.save(&mut session).await.expect("saved");
    let id = session.id();
    let again: Session<Visit> = sessions.get(Some(id.as_str())).await.expect("a session");
    assert_eq!(again.user.as_deref(), Some("ada"));
    let unknown = SessionId::generate().expect("an id");
    for value in [unknown.as_str(), "not an id"] {
        let new: Session<Visit> = sessions.get(Some(value)).await.expect("a session");
        assert!(new.is_new());
        assert_ne!(new.id().as_str(), value);
    }
}

/// `renew_missing=False`
#[tokio::test]
async fn renew_missing_can_be_switched_off() {
    let sessions = SessionManager::builder(MemoryStore::new())
        .renew_missing(false)
        .build();
    let unknown = SessionId::generate().expect("an id");
    let mut session: Session<Visit> = sessions
        .get(Some(unknown.as_str()))
        .await
        .expect("a session");
    assert_eq!(session.id(), unknown);
    session.cart_mut().push(1);
    sessions.save(&mut session).await.expect("saved");
    assert_eq!(session.id(), unknown);
}

/// `save` writes whatever has changed; `save_if_modified` only when there is a reason.
#[tokio::test]
async fn save_and_save_if_modified() {
    let sessions = sessions();
    let mut session: Session<Visit> = sessions.create().expect("a session");
    let change = sessions
        .save_if_modified(&mut session)
        .await
        .expect("saved");
    assert_eq!(change, CookieChange::Keep);
    assert!(session.is_new());
    let change = sessions.save(&mut session).await.expect("saved");
    assert_eq!(
        change,
        CookieChange::Set {
            id: session.id(),
            max_age: None
        }
    );
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
    let mut session: Session<Visit> = sessions.create().expect("a session");
    session.cart_mut().push(1);
    sessions.save(&mut session).await.expect("saved");
    let id = session.id();
    assert_eq!(
        sessions.delete(session).await.expect("deleted"),
        CookieChange::Remove
    );
    let again: Session<Visit> = sessions.get(Some(id.as_str())).await.expect("a session");
    assert!(again.is_new());
}

/// `FilesystemSessionStore`, `filename_template`, `mode`, `list()`: see also `filesystem.rs`.
#[tokio::test]
async fn filesystem_session_store_lists_its_sessions() {
    let kept = tempfile::tempdir().expect("a folder");
    let store = FilesystemStore::builder(kept.path().join("sessions"))
        .template("werkzeug_%s.sess")
        .mode(0o600)
        .open()
        .expect("a store");
    let sessions = SessionManager::builder(store).build();
    for number in 0..700 {
        let mut session: Session<Visit> = sessions.create().expect("a session");
        session.cart_mut().push(number);
        sessions.save(&mut session).await.expect("saved");
    }
    let mut listing = sessions.list();
    let mut seen = std::collections::HashSet::new();
    while let Some(info) = listing.next().await {
        let info = info.expect("readable");
        assert!(info.size > 0 && info.created <= info.last_seen && info.last_seen < info.expires);
        assert!(seen.insert(info.key.as_str().to_owned()));
    }
    assert_eq!(seen.len(), 700);
}

/// cleanup and expiry: `remove_expired`, which werkzeug leaves to a scheduled job.
#[tokio::test]
async fn expired_sessions_are_removed() {
    let clock = TestClock::default();
    let sessions = SessionManager::builder(MemoryStore::new())
        .clock(clock.clone())
        .build();
    let mut session: Session<Visit> = sessions.create().expect("a session");
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

/// `session_class`, another store: chosen at run time.
#[tokio::test]
async fn a_store_can_be_chosen_at_run_time() {
    for in_memory in [true, false] {
        let kept = tempfile::tempdir().expect("a folder");
        let store = if in_memory {
            MemoryStore::new().boxed()
        } else {
            FilesystemStore::open(kept.path().join("sessions"))
                .expect("a store")
                .boxed()
        };
        let sessions = SessionManager::builder(store).build();
        let mut session: Session<Visit> = sessions.create().expect("a session");
        sessions.save(&mut session).await.expect("saved");
        assert!(!session.is_new());
    }
}
