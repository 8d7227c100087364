//! What is stored of a session: pure data and pure functions, no I/O and no policy.

mod changes;
mod field;
mod fields;
mod format;
mod walk;

use std::fmt;
use std::time::Duration;

pub use changes::{Changes, FieldConflict};
pub use field::{Field, MergeFunction, Versions};
pub use fields::{Fields, TooLarge};
#[cfg(feature = "filesystem")]
pub(crate) use format::{
    ACTIVITY_RANGE, CHECKSUM_RANGE, clear_pending, encoded_activity, mark_pending,
};
pub use format::{DecodeError, FORMAT_VERSION, MAX_ENCODED_LENGTH};
pub(crate) use walk::{MAX_DEPTH, is_one_value};

use crate::Timestamp;

/// One stored session: when it was made and last used, when it ends, whose it is, and its fields as
/// raw MessagePack.
///
/// A store keeps records without looking into them; [`encode`](Self::encode) and
/// [`decode`](Self::decode) give it bytes. ARCHITECTURE.md describes those byte by byte.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Counts the saves; what a compare-and-swap compares.
    pub revision: Revision,
    /// When the session began: at its first save, or at the last change of privilege.
    pub created: Timestamp,
    /// When the session was last used, to the precision of the touches.
    pub last_seen: Timestamp,
    /// From this moment on the session is over.
    pub expires: Timestamp,
    /// How long the client is asked to keep the cookie; until the browser closes when `None`.
    pub persist_for: Option<Duration>,
    /// Whose session it is: what [`SessionStore::find`](crate::SessionStore::find) looks for.
    pub owner: Option<String>,
    /// The fields by name.
    pub fields: Fields,
}

impl Record {
    /// A record without fields, at its first revision.
    #[must_use]
    pub fn new(now: Timestamp, expires: Timestamp) -> Self {
        Record {
            revision: Revision::FIRST,
            created: now,
            last_seen: now,
            expires,
            persist_for: None,
            owner: None,
            fields: Fields::default(),
        }
    }

    /// How many bytes [`encode`](Self::encode) gives.
    #[must_use]
    pub fn encoded_length(&self) -> usize {
        format::encoded_length(self)
    }

    /// This record with `changes` made to it at `now`, as the next revision.
    ///
    /// All merging happens here. Pure: a field that `changes` does not name keeps its bytes, known
    /// to this build or not. Merging no changes gives the record itself, revision included.
    ///
    /// # Errors
    ///
    /// When the record has been changed since in a field that does not allow it.
    pub fn merge(&self, changes: &Changes, now: Timestamp) -> Result<Record, FieldConflict> {
        self.clone().merged(changes, now)
    }

    pub(crate) fn merged(
        mut self,
        changes: &Changes,
        now: Timestamp,
    ) -> Result<Record, FieldConflict> {
        if changes.is_empty() {
            return Ok(self);
        }
        changes.apply(&mut self.fields, now)?;
        if let Some(owner) = changes.owner() {
            self.owner = owner.map(str::to_owned);
        }
        self.revision = self.revision.next();
        Ok(self)
    }

    /// Whether the session is over at `now`. At the very moment of its expiry it is (CHECKLIST TO-4).
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }
}

/// Prints no value and no owner: both belong to the visitor.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("revision", &self.revision)
            .field("created", &self.created)
            .field("last_seen", &self.last_seen)
            .field("expires", &self.expires)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The number of a save: 1 at the first, one more at each that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision of a record that has just been created.
    pub const FIRST: Revision = Revision(1);

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Revision(self.0.saturating_add(1))
    }
}

impl From<u64> for Revision {
    fn from(number: u64) -> Self {
        Revision(number)
    }
}

impl From<Revision> for u64 {
    fn from(revision: Revision) -> Self {
        revision.0
    }
}
