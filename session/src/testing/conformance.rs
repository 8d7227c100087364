//! What every [`SessionStore`] must do, as a test suite that anybody's store can run.
//!
//! [`all`] runs everything against fresh stores and panics at the first sentence of the trait's
//! contract that is broken, naming it. The other functions are the single behaviours.
//!
//! The suite needs no runtime of its own: it runs on whatever awaits it. Behaviours under
//! concurrency have many operations under way at once, so a store whose operations really
//! run in parallel is tested in parallel.
//!
//! ```
//! # #[cfg(feature = "memory")] {
//! use session::MemoryStore;
//! use session::testing::conformance;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! conformance::all(async || MemoryStore::new()).await;
//! # });
//! # }
//! ```

#![expect(clippy::panic, reason = "a test suite tells of a failure by panicking")]

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::{
    Change, Created, Modified, Record, Revision, SessionId, SessionStore, StoreError, StoreKey,
    Swapped, Timestamp,
};

/// Runs every behaviour, each against a store that `fresh` gives: an empty one.
///
/// # Panics
///
/// When the store breaks the contract.
pub async fn all<S: SessionStore>(fresh: impl AsyncFn() -> S) {
    a_record_comes_back_as_it_went_in(&fresh().await).await;
    create_never_replaces(&fresh().await).await;
    update_compares_the_revision(&fresh().await).await;
    update_never_creates(&fresh().await).await;
    delete_compares_the_revision(&fresh().await).await;
    delete_is_final(&fresh().await).await;
    touch_moves_the_expiry_and_nothing_else(&fresh().await).await;
    touch_never_moves_back(&fresh().await).await;
    touch_never_creates(&fresh().await).await;
    expired_records_stay_until_they_are_removed(&fresh().await).await;
    remove_expired_is_exact(&fresh().await).await;
    list_gives_every_session_once(&fresh().await).await;
    find_gives_the_sessions_of_one_owner(&fresh().await).await;
    find_follows_every_change(&fresh().await).await;
    modify_writes_what_the_change_makes(&fresh().await).await;
    modify_loses_no_concurrent_change(&fresh().await).await;
    nothing_outlives_a_concurrent_delete(&fresh().await).await;
    a_dropped_future_has_done_all_or_nothing(&fresh().await).await;
}

/// A record comes back exactly as it went in, fields of unknown meaning included, up to the
/// largest.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_record_comes_back_as_it_went_in<S: SessionStore>(store: &S) {
    const NAME: &str = "a_record_comes_back_as_it_went_in";
    let mut full = record(7);
    full.owner = Some(String::from("öwner 'quoted'; \u{1f980}"));
    full.persist_for = Some(crate::days(30));
    full.revision = Revision::from(u64::MAX - 1);
    full.expires = Timestamp::MAX;
    for (name, value) in [
        ("nil", &b"\xc0"[..]),
        ("", b"\x01"),
        (
            "unknown.to-this build",
            b"\x82\xa1a\x93\x01\x02\x03\xa1b\xc7\x03\x05xyz",
        ),
        ("non-canonical number", b"\xcf\0\0\0\0\0\0\0\x01"),
    ] {
        full.fields.set(name, value);
    }
    let mut large = record(1);
    let mut value = vec![0xc6, 0, 0, 0xea, 0x60];
    value.resize(5 + 60_000, 0xff);
    large.fields.set("large", &value);
    for record in [record(0), full, large] {
        let key = key();
        is(
            NAME,
            loaded(NAME, store, &key).await.is_none(),
            "a key that was never used is empty",
        );
        create(NAME, store, &key, &record).await;
        equal(
            NAME,
            loaded(NAME, store, &key).await,
            Some(record),
            "the record is as it went in",
        );
    }
}

