//! Every state that a power cut can leave, and every file operation failing, on a disk that only
//! exists in memory.
//!
//! The model is ALICE's (Pillai et al., OSDI '14): what has been synced is there; of everything since
//! then, any part. Bytes that were not synced can be absent, cut short, or zeros; names that were
//! not synced can be any of those they have been.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::disk::{Content, Disk};
use super::files::Files;
use super::index::OwnerName;
use super::lock::{STRIPES, Stripes};
use super::names::Template;
use super::options::{Durability, FilesystemStoreBuilder};
use crate::record::{Changes, Field, Record, Revision, clear_pending, mark_pending};
use crate::store::{Created, Modified, StoreError, Swapped};
use crate::{DecodeError, SessionId, StoreKey, Timestamp, seconds};

static VALUE: Field = Field::new("value");

/// A disk in memory that can lose power, and can fail.
#[derive(Clone, Default)]
struct FakeDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    /// Every set of names there has been since the last sync of the folder, the latest last.
    folders: Vec<BTreeMap<String, usize>>,
    /// Whose sessions there are.
    notes: BTreeSet<(String, StoreKey)>,
    operations: usize,
    /// The operation with this number fails.
    fails_at: Option<usize>,
    /// After the operation with this number the power is cut: nothing happens any more.
    cut_after: Option<usize>,
    /// Mutants: what a careless store leaves out.
    no_data_sync: bool,
    no_folder_sync: bool,
    /// A file system that cannot exchange names.
    no_exchange: bool,
    /// What the next look at a file gives, as if it was opened a while ago.
    outdated: Option<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Inode {
    /// Every content there has been since the last sync, the latest last.
    contents: Vec<Vec<u8>>,
    /// What was written and not synced, of which any part may be there.
    unsynced: Vec<Vec<u8>>,
}

impl Inode {
    fn latest(&self) -> &[u8] {
        self.contents.last().map_or(&[], Vec::as_slice)
    }
}

impl State {
    fn names(&self) -> BTreeMap<String, usize> {
        self.folders.last().cloned().unwrap_or_default()
    }

    /// Counts an operation; says whether it is carried out.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.fails_at == Some(self.operations) {
            return Err(io::Error::other("broken on purpose"));
        }
        if self.cut_after.is_some_and(|last| self.operations > last) {
            return Err(io::Error::other("no power"));
        }
        Ok(())
    }

    fn rename(&mut self, names: BTreeMap<String, usize>) {
        self.folders.push(names);
    }

    /// Every state the disk may be in when power comes back: each pair of a set of names and, for
    /// each file, a content.
    fn after_power_cut(&self) -> Vec<HashMap<String, Vec<u8>>> {
        let mut states = Vec::new();
        let folders = if self.folders.is_empty() {
            vec![BTreeMap::new()]
        } else {
            self.folders.clone()
        };
        for names in folders {
            let mut partial: Vec<HashMap<String, Vec<u8>>> = vec![HashMap::new()];
            for (name, inode) in &names {
                let mut next = Vec::new();
                for content in possible_contents(&self.inodes[*inode]) {
                    for state in &partial {
                        let mut state = state.clone();
                        state.insert(name.clone(), content.clone());
                        next.push(state);
                    }
                }
                partial = next;
            }
            states.extend(partial);
        }
        states
    }
}

fn possible_contents(inode: &Inode) -> Vec<Vec<u8>> {
    let mut contents = inode.contents.clone();
    for unsynced in &inode.unsynced {
        contents.push(vec![0; unsynced.len()]);
        contents.push(unsynced[..unsynced.len() / 2].to_vec());
        contents.push(unsynced[..unsynced.len() - 1].to_vec());
    }
    contents
}

impl Disk for FakeDisk {
    type File = usize;

