//! Loads and saves on the filesystem store beside the bare system calls that do the same minimum of
//! work: `cargo run --release --bin filesystem [sessions]`.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat, renameat};
use session::{Durability, FilesystemStore, Session, SessionManager, StoreKey};
use session_benches::visit::{Visit, decode, fill};
use session_benches::{Contender, compare};

fn main() {
    let sessions: usize = std::env::args()
        .nth(1)
        .map_or(1000, |count| count.parse().expect("a number"));
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    for durability in [Durability::Process, Durability::Atomic, Durability::Durable] {
        let store = FilesystemStore::builder(&path)
            .durability(durability)
            .open()
            .expect("a store");
        let manager = SessionManager::builder(store).build();
        let ids: Vec<String> = runtime.block_on(async {
            let mut ids = Vec::new();
            let count = if durability == Durability::Process {
                sessions
            } else {
                100
            };
            for _ in 0..count {
                let mut session: Session<Visit> = manager.create().expect("an id");
                fill(&mut session);
                session.save().await.expect("saved");
                ids.push(session.id().as_str().to_owned());
            }
            ids
        });
        let names: Vec<String> = ids
            .iter()
            .map(|id| {
                let id = session::SessionId::parse(id).expect("an id");
                let key = StoreKey::new(manager.cookie().name(), &id);
                format!("{}.session", key.as_str())
            })
            .collect();
        let folder: OwnedFd = openat(
            rustix::fs::CWD,
            &path,
            OFlags::DIRECTORY | OFlags::RDONLY,
            Mode::empty(),
        )
        .expect("the folder");
        let first = session::SessionId::parse(&ids[0]).expect("an id");
        let record = runtime
            .block_on(session::SessionStore::load(
                manager.store(),
                &StoreKey::new(manager.cookie().name(), &first),
            ))
            .expect("loaded")
            .expect("there");

        let read = |name: &str| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = openat(&folder, name, flags, Mode::empty()).expect("opened");
            let mut bytes = Vec::with_capacity(1024);
            std::fs::File::from(file)
                .read_to_end(&mut bytes)
                .expect("read");
            bytes
        };
        let (mut a, mut b, mut c) = (0, 0, 0);
        let next = |at: &mut usize| {
            *at = (*at + 7919) % names.len();
            *at
        };
        if durability == Durability::Process {
            compare(
                &format!("load, {} sessions", names.len()),
                200,
                200,
                vec![
                    Contender::new("bare openat + read + close, decode of the fields", || {
                        black_box(read(&names[next(&mut a)]));
                        black_box(decode(&record));
                    }),
                    Contender::new("the hop to a blocking thread alone", || {
                        runtime
                            .block_on(runtime.spawn_blocking(|| ()))
                            .expect("done");
                    }),
                    Contender::new("SessionManager::get, the hop included", || {
                        let at = {
                            b = (b + 7919) % ids.len();
                            b
                        };
                        let session: Session<Visit> = runtime
                            .block_on(manager.get(Some(&ids[at])))
                            .expect("opened");
                        black_box(&session.views);
                    }),
                ],
            );
        }
        let lock = openat(
            &folder,
            "bare-lock",
            OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )
        .expect("a lock");
        let (rounds, turn) = if durability == Durability::Process {
            (200, 50)
        } else {
            (50, 10)
        };
        let mut d = 0;
        compare(
            &format!("save, {durability:?}, {} sessions", names.len()),
            rounds,
            turn,
            vec![
                Contender::new(
                    "bare flock, read, O_EXCL create, write, (syncs,) rename",
                    || {
                        c = (c + 7919) % names.len();
                        let name = &names[c];
                        while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {}
                        let bytes = read(name);
                        let flags =
                            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                        let file = openat(&folder, "bare.tmp", flags, Mode::RUSR | Mode::WUSR)
                            .expect("created");
                        let mut file = std::fs::File::from(file);
                        file.write_all(&bytes).expect("written");
                        if durability != Durability::Process {
                            file.sync_data().expect("synced");
                        }
                        drop(file);
                        renameat(&folder, "bare.tmp", &folder, name.as_str()).expect("renamed");
                        if durability == Durability::Durable {
                            rustix::fs::fsync(&folder).expect("synced");
                        }
                        flock(&lock, FlockOperation::Unlock).expect("unlocked");
                    },
                ),
                Contender::new(
                    "SessionManager::get + set + save, both hops included",
                    || {
                        d = (d + 7919) % ids.len();
                        runtime.block_on(async {
                            let mut session: Session<Visit> =
                                manager.get(Some(&ids[d])).await.expect("opened");
                            *session.views_mut() += 1;
                            session.save().await.expect("saved");
                        });
                    },
                ),
            ],
        );
    }
}
