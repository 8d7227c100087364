//! What a server asks of the operating system, and what it does when it is refused or kept waiting.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use session::{FilesystemStore, SessionStore as _};
use session_tests::client::Client;
use session_tests::process::{Process, traced};
use session_tests::tools;

fn serve(folder: &str) -> Process {
    Process::start(Command::new(env!("CARGO_BIN_EXE_probe")).arg(folder))
}

/// A token is one call of the operating system's generator, of 32 bytes, and no more are made than are given
/// out. A new secret is one of 16 bytes.
#[test]
fn a_token_is_one_call_of_the_generator() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let calls = kept.path().join("calls");
    let server = serve("memory");
    let arguments = ["-e", "trace=getrandom", "-o"];
    let arguments = [&arguments[..], &[calls.to_str().expect("UTF-8")]].concat();
    traced(server.id(), &arguments, || {
        for _ in 0..50 {
            let mut visitor = Client::new(server.address);
            visitor.get("/set/a/1");
            visitor.get("/set/a/2");
            visitor.get("/renew");
            let _ = visitor.token();
        }
    });
    let calls = std::fs::read_to_string(calls).expect("a trace");
    for length in [32, 16] {
        let asked = format!(", {length}, ");
        let given = format!("= {length}");
        let of_length = calls.lines().filter(|call| call.contains(&asked));
        assert_eq!(of_length.clone().count(), 50, "{length}: {calls}");
        assert!(of_length.into_iter().all(|call| call.ends_with(&given)));
    }
}

/// When the operating system gives no random bytes, there is no session, and no weaker token either. The
/// memory store shows the token alone; on files the temporary's name needs some as well.
#[tokio::test]
async fn without_random_bytes_there_is_no_session() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    for folder in ["memory", path.to_str().expect("UTF-8")] {
        let server = serve(folder);
        let visit = || Client::new(server.address).get("/set/a/1");
        for error in ["EIO", "ENOSYS"] {
            let inject = format!("inject=getrandom:error={error}");
            let mut arguments = vec!["-o", "/dev/null", "-e", "trace=getrandom,openat"];
            arguments.extend(["-e", &inject]);
            if error == "ENOSYS" {
                // Where a generator looks instead: `/dev/urandom`.
                arguments.extend(["-e", "inject=openat:error=EACCES"]);
            }
            traced(server.id(), &arguments, || {
                for _ in 0..5 {
                    let response = visit();
                    assert_eq!(response.status, 500, "{folder}: {error}");
                    let cookie = response.header("set-cookie");
                    assert!(cookie.is_none(), "{folder}: {error}");
                }
            });
        }
        if folder != "memory" {
            let store = FilesystemStore::open(&path).expect("a store");
            let page = store.list(None, 10).await.expect("the store works");
            assert!(page.sessions.is_empty(), "a record was made");
        }
        assert_eq!(visit().status, 200, "all is well again");
    }
}

/// Nothing is looked at by its path before it is opened: what is checked is what is open. And what is
/// acknowledged waits for the disk: everything by default, and the end of a session at every durability.
#[test]
fn no_file_is_looked_at_before_it_is_opened_and_ends_are_synced() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    for durability in ["durable", "relaxed"] {
        let folder = kept.path().join(durability);
        let mut probe = Command::new(env!("CARGO_BIN_EXE_probe"));
        probe.arg(&folder);
        if durability == "relaxed" {
            probe.arg("relaxed");
        }
        let server = Process::start(&mut probe);
        let mut visitor = Client::new(server.address);
        for (what, path) in [
            ("create", "/set/a/1"),
            ("save", "/set/a/2"),
            ("read", "/who"),
            ("renew", "/renew"),
            ("destroy", "/logout"),
        ] {
            let trace = kept.path().join(format!("{durability}-{what}"));
            let calls = calls(&trace, &server, || {
                assert_eq!(visitor.get(path).status, 200);
            });
            let of_sessions = calls.lines().filter(|call| call.contains(".session"));
            assert!(of_sessions.clone().count() > 0, "{what}: {calls}");
            for line in of_sessions {
                assert_is_guarded(what, line);
            }
            let syncs = calls.lines().filter(|call| call.contains("fsync("));
            let is_synced = syncs.into_iter().any(|call| !call.contains("fdatasync("));
            let is_write = what != "read" && durability == "durable";
            assert_eq!(is_synced, is_write || what == "destroy", "{what}: {calls}");
        }
    }
}

