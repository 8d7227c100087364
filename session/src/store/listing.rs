//! Sessions one after the other, fetched piece by piece.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use sha2::{Digest as _, Sha256};

use super::StoreError;
use crate::id::hex_digits;
use crate::record::{Record, Revision};
use crate::{StoreKey, Timestamp};

/// What a listing tells about a session.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// What the store knows it by.
    pub key: StoreKey,
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
    /// How many bytes it takes in the store.
    pub size: u64,
}

impl SessionInfo {
    /// What there is to tell about a `record` that takes `size` bytes under `key`.
    #[must_use]
    pub fn new(key: StoreKey, record: &Record, size: u64) -> Self {
        SessionInfo {
            key,
            revision: record.revision,
            created: record.created,
            last_seen: record.last_seen,
            expires: record.expires,
            owner: record.owner.clone(),
            size,
        }
    }

    /// What this session may be called in pages and forms: not its key, and no way to its id.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        let mut hasher = Sha256::new();
        hasher.update(b"session handle v1\0");
        hasher.update(self.key.as_bytes());
        let digits = hex_digits(hasher.finalize().into());
        SessionHandle(String::from_utf8_lossy(&digits[..HANDLE_LENGTH]).into_owned())
    }
}

/// What a session is called where its owner chooses one of several, as in "where you are signed in".
///
/// Means something only together with the owner: see
/// [`SessionManager::revoke`](crate::SessionManager::revoke).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionHandle(String);

/// Enough to tell the sessions of one owner apart.
const HANDLE_LENGTH: usize = 16;

/// Any text may be a handle; most are the handle of no session.
impl From<String> for SessionHandle {
    fn from(text: String) -> Self {
        SessionHandle(text)
    }
}

impl fmt::Display for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints neither the key nor the owner.
impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("revision", &self.revision)
            .field("created", &self.created)
            .field("last_seen", &self.last_seen)
            .field("expires", &self.expires)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Sessions one after the other: a [`Stream`], which [`next`](Self::next) reads without any
/// further crate.
///
/// An error does not end it: what cannot be read is reported in its place, and the others follow.
///
/// ```
/// # async fn example(store: impl session::SessionStore) -> Result<(), session::StoreError> {
/// let mut sessions = store.list();
/// while let Some(session) = sessions.next().await {
///     let session = session?;
///     println!("{} bytes, ends at {:?}", session.size, session.expires);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a listing reads nothing until it is polled"]
pub struct Listing {
    page: VecDeque<Result<SessionInfo, StoreError>>,
    pages: Pin<Box<dyn Stream<Item = Page> + Send>>,
}

type Page = Vec<Result<SessionInfo, StoreError>>;

impl Listing {
    /// A listing that is fetched page by page: `fetch` is given where it stands, at first `start`,
    /// and gives a page and where to go on, or `None` at the end.
    pub fn pages<P, F, Fut>(start: P, fetch: F) -> Self
    where
        P: Send + 'static,
        F: FnMut(P) -> Fut + Send + 'static,
        Fut: Future<Output = Option<(Vec<Result<SessionInfo, StoreError>>, P)>> + Send + 'static,
    {
        Listing {
            page: VecDeque::new(),
            pages: Box::pin(Pages {
                fetch,
                state: Fetching::At(Some(start)),
            }),
        }
    }

    /// The next session, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<SessionInfo, StoreError>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Listing {
    type Item = Result<SessionInfo, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(session) = self.page.pop_front() {
                return Poll::Ready(Some(session));
            }
            match ready!(self.pages.as_mut().poll_next(context)) {
                Some(page) => self.page = page.into(),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// A listing of what is in memory already.
impl FromIterator<SessionInfo> for Listing {
    fn from_iter<I: IntoIterator<Item = SessionInfo>>(sessions: I) -> Self {
        let mut listing = Listing::pages((), |()| async { None });
        listing.page = sessions.into_iter().map(Ok).collect();
        listing
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}

struct Pages<P, F, Fut> {
    fetch: F,
    state: Fetching<P, Fut>,
}

enum Fetching<P, Fut> {
    /// Between two pages; `None` at the end.
    At(Option<P>),
    /// Waiting for a page.
    For(Pin<Box<Fut>>),
}

// Nothing in it is pinned in place: the one future is boxed.
impl<P, F, Fut> Unpin for Pages<P, F, Fut> {}

impl<P, F, Fut> Stream for Pages<P, F, Fut>
where
    F: FnMut(P) -> Fut,
    Fut: Future<Output = Option<(Page, P)>>,
{
    type Item = Page;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Page>> {
        loop {
            match &mut self.state {
                Fetching::At(position) => match position.take() {
                    Some(position) => {
                        let fetching = Box::pin((self.fetch)(position));
                        self.state = Fetching::For(fetching);
                    }
                    None => return Poll::Ready(None),
                },
                Fetching::For(fetching) => {
                    let page = ready!(fetching.as_mut().poll(context));
                    let (page, position) = page.unzip();
                    self.state = Fetching::At(position);
                    return Poll::Ready(page);
                }
            }
        }
    }
}
