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

/// Every file of a backup is a whole record, however often the sessions are saved meanwhile and afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_in_use_holds_whole_records() {
    for durability in DURABILITIES {
        let folder = TestFolder::new();
        let store = folder.builder().durability(durability).open().unwrap();
        let mut created = Vec::new();
        for number in 0..20 {
            created.push(create(&store, number, Some("ada")).await);
        }
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writer = {
            let (store, created, stop) = (store.clone(), created.clone(), stop.clone());
            tokio::spawn(async move {
                let change: crate::store::RecordUpdate =
                    std::sync::Arc::new(|record| Decision::Replace(changed(record, 1)));
                while !stop.load(Ordering::SeqCst) {
                    for key in &created {
                        let saved = store.modify(key, None, &change).await.unwrap();
                        assert!(matches!(saved, ModifyOutcome::Replaced { .. }));
                    }
                }
            })
        };
        let backups = TestFolder::new();
        std::fs::create_dir(&backups.0).unwrap();
        for round in 0..10 {
            let into = backups.path(&round.to_string());
            assert_eq!(store.back_up(&into).await.unwrap(), created.len());
            assert!(store.back_up(&into).await.is_err(), "it is there already");
        }
        stop.store(true, Ordering::SeqCst);
        writer.await.unwrap();
        for round in 0..10 {
            let into = backups.path(&round.to_string());
            for key in &created {
                let bytes = std::fs::read(into.join(format!("{key}.session"))).unwrap();
                assert!(decode(key, &bytes).is_ok(), "{durability:?}, round {round}");
            }
            let restored = FilesystemStore::open(&into).unwrap();
            let page = restored.sessions_of("ada", None, 100).await.unwrap();
            assert_eq!(keys(&page), created);
        }
    }
}

/// A save decides by its lock whether its file may be written over.
#[tokio::test]
async fn a_backup_waits_for_a_save_of_another_process() {
    let folder = TestFolder::new();
    let timeout = std::time::Duration::from_millis(10);
    let key = create(&folder.builder().open().unwrap(), 1, None).await;
    let store = folder.builder().lock_timeout(timeout).open().unwrap();
    let other = folder.operations();
    let guard = other.0.lock(&key, "save").unwrap();
    let backup = TestFolder::new();
    let error = store.back_up(&backup.0).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    drop(guard);
}

