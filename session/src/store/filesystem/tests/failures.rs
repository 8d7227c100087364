//! Each file operation failing in its turn.

use super::*;

/// With a recyclable file of an earlier save and without. Each failure is told, the record is the old one or
/// the new one, no temporary file stays that could be removed, and the next try works.
#[test]
fn any_operation_may_fail_and_nothing_is_lost() {
    for durability in DURABILITIES {
        for earlier_saves in 0..2 {
            let mut fails_at = 1;
            while fails(durability, earlier_saves, fails_at) {
                fails_at += 1;
            }
            assert!(
                fails_at > 4,
                "{durability:?}: a save of {fails_at} operations"
            );
        }
    }
}

/// Whether a save has an operation of this number.
fn fails(durability: Durability, earlier_saves: u8, fails_at: usize) -> bool {
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, durability);
    let mut old = record(1);
    assert_eq!(store.create(&key, &old).unwrap(), CreateOutcome::Created);
    fs.sync_folder().unwrap();
    for save in 0..earlier_saves {
        old = changed(&old, save);
        assert!(store.save(&key, |_| old.clone()).is_ok());
    }
    let new = changed(&old, 2);
    {
        let mut state = fs.state();
        state.operations = 0;
        state.fails_at = Some(fails_at);
    }
    let saved = store.save(&key, |_| new.clone());
    let operations = fs.state().operations;
    fs.state().fails_at = None;
    let at = format!("{durability:?}, {earlier_saves} saves, operation {fails_at}");
    let found = store.load(&key).unwrap().unwrap();
    assert_clean(&fs);
    // What could not be made durable is not written over either: a power cut may bring its name back.
    let name = store.0.names.record(&key);
    let left = fs.state().clone().after_power_cut();
    for state in left.iter().filter(|_| durability == Durability::Durable) {
        let record = decode(&key, &state[&name]);
        assert!(record.is_ok(), "{at}: a torn record after a power cut");
    }
    match &saved {
        Ok(_) => {
            assert_eq!(found, new);
            if fails_at > operations {
                return false;
            }
            // All of the save was done by then: what failed is clearing up after it.
            let is_sure = durability == Durability::Relaxed
                || left
                    .iter()
                    .all(|state| decode(&key, &state[&name]).as_ref() == Ok(&new));
            assert!(is_sure, "{at}: the failure was swallowed");
        }
        Err(StoreError::DurabilityUnknown { .. }) => assert_eq!(found, new),
        Err(StoreError::Failed { .. }) => assert_eq!(found, old),
        Err(other) => panic!("{other}"),
    }
    let again = store.save(&key, |current| changed(current, 3));
    assert!(again.is_ok(), "{at}: the store is broken");
    true
}

/// There is one record, and nothing in other files, whose number this gives.
pub(super) fn assert_clean(fs: &SimulatedFs) -> usize {
    let state = fs.state().clone();
    let names = state.names();
    for (name, inode) in &names {
        let is_zeroed = state.inodes[*inode].latest().iter().all(|byte| *byte == 0);
        assert!(is_zeroed || !name.starts_with('.'), "left over: {names:?}");
    }
    names.len() - 1
}

/// A delete that fails is not reported as done, and can be repeated. One whose sync failed is made durable
/// by the next, by this handle or by another process.
#[test]
fn a_delete_that_fails_is_told_and_can_be_repeated() {
    // The first operation only reads whose session it is.
    for fails_at in 2..=3 {
        let (key, fs) = (key(), SimulatedFs::default());
        let store = simulated(&fs, Durability::Relaxed);
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
        fail_at(&fs, fails_at);
        let failed = store.delete(&key, None).unwrap_err();
        match fails_at {
            2 => assert!(matches!(failed, StoreError::Failed { .. })),
            _ => assert!(matches!(failed, StoreError::DurabilityUnknown { .. })),
        }
        fs.state().fails_at = None;
        let again = store.delete(&key, None).unwrap();
        assert_eq!(
            again,
            if fails_at == 2 {
                DeleteOutcome::Deleted
            } else {
                DeleteOutcome::Missing
            }
        );
        for left in fs.state().clone().after_power_cut() {
            assert!(left.is_empty(), "a deleted session is back");
        }
        let syncs = fs.state().folder_syncs;
        assert_eq!(store.delete(&key, None).unwrap(), DeleteOutcome::Missing);
        assert_eq!(fs.state().folder_syncs, syncs, "nothing was owed any more");
    }
}

/// Makes the operation with this number from now on fail.
fn fail_at(fs: &SimulatedFs, number: usize) {
    let mut state = fs.state();
    state.operations = 0;
    state.fails_at = Some(number);
}

