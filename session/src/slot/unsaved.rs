//! What a request has done to its session and not saved yet.

use std::time::Duration;

use crate::record::Changes;

/// Everything that the next save has to do.
#[derive(Clone, Default)]
pub(crate) struct Unsaved {
    pub(crate) changes: Changes,
    /// Something was set to other than its default, so that a new session is worth storing.
    pub(crate) is_worth_storing: bool,
    /// A save was asked for, whatever has changed.
    pub(crate) is_forced: bool,
    /// A new id was asked for.
    pub(crate) renew: bool,
    /// How long the client is asked to keep the cookie, where that was changed.
    #[expect(clippy::option_option, reason = "changed to none is not unchanged")]
    pub(crate) persist_for: Option<Option<Duration>>,
}

impl Unsaved {
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_forced && !self.renew && self.persist_for.is_none() && self.changes.is_empty()
    }

    /// Lays `later` over these.
    pub(crate) fn overlay(&mut self, later: Unsaved) {
        self.changes.absorb(later.changes);
        self.is_worth_storing |= later.is_worth_storing;
        self.is_forced |= later.is_forced;
        self.renew |= later.renew;
        self.persist_for = later.persist_for.or(self.persist_for);
    }
}
