//! Runs operations for asynchronous callers: on threads that may block, and with their lock, for which they
//! wait without a thread.

use std::future::{Future as _, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::Handle;
use tokio::task::JoinError;

use super::call::{Running, call};
use super::engine::Engine;
use super::error::store_error;
use super::fs::FileSystem;
use super::lock::{LockGuard, Turn};
use crate::SessionKey;
use crate::store::StoreError;

/// Runs `work` on a thread that may block, to its end even when the future is dropped.
pub(super) async fn blocking<F: FileSystem, T: Send + 'static>(
    engine: &Arc<Engine<F>>,
    operation: &'static str,
    work: impl FnOnce(&Engine<F>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let engine = Arc::clone(engine);
    let runtime = runtime(operation)?;
    let task = runtime.spawn_blocking(move || work(&engine));
    joined(operation, task.await)?
}

/// Runs `work` with the lock of `key`. Not at all when the future is dropped before `work` begins, and to
/// its end otherwise.
pub(super) async fn locked<F: FileSystem, T: Send + 'static>(
    engine: &Arc<Engine<F>>,
    key: &SessionKey,
    operation: &'static str,
    work: impl FnOnce(&Engine<F>, &mut LockGuard, &SessionKey) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let runtime = runtime(operation)?;
    let (engine, key) = (Arc::clone(engine), *key);
    let deadline = engine.locks.deadline();
    let (_caller, running) = call(engine.locks.abandoned(&key));
    let run = {
        let engine = Arc::clone(&engine);
        move |turn: Turn, running: Running| {
            let failed = |error| store_error(operation, error);
            refuse_abandoned(&running, operation)?;
            let mut guard = engine.locks.lock_turn(turn, deadline).map_err(failed)?;
            // A call that is abandoned from now on is carried out before a later one on the key has the lock.
            refuse_abandoned(&running, operation)?;
            let done = work(&engine, &mut guard, &key);
            // Before the lock is released: a call that waits for this one finds it ended.
            drop(running);
            done
        }
    };
    if let Some(turn) = engine.locks.try_turn(&key) {
        let task = runtime.spawn_blocking(move || run(turn, running));
        return joined(operation, task.await)?;
    }
    // In line from now on, as the calls come. A task of its own has the turn when it comes, even if this
    // future is not polled then: a suspended future must not hold what another one needs.
    let mut turn = Box::pin(engine.locks.turn(&key));
    let first = poll_fn(|context| Poll::Ready(turn.as_mut().poll(context))).await;
    let blocking = runtime.clone();
    let task = runtime.spawn(async move {
        let turn = match first {
            Poll::Ready(turn) => turn,
            Poll::Pending => turn.await,
        };
        blocking.spawn_blocking(move || run(turn, running)).await
    });
    joined(operation, joined(operation, task.await)?)?
}

fn runtime(operation: &'static str) -> Result<Handle, StoreError> {
    Handle::try_current().map_err(|error| StoreError::Failed {
        operation,
        source: Box::new(error),
    })
}

/// A task fails when it panics, or when the runtime shuts down.
fn joined<T>(operation: &'static str, task: Result<T, JoinError>) -> Result<T, StoreError> {
    task.map_err(|error| StoreError::Failed {
        operation,
        source: Box::new(error),
    })
}

/// The error has no receiver.
fn refuse_abandoned(running: &Running, operation: &'static str) -> Result<(), StoreError> {
    if running.is_abandoned() {
        let source = "the caller has dropped the future".into();
        return Err(StoreError::Failed { operation, source });
    }
    Ok(())
}
