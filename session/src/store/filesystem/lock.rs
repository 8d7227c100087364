//! One operation on a session at a time, across threads and processes.
//!
//! A fixed number of lock files, each for a part of all keys (a *stripe*), so that no lock file is left
//! behind for a session. To hold a stripe takes two steps: first its *turn* within this process, for which
//! an asynchronous caller waits without a thread; then `flock` on its file, against other processes.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use tokio::sync::OwnedMutexGuard;

use super::waiter::{Waited, Waiter, unlock};
use crate::SessionKey;

/// How many stripes there are.
pub(super) const STRIPES: usize = 64;

/// The folder of the lock files.
pub(super) const LOCKS: &str = "locks";

/// How often a lock that another process holds is tried before a thread waits for it: most are held for
/// less time than it takes to start one.
const QUICK_TRIES: u32 = 4;
const QUICK_PAUSE: Duration = Duration::from_micros(50);

/// The longest pause between two tries where nothing wakes the one that waits.
const SLOW_PAUSE: Duration = Duration::from_millis(5);

/// How often a lock file that was removed is made again for one operation.
const REOPENS: u32 = 16;

pub(super) struct LockTable {
    stripes: Vec<Stripe>,
    /// The session folder, for lock files that must be made again; `None` in tests without files.
    folder: Option<OwnedFd>,
    timeout: Duration,
}

struct Stripe {
    held: Arc<tokio::sync::Mutex<Held>>,
    /// How many calls are being carried out for which no caller waits any more.
    abandoned: Arc<AtomicUsize>,
}

/// The state of a stripe, for the operation that has its turn.
struct Held {
    index: usize,
    file: Option<Arc<OwnedFd>>,
    waiter: Option<Arc<Waiter>>,
    recyclable: Option<String>,
    is_sync_owed: bool,
}

/// The turn of a stripe within this process.
pub(super) struct Turn(OwnedMutexGuard<Held>);

impl LockTable {
    /// The stripes of these lock files, which are in `folder`.
    pub(super) fn new(
        folder: Option<OwnedFd>,
        files: impl IntoIterator<Item = Option<OwnedFd>>,
        timeout: Duration,
    ) -> Self {
        let stripe = |(index, file): (usize, Option<OwnedFd>)| Stripe {
            held: Arc::new(tokio::sync::Mutex::new(Held {
                index,
                file: file.map(Arc::new),
                waiter: None,
                recyclable: None,
                is_sync_owed: false,
            })),
            abandoned: Arc::default(),
        };
        LockTable {
            stripes: files.into_iter().enumerate().map(stripe).collect(),
            folder,
            timeout,
        }
    }

    /// Until when an operation that begins now waits for its stripe.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// The turn of the stripe of `key`, if it is free.
    pub(super) fn try_turn(&self, key: &SessionKey) -> Option<Turn> {
        let held = Arc::clone(&self.stripe(key).held);
        held.try_lock_owned().ok().map(Turn)
    }

    /// Waits for the turn of the stripe of `key`, first come, first served.
    ///
    /// The turn is given to a waiter whether it is polled or not, so a task of its own must wait.
    pub(super) fn turn(&self, key: &SessionKey) -> impl Future<Output = Turn> + Send + use<> {
        let held = Arc::clone(&self.stripe(key).held);
        async move { Turn(held.lock_owned().await) }
    }

    /// Waits for other processes until `deadline`; [`io::ErrorKind::TimedOut`] when that has passed.
    ///
    /// All operations wait equally long, in the order in which they came. So one that has its turn after
    /// its deadline leaves at once, and none waits much longer than its own time.
    pub(super) fn lock_turn(&self, turn: Turn, deadline: Instant) -> io::Result<LockGuard> {
        if Instant::now() > deadline {
            return Err(timed_out());
        }
        self.lock_files(turn, Some(deadline))
    }

