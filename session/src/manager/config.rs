//! The settings of a manager, each with its default and the reason for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SessionManager;
use super::lifetime::{Lifetimes, Limits};
use super::on_end::{EndedSession, OnEnd};
use super::policy::{OnServerError, OnSessionEnded, Policy, SessionLimit};
use super::shared::Shared;
use crate::{Clock, CookieSettings, SessionStore, SystemClock, seconds};

/// Settings for a [`SessionManager`], from [`SessionManager::builder`].
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use session::{MemoryStore, SessionManager, hours, minutes};
///
/// let sessions = SessionManager::builder(MemoryStore::new())
///     .idle_timeout(minutes(15))
///     .absolute_timeout(hours(8))
///     .build()?;
/// # let _ = sessions;
/// # }
/// # Ok::<(), session::SettingsError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct SessionManagerBuilder {
    shared: Shared,
    policy: Policy,
}

impl SessionManagerBuilder {
    pub(super) fn new(store: impl SessionStore) -> Self {
        SessionManagerBuilder {
            shared: Shared {
                store: Box::new(store),
                policy: Arc::new(default_policy()),
                clock: Box::new(SystemClock),
                on_end: None,
            },
            policy: default_policy(),
        }
    }

    /// The cookie that carries the token. Its name is hashed into the proofs that the store keeps, so
    /// a token of one cookie is worthless under another, and a changed name ends all sessions.
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
    /// there be one. Kept on the server: a record that is past it has ended, swept or not.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.policy.lifetimes.standard.idle = timeout;
        self
    }

    /// How long a session lasts at the most, used or not. Default: 12 hours.
    ///
    /// NIST SP 800-63B-4 §2.3.3 allows no more than 12 hours at its highest level (24 hours
    /// are advised at the middle one); ASVS 5.0 row 7.3.2 asks that there be one. Only a
    /// sign-in, that is a change of a field marked `rotate`, begins it anew.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.policy.lifetimes.standard.absolute = timeout;
        self
    }

    /// Idle and absolute timeouts for sessions without an owner: visitors who have not signed in.
    /// Default: the same as for all others.
    ///
    /// Anybody can make such sessions, as many as they like; a short timeout bounds how much of the
    /// store they take.
    pub fn anonymous_timeouts(mut self, idle: Duration, absolute: Duration) -> Self {
        self.policy.lifetimes.anonymous = Some(Limits { idle, absolute });
        self
    }

    /// Asks the clients of all sessions to keep their cookies for so long, and lets the sessions last
    /// as long. Default: cookies are kept until the browser closes (NIST SP 800-63B-4 §5.1).
    ///
    /// A session that says so itself, by [`persist_for`](crate::Session::persist_for), goes first. At most
    /// 400 days (RFC 6265bis §5.5), at least a second.
    pub fn persist_for(mut self, duration: Duration) -> Self {
        self.policy.persist_for = Some(duration);
        self
    }

    /// Idle and absolute timeouts for sessions whose cookie the client keeps. Default: both are as long
    /// as the cookie is kept.
    pub fn persistent_timeouts(mut self, idle: Duration, absolute: Duration) -> Self {
        self.policy.lifetimes.persistent = Some(Limits { idle, absolute });
        self
    }

    /// How long after a session was last used another use of it is written down. Default: a tenth of
    /// the idle timeout. Must be shorter than every idle timeout.
    ///
    /// The session may then end that much early, seen from its last use; never late.
    pub fn touch_interval(mut self, interval: Duration) -> Self {
        self.policy.lifetimes.touch_interval = Some(interval);
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

    /// What a save does whose session ended before it. Default: [`OnSessionEnded::DropChanges`].
    pub fn on_session_ended(mut self, on_session_ended: OnSessionEnded) -> Self {
        self.policy.on_session_ended = on_session_ended;
        self
    }

    /// What becomes of the changes of a request that is answered with 500 or above. Default:
    /// [`OnServerError::Discard`].
    pub fn on_server_error(mut self, on_server_error: OnServerError) -> Self {
        self.policy.on_server_error = on_server_error;
        self
    }

    /// Whether the response that removes the cookie of a destroyed session also asks the browser, by
    /// `Clear-Site-Data`, to forget all it keeps of this site (ASVS 5.0 row 14.3.1). Default:
    /// false, because it also removes what has nothing to do with sessions.
    pub fn clear_site_data(mut self, clear: bool) -> Self {
        self.policy.clear_site_data = clear;
        self
    }

    /// Whether a well-formed token that no session has is replaced by a new one. Default: true.
    ///
    /// # Security
    ///
    /// With `false`, a new session takes the token that the client sent, whoever made that up. This is
    /// what werkzeug's `renew_missing=False` does, and it is how session fixation works
    /// (CWE-384). The token of a session that has ended can be used again, too, and a request that began
    /// before the end then reaches the new session: an ended session does not stay ended. It is here for those who move from there; fields marked `rotate` still give the session
    /// a new secret at a sign-in.
    pub fn renew_missing(mut self, renew: bool) -> Self {
        self.policy.renew_missing = renew;
        self
    }

    /// How many sessions one owner may have at once, counted at each sign-in: whenever the field
    /// marked `owner` is set. No limit by default.
    ///
    /// ASVS 5.0 row 7.1.2 asks that it be decided, and what happens past it. Exact also when many
    /// sign-ins race: when the last of them has been answered, there are no more than this. A process
    /// that is killed between a sign-in and the count leaves one more until the owner's next sign-in.
    pub fn max_sessions_per_owner(mut self, sessions: usize, limit: SessionLimit) -> Self {
        self.policy.session_limit = Some((sessions, limit));
        self
    }

    /// Called when a session has ended, after it has been removed from the store; at most once a session.
    ///
    /// For what is kept outside of the session and must end with it. It is called on the thread that
    /// ended the session and must not block. A session that expires ends when a sweep removes it. A process
    /// that is killed in between calls nothing.
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use session::{MemoryStore, SessionManager};
    ///
    /// let sessions = SessionManager::builder(MemoryStore::new())
    ///     .on_end(|ended| println!("{} has ended: {:?}", ended.key, ended.reason))
    ///     .build()?;
    /// # let _ = sessions;
    /// # }
    /// # Ok::<(), session::SettingsError>(())
    /// ```
    pub fn on_end(mut self, call: impl Fn(&EndedSession<'_>) + Send + Sync + 'static) -> Self {
        self.shared.on_end = Some(OnEnd::new(call));
        self
    }

    /// Where the time comes from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.shared.clock = Box::new(clock);
        self
    }

    /// The manager.
    ///
    /// # Errors
    ///
    /// When settings contradict each other; see [`SettingsError`].
    pub fn build(self) -> Result<SessionManager, SettingsError> {
        check(&self.policy)?;
        Ok(SessionManager::from_shared(Shared {
            policy: Arc::new(self.policy),
            ..self.shared
        }))
    }

    /// The manager of settings that nobody has changed.
    pub(super) fn build_default(self) -> SessionManager {
        SessionManager::from_shared(self.shared)
    }
}

