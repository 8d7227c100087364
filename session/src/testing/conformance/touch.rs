//! Touches: two times move, and nothing else does.

use super::Handles;
use super::check::Check;
use super::sample::{START, counted, expiring_at, full_record, key, owned_by, record};
use crate::{DeleteOutcome, Revision, SessionStore, Timestamp, UpdateOutcome};

/// `touch` moves the last use and the expiry. The revision and everything else stay.
///
/// # Panics
///
/// When the store breaks this.
pub async fn touch_moves_two_times_and_nothing_else<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("touch_moves_two_times_and_nothing_else", stores);
    let mut full = full_record();
    full.last_seen = START;
    full.expires = START + crate::minutes(30);
    for first in [record(3), full] {
        let key = key();
        let mut expected = first;
        check.create(&key, &expected).await;
        for later in [1, 5, 86_400_000] {
            let later = std::time::Duration::from_millis(later);
            expected.last_seen = expected.last_seen + later;
            expected.expires = expected.expires + later;
            check.touch(&key, &expected).await;
            let sentence = "a touch moves two times and nothing else";
            check.stored(&key, Some(&expected), sentence).await;
        }
        let listed = check.list(100).await;
        let times = listed.get(&key).map(|info| (info.last_seen, info.expires));
        let sentence = "a listing tells the times of the last touch";
        check.equal(
            times,
            Some((expected.last_seen, expected.expires)),
            sentence,
        );
        // A save that was under way meanwhile meets no mismatch.
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
    let mut short = expiring_at((now + crate::hours(1)).as_millis());
    let mut long = expiring_at((now - crate::minutes(1)).as_millis());
    check.create(&shortened, &short).await;
    check.create(&lengthened, &long).await;
    // The same last use is no older one.
    short.expires = now - crate::minutes(1);
    check.touch(&shortened, &short).await;
    check
        .stored(&shortened, Some(&short), "a touch shortens the life")
        .await;
    long.expires = Timestamp::MAX;
    check.touch(&lengthened, &long).await;
    check
        .stored(&lengthened, Some(&long), "a touch lengthens the life")
        .await;
    check.sweep(now).await;
    let sentence = "a sweep removes what a touch has let expire";
    check.stored(&shortened, None, sentence).await;
    let sentence = "a sweep spares what a touch has lengthened";
    check.stored(&lengthened, Some(&long), sentence).await;
    long.expires = Timestamp::default();
    check.touch(&lengthened, &long).await;
    check
        .stored(
            &lengthened,
            Some(&long),
            "a touch shortens the life down to nothing",
        )
        .await;
}

/// `touch` leaves a record that was used later than that as it is, and counts as carried out.
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

/// `touch` does nothing to a record of another revision.
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
    // The last one is older than the record as well: the revision decides first.
    for last_seen in [START + crate::minutes(1), START, Timestamp::default()] {
        for wrong in [0, 1, 3, 2 + (1 << 32), u64::MAX].map(Revision::from) {
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
                .stored(&key, Some(&second), "a mismatch moves nothing")
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