    /// Waits for the stripe of `key`, on a thread that may block: for the work on many sessions, which meets a
    /// stripe that is in use now and then.
    ///
    /// The operation that has the turn may itself wait for a thread, so this wait must end. It is no place
    /// in the line.
    pub(super) fn lock(&self, key: &SessionKey) -> io::Result<LockGuard> {
        let deadline = self.deadline();
        let mut pause = QUICK_PAUSE;
        loop {
            if let Some(turn) = self.try_turn(key) {
                return self.lock_turn(turn, deadline);
            }
            if Instant::now() > deadline {
                return Err(timed_out());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(SLOW_PAUSE);
        }
    }

    /// The stripe of `key`, if nothing holds it.
    pub(super) fn try_lock(&self, key: &SessionKey) -> io::Result<Option<LockGuard>> {
        let Some(turn) = self.try_turn(key) else {
            return Ok(None);
        };
        match self.lock_files(turn, None) {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The recyclable files of all stripes that are not in use, which have none then.
    pub(super) fn take_recyclables(&self) -> impl Iterator<Item = String> + '_ {
        self.stripes.iter().filter_map(|stripe| {
            let mut held = stripe.held.try_lock().ok()?;
            held.recyclable.take()
        })
    }

    /// Counts the calls on the stripe of `key` whose callers have dropped the future.
    pub(super) fn abandoned(&self, key: &SessionKey) -> &Arc<AtomicUsize> {
        &self.stripe(key).abandoned
    }

    pub(super) fn has_abandoned_calls(&self, key: &SessionKey) -> bool {
        self.abandoned(key).load(Ordering::SeqCst) > 0
    }

    fn stripe(&self, key: &SessionKey) -> &Stripe {
        &self.stripes[usize::from(key.as_bytes()[0]) % self.stripes.len()]
    }

    /// With no deadline, does not wait.
    fn lock_files(&self, turn: Turn, deadline: Option<Instant>) -> io::Result<LockGuard> {
        let Turn(mut held) = turn;
        let Some(mut file) = held.file.clone() else {
            return Ok(LockGuard { held });
        };
        for _ in 0..REOPENS {
            lock_file(&mut held, &file, deadline)?;
            // It may have been removed by hand, and another process may hold a new file of its name.
            let is_removed = match rustix::fs::fstat(&*file) {
                Ok(status) => status.st_nlink == 0,
                Err(error) => {
                    unlock(&file);
                    return Err(error.into());
                }
            };
            if !is_removed {
                return Ok(LockGuard { held });
            }
            unlock(&file);
            let Some(folder) = &self.folder else {
                break;
            };
            tracing::warn!(
                event = "store_failure",
                stripe = held.index,
                "a lock file was removed while it was in use: it is made again"
            );
            file = Arc::new(open_lock_file(folder, held.index)?);
            held.file = Some(Arc::clone(&file));
        }
        Err(io::Error::other(
            "the lock files are removed again and again",
        ))
    }
}

/// Opens the lock file with this number, which is made, like its folder, when it is not there.
pub(super) fn open_lock_file(folder: &OwnedFd, index: usize) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = format!("{LOCKS}/{index:02}");
    let open = || rustix::fs::openat(folder, &name, flags, Mode::RUSR | Mode::WUSR);
    match open() {
        Err(Errno::NOENT) => match rustix::fs::mkdirat(folder, LOCKS, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(open()?),
            Err(error) => Err(error.into()),
        },
        opened => Ok(opened?),
    }
}

/// Locks the file against other processes, for the operation that has the turn of the stripe.
fn lock_file(held: &mut Held, file: &Arc<OwnedFd>, deadline: Option<Instant>) -> io::Result<()> {
    let mut tries = 0;
    loop {
        if let Some(waiter) = &held.waiter {
            // It waits on the same open file, so what it gets is this process's.
            let outcome = waiter.wait(deadline);
            if outcome != Waited::TimedOut {
                held.waiter = None;
            }
            match outcome {
                Waited::Locked => return Ok(()),
                Waited::TimedOut => return Err(timed_out()),
                Waited::Failed(error) => return Err(error.into()),
                Waited::Ended => {}
            }
        }
        match flock(&**file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(deadline) = deadline else {
            return Err(timed_out());
        };
        tries += 1;
        if tries <= QUICK_TRIES {
            std::thread::sleep(QUICK_PAUSE);
        } else if let Ok(waiter) = Waiter::start(file) {
            held.waiter = Some(waiter);
        } else if Instant::now() < deadline {
            std::thread::sleep(SLOW_PAUSE);
        } else {
            return Err(timed_out());
        }
    }
}

fn timed_out() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "another operation on the same part of the sessions has taken too long",
    )
}

/// The right to work on the sessions of a stripe.
pub(super) struct LockGuard {
    held: OwnedMutexGuard<Held>,
}

impl LockGuard {
    /// The recyclable file of the stripe, which has none then.
    pub(super) fn take_recyclable(&mut self) -> Option<String> {
        self.held.recyclable.take()
    }

    /// Leaves a file for the next save of a session of this stripe.
    pub(super) fn leave_recyclable(&mut self, name: String) {
        self.held.recyclable = Some(name);
    }

    /// Marks that names are about to change that must be on the disk before anything is acknowledged that
    /// follows from them. The mark is in the lock file, so that it outlives this process: the next
    /// operation of any process finds it and syncs. A power cut, which may lose the mark, decides what became
    /// of the names.
    pub(super) fn owe_sync(&mut self) {
        self.held.is_sync_owed = true;
        self.mark(SYNC_OWED);
    }

    /// Whether this process or another one has failed to sync the folder after a change in this stripe.
    pub(super) fn is_sync_owed(&self) -> bool {
        if self.held.is_sync_owed {
            return true;
        }
        let mut mark = [0];
        let file = self.held.file.as_ref();
        let read = file.map(|file| rustix::io::pread(&**file, &mut mark, 0));
        matches!(read, Some(Ok(1))) && mark == SYNC_OWED
    }

    /// The folder has been synced since.
    pub(super) fn sync_is_paid(&mut self) {
        self.held.is_sync_owed = false;
        self.mark(SYNC_PAID);
    }

    /// Where the mark cannot be written, this process still remembers.
    fn mark(&self, mark: [u8; 1]) {
        if let Some(file) = &self.held.file {
            let _ = rustix::io::pwrite(&**file, &mark, 0);
        }
    }
}

const SYNC_OWED: [u8; 1] = *b"!";
const SYNC_PAID: [u8; 1] = *b" ";

impl Drop for LockGuard {
    fn drop(&mut self) {
        if let Some(file) = &self.held.file {
            unlock(file);
        }
    }
}
