//! Touches: two times move, the revision rises, and nothing else changes.

use super::Handles;
use super::check::Check;
use super::sample::{START, counted, expiring_at, full_record, key, owned_by, record, touched};
use crate::{DeleteOutcome, Revision, SessionStore, Timestamp, UpdateOutcome};

/// `touch` moves the last use and the expiry, and raises the revision by one. Everything else stays. A save or
/// a delete at the revision before meets a mismatch from then on.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_moves_two_times_and_raises_the_revision<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("touch_moves_two_times_and_raises_the_revision", stores);
    let mut full = full_record();
    full.last_seen = START;
    full.expires = START + crate::minutes(30);
    for first in [record(3), full] {
        let key = key();
        let mut expected = first;
        check.create(&key, &expected).await;
        for later in [1, 5, 86_400_000] {
            let later = std::time::Duration::from_millis(later);
            let before = expected.clone();
            expected = touched(&before, before.last_seen + later, before.expires + later);
            check.touch(&key, &expected, before.revision).await;
            let sentence =
                "a touch moves two times, raises the revision by one and changes nothing else";
            check.stored(&key, Some(&expected), sentence).await;

            let store = &stores.second;
            let late = counted(&before, "late");
            let updated = check.done(store.update(&key, &late, before.revision).await);
            let sentence = "a save at the revision before a touch meets a mismatch";
            check.equal(updated, UpdateOutcome::RevisionMismatch, sentence);
            let deleted = check.done(store.delete(&key, Some(before.revision)).await);
            let sentence = "a delete at the revision before a touch meets a mismatch";
            check.equal(deleted, DeleteOutcome::RevisionMismatch, sentence);
            check
                .stored(&key, Some(&expected), "a mismatch changes nothing")
                .await;
        }
        let listed = check.list(100).await;
        let listed = listed.get(&key);
        let listed = listed.map(|info| (info.revision, info.last_seen, info.expires));
        let sentence = "a listing tells the revision and the times of the last touch";
        let last = (expected.revision, expected.last_seen, expected.expires);
        check.equal(listed, Some(last), sentence);
        let next = counted(&expected, "next");
        check.update(&key, &next, expected.revision).await;
    }
}

/// `touch` shortens a life as well as it lengthens it, and a sweep goes by the new expiry.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_shortens_as_well_as_it_lengthens<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("touch_shortens_as_well_as_it_lengthens", stores);
    let now = START + crate::minutes(10);
    let (shortened, lengthened) = (key(), key());
    let first = expiring_at((now + crate::hours(1)).as_millis());
    check.create(&shortened, &first).await;
    // The same last use is no older one.
    let short = touched(&first, first.last_seen, now - crate::minutes(1));
    check.touch(&shortened, &short, first.revision).await;
    check
        .stored(&shortened, Some(&short), "a touch shortens the life")
        .await;
    let first = expiring_at((now - crate::minutes(1)).as_millis());
    check.create(&lengthened, &first).await;
    let long = touched(&first, first.last_seen, Timestamp::MAX);
    check.touch(&lengthened, &long, first.revision).await;
    check
        .stored(&lengthened, Some(&long), "a touch lengthens the life")
        .await;
    check.sweep(now).await;
    let sentence = "a sweep removes what a touch has let expire";
    check.stored(&shortened, None, sentence).await;
    let sentence = "a sweep spares what a touch has lengthened";
    check.stored(&lengthened, Some(&long), sentence).await;
    let ended = touched(&long, long.last_seen, Timestamp::default());
    check.touch(&lengthened, &ended, long.revision).await;
    check
        .stored(
            &lengthened,
            Some(&ended),
            "a touch shortens the life down to nothing",
        )
        .await;
}

/// `touch` leaves a record that was used later than that as it is, revision included, and counts as carried
/// out.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_ignores_an_older_use<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("touch_ignores_an_older_use", stores);
    let key = key();
    let first = record(1);
    check.create(&key, &first).await;
    for (seen, expires) in [
        (START - std::time::Duration::from_millis(1), Timestamp::MAX),
        (START - crate::days(1), Timestamp::from_millis(5)),
        (Timestamp::default(), Timestamp::default()),
    ] {
        let touched = stores
            .second
            .touch(&key, seen, expires, first.revision)
            .await;
        let sentence = "a touch with an older use counts as carried out";
        check.equal(check.done(touched), UpdateOutcome::Updated, sentence);
        check
            .stored(&key, Some(&first), "an older use moves nothing")
            .await;
    }
}

/// `touch` does nothing to a record of another revision, also where only a touch has raised it.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_compares_the_revision<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("touch_compares_the_revision", stores);
    let key = key();
    let first = record(1);
    let second = counted(&first, "second");
    check.create(&key, &first).await;
    check.update(&key, &second, first.revision).await;
    let third = touched(&second, START, second.expires + crate::minutes(1));
    check.touch(&key, &third, second.revision).await;
    // The last one is older than the record as well: the revision decides first.
    for last_seen in [START + crate::minutes(1), START, Timestamp::default()] {
        for wrong in [0, 1, 2, 4, 3 + (1 << 32), u64::MAX].map(Revision::from) {
            let touched = stores
                .first
                .touch(&key, last_seen, Timestamp::MAX, wrong)
                .await;
            let sentence = "a touch of another revision says so";
            check.equal(
                check.done(touched),
                UpdateOutcome::RevisionMismatch,
                sentence,
            );
            check
                .stored(&key, Some(&third), "a mismatch moves nothing")
                .await;
        }
    }
}

/// `touch` of a missing record stores nothing.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_never_creates<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("touch_never_creates", stores);
    let key = key();
    for _ in 0..2 {
        let touched = stores
            .second
            .touch(&key, Timestamp::MAX, Timestamp::MAX, Revision::FIRST)
            .await;
        let sentence = "a touch without a record says so";
        check.equal(check.done(touched), UpdateOutcome::Missing, sentence);
        check.stored(&key, None, "a touch stores nothing").await;
        let listed = check.list(100).await;
        check.is(listed.is_empty(), "a touch leaves nothing to be listed");
        check.create(&key, &owned_by(Some("owner"))).await;
        let deleted = check.done(stores.first.delete(&key, None).await);
        check.equal(deleted, DeleteOutcome::Deleted, "a record is deleted");
    }
}
