//! What the suite gets of a store: two handles on the same data, and hooks for what no method can do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::{SessionKey, SessionStore};

/// Two handles on the same data, and what else the suite may use.
///
/// Each hook is optional. Without [`damage`](Self::damage) the behaviours of damaged records are left out, and
/// without [`lose_next_answer`](Self::lose_next_answer) the one of lost answers is.
///
/// ```
/// use session::MemoryStore;
/// use session::testing::conformance::Handles;
///
/// let store = MemoryStore::new();
/// let handles = Handles::new(store.clone(), store)
///     .pause(async || tokio::time::sleep(std::time::Duration::from_millis(2)).await);
/// ```
pub struct Handles<S> {
    /// One handle.
    pub first: S,
    /// Another handle on the same data: as another process would have it, if the store allows that.
    pub second: S,
    damage: Option<Hook<SessionKey>>,
    lose_next_answer: Option<Hook<()>>,
    pause: Option<Hook<()>>,
}

type Hook<A> = Box<dyn Fn(A) -> Pin<Box<dyn Future<Output = ()>>>>;

impl<S: SessionStore> Handles<S> {
    /// Two handles on the same empty data, without hooks.
    #[must_use]
    pub fn new(first: S, second: S) -> Self {
        Handles {
            first,
            second,
            damage: None,
            lose_next_answer: None,
            pause: None,
        }
    }

    /// Has the suite test damaged records. `damage` alters the stored bytes of a record so that they
    /// are no whole record any more, as a failing disk would: it cuts them short or flips some.
    #[must_use]
    pub fn damage(mut self, damage: impl AsyncFn(SessionKey) + 'static) -> Self {
        self.damage = Some(boxed(damage));
        self
    }

    /// Has the suite test lost answers. After `lose` the next write of either handle must be
    /// carried out and then report [`StoreError::Unavailable`](crate::StoreError::Unavailable), as when a
    /// connection breaks after the request and before the answer.
    #[must_use]
    pub fn lose_next_answer(mut self, lose: impl AsyncFn() + 'static) -> Self {
        self.lose_next_answer = Some(boxed(async move |()| lose().await));
        self
    }

    /// Waits in those places where a call that was dropped could still do harm: some milliseconds for a
    /// store with threads or servers behind it. Without it the suite only yields to its runtime.
    #[must_use]
    pub fn pause(mut self, pause: impl AsyncFn() + 'static) -> Self {
        self.pause = Some(boxed(async move |()| pause().await));
        self
    }

    /// Damages the record under `key`; false when the suite was not told how.
    pub(super) async fn damage_record(&self, key: &SessionKey) -> bool {
        match &self.damage {
            Some(damage) => {
                damage(*key).await;
                true
            }
            None => false,
        }
    }

    /// Has the next answer lost; false when the suite was not told how.
    pub(super) async fn lose_answer(&self) -> bool {
        match &self.lose_next_answer {
            Some(lose) => {
                lose(()).await;
                true
            }
            None => false,
        }
    }

    /// Gives calls that were dropped the time to do harm.
    pub(super) async fn wait(&self) {
        for _ in 0..20 {
            yield_once().await;
            std::thread::yield_now();
        }
        if let Some(pause) = &self.pause {
            pause(()).await;
        }
    }

    /// The first handle for even numbers, the second for odd ones.
    pub(super) fn alternating(&self, number: usize) -> &S {
        if number.is_multiple_of(2) {
            &self.first
        } else {
            &self.second
        }
    }
}

fn boxed<A: 'static>(hook: impl AsyncFn(A) + 'static) -> Hook<A> {
    let hook = Rc::new(hook);
    Box::new(move |argument| {
        let hook = Rc::clone(&hook);
        Box::pin(async move { hook(argument).await })
    })
}

/// Lets the runtime do something else.
pub(super) async fn yield_once() {
    let mut has_yielded = false;
    std::future::poll_fn(|context| {
        if has_yielded {
            return std::task::Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

impl<S: fmt::Debug> fmt::Debug for Handles<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles")
            .field("first", &self.first)
            .field("second", &self.second)
            .finish_non_exhaustive()
    }
}

/// What [`all`](super::all) takes from the function that makes a store: a store that is [`Clone`], a
/// pair of stores on the same data, or [`Handles`].
pub trait IntoHandles {
    /// The store.
    type Store: SessionStore;

    /// Two handles on the same data.
    fn into_handles(self) -> Handles<Self::Store>;
}

impl<S: SessionStore + Clone> IntoHandles for S {
    type Store = S;

    fn into_handles(self) -> Handles<S> {
        Handles::new(self.clone(), self)
    }
}

impl<S: SessionStore> IntoHandles for (S, S) {
    type Store = S;

    fn into_handles(self) -> Handles<S> {
        Handles::new(self.0, self.1)
    }
}

impl<S: SessionStore> IntoHandles for Handles<S> {
    type Store = S;

    fn into_handles(self) -> Handles<S> {
        self
    }
}