    fn read(&self, name: &str) -> io::Result<Content> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if let Some(outdated) = state.outdated.take() {
            return Ok(Content::Bytes(outdated));
        }
        Ok(match state.names().get(name) {
            Some(inode) => Content::Bytes(state.inodes[*inode].latest().to_vec()),
            None => Content::Missing,
        })
    }

    fn open(&self, name: &str) -> io::Result<(Content, Option<usize>)> {
        let content = self.read(name)?;
        let inode = self.0.lock().unwrap().names().get(name).copied();
        Ok((content, inode))
    }

    fn reopen(&self, name: &str) -> io::Result<Option<usize>> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        Ok(state.names().get(name).copied())
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let inode = state.inodes.len();
        state.inodes.push(Inode {
            contents: vec![Vec::new()],
            unsynced: Vec::new(),
        });
        let mut names = state.names();
        assert!(names.insert(name.to_owned(), inode).is_none());
        state.rename(names);
        Ok(inode)
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let inode = &mut state.inodes[*file];
        inode.contents.push(bytes.to_vec());
        inode.unsynced.push(bytes.to_vec());
        Ok(())
    }

    fn wipe(&self, file: &usize) -> io::Result<()> {
        let length = self.0.lock().unwrap().inodes[*file].latest().len();
        self.write(&mut file.clone(), &vec![0; length])
    }

    fn sync_data(&self, file: &usize) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if !state.no_data_sync {
            let inode = &mut state.inodes[*file];
            inode.contents = vec![inode.latest().to_vec()];
            inode.unsynced.clear();
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let mut names = state.names();
        let inode = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), inode);
        state.rename(names);
        Ok(())
    }

    fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        if self.0.lock().unwrap().names().contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn exchange(&self, one: &str, other: &str) -> io::Result<bool> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if state.no_exchange {
            return Ok(false);
        }
        let mut names = state.names();
        let first = names.remove(one).ok_or(io::ErrorKind::NotFound)?;
        let second = names.insert(other.to_owned(), first);
        names.insert(one.to_owned(), second.ok_or(io::ErrorKind::NotFound)?);
        state.rename(names);
        Ok(true)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let mut names = state.names();
        names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.rename(names);
        Ok(())
    }

    fn overwrite(&self, file: &usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        let mut content = state.inodes[*file].latest().to_vec();
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        // Within one sector: the old bytes or the new ones, whenever the power goes.
        state.inodes[*file].contents.push(content);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        if !state.no_folder_sync {
            let names = state.names();
            state.folders = vec![names];
        }
        Ok(())
    }

    fn note(&self, owner: &OwnerName, key: &StoreKey) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state.notes.insert((owner.as_str().to_owned(), key.clone()));
        Ok(())
    }

    fn forget(&self, owner: &OwnerName, key: &StoreKey) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.step()?;
        state
            .notes
            .remove(&(owner.as_str().to_owned(), key.clone()));
        Ok(())
    }

    fn noted(&self, owner: &OwnerName) -> io::Result<Vec<StoreKey>> {
        let state = self.0.lock().unwrap();
        let of_owner = state
            .notes
            .iter()
            .filter(|(name, _)| name == owner.as_str());
        Ok(of_owner.map(|(_, key)| key.clone()).collect())
    }

    fn set_aside(&self, name: &str, as_name: &str) -> io::Result<()> {
        self.rename(name, &format!("quarantine/{as_name}"))
    }
}

fn files(disk: FakeDisk, durability: Durability) -> Files<FakeDisk> {
    let mut options = FilesystemStoreBuilder::new(std::path::Path::new("unused")).options;
    options.durability = durability;
    Files {
        disk,
        stripes: Stripes::new((0..STRIPES).map(|_| None), seconds(2)),
        template: Template::parse("%s.session").unwrap(),
        options,
        sync_failed: AtomicBool::new(false),
    }
}

fn key() -> StoreKey {
    StoreKey::new("id", &SessionId::generate().unwrap())
}

fn record(value: u8) -> Record {
    let record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(1000));
    changed(&record, value)
}

fn changed(record: &Record, value: u8) -> Record {
    let mut changes = Changes::default();
    changes.set(&VALUE, vec![value & 0x7f], None);
    record.merge(&changes, Timestamp::default()).unwrap()
}

/// As whoever holds the lock reads it.
fn decode(key: &StoreKey, bytes: &[u8]) -> Result<Record, DecodeError> {
    let mut bytes = bytes.to_vec();
    clear_pending(key, &mut bytes);
    Record::decode(key, bytes)
}

/// What a step did and said.
enum Step {
    Create(Record),
    Modify(Record),
    Touch,
    Delete,
}

