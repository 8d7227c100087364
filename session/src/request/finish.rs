//! What a commit asks of the response: its status, its cookie, and what caches are told.

use std::fmt;
use std::time::Duration;

use crate::cookie::{CookieError, CookieSettings};
use crate::{SessionError, SessionToken};

/// What a commit asks of the response.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Finish {
    /// Why the session could not be saved. The response must then be an error, of the status
    /// [`status`](Self::status), and still carry the [`headers`](Self::headers).
    pub error: Option<SessionError>,
    /// Whether the response depends on the session.
    is_open: bool,
    is_failed: bool,
    set_cookie: Option<SetCookie>,
    clear_site_data: bool,
}

struct SetCookie {
    name: String,
    header: String,
}

/// The header holds a token.
impl fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetCookie")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Finish {
    pub(super) fn new(
        error: Option<SessionError>,
        change: &CookieChange,
        settings: &CookieSettings,
        clear_site_data: bool,
    ) -> Self {
        let (header, error) = match change.header(settings) {
            Ok(header) => (header, error),
            Err(cookie_error) => (None, error.or(Some(cookie_error.into()))),
        };
        Finish {
            is_failed: error.is_some(),
            error,
            is_open: true,
            set_cookie: header.map(|header| SetCookie {
                name: settings.name().to_owned(),
                header,
            }),
            clear_site_data: clear_site_data && *change == CookieChange::Remove,
        }
    }

    /// The status that the response must have; `None` where it keeps its own.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.error.as_ref().map(SessionError::status)
    }

    /// The headers that the response must have, by name and value.
    ///
    /// `set-cookie` and `vary` are added to those that are there, without a double; `cache-control`
    /// replaces what the handler said where its value is `no-store`, and otherwise gives way to it.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let cookie = self.set_cookie.as_ref();
        let cache = match cookie {
            // Not `no-cache="Set-Cookie"`, which caches ignore (OWASP Session Management Cheat Sheet,
            // "Web Content Caching"); and in place of whatever the handler allowed.
            Some(_) => Some("no-store"),
            None if self.is_failed => Some("no-store"),
            None if self.is_open => Some("private"),
            None => None,
        };
        let clear = self
            .clear_site_data
            .then_some(("clear-site-data", "\"cache\", \"cookies\", \"storage\""));
        [
            cookie.map(|cookie| ("set-cookie", cookie.header.as_str())),
            cache.map(|value| ("cache-control", value)),
            self.is_open.then_some(("vary", "Cookie")),
            clear,
        ]
        .into_iter()
        .flatten()
    }

    /// Gives a response the [`headers`](Self::headers).
    pub(crate) fn apply(&self, response: &mut impl ResponseHeaders) {
        for (name, value) in self.headers() {
            match name {
                "vary" => {
                    let is_said = response.values("vary").any(|value| names_cookie(value));
                    if !is_said {
                        response.append(name, value);
                    }
                }
                "set-cookie" => {
                    let cookie = self.set_cookie.as_ref();
                    let cookie_name = cookie.map_or("", |cookie| cookie.name.as_str());
                    // A response must not set one cookie twice (RFC 6265bis §4.1.1).
                    response.remove_values("set-cookie", |value| sets(value, cookie_name));
                    response.append(name, value);
                }
                "cache-control" if value == "private" => {
                    if response.values("cache-control").next().is_none() {
                        response.append(name, value);
                    }
                }
                _ => response.replace(name, value),
            }
        }
    }
}

fn names_cookie(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
}

fn sets(value: &[u8], cookie_name: &str) -> bool {
    value
        .strip_prefix(cookie_name.as_bytes())
        .is_some_and(|rest| rest.starts_with(b"="))
}

/// The headers of a response, of whatever framework.
pub(crate) trait ResponseHeaders {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]>;
    fn append(&mut self, name: &'static str, value: &str);
    fn replace(&mut self, name: &'static str, value: &str);
    /// Removes those values of a header that `is_wrong` says so of; the others keep their order.
    fn remove_values(&mut self, name: &'static str, is_wrong: impl Fn(&[u8]) -> bool);
}

/// What the response must do to the client's cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieChange {
    /// Nothing: the client holds the right cookie, or none.
    Keep,
    /// Set the cookie to this token.
    Set {
        /// The token.
        token: SessionToken,
        /// For how long; until the browser closes when `None`.
        max_age: Option<Duration>,
    },
    /// Remove the cookie.
    Remove,
}

impl CookieChange {
    /// The value of the `Set-Cookie` header that makes the change; `None` when nothing changes.
    ///
    /// # Errors
    ///
    /// When the cookie would be larger than browsers accept.
    pub fn header(&self, settings: &CookieSettings) -> Result<Option<String>, CookieError> {
        match self {
            CookieChange::Keep => Ok(None),
            CookieChange::Set { token, max_age } => {
                settings.set_cookie(&token.expose(), *max_age).map(Some)
            }
            CookieChange::Remove => Ok(Some(settings.removal())),
        }
    }
}