/// A call about a session's file opens, renames or removes it, relative to the folder that was opened, and
/// never follows a link.
fn assert_is_guarded(what: &str, line: &str) {
    let call = line.split_whitespace().nth(1).unwrap_or_default();
    let is_step = [
        "openat(",
        "openat2(",
        "renameat(",
        "renameat2(",
        "unlinkat(",
    ]
    .iter()
    .any(|step| call.starts_with(step));
    assert!(is_step, "{what}: {line}");
    assert!(!line.contains("AT_FDCWD"), "{what}: {line}");
    let is_guarded = line.contains("O_NOFOLLOW") && line.contains("O_CLOEXEC");
    assert!(is_guarded || !call.starts_with("openat"), "{line}");
}

/// The calls about files that `server` makes meanwhile.
fn calls(seen: &Path, server: &Process, work: impl FnOnce()) -> String {
    let arguments = ["-e", "trace=%file,%desc,%network", "-o"];
    let arguments = [&arguments[..], &[seen.to_str().expect("UTF-8")]].concat();
    traced(server.id(), &arguments, work);
    std::fs::read_to_string(seen).expect("a trace")
}

/// A disk that takes four seconds for each sync holds up those who write, and nobody else.
#[test]
fn a_slow_disk_does_not_stall_the_others() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let server = serve(kept.path().join("sessions").to_str().expect("UTF-8"));
    let arguments = ["-o", "/dev/null", "-e", "trace=fdatasync"];
    let arguments = [&arguments[..], &["-e", "inject=fdatasync:delay_enter=4s"]].concat();
    let mut reader = Client::new(server.address);
    reader.get("/set/a/1");
    traced(server.id(), &arguments, || {
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..64)
                .map(|_| scope.spawn(|| Client::new(server.address).get("/set/a/1").status))
                .collect();
            std::thread::sleep(Duration::from_millis(200));
            for _ in 0..50 {
                assert_eq!(reader.get("/noop").status, 200);
                assert_eq!(reader.get("/who").status, 200);
            }
            assert!(writers.iter().all(|writer| !writer.is_finished()));
            for writer in writers {
                // Those of one stripe wait for each other, for two seconds at the most.
                let status = writer.join().expect("answered");
                assert!(status == 200 || status == 503, "{status}");
            }
        });
    });
}

/// A process that has no file handles left answers with errors, and is well again when it has.
#[test]
fn out_of_file_handles_is_an_error_and_heals() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let server = serve(kept.path().join("sessions").to_str().expect("UTF-8"));
    let mut visitor = Client::new(server.address);
    visitor.get("/login/alice");
    let token = visitor.token();
    let arguments = ["-o", "/dev/null", "-e", "trace=openat,openat2"];
    for error in ["EMFILE", "ENFILE", "ENOMEM", "EACCES", "EIO"] {
        let inject = format!("inject=openat,openat2:error={error}");
        let arguments = [&arguments[..], &["-e", &inject]].concat();
        traced(server.id(), &arguments, || {
            for path in ["/who", "/set/a/1", "/login/bob", "/logout"] {
                let response = visitor.get(path);
                assert!(matches!(response.status, 500 | 503), "{error}: {path}");
                assert!(response.header("set-cookie").is_none(), "{error}: {path}");
            }
            assert_eq!(visitor.get("/noop").status, 200);
        });
        assert!(
            visitor.get("/who").text().contains("user=alice\n"),
            "{error}"
        );
        assert_eq!(visitor.token(), token);
    }
}

