//! Many requests of one session at once, in one process and in two on one folder.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session::{
    CookieChange, FilesystemStore, MemoryStore, Saved, Session, SessionError, SessionManager,
};
use session_tests::client::Client;
use session_tests::probe::Visit;
use session_tests::process::Process;
use session_tests::server::ProbeServer;

/// A server process on a folder.
fn serve(folder: &std::path::Path) -> Process {
    Process::start(Command::new(env!("CARGO_BIN_EXE_probe")).arg(folder))
}

fn number(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .expect("a number")
}

/// 8 clients × 500 requests on one session, each writing its own field, through two
/// server processes on one folder: every write is there, and each is seen by the next read.
#[test]
fn eight_clients_of_two_processes_lose_no_field() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let processes = [serve(&folder), serve(&folder)];
    let mut first = Client::new(processes[0].address);
    first.get("/set/a/shared");
    let token = first.token();
    std::thread::scope(|scope| {
        for client in 0..8_usize {
            let (processes, token) = (&processes, &token);
            scope.spawn(move || {
                let mut mine = Client::holding(processes[client % 2].address, token);
                let mut other = Client::holding(processes[(client + 1) % 2].address, token);
                for count in 1..=500 {
                    let response = mine.get(&format!("/set/f{client}/{count}"));
                    assert_eq!(response.status, 200);
                    assert!(response.header("set-cookie").is_none());
                    // What was acknowledged is seen at once, through the other process too.
                    if count % 50 == 0 {
                        let seen = other.get("/who").text();
                        assert_eq!(number(&seen, &format!("f{client}")), count);
                    }
                }
            });
        }
    });
    let seen = first.get("/who").text();
    for client in 0..8 {
        assert_eq!(number(&seen, &format!("f{client}")), 500);
    }
    assert!(seen.contains("\na=shared\n"));
}

/// The same with time to think between the read and the write, which is where others lose fields.
#[test]
fn sixteen_slow_clients_lose_no_field() {
    let kept = tempfile::tempdir().expect("a folder");
    let stores = [
        ProbeServer::start(MemoryStore::new()),
        ProbeServer::start(FilesystemStore::open(kept.path().join("sessions")).expect("a store")),
    ];
    for probe in &stores {
        let mut first = probe.client();
        first.get("/set/a/shared");
        let token = first.token();
        std::thread::scope(|scope| {
            for client in 0..16 {
                let token = &token;
                scope.spawn(move || {
                    let mut mine = probe.holding(token);
                    for round in 0..25 {
                        let think = (client * 7 + round * 3) % 20;
                        let response = mine.get(&format!("/inc/f{client}?think={think}"));
                        assert_eq!(response.status, 200);
                    }
                });
            }
        });
        let seen = first.get("/who").text();
        for client in 0..16 {
            assert_eq!(number(&seen, &format!("f{client}")), 25);
        }
    }
}

