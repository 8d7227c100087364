//! Stores with one mistake each: those that stores really make.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use session::{
    CreateOutcome, Cursor, Decision, DeleteOutcome, Fields, ModifyOutcome, Page, Proof, Record,
    RecordUpdate, Revision, SaveNumbers, SessionInfo, SessionKey, SessionStore, StoreError,
    Timestamp, UpdateOutcome,
};
use tokio::task::yield_now;

use crate::byte_store::{ByteStore, read};

/// What can be wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Nothing is wrong with it.
    None,
    /// Half of a key has to do.
    CutsKeys,
    /// Only fields that the store knows are kept.
    DropsUnknownFields,
    DropsDeadlines,
    DropsSaves,
    DropsReplacedProofs,
    /// The record has a column of its own for each entry but this one.
    DropsProof,
    /// Milliseconds become seconds.
    RoundsTimes,
    /// An owner is a string that ends at its first NUL.
    EndsOwnersAtNul,
    /// What an engine takes in one value.
    RefusesMoreThan61Kilobytes,
    /// A loaded record is loaded from memory the next time.
    CachesInEachHandle,
    HidesExpired,
    /// How one session takes the place of another.
    CreateReplaces,
    CreateIsTwoSteps,
    /// How a session comes back after a sign-out.
    UpdateCreates,
    /// The last writer wins over the whole record.
    UpdateIgnoresRevision,
    /// "No row was changed" is taken for "there is no row".
    UpdateTakesMismatchForMissing,
    UpdateIsTwoSteps,
    UpdateRevives,
    DeleteIgnoresRevision,
    DeleteDoesNothing,
    LeavesTombstones,
    TouchNeverShortens,
    TouchRaisesRevision,
    TouchIgnoresRevision,
    TouchMovesBack,
    TouchCreates,
    TouchIsTwoSteps,
    ListsByOffset,
    ListsFirstPageOnly,
    ListsLongPages,
    ListsNoExpired,
    /// What was saved last is listed last.
    ListsInOrderOfChange,
    CutsOwnersTo64Characters,
    FindsOwnersByPrefix,
    FindsOwnersInAnyCase,
    IndexesOwnersAtCreation,
    IndexesOwnersAfterTheRecord,
    FindsFirstPageOnly,
    FindsByOffset,
    ModifyDecidesByBase,
    ModifyDeletesByBase,
    ModifyComparesNothing,
    ModifyRevives,
    ModifyCreates,
    ModifyTriesLostAnswersAgain,
    SweepsEarly,
    SweepsLate,
    SweepsTooMany,
    SweepsTooFew,
    SweepGivesNothing,
    /// The expiry was written down when the session was created.
    SweepsByFirstExpiry,
    SweepComparesNothing,
    SweepGivesWhatAnotherRemoved,
    /// The revision is read before the fields.
    LoadIsTwoSteps,
    HoldsLockWhileSuspended,
    /// A queue that nothing is taken out of.
    CarriesOutDroppedCallsLate,
    ReadsDamageAsEmpty,
    WritesOverDamage,
    CannotDeleteDamage,
    ListStopsAtDamage,
    ListHidesDamage,
    SweepStopsAtDamage,
}

