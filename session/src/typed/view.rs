//! What a session holds, to be read and no more.

use std::fmt;
use std::ops::Deref;

use super::{Companion as _, Reader, SessionData};
use crate::Timestamp;
use crate::record::Fields;

/// What a session held when it was read: to be read, and no more.
pub struct SessionView<T: SessionData>(T::Tracked);

impl<T: SessionData> SessionView<T> {
    pub(crate) fn decode(fields: &Fields, now: Timestamp) -> Self {
        SessionView(T::Tracked::decode(&mut Reader::new(fields, now)))
    }
}

impl<T: SessionData> Deref for SessionView<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: SessionData> fmt::Debug for SessionView<T>
where
    T::Tracked: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionView").field(&self.0).finish()
    }
}
