//! `modify`: what is stored decides.

use std::sync::Arc;

use super::Handles;
use super::check::Check;
use super::sample::{START, counted, join, key, number, record};
use crate::{Decision, ModifyOutcome, Record, RecordUpdate, Revision, SessionStore, StoreError};

fn count(field: &'static str) -> RecordUpdate {
    Arc::new(move |stored| Decision::Replace(counted(stored, field)))
}

/// `modify` of a missing record does nothing, whatever the caller believes to be stored.
///
/// # Panics
///
/// When the store breaks this.
pub async fn modify_of_a_missing_record_does_nothing<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("modify_of_a_missing_record_does_nothing", stores);
    let key = key();
    let base = record(1);
    for _ in 0..2 {
        for base in [None, Some(&base)] {
            for change in [
                count("changed"),
                Arc::new(|_| Decision::Keep),
                Arc::new(|_| Decision::Delete),
            ] {
                let modified = check.done(stores.second.modify(&key, base, &change).await);
                let sentence = "a modify without a record says so";
                check.equal(modified, ModifyOutcome::Missing, sentence);
                check
                    .stored(&key, None, "a modify stores nothing where nothing is")
                    .await;
            }
        }
        // Once more for a record that was there and is deleted.
        check.create(&key, &base).await;
        let _ = check.done(stores.first.delete(&key, None).await);
    }
}

/// `modify` keeps, replaces or deletes the record, and gives what it was.
///
/// # Panics
///
/// When the store breaks this.
pub async fn modify_does_what_is_decided<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("modify_does_what_is_decided", stores);
    let first = record(1);
    let second = counted(&first, "second");
    for base in [None, Some(&second)] {
        let key = key();
        check.create(&key, &first).await;
        check.update(&key, &second, first.revision).await;

        let keep: RecordUpdate = Arc::new(|_| Decision::Keep);
        let modified = check.done(stores.first.modify(&key, base, &keep).await);
        let kept = ModifyOutcome::Kept(second.clone());
        check.equal(modified, kept, "a record that is kept is given");
        check
            .stored(&key, Some(&second), "a record that is kept stays")
            .await;

        let third = counted(&second, "changed");
        let modified = check.done(stores.second.modify(&key, base, &count("changed")).await);
        let replaced = ModifyOutcome::Replaced {
            before: second.clone(),
            after: third.clone(),
        };
        check.equal(
            modified,
            replaced,
            "a record that is replaced is given, and the new one",
        );
        check
            .stored(&key, Some(&third), "the change is made once")
            .await;

        let delete: RecordUpdate = Arc::new(|_| Decision::Delete);
        let modified = check.done(stores.first.modify(&key, base, &delete).await);
        check.equal(
            modified,
            ModifyOutcome::Deleted(third),
            "a record that is deleted is given",
        );
        check
            .stored(&key, None, "a record that is deleted is gone")
            .await;
    }
}

