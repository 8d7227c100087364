//! The conformance suite passes right stores, and fails each wrong one by the behaviour that is about its mistake.
#![cfg(feature = "testing")]
#![expect(
    clippy::expect_used,
    reason = "the helpers of tests are outside of test functions"
)]

mod byte_store;

use byte_store::ByteStore;
use session::MemoryStore;
use session::testing::{CountingStore, conformance};

#[tokio::test]
async fn the_memory_store_passes() {
    conformance::all(async || MemoryStore::new()).await;
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