/// A life: create, save, touch, save, delete. Gives what was reported done.
fn live(files: &Files<FakeDisk>, key: &StoreKey) -> (Vec<Record>, Vec<Step>) {
    let mut written = Vec::new();
    let mut done = Vec::new();
    let first = record(1);
    written.push(first.clone());
    if files.create(key, &first).is_err() {
        return (written, done);
    }
    done.push(Step::Create(first.clone()));
    let mut second = changed(&first, 2);
    second.owner = Some(String::from("ada"));
    written.push(second.clone());
    let change = |_: &Record| Some(second.clone());
    if files.modify(key, &change).is_err() {
        return (written, done);
    }
    done.push(Step::Modify(second.clone()));
    let mut touched = second.clone();
    touched.last_seen = Timestamp::from_millis(5);
    touched.expires = Timestamp::from_millis(1004);
    written.push(touched.clone());
    if files
        .touch(key, touched.last_seen, touched.expires)
        .is_err()
    {
        return (written, done);
    }
    done.push(Step::Touch);
    let mut third = changed(&touched, 3);
    third.owner = Some(String::from("grace"));
    written.push(third.clone());
    if files.update(key, &third, touched.revision).is_err() {
        return (written, done);
    }
    done.push(Step::Modify(third));
    if files.delete(key, None).is_ok() {
        done.push(Step::Delete);
    }
    (written, done)
}

