//! Many calls under way at once.

use std::pin::Pin;
use std::sync::Arc;

use super::Handles;
use super::check::Check;
use super::handles::yield_once;
use super::history::{History, Seen};
use super::sample::{counted, join, key, number, record, set_number};
use crate::{
    CreateOutcome, Decision, DeleteOutcome, ModifyOutcome, Record, RecordUpdate, Revision,
    SessionKey, SessionStore, StoreError, Timestamp, UpdateOutcome,
};

/// Of many creates of one key at the same time one wins, and its record is stored.
///
/// # Panics
///
/// When the store breaks this.
pub async fn one_of_many_creates_wins<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("one_of_many_creates_wins", stores);
    for _ in 0..10 {
        let key = key();
        let records: Vec<Record> = (0..8).map(record).collect();
        let creates = records.iter().enumerate();
        let creates = creates.map(|(index, record)| stores.alternating(index).create(&key, record));
        let outcomes = join(creates)
            .await
            .into_iter()
            .map(|outcome| check.done(outcome));
        let winners: Vec<&Record> = outcomes
            .zip(&records)
            .filter_map(|(outcome, record)| (outcome == CreateOutcome::Created).then_some(record))
            .collect();
        check.equal(winners.len(), 1, "one of eight creates wins");
        check
            .stored(
                &key,
                winners.first().copied(),
                "the winner's record is stored",
            )
            .await;
    }
}

/// Of many updates of one revision at the same time one wins, and its record is stored.
///
/// # Panics
///
/// When the store breaks this.
pub async fn one_of_many_updates_wins<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("one_of_many_updates_wins", stores);
    for _ in 0..10 {
        let key = key();
        let first = record(1);
        check.create(&key, &first).await;
        let records: Vec<Record> = (0..8)
            .map(|rival| counted(&first, &format!("rival {rival}")))
            .collect();
        let updates = records.iter().enumerate().map(|(index, record)| {
            stores
                .alternating(index)
                .update(&key, record, first.revision)
        });
        let outcomes = join(updates)
            .await
            .into_iter()
            .map(|outcome| check.done(outcome));
        let winners: Vec<&Record> = outcomes
            .zip(&records)
            .filter_map(|(outcome, record)| (outcome == UpdateOutcome::Updated).then_some(record))
            .collect();
        check.equal(winners.len(), 1, "one of eight updates wins");
        check
            .stored(
                &key,
                winners.first().copied(),
                "the winner's record is stored",
            )
            .await;
    }
}

/// Once a delete has returned, nothing that was under way brings the record back.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_deleted_record_stays_deleted<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_deleted_record_stays_deleted", stores);
    for round in 0..24 {
        let key = key();
        let base = record(1);
        let next = counted(&base, "late");
        check.create(&key, &base).await;
        let change: RecordUpdate = Arc::new(|stored| Decision::Replace(counted(stored, "late")));
        let (check, base, next, change) = (&check, &base, &next, &change);
        let mut under_way: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        for index in 0..9 {
            let store = stores.alternating(index / 3);
            under_way.push(Box::pin(async move {
                match index % 3 {
                    0 => drop(store.modify(&key, Some(base), change).await),
                    1 => drop(store.update(&key, next, base.revision).await),
                    _ => {
                        let late = Timestamp::MAX;
                        drop(store.touch(&key, late, late, base.revision).await);
                    }
                }
            }));
        }
        // The delete is the first to begin, the last, or one in between.
        under_way.insert(
            round % 10,
            Box::pin(async move {
                for _ in 0..round / 10 {
                    yield_once().await;
                }
                let deleted = check.done(stores.second.delete(&key, None).await);
                check.equal(deleted, DeleteOutcome::Deleted, "the record is deleted");
                check
                    .stored(&key, None, "a deleted record is not loaded")
                    .await;
            }),
        );
        join(under_way).await;
        stores.wait().await;
        check
            .stored(&key, None, "a deleted record stays deleted")
            .await;
    }
}