/// All of them, each with the behaviour of the suite that is to notice it.
pub(crate) const MISTAKES: &[(Mistake, &str)] = &[
    (Mistake::CutsKeys, "a_record_is_under_its_own_key_only"),
    (Mistake::DropsUnknownFields, "a_record_comes_back_exactly"),
    (Mistake::DropsDeadlines, "a_record_comes_back_exactly"),
    (Mistake::DropsSaves, "a_record_comes_back_exactly"),
    (Mistake::DropsReplacedProofs, "a_record_comes_back_exactly"),
    (Mistake::DropsProof, "a_record_comes_back_exactly"),
    (Mistake::RoundsTimes, "a_record_comes_back_exactly"),
    (Mistake::EndsOwnersAtNul, "a_record_comes_back_exactly"),
    (
        Mistake::RefusesMoreThan61Kilobytes,
        "a_large_record_comes_back",
    ),
    (
        Mistake::CachesInEachHandle,
        "every_call_sees_the_calls_before_it",
    ),
    (Mistake::HidesExpired, "a_record_comes_back_exactly"),
    (Mistake::CreateReplaces, "create_never_replaces"),
    (Mistake::CreateIsTwoSteps, "one_of_many_creates_wins"),
    (Mistake::UpdateCreates, "update_never_creates"),
    (
        Mistake::UpdateIgnoresRevision,
        "update_compares_the_revision",
    ),
    (
        Mistake::UpdateTakesMismatchForMissing,
        "update_compares_the_revision",
    ),
    (Mistake::UpdateIsTwoSteps, "one_of_many_updates_wins"),
    (Mistake::UpdateRevives, "a_deleted_record_stays_deleted"),
    (
        Mistake::DeleteIgnoresRevision,
        "delete_compares_the_revision",
    ),
    (Mistake::DeleteDoesNothing, "delete_compares_the_revision"),
    (
        Mistake::LeavesTombstones,
        "a_deleted_record_is_gone_everywhere",
    ),
    (
        Mistake::TouchNeverShortens,
        "touch_shortens_as_well_as_it_lengthens",
    ),
    (
        Mistake::TouchRaisesRevision,
        "touch_moves_two_times_and_nothing_else",
    ),
    (Mistake::TouchIgnoresRevision, "touch_compares_the_revision"),
    (Mistake::TouchMovesBack, "touch_ignores_an_older_use"),
    (Mistake::TouchCreates, "touch_never_creates"),
    (
        Mistake::TouchIsTwoSteps,
        "a_dropped_call_did_all_or_nothing",
    ),
    (
        Mistake::ListsByOffset,
        "list_is_stable_while_sessions_come_and_go",
    ),
    (Mistake::ListsFirstPageOnly, "list_keeps_to_at_most"),
    (Mistake::ListsLongPages, "list_keeps_to_at_most"),
    (Mistake::ListsNoExpired, "list_tells_what_is_stored"),
    (
        Mistake::ListsInOrderOfChange,
        "list_is_stable_while_sessions_come_and_go",
    ),
    (
        Mistake::CutsOwnersTo64Characters,
        "sessions_of_compares_the_whole_owner",
    ),
    (
        Mistake::FindsOwnersByPrefix,
        "sessions_of_compares_the_whole_owner",
    ),
    (
        Mistake::FindsOwnersInAnyCase,
        "sessions_of_compares_the_whole_owner",
    ),
    (
        Mistake::IndexesOwnersAtCreation,
        "sessions_of_follows_every_change",
    ),
    (
        Mistake::IndexesOwnersAfterTheRecord,
        "sessions_of_never_misses_a_stored_session",
    ),
    (
        Mistake::FindsFirstPageOnly,
        "sessions_of_gives_every_session_once",
    ),
    (
        Mistake::FindsByOffset,
        "sessions_of_is_stable_while_sessions_come_and_go",
    ),
    (
        Mistake::ModifyDecidesByBase,
        "modify_decides_by_what_is_stored",
    ),
    (
        Mistake::ModifyDeletesByBase,
        "modify_decides_by_what_is_stored",
    ),
    (Mistake::ModifyComparesNothing, "modify_loses_no_change"),
    (Mistake::ModifyRevives, "a_deleted_record_stays_deleted"),
    (
        Mistake::ModifyCreates,
        "modify_of_a_missing_record_does_nothing",
    ),
    (
        Mistake::ModifyTriesLostAnswersAgain,
        "a_lost_answer_is_not_tried_again",
    ),
    (Mistake::SweepsEarly, "take_expired_is_exact"),
    (Mistake::SweepsLate, "take_expired_is_exact"),
    (Mistake::SweepsTooMany, "take_expired_is_limited"),
    (Mistake::SweepsTooFew, "take_expired_is_limited"),
    (
        Mistake::SweepGivesNothing,
        "take_expired_gives_the_records_it_removed",
    ),
    (
        Mistake::SweepsByFirstExpiry,
        "touch_shortens_as_well_as_it_lengthens",
    ),
    (
        Mistake::SweepComparesNothing,
        "take_expired_spares_what_was_used",
    ),
    (
        Mistake::SweepGivesWhatAnotherRemoved,
        "take_expired_gives_each_record_once",
    ),
    (Mistake::LoadIsTwoSteps, "concurrent_calls_have_one_order"),
    (
        Mistake::CarriesOutDroppedCallsLate,
        "a_dropped_call_is_not_carried_out_later",
    ),
    (
        Mistake::ReadsDamageAsEmpty,
        "a_damaged_record_is_unreadable",
    ),
    (
        Mistake::WritesOverDamage,
        "a_damaged_record_is_never_written_over",
    ),
    (
        Mistake::CannotDeleteDamage,
        "a_damaged_record_can_be_deleted",
    ),
    (
        Mistake::ListStopsAtDamage,
        "a_damaged_record_does_not_stop_a_listing",
    ),
    (
        Mistake::ListHidesDamage,
        "a_damaged_record_does_not_stop_a_listing",
    ),
    (
        Mistake::SweepStopsAtDamage,
        "a_damaged_record_does_not_stop_a_sweep",
    ),
];

