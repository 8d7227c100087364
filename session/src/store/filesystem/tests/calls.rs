//! Calls whose futures are dropped, or not polled any more.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::store::{FilesystemStore, RecordUpdate, SessionStore as _};

fn poll_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn set(value: u8) -> RecordUpdate {
    Arc::new(move |record: &Record| Decision::Replace(changed(record, value)))
}

async fn store_with(folder: &TestFolder, key: &SessionKey) -> FilesystemStore {
    let store = folder.builder().open().unwrap();
    let created = store.create(key, &record(1)).await.unwrap();
    assert_eq!(created, CreateOutcome::Created);
    store
}

fn value(record: Option<Record>) -> u8 {
    record.unwrap().fields.get("value").unwrap()[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_that_is_dropped_while_it_waits_is_not_carried_out_later() {
    let (folder, key) = (TestFolder::new(), key());
    let store = store_with(&folder, &key).await;
    let guard = store.0.locks.try_lock(&key).unwrap().unwrap();
    let two = set(2);
    {
        let mut save = pin!(store.modify(&key, None, &two));
        assert!(poll_once(save.as_mut()).is_pending());
    }
    drop(guard);
    assert_eq!(value(store.load(&key).await.unwrap()), 1);
    let three: RecordUpdate = Arc::new(|_| Decision::Keep);
    let kept = store.modify(&key, None, &three).await.unwrap();
    assert!(matches!(kept, ModifyOutcome::Kept(found) if value(Some(found.clone())) == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_while_it_is_carried_out_is_done_before_a_later_one() {
    let (folder, key) = (TestFolder::new(), key());
    let store = store_with(&folder, &key).await;
    let (started, has_started) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let two: RecordUpdate = Arc::new(move |record| {
        started.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        Decision::Replace(changed(record, 2))
    });
    {
        let mut save = pin!(store.modify(&key, None, &two));
        assert!(poll_once(save.as_mut()).is_pending());
        has_started.recv().unwrap();
    }
    // A load takes no lock and waits for nothing, except now.
    let mut load = pin!(store.load(&key));
    assert!(poll_once(load.as_mut()).is_pending());
    go_on.send(()).unwrap();
    assert_eq!(value(load.await.unwrap()), 2);
    assert!(!store.0.locks.has_abandoned_calls(&key));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_that_is_not_polled_any_more_holds_nothing_that_another_needs() {
    let (folder, key) = (TestFolder::new(), key());
    let store = store_with(&folder, &key).await;
    let guard = store.0.locks.try_lock(&key).unwrap().unwrap();
    let (two, three) = (set(2), set(3));
    let mut suspended = pin!(store.modify(&key, None, &two));
    assert!(poll_once(suspended.as_mut()).is_pending());
    drop(guard);
    let saved = store.modify(&key, None, &three).await.unwrap();
    assert!(matches!(saved, ModifyOutcome::Replaced { .. }));
    assert!(matches!(
        suspended.await.unwrap(),
        ModifyOutcome::Replaced { .. }
    ));
}

/// A panic in a decision fails that call alone.
#[tokio::test]
async fn a_decision_that_panics_leaves_the_session_usable() {
    let (folder, key) = (TestFolder::new(), key());
    let store = store_with(&folder, &key).await;
    let panics: RecordUpdate = Arc::new(|_| panic!("a decision that panics"));
    assert!(store.modify(&key, None, &panics).await.is_err());
    let saved = store.modify(&key, None, &set(2)).await.unwrap();
    assert!(matches!(saved, ModifyOutcome::Replaced { .. }));
}
