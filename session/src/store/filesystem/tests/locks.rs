//! Locks against other processes, for which another handle on the folder stands: it has open files of
//! its own, which is what `flock` tells apart.

use std::sync::Arc;

use super::*;
use crate::store::{RecordUpdate, SessionStore as _};

fn set(value: u8) -> RecordUpdate {
    Arc::new(move |record: &Record| Decision::Replace(changed(record, value)))
}

/// Many requests that wait for a stripe that a stopped process holds take one blocking thread, so with
/// two of them in all the other stripes go on.
#[test]
fn a_stripe_that_another_process_holds_keeps_no_other_one_waiting() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2)
        .build()
        .unwrap();
    let folder = TestFolder::new();
    let (held, free) = (key_of_stripe(1, 1), key_of_stripe(2, 2));
    let store = folder.builder().lock_timeout(seconds(600)).open().unwrap();
    let other = folder.operations();
    runtime.block_on(async {
        for key in [&held, &free] {
            let created = store.create(key, &record(1)).await.unwrap();
            assert_eq!(created, CreateOutcome::Created);
        }
        let guard = other.0.lock(&held, "hold").unwrap();
        let waiting: Vec<_> = (0..50)
            .map(|value| {
                let store = store.clone();
                tokio::spawn(async move { store.modify(&held, None, &set(value)).await })
            })
            .collect();
        for value in 0..20 {
            let saved = store.modify(&free, None, &set(value)).await.unwrap();
            assert!(matches!(saved, ModifyOutcome::Replaced { .. }));
        }
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop(guard);
        for task in waiting {
            let saved = task.await.unwrap().unwrap();
            assert!(matches!(saved, ModifyOutcome::Replaced { .. }));
        }
    });
}

/// Each waits for its own time and no longer, and the lock is good afterwards, for either process.
#[test]
fn an_operation_that_waits_too_long_is_unavailable() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (folder, key) = (TestFolder::new(), key());
    let store = folder
        .builder()
        .lock_timeout(std::time::Duration::from_millis(20))
        .open()
        .unwrap();
    let other = folder.operations();
    assert_eq!(
        other.create(&key, &record(1)).unwrap(),
        CreateOutcome::Created
    );
    runtime.block_on(async {
        for _ in 0..3 {
            let guard = other.0.lock(&key, "hold").unwrap();
            let waiting: Vec<_> = (0..10)
                .map(|value| {
                    let store = store.clone();
                    tokio::spawn(async move { store.modify(&key, None, &set(value)).await })
                })
                .collect();
            for task in waiting {
                let error = task.await.unwrap().unwrap_err();
                assert!(matches!(error, StoreError::Busy { .. }), "{error}");
                assert!(error.is_temporary());
            }
            drop(guard);
        }
        // The waiting thread gives back what no operation wants any more.
        while other.0.locks.try_lock(&key).unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let mut saved = store.modify(&key, None, &set(1)).await;
        while let Err(StoreError::Unavailable { .. }) = saved {
            saved = store.modify(&key, None, &set(1)).await;
        }
        assert!(matches!(saved, Ok(ModifyOutcome::Replaced { .. })));
    });
}

/// A stripe must not have two holders when the lock files of a running process are removed.
#[test]
fn a_lock_file_that_is_removed_is_noticed() {
    for with_folder in [false, true] {
        let (folder, key) = (TestFolder::new(), key());
        let store = folder.operations();
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
        let locks = folder.path("locks");
        for entry in std::fs::read_dir(&locks).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        if with_folder {
            std::fs::remove_dir(&locks).unwrap();
        }
        // Another process starts, and makes the lock files again. Or it does so later.
        for other_is_first in [true, false] {
            let first = other_is_first.then(|| folder.operations());
            let guard = store.0.lock(&key, "hold").unwrap();
            let other = first.unwrap_or_else(|| folder.operations());
            assert!(other.0.locks.try_lock(&key).unwrap().is_none());
            drop(guard);
            let guard = other.0.locks.try_lock(&key).unwrap();
            assert!(guard.is_some());
            assert!(store.0.locks.try_lock(&key).unwrap().is_none());
        }
    }
}

/// The mark that a sync is owed outlives the process that could not sync, and is paid by any other.
#[test]
fn a_sync_that_another_process_owes_is_made_up_for() {
    let (folder, key) = (TestFolder::new(), key());
    let (store, other) = (folder.operations(), folder.operations());
    // Killed between the removal and the sync.
    store.0.lock(&key, "delete").unwrap().owe_sync();
    drop(store);
    assert!(other.0.lock(&key, "check").unwrap().is_sync_owed());
    assert_eq!(other.delete(&key, None).unwrap(), DeleteOutcome::Missing);
    assert!(!other.0.lock(&key, "check").unwrap().is_sync_owed());
}
