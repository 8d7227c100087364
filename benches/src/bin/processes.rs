//! Saves by several processes and several tasks on one folder, and what the disk itself can do. One of
//! the processes that `python3 benches/processes.py` runs turn by turn.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use session::{Durability, FilesystemStore, Session, SessionManager};
use session_benches::growth::{Population, populate};
use session_benches::random::Random;
use session_benches::visit::Visit;
use session_benches::worker::{argument, number, serve};

fn main() {
    let path = PathBuf::from(argument(2));
    match argument(1).as_str() {
        "populate" => {
            populate(&Population::new(number(3)), &path, false);
            println!("null");
        }
        "save" => save(&path, number(3), &argument(4)),
        "bare" => bare(&path),
        other => panic!("no such work: {other}"),
    }
}

/// `TASKS MILLISECONDS`: so many tasks on one thread, as in a worker of actix-web, each of which loads
/// a session, changes it and saves it, again and again.
fn save(path: &Path, count: usize, durability: &str) {
    let durability = match durability {
        "relaxed" => Durability::Relaxed,
        "durable" => Durability::Durable,
        other => panic!("no such durability: {other}"),
    };
    let store = FilesystemStore::builder(path).durability(durability);
    let manager = SessionManager::new(store.open().expect("a store"));
    let population = Arc::new(Population::new(count));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut seed = u64::from(std::process::id());
    serve(|words| {
        let (tasks, time) = ordered(words);
        let start = Instant::now();
        let saves = runtime.block_on(async {
            let tasks: Vec<_> = (0..tasks)
                .map(|_| {
                    seed += 1;
                    let (manager, population) = (manager.clone(), Arc::clone(&population));
                    let mut random = Random::new(seed);
                    tokio::spawn(async move {
                        let mut saves = 0_u64;
                        while start.elapsed() < time {
                            let cookie = population.cookie(random.below(population.count));
                            let session = manager.open(Some(&cookie)).await;
                            let mut session: Session<Visit> = session.expect("opened");
                            assert_eq!(session.cart.len(), 5, "the cart is there");
                            *session.views_mut() += 1;
                            session.save().await.expect("saved");
                            saves += 1;
                        }
                        saves
                    })
                })
                .collect();
            let mut saves = 0;
            for task in tasks {
                saves += task.await.expect("no panic");
            }
            saves
        });
        told(saves, start)
    });
}

/// `WHAT THREADS MILLISECONDS`: so many threads that do nothing but what a save cannot do without.
/// `rewrite`: `pwrite` and `fdatasync` of a file of the thread's own; `durable`: a new file, its bytes,
/// `fdatasync`, `rename`, and an `fsync` of the folder; `relaxed`: the same without the syncs.
fn bare(path: &Path) {
    serve(|words| {
        let (threads, time) = ordered(&words[1..]);
        let once: fn(&Path, &File, usize) = match words[0] {
            "rewrite" => rewrite,
            "relaxed" => |path, _, thread| replace(path, thread, false),
            "durable" => |path, folder, thread| {
                replace(path, thread, true);
                folder.sync_all().expect("synced");
            },
            other => panic!("no such work: {other}"),
        };
        let start = Instant::now();
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        let folder = File::open(path).expect("the folder");
                        let mut done = 0_u64;
                        while start.elapsed() < time {
                            once(path, &folder, thread);
                            done += 1;
                        }
                        done
                    })
                })
                .collect();
            let done = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            done.sum()
        });
        told(done, start)
    });
}

/// About as many bytes as a record of the benchmarks has.
const BYTES: [u8; 512] = [b'x'; 512];

fn rewrite(path: &Path, _folder: &File, thread: usize) {
    let name = path.join(format!("rewritten-{thread}"));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(name);
    let file = file.expect("opened");
    file.write_all_at(&BYTES, 0).expect("written");
    file.sync_data().expect("synced");
}

fn replace(path: &Path, thread: usize, is_synced: bool) {
    let temporary = path.join(format!("temporary-{thread}"));
    let mut file = File::create_new(&temporary).expect("created");
    file.write_all(&BYTES).expect("written");
    if is_synced {
        file.sync_data().expect("synced");
    }
    drop(file);
    let name = path.join(format!("replaced-{thread}"));
    std::fs::rename(temporary, name).expect("renamed");
}

fn ordered(words: &[&str]) -> (usize, Duration) {
    let [how_many, milliseconds] = words else {
        panic!("two numbers, not {words:?}");
    };
    let time = Duration::from_millis(milliseconds.parse().expect("a number"));
    (how_many.parse().expect("a number"), time)
}

fn told(done: u64, start: Instant) -> Value {
    json!({ "done": done, "seconds": start.elapsed().as_secs_f64() })
}
