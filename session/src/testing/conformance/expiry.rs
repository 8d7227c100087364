//! Expired records: like all others until `take_expired` removes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Handles;
use super::check::Check;
use super::sample::{
    START, counted, expiring_at, full_record, join, key, owned_by, poll_up_to, record,
};
use crate::{
    CreateOutcome, Decision, DeleteOutcome, ModifyOutcome, Record, RecordUpdate, SessionKey,
    SessionStore, Timestamp, UpdateOutcome,
};

/// A record that has expired is loaded, listed, found, touched and changed like any other one.
///
/// # Panics
///
/// When the store breaks this.
pub async fn an_expired_record_is_like_any_other<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("an_expired_record_is_like_any_other", stores);
    for millis in [0, 1, START.as_millis()] {
        let key = key();
        let mut expired = owned_by(Some("owner"));
        expired.expires = Timestamp::from_millis(millis);
        check.create(&key, &expired).await;
        check
            .stored(&key, Some(&expired), "an expired record is loaded")
            .await;
        let created = check.done(stores.second.create(&key, &record(2)).await);
        check.equal(
            created,
            CreateOutcome::Exists,
            "an expired record is in the way of another",
        );
        check.is(
            check.list(10).await.contains_key(&key),
            "an expired record is listed",
        );
        let found = check.sessions_of("owner", 10).await;
        check.is(
            found.contains_key(&key),
            "an expired record is found by its owner",
        );

        let next = counted(&expired, "updated");
        check.update(&key, &next, expired.revision).await;
        check
            .stored(&key, Some(&next), "an expired record is updated")
            .await;
        let mut next = counted(&next, "modified");
        let count: RecordUpdate = Arc::new(|stored| Decision::Replace(counted(stored, "modified")));
        let modified = check.done(stores.first.modify(&key, None, &count).await);
        let is_replaced = matches!(modified, ModifyOutcome::Replaced { .. });
        check.is(is_replaced, "an expired record is modified");
        next.last_seen = START + crate::seconds(1);
        check.touch(&key, &next).await;
        check
            .stored(&key, Some(&next), "an expired record is touched")
            .await;
        let deleted = check.done(stores.second.delete(&key, Some(next.revision)).await);
        check.equal(
            deleted,
            DeleteOutcome::Deleted,
            "an expired record is deleted",
        );
    }
}

/// `take_expired` removes what has expired at that moment, to the millisecond.
///
/// # Panics
///
/// When the store breaks this.
pub async fn take_expired_is_exact<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("take_expired_is_exact", stores);
    let now = START.as_millis();
    let expiries = [0, 1, now - 1, now, now + 1, u64::MAX - 1, u64::MAX];
    let mut keys = Vec::new();
    for expires in expiries {
        let key = key();
        check.create(&key, &expiring_at(expires)).await;
        keys.push(key);
    }
    for now in [0, 0, now, now, now + 1, u64::MAX] {
        let taken = check.sweep(Timestamp::from_millis(now)).await;
        let is_due = taken
            .values()
            .all(|record| record.expires.as_millis() <= now);
        check.is(is_due, "what ends later stays");
        for (key, expires) in keys.iter().zip(expiries) {
            let is_there = check.load(key).await.is_some();
            let sentence = "what has ended by now is removed, and no more";
            check.equal(is_there, expires > now, sentence);
        }
    }
}

/// `take_expired` gives the records that it removed, as they were stored.
///
/// # Panics
///
/// When the store breaks this.
pub async fn take_expired_gives_the_records_it_removed<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("take_expired_gives_the_records_it_removed", stores);
    let mut full = full_record();
    full.expires = START;
    let mut expected = BTreeMap::new();
    for (number, record) in [full, expiring_at(0), owned_by(Some("owner"))]
        .into_iter()
        .enumerate()
    {
        let key = key();
        let mut current = record;
        current.last_seen = Timestamp::default();
        current.expires = START;
        check.create(&key, &current).await;
        if number > 0 {
            let next = counted(&current, "changed");
            check.update(&key, &next, current.revision).await;
            current = next;
        }
        // One that the last touch has let expire, of which the fields are as before.
        current.last_seen = START;
        current.expires = START - crate::seconds(number as u64);
        check.touch(&key, &current).await;
        expected.insert(key, current);
    }
    let taken = check.sweep(START).await;
    check.equal(taken.len(), expected.len(), "each expired record is given");
    for (key, record) in &expected {
        check.same(
            taken.get(key),
            Some(record),
            "a record is given as it was stored",
        );
    }
}

