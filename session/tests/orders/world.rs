//! A small world: clients with a cookie each, one store, and what has been promised to whom.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use session::testing::TestClock;
use session::{
    Arrival, EndReason, MemoryStore, Proof, Record, Saved, Session, SessionInfo, SessionKey,
    SessionLimit, SessionManager, SessionToken, Timestamp, minutes,
};

use crate::programs::Op;
use crate::store::{self, SteppingStore};

/// What the sessions hold.
#[derive(Debug, Default, Session)]
pub struct Visit {
    #[session(rotate, owner)]
    pub user: Option<String>,
    #[session(rotate)]
    pub role: u64,
    /// Each program adds a digit of its own.
    #[session(merge = session::merge::sum)]
    pub digits: u64,
    pub plain: u64,
    pub more: u64,
}

/// How a world begins, and by which rules it goes.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Whose the session of each client is; a client without a session has no entry.
    pub clients: &'static [Option<&'static str>],
    pub limit: Option<(usize, SessionLimit)>,
    pub modifies_in_one_step: bool,
    /// Cookies are kept for long, and refreshed.
    pub remembers: bool,
    /// So long does a step take, in milliseconds.
    pub step: u64,
}

pub struct World {
    pub setting: Setting,
    pub sessions: SessionManager,
    /// The same sessions without steps, for those who look on.
    pub plain: SessionManager,
    pub memory: Arc<MemoryStore>,
    pub clock: TestClock,
    /// The cookie of each client.
    pub jar: RefCell<Vec<Option<String>>>,
    /// The session that each client has begun with.
    pub home: Vec<Option<SessionKey>>,
    /// Of which it was acknowledged that they have ended.
    pub ended: RefCell<BTreeSet<SessionKey>>,
    /// What the limit has ended.
    pub evicted: Arc<Mutex<BTreeSet<SessionKey>>>,
    /// What has ended in any way.
    pub gone: Arc<Mutex<BTreeSet<SessionKey>>>,
    pub programs: RefCell<Vec<Progress>>,
    /// Something was killed or left in doubt.
    pub is_disturbed: Cell<bool>,
    /// A change of privilege was killed or left in doubt: its client may have lost its session.
    pub is_untold: Cell<bool>,
    /// A program takes a session from its owner, so that the owner may have fewer than are allowed.
    pub has_leavers: Cell<bool>,
    /// So much time has passed that sessions have expired.
    pub has_time_passed: Cell<bool>,
    /// Something went wrong.
    pub has_faults: Cell<bool>,
    /// Some store call was carried out, or not, without its program being told.
    pub has_lost_answers: Cell<bool>,
    /// The sessions whose cookie each client was given.
    pub told: RefCell<BTreeSet<(usize, SessionKey)>>,
    /// What each cookie that a client was given proves.
    pub proofs: RefCell<BTreeMap<String, Proof>>,
    /// The last two proofs of each session that a client may still hold, and when they were replaced.
    pub replaced: RefCell<BTreeMap<SessionKey, Vec<(Proof, Timestamp)>>>,
    /// These clients have signed out by themselves: they hold no cookie, whatever sessions they had.
    pub has_left: RefCell<BTreeSet<usize>>,
    pub broken: RefCell<Option<String>>,
}

/// How far a program has come, and what it was told.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub op: Option<Op>,
    /// Whose session it has opened.
    pub owner: Option<String>,
    pub arrival: Option<Arrival>,
    pub key: Option<SessionKey>,
    /// Those that it has made itself.
    pub made: Vec<Proof>,
    /// Under which it knows the session.
    pub proofs: Vec<Proof>,
    /// The answer has reached the client, and was no error.
    pub is_ok: bool,
    pub is_done: bool,
    /// Its digit was acknowledged.
    pub is_digit_acknowledged: bool,
    pub signed_in: Option<(String, SessionKey)>,
}

