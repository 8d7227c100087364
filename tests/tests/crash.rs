//! Processes that are killed in the middle of their work.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use session::{FilesystemStore, Session, SessionManager, SessionStore as _, Timestamp};
use session_tests::crash::{Payload, USERS};
use session_tests::process::wait_until_traced;
use session_tests::tools;

const DURABILITIES: [&str; 3] = ["process", "atomic", "durable"];

const WRITER: &str = env!("CARGO_BIN_EXE_store_writer");

fn manager(path: &Path) -> SessionManager<FilesystemStore> {
    SessionManager::builder(FilesystemStore::open(path).expect("a store")).build()
}

fn temporaries(path: &Path) -> usize {
    std::fs::read_dir(path)
        .expect("the folder")
        .filter(|entry| {
            let name = entry.as_ref().expect("an entry").file_name();
            name.to_string_lossy().ends_with(".tmp")
        })
        .count()
}

fn quarantined(path: &Path) -> usize {
    std::fs::read_dir(path.join("quarantine"))
        .expect("the quarantine")
        .count()
}

/// Promise 9: a writer that is killed at a random moment, 500 times over, leaves whole records, each of
/// which was written, and nothing else that the sweep does not take away.
#[tokio::test]
async fn five_hundred_kills_leave_whole_records() {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let store = FilesystemStore::open(&path).expect("a store");
    let mut left_over = 0;
    for round in 0..500_u64 {
        let mut writer = Command::new(WRITER)
            .arg(&path)
            .arg(DURABILITIES[usize::try_from(round % 3).expect("small")])
            .args(["loop", &round.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("the writer runs");
        // From before its first write to some tens of writes.
        std::thread::sleep(Duration::from_micros(2_000 + (round * 7_919) % 28_000));
        writer.kill().expect("killed");
        writer.wait().expect("ended");
        left_over += temporaries(&path);
        // What a kill may leave behind hinders nobody and goes with the sweep.
        if round % 20 == 19 {
            check(&path, &store).await;
        }
    }
    assert!(
        left_over > 0,
        "no kill hit a write: the test is not hard enough"
    );
    let removed = store.remove_expired(Timestamp::MAX).await.expect("swept");
    assert!(removed > 500, "{removed} records were left by 500 writers");
    assert_eq!(temporaries(&path), 0);
    let count = |path: &Path| std::fs::read_dir(path).expect("the folder").count();
    assert_eq!(
        count(&path),
        3,
        "locks, owners and quarantine are all that is left"
    );
    // Notes of sessions that are no more go when their owner is looked for.
    for user in USERS {
        assert!(store.find(user).next().await.is_none());
    }
    assert_eq!(count(&path.join("owners")), 1, "notes are left");
}

async fn check(path: &Path, store: &FilesystemStore) {
    let mut listing = store.list();
    let mut seen = 0;
    let mut owned = BTreeSet::new();
    while let Some(session) = listing.next().await {
        let info = session.expect("every record can be read");
        owned.extend(info.owner.clone().map(|owner| (owner, info.key.clone())));
        let record = store.load(&info.key).await.expect("loaded").expect("there");
        assert!(is_whole(&record), "a record of two writes");
        seen += 1;
    }
    assert!(seen > 0);
    // Whoever is looked for is found, and nobody else.
    let mut found = BTreeSet::new();
    for user in USERS {
        let mut listing = store.find(user);
        while let Some(session) = listing.next().await {
            found.insert((user.to_owned(), session.expect("it can be read").key));
        }
    }
    assert_eq!(found, owned);
    assert_eq!(quarantined(path), 0);
    store
        .remove_expired(Timestamp::default())
        .await
        .expect("swept");
    assert_eq!(temporaries(path), 0);
}

/// The three fields of [`Payload`], read from the raw record.
fn is_whole(record: &session::Record) -> bool {
    let read = |name: &str| record.fields.get(name).unwrap_or(b"\x00").to_vec();
    let first: u64 = rmp_serde::from_slice(&read("first")).expect("a number");
    let last: u64 = rmp_serde::from_slice(&read("last")).expect("a number");
    let many: Vec<u64> = match record.fields.get("many") {
        Some(bytes) => rmp_serde::from_slice(bytes).expect("numbers"),
        None => Vec::new(),
    };
    let payload = || first == last && many.len() as u64 == first % 200;
    payload() && many.iter().all(|number| *number == first)
}

/// A writer that waits to be told to do one thing.
struct Ready {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Ready {
    fn start(path: &Path, durability: &str, what: &str, id: &str) -> Self {
        let mut child = Command::new(WRITER)
            .arg(path)
            .args([durability, what, id])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the writer runs");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Ready { child, out }
    }

    /// Lets it go on; whether it came to its end.
    fn go(mut self) -> bool {
        let mut input = self.child.stdin.take().expect("its input");
        // It may have been killed while it was waiting for this.
        let _ = input.write_all(b"\n");
        let mut line = String::new();
        self.out.read_line(&mut line).expect("read");
        self.child.wait().expect("ended");
        line == "done\n"
    }
}

/// The system calls that an operation on a file is made of.
const CALLS: [&str; 14] = [
    "openat",
    "flock",
    "read",
    "fstat",
    "getrandom",
    "write",
    "pwrite64",
    "ftruncate",
    "fdatasync",
    "fsync",
    "renameat",
    "renameat2",
    "unlinkat",
    "close",
];

/// Has the writer do what it is told, at a durability, and be killed as it enters `call` for the `time`th time. False when it
/// came to its end before that.
fn killed_at(path: &Path, how: [&str; 2], id: &str, call: &str, time: usize) -> bool {
    let [durability, what] = how;
    let ready = Ready::start(path, durability, what, id);
    let mut tracer = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=KILL:when={time}")])
        .args(["-p", &ready.child.id().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace runs");
    wait_until_traced(ready.child.id());
    let ended = ready.go();
    tracer.wait().expect("strace ends");
    !ended
}

async fn signed_out(sessions: &SessionManager<FilesystemStore>) -> String {
    let mut session: Session<Payload> = sessions.create().expect("a session");
    session.fill(1);
    sessions.save(&mut session).await.expect("saved");
    session.id().as_str().to_owned()
}

/// Kills `what` at each of its system calls in turn and has `check` look at what is left under the
/// old id.
async fn at_every_call(what: &str, check: impl Fn(&Session<Payload>, &str)) {
    for durability in DURABILITIES {
        at_every_call_with(durability, what, &check).await;
    }
}

async fn at_every_call_with(
    durability: &str,
    what: &str,
    check: &impl Fn(&Session<Payload>, &str),
) {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let sessions = manager(&path);
    let mut killed = 0;
    for call in CALLS {
        // strace counts each system call of each thread by itself.
        for time in 1..30 {
            let at = format!("{durability} {what}, killed at {call} number {time}");
            let id = signed_out(&sessions).await;
            let was_killed = killed_at(&path, [durability, what], &id, call, time);
            let session: Session<Payload> = sessions.get(Some(&id)).await.expect("readable");
            check(&session, &at);
            assert!(session.is_whole(), "{at}");
            assert_eq!(quarantined(&path), 0, "{at}");
            // The store works at once, and the sweep takes what was left.
            let again = signed_out(&sessions).await;
            let again: Session<Payload> = sessions.get(Some(&again)).await.expect("readable");
            assert!(!again.is_new(), "{at}");
            sessions.remove_expired().await.expect("swept");
            assert_eq!(temporaries(&path), 0, "{at}");
            if !was_killed {
                break;
            }
            killed += 1;
        }
    }
    assert!(killed >= 8, "{what}: only {killed} system calls were hit");
}

/// Promise 9: a save that is killed at any system call leaves the old record or the new one.
#[tokio::test]
async fn a_save_killed_at_any_system_call_leaves_the_old_or_the_new_record() {
    at_every_call("save", |session, at| {
        assert!(!session.is_new(), "{at}: the session is lost");
        assert!(matches!(session.first, 1 | 2), "{at}");
    })
    .await;
}

/// LC-3 [gate]: a rotation that is killed at any system call never leaves what is new under the old id.
#[tokio::test]
async fn a_rotation_killed_at_any_system_call_is_never_privileged_under_the_old_id() {
    at_every_call("renew", |session, at| {
        assert_eq!(session.user, None, "{at}: signed in under the old id");
        if !session.is_new() {
            assert_eq!(session.first, 1, "{at}");
        }
    })
    .await;
}

/// Promise 3: a destroy that is killed at any system call leaves the session whole or gone.
#[tokio::test]
async fn a_destroy_killed_at_any_system_call_leaves_the_session_whole_or_gone() {
    at_every_call("destroy", |session, at| {
        if !session.is_new() {
            assert_eq!(session.first, 1, "{at}");
        }
    })
    .await;
}
