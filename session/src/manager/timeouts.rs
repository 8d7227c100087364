//! When a session is over. All of it is decided here, in whole milliseconds, with arithmetic that
//! saturates.

use std::time::Duration;

use super::forward;
use crate::record::Record;
use crate::{Timestamp, hours, minutes};

/// How far the clocks of two hosts on one store may differ, and how far a clock may be set back,
/// before the times in a record count as wrong.
const CLOCK_TOLERANCE: Duration = minutes(5);

#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) browser_session: Limits,
    pub(super) persistent: Option<Limits>,
    /// A session that was used more recently than this is not touched.
    pub(super) touch_interval: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            browser_session: Limits {
                idle: minutes(30),
                absolute: hours(12),
            },
            persistent: None,
            touch_interval: None,
        }
    }
}

impl Timeouts {
    fn limits(&self, persist_for: Option<Duration>) -> Limits {
        match (persist_for, self.persistent) {
            (Some(_), Some(persistent)) => persistent,
            _ => self.browser_session,
        }
    }

    /// When a session ends that began at `created`, is used at `now`, and is not used again.
    pub(super) fn expires(
        &self,
        created: Timestamp,
        now: Timestamp,
        persist_for: Option<Duration>,
    ) -> Timestamp {
        let limits = self.limits(persist_for);
        (now + limits.idle).min(created + limits.absolute)
    }

    /// Whether the session is over.
    ///
    /// A clock that was set back does not make it younger: what was seen last is the least that is
    /// believed to be the present. A timeout that was shortened since the save holds at once.
    pub(super) fn is_over(&self, record: &Record, now: Timestamp) -> bool {
        let now = now.max(record.last_seen);
        let ends = self.expires(record.created, record.last_seen, record.persist_for);
        now >= record.expires.min(ends)
    }

    /// Whether using the session at `now` is worth a write.
    pub(super) fn is_touch_due(&self, record: &Record, now: Timestamp) -> bool {
        let interval = self
            .touch_interval
            .unwrap_or_else(|| self.limits(record.persist_for).idle / 10);
        let unused = now.since(record.last_seen);
        !unused.is_zero() && unused >= interval
    }

    /// For how long the client shall keep the cookie: no longer than the session can last.
    pub(super) fn cookie_max_age(&self, record: &Record, now: Timestamp) -> Option<Duration> {
        let asked = record.persist_for?;
        let limits = self.limits(record.persist_for);
        Some(asked.min((record.created + limits.absolute).since(now)))
    }
}

/// The record as it would be had the clock always been what it is now, if the record comes from a
/// future that no difference between clocks explains: the clock has been set back.
///
/// Its age stays. Without this, nothing would end until the clock has caught up.
pub(super) fn rebased(record: &Record, now: Timestamp) -> Option<Record> {
    if record.last_seen <= now + CLOCK_TOLERANCE {
        return None;
    }
    let mut rebased = record.clone();
    rebased.created = now - record.last_seen.since(record.created);
    rebased.last_seen = now;
    rebased.expires = now + record.expires.since(record.last_seen);
    rebased
        .fields
        .move_deadlines(|deadline| now + deadline.since(record.last_seen));
    let issued = forward::id_issued(record);
    if issued != record.created {
        forward::note_issued(&mut rebased, now - record.last_seen.since(issued));
    }
    Some(rebased)
}