/// A session that the kernel has in memory is read where the request is, with four calls and no trip to
/// another thread. One that it has not, or cannot say, is read as before.
#[test]
fn a_session_in_memory_is_read_without_another_thread() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let server = serve(kept.path().join("sessions").to_str().expect("UTF-8"));
    let mut visitor = Client::new(server.address);
    visitor.get("/login/alice");
    let calls = calls(&kept.path().join("calls"), &server, || {
        assert!(visitor.get("/who").text().contains("user=alice\n"));
    });
    let thread = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let opened = calls.lines().find(|line| line.contains(".session"));
    let opened = opened.expect("it is opened");
    assert!(opened.contains("RESOLVE_CACHED"), "{opened}");
    assert_eq!(calls.matches(".session").count(), 1, "{calls}");
    let answered = calls.lines().find(|line| line.contains("HTTP/1.1 200"));
    assert_eq!(thread(opened), thread(answered.expect("an answer")));

    let arguments = ["-o", "/dev/null", "-e", "trace=openat2,preadv2"];
    for inject in [
        "inject=openat2:error=EAGAIN",
        "inject=openat2:error=ENOSYS",
        "inject=openat2:error=EPERM",
        "inject=preadv2:error=EAGAIN",
        "inject=preadv2:error=EOPNOTSUPP",
        "inject=preadv2:retval=16",
    ] {
        traced(
            server.id(),
            &[&arguments[..], &["-e", inject]].concat(),
            || {
                let seen = visitor.get("/who").text();
                assert!(seen.contains("user=alice\n"), "{inject}: {seen}");
            },
        );
    }
}

/// The index is durable before the record that it leads to is there, without asking how durable: a power cut
/// must not leave a session that `sessions_of` misses.
#[test]
fn whose_session_it_is_is_synced_before_the_record_is_written() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let server = serve(folder.to_str().expect("UTF-8"));
    let mut visitor = Client::new(server.address);
    visitor.get("/set/a/1");
    let calls = calls(&kept.path().join("calls"), &server, || {
        assert_eq!(visitor.get("/login/alice").status, 200);
    });
    let at = |wanted: &dyn Fn(&str) -> bool| calls.lines().position(wanted);
    let hint = at(&|call| call.contains("mkdirat(")).expect("a folder for the owner");
    let record = at(&|call| call.contains("renameat")).expect("a record");
    let syncs = calls.lines().take(record).skip(hint);
    let syncs = syncs.filter(|call| call.contains("fsync(")).count();
    assert!(syncs >= 2, "the hint and the owner's folder: {calls}");
}

/// `sessions_of` costs in proportion to the owner's sessions: with 100 owners of 50 sessions each, one
/// owner's take as many system calls as among 10.
#[test]
fn finding_reads_no_more_than_the_owners_sessions() {
    if !tools::has("strace", &["-V"]) {
        return;
    }
    let counts = [10, 100].map(|owners| {
        let kept = tempfile::tempdir().expect("a folder");
        let folder = kept.path().join("sessions");
        fill(&folder, owners, 50);
        let server = serve(folder.to_str().expect("UTF-8"));
        let mut visitor = Client::new(server.address);
        // The first call may make threads; only the second is counted.
        assert_eq!(visitor.get("/found/owner-7").text(), "50");
        let calls = calls(&kept.path().join("calls"), &server, || {
            assert_eq!(visitor.get("/found/owner-7").text(), "50");
        });
        let of_sessions = calls.lines().filter(|call| call.contains(".session"));
        let of_sessions = of_sessions.filter(|call| call.contains("openat(")).count();
        (of_sessions, calls.lines().count())
    });
    let [(_, among_few), (opened, among_many)] = counts;
    assert_eq!(opened, 50);
    assert!(
        among_many < among_few * 2 && among_many < 1000,
        "{counts:?}"
    );
}

/// So many sessions of so many owners, without waiting for the disk.
fn fill(folder: &Path, owners: usize, sessions: usize) {
    let store = FilesystemStore::builder(folder)
        .durability(session::Durability::Relaxed)
        .open()
        .expect("a store");
    let now = session::Timestamp::from(std::time::SystemTime::now());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for owner in 0..owners {
            let mut record = session::Record::new(now, now + session::minutes(30));
            record.owner = Some(format!("owner-{owner}"));
            for _ in 0..sessions {
                let key = session::SessionToken::generate().expect("a token").key();
                let created = store.create(&key, &record).await;
                assert_eq!(created.expect("created"), session::CreateOutcome::Created);
            }
        }
    });
}
