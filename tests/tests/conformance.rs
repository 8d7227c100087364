//! Promise 10: every store passes one suite, and the suite can fail.

use std::panic::AssertUnwindSafe;

use session::testing::conformance;
use session::{FilesystemStore, MemoryStore, SessionStore as _};
use session_tests::bad_stores::{BadStore, Mistake};

#[tokio::test]
async fn the_memory_store_passes() {
    conformance::all(async || MemoryStore::new()).await;
}

#[tokio::test]
async fn a_boxed_store_passes() {
    conformance::all(async || MemoryStore::new().boxed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filesystem_store_passes_at_every_durability() {
    use session::Durability;
    for durability in [Durability::Process, Durability::Atomic, Durability::Durable] {
        let folders = tempfile::tempdir().expect("a folder");
        let number = std::sync::atomic::AtomicU32::new(0);
        conformance::all(async || {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            FilesystemStore::builder(folders.path().join(number.to_string()))
                .durability(durability)
                .open()
                .expect("the folder can be opened")
        })
        .await;
    }
}

/// SC-3 and section 5, row 15: each known mistake is caught, by the behaviour that is about it.
#[test]
fn every_known_mistake_is_caught() {
    for (mistake, behaviour) in Mistake::ALL {
        let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            runtime.block_on(conformance::all(async || BadStore::new(mistake)));
        }));
        let problem = caught.expect_err("the suite lets this pass: ");
        let text = problem
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_default();
        assert!(
            text.starts_with(behaviour),
            "{mistake:?} was caught by: {text}"
        );
    }
}
