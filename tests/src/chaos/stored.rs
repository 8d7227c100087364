//! Waiting until all is quiet, and what is stored then, as the library reads it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant, SystemTime};

use session::{FilesystemStore, SessionInfo, SessionKey, SessionStore as _, StoreError};

use super::app::Visit;
use super::ledger::Violation;
use super::run::Shared;
use crate::server::block_on;

/// A session as it is stored.
pub(super) struct Stored {
    pub(super) info: SessionInfo,
    pub(super) log: Vec<u64>,
    pub(super) views: u64,
    pub(super) fields: Vec<u64>,
}

/// Waits until nothing changes any more: what goes on without its client holds a lock now and then.
pub(super) fn settle(shared: &Shared) {
    let until = Instant::now() + Duration::from_mins(1);
    let (mut before, mut equal) = (None, 0);
    while Instant::now() < until && equal < 2 {
        std::thread::sleep(Duration::from_millis(300));
        let is_passed = block_on(pass_locks(&shared.store)).is_ok();
        let listed = listing(shared);
        let is_equal = is_passed && before.as_ref() == Some(&listed);
        equal = if is_equal { equal + 1 } else { 0 };
        before = Some(listed);
    }
}

/// Holds each lock once: what was being written before has been.
async fn pass_locks(store: &FilesystemStore) -> Result<(), StoreError> {
    for stripe in 0..64 {
        // No session has this key.
        let key = SessionKey::from_bytes([stripe; 16]);
        let _ = store.delete(&key, None).await?;
    }
    Ok(())
}

fn listing(shared: &Shared) -> BTreeMap<String, Option<SystemTime>> {
    let entries = fs::read_dir(&shared.folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            (
                entry.file_name().to_string_lossy().into_owned(),
                modified.ok(),
            )
        })
        .collect()
}

pub(super) fn read(shared: &Shared) -> Result<HashMap<SessionKey, Stored>, Violation> {
    let fail = |error: String| {
        let what = format!("what is stored cannot be read: {error}");
        Err(shared.ledger().violation(&what, &[]))
    };
    block_on(async {
        let mut stored = HashMap::new();
        let mut records = shared.sessions.list();
        while let Some(found) = records.next().await {
            let info = match found {
                Ok(info) => info,
                Err(error) => return fail(error.to_string()),
            };
            match shared.sessions.view::<Visit>(&info).await {
                Ok(Some(view)) => {
                    let found = Stored {
                        log: view.log.clone(),
                        views: view.views,
                        fields: view.fields().to_vec(),
                        info,
                    };
                    stored.insert(found.info.key, found);
                }
                Ok(None) => {}
                Err(error) => return fail(error.to_string()),
            }
        }
        Ok(stored)
    })
}