impl World {
    pub fn new(setting: Setting, programs: usize) -> Rc<Self> {
        store::forget_all();
        let memory = Arc::new(MemoryStore::new());
        let clock = TestClock::default();
        let stepping = SteppingStore {
            memory: Arc::clone(&memory),
            modifies_in_one_step: setting.modifies_in_one_step,
        };
        let evicted: Arc<Mutex<BTreeSet<SessionKey>>> = Arc::default();
        let builder = SessionManager::builder(stepping).clock(clock.clone());
        let builder = match setting.limit {
            Some((sessions, limit)) => builder.max_sessions_per_owner(sessions, limit),
            None => builder,
        };
        let builder = if setting.remembers {
            builder.persist_for(minutes(30))
        } else {
            builder
        };
        let gone: Arc<Mutex<BTreeSet<SessionKey>>> = Arc::default();
        let (noted, all) = (Arc::clone(&evicted), Arc::clone(&gone));
        let builder = builder.on_end(move |end| {
            all.lock().unwrap().insert(end.key);
            if end.reason == EndReason::Evicted {
                noted.lock().unwrap().insert(end.key);
            }
        });
        let plain = SessionManager::builder((*memory).clone()).clock(clock.clone());
        let plain = if setting.remembers {
            plain.persist_for(minutes(30))
        } else {
            plain
        };
        let plain = plain.build().unwrap();
        let mut jar = Vec::new();
        let mut home = Vec::new();
        for owner in setting.clients {
            let mut session: Session<Visit> = plain.create();
            session.set_plain(1);
            clock.advance(std::time::Duration::from_millis(1));
            session.set_user(owner.map(str::to_owned));
            let change = now(plain.save(&mut session)).unwrap();
            jar.push(
                change
                    .header(plain.cookie())
                    .unwrap()
                    .as_deref()
                    .map(cookie_pair),
            );
            home.push(session.key());
        }
        jar.resize(3, None);
        home.resize(3, None);
        // Every later use is worth a touch.
        clock.advance(minutes(4));
        let world = Rc::new(World {
            setting,
            sessions: builder.build().unwrap(),
            plain,
            memory,
            clock,
            jar: RefCell::new(jar),
            home,
            ended: RefCell::default(),
            evicted,
            gone,
            programs: RefCell::new(vec![Progress::default(); programs]),
            is_disturbed: Cell::new(false),
            is_untold: Cell::new(false),
            has_leavers: Cell::new(false),
            has_time_passed: Cell::new(false),
            has_faults: Cell::new(false),
            has_lost_answers: Cell::new(false),
            told: RefCell::default(),
            proofs: RefCell::default(),
            replaced: RefCell::default(),
            has_left: RefCell::default(),
            broken: RefCell::default(),
        });
        for (client, key) in world.home.iter().enumerate() {
            if let (Some(key), Some(cookie)) = (key, &world.jar.borrow()[client])
                && let Some(record) = world.record(key)
            {
                let proof = record.proof;
                world.proofs.borrow_mut().insert(cookie.clone(), proof);
                world.told.borrow_mut().insert((client, *key));
            }
        }
        world
    }

    pub fn fail(&self, what: impl Into<String>) {
        self.broken.borrow_mut().get_or_insert(what.into());
    }

    pub fn record(&self, key: &SessionKey) -> Option<Record> {
        now(session::SessionStore::load(&*self.memory, key)).unwrap()
    }

    /// The record of a session that has not expired.
    pub fn live(&self, key: &SessionKey) -> Option<Record> {
        let now = session::Clock::now(&self.clock);
        self.record(key).filter(|record| now < record.expires)
    }

    /// The sessions that are an owner's now.
    pub fn owned(&self, owner: &str) -> Vec<SessionInfo> {
        now(self.plain.sessions_of(owner)).unwrap()
    }

    /// A revocation has returned that must have ended this session, unless it has been signed out, or in
    /// anew, since.
    pub fn acknowledge_revocation(&self, had: &SessionInfo) {
        match self.live(&had.key) {
            None if self.record(&had.key).is_none() => self.acknowledge_end(had.key),
            Some(record)
                if (&record.owner, record.owner_since) == (&had.owner, had.owner_since) =>
            {
                self.fail("a session lives that was there when it was to be revoked");
            }
            _ => {}
        }
    }

    /// Acknowledges that a session has ended.
    pub fn acknowledge_end(&self, key: SessionKey) {
        if self.record(&key).is_some() {
            self.fail("a session is there whose end was acknowledged");
        }
        self.ended.borrow_mut().insert(key);
    }

    /// What must hold after every step.
    pub fn check(&self) {
        for done in store::take_log() {
            if let Some(after) = &done.after {
                if self.ended.borrow().contains(&done.key) {
                    self.fail("a session is stored whose end was acknowledged");
                }
                self.check_change(&done, after);
            } else {
                self.check_removal(&done);
            }
        }
        for key in &*self.ended.borrow() {
            if self.record(key).is_some() {
                self.fail("a session is there whose end was acknowledged");
            }
        }
    }

