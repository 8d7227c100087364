//! Saves that are dropped half way, and saves whose answer is lost: the next save knows what they did,
//! so that nothing is merged twice, nothing is stored twice, and nobody is signed out.

use std::pin::pin;

use futures_util::future::{Either, select};
use session::testing::TestClock;
use session::{
    CookieChange, Durability, FilesystemStore, MemoryStore, Saved, Session, SessionError,
    SessionManager, SessionToken, StoreError,
};
use session_tests::faults::{Answer, FaultyStore};
use session_tests::gate::Gate;
use session_tests::stores::AnyStore;

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

/// A store whose answers can be delayed and lost.
struct Sessions {
    manager: SessionManager,
    store: FaultyStore<AnyStore>,
    _folder: Option<tempfile::TempDir>,
}

impl Sessions {
    /// On each store.
    fn all() -> [Sessions; 2] {
        let folder = tempfile::tempdir().expect("a folder");
        let files = FilesystemStore::builder(folder.path().join("sessions"))
            .durability(Durability::Relaxed)
            .open()
            .expect("a store");
        [
            Sessions::on(files.into(), Some(folder)),
            Sessions::on(MemoryStore::new().into(), None),
        ]
    }

    fn on(store: AnyStore, folder: Option<tempfile::TempDir>) -> Self {
        let store = FaultyStore::new(store);
        let builder = SessionManager::builder(store.clone()).clock(TestClock::default());
        Sessions {
            manager: builder.build().expect("good settings"),
            store,
            _folder: folder,
        }
    }

    /// A session that is stored; its token.
    async fn begun(&self) -> String {
        let mut session = self.manager.create::<Visit>();
        change(&mut session, "first");
        self.saved(&mut session)
            .await
            .expect("a new session")
            .expose()
    }

    /// Saves, and gives the token that the client is told.
    async fn saved(&self, session: &mut Session<Visit>) -> Option<SessionToken> {
        match self.manager.save_if_modified(session).await.expect("saved") {
            CookieChange::Set { token, .. } => Some(token),
            _ => None,
        }
    }

    async fn open(&self, token: &str) -> Session<Visit> {
        self.manager.open(Some(token)).await.expect("opened")
    }

    async fn records(&self) -> usize {
        let mut listing = self.manager.list();
        let mut records = 0;
        while listing.next().await.is_some() {
            records += 1;
        }
        records
    }

    /// Has the session saved by `operation`, and gives the save up when that has been carried out and its
    /// answer is on the way.
    async fn give_up(&self, session: &mut Session<Visit>, operation: &'static str) {
        let gate = Gate::default();
        self.store.answer(operation, Answer::Held(gate.clone()));
        {
            let save = pin!(session.save());
            match select(save, pin!(gate.one_has_come())).await {
                Either::Left((saved, _)) => panic!("it waits for its answer: {saved:?}"),
                Either::Right(_) => {}
            }
        }
        self.store.repair();
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
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        change(&mut session, "second");
        sessions.give_up(&mut session, "modify").await;
        // Others go on meanwhile, and so does this request.
        let mut other = sessions.open(&token).await;
        *other.count_mut() += 10;
        other.save().await.expect("saved");
        session.set_plain(7);
        session.save().await.expect("no conflict with itself");
        let stored = sessions.open(&token).await;
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
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        change(&mut session, "second");
        for _ in 0..3 {
            sessions.give_up(&mut session, "modify").await;
        }
        *session.count_mut() += 1;
        session.save().await.expect("saved");
        let stored = sessions.open(&token).await;
        assert_eq!(stored.count, 3);
        assert_eq!(stored.seen, ["first", "second"]);
    }
}

/// The client is told the one secret that was drawn, however often the save is sent.
#[tokio::test]
async fn a_sign_in_that_is_dropped_half_way_is_finished() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        session.set_user(Some(String::from("alice")));
        sessions.give_up(&mut session, "modify").await;
        sessions.give_up(&mut session, "modify").await;
        let told = sessions.saved(&mut session).await.expect("a new secret");
        assert_eq!(Some(told.key()), session.key());
        let stored = sessions.open(&told.expose()).await;
        assert_eq!(stored.user.as_deref(), Some("alice"));
        assert_eq!(stored.count, 1);
        assert!(sessions.open(&token).await.is_new());
        assert_eq!(sessions.records().await, 1);
    }
}

#[tokio::test]
async fn a_new_session_whose_save_is_dropped_is_stored_once() {
    for sessions in Sessions::all() {
        let mut session = sessions.manager.create::<Visit>();
        change(&mut session, "first");
        sessions.give_up(&mut session, "create").await;
        // Another change before it is known what became of the first.
        session.set_plain(7);
        let told = sessions.saved(&mut session).await.expect("a token");
        let stored = sessions.open(&told.expose()).await;
        assert_eq!((stored.count, stored.plain), (1, 7));
        assert_eq!(sessions.records().await, 1);
    }
}

