//! Structs that change while their sessions live on.

use std::collections::BTreeMap;
use std::process::Command;

use session::testing::{TestSessions, assert_stored_form};
use session::{CookieChange, MemoryStore, Migration, MigrationError, Session, SessionStore as _};
use session_tests::client::Client;
use session_tests::process::Process;

/// Old and new processes serve the same sessions from one folder, whichever starts first. Nobody is
/// signed out, and no field is lost.
#[test]
fn a_rolling_deploy_signs_nobody_out_and_loses_no_field() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let serve = |version: &str| {
        Process::start(
            Command::new(env!("CARGO_BIN_EXE_rolling"))
                .arg(&folder)
                .arg(version),
        )
    };
    let (old, new) = (serve("old"), serve("new"));
    let at = |process: &Process, token: &str| Client::holding(process.address, token);

    // Old first.
    let mut visitor = Client::new(old.address);
    for path in [
        "/sign-in/ada",
        "/name/Ada",
        "/add/7",
        "/add/7",
        "/add/9",
        "/size/3",
    ] {
        assert_eq!(visitor.get(path).status, 200);
    }
    let token = visitor.token();
    assert_eq!(
        at(&old, &token).get("/show").text(),
        r#"Some("ada") Ada [7, 7, 9] 3"#
    );
    assert_eq!(
        at(&new, &token).get("/show").text(),
        r#"Some("ada") Ada {7: 2, 9: 1} 30 "#
    );
    // The new one changes all of it; the old one goes on with what it can read.
    at(&new, &token).get("/name/Lovelace");
    assert_eq!(
        at(&old, &token).get("/show").text(),
        r#"Some("ada") Lovelace [7, 7, 9] 3"#
    );
    at(&old, &token).get("/name/Byron");
    assert_eq!(
        at(&new, &token).get("/show").text(),
        r#"Some("ada") Byron {7: 2, 9: 1} 30 dark"#
    );
    at(&new, &token).get("/add/9");
    assert_eq!(
        at(&new, &token).get("/show").text(),
        r#"Some("ada") Byron {7: 2, 9: 2} 30 dark"#
    );
    // The cart is in the new form now: the old one shows its default, and leaves it alone.
    assert_eq!(
        at(&old, &token).get("/show").text(),
        r#"Some("ada") Byron [] 3"#
    );
    at(&old, &token).get("/size/4");
    assert_eq!(
        at(&new, &token).get("/show").text(),
        r#"Some("ada") Byron {7: 2, 9: 2} 30 dark"#
    );

    // New first.
    let mut visitor = Client::new(new.address);
    for path in ["/sign-in/grace", "/name/Grace", "/add/1", "/size/5"] {
        assert_eq!(visitor.get(path).status, 200);
    }
    let token = visitor.token();
    assert_eq!(
        at(&new, &token).get("/show").text(),
        r#"Some("grace") Grace {1: 1} 50 dark"#
    );
    assert_eq!(
        at(&old, &token).get("/show").text(),
        r#"Some("grace") Grace [] 0"#
    );
    at(&old, &token).get("/name/Hopper");
    assert_eq!(
        at(&new, &token).get("/show").text(),
        r#"Some("grace") Hopper {1: 1} 50 dark"#
    );
    assert!(at(&new, &token).get("/show").header("set-cookie").is_none());
}

/// What a build has pinned, and what later builds make of the struct.
mod versions {
    use super::*;

    #[derive(Debug, Default, Session)]
    #[session(companion = FirstTracked)]
    pub struct First {
        pub name: String,
        pub cart: Vec<u32>,
    }

    #[derive(Debug, Default, Session)]
    pub struct Renamed {
        pub full_name: String,
        pub cart: Vec<u32>,
    }

    #[derive(Debug, Default, Session)]
    pub struct RenamedWithAlias {
        #[session(alias = "name")]
        pub full_name: String,
        pub cart: Vec<u32>,
    }

    #[derive(Debug, Default, Session)]
    pub struct Retyped {
        pub name: String,
        pub cart: BTreeMap<u32, u32>,
    }