    /// No change crosses a change of privilege, and each is applied once.
    fn check_change(&self, done: &store::Done, after: &Record) {
        let mut programs = self.programs.borrow_mut();
        let digits = |record: Option<&Record>| digits_of(record);
        let (old, new) = (digits(done.before.as_ref()), digits(Some(after)));
        for place in 0..programs.len() {
            if digit(new, place) > 1 {
                self.fail("a change was applied twice");
            }
        }
        let Some(program) = programs.get_mut(done.actor) else {
            return;
        };
        let is_own = digit(new, done.actor) > digit(old, done.actor);
        if let Some(before) = &done.before
            && is_own
            && !program.proofs.contains(&before.proof)
        {
            self.fail("a change has crossed a change of privilege");
        }
        if let Some(before) = &done.before
            && before.proof != after.proof
            && !program.made.contains(&before.proof)
        {
            // The client may hold it.
            let mut replaced = self.replaced.borrow_mut();
            let replaced = replaced.entry(done.key).or_default();
            // When its request has decided so, which may be long before its call was made.
            let mut noted = after
                .replaced
                .iter()
                .filter(|(old, _)| *old == before.proof);
            let since = noted.next().map_or(after.last_seen, |(_, since)| *since);
            replaced.push((before.proof, since));
            let surplus = replaced.len().saturating_sub(2);
            replaced.drain(..surplus);
        }
        if done
            .before
            .as_ref()
            .is_none_or(|before| before.proof != after.proof)
        {
            program.made.push(after.proof);
        }
        if done.before.is_none() || done.before.as_ref().is_some_and(|b| b.proof != after.proof) {
            program.proofs.push(after.proof);
        }
    }

    /// Nobody ends another owner's session.
    fn check_removal(&self, done: &store::Done) {
        let programs = self.programs.borrow();
        let Some(program) = programs.get(done.actor) else {
            return;
        };
        let owner =
            match program.op {
                Some(Op::Revoke(owner, _) | Op::RevokeAll(owner)) => Some(owner),
                Some(Op::RevokeOthers) => program.owner.as_deref(),
                Some(
                    Op::SignIn(owner) | Op::SignInEarly(owner) | Op::SignInEarlyThenRole(owner),
                ) if program.key != Some(done.key) => Some(owner),
                _ => return,
            };
        let removed = done
            .before
            .as_ref()
            .and_then(|record| record.owner.as_deref());
        let is_own_new = !program.made.is_empty() && removed.is_some() && removed == owner;
        if removed != owner && !is_own_new {
            self.fail(format!("a session of {removed:?} is ended for {owner:?}"));
        }
    }

    /// A token that was replaced lately is known as such.
    pub fn check_unknown(&self, cookie: &str, key: &SessionKey) {
        // In doubt to the end, a client may hold a secret that was never good.
        if self.is_untold.get() {
            return;
        }
        let now = session::Clock::now(&self.clock);
        let proof = self.proofs.borrow().get(cookie).copied();
        let replaced = self.replaced.borrow();
        let mut lately = replaced.get(key).into_iter().flatten();
        let is_late =
            lately.any(|(old, since)| Some(*old) == proof && now.since(*since) < minutes(2));
        if is_late && self.live(key).is_some() {
            self.fail("a token that was replaced lately is unknown");
        }
    }

    /// What must hold when everything has ended.
    pub fn check_end(&self) {
        self.check_limit();
        self.check_cookies();
        self.check_digits();
    }