#[tokio::test]
async fn a_destroy_ends_what_a_dropped_save_has_stored() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        session.set_user(Some(String::from("alice")));
        sessions.give_up(&mut session, "modify").await;
        session.destroy();
        session.save().await.expect("destroyed");
        assert_eq!(sessions.records().await, 0);

        let mut session = sessions.manager.create::<Visit>();
        change(&mut session, "first");
        sessions.give_up(&mut session, "create").await;
        session.destroy();
        session.save().await.expect("destroyed");
        assert_eq!(sessions.records().await, 0);
    }
}

/// A save that was polled once and is then kept holds up nobody, its own request's other handles included.
#[tokio::test]
async fn a_save_that_nobody_polls_any_more_blocks_no_other() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let cookie = format!("__Host-id={token}");
        let request = sessions.manager.request([cookie.as_bytes()]);
        let mut first: Session<Visit> = request.session().await.expect("opened");
        let mut second: Session<Visit> = request.session().await.expect("opened");
        let gate = Gate::default();
        sessions.store.answer("modify", Answer::Held(gate.clone()));
        change(&mut first, "first handle");
        let kept = pin!(first.save());
        let kept = match select(kept, pin!(gate.one_has_come())).await {
            Either::Left((saved, _)) => panic!("it waits for its answer: {saved:?}"),
            Either::Right(((), kept)) => kept,
        };
        sessions.store.repair();
        second.set_plain(7);
        second
            .save()
            .await
            .expect("saved while the other one is kept");
        let mut other = sessions.open(&token).await;
        *other.count_mut() += 10;
        other.save().await.expect("saved");
        let stored = sessions.open(&token).await;
        assert_eq!((stored.count, stored.plain), (12, 7));
        assert_eq!(stored.seen, ["first", "first handle"]);
        // And it ends itself when it is polled again.
        gate.open_for_ever();
        kept.await.expect("saved");
        assert_eq!(sessions.open(&token).await.count, 12);
    }
}

#[tokio::test]
async fn a_save_whose_answer_is_lost_is_merged_once() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        change(&mut session, "second");
        sessions.store.answer("modify", Answer::Lost);
        let error = session.save().await.expect_err("it seems to have failed");
        assert!(is_unavailable(&error), "{error}");
        sessions.store.repair();
        *session.count_mut() += 1;
        session.save().await.expect("no conflict with itself");
        let stored = sessions.open(&token).await;
        assert_eq!(stored.count, 3);
        assert_eq!(stored.seen, ["first", "second"]);
    }
}

/// One that was not carried out is, by the next save.
#[tokio::test]
async fn a_save_that_failed_is_made_up_for() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        change(&mut session, "second");
        sessions.store.set_down(true);
        for _ in 0..3 {
            let error = session.save().await.expect_err("the store is down");
            assert!(is_unavailable(&error), "{error}");
        }
        sessions.store.repair();
        session.save().await.expect("saved");
        assert_eq!(sessions.open(&token).await.count, 2);
    }
}

#[tokio::test]
async fn a_new_session_whose_answer_is_lost_is_stored_once() {
    for sessions in Sessions::all() {
        let mut session = sessions.manager.create::<Visit>();
        change(&mut session, "first");
        sessions.store.answer("create", Answer::Lost);
        sessions.store.answer("load", Answer::Lost);
        let error = session.save().await.expect_err("it seems to have failed");
        assert!(is_unavailable(&error), "{error}");
        sessions.store.repair();
        let told = sessions.saved(&mut session).await.expect("a token");
        assert_eq!(sessions.open(&told.expose()).await.count, 1);
        assert_eq!(sessions.records().await, 1);
    }
}

/// It is told, and the next save writes it once more.
#[tokio::test]
async fn a_save_that_may_not_be_durable_is_written_again_and_merged_once() {
    for operation in ["modify", "create"] {
        for sessions in Sessions::all() {
            let mut token = None;
            let mut session = if operation == "modify" {
                let begun = sessions.begun().await;
                let session = sessions.open(&begun).await;
                token = Some(begun);
                session
            } else {
                sessions.manager.create()
            };
            change(&mut session, "second");
            let count = session.count;
            sessions.store.answer(operation, Answer::NotDurable);
            if operation == "modify" {
                let error = session.save().await.expect_err("it may not last");
                let is_undurable = matches!(
                    error,
                    SessionError::Store(StoreError::DurabilityUnknown { .. })
                );
                assert!(is_undurable, "{error}");
                sessions.store.repair();
                assert!(session.should_save());
            }
            // A new session is looked up in the same save, and written once more.
            let calls = sessions.store.calls();
            let told = sessions.manager.save_if_modified(&mut session).await;
            if let CookieChange::Set { token: told, .. } = told.expect("saved") {
                token = Some(told.expose());
            }
            assert!(sessions.store.calls() > calls);
            sessions.store.repair();
            assert!(!session.should_save());
            let stored = sessions.open(&token.expect("the client's")).await;
            assert_eq!(stored.count, count);
            assert_eq!(sessions.records().await, 1, "{operation}");
        }
    }
}