    #[derive(Debug, Default, Session)]
    pub struct RetypedWithMigration {
        pub name: String,
        #[session(migrate = counted)]
        pub cart: BTreeMap<u32, u32>,
    }

    fn counted(products: Vec<u32>) -> BTreeMap<u32, u32> {
        products.into_iter().map(|product| (product, 1)).collect()
    }

    #[derive(Debug, Default, Session)]
    pub struct Grown {
        pub name: String,
        pub cart: Vec<u32>,
        pub theme: String,
    }

    #[derive(Debug, Default, Session)]
    #[session(version = 1, migrate = split)]
    pub struct Split {
        pub first: String,
        pub last: String,
        pub cart: Vec<u32>,
    }

    fn split(_from: u32, fields: &mut Migration<'_>) -> Result<(), MigrationError> {
        let name: String = fields.get("name").unwrap_or_default();
        let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
        fields.set("first", first)?;
        fields.set("last", last)
    }
}

fn message(check: impl FnOnce() + std::panic::UnwindSafe) -> Option<String> {
    let panic = std::panic::catch_unwind(check).err()?;
    panic.downcast_ref::<String>().cloned()
}

/// The pinned form is written once, holds from then on, and tells what a change of the struct would
/// cost and what to write.
#[test]
fn a_pinned_form_tells_what_live_sessions_would_lose() {
    use versions::*;

    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("visit.session");
    let first = || {
        assert_stored_form::<First>(&path, |visit| {
            visit.set_name(String::from("Ada Lovelace"));
            visit.set_cart(vec![7]);
        });
    };
    let written = message(first).expect("it was not there");
    assert!(
        written.contains("is now") && written.contains("commit it"),
        "{written}"
    );
    assert_eq!(message(first), None);

    let renamed = message(|| assert_stored_form::<Renamed>(&path, |_| {})).expect("told");
    assert!(
        renamed.contains("`name` is stored, and no field reads it"),
        "{renamed}"
    );
    assert!(
        renamed.contains(r#"#[session(alias = "name")]"#),
        "{renamed}"
    );
    assert!(renamed.contains("`full_name` is new"), "{renamed}");
    assert_eq!(
        message(|| assert_stored_form::<RenamedWithAlias>(&path, |_| {})),
        None
    );

    let retyped = message(|| assert_stored_form::<Retyped>(&path, |_| {})).expect("told");
    assert!(
        retyped.contains("`cart` is no value of the field's type"),
        "{retyped}"
    );
    assert!(retyped.contains("migrate = function"), "{retyped}");
    assert!(!retyped.contains("`name`"), "{retyped}");
    assert_eq!(
        message(|| assert_stored_form::<RetypedWithMigration>(&path, |_| {})),
        None
    );

    let grown = message(|| assert_stored_form::<Grown>(&path, |_| {})).expect("told");
    assert!(grown.contains("`theme` is new"), "{grown}");
    assert_eq!(message(|| assert_stored_form::<Split>(&path, |_| {})), None);
}

/// A whole-struct migration is read at once, and stored with the first save that has a reason of its
/// own; reading writes nothing.
#[actix_web::test]
async fn a_migration_is_stored_with_the_next_change() {
    use versions::*;

    let store = MemoryStore::new();
    let sessions = TestSessions::over(store.clone());
    let visitor = sessions
        .visitor::<First>(|visit| {
            visit.set_name(String::from("Ada Lovelace"));
            visit.set_cart(vec![7]);
        })
        .await;
    let mut session = visitor.session::<Split>().await;
    let key = session.key().expect("a key");
    let stored = async |name: &str| {
        let record = store.load(&key).await.expect("loaded").expect("there");
        record.fields.get(name).map(<[u8]>::to_vec)
    };
    assert_eq!(
        (session.first.as_str(), session.last.as_str()),
        ("Ada", "Lovelace")
    );
    assert!(!session.is_modified());
    session.save().await.expect("saved");
    assert_eq!(stored("first").await, None);
    session.cart_mut().push(8);
    session.save().await.expect("saved");
    assert_eq!(stored("first").await, Some(b"\xa3Ada".to_vec()));
    assert_eq!(stored("#version").await, Some(vec![1]));
    assert!(
        stored("name").await.is_some(),
        "the old version still reads it"
    );
    // It is of this version now: what is set stays set.
    session.set_first(String::from("Augusta"));
    session.save().await.expect("saved");
    visitor
        .assert_session::<Split>(|expected| {
            expected.set_first(String::from("Augusta"));
            expected.set_last(String::from("Lovelace"));
            expected.set_cart(vec![7, 8]);
        })
        .await;
}

/// What this version has stored is never migrated again: not after a clear, not after a destroy, and not
/// where another struct was the first to store something in the record.
#[actix_web::test]
async fn what_this_version_has_stored_is_not_migrated_again() {
    use versions::*;

    #[derive(Debug, Default, Session)]
    #[session(prefix = "other")]
    struct Other {
        seen: bool,
    }

    let sessions = TestSessions::new();
    // Sets and saves a field, reads it anew, and gives what the client's cookie was changed to.
    let saved = async |cookie: Option<&str>, session: &mut Session<Split>| {
        session.set_first(String::from("Grace"));
        let change = sessions.manager().save_if_modified(session).await;
        let told = match change.expect("saved") {
            CookieChange::Set { token, .. } => Some(token.expose()),
            _ => None,
        };
        let again: Session<Split> = sessions
            .manager()
            .open(told.as_deref().or(cookie))
            .await
            .expect("there");
        assert!(!again.is_new());
        assert_eq!(again.first, "Grace");
        told
    };
    let visitor = sessions
        .visitor::<First>(|visit| visit.set_name(String::from("Ada Lovelace")))
        .await;
    let mut session = visitor.session::<Split>().await;
    session.clear();
    let cleared = saved(None, &mut session).await;
    session.destroy();
    let destroyed = saved(None, &mut session).await;
    assert!(cleared.is_some() && destroyed.is_some());
    let visitor = sessions
        .visitor::<Other>(|other| other.set_seen(true))
        .await;
    let mut session = visitor.session::<Split>().await;
    assert!(!session.is_modified());
    assert_eq!(saved(visitor.cookie(), &mut session).await, None);
}

/// A value that a migration made does not replace a value that another request set.
#[actix_web::test]
async fn a_migration_overwrites_nothing_that_was_set_meanwhile() {
    use versions::*;

    let sessions = TestSessions::new();
    let visitor = sessions
        .visitor::<First>(|visit| visit.set_name(String::from("Ada Lovelace")))
        .await;
    let mut slow = visitor.session::<Split>().await;
    let mut fast = visitor.session::<Split>().await;
    fast.set_last(String::from("Byron"));
    fast.save().await.expect("saved");
    slow.cart_mut().push(7);
    slow.save().await.expect("saved");
    let seen = visitor.session::<Split>().await;
    assert_eq!((seen.first.as_str(), seen.last.as_str()), ("Ada", "Byron"));
    assert_eq!(seen.cart, [7]);
}

/// An assertion that fails shows the lines that differ, and no others as different.
#[actix_web::test]
async fn a_session_that_is_not_as_expected_is_shown_line_by_line() {
    use versions::*;

    let sessions = TestSessions::new();
    let visitor = sessions
        .visitor::<First>(|visit| visit.set_name(String::from("Ada")))
        .await;
    let checked = tokio::task::LocalSet::new()
        .run_until(async move {
            tokio::task::spawn_local(async move {
                visitor
                    .assert_session::<First>(|expected| {
                        expected.set_name(String::from("Grace"));
                    })
                    .await;
            })
            .await
        })
        .await;
    let panic = checked.expect_err("it differs").into_panic();
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(
        text.contains("-     name: \"Grace\",\n+     name: \"Ada\",\n"),
        "{text}"
    );
    assert!(text.contains("      cart: []"), "{text}");
}