/// `create` stores only where nothing is, expired or not, and leaves what is there as it is.
///
/// # Panics
///
/// When the store breaks this.
pub async fn create_never_replaces<S: SessionStore>(store: &S) {
    const NAME: &str = "create_never_replaces";
    for expires in [0, 2_000_000_000_000] {
        let key = key();
        let mut first = record(1);
        first.expires = Timestamp::from_millis(expires);
        create(NAME, store, &key, &first).await;
        let again = done(NAME, store.create(&key, &record(2)).await);
        equal(
            NAME,
            again,
            Created::Exists,
            "a second create is told that something is there",
        );
        let found = loaded(NAME, store, &key).await;
        equal(NAME, found, Some(first), "what was there stays");
    }
    // Of many at once, one wins.
    let key = key();
    let records: Vec<Record> = (0..8).map(record).collect();
    let results = join(records.iter().map(|record| store.create(&key, record))).await;
    let winners: Vec<usize> = (0..8)
        .filter(|index| matches!(results[*index], Ok(Created::Done)))
        .collect();
    equal(
        NAME,
        winners.len(),
        1,
        "one of eight concurrent creates wins",
    );
    let found = loaded(NAME, store, &key).await;
    equal(
        NAME,
        found.as_ref(),
        records.get(winners[0]),
        "the winner's record is stored",
    );
}

/// `update` replaces the record if its revision is the expected one, and leaves it alone otherwise.
///
/// # Panics
///
/// When the store breaks this.
pub async fn update_compares_the_revision<S: SessionStore>(store: &S) {
    const NAME: &str = "update_compares_the_revision";
    let key = key();
    let first = record(1);
    create(NAME, store, &key, &first).await;
    let second = successor(&first, "second");
    let swapped = done(NAME, store.update(&key, &second, first.revision).await);
    equal(
        NAME,
        swapped,
        Swapped::Done,
        "the right revision is replaced",
    );
    for wrong in [first.revision, second.revision.next(), Revision::from(0)] {
        let stale = successor(&first, "stale");
        let swapped = done(NAME, store.update(&key, &stale, wrong).await);
        equal(
            NAME,
            swapped,
            Swapped::Conflict,
            "a wrong revision is a conflict",
        );
    }
    let found = loaded(NAME, store, &key).await;
    equal(
        NAME,
        found,
        Some(second.clone()),
        "a conflict changes nothing",
    );
    // Of many at once, one wins.
    let rivals: Vec<Record> = (0..8)
        .map(|index| successor(&second, &format!("rival {index}")))
        .collect();
    let updates = rivals
        .iter()
        .map(|rival| store.update(&key, rival, second.revision));
    let winners = join(updates)
        .await
        .into_iter()
        .filter(|result| matches!(result, Ok(Swapped::Done)))
        .count();
    equal(NAME, winners, 1, "one of eight concurrent updates wins");
}

/// `update` of a missing key is `Gone` and stores nothing: there is no upsert.
///
/// # Panics
///
/// When the store breaks this.
pub async fn update_never_creates<S: SessionStore>(store: &S) {
    const NAME: &str = "update_never_creates";
    let key = key();
    let swapped = done(NAME, store.update(&key, &record(1), Revision::FIRST).await);
    equal(
        NAME,
        swapped,
        Swapped::Gone,
        "updating what is not there is told",
    );
    let found = loaded(NAME, store, &key).await;
    is(
        NAME,
        found.is_none(),
        "updating what is not there stores nothing",
    );
    create(NAME, store, &key, &record(1)).await;
    let deleted = done(NAME, store.delete(&key, None).await);
    equal(NAME, deleted, Swapped::Done, "what is there is deleted");
    let swapped = done(NAME, store.update(&key, &record(2), Revision::FIRST).await);
    equal(
        NAME,
        swapped,
        Swapped::Gone,
        "updating what was deleted is told",
    );
    let found = loaded(NAME, store, &key).await;
    is(NAME, found.is_none(), "a deleted record does not come back");
}

/// `delete` with a revision removes that revision only; without one, whatever is there.
///
/// # Panics
///
/// When the store breaks this.
pub async fn delete_compares_the_revision<S: SessionStore>(store: &S) {
    const NAME: &str = "delete_compares_the_revision";
    let key = key();
    let first = record(1);
    create(NAME, store, &key, &first).await;
    let wrong = Some(first.revision.next());
    let deleted = done(NAME, store.delete(&key, wrong).await);
    equal(
        NAME,
        deleted,
        Swapped::Conflict,
        "a wrong revision is a conflict",
    );
    let found = loaded(NAME, store, &key).await;
    equal(
        NAME,
        found,
        Some(first.clone()),
        "a conflict removes nothing",
    );
    let deleted = done(NAME, store.delete(&key, Some(first.revision)).await);
    equal(
        NAME,
        deleted,
        Swapped::Done,
        "the right revision is removed",
    );
    let deleted = done(NAME, store.delete(&key, Some(first.revision)).await);
    equal(NAME, deleted, Swapped::Gone, "what is not there is told");
}

