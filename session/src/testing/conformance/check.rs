//! What all behaviours share: calls that must succeed, and comparisons that name the behaviour.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::Handles;
use crate::{
    CreateOutcome, Cursor, Page, Record, Revision, SessionInfo, SessionKey, SessionStore,
    StoreError, Timestamp, UpdateOutcome,
};

/// More pages than this for a handful of sessions are taken for a listing without an end.
const PAGES_AT_MOST: usize = 10_000;

/// One behaviour under test: its name begins every message.
pub(super) struct Check<'a, S> {
    name: &'static str,
    stores: &'a Handles<S>,
}

impl<'a, S: SessionStore> Check<'a, S> {
    pub(super) fn new(name: &'static str, stores: &'a Handles<S>) -> Self {
        Check { name, stores }
    }

    pub(super) fn fail(&self, problem: &str) -> ! {
        panic!("{}: {problem}", self.name)
    }

    pub(super) fn is(&self, holds: bool, sentence: &str) {
        if !holds {
            self.fail(&format!("{sentence}: this does not hold"));
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read better without `&`"
    )]
    pub(super) fn equal<T: PartialEq + Debug>(&self, found: T, expected: T, sentence: &str) {
        if found != expected {
            self.fail(&format!(
                "{sentence}: expected {expected:?}, found {found:?}"
            ));
        }
    }

    pub(super) fn done<T>(&self, result: Result<T, StoreError>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => self.fail(&format!("{}", crate::telemetry::chain(&error))),
        }
    }

    /// Stores `record` under `key`, where nothing is.
    pub(super) async fn create(&self, key: &SessionKey, record: &Record) {
        let created = self.done(self.stores.first.create(key, record).await);
        self.equal(created, CreateOutcome::Created, "a free key takes a record");
    }

    /// Puts `record` in the place of its predecessor.
    pub(super) async fn update(&self, key: &SessionKey, record: &Record, expected: Revision) {
        let updated = self.done(self.stores.second.update(key, record, expected).await);
        self.equal(
            updated,
            UpdateOutcome::Updated,
            "the revision is as expected",
        );
    }

    /// Touches the predecessor of `record`, which has the revision `expected`, so that it becomes `record`.
    pub(super) async fn touch(&self, key: &SessionKey, record: &Record, expected: Revision) {
        let (seen, expires) = (record.last_seen, record.expires);
        let touched = self.stores.first.touch(key, seen, expires, expected);
        let touched = self.done(touched.await);
        self.equal(
            touched,
            UpdateOutcome::Updated,
            "the revision is as expected",
        );
    }

    /// What is stored under `key`, by both handles.
    pub(super) async fn load(&self, key: &SessionKey) -> Option<Record> {
        let one = self.done(self.stores.first.load(key).await);
        let other = self.done(self.stores.second.load(key).await);
        self.same(
            one.as_ref(),
            other.as_ref(),
            "both handles load the same record",
        );
        one
    }

    /// Demands that exactly `expected` is stored under `key`.
    pub(super) async fn stored(&self, key: &SessionKey, expected: Option<&Record>, sentence: &str) {
        let found = self.load(key).await;
        self.same(found.as_ref(), expected, sentence);
    }

    /// Demands that two records are the same, and names the entries that are not.
    pub(super) fn same(&self, found: Option<&Record>, expected: Option<&Record>, sentence: &str) {
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) if found == expected => {}
            (Some(found), Some(expected)) => {
                let entries = differences(found, expected);
                self.fail(&format!("{sentence}: the records differ in {entries}"));
            }
            (Some(_), None) => self.fail(&format!("{sentence}: there is a record")),
            (None, Some(_)) => self.fail(&format!("{sentence}: there is no record")),
        }
    }

    /// Removes what expired at `now`, all of it.
    pub(super) async fn sweep(&self, now: Timestamp) -> BTreeMap<SessionKey, Record> {
        let taken = self.stores.first.take_expired(now, usize::MAX).await;
        let taken = self.done(taken);
        let count = taken.len();
        let by_key: BTreeMap<_, _> = taken.into_iter().collect();
        self.equal(by_key.len(), count, "each record is given once");
        by_key
    }

    /// All sessions, by pages of `at_most`.
    pub(super) async fn list(&self, at_most: usize) -> BTreeMap<SessionKey, SessionInfo> {
        let mut listed = Listed::default();
        while !listed.pages.is_done {
            let after = listed.pages.after();
            listed.add(self, self.list_page(after, at_most).await);
        }
        listed.sessions
    }

    /// All sessions of `owner`, by pages of `at_most`.
    pub(super) async fn sessions_of(
        &self,
        owner: &str,
        at_most: usize,
    ) -> BTreeMap<SessionKey, SessionInfo> {
        let mut listed = Listed::default();
        while !listed.pages.is_done {
            let after = listed.pages.after();
            listed.add(self, self.owner_page(owner, after, at_most).await);
        }
        listed.sessions
    }

    pub(super) async fn list_page(&self, after: Option<Cursor>, at_most: usize) -> Page {
        let page = self.done(self.stores.second.list(after, at_most).await);
        self.check_page(&page, at_most);
        page
    }

    pub(super) async fn owner_page(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> Page {
        let page = self.stores.second.sessions_of(owner, after, at_most);
        let page = self.done(page.await);
        self.check_page(&page, at_most);
        let mut owners = page.sessions.iter().map(|session| &session.owner);
        let is_owners = owners.all(|found| found.as_deref() == Some(owner));
        self.is(is_owners, "every session is its owner's");
        page
    }

    fn check_page(&self, page: &Page, at_most: usize) {
        let is_within = page.sessions.len() <= at_most;
        self.is(
            is_within,
            "a page has at most as many sessions as were asked for",
        );
    }
}