/// Calls at the same time have the effect of the same calls one after the other, in an order in which
/// none comes before one that had returned when it began.
///
/// # Panics
///
/// When the store breaks this.
pub async fn concurrent_calls_have_one_order<S: SessionStore>(stores: &Handles<S>) {
    const TASKS: usize = 12;
    const CALLS: usize = 10;
    let check = Check::new("concurrent_calls_have_one_order", stores);
    for round in 0..12 {
        let (key, history) = (key(), History::default());
        let creates =
            (0..TASKS).map(|task| create(&check, stores.alternating(task), &key, &history));
        join(creates).await;
        let (check, history) = (&check, &history);
        let tasks = (0..TASKS).map(|task| async move {
            for step in 0..CALLS {
                // Fixed, so that a failure comes again, and mixed.
                let dice = (round * 1009 + task * 101 + step * 31) * 2_654_435_761 % 9973;
                call(
                    check,
                    stores.alternating(dice / 100),
                    &key,
                    history,
                    dice % 100,
                )
                .await;
                if dice % 3 == 0 {
                    yield_once().await;
                }
            }
        });
        join(tasks).await;
        if let Err(problem) = history.check() {
            check.fail(&problem);
        }
    }
}

async fn create<S: SessionStore>(
    check: &Check<'_, S>,
    store: &S,
    key: &SessionKey,
    history: &History,
) {
    let mut record = record(0);
    let value = history.new_value();
    set_number(&mut record, "value", value);
    let began = history.began();
    let seen = match check.done(store.create(key, &record).await) {
        CreateOutcome::Created => Seen::Wrote(record.revision, value),
        CreateOutcome::Exists => Seen::Present,
    };
    history.returned(began, seen);
}

/// One call of the kind that `dice` of 100 says.
async fn call<S: SessionStore>(
    check: &Check<'_, S>,
    store: &S,
    key: &SessionKey,
    history: &History,
    dice: usize,
) {
    let value = history.new_value();
    let write = move |stored: &Record| {
        let mut next = stored.clone();
        set_number(&mut next, "value", value);
        next.revision = stored.revision.next();
        next
    };
    let read = |record: &Record| Seen::Read(record.revision, number(record, "value"));
    let change = |decide: fn(Record) -> Decision| -> RecordUpdate {
        Arc::new(move |stored| decide(write(stored)))
    };
    let modify = match dice {
        0..25 => Some(change(Decision::Replace)),
        25..32 => Some(change(|_| Decision::Keep)),
        98 => Some(change(|_| Decision::Delete)),
        _ => None,
    };
    let began = history.began();
    let seen = if let Some(change) = modify {
        // A base that is out of date for certain.
        let mut base = record(0);
        base.revision = Revision::from(0);
        let base = dice.is_multiple_of(2).then_some(&base);
        match store.modify(key, base, &change).await {
            Err(StoreError::Conflict { .. }) => Seen::Present,
            other => match check.done(other) {
                ModifyOutcome::Replaced { before, after } => {
                    history.returned(began, read(&before));
                    check.equal(
                        number(&after, "value"),
                        value,
                        "modify gives what it stored",
                    );
                    Seen::Wrote(after.revision, value)
                }
                ModifyOutcome::Kept(record) => read(&record),
                ModifyOutcome::Deleted(record) => {
                    history.returned(began, read(&record));
                    Seen::Deleted(Some(record.revision))
                }
                ModifyOutcome::Missing => Seen::Absent,
            },
        }
    } else {
        let loaded = check.done(store.load(key).await);
        history.returned(began, loaded.as_ref().map_or(Seen::Absent, read));
        let Some(loaded) = loaded.filter(|_| dice >= 50) else {
            return;
        };
        yield_once().await;
        let began = history.began();
        let seen = match dice {
            99 => deleted(check.done(store.delete(key, None).await), None),
            97 => {
                let expected = Some(loaded.revision);
                deleted(check.done(store.delete(key, expected).await), expected)
            }
            _ => {
                let next = write(&loaded);
                match check.done(store.update(key, &next, loaded.revision).await) {
                    UpdateOutcome::Updated => Seen::Wrote(next.revision, value),
                    UpdateOutcome::RevisionMismatch => Seen::Present,
                    UpdateOutcome::Missing => Seen::Absent,
                }
            }
        };
        history.returned(began, seen);
        return;
    };
    history.returned(began, seen);
}

fn deleted(outcome: DeleteOutcome, revision: Option<Revision>) -> Seen {
    match outcome {
        DeleteOutcome::Deleted => Seen::Deleted(revision),
        DeleteOutcome::RevisionMismatch => Seen::Present,
        DeleteOutcome::Missing => Seen::Absent,
    }
}
