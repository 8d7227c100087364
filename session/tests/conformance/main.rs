//! The conformance suite passes right stores, and fails each wrong one by the behaviour that is about its
//! mistake.
#![cfg(feature = "testing")]
#![expect(
    clippy::expect_used,
    reason = "the helpers of tests are outside of test functions"
)]

mod byte_store;
mod thread_store;
mod wrong_stores;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use byte_store::ByteStore;
use session::MemoryStore;
use session::testing::{CountingStore, conformance};
use thread_store::ThreadStore;
use wrong_stores::{MISTAKES, Mistake, WrongStore};

#[tokio::test]
async fn the_memory_store_passes() {
    conformance::all(async || MemoryStore::new()).await;
    // As a pair of handles too.
    conformance::all(async || {
        let store = MemoryStore::new();
        (store.clone(), store)
    })
    .await;
}

#[tokio::test]
async fn a_counting_store_passes() {
    conformance::all(async || CountingStore::new(MemoryStore::new())).await;
}

/// So the provided methods are right.
#[tokio::test]
async fn a_store_of_five_methods_passes() {
    for is_remote in [false, true] {
        conformance::all(async || {
            let store = ByteStore::new(is_remote);
            store.handles(store.clone(), store.clone())
        })
        .await;
    }
}

#[tokio::test]
async fn a_store_with_a_thread_of_its_own_passes() {
    conformance::all(async || {
        let store = ByteStore::new(false);
        let first = ThreadStore::new(store.clone());
        store.handles(first.clone(), first)
    })
    .await;
}

#[test]
fn every_mistake_is_noticed_by_the_behaviour_that_is_about_it() {
    let problems: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = MISTAKES
            .iter()
            .map(|(mistake, behaviour)| (mistake, behaviour, scope.spawn(|| run(*mistake))))
            .collect();
        runs.into_iter()
            .filter_map(|(mistake, behaviour, run)| {
                let message = match run.join() {
                    Ok(()) => String::from("the suite passes it"),
                    Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
                };
                let is_noticed = message.starts_with(&format!("{behaviour}: "));
                (!is_noticed).then(|| format!("{mistake:?}: {message}"))
            })
            .collect()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// So it is the mistake that is noticed, and not the wrapper around it.
#[test]
fn a_store_without_a_mistake_passes() {
    run(Mistake::None);
}

fn run(mistake: Mistake) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(conformance::all(async || {
        let store = WrongStore::new(mistake);
        store.good.handles(store.clone(), store.clone())
    }));
}

/// A store that holds a lock while it is suspended hangs. That is noticed without a clock: it is pending, and
/// nothing has asked for it to be polled again.
#[test]
fn a_store_that_holds_a_lock_while_it_is_suspended_hangs() {
    let stalls = |mistake| {
        let store = WrongStore::new(mistake);
        let handles = store.good.handles(store.clone(), store.clone());
        let mut suite = Box::pin(conformance::a_suspended_call_holds_nothing(&handles));
        let is_woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&is_woken));
        let mut context = Context::from_waker(&waker);
        while suite.as_mut().poll(&mut context).is_pending() {
            if !is_woken.0.swap(false, Ordering::SeqCst) {
                return true;
            }
        }
        false
    };
    assert!(stalls(Mistake::HoldsLockWhileSuspended));
    assert!(!stalls(Mistake::None));
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
