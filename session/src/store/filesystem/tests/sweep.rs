//! Sweeps: what they remove, and that nothing keeps them from going on.

use std::time::Duration;

use super::super::options::Limits;
use super::*;
use crate::store::SessionStore as _;

fn fill<F: FileSystem>(store: &Operations<F>, count: u8) -> Vec<SessionKey> {
    let keys = (0..count).map(|number| key_of_stripe(number, number));
    let keys: Vec<_> = keys.collect();
    for key in &keys {
        assert_eq!(
            store.create(key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
    }
    keys
}

#[test]
fn a_file_that_cannot_be_read_keeps_no_sweep_from_the_others() {
    let fs = SimulatedFs::default();
    let store = simulated(&fs, Durability::Relaxed);
    let keys = fill(&store, 10);
    fs.state().forbidden.insert(store.0.names.record(&keys[3]));
    let mut expected = keys.clone();
    expected.remove(3);
    assert_eq!(store.sweep(2000), expected);
    fs.state().forbidden.clear();
    assert_eq!(store.sweep(2000), [keys[3]]);
}

/// Whatever operation fails, the sweep comes to its end, and the next one finds what it has left.
#[test]
fn a_sweep_goes_on_after_any_failure() {
    for fails_at in 2.. {
        let fs = SimulatedFs::default();
        let store = simulated(&fs, Durability::Relaxed);
        let keys = fill(&store, 3);
        let live = key_of_stripe(9, 9);
        let later = Record {
            expires: at(9000),
            ..owned(&record(1), "ada")
        };
        assert_eq!(store.create(&live, &later).unwrap(), CreateOutcome::Created);
        {
            let mut state = fs.state();
            state.operations = 0;
            state.fails_at = Some(fails_at);
        }
        let mut taken = store.sweep(2000);
        assert!(taken.len() >= 2, "operation {fails_at}: {taken:?}");
        let is_over = fs.state().operations < fails_at;
        fs.state().fails_at = None;
        taken.extend(store.sweep(2000));
        taken.sort();
        assert_eq!(taken, keys, "operation {fails_at}");
        if is_over {
            return;
        }
    }
}

#[test]
fn two_sweeps_at_once_give_each_session_once() {
    let folder = TestFolder::new();
    let (one, other) = (folder.operations(), folder.operations());
    let keys = fill(&one, 40);
    let first = one.0.sweep_piece(at(2000), 1).unwrap().taken;
    let mut taken = other.sweep(2000);
    taken.extend(one.sweep(2000));
    taken.extend(first.into_iter().map(|(key, _)| key));
    taken.sort();
    assert_eq!(taken, keys);
    assert_eq!(one.0.count_sessions().unwrap(), 0);
}

#[test]
fn a_session_whose_lock_is_held_keeps_no_sweep_from_the_others() {
    let folder = TestFolder::new();
    let other = folder.operations();
    let timeout = Duration::from_millis(10);
    let options = folder.builder().lock_timeout(timeout);
    let store = Operations(super::super::open::open(options).unwrap());
    let keys = fill(&other, 5);
    let guard = other.0.lock(&keys[2], "hold").unwrap();
    let mut taken = store.sweep(2000);
    taken.sort();
    assert_eq!(taken, [keys[0], keys[1], keys[3], keys[4]]);
    drop(guard);
    while store.0.locks.try_lock(&keys[2]).unwrap().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(store.sweep(2000), [keys[2]]);
}

/// A batch continues where the last one ended. Fewer than were asked for mean that none are left, also of
/// those that the earlier batches have passed when they had not expired yet.
#[tokio::test]
async fn batches_take_everything_that_has_expired() {
    let folder = TestFolder::new();
    let store = folder.builder().open().unwrap();
    let mut expected = Vec::new();
    for number in 0..50u8 {
        let key = key_of_stripe(number, number);
        let record = Record {
            expires: at(if number % 2 == 0 { 1000 } else { 2000 }),
            ..record(1)
        };
        let created = store.create(&key, &record).await.unwrap();
        assert_eq!(created, CreateOutcome::Created);
        expected.push(key);
    }
    let mut taken = Vec::new();
    for (now, at_most, expected) in [(1500, 10, 10), (1500, 10, 10), (2500, 40, 30), (2500, 9, 0)] {
        let batch = store.take_expired(at(now), at_most).await.unwrap();
        assert_eq!(batch.len(), expected, "at {now}");
        assert!(batch.iter().all(|(_, record)| record.is_expired(at(now))));
        taken.extend(batch.into_iter().map(|(key, _)| key));
    }
    taken.sort();
    assert_eq!(taken, expected);
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn files_that_are_left_over_are_removed_and_others_are_not() {
    let (folder, key) = (TestFolder::new(), key());
    let store = folder.operations();
    assert_eq!(
        store.create(&key, &record(1)).unwrap(),
        CreateOutcome::Created
    );
    let left_over = store.0.names.temporary(&key, 7);
    for name in [&left_over, "notes.txt", ".hidden.tmp"] {
        std::fs::write(folder.path(name), b"").unwrap();
    }
    let guard = store.0.lock(&key, "save").unwrap();
    assert_eq!(store.sweep(0), []);
    assert!(folder.path(&left_over).exists(), "it is in use");
    drop(guard);
    assert_eq!(store.sweep(0), []);
    let record = format!("{key}.session");
    assert_eq!(folder.names(), [".hidden.tmp", &record, "notes.txt"]);
}

/// Each piece continues where the last one ended.
#[test]
fn a_large_folder_is_swept_in_pieces() {
    let fs = SimulatedFs::default();
    let store = simulated(&fs, Durability::Relaxed);
    for number in 0..600_u32 {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let key = SessionKey::from_bytes(bytes);
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
    }
    let piece = |now, at_most| store.0.sweep_piece(at(now), at_most).unwrap();
    assert!(!piece(500, 1000).is_complete);
    assert!(!piece(500, 1000).is_complete);
    let last = piece(500, 1000);
    assert!(last.is_complete && last.taken.is_empty());
    let mut taken = Vec::new();
    let mut pieces = 0;
    while taken.len() < 600 {
        taken.extend(piece(2000, 100).taken);
        pieces += 1;
    }
    assert_eq!(pieces, 6);
}

/// What could not be read is renamed, never over what was renamed before, and is kept within the limits.
#[test]
fn unreadable_records_are_renamed_in_place_and_age_out() {
    let (folder, key) = (TestFolder::new(), key());
    let options = folder.builder().quarantine_limits(2, 1000, crate::days(30));
    let store = Operations(super::super::open::open(options).unwrap());
    for number in 1..=3 {
        std::fs::write(folder.record(&key), format!("damaged {number}")).unwrap();
        assert!(matches!(store.load(&key), Err(StoreError::Unreadable(_))));
        assert_eq!(store.load(&key).unwrap(), None);
    }
    let name = |suffix: &str| format!("{key}.session.unreadable{suffix}");
    assert_eq!(folder.names(), [name(""), name(".2"), name(".3")]);
    assert_eq!(
        std::fs::read(folder.path(&name(".2"))).unwrap(),
        b"damaged 2"
    );
    assert_eq!(store.sweep(0), []);
    assert_eq!(folder.names().len(), 2);
    // In a year: the newest one always stays.
    let in_a_year = Timestamp::from(std::time::SystemTime::now()) + crate::days(365);
    assert_eq!(store.sweep(in_a_year.as_millis()), []);
    assert_eq!(folder.names().len(), 1);
}

#[test]
fn the_oldest_unreadable_records_are_removed_first() {
    let fs = SimulatedFs::default();
    let mut store = simulated(&fs, Durability::Relaxed);
    store.0.options.quarantine = Limits {
        files: 100,
        bytes: 25,
        age: crate::days(30),
    };
    let mut kept = std::collections::BTreeSet::new();
    for number in 1..=4 {
        let name = store.0.names.quarantined(&key(), number);
        let mut file = fs.create(&name).unwrap();
        fs.write(&mut file, &[7; 10]).unwrap();
        store.0.trim_quarantine(&mut kept, name, at(0)).unwrap();
    }
    assert_eq!(kept.len(), 2);
    assert_eq!(fs.state().names().len(), 2);
}