/// The sync of one session's delete succeeding says nothing about another one that failed meanwhile.
#[test]
fn an_owed_sync_is_not_paid_by_the_sync_of_another_stripe() {
    let fs = SimulatedFs::default();
    let store = simulated(&fs, Durability::Relaxed);
    let (one, other) = (key_of_stripe(1, 1), key_of_stripe(2, 2));
    for key in [&one, &other] {
        assert_eq!(
            store.create(key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
    }
    fail_at(&fs, 3);
    assert!(store.delete(&one, None).is_err());
    fs.state().fails_at = None;
    assert_eq!(store.delete(&other, None).unwrap(), DeleteOutcome::Deleted);
    let syncs = fs.state().folder_syncs;
    assert_eq!(store.delete(&one, None).unwrap(), DeleteOutcome::Missing);
    assert_eq!(fs.state().folder_syncs, syncs + 1);
}

/// A save whose sync failed, tried again by a caller that finds it done: the acknowledgement is as good as
/// if the first try had succeeded.
#[test]
fn a_retry_that_finds_the_change_made_makes_it_durable() {
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Durable);
    assert_eq!(
        store.create(&key, &record(1)).unwrap(),
        CreateOutcome::Created
    );
    // Open, make a file, write, sync it, exchange; then the folder.
    fail_at(&fs, 6);
    let failed = store.save(&key, |current| changed(current, 2)).unwrap_err();
    assert!(matches!(failed, StoreError::DurabilityUnknown { .. }));
    fs.state().fails_at = None;
    let kept = store.modify(&key, |_| Decision::Keep).unwrap();
    assert!(matches!(kept, ModifyOutcome::Kept(_)));
    let name = store.0.names.record(&key);
    for left in fs.state().clone().after_power_cut() {
        let record = decode(&key, &left[&name]).unwrap();
        assert_eq!(record.fields.get("value"), Some(&[2][..]));
    }
    let syncs = fs.state().folder_syncs;
    let kept = store.modify(&key, |_| Decision::Keep).unwrap();
    assert!(matches!(kept, ModifyOutcome::Kept(_)));
    assert_eq!(fs.state().folder_syncs, syncs, "nothing was owed any more");
}

/// A create whose sync failed, tried again.
#[test]
fn a_create_that_is_found_done_is_made_durable() {
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Durable);
    fail_at(&fs, 5);
    let failed = store.create(&key, &record(1)).unwrap_err();
    assert!(matches!(failed, StoreError::DurabilityUnknown { .. }));
    fs.state().fails_at = None;
    assert_eq!(
        store.create(&key, &record(1)).unwrap(),
        CreateOutcome::Exists
    );
    let name = store.0.names.record(&key);
    for left in fs.state().clone().after_power_cut() {
        assert!(left.contains_key(&name), "the session is lost");
    }
}

/// A touch moves two times and leaves everything else, the revision too.
#[test]
fn a_touch_writes_no_data() {
    let key = key();
    let store = simulated(&SimulatedFs::default(), Durability::Durable);
    let mut expected = record(1);
    assert_eq!(
        store.create(&key, &expected).unwrap(),
        CreateOutcome::Created
    );
    expected.last_seen = at(7);
    expected.expires = at(2000);
    let revision = Revision::FIRST.next();
    let touched = store.touch(&key, 7, 2000, revision).unwrap();
    assert_eq!(touched, UpdateOutcome::Updated);
    assert_eq!(store.load(&key).unwrap(), Some(expected.clone()));
    assert_eq!(expected.revision, revision);
    // A later use is not undone by an earlier one that comes late.
    let touched = store.touch(&key, 3, 3, revision).unwrap();
    assert_eq!(touched, UpdateOutcome::Updated);
    let touched = store.touch(&key, 9, 9, revision.next()).unwrap();
    assert_eq!(touched, UpdateOutcome::RevisionMismatch);
    assert_eq!(store.load(&key).unwrap(), Some(expected));
    let touched = store.touch(&super::key(), 9, 9, revision).unwrap();
    assert_eq!(touched, UpdateOutcome::Missing);
}

/// A record that is removed by hand while it is being saved is not brought back.
#[test]
fn a_record_that_is_removed_by_hand_is_not_brought_back() {
    for durability in DURABILITIES {
        let (key, fs) = (key(), SimulatedFs::default());
        let store = simulated(&fs, durability);
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
        let saved = store.save(&key, |current| {
            fs.remove(&store.0.names.record(&key)).unwrap();
            changed(current, 2)
        });
        assert!(
            matches!(saved, Ok(ModifyOutcome::Missing)),
            "{durability:?}"
        );
        assert_eq!(fs.state().names().len(), 0, "{durability:?}");
    }
}
