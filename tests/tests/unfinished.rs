//! Saves that are dropped half way, and saves whose answer is lost: the next save knows what they did,
//! so that nothing is merged twice, nothing is stored twice, and nobody is signed out.

use std::time::Duration;

use session::testing::TestClock;
use session::{
    BoxedStore, Durability, FilesystemStore, MemoryStore, Session, SessionError, SessionManager,
    SessionStore as _, StoreError, minutes,
};
use session_tests::faults::{Answer, FaultyStore};

#[derive(Debug, Default, Session)]
struct Visit {
    #[session(rotate)]
    user: Option<String>,
    #[session(merge = session::merge::sum)]
    count: u64,
    #[session(merge = session::merge::append)]
    seen: Vec<String>,
    #[session(on_conflict = "reject")]
    address: String,
    plain: u32,
}

const LATE: Answer = Answer::Late(Duration::from_millis(300));
/// How long the saves that are dropped are waited for.
const PATIENCE: Duration = Duration::from_millis(50);

/// A store whose answers can be delayed and lost.
struct Sessions {
    manager: SessionManager<FaultyStore<BoxedStore>>,
    store: FaultyStore<BoxedStore>,
    clock: TestClock,
    _folder: Option<tempfile::TempDir>,
}

impl Sessions {
    /// On either store.
    fn both() -> [Sessions; 2] {
        let folder = tempfile::tempdir().expect("a folder");
        let files = FilesystemStore::builder(folder.path().join("sessions"))
            .durability(Durability::Process)
            .open()
            .expect("a store");
        [
            Sessions::on(files.boxed(), Some(folder)),
            Sessions::on(MemoryStore::new().boxed(), None),
        ]
    }

    fn on(store: BoxedStore, folder: Option<tempfile::TempDir>) -> Self {
        let store = FaultyStore::new(store);
        let clock = TestClock::default();
        Sessions {
            manager: SessionManager::builder(store.clone())
                .clock(clock.clone())
                .build(),
            store,
            clock,
            _folder: folder,
        }
    }

    /// The same sessions, whose ids are renewed by time.
    fn renewing(self) -> Self {
        let builder = SessionManager::builder(self.store.clone());
        let builder = builder
            .clock(self.clock.clone())
            .renew_interval(minutes(10));
        let manager = builder.build();
        Sessions { manager, ..self }
    }

    /// A session that is stored; its id.
    async fn begun(&self) -> String {
        let mut session = self.manager.create::<Visit>().expect("an id");
        change(&mut session, "first");
        session.save().await.expect("saved");
        session.id().as_str().to_owned()
    }

    async fn open(&self, id: &str) -> Session<Visit> {
        self.manager.get(Some(id)).await.expect("opened")
    }

    async fn records(&self) -> usize {
        let mut listing = self.manager.list();
        let mut records = 0;
        while listing.next().await.is_some() {
            records += 1;
        }
        records
    }
}

/// Each of these, made twice, leaves a trace.
fn change(session: &mut Session<Visit>, address: &str) {
    *session.count_mut() += 1;
    session.seen_mut().push(address.to_owned());
    session.set_address(address.to_owned());
}

fn is_unavailable(error: &SessionError) -> bool {
    matches!(error, SessionError::Store(StoreError::Unavailable { .. }))
}

#[tokio::test]
async fn a_save_that_is_dropped_half_way_is_merged_once() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        change(&mut session, "second");
        sessions.store.answer("modify", LATE);
        let save = tokio::time::timeout(PATIENCE, session.save());
        save.await.expect_err("it takes longer");
        sessions.store.repair();
        // Others go on meanwhile, and so does this request.
        let mut other = sessions.open(&id).await;
        *other.count_mut() += 10;
        other.save().await.expect("saved");
        session.set_plain(7);
        session.save().await.expect("no conflict with itself");
        let stored = sessions.open(&id).await;
        assert_eq!(stored.count, 12);
        assert_eq!(stored.seen, ["first", "second"]);
        assert_eq!(stored.address, "second");
        assert_eq!(stored.plain, 7);
        session.refresh();
        assert_eq!((session.count, session.plain), (12, 7));
    }
}

#[tokio::test]
async fn a_save_that_is_dropped_again_and_again_is_merged_once() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        sessions.store.answer("modify", LATE);
        change(&mut session, "second");
        for _ in 0..3 {
            let save = tokio::time::timeout(PATIENCE, session.save());
            save.await.expect_err("it takes longer");
        }
        sessions.store.repair();
        *session.count_mut() += 1;
        session.save().await.expect("saved");
        let stored = sessions.open(&id).await;
        assert_eq!(stored.count, 3);
        assert_eq!(stored.seen, ["first", "second"]);
    }
}

