//! Waiting for a lock that another process holds, for a limited time.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A thread that waits in flock(2), which knows no time limit: the operation that wants the lock
/// leaves at its deadline, and the thread stays for the next one. So the kernel wakes the waiting process
/// at once, in the order of arrival, and there is at most one such thread for each stripe that another
/// process holds.
pub(super) struct Waiter {
    state: Mutex<WaiterState>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WaiterState {
    Wanted,
    /// No operation waits for the lock at the moment.
    Unwanted,
    Locked,
    Failed(Errno),
    /// The lock came when no operation wanted it, and was given back.
    Ended,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Locked,
    TimedOut,
    Failed(Errno),
    Ended,
}

impl Waiter {
    pub(super) fn start(file: &Arc<OwnedFd>) -> io::Result<Arc<Self>> {
        let waiter = Arc::new(Waiter {
            state: Mutex::new(WaiterState::Wanted),
            changed: Condvar::new(),
        });
        let (file, started) = (Arc::clone(file), Arc::clone(&waiter));
        std::thread::Builder::new()
            .name(String::from("session-lock"))
            .stack_size(64 * 1024)
            .spawn(move || started.run(&file))?;
        Ok(waiter)
    }

    fn run(&self, file: &OwnedFd) {
        let locked = loop {
            match flock(file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                locked => break locked,
            }
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match (locked, *state) {
            (Ok(()), WaiterState::Wanted) => WaiterState::Locked,
            (Ok(()), _) => {
                unlock(file);
                WaiterState::Ended
            }
            (Err(error), _) => WaiterState::Failed(error),
        };
        self.changed.notify_all();
    }

    /// Waits until `deadline`, or without one not at all.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Waited {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == WaiterState::Unwanted {
            *state = WaiterState::Wanted;
        }
        let left = deadline.map_or(Duration::ZERO, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let is_waiting = |state: &mut WaiterState| *state == WaiterState::Wanted;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, left, is_waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match *state {
            WaiterState::Locked => Waited::Locked,
            WaiterState::Failed(error) => Waited::Failed(error),
            WaiterState::Ended => Waited::Ended,
            WaiterState::Wanted | WaiterState::Unwanted => {
                *state = WaiterState::Unwanted;
                Waited::TimedOut
            }
        }
    }
}

pub(super) fn unlock(file: &OwnedFd) {
    while flock(file, FlockOperation::NonBlockingUnlock) == Err(Errno::INTR) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lock comes when an operation waits for it, or when none does: then it is given back.
    #[test]
    fn a_lock_that_no_operation_wants_any_more_is_given_back() {
        let path = std::env::temp_dir().join(format!("session-waiter-{}", std::process::id()));
        let open = || OwnedFd::from(std::fs::File::create(&path).unwrap());
        let (mine, others) = (Arc::new(open()), open());
        std::fs::remove_file(&path).unwrap();
        let try_lock = || flock(&others, FlockOperation::NonBlockingLockExclusive);
        for is_wanted in [true, false] {
            try_lock().unwrap();
            let waiter = Waiter::start(&mine).unwrap();
            for _ in 0..2 {
                assert_eq!(waiter.wait(None), Waited::TimedOut);
            }
            if is_wanted {
                *waiter.state.lock().unwrap() = WaiterState::Wanted;
            }
            unlock(&others);
            let state = || *waiter.state.lock().unwrap();
            while matches!(state(), WaiterState::Wanted | WaiterState::Unwanted) {
                std::thread::yield_now();
            }
            if is_wanted {
                assert_eq!(waiter.wait(None), Waited::Locked);
                assert_eq!(try_lock(), Err(Errno::WOULDBLOCK));
                unlock(&mine);
            } else {
                assert_eq!(waiter.wait(None), Waited::Ended);
                assert_eq!(try_lock(), Ok(()));
                unlock(&others);
            }
        }
    }
}