/// A right store with one mistake. A clone is another handle on the same data.
pub(crate) struct WrongStore {
    mistake: Mistake,
    pub(crate) good: ByteStore,
    shared: Arc<Shared>,
    cache: Arc<Mutex<HashMap<SessionKey, Option<Record>>>>,
}

/// What the mistakes need to remember.
#[derive(Default)]
struct Shared {
    first: Mutex<BTreeMap<SessionKey, Record>>,
    owners: Mutex<BTreeMap<SessionKey, String>>,
    deleted: Mutex<BTreeMap<SessionKey, Record>>,
    late: Mutex<Vec<Call>>,
    is_locked: AtomicBool,
}

#[derive(Clone)]
enum Call {
    Put(SessionKey, Box<Record>),
    Delete(SessionKey),
}

/// A call that lands in a queue when its future is dropped.
struct Queued<'a> {
    shared: &'a Shared,
    call: Option<Call>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        lock(&self.shared.late).extend(self.call.take());
    }
}

struct Unlock<'a>(&'a AtomicBool);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics with it")
}

impl Clone for WrongStore {
    fn clone(&self) -> Self {
        WrongStore {
            cache: Arc::default(),
            ..self.same_handle()
        }
    }
}

impl WrongStore {
    pub(crate) fn new(mistake: Mistake) -> Self {
        WrongStore {
            mistake,
            good: ByteStore::new(false),
            shared: Arc::default(),
            cache: Arc::default(),
        }
    }

