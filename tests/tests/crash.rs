//! Processes that are killed in the middle of their work.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use session::{
    CookieChange, Cursor, FilesystemStore, Page, Session, SessionInfo, SessionManager,
    SessionStore as _, StoreError, Timestamp,
};
use session_tests::crash::{Payload, USERS};
use session_tests::process::wait_until_traced;
use session_tests::tools;

const DURABILITIES: [&str; 2] = ["relaxed", "durable"];

const WRITER: &str = env!("CARGO_BIN_EXE_store_writer");

fn manager(path: &Path) -> SessionManager {
    SessionManager::new(FilesystemStore::open(path).expect("a store"))
}

/// How many files in the folder have a name that ends so.
fn ending_in(path: &Path, end: &str) -> usize {
    let names = std::fs::read_dir(path).expect("the folder");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(end))
        .count()
}

fn temporaries(path: &Path) -> usize {
    ending_in(path, ".tmp")
}

fn quarantined(path: &Path) -> usize {
    ending_in(path, ".unreadable")
}

/// The sessions of all pages that `fetch` gives.
async fn pages(
    fetch: impl AsyncFn(Option<Cursor>) -> Result<Page, StoreError>,
) -> Vec<SessionInfo> {
    let mut sessions = Vec::new();
    let mut next = None;
    loop {
        let page = fetch(next).await.expect("the store works");
        assert!(page.unreadable.is_empty(), "every record can be read");
        sessions.extend(page.sessions);
        next = page.next;
        if next.is_none() {
            return sessions;
        }
    }
}

/// Everything that has expired at `now` is removed; gives how many sessions that are.
async fn sweep(store: &FilesystemStore, now: Timestamp) -> usize {
    let mut removed = 0;
    loop {
        let taken = store.take_expired(now, 1000).await.expect("swept").len();
        removed += taken;
        if taken < 1000 {
            return removed;
        }
    }
}

/// A writer that is killed at a random moment, 500 times over, leaves whole records, each of
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
            .arg(DURABILITIES[usize::try_from(round % 2).expect("small")])
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
    let removed = sweep(&store, Timestamp::MAX).await;
    assert!(removed > 500, "{removed} records were left by 500 writers");
    assert_eq!(temporaries(&path), 0);
    let mut left: Vec<_> = std::fs::read_dir(&path)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["file-name", "locks", "owners"]);
    // One sweep leaves no entry without its session.
    let entries: usize = std::fs::read_dir(path.join("owners"))
        .expect("the index")
        .filter_map(|owner| std::fs::read_dir(owner.expect("an entry").path()).ok())
        .map(Iterator::count)
        .sum();
    assert_eq!(entries, 0, "entries are left");
}

async fn check(path: &Path, store: &FilesystemStore) {
    let sessions = pages(async |after| store.list(after, 100).await).await;
    assert!(!sessions.is_empty());
    let mut owned = BTreeSet::new();
    for info in sessions {
        owned.extend(info.owner.clone().map(|owner| (owner, info.key)));
        let record = store.load(&info.key).await.expect("loaded").expect("there");
        assert!(is_whole(&record), "a record of two writes");
    }
    // Whoever is looked for is found, and nobody else.
    let mut found = BTreeSet::new();
    for user in USERS {
        let sessions = pages(async |after| store.sessions_of(user, after, 100).await).await;
        found.extend(sessions.into_iter().map(|info| (user.to_owned(), info.key)));
    }
    assert_eq!(found, owned);
    assert_eq!(quarantined(path), 0);
    sweep(store, Timestamp::default()).await;
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
    fn start(path: &Path, durability: &str, what: &str, token: &str) -> Self {
        let mut child = Command::new(WRITER)
            .arg(path)
            .args([durability, what, token])
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
fn killed_at(path: &Path, how: [&str; 2], token: &str, call: &str, time: usize) -> bool {
    let [durability, what] = how;
    let ready = Ready::start(path, durability, what, token);
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

/// The token of a session without an owner.
async fn signed_out(sessions: &SessionManager) -> String {
    let mut session: Session<Payload> = sessions.create();
    session.fill(1);
    match sessions.save(&mut session).await.expect("saved") {
        CookieChange::Set { token, .. } => token.expose(),
        change => panic!("a new session sets a cookie: {change:?}"),
    }
}

/// Kills `what` at each of its system calls in turn and has `check` look at what the old token
/// opens.
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
            let token = signed_out(&sessions).await;
            let was_killed = killed_at(&path, [durability, what], &token, call, time);
            let session: Session<Payload> = sessions.open(Some(&token)).await.expect("readable");
            check(&session, &at);
            assert!(session.is_whole(), "{at}");
            assert_eq!(quarantined(&path), 0, "{at}");
            // The store works at once, and the sweep takes what was left.
            let again = signed_out(&sessions).await;
            let again: Session<Payload> = sessions.open(Some(&again)).await.expect("readable");
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

/// A save that is killed at any system call leaves the old record or the new one.
#[tokio::test]
async fn a_save_killed_at_any_system_call_leaves_the_old_or_the_new_record() {
    at_every_call("save", |session, at| {
        assert!(!session.is_new(), "{at}: the session is lost");
        assert!(matches!(session.first, 1 | 2), "{at}");
    })
    .await;
}

/// A sign-in that is killed at any system call never leaves what is new under the old token, and never loses
/// the session: the old token opens the old record, or the record is the new one, which it does not open.
#[tokio::test]
async fn a_sign_in_killed_at_any_system_call_is_never_privileged_under_the_old_token() {
    at_every_call("renew", |session, at| {
        assert_eq!(session.user, None, "{at}: signed in under the old token");
        if session.is_new() {
            let arrival = session.arrival();
            assert_eq!(arrival, session::Arrival::Late, "{at}: the session is lost");
        } else {
            assert_eq!(session.first, 1, "{at}");
        }
    })
    .await;
}

/// A destroy that is killed at any system call leaves the session whole or gone.
#[tokio::test]
async fn a_destroy_killed_at_any_system_call_leaves_the_session_whole_or_gone() {
    at_every_call("destroy", |session, at| {
        if !session.is_new() {
            assert_eq!(session.first, 1, "{at}");
        }
    })
    .await;
}
