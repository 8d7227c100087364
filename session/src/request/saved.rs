//! What a save came to.

/// What a save did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Saved {
    /// There was nothing to save.
    #[default]
    Unchanged,
    /// The changes are stored, or the destroyed session has been deleted.
    Written,
    /// The session had ended before, or another request had changed its privileges: the changes are
    /// dropped.
    Dropped,
}