/// After `delete` there is no record, and a new one may be created.
///
/// # Panics
///
/// When the store breaks this.
pub async fn delete_is_final<S: SessionStore>(store: &S) {
    const NAME: &str = "delete_is_final";
    let key = key();
    create(NAME, store, &key, &record(1)).await;
    let deleted = done(NAME, store.delete(&key, None).await);
    equal(NAME, deleted, Swapped::Done, "what is there is removed");
    is(
        NAME,
        loaded(NAME, store, &key).await.is_none(),
        "what is removed cannot be loaded",
    );
    let deleted = done(NAME, store.delete(&key, None).await);
    equal(NAME, deleted, Swapped::Gone, "what is not there is told");
    is(
        NAME,
        listed(NAME, store.list()).await.is_empty(),
        "what is removed is not listed",
    );
    create(NAME, store, &key, &record(2)).await;
}

/// `touch` moves the last use and the expiry; the data and the revision stay.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_moves_the_expiry_and_nothing_else<S: SessionStore>(store: &S) {
    const NAME: &str = "touch_moves_the_expiry_and_nothing_else";
    let key = key();
    let mut expected = record(3);
    create(NAME, store, &key, &expected).await;
    for later in [1, 5, 86_400_000] {
        expected.last_seen = expected.last_seen + std::time::Duration::from_millis(later);
        expected.expires = expected.expires + std::time::Duration::from_millis(later);
        let touched = store
            .touch(&key, expected.last_seen, expected.expires)
            .await;
        is(NAME, done(NAME, touched), "what is there is touched");
        let found = loaded(NAME, store, &key).await;
        equal(
            NAME,
            found,
            Some(expected.clone()),
            "two times have moved and nothing else",
        );
    }
    // And so a save that was under way meets no conflict.
    let next = successor(&expected, "next");
    let swapped = done(NAME, store.update(&key, &next, expected.revision).await);
    equal(NAME, swapped, Swapped::Done, "the revision has not moved");
}

/// `touch` does nothing when the record has been used later than that.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_never_moves_back<S: SessionStore>(store: &S) {
    const NAME: &str = "touch_never_moves_back";
    let key = key();
    let first = record(1);
    create(NAME, store, &key, &first).await;
    let earlier = first.last_seen - std::time::Duration::from_millis(1);
    let touched = store.touch(&key, earlier, Timestamp::from_millis(5)).await;
    is(NAME, done(NAME, touched), "it is there all the same");
    let found = loaded(NAME, store, &key).await;
    equal(NAME, found, Some(first), "an earlier use moves nothing");
}

/// `touch` of a missing key is false and stores nothing.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_never_creates<S: SessionStore>(store: &S) {
    const NAME: &str = "touch_never_creates";
    let key = key();
    let touched = store.touch(&key, Timestamp::MAX, Timestamp::MAX).await;
    is(
        NAME,
        !done(NAME, touched),
        "touching what is not there is told",
    );
    let found = loaded(NAME, store, &key).await;
    is(
        NAME,
        found.is_none(),
        "touching what is not there stores nothing",
    );
}

/// A record that has expired is loaded and changed like any other: only the manager decides.
///
/// # Panics
///
/// When the store breaks this.
pub async fn expired_records_stay_until_they_are_removed<S: SessionStore>(store: &S) {
    const NAME: &str = "expired_records_stay_until_they_are_removed";
    let key = key();
    let mut expired = record(1);
    expired.expires = Timestamp::from_millis(1);
    create(NAME, store, &key, &expired).await;
    let found = loaded(NAME, store, &key).await;
    equal(
        NAME,
        found,
        Some(expired.clone()),
        "an expired record is loaded",
    );
    let next = successor(&expired, "next");
    let swapped = done(NAME, store.update(&key, &next, expired.revision).await);
    equal(NAME, swapped, Swapped::Done, "an expired record is updated");
}

