//! Sessions page by page, and one after the other.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::StoreError;
use crate::record::{Record, Revision};
use crate::{SessionKey, Timestamp};

/// What a listing tells about a session.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names the session for its whole life, and is no secret.
    pub key: SessionKey,
    /// How often it was saved.
    pub revision: Revision,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used, to the precision of the touches.
    pub last_seen: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Whose it is.
    pub owner: Option<String>,
    /// Since when it is its owner's.
    pub owner_since: Timestamp,
    /// How many bytes it takes in the store.
    pub size: u64,
}

impl SessionInfo {
    /// What there is to tell about a `record` that takes `size` bytes under `key`.
    #[must_use]
    pub fn new(key: SessionKey, record: &Record, size: u64) -> Self {
        SessionInfo {
            key,
            revision: record.revision,
            created: record.created,
            last_seen: record.last_seen,
            expires: record.expires,
            owner: record.owner.clone(),
            owner_since: record.owner_since,
            size,
        }
    }
}

/// Does not print the owner.
impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("key", &self.key)
            .field("revision", &self.revision)
            .field("created", &self.created)
            .field("last_seen", &self.last_seen)
            .field("expires", &self.expires)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Some of the sessions of a store, from [`SessionStore::list`](crate::SessionStore::list).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The sessions on this page.
    pub sessions: Vec<SessionInfo>,
    /// What is stored among them and cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Cursor>,
}

impl Page {
    /// A page of these sessions. `next` is where the next page begins, if there is one.
    #[must_use]
    pub fn new(sessions: Vec<SessionInfo>, next: Option<Cursor>) -> Self {
        Page {
            sessions,
            unreadable: Vec::new(),
            next,
        }
    }
}

/// A stored session that a listing came across and could not read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unreadable {
    /// Under which key it is.
    pub key: SessionKey,
    /// Why it cannot be read.
    pub error: StoreError,
}

impl Unreadable {
    /// The session under `key` could not be read because of `error`.
    #[must_use]
    pub fn new(key: SessionKey, error: StoreError) -> Self {
        Unreadable { key, error }
    }
}

/// A place in a listing, which only the store that made it understands.
///
/// ```
/// use session::{Cursor, SessionKey};
///
/// let key = SessionKey::from_bytes([7; 16]);
/// let cursor = Cursor::new(key);
/// assert_eq!(cursor.get::<SessionKey>(), Some(&key));
/// ```
#[derive(Clone)]
pub struct Cursor(Arc<dyn Any + Send + Sync>);

impl Cursor {
    /// A cursor that holds what the store needs to go on: the last key, or the engine's own cursor.
    #[must_use]
    pub fn new<T: Send + Sync + 'static>(place: T) -> Self {
        Cursor(Arc::new(place))
    }

    /// What [`new`](Self::new) was given; `None` when that was of another type, so of another store.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

/// Sessions one after the other: a [`Stream`], which [`next`](Self::next) reads without any
/// further crate.
///
/// An error does not end it where the sessions after it can be reached: what cannot be read is reported
/// in its place, and the others follow.
///
/// ```
/// # async fn example(sessions: session::SessionManager) -> Result<(), session::StoreError> {
/// let mut sessions = sessions.list();
/// while let Some(session) = sessions.next().await {
///     let session = session?;
///     println!("{}: {} bytes, ends at {:?}", session.key, session.size, session.expires);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a listing reads nothing until it is polled"]
pub struct Listing {
    ready: VecDeque<Result<SessionInfo, StoreError>>,
    fetch: Fetch,
    state: State,
}

type Fetch = Box<dyn FnMut(Option<Cursor>) -> Fetching + Send>;
type Fetching = Pin<Box<dyn Future<Output = Result<Page, StoreError>> + Send>>;

enum State {
    /// The next page begins here.
    At(Option<Cursor>),
    Fetching(Fetching),
    Done,
}

impl Listing {
    /// The sessions of the pages that `fetch` gives.
    pub(crate) fn new(fetch: impl FnMut(Option<Cursor>) -> Fetching + Send + 'static) -> Self {
        Listing {
            ready: VecDeque::new(),
            fetch: Box::new(fetch),
            state: State::At(None),
        }
    }

    /// The next session, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<SessionInfo, StoreError>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    fn turn_page(&mut self, page: Result<Page, StoreError>) {
        match page {
            Ok(page) => {
                self.ready.extend(page.sessions.into_iter().map(Ok));
                let unreadable = page.unreadable.into_iter();
                self.ready.extend(unreadable.map(|found| Err(found.error)));
                self.state = match page.next {
                    Some(next) => State::At(Some(next)),
                    None => State::Done,
                };
            }
            Err(error) => {
                self.ready.push_back(Err(error));
                self.state = State::Done;
            }
        }
    }
}

impl Stream for Listing {
    type Item = Result<SessionInfo, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(session) = self.ready.pop_front() {
                return Poll::Ready(Some(session));
            }
            match &mut self.state {
                State::At(place) => {
                    let place = place.take();
                    let fetching = (self.fetch)(place);
                    self.state = State::Fetching(fetching);
                }
                State::Fetching(fetching) => {
                    let page = ready!(fetching.as_mut().poll(context));
                    self.turn_page(page);
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}
