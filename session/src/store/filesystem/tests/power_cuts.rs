//! Every state that a power cut can leave, after each operation of a session's life.

use super::super::names::OwnerName;
use super::simulated::State;
use super::*;

/// What a step did and said.
enum Step {
    Create(Record),
    Modify(Record),
    Touch,
    Delete,
}

/// A life: create, save, touch, save, delete. Gives what was written and what was reported done.
fn live(store: &Operations<SimulatedFs>, key: &SessionKey) -> (Vec<Record>, Vec<Step>) {
    let mut written = Vec::new();
    let mut done = Vec::new();
    let first = owned(&record(1), "eve");
    written.push(first.clone());
    if store.create(key, &first).is_err() {
        return (written, done);
    }
    done.push(Step::Create(first.clone()));
    let second = owned(&changed(&first, 2), "ada");
    written.push(second.clone());
    if store.save(key, |_| second.clone()).is_err() {
        return (written, done);
    }
    done.push(Step::Modify(second.clone()));
    let mut touched = second.clone();
    touched.last_seen = at(5);
    touched.expires = at(1004);
    written.push(touched.clone());
    if store.touch(key, 5, 1004, touched.revision).is_err() {
        return (written, done);
    }
    done.push(Step::Touch);
    let third = owned(&changed(&touched, 3), "grace");
    written.push(third.clone());
    if store.update(key, &third, touched.revision).is_err() {
        return (written, done);
    }
    done.push(Step::Modify(third));
    if store.delete(key, None).is_ok() {
        done.push(Step::Delete);
    }
    (written, done)
}

/// Cuts the power after each operation of a life and checks every state that may be left: gives
/// the fault of the first bad one.
fn after_every_cut(durability: Durability, mutate: impl Fn(&mut State)) -> Result<usize, String> {
    let key = key();
    let name = FileNames::parse("{}.session").unwrap().record(&key);
    let mut seen = 0;
    for cut in 0.. {
        let fs = SimulatedFs::default();
        mutate(&mut fs.state());
        fs.state().cut_after = Some(cut);
        let (written, done) = live(&simulated(&fs, durability), &key);
        let state = fs.state().clone();
        for left in state.after_power_cut() {
            seen += 1;
            let found = left.get(&name).map(|bytes| decode(&key, bytes));
            // Every session of an owner is in the index.
            if let Some(Ok(Record {
                owner: Some(owner), ..
            })) = &found
                && !state
                    .index
                    .contains(&(OwnerName::new(owner).as_str().to_owned(), key))
            {
                return Err(format!("cut after operation {cut}: not in the index"));
            }
            check(durability, &written, &done, found.as_ref())
                .map_err(|problem| format!("cut after operation {cut}: {problem}"))?;
        }
        if state.operations <= cut {
            // The session had other owners before: their entries are stale, and are removed.
            fs.state().cut_after = None;
            for owner in ["ada", "eve"] {
                assert_eq!(simulated(&fs, durability).keys_of(owner), []);
            }
            assert!(fs.state().index.is_empty(), "entries are left");
            return Ok(seen);
        }
    }
    unreachable!("a life has an end")
}

fn check(
    durability: Durability,
    written: &[Record],
    done: &[Step],
    found: Option<&Result<Record, DecodeError>>,
) -> Result<(), String> {
    let found = match found {
        None => None,
        Some(Ok(record)) => Some(record),
        Some(Err(_)) if durability == Durability::Relaxed => return Ok(()),
        Some(Err(_)) => return Err(String::from("a torn record")),
    };
    if let Some(record) = found
        && !written.contains(record)
    {
        return Err(String::from("a record that was never written"));
    }
    // What was reported deleted stays deleted, at either durability.
    if matches!(done.last(), Some(Step::Delete)) {
        return match found {
            None => Ok(()),
            Some(_) => Err(String::from("a deleted session is back")),
        };
    }
    // What was reported saved at `Durable` is there, unless a delete was under way.
    if durability == Durability::Durable && written.len() < 4 {
        let least = done.iter().rev().find_map(|step| match step {
            Step::Create(record) | Step::Modify(record) => Some(record.revision),
            Step::Touch | Step::Delete => None,
        });
        if let Some(least) = least
            && found.is_none_or(|record| record.revision < least)
        {
            return Err(String::from("a save that was reported done is lost"));
        }
    }
    Ok(())
}

#[test]
fn a_power_cut_leaves_the_old_record_or_the_new_one() {
    for durability in DURABILITIES {
        let states = after_every_cut(durability, |_| {}).unwrap();
        assert!(
            states > 30,
            "{durability:?}: only {states} states were checked"
        );
    }
}

/// The test of power cuts fails on a store that leaves out what the promise needs.
#[test]
fn the_test_of_power_cuts_catches_missing_syncs() {
    let no_data_sync = after_every_cut(Durability::Durable, |state| state.no_data_sync = true);
    assert!(no_data_sync.is_err());
    let no_folder_sync = after_every_cut(Durability::Relaxed, |state| state.no_folder_sync = true);
    assert!(no_folder_sync.unwrap_err().contains("is back"));
    let no_folder_sync = after_every_cut(Durability::Durable, |state| state.no_folder_sync = true);
    assert!(no_folder_sync.unwrap_err().contains("lost"));
}

/// As NFS: each save makes a file.
#[test]
fn a_file_system_that_cannot_exchange_names_does_without() {
    for durability in DURABILITIES {
        after_every_cut(durability, |state| state.no_exchange = true).unwrap();
        let (key, fs) = (key(), SimulatedFs::default());
        fs.state().no_exchange = true;
        let store = simulated(&fs, durability);
        assert_eq!(
            store.create(&key, &record(1)).unwrap(),
            CreateOutcome::Created
        );
        assert!(store.save(&key, |current| changed(current, 2)).is_ok());
        assert_eq!(fs.state().names().len(), 1);
    }
}
