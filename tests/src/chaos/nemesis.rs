//! What goes wrong with servers and files: one thing after the other.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use session::{FilesystemStore, SessionManager};

use super::random::Random;
use super::run::Shared;
use super::wire::{Line, Manner, Sending};
use crate::server::block_on;

/// Runs until the driver stops. Whatever it begins it ends before it rests.
pub(super) fn run(shared: &Shared, mut random: Random) {
    let mut copies = 0;
    while shared.goes_on() {
        pause(50 + random.below(700));
        let place = usize::try_from(random.below(shared.servers.count() as u64)).unwrap_or(0);
        match random.below(100) {
            0..35 if shared.has_kills() => kill(shared, place, &mut random),
            0..60 => stop(shared, place, &mut random),
            60..72 => {
                sweep(shared, place);
            }
            72..80 => remove_locks(shared, &mut random),
            80..88 if shared.has_kills() => remove_index(shared, place, &mut random),
            88..94 => {
                copies += 1;
                back_up(shared, copies);
            }
            _ => {
                copies += 1;
                copy(shared, copies);
            }
        }
    }
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

fn kill(shared: &Shared, place: usize, random: &mut Random) {
    {
        let mut ledger = shared.ledger();
        ledger.figures.count("kills");
        ledger.note(None, &format!("server {place} is killed"));
        let excuse = String::from("a server was killed");
        ledger.limit_excuses.insert(String::new(), excuse);
    }
    shared.servers.kill(place);
    pause(random.below(400));
    let is_started = shared.servers.restart(place);
    let mut ledger = shared.ledger();
    ledger.note(
        None,
        &format!("server {place} is started again: {is_started}"),
    );
    if !is_started {
        let violation = ledger.violation("a server does not start again", &[]);
        drop(ledger);
        shared.stop(violation);
    }
}

fn stop(shared: &Shared, place: usize, random: &mut Random) {
    let millis = match random.below(3) {
        0 => random.below(200),
        1 => random.below(1500),
        _ => random.below(4000),
    };
    {
        let mut ledger = shared.ledger();
        ledger.figures.count("stops");
        ledger.note(None, &format!("server {place} is stopped for {millis} ms"));
    }
    shared.servers.signal(place, Signal::STOP);
    pause(millis);
    shared.servers.signal(place, Signal::CONT);
    shared
        .ledger()
        .note(None, &format!("server {place} goes on"));
}

/// Has a server sweep; false when it does not answer.
pub(super) fn sweep(shared: &Shared, place: usize) -> bool {
    let Some(address) = shared.servers.address(place) else {
        return false;
    };
    let sending = Line::default().send(address, "/sweep", None, Manner::Polite);
    let is_swept = matches!(&sending, Sending::Answered(answer) if answer.status == 200);
    let mut ledger = shared.ledger();
    ledger.figures.count("sweeps");
    ledger.note(None, &format!("server {place} has swept: {is_swept}"));
    is_swept
}

/// No server is started and none is stopped until saves that hold a removed file have ended: that is what
/// the store asks for.
fn remove_locks(shared: &Shared, random: &mut Random) {
    let locks = shared.folder.join("locks");
    let is_whole = random.chance(30);
    {
        let mut ledger = shared.ledger();
        ledger.figures.count("removals of lock files");
        ledger.note(
            None,
            &format!("lock files are removed, the folder too: {is_whole}"),
        );
    }
    let _ = if is_whole {
        fs::remove_dir_all(&locks)
    } else {
        remove_some(&locks, random)
    };
    pause(3000);
}

fn remove_some(folder: &Path, random: &mut Random) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        if random.chance(50) {
            let _ = fs::remove_file(entry?.path());
        }
    }
    Ok(())
}

/// Revocations and counts may miss sessions until a sweep has healed it.
fn remove_index(shared: &Shared, place: usize, random: &mut Random) {
    let owners = shared.folder.join("owners");
    let is_whole = random.chance(40);
    {
        let mut ledger = shared.ledger();
        ledger.figures.count("removals of the owner index");
        ledger.note(
            None,
            &format!("index folders are removed, all of it: {is_whole}"),
        );
        ledger.is_index_damaged = true;
        ledger.damages += 1;
        let excuse = String::from("the index was damaged");
        ledger.limit_excuses.insert(String::new(), excuse);
    }
    if is_whole {
        let _ = fs::remove_dir_all(&owners);
    } else if let Ok(entries) = fs::read_dir(&owners) {
        for entry in entries.flatten().filter(|_| random.chance(50)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    pause(600);
    if sweep(shared, place) {
        pause(100);
        let mut ledger = shared.ledger();
        ledger.is_index_damaged = false;
        ledger.note(None, "the index is healed");
    }
}

/// By the store: whatever is in it can be read.
fn back_up(shared: &Shared, number: u64) {
    let into = shared.beside.join(format!("backup-{number}"));
    let read = block_on(async {
        let backed_up = shared.store.back_up(&into).await;
        backed_up.map_err(|error| error.to_string())?;
        let store = FilesystemStore::open(&into).map_err(|error| error.to_string())?;
        let mut records = SessionManager::new(store).list();
        let mut count = 0;
        while let Some(record) = records.next().await {
            count += 1;
            record.map_err(|error| error.to_string())?;
        }
        Ok::<u64, String>(count)
    });
    let _ = fs::remove_dir_all(&into);
    let mut ledger = shared.ledger();
    ledger.figures.count("backups");
    ledger.note(None, &format!("a backup: {read:?}"));
    if let Err(error) = read {
        let violation = ledger.violation(&format!("a backup cannot be read: {error}"), &[]);
        drop(ledger);
        shared.stop(violation);
    }
}

/// By hand: other names of the files, for a while.
fn copy(shared: &Shared, number: u64) {
    let into = shared.beside.join(format!("copy-{number}"));
    let linked = || -> io::Result<u64> {
        fs::create_dir(&into)?;
        let mut count = 0;
        for entry in fs::read_dir(&shared.folder)? {
            let name = entry?.file_name();
            let linked = fs::hard_link(shared.folder.join(&name), into.join(&name));
            count += u64::from(linked.is_ok());
        }
        Ok(count)
    };
    let linked = linked();
    {
        let mut ledger = shared.ledger();
        ledger.figures.count("copies by hard links");
        ledger.note(None, &format!("a copy by hard links: {linked:?}"));
    }
    pause(500);
    let _ = fs::remove_dir_all(&into);
}
