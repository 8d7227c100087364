//! The settings of a manager, each with its default and the reason for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::owners::{OwnerLimit, WhenFull};
use super::timeouts::{Limits, Timeouts};
use super::{Inner, SessionManager};
use crate::{Clock, CookieSettings, SessionStore, SystemClock};

/// Settings for a [`SessionManager`], from [`SessionManager::builder`].
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use session::{MemoryStore, SessionManager, hours, minutes};
///
/// let sessions = SessionManager::builder(MemoryStore::new())
///     .idle_timeout(minutes(15))
///     .absolute_timeout(hours(8))
///     .build();
/// # let _ = sessions;
/// # }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct SessionManagerBuilder<S> {
    store: S,
    policy: Policy,
    clock: Box<dyn Clock>,
}

/// What a manager has been told to do.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) cookie: CookieSettings,
    pub(super) timeouts: Timeouts,
    pub(super) max_record_size: usize,
    pub(super) when_gone: WhenGone,
    pub(super) renew_missing: bool,
    pub(super) renew_interval: Option<Duration>,
    pub(super) owner_limit: Option<OwnerLimit>,
}

/// What a save does whose session ended before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenGone {
    /// The changes are dropped, no cookie is set, and the event `write_after_destroy` is logged. The
    /// response goes out as it is: the visitor signed out and is not told so twice.
    #[default]
    Drop,
    /// The save fails with [`SessionError::Gone`](crate::SessionError::Gone).
    Error,
}

impl<S: SessionStore> SessionManagerBuilder<S> {
    pub(super) fn new(store: S) -> Self {
        SessionManagerBuilder {
            store,
            policy: Policy {
                cookie: CookieSettings::default(),
                timeouts: Timeouts::default(),
                max_record_size: 64 * 1024,
                when_gone: WhenGone::default(),
                renew_missing: true,
                renew_interval: None,
                owner_limit: None,
            },
            clock: Box::new(SystemClock),
        }
    }

    /// The cookie that carries the id. Its name is hashed into the store's keys, so sessions of one
    /// name are worthless under another, and a changed name ends all sessions.
    ///
    /// Default: `__Host-id; Path=/; Secure; HttpOnly; SameSite=Lax`.
    pub fn cookie(mut self, settings: CookieSettings) -> Self {
        self.policy.cookie = settings;
        self
    }

    /// How long a session lasts when it is not used. Default: 30 minutes.
    ///
    /// OWASP's Session Management Cheat Sheet ("Idle Timeout") names 15 to 30 minutes for
    /// applications of low risk and 2 to 5 for those of high value; ASVS 5.0 row 7.3.1 asks that
    /// there be one. Kept on the server: a record that is past it is dead, swept or not.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.policy.timeouts.browser_session.idle = timeout;
        self
    }

    /// How long a session lasts at the most, used or not. Default: 12 hours.
    ///
    /// NIST SP 800-63B-4 §2.3.3 allows no more than 12 hours at its highest level (24 hours
    /// are advised at the middle one); ASVS 5.0 row 7.3.2 asks that there be one. Only a
    /// sign-in, that is a change of a field marked `rotate`, begins it anew.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.policy.timeouts.browser_session.absolute = timeout;
        self
    }

    /// Idle and absolute timeouts for sessions that the client keeps by
    /// [`persist_for`](crate::Session::persist_for). Default: the same as for all others.
    pub fn persistent_timeouts(mut self, idle: Duration, absolute: Duration) -> Self {
        self.policy.timeouts.persistent = Some(Limits { idle, absolute });
        self
    }

    /// How long after a session was last seen another use of it is written down. Default: a tenth of
    /// the idle timeout.
    ///
    /// The session may then end that much early, seen from its last use; never late.
    pub fn touch_interval(mut self, interval: Duration) -> Self {
        self.policy.timeouts.touch_interval = Some(interval);
        self
    }

    /// How many bytes a record may take, at most
    /// [`MAX_ENCODED_LENGTH`](crate::MAX_ENCODED_LENGTH). Default: 64 KiB.
    ///
    /// What a visitor can write into a session is bounded by nothing else (CVE-2016-4423).
    pub fn max_record_size(mut self, bytes: usize) -> Self {
        self.policy.max_record_size = bytes.min(crate::MAX_ENCODED_LENGTH);
        self
    }

    /// What a save does whose session ended before it. Default: [`WhenGone::Drop`].
    pub fn when_gone(mut self, when_gone: WhenGone) -> Self {
        self.policy.when_gone = when_gone;
        self
    }

    /// Whether a well-formed id that no session has is replaced by a new one. Default: true.
    ///
    /// # Security
    ///
    /// With `false`, a new session takes the id that the client sent, whoever made that up. This is
    /// what werkzeug's `renew_missing=False` does, and it is how session fixation works
    /// (CWE-384). It is here for those who move from there; fields marked `rotate` still renew
    /// the id at a sign-in.
    pub fn renew_missing(mut self, renew: bool) -> Self {
        self.policy.renew_missing = renew;
        self
    }

    /// Gives a session a new id whenever its id is this old, in the next request that looks at it.
    /// Never by default.
    ///
    /// A stolen id is then good for so long at the most, while its owner goes on (OWASP Session
    /// Management Cheat Sheet, "Renewal Timeout"). For 60 seconds the old id leads to the same
    /// session, so that the other requests of a page go through; what they save is not lost. After
    /// a sign-in it never does. Timeouts go on from where they were. When the answer that carries
    /// the new id is lost on its way, its visitor is signed out after those 60 seconds.
    pub fn renew_interval(mut self, interval: Duration) -> Self {
        self.policy.renew_interval = Some(interval);
        self
    }

    /// How many sessions one owner may have at once, counted at each sign-in: whenever the field
    /// marked `index` is set. No limit by default.
    ///
    /// ASVS 5.0 row 7.1.2 asks that it be decided, and what happens past it. Exact also when many
    /// sign-ins race: when the last of them has been answered, there are no more than this.
    pub fn max_sessions_per_owner(mut self, sessions: usize, when_full: WhenFull) -> Self {
        self.policy.owner_limit = Some(OwnerLimit {
            sessions,
            when_full,
        });
        self
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The manager.
    #[must_use]
    pub fn build(self) -> SessionManager<S> {
        SessionManager(Arc::new(Inner {
            store: self.store,
            policy: Arc::new(self.policy),
            clock: self.clock,
        }))
    }
}

impl<S> fmt::Debug for SessionManagerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