/// A commit is one step over all the fields it changed: nobody sees half of it.
#[test]
fn nobody_sees_half_a_commit() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let processes = [serve(&folder), serve(&folder)];
    let mut first = Client::new(processes[0].address);
    first.get("/set3/1");
    let token = first.token();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (is_over, processes, token) = (&is_over, &processes, &token);
        for process in processes {
            scope.spawn(move || {
                let mut client = Client::holding(process.address, token);
                while !is_over.load(Ordering::SeqCst) {
                    let seen = client.get("/who").text();
                    let fields = ["f0", "f1", "f2"].map(|name| number(&seen, name));
                    assert!(fields.iter().all(|field| *field == fields[0]), "{fields:?}");
                }
            });
        }
        let writers: Vec<_> = (0..4_usize)
            .map(|writer| {
                scope.spawn(move || {
                    let mut client = Client::holding(processes[writer % 2].address, token);
                    for round in 0..100 {
                        client.get(&format!("/set3/{}", writer * 1000 + round));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("the writer ends");
        }
        is_over.store(true, Ordering::SeqCst);
    });
}

/// Once a sign-out is acknowledged, no request finds the session,
/// and nothing that was under way brings it back.
#[test]
fn a_sign_out_ends_the_session_in_every_process() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let processes = [serve(&folder), serve(&folder)];
    for round in 0..60_usize {
        let mut visitor = Client::new(processes[round % 2].address);
        visitor.get("/login/alice");
        let token = visitor.token();
        std::thread::scope(|scope| {
            let (processes, token) = (&processes, &token);
            for writer in 0..4_usize {
                scope.spawn(move || {
                    let mut client = Client::holding(processes[writer % 2].address, token);
                    for count in 0..6 {
                        let think = (writer * 5 + count * 3) % 11;
                        let response = client.get(&format!("/inc/f{writer}?think={think}"));
                        assert!(matches!(response.status, 200));
                        if client.cookie() != Some(token) {
                            // Anonymous by now: a session of its own was begun.
                            return;
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(
                u64::try_from(round % 20).expect("small"),
            ));
            assert_eq!(visitor.get("/logout").status, 200);
            for process in processes {
                let seen = Client::holding(process.address, token).get("/who").text();
                assert!(
                    seen.contains("user=-\n") && seen.contains("new=true\n"),
                    "{seen}"
                );
            }
        });
        for process in &processes {
            let seen = Client::holding(process.address, &token).get("/who").text();
            assert!(seen.contains("new=true\n"), "it came back: {seen}");
        }
    }
}

/// A sign-in in the middle of other requests: one new token; what was acknowledged before it came
/// along; nothing that came later is in the signed-in session.
#[test]
fn a_sign_in_among_other_requests_takes_along_what_was_saved_before() {
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let processes = [serve(&folder), serve(&folder)];
    for round in 0..25_usize {
        let mut visitor = Client::new(processes[round % 2].address);
        visitor.get("/set/a/kept");
        let old = visitor.token();
        let acknowledged: Vec<u64> = std::thread::scope(|scope| {
            let (processes, old) = (&processes, &old);
            let writers: Vec<_> = (0..6_usize)
                .map(|writer| {
                    scope.spawn(move || {
                        let mut client = Client::holding(processes[writer % 2].address, old);
                        let mut acknowledged = 0;
                        for count in 1..=40 {
                            let response = client.get(&format!("/set/f{writer}/{count}"));
                            assert_eq!(response.status, 200);
                            assert!(response.header("set-cookie").is_none());
                            // One that arrives after the sign-in reads nothing, and is dropped.
                            if response.text().contains("new=true\n") {
                                break;
                            }
                            acknowledged = count;
                        }
                        acknowledged
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(10));
            assert_eq!(visitor.get("/login/alice").status, 200);
            writers
                .into_iter()
                .map(|writer| writer.join().expect("the writer ends"))
                .collect()
        });
        assert_ne!(visitor.token(), old);
        let seen = visitor.get("/who").text();
        assert!(
            seen.contains("user=alice\n") && seen.contains("\na=kept\n"),
            "{seen}"
        );
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            // At most the one that was under way when the sign-in came was dropped.
            let stored = number(&seen, &format!("f{writer}"));
            assert!(
                stored + 1 >= *acknowledged,
                "writer {writer}: {stored} of {acknowledged}"
            );
        }
        for process in &processes {
            let seen = Client::holding(process.address, &old).get("/who").text();
            assert!(seen.contains("new=true\n"), "{seen}");
        }
    }
}

/// One slow request of a session delays no other.
#[test]
fn a_slow_request_delays_no_other_of_its_session() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let mut slow = probe.holding(&visitor.token());
    let slow = std::thread::spawn(move || slow.get("/held"));
    probe.gate.wait_for_one();
    for count in 1..=200 {
        assert_eq!(visitor.get(&format!("/set/f0/{count}")).status, 200);
    }
    // All of them came back while the slow one was still at work.
    assert!(!slow.is_finished());
    probe.gate.open();
    assert_eq!(slow.join().expect("answered").status, 200);
    let seen = visitor.get("/who").text();
    assert_eq!(number(&seen, "f0"), 200);
    assert!(seen.contains("last_page=held\n"));
}

/// Clients that go away in the middle leave no lock, no half save and no broken server.
#[test]
fn clients_that_go_away_do_no_harm() {
    use std::io::Write as _;
    let kept = tempfile::tempdir().expect("a folder");
    let folder = kept.path().join("sessions");
    let process = serve(&folder);
    let mut visitor = Client::new(process.address);
    visitor.get("/set3/7");
    let token = visitor.token();
    for round in 0..1000_u64 {
        let mut stream = std::net::TcpStream::connect(process.address).expect("a connection");
        let request = format!(
            "GET /set3/{round} HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-id={token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        std::thread::sleep(Duration::from_micros((round * 37) % 1500));
        drop(stream);
    }
    // Their saves are carried out all the same, one after the other. As long as there are many to wait for, a
    // later one is told so; a lock that somebody had kept would make that last for ever.
    let is_saved = (0..60).any(|_| visitor.get("/set3/5000").status == 200);
    assert!(is_saved, "somebody kept the lock");
    let seen = visitor.get("/who").text();
    let fields = ["f0", "f1", "f2"].map(|name| number(&seen, name));
    assert!(fields.iter().all(|field| *field == fields[0]), "{fields:?}");
}

/// Two hundred writers of one field all come through, none of them for ever: each makes ten saves, and is
/// told of those that waited for longer than the store lets them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_writers_of_one_field_come_to_an_end() {
    let kept = tempfile::tempdir().expect("a folder");
    let store = FilesystemStore::open(kept.path().join("sessions")).expect("a store");
    let sessions = SessionManager::new(store);
    let mut first: Session<Visit> = sessions.create();
    first.set_b(String::from("kept"));
    let CookieChange::Set { token, .. } = sessions.save(&mut first).await.expect("saved") else {
        panic!("a new session sets a cookie");
    };
    let writers: Vec<_> = (0..200)
        .map(|writer| {
            let (sessions, token) = (sessions.clone(), token.expose());
            tokio::spawn(async move {
                let mut written = 0_u32;
                for number in 0..10 {
                    let mut session: Session<Visit> =
                        sessions.open(Some(&token)).await.expect("opened");
                    session.set_a(format!("{writer} {number}"));
                    match session.save().await {
                        Ok(outcome) => {
                            assert_eq!(outcome, Saved::Written);
                            written += 1;
                        }
                        Err(SessionError::Store(error)) if error.is_temporary() => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                written
            })
        })
        .collect();
    let mut total = 0;
    for writer in writers {
        total += writer.await.expect("no panic");
    }
    assert!(total > 200, "{total}");
    let last: Session<Visit> = sessions.open(Some(&token.expose())).await.expect("opened");
    assert_eq!(last.b, "kept");
}