/// `remove_expired` takes what has expired at that moment, to the millisecond, and says how many.
///
/// # Panics
///
/// When the store breaks this.
pub async fn remove_expired_is_exact<S: SessionStore>(store: &S) {
    const NAME: &str = "remove_expired_is_exact";
    let now = 2_000_000_000_000;
    let mut keys = Vec::new();
    for expires in [0, now - 1, now, now + 1, u64::MAX] {
        let mut record = record(1);
        record.expires = Timestamp::from_millis(expires);
        let key = key();
        create(NAME, store, &key, &record).await;
        keys.push((key, expires));
    }
    let removed = store.remove_expired(Timestamp::from_millis(now)).await;
    equal(NAME, done(NAME, removed), 3, "three of five have expired");
    for (key, expires) in &keys {
        let found = loaded(NAME, store, key).await;
        equal(
            NAME,
            found.is_some(),
            *expires > now,
            "what ends later stays, what ends now goes",
        );
    }
    let removed = store.remove_expired(Timestamp::from_millis(now)).await;
    equal(
        NAME,
        done(NAME, removed),
        0,
        "nothing is left to be removed",
    );
}

/// `list` gives every session once, with its times and owner.
///
/// # Panics
///
/// When the store breaks this.
pub async fn list_gives_every_session_once<S: SessionStore>(store: &S) {
    const NAME: &str = "list_gives_every_session_once";
    is(
        NAME,
        listed(NAME, store.list()).await.is_empty(),
        "an empty store lists nothing",
    );
    let mut expected = Vec::new();
    for index in 0..300_u32 {
        let mut record = record(index);
        record.owner = (index % 3 == 0).then(|| format!("owner {index}"));
        let key = key();
        create(NAME, store, &key, &record).await;
        expected.push((key, record));
    }
    let mut found = listed(NAME, store.list()).await;
    found.sort_by(|one, other| one.key.cmp(&other.key));
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    equal(
        NAME,
        found.len(),
        expected.len(),
        "each session is listed once",
    );
    for (info, (key, record)) in found.iter().zip(&expected) {
        equal(NAME, &info.key, key, "under its key");
        let told = (
            info.revision,
            info.created,
            info.last_seen,
            info.expires,
            &info.owner,
        );
        let stored = (
            record.revision,
            record.created,
            record.last_seen,
            record.expires,
            &record.owner,
        );
        is(NAME, told == stored, "with its own times and owner");
        is(NAME, info.size > 0, "with its size");
    }
}

/// `find` gives the sessions of one owner and no other.
///
/// # Panics
///
/// When the store breaks this.
pub async fn find_gives_the_sessions_of_one_owner<S: SessionStore>(store: &S) {
    const NAME: &str = "find_gives_the_sessions_of_one_owner";
    for owner in [
        Some("alice"),
        Some("alice"),
        Some("alic"),
        Some("alice "),
        Some(""),
        None,
    ] {
        let mut record = record(1);
        record.owner = owner.map(str::to_owned);
        create(NAME, store, &key(), &record).await;
    }
    for (owner, expected) in [("alice", 2), ("alic", 1), ("", 1), ("Alice", 0), ("%", 0)] {
        let found = listed(NAME, store.find(owner)).await;
        equal(NAME, found.len(), expected, "the sessions of this owner");
        is(
            NAME,
            found
                .iter()
                .all(|info| info.owner.as_deref() == Some(owner)),
            "and no others",
        );
    }
}

/// `find` knows at once of an owner that is set, changed or taken away, whatever the change was made
/// by, and of a session that is gone.
///
/// # Panics
///
/// When the store breaks this.
pub async fn find_follows_every_change<S: SessionStore>(store: &S) {
    const NAME: &str = "find_follows_every_change";
    let key = key();
    let mut current = record(1);
    create(NAME, store, &key, &current).await;
    for (step, owner) in [Some("alice"), Some("bob"), None, Some("bob"), Some("alice")]
        .into_iter()
        .enumerate()
    {
        let mut next = current.clone();
        next.owner = owner.map(str::to_owned);
        next.revision = current.revision.next();
        if step % 2 == 0 {
            let swapped = store.update(&key, &next, current.revision).await;
            equal(NAME, done(NAME, swapped), Swapped::Done, "an update");
        } else {
            let change: Change = {
                let next = next.clone();
                Arc::new(move |_| Some(next.clone()))
            };
            let modified = store.modify(&key, &current, &change).await;
            equal(
                NAME,
                done(NAME, modified),
                Modified::Done(next.clone()),
                "a modify",
            );
        }
        current = next;
        for other in ["alice", "bob"] {
            let found = listed(NAME, store.find(other)).await.len();
            equal(
                NAME,
                found,
                usize::from(owner == Some(other)),
                "who is found",
            );
        }
    }
    let swapped = store.delete(&key, None).await;
    equal(NAME, done(NAME, swapped), Swapped::Done, "a delete");
    let found = listed(NAME, store.find("alice")).await.len();
    equal(NAME, found, 0, "what is found of a session that is gone");
}