/// Cuts the power after each operation of a life and looks at every state that may be left: gives
/// what is wrong with the first bad one.
fn after_every_cut(durability: Durability, mutate: impl Fn(&mut State)) -> Result<usize, String> {
    let key = key();
    let name = Template::parse("%s.session").unwrap().record(&key);
    let mut seen = 0;
    for cut in 0.. {
        let disk = FakeDisk::default();
        mutate(&mut disk.0.lock().unwrap());
        disk.0.lock().unwrap().cut_after = Some(cut);
        let (written, done) = live(&files(disk.clone(), durability), &key);
        let state = disk.0.lock().unwrap().clone();
        for left in state.after_power_cut() {
            seen += 1;
            let found = left.get(&name).map(|bytes| decode(&key, bytes));
            // Whoever is looked for is found.
            if let Some(Ok(Record {
                owner: Some(owner), ..
            })) = &found
                && durability != Durability::Process
            {
                let note = (OwnerName::new(owner).as_str().to_owned(), key.clone());
                if !state.notes.contains(&note) {
                    return Err(format!("cut after operation {cut}: a session of nobody"));
                }
            }
            check(durability, &written, &done, found.as_ref())
                .map_err(|problem| format!("cut after operation {cut}: {problem}"))?;
        }
        if state.operations <= cut {
            // In its second life the session was another's: that note is outdated, and is found to be.
            disk.0.lock().unwrap().cut_after = None;
            let files = files(disk.clone(), durability);
            assert!(files.checked("ada", &key).is_none());
            assert!(disk.0.lock().unwrap().notes.is_empty(), "notes are left");
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
        // I2: from `Atomic` on, no record is ever torn.
        Some(Err(_)) if durability == Durability::Process => return Ok(()),
        Some(Err(_)) => return Err(String::from("a torn record")),
    };
    // I1: whatever is there is what was written at some time.
    if let Some(record) = found
        && !written.contains(record)
    {
        return Err(String::from("a record that was never written"));
    }
    // I4: what was reported deleted is gone, at every level.
    if matches!(done.last(), Some(Step::Delete)) {
        return match found {
            None => Ok(()),
            Some(_) => Err(String::from("a deleted session is back")),
        };
    }
    // I3: at `Durable`, what was reported saved is there, unless a delete was under way.
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

/// Promise 9, LC-7 [gate]: every state that a power cut can leave at every level.
#[test]
fn a_power_cut_leaves_the_old_record_or_the_new_one() {
    for durability in [Durability::Process, Durability::Atomic, Durability::Durable] {
        let states = after_every_cut(durability, |_| {}).unwrap();
        assert!(
            states > 30,
            "{durability:?}: only {states} states were looked at"
        );
    }
}

/// A note is no more than a hint: the record says whose session it is.
#[test]
fn an_outdated_note_is_not_believed_and_goes() {
    let (key, disk) = (key(), FakeDisk::default());
    let files = files(disk.clone(), Durability::Atomic);
    let mut adas = record(1);
    adas.owner = Some(String::from("ada"));
    assert_eq!(files.create(&key, &adas).unwrap(), Created::Done);
    let mut graces = changed(&adas, 2);
    graces.owner = Some(String::from("grace"));
    assert!(files.modify(&key, &|_| Some(graces.clone())).is_ok());
    assert_eq!(files.noted("ada").unwrap().first(), Some(&key));
    assert!(files.checked("ada", &key).is_none());
    assert_eq!(files.noted("ada").unwrap(), []);
    let found = files.checked("grace", &key).unwrap().unwrap();
    assert_eq!(found.owner.as_deref(), Some("grace"));
    assert_eq!(files.noted("grace").unwrap(), [key]);
}

/// The test of power cuts fails on a store that leaves out what the promise needs.
#[test]
fn the_crash_test_catches_missing_syncs() {
    let no_data_sync = after_every_cut(Durability::Atomic, |state| state.no_data_sync = true);
    assert!(no_data_sync.unwrap_err().contains("torn"));
    let no_data_sync = after_every_cut(Durability::Durable, |state| state.no_data_sync = true);
    assert!(no_data_sync.is_err());
    for durability in [Durability::Process, Durability::Atomic] {
        let no_folder_sync = after_every_cut(durability, |state| state.no_folder_sync = true);
        assert!(no_folder_sync.unwrap_err().contains("is back"));
    }
    let no_folder_sync = after_every_cut(Durability::Durable, |state| state.no_folder_sync = true);
    assert!(no_folder_sync.unwrap_err().contains("lost"));
}

/// Section 3.5: each file operation failing in its turn, with a file of an earlier save to write over
/// and without. Whatever fails is told, the record is the old one or the new one, no temporary file stays
/// that could be removed, and the next try works.
#[test]
fn any_operation_may_fail_and_nothing_is_lost() {
    for durability in [Durability::Process, Durability::Atomic, Durability::Durable] {
        for earlier_saves in 0..2 {
            let mut fails_at = 1;
            while fails(durability, earlier_saves, fails_at) {
                fails_at += 1;
            }
            assert!(
                fails_at > 4,
                "{durability:?}: a save of {fails_at} operations"
            );
        }
    }
}

/// Whether a save has an operation of this number.
fn fails(durability: Durability, earlier_saves: u8, fails_at: usize) -> bool {
    let key = key();
    let disk = FakeDisk::default();
    let files = files(disk.clone(), durability);
    let mut old = record(1);
    assert_eq!(files.create(&key, &old).unwrap(), Created::Done);
    files.sync_folder("create").unwrap();
    for save in 0..earlier_saves {
        old = changed(&old, save);
        assert!(files.modify(&key, &|_| Some(old.clone())).is_ok());
    }
    let new = changed(&old, 2);
    {
        let mut state = disk.0.lock().unwrap();
        state.operations = 0;
        state.fails_at = Some(fails_at);
    }
    let saved = files.modify(&key, &|_| Some(new.clone()));
    let operations = disk.0.lock().unwrap().operations;
    disk.0.lock().unwrap().fails_at = None;
    let at = format!("{durability:?}, {earlier_saves} saves, operation {fails_at}");
    let found = files.load(&key).unwrap().unwrap();
    assert_clean(&disk);
    // What could not be made durable is not written over either: a power cut may bring its name back.
    let name = files.template.record(&key);
    let left = disk.0.lock().unwrap().clone().after_power_cut();
    for state in left.iter().filter(|_| durability != Durability::Process) {
        let record = decode(&key, &state[&name]);
        assert!(record.is_ok(), "{at}: a torn record after a power cut");
    }
    match &saved {
        Ok(_) => {
            assert_eq!(found, new);
            if fails_at > operations {
                return false;
            }
            // All of the save was done by then: what failed is clearing up after it.
            let is_sure = durability != Durability::Durable
                || left
                    .iter()
                    .all(|state| decode(&key, &state[&name]).as_ref() == Ok(&new));
            assert!(is_sure, "{at}: the failure was swallowed");
            assert_ne!(durability, Durability::Atomic, "{at}: it was swallowed");
        }
        Err(StoreError::DurabilityUnknown { .. }) => assert_eq!(found, new),
        Err(StoreError::Failed { .. }) => assert_eq!(found, old),
        Err(other) => panic!("{other}"),
    }
    let again = files.modify(&key, &|current| Some(changed(current, 3)));
    assert!(again.is_ok(), "{at}: the store is broken");
    true
}

/// There is one record, and nothing in other files, whose number this gives.
fn assert_clean(disk: &FakeDisk) -> usize {
    let state = disk.0.lock().unwrap().clone();
    let names = state.names();
    for (name, inode) in &names {
        let is_wiped = state.inodes[*inode].latest().iter().all(|byte| *byte == 0);
        assert!(is_wiped || !name.starts_with('.'), "left over: {names:?}");
    }
    names.len() - 1
}

/// No byte of what a save has replaced stays, be it in a file for the next save to write over.
#[test]
fn nothing_is_left_of_what_a_save_has_replaced() {
    for durability in [Durability::Process, Durability::Atomic, Durability::Durable] {
        let (key, disk) = (key(), FakeDisk::default());
        let files = files(disk.clone(), durability);
        assert_eq!(files.create(&key, &record(1)).unwrap(), Created::Done);
        for value in 2..5 {
            let saved = files.modify(&key, &|current| Some(changed(current, value)));
            assert!(saved.is_ok());
            let spares = usize::from(durability != Durability::Atomic);
            assert_eq!(assert_clean(&disk), spares, "{durability:?}");
        }
        drop(files);
        assert_eq!(
            disk.0.lock().unwrap().names().len(),
            1,
            "the spare file stays"
        );
    }
}

/// A file system that cannot exchange names, as NFS: each save makes a file.
#[test]
fn a_file_system_that_cannot_exchange_names_does_without() {
    for durability in [Durability::Process, Durability::Durable] {
        after_every_cut(durability, |state| state.no_exchange = true).unwrap();
        let (key, disk) = (key(), FakeDisk::default());
        disk.0.lock().unwrap().no_exchange = true;
        let files = files(disk.clone(), durability);
        assert_eq!(files.create(&key, &record(1)).unwrap(), Created::Done);
        assert!(
            files
                .modify(&key, &|current| Some(changed(current, 2)))
                .is_ok()
        );
        assert_eq!(disk.0.lock().unwrap().names().len(), 1);
    }
}

/// Whoever has opened a file that has been written over since, with zeros or with the record of
/// another session, looks again: nothing is taken for damaged, and nobody sees another's session.
#[test]
fn a_file_that_is_written_over_while_it_is_read_is_read_again() {
    let (mine, others, disk) = (key(), key(), FakeDisk::default());
    let files = files(disk.clone(), Durability::Process);
    let mut record = record(1);
    record.owner = Some(String::from("ada"));
    assert_eq!(files.create(&mine, &record).unwrap(), Created::Done);
    let of_another = changed(&record, 9).encode(&others);
    let whole = record.encode(&mine);
    // A later one of this session that is not in its place yet, and may never be.
    let mut pending = changed(&record, 9).encode(&mine);
    mark_pending(&mut pending);
    for outdated in [
        vec![0; whole.len()],
        of_another,
        pending,
        whole[..9].to_vec(),
        Vec::new(),
    ] {
        let look = || disk.0.lock().unwrap().outdated = Some(outdated.clone());
        look();
        assert_eq!(files.load(&mine).unwrap().as_ref(), Some(&record));
        look();
        let (seen, _) = files
            .look(&mine, "list", super::read::head)
            .unwrap()
            .unwrap();
        assert_eq!(seen.revision, record.revision);
        look();
        assert!(files.checked("ada", &mine).unwrap().is_ok());
        assert_eq!(disk.0.lock().unwrap().names().len(), 1, "it was set aside");
    }
}

/// Until it has its name, what is written to a spare file is no record for those who take no lock: of
/// this very session they could have opened the file before it was a spare one.
#[test]
fn what_is_written_is_not_a_record_before_it_is_in_its_place() {
    for durability in [Durability::Process, Durability::Durable] {
        let (key, disk) = (key(), FakeDisk::default());
        let files = files(disk.clone(), durability);
        assert_eq!(files.create(&key, &record(1)).unwrap(), Created::Done);
        let save = |value| files.modify(&key, &|current| Some(changed(current, value)));
        for value in 2..4 {
            assert!(save(value).is_ok());
        }
        let file = |is_record: bool| {
            let state = disk.0.lock().unwrap();
            let names = state.names();
            let mut found = names
                .iter()
                .filter(|(name, _)| name.starts_with('.') != is_record);
            state.inodes[*found.next().unwrap().1].latest().to_vec()
        };
        assert!(Record::decode(&key, file(true)).is_ok());
        // The next save is killed when it has written its file.
        {
            let mut state = disk.0.lock().unwrap();
            let written = if durability == Durability::Process {
                3
            } else {
                4
            };
            state.cut_after = Some(state.operations + written);
        }
        assert!(save(4).is_err());
        let written = file(false);
        assert!(Record::decode(&key, written.clone()).is_err());
        assert_eq!(
            decode(&key, &written).unwrap().fields.get("value"),
            Some(&[4][..])
        );
        assert!(Record::decode(&key, file(true)).is_ok());
    }
}

/// A record that somebody removes by hand while it is being saved is not brought back.
#[test]
fn a_record_that_is_removed_by_hand_is_not_brought_back() {
    for durability in [Durability::Process, Durability::Durable] {
        let (key, disk) = (key(), FakeDisk::default());
        let files = files(disk.clone(), durability);
        assert_eq!(files.create(&key, &record(1)).unwrap(), Created::Done);
        let saved = files.modify(&key, &|current| {
            let name = Template::parse("%s.session").unwrap().record(&key);
            disk.remove(&name).unwrap();
            Some(changed(current, 2))
        });
        assert!(matches!(saved, Ok(Modified::Gone)), "{durability:?}");
        assert_eq!(disk.0.lock().unwrap().names().len(), 0, "{durability:?}");
    }
}

/// LC-8 [gate]: a delete that fails is not reported as done, and can be repeated; one whose sync
/// failed is made durable by the next.
#[test]
fn a_delete_that_fails_is_told_and_can_be_repeated() {
    // The first operation only looks whose session it is.
    for fails_at in 2..=3 {
        let key = key();
        let disk = FakeDisk::default();
        let files = files(disk.clone(), Durability::Process);
        assert_eq!(files.create(&key, &record(1)).unwrap(), Created::Done);
        {
            let mut state = disk.0.lock().unwrap();
            state.operations = 0;
            state.fails_at = Some(fails_at);
        }
        let failed = files.delete(&key, None).unwrap_err();
        match fails_at {
            2 => assert!(matches!(failed, StoreError::Failed { .. })),
            _ => assert!(matches!(failed, StoreError::DurabilityUnknown { .. })),
        }
        disk.0.lock().unwrap().fails_at = None;
        let again = files.delete(&key, None).unwrap();
        assert_eq!(
            again,
            if fails_at == 2 {
                Swapped::Done
            } else {
                Swapped::Gone
            }
        );
        let state = disk.0.lock().unwrap().clone();
        for left in state.after_power_cut() {
            assert!(left.is_empty(), "a deleted session is back");
        }
    }
}

/// A touch moves two times and leaves everything else, the revision too.
#[test]
fn a_touch_writes_no_data() {
    let key = key();
    let files = files(FakeDisk::default(), Durability::Atomic);
    let mut expected = record(1);
    assert_eq!(files.create(&key, &expected).unwrap(), Created::Done);
    expected.last_seen = Timestamp::from_millis(7);
    expected.expires = Timestamp::from_millis(2000);
    assert!(
        files
            .touch(&key, expected.last_seen, expected.expires)
            .unwrap()
    );
    assert_eq!(files.load(&key).unwrap(), Some(expected.clone()));
    assert_eq!(expected.revision, Revision::FIRST.next());
    // A later use is not undone by an earlier one that comes late.
    let earlier = Timestamp::from_millis(3);
    assert!(files.touch(&key, earlier, earlier).unwrap());
    assert_eq!(files.load(&key).unwrap(), Some(expected));
}