/// Whatever is asked in whatever order, the answers are those of the store in memory.
#[test]
fn the_answers_are_those_of_the_store_in_memory() {
    use proptest::test_runner::TestRunner;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let step = (0..8_u8, 0..4_u8, 0..4_u64, 0..3_u8, 0..40_u64);
    let steps = proptest::collection::vec(step, 1..40);
    let config = proptest::test_runner::Config::with_cases(30);
    let run = |steps: Vec<(u8, u8, u64, u8, u64)>| {
        let folder = TestFolder::new();
        let file = folder.builder().open().unwrap();
        let memory = crate::store::MemoryStore::new();
        runtime.block_on(async {
            for (operation, number, revision, owner, time) in steps {
                let key = key_of_stripe(number / 2, number);
                let revision = Revision::from(revision);
                let mut stored = record(number);
                stored.revision = revision.next();
                stored.last_seen = at(time);
                stored.expires = at(time + 10);
                stored.owner = ["ada", "grace"]
                    .get(usize::from(owner))
                    .map(|name| (*name).into());
                let change: crate::store::RecordUpdate = std::sync::Arc::new({
                    let stored = stored.clone();
                    move |before: &Record| match u64::from(before.revision) % 3 {
                        0 => Decision::Keep,
                        1 => Decision::Delete,
                        _ => Decision::Replace(stored.clone()),
                    }
                });
                match operation {
                    0 => assert_eq!(
                        file.create(&key, &stored).await.unwrap(),
                        memory.create(&key, &stored).await.unwrap()
                    ),
                    1 => assert_eq!(
                        file.update(&key, &stored, revision).await.unwrap(),
                        memory.update(&key, &stored, revision).await.unwrap()
                    ),
                    2 => assert_eq!(
                        file.modify(&key, None, &change).await.unwrap(),
                        memory.modify(&key, None, &change).await.unwrap()
                    ),
                    3 => assert_eq!(
                        file.touch(&key, at(time), at(time + 5), revision)
                            .await
                            .unwrap(),
                        memory
                            .touch(&key, at(time), at(time + 5), revision)
                            .await
                            .unwrap()
                    ),
                    4 => assert_eq!(
                        file.delete(&key, Some(revision)).await.unwrap(),
                        memory.delete(&key, Some(revision)).await.unwrap()
                    ),
                    5 => assert_eq!(
                        file.delete(&key, None).await.unwrap(),
                        memory.delete(&key, None).await.unwrap()
                    ),
                    6 => {
                        let at_most = usize::from(owner) + 1;
                        let mut file = file.take_expired(at(time), at_most).await.unwrap();
                        let count = file.len();
                        // Which ones are taken first is the store's own.
                        for (key, record) in file.drain(..) {
                            let deleted = memory.delete(&key, Some(record.revision)).await;
                            assert_eq!(deleted.unwrap(), DeleteOutcome::Deleted);
                        }
                        if count < at_most {
                            assert_eq!(memory.take_expired(at(time), 1).await.unwrap(), []);
                        }
                    }
                    _ => assert_eq!(
                        file.load(&key).await.unwrap(),
                        memory.load(&key).await.unwrap()
                    ),
                }
                for owner in ["ada", "grace"] {
                    assert_eq!(
                        file.sessions_of(owner, None, 9).await.unwrap().sessions,
                        memory.sessions_of(owner, None, 9).await.unwrap().sessions
                    );
                }
                assert_eq!(
                    file.list(None, 9).await.unwrap().sessions,
                    memory.list(None, 9).await.unwrap().sessions
                );
            }
        });
        Ok(())
    };
    TestRunner::new(config).run(&steps, run).unwrap();
}

/// Writers of two handles, as of two processes, on the same sessions, and readers that take no lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost_and_readers_see_whole_records_in_order() {
    for durability in DURABILITIES {
        let folder = TestFolder::new();
        let open = || {
            folder
                .builder()
                .durability(durability)
                .lock_timeout(seconds(600))
                .open()
        };
        let (one, other) = (open().unwrap(), open().unwrap());
        let sessions = [key_of_stripe(1, 1), key_of_stripe(1, 2)];
        for key in &sessions {
            let created = one.create(key, &record(1)).await.unwrap();
            assert_eq!(created, CreateOutcome::Created);
        }
        let rounds = if durability == Durability::Durable {
            20
        } else {
            200
        };
        let writers = [&one, &other, &one, &other].map(|store| {
            let store = store.clone();
            tokio::spawn(async move {
                let change: crate::store::RecordUpdate =
                    std::sync::Arc::new(|record| Decision::Replace(changed(record, 1)));
                for round in 0..rounds {
                    let key = &sessions[round % 2];
                    let saved = store.modify(key, None, &change).await.unwrap();
                    assert!(matches!(saved, ModifyOutcome::Replaced { .. }));
                }
            })
        });
        let readers = [&one, &other].map(|store| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut last = Revision::FIRST;
                while u64::from(last) < 2 + 4 * rounds as u64 / 2 {
                    let found = store.load(&sessions[0]).await.unwrap().unwrap();
                    assert!(found.revision >= last);
                    last = found.revision;
                    tokio::task::yield_now().await;
                }
            })
        });
        for task in writers.into_iter().chain(readers) {
            task.await.unwrap();
        }
        for key in &sessions {
            let found = one.load(key).await.unwrap().unwrap();
            assert_eq!(u64::from(found.revision), 2 + 4 * rounds as u64 / 2);
        }
        let mut names = folder.names();
        names.retain(|name| !name.starts_with('.'));
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
