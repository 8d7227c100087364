//! Turns: one at a time may open or save a slot, and the others wait without blocking a thread.
//! Needs no runtime, which the core of the library does not have.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

#[derive(Default)]
pub(super) struct Turn(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    taken: bool,
    waiting: Vec<Waker>,
}

impl Turn {
    /// Waits until it is the caller's turn, which lasts as long as the guard.
    pub(super) async fn take(&self) -> TurnGuard<'_> {
        std::future::poll_fn(|context| {
            let mut queue = self.queue();
            if queue.taken {
                queue.waiting.push(context.waker().clone());
                Poll::Pending
            } else {
                queue.taken = true;
                Poll::Ready(TurnGuard(self))
            }
        })
        .await
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct TurnGuard<'a>(&'a Turn);

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut queue = self.0.queue();
            queue.taken = false;
            std::mem::take(&mut queue.waiting)
        };
        // All of them: one that has been dropped meanwhile would let the others sleep for ever.
        waiting.into_iter().for_each(Waker::wake);
    }
}
