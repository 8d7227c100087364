//! A call that its caller may abandon by dropping the future, while it waits or runs on another thread.
//!
//! An abandoned call that has not yet changed anything changes nothing. One that is being carried out is
//! counted as abandoned until it ends, so that a later call on the same key can wait for it, also one by
//! another handle on the same folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::SessionKey;

/// The abandoned calls of this process that have not ended, by the first byte of their keys.
static ABANDONED: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

const WAITED_FOR: u8 = 0;
const IS_ABANDONED: u8 = 1;
const ENDED: u8 = 2;

/// The two halves of a call on `key`.
pub(super) fn call(key: &SessionKey) -> (Caller, Running) {
    let call = Arc::new(Call {
        state: AtomicU8::new(WAITED_FOR),
        abandoned: abandoned(key),
    });
    (Caller(Arc::clone(&call)), Running(call))
}

/// Whether a call on `key`, or on a key like it, is being carried out for which no caller waits any more.
pub(super) fn has_abandoned_calls(key: &SessionKey) -> bool {
    abandoned(key).load(Ordering::SeqCst) > 0
}

fn abandoned(key: &SessionKey) -> &'static AtomicUsize {
    &ABANDONED[usize::from(key.as_bytes()[0])]
}

struct Call {
    state: AtomicU8,
    abandoned: &'static AtomicUsize,
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
        if state.swap(IS_ABANDONED, Ordering::SeqCst) == ENDED {
            abandoned.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The half that the work holds, to its end.
pub(super) struct Running(Arc<Call>);

impl Running {
    pub(super) fn is_abandoned(&self) -> bool {
        self.0.state.load(Ordering::SeqCst) == IS_ABANDONED
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Call { state, abandoned } = &*self.0;
        if state.swap(ENDED, Ordering::SeqCst) == IS_ABANDONED {
            abandoned.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_as_abandoned_from_the_drop_of_its_future_to_its_end() {
        // No other test has keys that begin so.
        let key = SessionKey::from_bytes([0xfe; 16]);
        let (caller, running) = call(&key);
        drop(running);
        drop(caller);
        assert!(!has_abandoned_calls(&key));
        let (caller, running) = call(&key);
        assert!(!running.is_abandoned());
        drop(caller);
        assert!(running.is_abandoned() && has_abandoned_calls(&key));
        drop(running);
        assert!(!has_abandoned_calls(&key));
    }
}