impl fmt::Debug for SessionManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

fn default_policy() -> Policy {
    Policy {
        cookie: CookieSettings::default(),
        lifetimes: Lifetimes::default(),
        persist_for: None,
        max_record_size: 64 * 1024,
        on_session_ended: OnSessionEnded::default(),
        on_server_error: OnServerError::default(),
        renew_missing: true,
        clear_site_data: false,
        session_limit: None,
    }
}

/// Settings of a manager that contradict each other, or that no session could live by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A timeout of nothing.
    #[error("the {which} is zero, so every session would end at once")]
    ZeroTimeout {
        /// Which one.
        which: &'static str,
    },
    /// A session in constant use would end, as its use is never written down in time.
    #[error("the touch interval must be shorter than the {which}")]
    TouchInterval {
        /// Of which sessions.
        which: &'static str,
    },
    /// The cookie would be removed as soon as it is set.
    #[error(
        "cookies can be kept for one second at the least: leave `persist_for` out to keep none"
    )]
    PersistFor,
    /// No session could ever be signed in.
    #[error("the limit of sessions per owner is zero, so nobody could sign in")]
    ZeroSessions,
}

fn check(policy: &Policy) -> Result<(), SettingsError> {
    let lifetimes = &policy.lifetimes;
    let kept = policy.persist_for.map(|duration| Limits {
        idle: duration,
        absolute: duration,
    });
    for (limits, idle, absolute) in [
        (Some(lifetimes.standard), "idle timeout", "absolute timeout"),
        (
            lifetimes.anonymous,
            "idle timeout of anonymous sessions",
            "absolute timeout of anonymous sessions",
        ),
        (
            lifetimes.persistent.or(kept),
            "idle timeout of persistent sessions",
            "absolute timeout of persistent sessions",
        ),
    ] {
        let Some(limits) = limits else { continue };
        for (timeout, which) in [(limits.idle, idle), (limits.absolute, absolute)] {
            if timeout.is_zero() {
                return Err(SettingsError::ZeroTimeout { which });
            }
        }
        if lifetimes
            .touch_interval
            .is_some_and(|interval| interval >= limits.idle)
        {
            return Err(SettingsError::TouchInterval { which: idle });
        }
    }
    if policy
        .persist_for
        .is_some_and(|duration| duration < seconds(1))
    {
        return Err(SettingsError::PersistFor);
    }
    if policy.session_limit.is_some_and(|(limit, _)| limit == 0) {
        return Err(SettingsError::ZeroSessions);
    }
    Ok(())
}