/// What is stored decides, also where the caller believes something else: about another revision, or
/// about a touch at the same one.
///
/// # Panics
///
/// When the store breaks this.
pub async fn modify_decides_by_what_is_stored<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("modify_decides_by_what_is_stored", stores);
    // Each decides otherwise about the base than about what is stored.
    let delete_old: RecordUpdate = Arc::new(|record| match number(record, "new") {
        0 => Decision::Delete,
        _ => Decision::Keep,
    });
    let keep_old: RecordUpdate = Arc::new(|record| match number(record, "new") {
        0 => Decision::Keep,
        _ => Decision::Delete,
    });
    let replace_old: RecordUpdate = Arc::new(|record| match number(record, "new") {
        0 => Decision::Replace(counted(record, "wrong")),
        _ => Decision::Keep,
    });
    let replace_new: RecordUpdate = Arc::new(|record| match number(record, "new") {
        0 => Decision::Delete,
        _ => Decision::Replace(counted(record, "right")),
    });
    let base = record(1);
    let stored = counted(&base, "new");
    let kept = ModifyOutcome::Kept(stored.clone());
    let deleted = ModifyOutcome::Deleted(stored.clone());
    let replaced = ModifyOutcome::Replaced {
        before: stored.clone(),
        after: counted(&stored, "right"),
    };
    for (change, expected, left) in [
        (delete_old, kept.clone(), Some(stored.clone())),
        (keep_old, deleted, None),
        (replace_old, kept, Some(stored.clone())),
        (replace_new, replaced, Some(counted(&stored, "right"))),
    ] {
        let key = key();
        check.create(&key, &base).await;
        check.update(&key, &stored, base.revision).await;
        let modified = check.done(stores.first.modify(&key, Some(&base), &change).await);
        check.equal(modified, expected, "what is stored decides, not the base");
        check
            .stored(&key, left.as_ref(), "what is stored decides, not the base")
            .await;
    }

    // Whatever the base's revision is, and whatever else it says.
    let mut ahead = counted(&stored, "never stored");
    ahead.revision = Revision::from(u64::MAX);
    for stale in [&base, &ahead] {
        let key = key();
        check.create(&key, &base).await;
        check.update(&key, &stored, base.revision).await;
        let keep: RecordUpdate = Arc::new(|_| Decision::Keep);
        let modified = check.done(stores.second.modify(&key, Some(stale), &keep).await);
        let kept = ModifyOutcome::Kept(stored.clone());
        check.equal(modified, kept, "what is kept is what is stored");
        let change = count("changed");
        let modified = check.done(stores.first.modify(&key, Some(stale), &change).await);
        let after = counted(&stored, "changed");
        let replaced = ModifyOutcome::Replaced {
            before: stored.clone(),
            after: after.clone(),
        };
        let sentence = "what is changed is what is stored";
        check.equal(modified, replaced, sentence);
        let delete: RecordUpdate = Arc::new(|_| Decision::Delete);
        let modified = check.done(stores.second.modify(&key, Some(stale), &delete).await);
        let deleted = ModifyOutcome::Deleted(after);
        check.equal(modified, deleted, "what is deleted is what is stored");
    }

    // The session that the caller takes for an expired one has been touched since.
    let now = base.expires;
    let end_expired: RecordUpdate = Arc::new(move |record: &Record| {
        if record.is_expired(now) {
            Decision::Delete
        } else {
            Decision::Keep
        }
    });
    let key = key();
    check.create(&key, &base).await;
    let mut touched = base.clone();
    touched.last_seen = START + crate::minutes(1);
    touched.expires = now + crate::minutes(1);
    check.touch(&key, &touched).await;
    let modified = check.done(stores.second.modify(&key, Some(&base), &end_expired).await);
    let kept = ModifyOutcome::Kept(touched.clone());
    check.equal(modified, kept, "a touch counts as stored");
    check
        .stored(&key, Some(&touched), "a touch counts as stored")
        .await;
}

/// Of changes that are made at the same time none is lost: 64 tasks on two handles, 25 changes each.
///
/// # Panics
///
/// When the store breaks this.
pub async fn modify_loses_no_change<S: SessionStore>(stores: &Handles<S>) {
    const WRITERS: usize = 64;
    const ROUNDS: u64 = 25;
    let check = Check::new("modify_loses_no_change", stores);
    let key = key();
    let base = record(0);
    check.create(&key, &base).await;
    let writers = (0..WRITERS).map(|writer| {
        let (check, base) = (&check, &base);
        async move {
            let own = format!("writer {writer}");
            let change: RecordUpdate = Arc::new(move |stored| {
                let mut next = counted(&counted(stored, &own), "all");
                next.revision = stored.revision.next();
                Decision::Replace(next)
            });
            for round in 0..ROUNDS {
                let base = (round % 2 == 0).then_some(base);
                // A store may give up after many mismatches: it says so, and has done nothing.
                loop {
                    match stores.alternating(writer).modify(&key, base, &change).await {
                        Err(StoreError::Conflict { .. }) => super::handles::yield_once().await,
                        Err(error) => check.done(Err(error)),
                        Ok(ModifyOutcome::Replaced { .. }) => break,
                        Ok(_) => check.fail("a change that was decided was not made"),
                    }
                }
            }
        }
    });
    join(writers).await;
    let Some(found) = check.load(&key).await else {
        check.fail("the record is missing");
    };
    for writer in 0..WRITERS {
        let count = number(&found, &format!("writer {writer}"));
        check.equal(
            count,
            ROUNDS,
            "each writer's own field has all of its changes",
        );
    }
    let all = ROUNDS * WRITERS as u64;
    check.equal(
        number(&found, "all"),
        all,
        "the common field has every change",
    );
    let expected = Revision::from(u64::from(base.revision) + all);
    check.equal(found.revision, expected, "each change is one revision");
}