/// `modify` stores what the change makes of the current record; nothing when it declines, and
/// nothing when there is none.
///
/// # Panics
///
/// When the store breaks this.
pub async fn modify_writes_what_the_change_makes<S: SessionStore>(store: &S) {
    const NAME: &str = "modify_writes_what_the_change_makes";
    let key = key();
    let first = record(1);
    let change: Change = Arc::new(|current| Some(successor(current, "changed")));
    let modified = done(NAME, store.modify(&key, &first, &change).await);
    equal(
        NAME,
        modified,
        Modified::Gone,
        "there is nothing to be changed",
    );
    is(
        NAME,
        loaded(NAME, store, &key).await.is_none(),
        "and nothing is made",
    );

    create(NAME, store, &key, &first).await;
    let expected = successor(&first, "changed");
    let modified = done(NAME, store.modify(&key, &first, &change).await);
    equal(
        NAME,
        modified,
        Modified::Done(expected.clone()),
        "the change is made",
    );
    let found = loaded(NAME, store, &key).await;
    equal(NAME, found, Some(expected.clone()), "and stored");

    // With a base that is out of date: the change is made to what is there.
    let other: Change = Arc::new(|current| Some(successor(current, "other")));
    let both = successor(&expected, "other");
    let modified = done(NAME, store.modify(&key, &first, &other).await);
    equal(
        NAME,
        modified,
        Modified::Done(both.clone()),
        "the current record is changed",
    );

    let decline: Change = Arc::new(|_| None);
    let modified = done(NAME, store.modify(&key, &both, &decline).await);
    equal(NAME, modified, Modified::Declined, "a change may decline");
    let found = loaded(NAME, store, &key).await;
    equal(NAME, found, Some(both), "and nothing is written then");
}

/// Changes that are made at the same time are all there in the end: fields of their own and a
/// counter.
///
/// # Panics
///
/// When the store breaks this.
pub async fn modify_loses_no_concurrent_change<S: SessionStore>(store: &S) {
    const NAME: &str = "modify_loses_no_concurrent_change";
    const WRITERS: usize = 8;
    const ROUNDS: u64 = 25;
    let key = key();
    let base = record(0);
    create(NAME, store, &key, &base).await;
    let writers = (0..WRITERS).map(|writer| {
        let (key, base) = (key.clone(), base.clone());
        async move {
            for _ in 0..ROUNDS {
                let change: Change = Arc::new(move |current| {
                    let own = format!("writer {writer}");
                    let next = successor(current, &own);
                    Some(successor(&next, "all"))
                });
                // Giving up after too many conflicts is allowed: it is told, and tried again.
                loop {
                    match store.modify(&key, &base, &change).await {
                        Err(StoreError::Conflict { .. }) => {}
                        Ok(Modified::Done(_)) => break,
                        other => panic!("{NAME}: a change was not made: {other:?}"),
                    }
                }
            }
        }
    });
    join(writers).await;
    let Some(found) = loaded(NAME, store, &key).await else {
        panic!("{NAME}: the record is gone");
    };
    for writer in 0..WRITERS {
        let count = counter(&found, &format!("writer {writer}"));
        equal(
            NAME,
            count,
            ROUNDS,
            "a writer's own field has all of its changes",
        );
    }
    let all = counter(&found, "all");
    equal(
        NAME,
        all,
        ROUNDS * WRITERS as u64,
        "the common field has everybody's changes",
    );
}

