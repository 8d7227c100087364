//! A call that its caller may abandon by dropping the future, while it waits or runs on another thread.
//!
//! An abandoned call that has not yet changed anything changes nothing. One that is being carried out is
//! counted as abandoned until it ends, so that a later call on the same key can wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

const WAITED_FOR: u8 = 0;
const ABANDONED: u8 = 1;
const ENDED: u8 = 2;

/// The two halves of a call that counts in `abandoned` while it is one.
pub(super) fn call(abandoned: &Arc<AtomicUsize>) -> (Caller, Running) {
    let call = Arc::new(Call {
        state: AtomicU8::new(WAITED_FOR),
        abandoned: Arc::clone(abandoned),
    });
    (Caller(Arc::clone(&call)), Running(call))
}

struct Call {
    state: AtomicU8,
    abandoned: Arc<AtomicUsize>,
}

/// The half that the caller's future holds.
pub(super) struct Caller(Arc<Call>);

impl Drop for Caller {
    fn drop(&mut self) {
        let Call { state, abandoned } = &*self.0;
        if state.load(Ordering::SeqCst) == ENDED {
            return;
        }
        // Before the state changes, so that the half that ends the call finds itself counted.
        abandoned.fetch_add(1, Ordering::SeqCst);
        if state.swap(ABANDONED, Ordering::SeqCst) == ENDED {
            abandoned.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The half that the work holds, to its end.
pub(super) struct Running(Arc<Call>);

impl Running {
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.state.load(Ordering::SeqCst) == ABANDONED
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Call { state, abandoned } = &*self.0;
        if state.swap(ENDED, Ordering::SeqCst) == ABANDONED {
            abandoned.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_as_abandoned_from_the_drop_of_its_future_to_its_end() {
        let abandoned = Arc::new(AtomicUsize::new(0));
        let count = || abandoned.load(Ordering::SeqCst);
        let (caller, running) = call(&abandoned);
        drop(running);
        drop(caller);
        assert_eq!(count(), 0);
        let (caller, running) = call(&abandoned);
        assert!(!running.is_abandoned());
        drop(caller);
        assert!(running.is_abandoned());
        assert_eq!(count(), 1);
        drop(running);
        assert_eq!(count(), 0);
    }
}