/// How far a listing has been read.
#[derive(Default)]
pub(super) struct Pages {
    count: usize,
    after: Option<Cursor>,
    pub(super) is_done: bool,
}

impl Pages {
    /// Where the next page begins.
    pub(super) fn after(&mut self) -> Option<Cursor> {
        self.after.take()
    }

    /// A page has been read, and the next one begins at `next`.
    pub(super) fn turn<S: SessionStore>(&mut self, check: &Check<'_, S>, next: Option<Cursor>) {
        self.count += 1;
        check.is(self.count < PAGES_AT_MOST, "a listing has an end");
        self.is_done = next.is_none();
        self.after = next;
    }
}

/// The sessions on the pages so far.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) sessions: BTreeMap<SessionKey, SessionInfo>,
    pub(super) pages: Pages,
}

impl Listed {
    pub(super) fn add<S: SessionStore>(&mut self, check: &Check<'_, S>, page: Page) {
        check.is(page.unreadable.is_empty(), "every record can be read");
        for session in page.sessions {
            let again = self.sessions.insert(session.key, session);
            check.is(again.is_none(), "a session is on one page only, and once");
        }
        self.pages.turn(check, page.next);
    }
}

/// The names of the entries in which two records differ.
fn differences(found: &Record, expected: &Record) -> String {
    let entries = [
        ("revision", found.revision == expected.revision),
        ("created", found.created == expected.created),
        ("last_seen", found.last_seen == expected.last_seen),
        ("expires", found.expires == expected.expires),
        ("proof", found.proof == expected.proof),
        ("persist_for", found.persist_for == expected.persist_for),
        ("end_at", found.end_at == expected.end_at),
        ("idle_within", found.idle_within == expected.idle_within),
        ("owner", found.owner == expected.owner),
        ("owner_since", found.owner_since == expected.owner_since),
        ("replaced", found.replaced == expected.replaced),
        ("saves", found.saves == expected.saves),
        ("fields", found.fields == expected.fields),
    ];
    let differing: Vec<&str> = entries
        .into_iter()
        .filter_map(|(name, is_equal)| (!is_equal).then_some(name))
        .collect();
    differing.join(", ")
}
