//! The conformance suite passes right stores, and fails each wrong one by the behaviour that is about its mistake.
#![cfg(feature = "testing")]

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
