//! The index of owners: complete, and clean after a sweep.

use super::super::names::OwnerName;
use super::*;

/// An entry is no more than a hint: the record says whose session it is.
#[test]
fn a_stale_entry_is_not_believed_and_is_removed() {
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Relaxed);
    let adas = owned(&record(1), "ada");
    assert_eq!(store.create(&key, &adas).unwrap(), CreateOutcome::Created);
    let graces = owned(&changed(&adas, 2), "grace");
    assert!(store.save(&key, |_| graces.clone()).is_ok());
    let entry = |owner: &str| (OwnerName::new(owner).as_str().to_owned(), key);
    // Nothing is removed when the owner changes: a power cut may bring the earlier record back.
    assert!(fs.state().index.contains(&entry("ada")));
    assert_eq!(store.keys_of("ada"), []);
    assert!(!fs.state().index.contains(&entry("ada")));
    assert_eq!(store.keys_of("grace"), [key]);
}

#[test]
fn stale_entries_cost_one_sync_for_all_and_are_gone_after_a_sweep() {
    let fs = SimulatedFs::default();
    let store = simulated(&fs, Durability::Relaxed);
    let entry = |owner: &str, number: u8| {
        let key = key_of_stripe(number, number);
        (OwnerName::new(owner).as_str().to_owned(), key)
    };
    let live = key();
    let record = owned(&record(1), "ada");
    assert_eq!(
        store.create(&live, &record).unwrap(),
        CreateOutcome::Created
    );
    let add = || {
        let entries = (0..200).map(|number| entry("ada", number));
        fs.state().index.extend(entries);
    };
    add();
    assert_eq!(store.keys_of("ada"), [live]);
    assert_eq!(fs.state().folder_syncs, 1);
    assert_eq!(fs.state().index.len(), 1);
    assert_eq!(store.keys_of("ada"), [live]);
    assert_eq!(fs.state().folder_syncs, 1, "there was nothing to remove");

    add();
    for number in 0..40 {
        fs.state()
            .index
            .insert(entry(&format!("owner {number}"), number));
    }
    assert_eq!(store.sweep(500), []);
    assert_eq!(fs.state().folder_syncs, 3, "one for each 256 of them");
    assert_eq!(fs.state().index.len(), 1);
    assert_eq!(store.keys_of("ada"), [live]);
}

/// A create of a session of that owner may be under way.
#[test]
fn an_entry_whose_key_is_locked_stays() {
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Relaxed);
    let entry = (OwnerName::new("ada").as_str().to_owned(), key);
    fs.state().index.insert(entry.clone());
    let guard = store.0.lock(&key, "create").unwrap();
    assert_eq!(store.keys_of("ada"), []);
    assert!(fs.state().index.contains(&entry));
    drop(guard);
    assert_eq!(store.keys_of("ada"), []);
    assert!(fs.state().index.is_empty());
}

/// A deletion that could not be synced may be undone by a power cut: its entry stays until it can.
#[test]
fn an_entry_is_removed_after_the_sync_that_its_deletion_owes() {
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Relaxed);
    let entry = (OwnerName::new("ada").as_str().to_owned(), key);
    fs.state().index.insert(entry.clone());
    store.0.lock(&key, "delete").unwrap().owe_sync();
    // Read the key, sync for all, read the key again, and sync what was owed.
    {
        let mut state = fs.state();
        state.operations = 0;
        state.fails_at = Some(5);
    }
    assert_eq!(store.keys_of("ada"), []);
    assert!(fs.state().index.contains(&entry));
    fs.state().fails_at = None;
    assert_eq!(store.keys_of("ada"), []);
    assert!(fs.state().index.is_empty());
    assert!(!store.0.lock(&key, "check").unwrap().is_sync_owed());
}

/// Another process makes a session of that owner after the entry was found to be stale.
#[test]
fn an_entry_whose_session_is_created_meanwhile_stays() {
    let (key, fs) = (key_of_stripe(7, 7), SimulatedFs::default());
    let store = simulated(&fs, Durability::Relaxed);
    let entry = (OwnerName::new("ada").as_str().to_owned(), key);
    fs.state().index.insert(entry.clone());
    fs.state().before_sync = Some(|fs| {
        let other = simulated(fs, Durability::Relaxed);
        let created = other.create(&key_of_stripe(7, 7), &owned(&record(1), "ada"));
        assert_eq!(created.unwrap(), CreateOutcome::Created);
    });
    assert_eq!(store.keys_of("ada"), []);
    assert!(fs.state().index.contains(&entry));
    assert_eq!(store.keys_of("ada"), [key]);
}

#[test]
fn an_entry_that_is_removed_by_hand_is_added_again() {
    let (folder, key) = (TestFolder::new(), key());
    let store = folder.operations();
    let record = owned(&record(1), "ada");
    assert_eq!(store.create(&key, &record).unwrap(), CreateOutcome::Created);
    let owner = format!("owners/{}", OwnerName::new("ada").as_str());
    let revision = record.revision;
    for path in ["owners", &owner, &format!("{owner}/{key}")] {
        let remove = || {
            let path = folder.path(path);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
            assert_eq!(store.keys_of("ada"), []);
        };
        remove();
        let saved = store.modify(&key, |record| Decision::Replace(record.clone()));
        assert!(saved.is_ok());
        assert_eq!(store.keys_of("ada"), [key], "{path}: a save");
        remove();
        let touched = store.touch(&key, 5, 1000, revision).unwrap();
        assert_eq!(touched, UpdateOutcome::Updated);
        assert_eq!(store.keys_of("ada"), [key], "{path}: a touch");
        remove();
        assert_eq!(store.sweep(500), []);
        assert_eq!(store.keys_of("ada"), [key], "{path}: a sweep");
    }
}
