//! The file that a save has replaced and a later one writes over.

use super::super::read::metadata;
use super::super::recycle::mask;
use super::failures::assert_clean;
use super::*;

/// No byte of what a save has replaced stays, not even in a file that is kept for the next save.
#[test]
fn nothing_is_left_of_what_a_save_has_replaced() {
    for durability in DURABILITIES {
        let (key, fs) = (key(), SimulatedFs::default());
        let store = simulated(&fs, durability);
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
        for value in 2..5 {
            assert!(store.save(&key, |current| changed(current, value)).is_ok());
            assert_eq!(assert_clean(&fs), 1, "{durability:?}");
        }
        drop(store);
        assert_eq!(fs.state().names().len(), 1, "the recyclable file stays");
    }
}

/// A reader that has opened a file which has been written over since, with zeros or with the record of
/// another session, reads again: nothing is taken for damaged, and no reader sees another's session.
#[test]
fn a_file_that_is_written_over_while_it_is_read_is_read_again() {
    let (mine, others, fs) = (key(), key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Relaxed);
    let record = owned(&record(1), "ada");
    assert_eq!(
        store.create(&mine, &record).unwrap(),
        CreateOutcome::Created
    );
    let of_another = changed(&record, 9).encode(&others);
    let whole = record.encode(&mine);
    // A later one of this session that has not taken its place yet, and may never do so.
    let masked = mask(&changed(&record, 9).encode(&mine));
    for outdated in [
        vec![0; whole.len()],
        of_another,
        masked,
        whole[..9].to_vec(),
        Vec::new(),
    ] {
        let read_outdated = || fs.state().outdated = Some(outdated.clone());
        read_outdated();
        assert_eq!(store.load(&mine).unwrap().as_ref(), Some(&record));
        read_outdated();
        let (seen, _) = store.0.peek(&mine, "list", metadata).unwrap().unwrap();
        assert_eq!(seen.revision, record.revision);
        read_outdated();
        assert_eq!(store.keys_of("ada"), [mine]);
        assert_eq!(fs.state().names().len(), 1, "it was quarantined");
    }
}

/// Until it has its name, what is written to a recycled file is no record for those that take no lock: they
/// could have opened the file when it was this very session's record.
#[test]
fn what_is_written_is_not_a_record_before_it_is_in_its_place() {
    for durability in DURABILITIES {
        let (key, fs) = (key(), SimulatedFs::default());
        let store = simulated(&fs, durability);
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
        let save = |value| store.save(&key, |current| changed(current, value));
        for value in 2..4 {
            assert!(save(value).is_ok());
        }
        let file = |is_record: bool| {
            let state = fs.state();
            let names = state.names();
            let mut found = names
                .iter()
                .filter(|(name, _)| name.starts_with('.') != is_record);
            state.inodes[*found.next().unwrap().1].latest().to_vec()
        };
        assert!(Record::decode(&key, file(true)).is_ok());
        // The next save is killed when it has written its file, or when it has given it its name.
        let written = match durability {
            Durability::Relaxed => 3,
            Durability::Durable => 4,
        };
        let now = fs.state().operations;
        fs.state().cut_after = Some(now + written);
        assert!(save(4).is_err());
        let draft = file(false);
        assert!(Record::decode(&key, draft.clone()).is_err());
        let decoded = decode(&key, &draft).unwrap();
        assert_eq!(decoded.fields.get("value"), Some(&[4][..]));
        assert!(Record::decode(&key, file(true)).is_ok());
    }
}

/// A writer that is killed between the rename and the unmasking leaves a record that is read with the lock,
/// until a touch puts it right.
#[test]
fn a_record_whose_writer_was_killed_before_it_unmasked_it_is_read() {
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Relaxed);
    assert_eq!(
        store.create(&key, &record(1)).unwrap(),
        CreateOutcome::Created
    );
    assert!(store.save(&key, |current| changed(current, 2)).is_ok());
    let now = fs.state().operations;
    fs.state().cut_after = Some(now + 4);
    assert!(store.save(&key, |current| changed(current, 3)).is_ok());
    fs.state().cut_after = None;
    let unlocked = store.0.load_unlocked(&key);
    assert!(matches!(unlocked, Err(StoreError::Unreadable(_))));
    let record = store.load(&key).unwrap().unwrap();
    assert_eq!(record.fields.get("value"), Some(&[3][..]));
    let touched = store.touch(&key, 5, 2000, record.revision).unwrap();
    assert_eq!(touched, UpdateOutcome::Updated);
    assert!(store.0.load_unlocked(&key).unwrap().is_some());
}

/// A backup of hard links: the record is read, and no save or touch changes what the backup holds.
#[test]
fn a_record_with_two_hard_links_is_read_and_never_written_in_place() {
    for durability in DURABILITIES {
        let folder = TestFolder::new();
        let store =
            Operations(super::super::open::open(folder.builder().durability(durability)).unwrap());
        let key = key();
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
        let mut expected = record(1);
        // Once for the first record and once for one in a recycled file.
        for (round, value) in [(1, 2), (2, 3)] {
            let backup = folder.path(&format!("backup-{round}"));
            std::fs::hard_link(folder.record(&key), &backup).unwrap();
            let kept = std::fs::read(&backup).unwrap();
            assert_eq!(store.load(&key).unwrap().as_ref(), Some(&expected));
            expected.last_seen = at(10 * round);
            let touched = store.touch(&key, 10 * round, 1000, expected.revision);
            assert_eq!(touched.unwrap(), UpdateOutcome::Updated);
            assert_eq!(store.load(&key).unwrap().as_ref(), Some(&expected));
            assert_eq!(std::fs::read(&backup).unwrap(), kept, "the touch");
            std::fs::remove_file(&backup).unwrap();

            std::fs::hard_link(folder.record(&key), &backup).unwrap();
            let kept = std::fs::read(&backup).unwrap();
            expected = changed(&expected, value);
            assert!(store.save(&key, |_| expected.clone()).is_ok());
            // A recyclable file is written over by now.
            assert!(store.save(&key, |_| expected.clone()).is_ok());
            assert_eq!(store.load(&key).unwrap().as_ref(), Some(&expected));
            assert_eq!(std::fs::read(&backup).unwrap(), kept, "the save");
            assert!(Record::decode(&key, kept).is_ok());
        }
    }
}