#[tokio::test]
async fn a_sign_in_that_is_dropped_half_way_is_finished() {
    for operation in ["create", "delete"] {
        for sessions in Sessions::both() {
            let id = sessions.begun().await;
            let mut session = sessions.open(&id).await;
            session.set_user(Some(String::from("alice")));
            sessions.store.answer(operation, LATE);
            let save = tokio::time::timeout(PATIENCE, session.save());
            save.await.expect_err("it takes longer");
            sessions.store.repair();
            session.save().await.expect("saved");
            let stored = sessions.open(session.id().as_str()).await;
            assert_eq!(stored.user.as_deref(), Some("alice"), "{operation}");
            assert!(sessions.open(&id).await.is_new());
            assert_eq!(sessions.records().await, 1, "{operation}");
        }
    }
}

#[tokio::test]
async fn a_new_session_whose_save_is_dropped_is_stored_once() {
    for sessions in Sessions::both() {
        let mut session = sessions.manager.create::<Visit>().expect("an id");
        change(&mut session, "first");
        sessions.store.answer("create", LATE);
        let save = tokio::time::timeout(PATIENCE, session.save());
        save.await.expect_err("it takes longer");
        sessions.store.repair();
        session.save().await.expect("saved");
        assert_eq!(sessions.open(session.id().as_str()).await.count, 1);
        assert_eq!(sessions.records().await, 1);
    }
}

#[tokio::test]
async fn a_destroy_ends_what_a_dropped_save_has_stored() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        session.set_user(Some(String::from("alice")));
        sessions.store.answer("create", LATE);
        let save = tokio::time::timeout(PATIENCE, session.save());
        save.await.expect_err("it takes longer");
        sessions.store.repair();
        session.destroy();
        session.save().await.expect("destroyed");
        assert_eq!(sessions.records().await, 0);
    }
}

#[tokio::test]
async fn a_save_whose_answer_is_lost_is_merged_once() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        change(&mut session, "second");
        sessions.store.answer("modify", Answer::Lost);
        let error = session.save().await.expect_err("it seems to have failed");
        assert!(is_unavailable(&error), "{error}");
        sessions.store.repair();
        *session.count_mut() += 1;
        session.save().await.expect("no conflict with itself");
        let stored = sessions.open(&id).await;
        assert_eq!(stored.count, 3);
        assert_eq!(stored.seen, ["first", "second"]);
    }
}

/// One that was not carried out is, by the next save.
#[tokio::test]
async fn a_save_that_failed_is_made_up_for() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        change(&mut session, "second");
        sessions.store.set_down(true);
        for _ in 0..3 {
            let error = session.save().await.expect_err("the store is down");
            assert!(is_unavailable(&error), "{error}");
        }
        sessions.store.repair();
        session.save().await.expect("saved");
        assert_eq!(sessions.open(&id).await.count, 2);
    }
}

#[tokio::test]
async fn a_new_session_whose_answer_is_lost_is_stored_once() {
    for sessions in Sessions::both() {
        let mut session = sessions.manager.create::<Visit>().expect("an id");
        change(&mut session, "first");
        sessions.store.answer("create", Answer::Lost);
        let error = session.save().await.expect_err("it seems to have failed");
        assert!(is_unavailable(&error), "{error}");
        sessions.store.repair();
        session.save().await.expect("saved");
        assert_eq!(sessions.open(session.id().as_str()).await.count, 1);
        assert_eq!(sessions.records().await, 1);
    }
}

/// It is told, and the next save writes it once more.
#[tokio::test]
async fn a_save_that_may_not_be_durable_is_written_again_and_merged_once() {
    for operation in ["modify", "create"] {
        for sessions in Sessions::both() {
            let mut session = if operation == "modify" {
                sessions.open(&sessions.begun().await).await
            } else {
                sessions.manager.create().expect("an id")
            };
            change(&mut session, "second");
            let count = session.count;
            sessions.store.answer(operation, Answer::NotDurable);
            let error = session.save().await.expect_err("it may not last");
            let is_undurable = matches!(
                error,
                SessionError::Store(StoreError::DurabilityUnknown { .. })
            );
            assert!(is_undurable, "{error}");
            sessions.store.repair();
            assert!(session.should_save());
            assert_eq!(
                session.save().await.expect("saved"),
                session::Saved::Written
            );
            assert!(!session.should_save());
            assert_eq!(sessions.open(session.id().as_str()).await.count, count);
            assert_eq!(sessions.records().await, 1, "{operation}");
        }
    }
}

