//! Create, update and delete, one after the other.

use std::sync::Arc;

use super::Handles;
use super::check::Check;
use super::sample::{START, counted, expiring_at, key, owned_by, record};
use crate::{
    CreateOutcome, Decision, DeleteOutcome, RecordUpdate, Revision, SessionStore, Timestamp,
    UpdateOutcome,
};

/// When a method returns, every later call sees what it did: by this handle and by every other.
///
/// # Panics
///
/// When the store breaks this.
pub async fn every_call_sees_the_calls_before_it<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("every_call_sees_the_calls_before_it", stores);
    for turn in 0..2 {
        let writer = stores.alternating(turn);
        let key = key();
        // Each load leaves both handles with something that they could remember. What each method has to do is
        // another behaviour's: here both have to see the same.
        check.load(&key).await;
        let first = record(1);
        let _ = check.done(writer.create(&key, &first).await);
        check.load(&key).await;

        let second = counted(&first, "updated");
        let _ = check.done(writer.update(&key, &second, first.revision).await);
        check.load(&key).await;

        let (seen, expires) = (second.last_seen + crate::seconds(1), Timestamp::MAX);
        let touched = writer.touch(&key, seen, expires, second.revision).await;
        let _ = check.done(touched);
        check.load(&key).await;

        let count: RecordUpdate = Arc::new(|stored| Decision::Replace(counted(stored, "modified")));
        let _ = check.done(writer.modify(&key, None, &count).await);
        check.load(&key).await;

        let _ = check.done(writer.delete(&key, None).await);
        check.load(&key).await;
        let _ = check.done(writer.create(&key, &expiring_at(1)).await);
        check.load(&key).await;
        let _ = check.done(writer.take_expired(START, 10).await);
        check.load(&key).await;
    }
}

/// `create` stores only where nothing is, and leaves what is there as it is, expired or not.
///
/// # Panics
///
/// When the store breaks this.
pub async fn create_never_replaces<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("create_never_replaces", stores);
    for expires in [0, u64::MAX] {
        let key = key();
        let first = expiring_at(expires);
        check.create(&key, &first).await;
        for again in [record(2), first.clone(), counted(&first, "again")] {
            let created = check.done(stores.second.create(&key, &again).await);
            let sentence = "a second create says that something is there";
            check.equal(created, CreateOutcome::Exists, sentence);
        }
        check
            .stored(&key, Some(&first), "what is there stays")
            .await;
    }
}

/// `update` replaces the record if its revision is the expected one, and does nothing otherwise.
///
/// # Panics
///
/// When the store breaks this.
pub async fn update_compares_the_revision<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("update_compares_the_revision", stores);
    let key = key();
    let first = record(1);
    check.create(&key, &first).await;
    let second = counted(&first, "second");
    check.update(&key, &second, first.revision).await;
    check
        .stored(&key, Some(&second), "the expected revision is replaced")
        .await;
    let wrong = [0, 1, 3, 2 + (1 << 32), u64::MAX].map(Revision::from);
    for expected in wrong {
        // Once with a revision that would fit, once with one that is far ahead.
        for stale in [counted(&first, "stale"), counted(&second, "stale")] {
            let updated = check.done(stores.first.update(&key, &stale, expected).await);
            let sentence = "another revision is not replaced";
            check.equal(updated, UpdateOutcome::RevisionMismatch, sentence);
            check
                .stored(&key, Some(&second), "a mismatch changes nothing")
                .await;
        }
    }
    // The largest revisions are compared as numbers too.
    let mut last = counted(&second, "last");
    last.revision = Revision::from(u64::MAX - 1);
    check.update(&key, &last, second.revision).await;
    let over = stores
        .first
        .update(&key, &second, Revision::from(u64::MAX))
        .await;
    let sentence = "the largest revisions are told apart";
    check.equal(check.done(over), UpdateOutcome::RevisionMismatch, sentence);
    check.stored(&key, Some(&last), sentence).await;
}

/// `update` of a missing record stores nothing: there is no upsert.
///
/// # Panics
///
/// When the store breaks this.
pub async fn update_never_creates<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("update_never_creates", stores);
    let key = key();
    let first = record(1);
    for _ in 0..2 {
        for expected in [Revision::from(0), first.revision, Revision::from(2)] {
            let updated = check.done(stores.second.update(&key, &first, expected).await);
            let sentence = "an update without a record says so";
            check.equal(updated, UpdateOutcome::Missing, sentence);
            check
                .stored(&key, None, "an update stores nothing where nothing is")
                .await;
        }
        // Once more for a record that was there and is deleted.
        check.create(&key, &first).await;
        let deleted = check.done(stores.first.delete(&key, None).await);
        check.equal(deleted, DeleteOutcome::Deleted, "a record is deleted");
    }
}

/// `delete` with a revision removes that revision only; without one it removes every one.
///
/// # Panics
///
/// When the store breaks this.
pub async fn delete_compares_the_revision<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("delete_compares_the_revision", stores);
    let key = key();
    let first = record(1);
    let second = counted(&first, "second");
    for by_revision in [true, false] {
        check.create(&key, &first).await;
        check.update(&key, &second, first.revision).await;
        for wrong in [0, 1, 3, 2 + (1 << 32), u64::MAX] {
            let expected = Some(Revision::from(wrong));
            let deleted = check.done(stores.second.delete(&key, expected).await);
            let sentence = "another revision is not deleted";
            check.equal(deleted, DeleteOutcome::RevisionMismatch, sentence);
            check
                .stored(&key, Some(&second), "a mismatch deletes nothing")
                .await;
        }
        let expected = by_revision.then_some(second.revision);
        let deleted = check.done(stores.first.delete(&key, expected).await);
        check.equal(deleted, DeleteOutcome::Deleted, "the record is deleted");
        check
            .stored(&key, None, "a deleted record is not loaded")
            .await;
        for expected in [None, Some(second.revision)] {
            let deleted = check.done(stores.second.delete(&key, expected).await);
            let sentence = "a delete without a record says so";
            check.equal(deleted, DeleteOutcome::Missing, sentence);
        }
    }
}

/// A deleted record is not loaded, changed, listed, found or swept any more, and its key is free.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_deleted_record_is_gone_everywhere<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_deleted_record_is_gone_everywhere", stores);
    let (kept, deleted) = (key(), key());
    let mut record = owned_by(Some("owner"));
    record.expires = Timestamp::from_millis(5);
    check.create(&kept, &record).await;
    check.create(&deleted, &record).await;
    let outcome = check.done(stores.second.delete(&deleted, None).await);
    check.equal(outcome, DeleteOutcome::Deleted, "a record is deleted");
    check
        .stored(&deleted, None, "a deleted record is not loaded")
        .await;
    for at_most in [1, 100] {
        let listed = check.list(at_most).await;
        check.is(
            !listed.contains_key(&deleted),
            "a deleted record is not listed",
        );
        check.equal(listed.len(), 1, "the other record is listed");
        let found = check.sessions_of("owner", at_most).await;
        check.is(
            !found.contains_key(&deleted),
            "a deleted record is not found by its owner",
        );
        check.equal(found.len(), 1, "the other record is found by its owner");
    }
    let taken = check.sweep(START).await;
    check.is(
        !taken.contains_key(&deleted),
        "a deleted record is not swept",
    );
    check.create(&deleted, &record).await;
    check
        .stored(
            &deleted,
            Some(&record),
            "the key of a deleted record is free",
        )
        .await;
}