/// A sign-in in doubt leaves one record, and one secret that opens it.
#[tokio::test]
async fn a_sign_in_in_doubt_is_finished_by_the_next_save() {
    for answer in [Answer::Lost, Answer::NotDurable] {
        for sessions in Sessions::all() {
            let token = sessions.begun().await;
            let mut session = sessions.open(&token).await;
            session.set_user(Some(String::from("alice")));
            sessions.store.answer("modify", answer.clone());
            session.save().await.expect_err("it is in doubt");
            assert_eq!(sessions.records().await, 1);
            sessions.store.repair();
            let told = sessions.saved(&mut session).await.expect("a new secret");
            let stored = sessions.open(&told.expose()).await;
            assert_eq!(stored.user.as_deref(), Some("alice"));
            assert_eq!(stored.count, 1);
            assert!(sessions.open(&token).await.is_new());
            assert_eq!(sessions.records().await, 1);
        }
    }
}

/// What a change meets may have ended by the time its answer arrives: it is told what it met, and what
/// follows is dropped.
#[tokio::test]
async fn a_rejected_change_of_a_session_that_ends_meanwhile_is_dropped() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        let mut other = sessions.open(&token).await;
        change(&mut other, "other");
        other.save().await.expect("saved");
        change(&mut session, "mine");
        let gate = Gate::default();
        sessions.store.answer("modify", Answer::Held(gate.clone()));
        let (saved, ()) = tokio::join!(session.save(), async {
            gate.one_has_come().await;
            sessions.store.repair();
            other.destroy();
            other.save().await.expect("destroyed");
            gate.open_for_ever();
        });
        assert!(matches!(saved, Err(SessionError::Conflict(_))), "{saved:?}");
        change(&mut session, "again");
        assert_eq!(session.save().await.expect("told"), Saved::Dropped);
        assert_eq!(sessions.records().await, 0);
    }
}

/// What an earlier save met does not keep a sign-out from being carried out.
#[tokio::test]
async fn a_destroy_is_carried_out_whatever_an_earlier_save_has_met() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        let mut other = sessions.open(&token).await;
        change(&mut other, "other");
        other.save().await.expect("saved");
        change(&mut session, "mine");
        sessions.give_up(&mut session, "modify").await;
        session.destroy();
        session.save().await.expect("destroyed");
        assert_eq!(sessions.records().await, 0);

        // Nor does it that the save was declined: another request has changed the token.
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        let mut other = sessions.open(&token).await;
        other.set_user(Some(String::from("alice")));
        other.save().await.expect("saved");
        session.set_plain(1);
        assert_eq!(session.save().await.expect("told"), Saved::Dropped);
        session.destroy();
        session.save().await.expect("destroyed");
        assert_eq!(sessions.records().await, 0);
    }
}

/// A save whose answer was lost after so many others that the record does not know it any more: it is not
/// applied twice, and the request is told that nobody knows.
#[tokio::test]
async fn a_save_in_doubt_that_the_record_has_forgotten_is_not_made_twice() {
    for sessions in Sessions::all() {
        let token = sessions.begun().await;
        let mut session = sessions.open(&token).await;
        change(&mut session, "mine");
        sessions.give_up(&mut session, "modify").await;
        for number in 0..40 {
            let mut other = sessions.open(&token).await;
            other.set_plain(number);
            *other.count_mut() += 10;
            other.save().await.expect("saved");
        }
        let told = session.save().await;
        assert!(matches!(told, Err(SessionError::InDoubt)), "{told:?}");
        let stored = sessions.open(&token).await;
        assert_eq!(stored.count, 2 + 400);
        assert_eq!(stored.seen, ["first", "mine"]);
    }
}

/// A request that has given up waits no more for its store than its commit does.
#[test]
fn what_was_given_up_is_finished_before_the_head_leaves() {
    let store = FaultyStore::new(MemoryStore::new());
    let probe = session_tests::server::ProbeServer::start(store.clone());
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let slow = Gate::default();
    store.answer("modify", Answer::Held(slow.clone()));
    let mut client = probe.holding(&visitor.token());
    let answered = std::thread::spawn(move || client.get("/give-up"));
    slow.wait_for_one();
    probe.gate.open_for_ever();
    // The commit sends the same save again.
    slow.wait_for(2);
    slow.open_for_ever();
    assert_eq!(answered.join().expect("answered").status, 503);
    store.repair();
    assert!(visitor.get("/who").text().contains("\na=given up\n"));
}
