//! Going through a whole folder once: by the store, and by the bare system calls, which are as fast as
//! it can be done. Meant for a process of its own, as the most memory that it ever had is told, too.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, StatxFlags, statx};
use serde_json::{Value, json};
use session::{FilesystemStore, SessionManager, SessionStore as _, Timestamp};
use tokio::runtime::Runtime;

use super::{Folder, Population};

/// How many records a manager has removed in one store call.
const BATCH: usize = 1000;

/// Lists all sessions.
///
/// # Panics
///
/// When one cannot be read.
#[must_use]
pub fn list(path: &Path) -> Value {
    let (runtime, store) = open(path);
    let start = Instant::now();
    let count = runtime.block_on(async {
        let mut sessions = SessionManager::new(store).list();
        let mut count = 0_u64;
        while let Some(session) = sessions.next().await {
            black_box(session.expect("listed").size);
            count += 1;
        }
        count
    });
    told(count, start.elapsed())
}

/// Sweeps once: now, when nothing has ended, or at the moment when one session in a hundred has. Tells
/// how many it has removed.
///
/// # Panics
///
/// When the store fails.
#[must_use]
pub fn sweep(path: &Path, later: bool) -> Value {
    let (runtime, store) = open(path);
    let now = if later {
        Population::between()
    } else {
        Timestamp::from(SystemTime::now())
    };
    let start = Instant::now();
    let removed = runtime.block_on(async {
        let mut removed = 0;
        loop {
            let taken = store.take_expired(now, BATCH).await.expect("swept").len();
            removed += taken as u64;
            if taken < BATCH {
                return removed;
            }
        }
    });
    told(removed, start.elapsed())
}

/// Reads the names in the folder, and `what` of each session: `names` is nothing else, `status` is a
/// `statx`, `bytes` is an `openat`, a `read` and a `close`.
///
/// # Panics
///
/// When it is none of these.
#[must_use]
pub fn bare_walk(path: &Path, what: &str) -> Value {
    let folder = Folder::open(path);
    let look: fn(&Folder, &str) = match what {
        "names" => |_, name| {
            black_box(name);
        },
        "status" => |folder, name| {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let status = statx(folder.as_ref(), name, flags, StatxFlags::BASIC_STATS);
            black_box(status.expect("there").stx_size);
        },
        "bytes" => |folder, name| {
            black_box(folder.read(name));
        },
        other => panic!("no such walk: {other}"),
    };
    let start = Instant::now();
    let mut count = 0;
    for entry in folder.entries() {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_str().expect("text");
        if name.ends_with(".session") {
            look(&folder, name);
            count += 1;
        }
    }
    told(count, start.elapsed())
}

fn open(path: &Path) -> (Runtime, FilesystemStore) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    (runtime, FilesystemStore::open(path).expect("a store"))
}

fn told(count: u64, time: Duration) -> Value {
    json!({
        "count": count,
        "seconds": time.as_secs_f64(),
        "peak_memory_kibibytes": number_of("/proc/self/status", "VmHWM:"),
        "bytes_from_disk": number_of("/proc/self/io", "read_bytes:"),
    })
}

/// What the kernel tells of this process: the most memory that it has ever had, in KiB, and how many
/// bytes had to be fetched from the disk for it, which is few when they were in the page cache.
fn number_of(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