    fn check_limit(&self) {
        let Some((limit, policy)) = self.setting.limit else {
            return;
        };
        let evicted = self.evicted.lock().unwrap();
        let programs = self.programs.borrow();
        for owner in ["ada", "bob"] {
            let live = self.owned(owner).len();
            if live > limit && !self.is_untold.get() {
                self.fail(format!(
                    "{live} sessions of one owner at a limit of {limit}"
                ));
            }
            let began = (self.setting.clients.iter().zip(&self.home))
                .filter(|(whose, _)| **whose == Some(owner))
                .filter_map(|(_, key)| *key);
            let signed_in = programs.iter().filter_map(|program| {
                let (whose, key) = program.signed_in.as_ref()?;
                (whose == owner).then_some(*key)
            });
            let mut keys: BTreeSet<SessionKey> = began.chain(signed_in).collect();
            // Not those that something else than the limit has taken from the owner.
            keys.retain(|key| match self.record(key) {
                Some(record) => record.owner.as_deref() == Some(owner),
                None => evicted.contains(key),
            });
            if live < keys.len().min(limit) && !self.is_disturbed.get() && !self.has_leavers.get() {
                self.fail(format!(
                    "{live} sessions are left of {} at a limit of {limit}",
                    keys.len()
                ));
            }
            let is_admitted_ended = keys.iter().any(|key| evicted.contains(key));
            if policy == SessionLimit::RejectNew && is_admitted_ended {
                self.fail("a session that was there was ended for a new one");
            }
        }
    }

    /// The honest client holds a good cookie unless its session has ended.
    fn check_cookies(&self) {
        // A client whose request takes longer than a minute may be overtaken by its own answers.
        if self.is_untold.get() || self.setting.step > 1 || self.has_time_passed.get() {
            return;
        }
        for client in 0..self.home.len() {
            let told = self.told.borrow();
            let mut told = told.iter().filter(|(whose, _)| *whose == client);
            let has_live = told.any(|(_, key)| self.live(key).is_some());
            if !has_live || self.has_left.borrow().contains(&client) {
                continue;
            }
            let jar = self.jar.borrow();
            let value = jar[client].as_deref().and_then(|pair| pair.split_once('='));
            let key = value.and_then(|(_, value)| Some(SessionToken::parse(value)?.key()));
            // Its own session, made by another sign-in of the client, has ended.
            let has_ended = |key| {
                self.gone.lock().unwrap().contains(&key)
                    || self.has_faults.get() && self.record(&key).is_none()
            };
            if key.is_some_and(has_ended) {
                continue;
            }
            let session: Session<Visit> =
                now(self.plain.open(value.map(|(_, value)| value))).unwrap();
            if session.arrival() != Arrival::Live {
                self.fail(format!(
                    "client {client} is left without a good cookie: {:?}",
                    session.arrival()
                ));
            }
        }
    }

    /// What was acknowledged is there, unless its session has ended or was cleared.
    fn check_digits(&self) {
        for (place, program) in self.programs.borrow().iter().enumerate() {
            let record = program.key.as_ref().and_then(|key| self.record(key));
            if let Some(record) = record
                && program.is_digit_acknowledged
                && digit(digits_of(Some(&record)), place) != 1
                && record.fields.get("plain").is_some()
            {
                self.fail("an acknowledged change is missing");
            }
        }
    }

    /// The answer reaches the client.
    pub fn answer(&self, me: usize, client: usize, set_cookie: Option<&str>) {
        let Some(header) = set_cookie else { return };
        let pair = cookie_pair(header);
        let is_removed = pair.ends_with('=');
        if let Some((_, value)) = pair.split_once('=')
            && let Some(token) = SessionToken::parse(value)
        {
            self.told.borrow_mut().insert((client, token.key()));
            self.has_left.borrow_mut().remove(&client);
            if let Some(proof) = self.programs.borrow()[me].made.last() {
                let mut proofs = self.proofs.borrow_mut();
                proofs.entry(pair.clone()).or_insert(*proof);
            }
        }
        // From now on its own proof is one that the client holds.
        self.programs.borrow_mut()[me].made.clear();
        self.jar.borrow_mut()[client] = (!is_removed).then_some(pair);
    }

    pub fn acknowledge_digit(&self, me: usize, saved: Saved) {
        let mut programs = self.programs.borrow_mut();
        programs[me].is_digit_acknowledged |= saved == Saved::Written;
    }
}

fn cookie_pair(header: &str) -> String {
    header.split(';').next().unwrap_or_default().to_owned()
}

fn digits_of(record: Option<&Record>) -> u64 {
    let bytes = record.and_then(|record| record.fields.get("digits"));
    bytes.map_or(0, |bytes| rmp_serde::from_slice(bytes).unwrap())
}

fn digit(digits: u64, place: usize) -> u64 {
    (digits >> (8 * place)) & 0xff
}

/// Runs what has nothing to wait for.
pub fn now<R>(work: impl Future<Output = R>) -> R {
    let mut work = std::pin::pin!(work);
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("waits for something"),
    }
}