/// Once `delete` has returned, nothing that was under way brings the record back.
///
/// # Panics
///
/// When the store breaks this.
pub async fn nothing_outlives_a_concurrent_delete<S: SessionStore>(store: &S) {
    const NAME: &str = "nothing_outlives_a_concurrent_delete";
    for _ in 0..20 {
        let key = key();
        let base = record(1);
        create(NAME, store, &key, &base).await;
        let mut under_way: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        for index in 0..6_u32 {
            let (key, base) = (key.clone(), base.clone());
            under_way.push(Box::pin(async move {
                let change: Change = Arc::new(|current| Some(successor(current, "late")));
                match index % 3 {
                    0 => drop(store.modify(&key, &base, &change).await),
                    1 => drop(store.touch(&key, Timestamp::MAX, Timestamp::MAX).await),
                    _ => {
                        let next = successor(&base, "late");
                        drop(store.update(&key, &next, base.revision).await);
                    }
                }
            }));
        }
        let doomed = key.clone();
        under_way.insert(
            3,
            Box::pin(async move {
                let deleted = done(NAME, store.delete(&doomed, None).await);
                equal(NAME, deleted, Swapped::Done, "the record is deleted");
            }),
        );
        join(under_way).await;
        let found = loaded(NAME, store, &key).await;
        is(NAME, found.is_none(), "a deleted record came back");
    }
}

/// A future that is dropped before its end has done the whole step or nothing, and hinders nobody.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_dropped_future_has_done_all_or_nothing<S: SessionStore>(store: &S) {
    const NAME: &str = "a_dropped_future_has_done_all_or_nothing";
    for polls in 0..12 {
        let key = key();
        let first = record(1);
        create(NAME, store, &key, &first).await;
        let change: Change = Arc::new(|current| Some(successor(current, "dropped")));
        {
            let mut dropped = Box::pin(store.modify(&key, &first, &change));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if dropped.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                std::thread::yield_now();
            }
        }
        // The next one gets through at once, and finds the one before done or not done.
        let after: Change = Arc::new(|current| Some(successor(current, "after")));
        let modified = done(NAME, store.modify(&key, &first, &after).await);
        let Modified::Done(found) = modified else {
            panic!("{NAME}: the change after a dropped one was not made");
        };
        equal(
            NAME,
            counter(&found, "after"),
            1,
            "the change after it is made once",
        );
        is(
            NAME,
            counter(&found, "dropped") <= 1,
            "the dropped one is made once at the most",
        );
    }
}

/// A record with one field, `value`.
fn record(value: u32) -> Record {
    let now = Timestamp::from_millis(1_767_225_600_000);
    let mut record = Record::new(now, now + crate::minutes(30));
    let mut bytes = vec![0xce];
    bytes.extend_from_slice(&value.to_be_bytes());
    record.fields.set("value", &bytes);
    record
}

/// The next revision of `record`, with the counter `field` raised by one.
fn successor(record: &Record, field: &str) -> Record {
    let mut next = record.clone();
    let mut bytes = vec![0xcf];
    bytes.extend_from_slice(&(counter(record, field) + 1).to_be_bytes());
    next.fields.set(field, &bytes);
    next.revision = record.revision.next();
    next
}

fn counter(record: &Record, field: &str) -> u64 {
    let bytes = record.fields.get(field).and_then(|value| value.get(1..9));
    bytes.map_or(0, |bytes| {
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    })
}

fn key() -> StoreKey {
    match SessionId::generate() {
        Ok(id) => StoreKey::new("conformance", &id),
        Err(error) => panic!("{error}"),
    }
}

async fn create<S: SessionStore>(name: &str, store: &S, key: &StoreKey, record: &Record) {
    let created = done(name, store.create(key, record).await);
    equal(name, created, Created::Done, "a free key takes a record");
}

async fn loaded<S: SessionStore>(name: &str, store: &S, key: &StoreKey) -> Option<Record> {
    done(name, store.load(key).await)
}

async fn listed(name: &str, mut listing: crate::Listing) -> Vec<crate::SessionInfo> {
    let mut sessions = Vec::new();
    while let Some(session) = listing.next().await {
        sessions.push(done(name, session));
    }
    sessions
}

fn done<T>(name: &str, result: Result<T, StoreError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{name}: {}", crate::log::chain(&error)),
    }
}

fn is(name: &str, holds: bool, sentence: &str) {
    assert!(holds, "{name}: {sentence}: this does not hold");
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "calls read better without `&`"
)]
fn equal<T: PartialEq + Debug>(name: &str, found: T, expected: T, sentence: &str) {
    assert!(
        found == expected,
        "{name}: {sentence}: expected {expected:?}, found {found:?}"
    );
}

/// Waits for all of `futures`, which are under way at the same time.
async fn join<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| Some(Box::pin(future)))
        .collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(context)
            {
                *output = Some(value);
                *future = None;
            }
        }
        if futures.iter().all(Option::is_none) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
