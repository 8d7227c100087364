//! What is stored of a session: pure data and pure functions, no I/O and no policy.

mod changes;
mod field;
mod fields;
mod format;
mod saves;
mod walk;

use std::fmt;
use std::time::Duration;

pub use changes::{Changes, FieldConflict};
pub use field::{Field, MergeFunction, Sides};
pub use fields::{Fields, TooLarge};
#[cfg(feature = "filesystem")]
pub(crate) use format::{ACTIVITY_RANGE, encoded_activity};
pub use format::{DecodeError, FORMAT_VERSION, MAX_ENCODED_LENGTH};
pub use saves::SaveNumbers;
pub(crate) use walk::{MAX_DEPTH, is_one_value};

use crate::Timestamp;
use crate::id::Proof;

/// One stored session: when it was made and last used, when it ends, whose it is, what proves it, and
/// its fields as raw MessagePack.
///
/// A store keeps records without looking into them; [`encode`](Self::encode) and
/// [`decode`](Self::decode) give it bytes. docs/file-format.md describes those byte by byte.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Counts the saves; what a compare-and-swap compares.
    pub revision: Revision,
    /// When the session began: at its first save, or at the last change of privilege.
    pub created: Timestamp,
    /// When the session was last used, to the precision of the touches.
    pub last_seen: Timestamp,
    /// From this moment on the session has expired.
    pub expires: Timestamp,
    /// Of the one secret that is good now.
    pub proof: Proof,
    /// How long the client is asked to keep the cookie; until the browser closes when `None`.
    pub persist_for: Option<Duration>,
    /// When this session ends at the latest, whatever the policy allows.
    pub end_at: Option<Timestamp>,
    /// How long this session lasts unused at the most, whatever the policy allows.
    pub idle_within: Option<Duration>,
    /// Whose session it is: what [`SessionStore::sessions_of`](crate::SessionStore::sessions_of) looks for.
    pub owner: Option<String>,
    /// When the owner was set; does not move while the owner stays.
    pub owner_since: Timestamp,
    /// The last proofs that a change of privilege replaced and when, oldest first, two at the most.
    pub replaced: Vec<(Proof, Timestamp)>,
    /// Which saves were applied lately.
    pub saves: SaveNumbers,
    /// The fields by name.
    pub fields: Fields,
}

impl Record {
    /// A record without fields, at its first revision, that no secret opens.
    #[must_use]
    pub fn new(now: Timestamp, expires: Timestamp) -> Self {
        Record {
            revision: Revision::FIRST,
            created: now,
            last_seen: now,
            expires,
            proof: Proof([0; Proof::LENGTH]),
            persist_for: None,
            end_at: None,
            idle_within: None,
            owner: None,
            owner_since: Timestamp::default(),
            replaced: Vec::new(),
            saves: SaveNumbers::default(),
            fields: Fields::default(),
        }
    }

    /// Whether this is `other` itself: neither saved nor touched since. Both are of one key.
    pub(crate) fn is_same_state(&self, other: &Record) -> bool {
        let state = |record: &Record| (record.revision, record.last_seen, record.expires);
        state(self) == state(other)
    }

    /// This record with `changes` made to it, as the next revision; itself without any.
    #[cfg(test)]
    pub(crate) fn merge(&self, changes: &Changes, now: Timestamp) -> Result<Record, FieldConflict> {
        let mut next = self.clone();
        if !changes.is_empty() {
            changes.apply(&mut next.fields, now)?;
            next.revision = next.revision.next();
        }
        Ok(next)
    }

    /// Whether the session has expired at `now`. At the very moment of its expiry it has.
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
            .field("saves", &self.saves)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The number of a save: 1 at the first, one more at each that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(u64);

impl Revision {
    /// Before every revision.
    pub(crate) const NONE: Revision = Revision(0);

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
