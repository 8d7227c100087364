//! When a session ends. All of it is decided here, in whole milliseconds, with arithmetic that
//! saturates.

use std::time::Duration;

use crate::record::Record;
use crate::{Timestamp, hours, minutes, seconds};

/// How far the clocks of two hosts on one store may differ, and how far a clock may be set back,
/// before the times in a record count as wrong.
const CLOCK_TOLERANCE: Duration = minutes(5);

/// The timeouts of all kinds of sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) standard: Limits,
    /// Of sessions that nobody owns.
    pub(crate) anonymous: Option<Limits>,
    /// Of sessions whose cookie the client keeps.
    pub(crate) persistent: Option<Limits>,
    /// A session that was used more recently than this is not touched.
    pub(crate) touch_interval: Option<Duration>,
}

/// How long a session lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// When it is not used.
    pub(crate) idle: Duration,
    /// At the most.
    pub(crate) absolute: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Lifetimes {
            standard: Limits {
                idle: minutes(30),
                absolute: hours(12),
            },
            anonymous: None,
            persistent: None,
            touch_interval: None,
        }
    }
}

impl Lifetimes {
    fn limits(&self, record: &Record) -> Limits {
        let mut limits = match record.persist_for {
            // The application has said how long; nothing else has to be configured for it.
            Some(duration) => self.persistent.unwrap_or(Limits {
                idle: duration,
                absolute: duration,
            }),
            None if record.owner.is_none() => self.anonymous.unwrap_or(self.standard),
            None => self.standard,
        };
        // However long cookies are kept, a session that nobody owns is bounded by its own timeouts.
        if let (None, Some(anonymous)) = (&record.owner, self.anonymous) {
            limits.idle = limits.idle.min(anonymous.idle);
            limits.absolute = limits.absolute.min(anonymous.absolute);
        }
        if let Some(idle) = record.idle_within {
            limits.idle = limits.idle.min(idle);
        }
        limits
    }

    /// When the session ends that began and was last used as `record` says, and is not used again.
    pub(crate) fn expires(&self, record: &Record) -> Timestamp {
        let limits = self.limits(record);
        let end = (record.last_seen + limits.idle).min(record.created + limits.absolute);
        record.end_at.map_or(end, |end_at| end.min(end_at))
    }

    /// Whether the session has expired.
    ///
    /// If the clock was set back, `last_seen` is used as the current time, so a session never gains
    /// lifetime. A timeout that was shortened since the save holds at once.
    pub(crate) fn is_expired(&self, record: &Record, now: Timestamp) -> bool {
        let now = now.max(record.last_seen);
        now >= record.expires.min(self.expires(record))
    }

    /// How long after a session was last used another use is written down.
    pub(crate) fn touch_interval(&self, record: &Record) -> Duration {
        let idle = self.limits(record).idle;
        // Half the idle time at most, or a session in constant use would end.
        self.touch_interval.unwrap_or(idle / 10).min(idle / 2)
    }

    /// Whether using the session at `now` is worth a write.
    pub(crate) fn is_touch_due(&self, record: &Record, now: Timestamp) -> bool {
        let unused = now.since(record.last_seen);
        !unused.is_zero() && unused >= self.touch_interval(record)
    }

    /// For how long the client shall keep the cookie: no longer than the session can last.
    pub(crate) fn cookie_max_age(&self, record: &Record, now: Timestamp) -> Option<Duration> {
        let asked = record.persist_for?;
        let end = record.created + self.limits(record).absolute;
        let end = record.end_at.map_or(end, |end_at| end.min(end_at));
        // To the next whole second: the header has no smaller unit, and the clock goes on meanwhile.
        let left = asked.min(end.since(now));
        let is_whole = left.subsec_nanos() == 0;
        Some(seconds(left.as_secs() + u64::from(!is_whole)))
    }
}

/// The record as it would be if the clock had always shown what it shows now; `None` unless the record
/// comes from a future that no difference between clocks explains: the clock has been set back.
///
/// Its age stays. Without this, nothing would end until the clock has caught up.
pub(crate) fn shifted_to_clock(record: &Record, now: Timestamp) -> Option<Record> {
    if record.last_seen <= now + CLOCK_TOLERANCE {
        return None;
    }
    let shift = |time: Timestamp| now - record.last_seen.since(time);
    let mut shifted = record.clone();
    shifted.created = shift(record.created);
    shifted.owner_since = shift(record.owner_since);
    shifted.last_seen = now;
    shifted.expires = now + record.expires.since(record.last_seen);
    for (_, since) in &mut shifted.replaced {
        *since = shift(*since);
    }
    shifted
        .fields
        .move_deadlines(|deadline| now + deadline.since(record.last_seen));
    Some(shifted)
}
