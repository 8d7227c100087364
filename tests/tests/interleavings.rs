//! Requests of one session in every order in which their store calls can follow each other.
//!
//! A scheduler lets one request go on by one store call at a time; proptest chooses which. So the
//! conflicts that load tests meet by chance are met here in thousands of orders, each of which can
//! be repeated.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use session::testing::TestClock;
use session::{
    Created, Listing, MemoryStore, Record, Revision, Saved, Session, SessionError, SessionId,
    SessionManager, SessionManagerBuilder, SessionStore, StoreError, StoreKey, Swapped, Timestamp,
    minutes,
};
use session_tests::probe::Visit;

/// The memory store, but each call first lets the scheduler choose who goes on, and once more before
/// its answer arrives. `modify` is the one that the trait provides: conflicts do arise.
#[derive(Clone)]
struct Stepping {
    memory: Arc<MemoryStore>,
    /// Whether a record was deleted that was there, whatever its revision.
    was_destroyed: Arc<AtomicBool>,
}

impl Stepping {
    async fn step<R>(&self, call: impl Future<Output = R>) -> R {
        turn().await;
        let result = call.await;
        turn().await;
        result
    }
}

impl SessionStore for Stepping {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        self.step(self.memory.load(key)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Created, StoreError> {
        self.step(self.memory.create(key, record)).await
    }

    async fn update(
        &self,
        key: &StoreKey,
        record: &Record,
        expected: Revision,
    ) -> Result<Swapped, StoreError> {
        self.step(self.memory.update(key, record, expected)).await
    }

    async fn delete(
        &self,
        key: &StoreKey,
        expected: Option<Revision>,
    ) -> Result<Swapped, StoreError> {
        let swapped = self.step(self.memory.delete(key, expected)).await?;
        if (expected, swapped) == (None, Swapped::Done) {
            self.was_destroyed.store(true, Ordering::SeqCst);
        }
        Ok(swapped)
    }

    async fn touch(
        &self,
        key: &StoreKey,
        last_seen: Timestamp,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        self.step(self.memory.touch(key, last_seen, expires)).await
    }

    fn list(&self) -> Listing {
        self.memory.list()
    }

    fn find(&self, owner: &str) -> Listing {
        self.memory.find(owner)
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.step(self.memory.remove_expired(now)).await
    }
}

/// Is pending once.
async fn turn() {
    let mut has_waited = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut has_waited, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Runs what waits for nothing but turns.
fn run<R>(work: impl Future<Output = R>) -> R {
    let mut work = std::pin::pin!(work);
    loop {
        if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
}

/// A request under way.
type Request = Pin<Box<dyn Future<Output = ()>>>;

/// Lets the requests go on by one step at a time, in the order of `schedule`, and the rest to their
/// ends; `check` looks on after each step.
fn interleave(mut requests: Vec<Request>, schedule: &[u8], mut check: impl FnMut()) {
    let mut schedule = schedule.iter();
    while !requests.is_empty() {
        let next = schedule.next().map_or(0, |choice| usize::from(*choice)) % requests.len();
        let polled = requests[next]
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_ready() {
            drop(requests.remove(next));
        }
        check();
    }
}

/// One session, and its manager over a stepping store.
struct Scene {
    sessions: SessionManager<Stepping>,
    clock: TestClock,
    memory: Arc<MemoryStore>,
    id: SessionId,
}

impl Scene {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// The id is due to be renewed.
    fn due() -> Self {
        let scene = Self::with(|builder| builder.renew_interval(minutes(10)));
        scene.clock.advance(minutes(10));
        scene
    }

    fn with(
        settings: impl FnOnce(SessionManagerBuilder<Stepping>) -> SessionManagerBuilder<Stepping>,
    ) -> Self {
        let memory = Arc::new(MemoryStore::new());
        let store = Stepping {
            memory: Arc::clone(&memory),
            was_destroyed: Arc::default(),
        };
        let clock = TestClock::default();
        let builder = SessionManager::builder(store).clock(clock.clone());
        let sessions = settings(builder).build();
        let mut first: Session<Visit> = sessions.create().expect("an id");
        first.set_b(String::from("kept"));
        assert_eq!(run(first.save()).expect("saved"), Saved::Written);
        let id = first.id();
        Scene {
            sessions,
            clock,
            memory,
            id,
        }
    }

    /// The record under `id`, as the visitor's next request would read it.
    fn seen(&self, id: &SessionId) -> Option<Session<Visit>> {
        let session = run(self.sessions.get::<Visit>(Some(id.as_str()))).expect("opened");
        (!session.is_new()).then_some(session)
    }

    /// What is stored under the id that the requests began with, or where that leads; renews nothing.
    fn peek(&self) -> Option<Session<Visit>> {
        self.seen(&self.id)
    }

    /// A request that changes the session and tells what became of it and under which id.
    fn request(
        &self,
        change: impl FnOnce(&mut Session<Visit>) + 'static,
        done: impl FnOnce(Saved, SessionId) + 'static,
    ) -> Request {
        let sessions = self.sessions.clone();
        let id = self.id.clone();
        Box::pin(async move {
            let mut session: Session<Visit> =
                sessions.get(Some(id.as_str())).await.expect("opened");
            if session.is_new() {
                return done(Saved::Gone, session.id());
            }
            change(&mut session);
            match session.save().await {
                Ok(saved) => done(saved, session.id()),
                // Others were faster each time: its client is told, and may try again.
                Err(SessionError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => panic!("{error:?}"),
            }
        })
    }

    /// Requests one after another, each of which counts `field` one up; `acknowledged` tells how many
    /// were told that it was saved.
    fn counting(&self, field: usize, rounds: u64, acknowledged: &Rc<Cell<u64>>) -> Request {
        let requests: Vec<Request> = (1..=rounds)
            .map(|value| {
                let acknowledged = Rc::clone(acknowledged);
                self.request(
                    move |session| match field {
                        0 => session.set_f0(value),
                        1 => session.set_f1(value),
                        _ => session.set_f2(value),
                    },
                    move |saved, _| {
                        if saved == Saved::Written {
                            acknowledged.set(value);
                        }
                    },
                )
            })
            .collect();
        Box::pin(async move {
            for request in requests {
                request.await;
            }
        })
    }

    /// All three counting writers, and what each was told.
    fn writers(&self, rounds: [u64; 3]) -> (Vec<Request>, [Rc<Cell<u64>>; 3]) {
        let acknowledged: [Rc<Cell<u64>>; 3] = Default::default();
        let requests = (0..3)
            .map(|field| self.counting(field, rounds[field], &acknowledged[field]))
            .collect();
        (requests, acknowledged)
    }

    fn records(&self) -> usize {
        let mut listing = self.memory.list();
        let mut count = 0;
        while run(listing.next()).is_some() {
            count += 1;
        }
        count
    }
}

fn holds(session: &Session<Visit>, acknowledged: &[Rc<Cell<u64>>; 3]) -> bool {
    [session.f0, session.f1, session.f2]
        .iter()
        .zip(acknowledged)
        .all(|(held, acknowledged)| *held >= acknowledged.get())
}

fn decoded<T: serde::de::DeserializeOwned>(record: &Record, field: &str) -> Option<T> {
    rmp_serde::from_slice(record.fields.get(field)?).expect("decodes")
}

/// A request that is dropped after so many polls, as if its process had been killed there.
struct CutOff {
    request: Option<Request>,
    steps: usize,
}

impl Future for CutOff {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let (Some(left), Some(request)) = (self.steps.checked_sub(1), &mut self.request) {
            let polled = request.as_mut().poll(context);
            self.steps = left;
            return polled;
        }
        self.request = None;
        Poll::Ready(())
    }
}

fn schedule() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

/// The first request is fast: it makes a whole save where another one of two makes a few steps.
fn schedule_of_a_fast_writer() -> impl Strategy<Value = Vec<u8>> {
    let burst = prop_oneof![
        Just(vec![0; 6]),
        (1..=2_u8, 1..4_usize).prop_map(|(request, steps)| vec![request; steps]),
    ];
    prop::collection::vec(burst, 0..120).prop_map(|bursts| bursts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promise 2: distinct fields never lose a write, and every write that was acknowledged is there
    /// from then on.
    #[test]
    fn distinct_fields_never_lose_a_write(schedule in schedule(), rounds in [1..=3_u64, 1..=3, 1..=3]) {
        let scene = Scene::new();
        let (requests, acknowledged) = scene.writers(rounds);
        interleave(requests, &schedule, || {
            assert!(holds(&scene.seen(&scene.id).expect("alive"), &acknowledged));
        });
        let session = scene.seen(&scene.id).expect("alive");
        prop_assert_eq!([session.f0, session.f1, session.f2], rounds);
        prop_assert_eq!(&session.b, "kept");
    }

    /// Promise 3, LC-6: after a destroy no save of whatever began earlier brings the session back, and
    /// none makes another one.
    #[test]
    fn a_destroyed_session_stays_destroyed(schedule in schedule(), rounds in [1..=3_u64, 1..=3, 1..=3]) {
        let scene = Scene::new();
        let (mut requests, _) = scene.writers(rounds);
        let destroyed = Rc::new(Cell::new(false));
        let done = Rc::clone(&destroyed);
        requests.push(scene.request(Session::destroy, move |_, _| done.set(true)));
        interleave(requests, &schedule, || {
            assert!(!destroyed.get() || scene.seen(&scene.id).is_none());
        });
        prop_assert_eq!(scene.records(), 0);
    }

    /// Promise 4, LC-1, LC-3, C7: at no moment is anything privileged under the old id; there is one
    /// new session, and it holds every write that was acknowledged under the old id.
    #[test]
    fn a_sign_in_takes_every_acknowledged_write_along(schedule in schedule(), rounds in [1..=6_u64, 1..=6, 1..=6]) {
        let scene = Scene::new();
        let (mut requests, acknowledged) = scene.writers(rounds);
        let renewed: Rc<RefCell<Option<SessionId>>> = Rc::default();
        let done = Rc::clone(&renewed);
        requests.push(scene.request(
            |session| session.set_user(Some(String::from("alice"))),
            move |saved, id| {
                assert_eq!(saved, Saved::Written);
                done.replace(Some(id));
            },
        ));
        interleave(requests, &schedule, || {
            let old = scene.seen(&scene.id);
            assert!(old.as_ref().is_none_or(|old| old.user.is_none()));
            if let Some(id) = &*renewed.borrow() {
                assert!(old.is_none(), "the old id is worthless");
                assert!(holds(&scene.seen(id).expect("alive"), &acknowledged));
            }
        });
        let id = renewed.borrow().clone();
        let session = scene.seen(id.as_ref().unwrap_or(&scene.id)).expect("alive");
        prop_assert_eq!(session.user.as_deref(), id.map(|_| "alice"));
        prop_assert!(holds(&session, &acknowledged));
        prop_assert_eq!(&session.b, "kept");
        prop_assert_eq!(scene.records(), 1);
    }

    /// LC-3: a sign-in that is cut off after any of its steps leaves the visitor a session: the old
    /// one without the privilege, or the new one whole.
    #[test]
    fn a_sign_in_that_is_cut_off_loses_nobodys_session(schedule in schedule(), rounds in 1..=3_u64, steps in 0..20_usize) {
        let scene = Scene::new();
        let (mut requests, acknowledged) = scene.writers([rounds, 0, 0]);
        let sign_in = scene.request(
            |session| session.set_user(Some(String::from("alice"))),
            |_, _| {},
        );
        requests.push(Box::pin(CutOff { request: Some(sign_in), steps }));
        interleave(requests, &schedule, || {
            let old = scene.seen(&scene.id);
            assert!(old.is_none_or(|old| old.user.is_none()));
        });
        if let Some(session) = scene.seen(&scene.id) {
            prop_assert!(holds(&session, &acknowledged));
            prop_assert_eq!(&session.b, "kept");
            return Ok(());
        }
        // Closed already, only the answer was missing: what is left is the new session, whole.
        prop_assert_eq!(scene.records(), 1);
        let left = run(scene.memory.list().next()).expect("one").expect("listed");
        let record = run(scene.memory.load(&left.key)).expect("loaded").expect("there");
        prop_assert_eq!(decoded::<String>(&record, "user"), Some(String::from("alice")));
        prop_assert_eq!(decoded::<String>(&record, "b"), Some(String::from("kept")));
        prop_assert!(decoded::<u64>(&record, "f0").unwrap_or_default() >= acknowledged[0].get());
    }

    /// C6: a destroy that meets a sign-in half way ends the session for both, also where the sign-in
    /// had to seal the old record because a fast writer left it no other way.
    #[test]
    fn a_destroy_in_the_middle_of_a_sign_in_ends_the_session(schedule in schedule_of_a_fast_writer(), wait in 0..60_usize) {
        let scene = Scene::new();
        let (mut requests, _) = scene.writers([60, 0, 0]);
        requests.truncate(1);
        let destroy = scene.request(Session::destroy, |_, _| {});
        requests.push(Box::pin(async move {
            for _ in 0..wait {
                turn().await;
            }
            destroy.await;
        }));
        let signed_in = Rc::new(Cell::new(false));
        let done = Rc::clone(&signed_in);
        requests.push(scene.request(
            |session| session.set_user(Some(String::from("alice"))),
            move |saved, _| done.set(saved == Saved::Written),
        ));
        interleave(requests, &schedule, || {});
        let was_destroyed = scene.sessions.store().was_destroyed.load(Ordering::SeqCst);
        prop_assert!(!(was_destroyed && signed_in.get()));
        prop_assert_eq!(scene.records(), usize::from(!was_destroyed));
    }

    /// LC-10, C10: a session that is renewed while all of its owner's are revoked is over under either
    /// id; what was saved meanwhile does not bring it back.
    #[test]
    fn a_session_that_is_renewed_meanwhile_is_revoked(schedule in schedule(), rounds in 1..=3_u64) {
        let mut scene = Scene::new();
        let signed_in: Rc<RefCell<Option<SessionId>>> = Rc::default();
        let done = Rc::clone(&signed_in);
        run(scene.request(
            |session| session.set_user(Some(String::from("alice"))),
            move |_, id| drop(done.replace(Some(id))),
        ));
        scene.id = signed_in.take().expect("signed in");
        let (mut requests, _) = scene.writers([rounds, 0, 0]);
        requests.push(scene.request(Session::renew, |_, _| {}));
        let sessions = scene.sessions.clone();
        requests.push(Box::pin(async move {
            sessions.revoke_all("alice").await.expect("revoked");
        }));
        interleave(requests, &schedule, || {});
        prop_assert_eq!(scene.records(), 0);
    }

    /// LC-4: a renewal that is due, in all requests of a page at once: the session gets one new id, the
    /// old one leads to it for a minute, and no write is lost.
    #[test]
    fn a_renewal_that_is_due_loses_nothing(schedule in schedule(), rounds in [1..=3_u64, 1..=3, 1..=3]) {
        let scene = Scene::due();
        let (requests, acknowledged) = scene.writers(rounds);
        interleave(requests, &schedule, || {
            assert!(holds(&scene.peek().expect("alive"), &acknowledged));
        });
        let session = scene.peek().expect("alive");
        prop_assert_eq!([session.f0, session.f1, session.f2], rounds);
        prop_assert_eq!(&session.b, "kept");
        // The session, and what leads to it.
        prop_assert_eq!(scene.records(), 2);
        scene.clock.advance(minutes(1));
        prop_assert!(scene.peek().is_none(), "the old id is worthless");
    }

    /// LC-6: signing out ends a session that is being renewed by time in another request.
    #[test]
    fn a_renewal_that_is_due_saves_no_session_from_its_end(schedule in schedule(), rounds in [0..=2_u64, 0..=2, 0..=2]) {
        let scene = Scene::due();
        let (mut requests, _) = scene.writers(rounds);
        let destroyed = Rc::new(Cell::new(false));
        let done = Rc::clone(&destroyed);
        requests.push(scene.request(Session::destroy, move |_, _| done.set(true)));
        interleave(requests, &schedule, || {
            assert!(!destroyed.get() || scene.peek().is_none());
        });
        // What led to it is left for a minute.
        let now = session::Clock::now(&scene.clock);
        run(scene.memory.remove_expired(now + minutes(1))).expect("swept");
        prop_assert_eq!(scene.records(), 0);
    }

    /// LC-1: a sign-in leaves nothing that leads to it, whatever is renewed by time meanwhile.
    #[test]
    fn a_sign_in_is_not_led_to(schedule in schedule(), rounds in [1..=3_u64, 1..=3, 1..=3]) {
        let scene = Scene::due();
        let (mut requests, acknowledged) = scene.writers(rounds);
        let renewed: Rc<RefCell<Option<SessionId>>> = Rc::default();
        let done = Rc::clone(&renewed);
        requests.push(scene.request(
            |session| session.set_user(Some(String::from("alice"))),
            move |saved, id| {
                assert_eq!(saved, Saved::Written);
                done.replace(Some(id));
            },
        ));
        interleave(requests, &schedule, || {
            let old = scene.peek();
            assert!(old.as_ref().is_none_or(|old| old.user.is_none()));
            assert!(renewed.borrow().is_none() || old.is_none());
        });
        let id = renewed.borrow().clone().expect("signed in");
        let session = scene.seen(&id).expect("alive");
        prop_assert_eq!(session.user.as_deref(), Some("alice"));
        prop_assert!(holds(&session, &acknowledged));
    }

    /// Two sign-ins of one session at once: one of them holds, the other is told that the session is
    /// over.
    #[test]
    fn of_two_sign_ins_one_holds(schedule in schedule()) {
        let scene = Scene::new();
        let outcomes: Rc<RefCell<Vec<_>>> = Rc::default();
        let requests = ["alice", "bob"]
            .map(|user| {
                let outcomes = Rc::clone(&outcomes);
                scene.request(
                    move |session| session.set_user(Some(user.to_owned())),
                    move |saved, id| outcomes.borrow_mut().push((saved, id, user)),
                )
            })
            .into_iter()
            .collect();
        interleave(requests, &schedule, || {});
        let outcomes = outcomes.borrow();
        let mut winners = outcomes.iter().filter(|(saved, ..)| *saved == Saved::Written);
        let (_, id, user) = winners.next().expect("one holds");
        prop_assert!(winners.next().is_none());
        prop_assert_eq!(scene.records(), 1);
        let session = scene.seen(id).expect("alive");
        prop_assert_eq!(session.user.as_deref(), Some(*user));
    }
}
