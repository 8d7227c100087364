//! The store as it is used.

use super::*;
use crate::record::{ACTIVITY_RANGE, FORMAT_VERSION};
use crate::store::{Cursor, FilesystemStore, SessionStore as _};

async fn create(store: &FilesystemStore, number: u8, owner: Option<&str>) -> SessionKey {
    let key = key_of_stripe(number, number);
    let mut record = record(number);
    record.owner = owner.map(String::from);
    let created = store.create(&key, &record).await.unwrap();
    assert_eq!(created, CreateOutcome::Created);
    key
}

/// Sessions that are there all the time are on one page each, whatever is created, saved and deleted
/// meanwhile; a page can be asked for again.
#[tokio::test]
async fn listings_give_each_session_once() {
    let folder = TestFolder::new();
    let store = folder.builder().open().unwrap();
    let mut expected = Vec::new();
    for number in (0..100).step_by(2) {
        expected.push(create(&store, number, Some("ada")).await);
    }
    for of_owner in [false, true] {
        let page = async |after: Option<Cursor>| {
            if of_owner {
                store.sessions_of("ada", after, 7).await.unwrap()
            } else {
                store.list(after, 7).await.unwrap()
            }
        };
        let mut seen = Vec::new();
        let mut next = None;
        for round in (1..).step_by(2) {
            let found = page(next.clone()).await;
            assert!(found.sessions.len() <= 7 && found.unreadable.is_empty());
            assert_eq!(keys(&page(next).await), keys(&found));
            seen.extend(keys(&found));
            let passing = create(&store, round, Some("ada")).await;
            for key in [expected[0], expected[40]] {
                let change: crate::store::RecordUpdate =
                    std::sync::Arc::new(|record| Decision::Replace(changed(record, 1)));
                assert!(store.modify(&key, None, &change).await.is_ok());
            }
            let deleted = store.delete(&passing, None).await.unwrap();
            assert_eq!(deleted, DeleteOutcome::Deleted);
            next = found.next;
            if next.is_none() {
                break;
            }
        }
        seen.retain(|key| key.as_bytes()[0] % 2 == 0);
        assert_eq!(seen, expected, "of an owner: {of_owner}");
    }
    let other = store.list(Some(Cursor::new(7_u8)), 1).await;
    assert!(matches!(other, Err(StoreError::Failed { .. })));
}

/// A record of a later version is told from damage: it is reported, kept, and can be ended.
#[tokio::test]
async fn a_record_of_a_newer_format_is_left_alone_and_can_be_deleted() {
    let folder = TestFolder::new();
    let store = folder.builder().open().unwrap();
    let key = create(&store, 7, Some("ada")).await;
    // What a later version would write: another version, and the checksum for it.
    let mut newer = std::fs::read(folder.record(&key)).unwrap();
    let version = newer.iter().position(|byte| *byte == FORMAT_VERSION);
    newer[version.unwrap()] = FORMAT_VERSION + 1;
    let checksum = ACTIVITY_RANGE.start..ACTIVITY_RANGE.start + 4;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.to_string().as_bytes());
    hasher.update(&newer[..checksum.start]);
    hasher.update(&newer[checksum.end..]);
    newer[checksum].copy_from_slice(&hasher.finalize().to_be_bytes());
    std::fs::write(folder.record(&key), &newer).unwrap();
    let is_newer = |error: &StoreError| {
        matches!(
            error,
            StoreError::Unreadable(DecodeError::NewerFormat { .. })
        )
    };
    assert!(is_newer(&store.load(&key).await.unwrap_err()));
    let keep: crate::store::RecordUpdate = std::sync::Arc::new(|_| Decision::Delete);
    assert!(is_newer(
        &store.modify(&key, None, &keep).await.unwrap_err()
    ));
    let first = Revision::FIRST;
    assert!(is_newer(
        &store.update(&key, &record(1), first).await.unwrap_err()
    ));
    assert!(is_newer(
        &store.touch(&key, at(5), at(6), first).await.unwrap_err()
    ));
    assert!(is_newer(
        &store.delete(&key, Some(first)).await.unwrap_err()
    ));
    let created = store.create(&key, &record(1)).await.unwrap();
    assert_eq!(created, CreateOutcome::Exists);
    assert_eq!(store.take_expired(at(9000), 10).await.unwrap(), []);
    for page in [
        store.list(None, 10).await.unwrap(),
        store.sessions_of("ada", None, 10).await.unwrap(),
    ] {
        assert!(page.sessions.is_empty());
        assert_eq!(page.unreadable.len(), 1);
        assert_eq!(page.unreadable[0].key, key);
        assert!(is_newer(&page.unreadable[0].error));
    }
    assert_eq!(std::fs::read(folder.record(&key)).unwrap(), newer);
    let deleted = store.delete(&key, None).await.unwrap();
    assert_eq!(deleted, DeleteOutcome::Deleted);
    assert_eq!(store.load(&key).await.unwrap(), None);
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_store_takes_no_further_session() {
    let folder = TestFolder::new();
    let before = folder.builder().open().unwrap();
    create(&before, 1, None).await;
    let store = folder.builder().max_sessions(3).open().unwrap();
    for number in [2, 3] {
        create(&store, number, None).await;
    }
    let key = key_of_stripe(4, 4);
    let full = store.create(&key, &record(1)).await.unwrap_err();
    assert!(matches!(full, StoreError::Full { limit: 3 }), "{full}");
    assert_eq!(store.load(&key).await.unwrap(), None);
    assert_eq!(folder.names().len(), 3, "no file is made for it");
    // A create that is tried again is told that it was carried out, and live sessions are saved.
    let third = key_of_stripe(3, 3);
    let created = store.create(&third, &record(1)).await.unwrap();
    assert_eq!(created, CreateOutcome::Exists);
    let updated = store.update(&third, &record(2), record(3).revision).await;
    assert_eq!(updated.unwrap(), UpdateOutcome::Updated);
    // There is room again after a delete, and after a sweep, which counts what other processes did.
    let deleted = store.delete(&third, None).await.unwrap();
    assert_eq!(deleted, DeleteOutcome::Deleted);
    create(&store, 4, None).await;
    assert!(store.create(&third, &record(1)).await.is_err());
    let deleted = before.delete(&key, None).await.unwrap();
    assert_eq!(deleted, DeleteOutcome::Deleted);
    assert_eq!(store.take_expired(at(0), 10).await.unwrap(), []);
    create(&store, 5, None).await;
}
