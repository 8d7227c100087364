//! Records that were damaged in the store. All of this is left out unless [`Handles::damage`] is given.

use std::sync::Arc;

use super::Handles;
use super::check::{Check, Pages};
use super::sample::{START, counted, expiring_at, key, owned_by, record};
use crate::{
    CreateOutcome, Decision, DeleteOutcome, RecordUpdate, SessionKey, SessionStore, StoreError,
    Timestamp,
};

impl<S: SessionStore> Check<'_, S> {
    fn is_unreadable<T>(&self, result: &Result<T, StoreError>, sentence: &str) {
        self.is(matches!(result, Err(StoreError::Unreadable(_))), sentence);
    }

    /// Demands that nothing readable has taken the place of a damaged record. A store that has
    /// quarantined the record may have nothing under the key.
    async fn is_left(&self, stores: &Handles<S>, key: &SessionKey) {
        for store in [&stores.second, &stores.first] {
            let left = matches!(
                store.load(key).await,
                Err(StoreError::Unreadable(_)) | Ok(None)
            );
            self.is(left, "a damaged record is never written over");
        }
    }
}

/// A record that was damaged is `Unreadable` to whichever method comes first, never missing.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_damaged_record_is_unreadable<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_damaged_record_is_unreadable", stores);
    for method in 0..6 {
        let key = key();
        let base = record(1);
        let next = counted(&base, "next");
        check.create(&key, &base).await;
        if !stores.damage_record(&key).await {
            return;
        }
        let store = stores.alternating(method);
        match method {
            0 | 1 => {
                let loaded = store.load(&key).await;
                check.is_unreadable(&loaded, "a damaged record is not loaded, and not missing");
            }
            2 => {
                let updated = store.update(&key, &next, base.revision).await;
                check.is_unreadable(&updated, "a damaged record is not updated, and not missing");
            }
            3 => {
                let touch = store.touch(&key, START, Timestamp::MAX, base.revision);
                check.is_unreadable(
                    &touch.await,
                    "a damaged record is not touched, and not missing",
                );
            }
            _ => {
                let base = (method == 4).then_some(&base);
                let change: RecordUpdate =
                    Arc::new(|stored| Decision::Replace(counted(stored, "next")));
                let modified = store.modify(&key, base, &change).await;
                check.is_unreadable(
                    &modified,
                    "a damaged record is not modified, and not missing",
                );
            }
        }
        check.is_left(stores, &key).await;
    }
}

/// Nothing is written over a record that was damaged, and only a delete without a revision removes it.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_damaged_record_is_never_written_over<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_damaged_record_is_never_written_over", stores);
    let base = record(1);
    let [created, deleted] = [key(), key()];
    for key in [created, deleted] {
        check.create(&key, &base).await;
        if !stores.damage_record(&key).await {
            return;
        }
    }
    let outcome = stores.second.create(&created, &record(2)).await;
    let is_refused = matches!(
        outcome,
        Ok(CreateOutcome::Exists) | Err(StoreError::Unreadable(_))
    );
    check.is(is_refused, "a damaged record is in the way of another");
    check.is_left(stores, &created).await;
    let outcome = stores.second.delete(&deleted, Some(base.revision)).await;
    let is_refused = matches!(
        outcome,
        Ok(DeleteOutcome::RevisionMismatch) | Err(StoreError::Unreadable(_))
    );
    check.is(
        is_refused,
        "a damaged record has no revision to be deleted by",
    );
    check.is_left(stores, &deleted).await;
}

/// `delete` without a revision removes a record that was damaged, and its key is free then.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_damaged_record_can_be_deleted<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_damaged_record_can_be_deleted", stores);
    let key = key();
    check.create(&key, &record(1)).await;
    if !stores.damage_record(&key).await {
        return;
    }
    let deleted = check.done(stores.second.delete(&key, None).await);
    check.equal(
        deleted,
        DeleteOutcome::Deleted,
        "a damaged record is deleted",
    );
    check
        .stored(&key, None, "a damaged record that was deleted is gone")
        .await;
    let listed = check.list(10).await;
    check.is(
        listed.is_empty(),
        "a damaged record that was deleted is not listed",
    );
    check.create(&key, &record(2)).await;
    check
        .stored(&key, Some(&record(2)), "the key is free")
        .await;
}

/// `list` reports a record that was damaged once, under its key, and goes on with the others.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_damaged_record_does_not_stop_a_listing<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_damaged_record_does_not_stop_a_listing", stores);
    for at_most in [1, 7, 256] {
        let keys: Vec<SessionKey> = (0..20).map(|_| key()).collect();
        for key in &keys {
            check.create(key, &owned_by(Some("owner"))).await;
        }
        // The first and the last in any order of keys, and some in between.
        let mut damaged = keys.clone();
        damaged.sort();
        let damaged = [damaged[0], damaged[9], damaged[10], damaged[19]];
        for key in &damaged {
            if !stores.damage_record(key).await {
                return;
            }
        }
        let (mut sound, mut unreadable) = (Vec::new(), Vec::new());
        let mut pages = Pages::default();
        while !pages.is_done {
            let after = pages.after();
            let page = check.done(stores.first.list(after, at_most).await);
            sound.extend(page.sessions.iter().map(|session| session.key));
            unreadable.extend(page.unreadable.iter().map(|found| found.key));
            pages.turn(&check, page.next);
        }
        unreadable.sort();
        check.is(
            unreadable == damaged,
            "each damaged record is reported, under its key, once",
        );
        check.equal(sound.len(), 16, "the others are listed");
        check.is(
            damaged.iter().all(|key| !sound.contains(key)),
            "a damaged record is not listed",
        );

        let mut found = 0;
        let mut pages = Pages::default();
        while !pages.is_done {
            let after = pages.after();
            let page = stores.second.sessions_of("owner", after, at_most).await;
            let page = check.done(page);
            found += page.sessions.len();
            pages.turn(&check, page.next);
        }
        check.equal(found, 16, "the others are found by their owner");
        for key in &keys {
            let _ = check.done(stores.first.delete(key, None).await);
        }
    }
}

/// `take_expired` leaves a record that was damaged, and goes on with the others.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_damaged_record_does_not_stop_a_sweep<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_damaged_record_does_not_stop_a_sweep", stores);
    let mut keys: Vec<SessionKey> = (0..12).map(|_| key()).collect();
    keys.sort();
    for key in &keys {
        check.create(key, &expiring_at(5)).await;
    }
    let damaged = [keys[0], keys[5], keys[11]];
    for key in &damaged {
        if !stores.damage_record(key).await {
            return;
        }
    }
    let mut taken = 0;
    for _ in 0..12 {
        let batch = stores
            .second
            .take_expired(Timestamp::from_millis(5), 4)
            .await;
        let batch = check.done(batch);
        taken += batch.len();
        if batch.len() < 4 {
            break;
        }
    }
    check.equal(taken, 9, "the other expired records are removed");
    for key in &damaged {
        check.is_left(stores, key).await;
        let _ = check.done(stores.first.delete(key, None).await);
    }
}