/// `take_expired` removes at most as many as were asked for; fewer than that are the last.
///
/// # Panics
///
/// When the store breaks this.
pub async fn take_expired_is_limited<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("take_expired_is_limited", stores);
    for number in 0..600 {
        // Half of them expired, and mixed with the others.
        let expires = if number % 2 == 0 { 5 } else { u64::MAX };
        check.create(&key(), &expiring_at(expires)).await;
    }
    let now = Timestamp::from_millis(5);
    for (at_most, expected) in [(1, 1), (7, 7), (90, 90), (202, 202), (3, 0)] {
        let taken = check.done(stores.second.take_expired(now, at_most).await);
        check.equal(
            taken.len(),
            expected,
            "as many are removed as were asked for and are there",
        );
    }
    check.equal(
        check.list(256).await.len(),
        300,
        "what has not expired stays",
    );
    for _ in 0..3 {
        check.create(&key(), &expiring_at(5)).await;
    }
    let taken = check.done(stores.first.take_expired(now, 4).await);
    check.equal(
        taken.len(),
        3,
        "fewer than were asked for are all that there are",
    );
}

/// `take_expired` spares what was used before it got there: whatever it removes it gives, and a save that
/// was carried out is never lost to it.
///
/// # Panics
///
/// When the store breaks this.
pub async fn take_expired_spares_what_was_used<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("take_expired_spares_what_was_used", stores);
    for polls in 0..16 {
        // The session that is used comes first in the order of keys, or second.
        for (is_touch, is_first) in [(true, true), (true, false), (false, true), (false, false)] {
            let (one, other) = (key(), key());
            let (used, unused) = if (one < other) == is_first {
                (one, other)
            } else {
                (other, one)
            };
            let expired = expiring_at(START.as_millis());
            check.create(&used, &expired).await;
            check.create(&unused, &expired).await;
            let mut sweep = Box::pin(stores.first.take_expired(START, 10));
            let done = poll_up_to(&mut sweep, polls).await;
            // Used by another request while the sweep is under way.
            let mut current = expired.clone();
            current.last_seen = START;
            current.expires = Timestamp::MAX;
            let outcome = if is_touch {
                let touch = stores
                    .second
                    .touch(&used, START, Timestamp::MAX, expired.revision);
                touch.await
            } else {
                current = counted(&current, "used");
                stores
                    .second
                    .update(&used, &current, expired.revision)
                    .await
            };
            let outcome = check.done(outcome);
            let taken = match done {
                Some(taken) => taken,
                None => sweep.await,
            };
            let taken: BTreeMap<SessionKey, Record> = check.done(taken).into_iter().collect();
            check.same(
                taken.get(&unused),
                Some(&expired),
                "what was not used is removed",
            );
            match taken.get(&used) {
                Some(record) => {
                    check.stored(&used, None, "what is given is removed").await;
                    // A touch moves no revision. So a sweep that compares revisions
                    // can miss a touch in its midst, but none that came before it.
                    let is_untouched = outcome == UpdateOutcome::Missing || is_touch && polls > 0;
                    check.is(is_untouched, "what was used is not removed");
                    check.is(
                        is_touch || *record == expired,
                        "a record is given as it was",
                    );
                }
                None => {
                    check.equal(
                        outcome,
                        UpdateOutcome::Updated,
                        "a session that stays can be used",
                    );
                    check
                        .stored(&used, Some(&current), "what was used stays")
                        .await;
                    let _ = check.done(stores.first.delete(&used, None).await);
                }
            }
        }
    }
}

/// Sweeps at the same time, by both handles, give each expired record to exactly one of them.
///
/// # Panics
///
/// When the store breaks this.
pub async fn take_expired_gives_each_record_once<S: SessionStore>(stores: &Handles<S>) {
    const SESSIONS: u64 = 60;
    let check = Check::new("take_expired_gives_each_record_once", stores);
    for number in 0..SESSIONS {
        check.create(&key(), &expiring_at(number)).await;
    }
    let mut given = BTreeMap::new();
    for _ in 0..=SESSIONS {
        let sweeps = (0..4).map(|sweep| stores.alternating(sweep).take_expired(START, 7));
        let taken: Vec<_> = join(sweeps).await;
        let taken: Vec<_> = taken
            .into_iter()
            .flat_map(|taken| check.done(taken))
            .collect();
        if taken.is_empty() {
            break;
        }
        for (key, record) in taken {
            let again = given.insert(key, record);
            check.is(again.is_none(), "a record is given once");
        }
    }
    let expected = usize::try_from(SESSIONS).unwrap_or_default();
    check.equal(given.len(), expected, "each expired record is given");
    check.is(check.list(256).await.is_empty(), "what is given is removed");
}
