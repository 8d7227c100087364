//! A right store whose calls are carried out by a thread of its own, one after the other.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use session::{
    CreateOutcome, Cursor, DeleteOutcome, Page, Record, Revision, SessionKey, SessionStore,
    StoreError, UpdateOutcome,
};

use crate::byte_store::ByteStore;

/// Hands each call to one thread. A call whose future is dropped is still carried out: before every later
/// one, because the thread takes them in the order in which they were begun.
#[derive(Clone)]
pub(crate) struct ThreadStore(Sender<Call>);

type Call = Box<dyn FnOnce(&ByteStore) + Send>;

impl ThreadStore {
    /// A handle on `store`. Its thread ends with the last clone of the handle.
    pub(crate) fn new(store: ByteStore) -> Self {
        let (calls, queue) = channel::<Call>();
        std::thread::spawn(move || queue.into_iter().for_each(|call| call(&store)));
        ThreadStore(calls)
    }

    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&ByteStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = Answer(Arc::default());
        let slot = Arc::clone(&answer.0);
        let call: Call = Box::new(move |store| {
            let value = call(store);
            let mut slot = lock(&slot);
            slot.value = Some(value);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        });
        self.0
            .send(call)
            .expect("the thread lives as long as its handles");
        answer.await
    }
}

struct Answer<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot {
            value: None,
            waker: None,
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = lock(&self.0);
        slot.waker = Some(context.waker().clone());
        slot.value.take().map_or(Poll::Pending, Poll::Ready)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics with it")
}

/// The output of a future that is never suspended.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a near store is never suspended"),
    }
}

impl SessionStore for ThreadStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        let key = *key;
        self.ask(move |store| now(store.load(&key))).await
    }

    async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
        let (key, record) = (*key, record.clone());
        self.ask(move |store| now(store.create(&key, &record)))
            .await
    }

    async fn update(
        &self,
        key: &SessionKey,
        record: &Record,
        expected: Revision,
    ) -> Result<UpdateOutcome, StoreError> {
        let (key, record) = (*key, record.clone());
        self.ask(move |store| now(store.update(&key, &record, expected)))
            .await
    }

    async fn delete(
        &self,
        key: &SessionKey,
        expected: Option<Revision>,
    ) -> Result<DeleteOutcome, StoreError> {
        let key = *key;
        self.ask(move |store| now(store.delete(&key, expected)))
            .await
    }

    async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
        self.ask(move |store| now(store.list(after, at_most))).await
    }
}
