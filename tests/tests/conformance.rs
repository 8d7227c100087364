//! Every store passes one public suite. That the suite notices wrong stores is tested in
//! `session/tests/conformance`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use session::testing::conformance::{self, Handles};
use session::{Durability, FilesystemStore, MemoryStore};

#[tokio::test]
async fn the_memory_store_passes() {
    conformance::all(async || MemoryStore::new()).await;
}

/// Two stores on one folder are what two processes have.
#[tokio::test(flavor = "multi_thread")]
async fn the_filesystem_store_passes_at_every_durability() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        let folders = tempfile::tempdir().expect("a folder");
        let number = AtomicU32::new(0);
        conformance::all(async || {
            let number = number.fetch_add(1, Ordering::SeqCst);
            let folder = folders.path().join(number.to_string());
            let open = || {
                FilesystemStore::builder(&folder)
                    .durability(durability)
                    .open()
                    .expect("the folder can be opened")
            };
            Handles::new(open(), open())
                .damage(async move |key| damage(&folder, &key.to_string()))
                .pause(async || tokio::time::sleep(Duration::from_millis(2)).await)
        })
        .await;
    }
}

/// Flips a byte in the middle of the file of the session `key`.
fn damage(folder: &Path, key: &str) {
    let file = find(folder, key).expect("the session has a file");
    let mut bytes = std::fs::read(&file).expect("the file can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, bytes).expect("the file can be written");
}

fn find(folder: &Path, key: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    entries.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return find(&path, key);
        }
        let name = entry.file_name();
        name.to_string_lossy().starts_with(key).then_some(path)
    })
}