/// A renewal that cannot store its new record leaves none behind.
#[tokio::test]
async fn a_renewal_that_fails_leaves_one_record() {
    for answer in [Answer::Lost, Answer::NotDurable] {
        for sessions in Sessions::both() {
            let id = sessions.begun().await;
            let mut session = sessions.open(&id).await;
            session.set_user(Some(String::from("alice")));
            sessions.store.answer("create", answer);
            session
                .save()
                .await
                .expect_err("the new record is in doubt");
            assert_eq!(sessions.records().await, 1);
            assert_eq!(sessions.open(&id).await.user, None);
            sessions.store.repair();
            session.save().await.expect("saved");
            let stored = sessions.open(session.id().as_str()).await;
            assert_eq!(stored.user.as_deref(), Some("alice"));
            assert_eq!(sessions.records().await, 1);
        }
    }
}

/// What a change meets may be over by the time it is looked at: it is dropped all the same.
#[tokio::test]
async fn a_rejected_change_of_a_session_that_ends_meanwhile_is_dropped() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        let mut other = sessions.open(&id).await;
        change(&mut other, "other");
        other.save().await.expect("saved");
        change(&mut session, "mine");
        sessions.store.answer("modify", LATE);
        let (saved, ()) = tokio::join!(session.save(), async {
            tokio::time::sleep(PATIENCE).await;
            other.destroy();
            other.save().await.expect("destroyed");
        });
        assert!(matches!(saved, Err(SessionError::Conflict(_))));
        sessions.store.repair();
        change(&mut session, "again");
        assert_eq!(session.save().await.expect("told"), session::Saved::Gone);
        assert_eq!(sessions.records().await, 0);
    }
}

/// A sign-out looks for what a renewal by time has made of the session. That it cannot look is told, and
/// it looks no more often than a set number of times.
#[tokio::test]
async fn a_sign_out_that_cannot_be_sure_is_an_error() {
    for sessions in Sessions::both() {
        let sessions = sessions.renewing();
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        session.destroy();
        sessions.store.fail("load");
        session.save().await.expect_err("it cannot be looked for");
        sessions.store.repair();
        sessions.store.conflict_deletes();
        let error = session.save().await.expect_err("others always save first");
        assert!(error.is_temporary(), "{error}");
        assert_eq!(sessions.records().await, 1);
        sessions.store.repair();
        session.save().await.expect("destroyed");
        assert_eq!(sessions.records().await, 0);
    }
}

/// Of a renewal by time it can be seen that it was carried out.
#[tokio::test]
async fn a_renewal_by_time_whose_answer_is_lost_is_done() {
    for sessions in Sessions::both() {
        let sessions = sessions.renewing();
        let id = sessions.begun().await;
        sessions.clock.advance(minutes(10));
        let mut session = sessions.open(&id).await;
        sessions.store.answer("update", Answer::Lost);
        session.save().await.expect("renewed");
        sessions.store.repair();
        let new_id = session.id();
        assert_ne!(new_id.as_str(), id);
        assert_eq!(sessions.open(new_id.as_str()).await.count, 1);
        sessions.clock.advance(minutes(2));
        assert_eq!(sessions.open(new_id.as_str()).await.count, 1);
        assert!(sessions.open(&id).await.is_new());
    }
}

/// What an earlier save met does not keep a sign-out from being carried out.
#[tokio::test]
async fn a_destroy_is_carried_out_whatever_a_dropped_save_has_met() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        let mut other = sessions.open(&id).await;
        change(&mut other, "other");
        other.save().await.expect("saved");
        change(&mut session, "mine");
        sessions.store.answer("modify", LATE);
        let save = tokio::time::timeout(PATIENCE, session.save());
        save.await.expect_err("it takes longer");
        sessions.store.repair();
        session.destroy();
        session.save().await.expect("destroyed");
        assert_eq!(sessions.records().await, 0);
    }
}

/// A save that fails after nobody waits for it any more is tried again by the next.
#[tokio::test]
async fn a_dropped_save_that_fails_is_tried_again() {
    for sessions in Sessions::both() {
        let id = sessions.begun().await;
        let mut session = sessions.open(&id).await;
        change(&mut session, "second");
        sessions.store.answer("modify", LATE);
        sessions.store.answer("modify", Answer::Lost);
        let save = tokio::time::timeout(PATIENCE, session.save());
        save.await.expect_err("it takes longer");
        session.save().await.expect("found out");
        sessions.store.repair();
        assert_eq!(sessions.open(&id).await.count, 2);
    }
}

/// A request that has given up waits no more for its store.
#[test]
fn an_error_is_answered_though_the_store_hangs() {
    let store = FaultyStore::new(MemoryStore::new());
    let probe = session_tests::server::ProbeServer::start(store.clone());
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    store.answer("modify", Answer::Late(minutes(10)));
    let response = visitor.get("/give-up");
    assert_eq!(response.status, 503);
    store.repair();
    assert_eq!(visitor.get("/set/b/after").status, 200);
}
