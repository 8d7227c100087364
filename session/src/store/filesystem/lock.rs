//! One operation on a session at a time, across threads and processes.
//!
//! A fixed number of lock files, each for a part of all keys: none is left behind for a session, and
//! none is ever removed, as a lock file that is removed and made again has two holders.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::StoreKey;

/// How many stripes there are.
pub(super) const STRIPES: usize = 64;

/// The longest pause between two tries. `flock` itself would wait without end.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

pub(super) struct Stripes {
    stripes: Vec<Stripe>,
    timeout: Duration,
}

struct Stripe {
    /// Whether a thread of this process has it: one open file does not exclude its own threads.
    taken: Mutex<bool>,
    given_back: Condvar,
    /// The name of the file that the last save of this process left, for the next one to write over.
    spare: Mutex<Option<String>>,
    /// `None` in tests on a disk that is none.
    file: Option<OwnedFd>,
}

impl Stripes {
    /// The stripes of these lock files.
    pub(super) fn new(files: impl IntoIterator<Item = Option<OwnedFd>>, timeout: Duration) -> Self {
        let stripes = files
            .into_iter()
            .map(|file| Stripe {
                taken: Mutex::new(false),
                given_back: Condvar::new(),
                spare: Mutex::new(None),
                file,
            })
            .collect();
        Stripes { stripes, timeout }
    }

    /// Waits for the stripe of `key`; [`io::ErrorKind::TimedOut`] when that takes too long.
    pub(super) fn lock(&self, key: &StoreKey) -> io::Result<Guard<'_>> {
        self.lock_within(key, self.timeout)
    }

    /// The stripe of `key`, if nobody has it.
    pub(super) fn try_lock(&self, key: &StoreKey) -> io::Result<Option<Guard<'_>>> {
        match self.lock_within(key, Duration::ZERO) {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The spare files of all stripes, which have none then.
    pub(super) fn take_spares(&self) -> impl Iterator<Item = String> + '_ {
        self.stripes.iter().filter_map(Stripe::take_spare)
    }

    fn lock_within(&self, key: &StoreKey, timeout: Duration) -> io::Result<Guard<'_>> {
        let stripe = &self.stripes[index(key, self.stripes.len())];
        let deadline = Instant::now() + timeout;
        {
            let taken = stripe.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut taken, _) = stripe
                .given_back
                .wait_timeout_while(taken, timeout, |taken| *taken)
                .unwrap_or_else(PoisonError::into_inner);
            if *taken {
                return Err(timed_out());
            }
            *taken = true;
        }
        // From here on the guard gives back what has been taken, whatever happens.
        let mut guard = Guard {
            stripe,
            is_locked: false,
        };
        let Some(file) = &stripe.file else {
            return Ok(guard);
        };
        let mut pause = Duration::from_micros(50);
        loop {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    guard.is_locked = true;
                    return Ok(guard);
                }
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(timed_out());
                    }
                    std::thread::sleep(pause.min(left));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Stripe {
    fn take_spare(&self) -> Option<String> {
        self.spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The right to work on the sessions of a stripe.
pub(super) struct Guard<'a> {
    stripe: &'a Stripe,
    is_locked: bool,
}

impl Guard<'_> {
    /// The spare file of the stripe, which has none then.
    pub(super) fn take_spare(&self) -> Option<String> {
        self.stripe.take_spare()
    }

    /// Leaves a file for the next save of a session of this stripe.
    pub(super) fn leave_spare(&self, name: String) {
        *self
            .stripe
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(name);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let (true, Some(file)) = (self.is_locked, &self.stripe.file) {
            while flock(file, FlockOperation::NonBlockingUnlock) == Err(Errno::INTR) {}
        }
        *self
            .stripe
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = false;
        self.stripe.given_back.notify_one();
    }
}

fn index(key: &StoreKey, stripes: usize) -> usize {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.wrapping_sub(b'a') + 10,
    };
    let [first, second, ..] = key.as_bytes();
    usize::from(digit(*first) << 4 | digit(*second)) % stripes
}

fn timed_out() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "another operation on the same part of the sessions has taken too long",
    )
}