    fn same_handle(&self) -> Self {
        WrongStore {
            mistake: self.mistake,
            good: self.good.clone(),
            shared: Arc::clone(&self.shared),
            cache: Arc::clone(&self.cache),
        }
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    /// The provided methods, made of this store's five.
    fn provided(&self) -> FiveMethods {
        FiveMethods(self.same_handle())
    }

    fn key(&self, key: &SessionKey) -> SessionKey {
        let mut bytes = *key.as_bytes();
        if self.is(Mistake::CutsKeys) {
            bytes[8..].fill(0);
        }
        SessionKey::from_bytes(bytes)
    }

    /// What this store keeps of a record.
    fn kept(&self, record: &Record) -> Result<Record, StoreError> {
        let mut kept = record.clone();
        match self.mistake {
            Mistake::DropsUnknownFields => {
                kept.fields = Fields::default();
                let fields = record.fields.iter();
                for (name, value) in fields.filter(|(name, _)| !name.contains("unknown")) {
                    kept.fields.set(name, value);
                }
            }
            Mistake::DropsDeadlines => {
                kept.fields = Fields::default();
                for (name, value) in record.fields.iter() {
                    kept.fields.set(name, value);
                }
            }
            Mistake::DropsSaves => kept.saves = SaveNumbers::default(),
            Mistake::DropsReplacedProofs => kept.replaced = Vec::new(),
            Mistake::DropsProof => kept.proof = no_proof(),
            Mistake::RoundsTimes => {
                kept.expires = Timestamp::from_millis(record.expires.as_millis() / 1000 * 1000);
            }
            Mistake::EndsOwnersAtNul => {
                let owner = record.owner.as_deref();
                let owner = owner.map(|owner| owner.split('\0').next().unwrap_or_default());
                kept.owner = owner.map(str::to_owned);
            }
            Mistake::RefusesMoreThan61Kilobytes if record.encoded_length() > 61_000 => {
                return Err(StoreError::TooLarge {
                    length: record.encoded_length(),
                    limit: 61_000,
                });
            }
            _ => {}
        }
        Ok(kept)
    }

    fn stored(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        read(&self.good.map(), key)
    }

    fn put(&self, key: &SessionKey, record: &Record) {
        self.good.map().insert(*key, record.encode(key));
    }

    async fn index(&self, key: &SessionKey, record: &Record) {
        if self.is(Mistake::IndexesOwnersAfterTheRecord) {
            yield_now().await;
        }
        match &record.owner {
            Some(owner) => lock(&self.shared.owners).insert(*key, owner.clone()),
            None => lock(&self.shared.owners).remove(key),
        };
    }

    /// Suspends a call that does `call` later, if that is the mistake.
    async fn queue(&self, call: Call) {
        if self.is(Mistake::CarriesOutDroppedCallsLate) {
            let mut queued = Queued {
                shared: &self.shared,
                call: Some(call),
            };
            yield_now().await;
            queued.call = None;
        }
    }

    fn work_off_queue(&self) {
        for call in lock(&self.shared.late).drain(..) {
            match call {
                Call::Put(key, record) => self.put(&key, &record),
                Call::Delete(key) => drop(self.good.map().remove(&key)),
            }
        }
    }

    /// Holds a lock over a suspension, if that is the mistake.
    async fn hold_lock(&self) {
        if self.is(Mistake::HoldsLockWhileSuspended) {
            let is_locked = &self.shared.is_locked;
            std::future::poll_fn(|_| {
                if is_locked.swap(true, Ordering::SeqCst) {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
            let _unlock = Unlock(is_locked);
            yield_now().await;
        }
    }

    /// All sessions that `is_wanted`, in the order of keys.
    fn all(&self, is_wanted: impl Fn(&SessionKey, &Record) -> bool) -> Vec<SessionInfo> {
        let map = self.good.map();
        let records = map
            .keys()
            .filter_map(|key| Some((*key, read(&map, key).ok()??)));
        let wanted = records.filter(|(key, record)| is_wanted(key, record));
        wanted
            .map(|(key, record)| SessionInfo::new(key, &record, 1))
            .collect()
    }

    async fn remove_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        let mut taken = Vec::new();
        for session in self.all(|_, record| record.is_expired(now)) {
            let key = session.key;
            if taken.len() >= at_most {
                break;
            }
            let Some(record) = self.stored(&key)?.filter(|record| record.is_expired(now)) else {
                continue;
            };
            yield_now().await;
            let outcome = match self.mistake {
                Mistake::SweepComparesNothing => self.good.delete(&key, None).await?,
                _ => self.good.delete(&key, Some(record.revision)).await?,
            };
            if outcome == DeleteOutcome::Deleted
                || self.is(Mistake::SweepGivesWhatAnotherRemoved)
                    && outcome == DeleteOutcome::Missing
            {
                taken.push((key, record));
            }
        }
        Ok(taken)
    }
}

fn no_proof() -> Proof {
    Record::new(Timestamp::default(), Timestamp::default()).proof
}

/// The page of `sessions` that begins at an offset.
fn page_by_offset(sessions: Vec<SessionInfo>, after: Option<&Cursor>, at_most: usize) -> Page {
    let start = after.and_then(Cursor::get::<usize>).copied().unwrap_or(0);
    let count = sessions.len();
    let page = sessions.into_iter().skip(start).take(at_most).collect();
    let end = start.saturating_add(at_most);
    Page::new(page, (end < count).then(|| Cursor::new(end)))
}

/// The page of `sessions`, which are ordered by key, that begins after a key.
fn page_by_key(sessions: Vec<SessionInfo>, after: Option<&Cursor>, at_most: usize) -> Page {
    let last = after.and_then(Cursor::get::<SessionKey>).copied();
    let mut sessions = sessions;
    sessions.retain(|session| last.is_none_or(|last| session.key > last));
    let is_last = sessions.len() <= at_most;
    sessions.truncate(at_most);
    let next = sessions.last().map(|session| Cursor::new(session.key));
    Page::new(sessions, next.filter(|_| !is_last))
}

impl SessionStore for WrongStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let key = &self.key(key);
        self.hold_lock().await;
        let found = self.good.load(key).await;
        match self.mistake {
            Mistake::CachesInEachHandle => {
                let found = found?;
                Ok(lock(&self.cache).entry(*key).or_insert(found).clone())
            }
            Mistake::HidesExpired => {
                let now = Timestamp::from_millis(1_767_225_600_000);
                Ok(found?.filter(|record| !record.is_expired(now)))
            }
            Mistake::ReadsDamageAsEmpty => match found {
                Err(StoreError::Unreadable(_)) => Ok(None),
                found => found,
            },
            Mistake::LoadIsTwoSteps => {
                let Some(first) = found? else { return Ok(None) };
                yield_now().await;
                let mut second = self.good.load(key).await?;
                if let Some(record) = &mut second {
                    record.revision = first.revision;
                }
                Ok(second)
            }
            Mistake::CarriesOutDroppedCallsLate => {
                self.work_off_queue();
                found
            }
            _ => found,
        }
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        let (key, record) = (&self.key(key), &self.kept(record)?);
        self.hold_lock().await;
        lock(&self.cache).remove(key);
        lock(&self.shared.first).insert(*key, record.clone());
        lock(&self.shared.deleted).remove(key);
        self.queue(Call::Put(*key, Box::new(record.clone()))).await;
        let outcome = match self.mistake {
            Mistake::CreateReplaces => {
                self.put(key, record);
                CreateOutcome::Created
            }
            Mistake::CreateIsTwoSteps => {
                if self.good.map().contains_key(key) {
                    return Ok(CreateOutcome::Exists);
                }
                yield_now().await;
                self.put(key, record);
                CreateOutcome::Created
            }
            Mistake::WritesOverDamage if self.stored(key).is_err() => {
                self.put(key, record);
                CreateOutcome::Created
            }
            _ => self.good.create(key, record).await?,
        };
        if outcome == CreateOutcome::Created {
            self.index(key, record).await;
        }
        self.work_off_queue();
        Ok(outcome)
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let (key, record) = (&self.key(key), &self.kept(record)?);
        self.hold_lock().await;
        lock(&self.cache).remove(key);
        self.queue(Call::Put(*key, Box::new(record.clone()))).await;
        let stored = self
            .stored(key)
            .unwrap_or_default()
            .map(|record| record.revision);
        let outcome = match self.mistake {
            Mistake::UpdateCreates if stored.is_none() => {
                self.put(key, record);
                UpdateOutcome::Updated
            }
            Mistake::UpdateIgnoresRevision if stored.is_some() => {
                self.put(key, record);
                UpdateOutcome::Updated
            }
            Mistake::UpdateTakesMismatchForMissing if stored != Some(expected) => {
                UpdateOutcome::Missing
            }
            Mistake::UpdateIsTwoSteps if stored == Some(expected) => {
                yield_now().await;
                self.put(key, record);
                UpdateOutcome::Updated
            }
            Mistake::UpdateRevives if stored == Some(expected) => {
                yield_now().await;
                if self.stored(key)?.is_none() {
                    self.put(key, record);
                }
                self.good.update(key, record, expected).await?
            }
            _ => self.good.update(key, record, expected).await?,
        };
        if outcome == UpdateOutcome::Updated {
            self.index(key, record).await;
        }
        self.work_off_queue();
        Ok(outcome)
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        let key = &self.key(key);
        self.hold_lock().await;
        lock(&self.cache).remove(key);
        self.queue(Call::Delete(*key)).await;
        let stored = self.stored(key);
        let before = stored.as_ref().ok().cloned().flatten();
        let outcome = match self.mistake {
            Mistake::DeleteIgnoresRevision => self.good.delete(key, None).await?,
            Mistake::DeleteDoesNothing => DeleteOutcome::Deleted,
            Mistake::CannotDeleteDamage => {
                stored?;
                self.good.delete(key, expected).await?
            }
            _ => self.good.delete(key, expected).await?,
        };
        if outcome == DeleteOutcome::Deleted
            && let Some(record) = before
        {
            lock(&self.shared.deleted).insert(*key, record);
        }
        self.work_off_queue();
        Ok(outcome)
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.hold_lock().await;
        match self.mistake {
            Mistake::ListsByOffset => {
                let start = after.as_ref().and_then(Cursor::get::<usize>);
                let start = start.copied().unwrap_or(0);
                let map = self.good.map();
                let keys = map.keys().skip(start).take(at_most);
                let records = keys.filter_map(|key| Some((*key, read(&map, key).ok()??)));
                let sessions = records.map(|(key, record)| SessionInfo::new(key, &record, 1));
                let end = start.saturating_add(at_most);
                let next = (end < map.len()).then(|| Cursor::new(end));
                Ok(Page::new(sessions.collect(), next))
            }
            Mistake::ListsFirstPageOnly => {
                let mut page = self.good.list(after, at_most).await?;
                page.next = None;
                Ok(page)
            }
            Mistake::ListsLongPages => self.good.list(after, at_most.max(10)).await,
            Mistake::ListsNoExpired => {
                let mut page = self.good.list(after, at_most).await?;
                page.sessions
                    .retain(|session| session.expires.as_millis() > 0);
                Ok(page)
            }
            Mistake::ListsInOrderOfChange => {
                let last = after
                    .as_ref()
                    .and_then(Cursor::get::<(Revision, SessionKey)>);
                let place = |session: &SessionInfo| (session.revision, session.key);
                let mut sessions = self.all(|_, _| true);
                sessions.retain(|session| last.is_none_or(|last| place(session) > *last));
                sessions.sort_by_key(place);
                sessions.truncate(at_most);
                let next = sessions.last().map(|session| Cursor::new(place(session)));
                Ok(Page::new(sessions, next))
            }
            Mistake::LeavesTombstones => {
                let mut page = self.good.list(after, at_most).await?;
                if page.next.is_none() {
                    let deleted = lock(&self.shared.deleted);
                    let deleted = deleted.iter();
                    let deleted = deleted.map(|(key, record)| SessionInfo::new(*key, record, 1));
                    page.sessions.extend(deleted);
                }
                Ok(page)
            }
            Mistake::ListStopsAtDamage => {
                let mut page = self.good.list(after, at_most).await?;
                match page.unreadable.pop() {
                    Some(found) => Err(found.error),
                    None => Ok(page),
                }
            }
            Mistake::ListHidesDamage => {
                let mut page = self.good.list(after, at_most).await?;
                page.unreadable.clear();
                Ok(page)
            }
            _ => self.good.list(after, at_most).await,
        }
    }

    async fn modify(
        &self,
        key: &SessionKey,
        base: Option<&Record>,
        change: &RecordUpdate,
    ) -> Result<ModifyOutcome, StoreError> {
        let provided = self.provided();
        match self.mistake {
            Mistake::ModifyDecidesByBase => match base.map(|base| (base, change(base))) {
                Some((base, Decision::Keep)) if self.stored(key)?.is_some() => {
                    Ok(ModifyOutcome::Kept(base.clone()))
                }
                _ => provided.modify(key, base, change).await,
            },
            Mistake::ModifyDeletesByBase => match base.map(|base| (base, change(base))) {
                Some((base, Decision::Delete)) => {
                    match self.delete(key, Some(base.revision)).await? {
                        DeleteOutcome::Deleted => Ok(ModifyOutcome::Deleted(base.clone())),
                        _ => provided.modify(key, None, change).await,
                    }
                }
                _ => provided.modify(key, base, change).await,
            },
            Mistake::ModifyComparesNothing | Mistake::ModifyRevives => {
                let Some(before) = self.stored(key)? else {
                    return Ok(ModifyOutcome::Missing);
                };
                yield_now().await;
                let Decision::Replace(after) = change(&before) else {
                    return provided.modify(key, None, change).await;
                };
                if self.is(Mistake::ModifyRevives) && self.stored(key)?.is_some() {
                    return provided.modify(key, None, change).await;
                }
                if self.is(Mistake::ModifyComparesNothing) && self.stored(key)?.is_none() {
                    return Ok(ModifyOutcome::Missing);
                }
                self.put(key, &after);
                Ok(ModifyOutcome::Replaced { before, after })
            }
            Mistake::ModifyCreates => match (self.stored(key)?, base.map(|base| change(base))) {
                (None, Some(Decision::Replace(after))) => {
                    self.put(key, &after);
                    Ok(ModifyOutcome::Missing)
                }
                _ => provided.modify(key, base, change).await,
            },
            Mistake::ModifyTriesLostAnswersAgain => {
                match provided.modify(key, base, change).await {
                    Err(StoreError::Unavailable { operation, source }) => {
                        let _ = provided.modify(key, None, change).await?;
                        Err(StoreError::Unavailable { operation, source })
                    }
                    outcome => outcome,
                }
            }
            // Of one step, for what is mistaken is another method.
            Mistake::LoadIsTwoSteps | Mistake::CarriesOutDroppedCallsLate => {
                self.good.modify(key, base, change).await
            }
            _ => provided.modify(key, base, change).await,
        }
    }

    async fn touch(
        &self,
        key: &SessionKey,
        last_seen: Timestamp,
        expires: Timestamp,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let mut stored = self.stored(key);
        match (self.mistake, &mut stored) {
            (Mistake::TouchNeverShortens, Ok(Some(record))) => {
                let expires = expires.max(record.expires);
                return self
                    .provided()
                    .touch(key, last_seen, expires, expected)
                    .await;
            }
            (Mistake::TouchIgnoresRevision, Ok(Some(record))) => {
                let expected = record.revision;
                return self
                    .provided()
                    .touch(key, last_seen, expires, expected)
                    .await;
            }
            (Mistake::TouchRaisesRevision, Ok(Some(record))) if record.revision == expected => {
                record.revision = expected.next();
                record.last_seen = last_seen;
                record.expires = expires;
                return self.update(key, record, expected).await;
            }
            (Mistake::TouchMovesBack, Ok(Some(record))) => {
                record.last_seen = last_seen;
                record.expires = expires;
                return self.update(key, record, expected).await;
            }
            (Mistake::TouchCreates, Ok(None)) => {
                self.put(key, &Record::new(last_seen, expires));
                return Ok(UpdateOutcome::Missing);
            }
            (Mistake::TouchIsTwoSteps, Ok(Some(record)))
                if record.revision == expected && record.last_seen <= last_seen =>
            {
                record.last_seen = last_seen;
                self.put(key, record);
                yield_now().await;
            }
            _ => {}
        }
        self.provided()
            .touch(key, last_seen, expires, expected)
            .await
    }

    async fn sessions_of(
        &self,
        owner: &str,
        after: Option<Cursor>,
        at_most: usize,
    ) -> Result<Page, StoreError> {
        let after = after.as_ref();
        let cut = |owner: &str| owner.chars().take(64).collect::<String>();
        let found = match self.mistake {
            Mistake::CutsOwnersTo64Characters => self.all(|_, record| {
                record
                    .owner
                    .as_deref()
                    .is_some_and(|found| cut(found) == cut(owner))
            }),
            Mistake::FindsOwnersByPrefix => self.all(|_, record| {
                record
                    .owner
                    .as_deref()
                    .is_some_and(|found| found.starts_with(owner))
            }),
            Mistake::FindsOwnersInAnyCase => self.all(|_, record| {
                let found = record.owner.as_deref();
                found.is_some_and(|found| found.eq_ignore_ascii_case(owner))
            }),
            Mistake::IndexesOwnersAtCreation => {
                let first = lock(&self.shared.first);
                self.all(|key, _| {
                    let first = first.get(key).and_then(|first| first.owner.as_deref());
                    first == Some(owner)
                })
            }
            Mistake::IndexesOwnersAfterTheRecord => {
                let owners = lock(&self.shared.owners);
                self.all(|key, _| owners.get(key).is_some_and(|found| found == owner))
            }
            Mistake::FindsFirstPageOnly => {
                let mut found = self.all(|_, record| record.owner.as_deref() == Some(owner));
                found.truncate(at_most);
                found
            }
            Mistake::FindsByOffset => {
                let found = self.all(|_, record| record.owner.as_deref() == Some(owner));
                return Ok(page_by_offset(found, after, at_most));
            }
            _ => {
                return self
                    .provided()
                    .sessions_of(owner, after.cloned(), at_most)
                    .await;
            }
        };
        Ok(page_by_key(found, after, at_most))
    }

    async fn take_expired(
        &self,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        let moment = Duration::from_millis(1);
        let provided = self.provided();
        match self.mistake {
            Mistake::SweepsEarly => provided.take_expired(now + moment, at_most).await,
            Mistake::SweepsLate => provided.take_expired(now - moment, at_most).await,
            Mistake::SweepsTooMany => provided.take_expired(now, at_most.max(100)).await,
            Mistake::SweepsTooFew => provided.take_expired(now, at_most.min(50)).await,
            Mistake::SweepGivesNothing => {
                let _ = provided.take_expired(now, at_most).await?;
                Ok(Vec::new())
            }
            Mistake::SweepsByFirstExpiry => {
                let first = lock(&self.shared.first).clone();
                let mut taken = Vec::new();
                for (key, _) in first.iter().filter(|(_, first)| first.is_expired(now)) {
                    if taken.len() < at_most
                        && let Some(record) = self.stored(key)?
                        && self.delete(key, None).await? == DeleteOutcome::Deleted
                    {
                        taken.push((*key, record));
                    }
                }
                Ok(taken)
            }
            Mistake::SweepComparesNothing | Mistake::SweepGivesWhatAnotherRemoved => {
                self.remove_expired(now, at_most).await
            }
            Mistake::SweepStopsAtDamage => {
                let mut page = self.good.list(None, 1000).await?;
                match page.unreadable.pop() {
                    Some(found) => Err(found.error),
                    None => provided.take_expired(now, at_most).await,
                }
            }
            _ => provided.take_expired(now, at_most).await,
        }
    }
}

/// The five methods of a wrong store, and so the provided ones made of them.
struct FiveMethods(WrongStore);

impl SessionStore for FiveMethods {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.0.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        self.0.create(key, record).await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        self.0.update(key, record, expected).await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        self.0.delete(key, expected).await
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.0.list(after, at_most).await
    }
}
