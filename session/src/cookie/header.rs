//! The value of the `Set-Cookie` header.

use std::fmt::Write as _;
use std::time::Duration;

use super::CookieSettings;
use crate::days;

/// Name and value together may not be longer, or browsers ignore the cookie (RFC 6265bis §5.6
/// step 5).
pub(super) const MAX_PAIR_LENGTH: usize = 4096;

/// Browsers keep no cookie for longer (RFC 6265bis §5.5).
const MAX_AGE_LIMIT: Duration = days(400);

impl CookieSettings {
    /// The header that sets the cookie to `value`, to be kept for `max_age`: whole seconds, rounded
    /// down, 400 days at the most; until the browser closes when `None`.
    ///
    /// ```
    /// let settings = session::CookieSettings::default();
    /// assert_eq!(
    ///     settings.set_cookie("value", None)?,
    ///     "__Host-id=value; Path=/; Secure; HttpOnly; SameSite=Lax",
    /// );
    /// # Ok::<(), session::cookie::CookieError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When browsers would ignore the cookie, because it is too large, or when `value` has
    /// characters that no cookie's value has.
    pub fn set_cookie(
        &self,
        value: &str,
        max_age: Option<Duration>,
    ) -> Result<String, CookieError> {
        // cookie-octet (RFC 6265bis §4.1.1).
        let is_octet =
            |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        if !value.bytes().all(is_octet) {
            return Err(CookieError::Value);
        }
        let length = self.name().len() + value.len();
        if length > MAX_PAIR_LENGTH {
            return Err(CookieError::TooLarge { length });
        }
        Ok(self.header(value, max_age))
    }

    /// The header that removes the cookie: the one that set it, with an empty value and no time
    /// left. Browsers remove a cookie only for the name, path and domain it was set with, and a
    /// `__Host-` cookie only by a header that could have set it.
    #[must_use]
    pub fn removal(&self) -> String {
        self.header("", Some(Duration::ZERO))
    }

    fn header(&self, value: &str, max_age: Option<Duration>) -> String {
        let mut header = format!("{}={value}; Path={}", self.name(), self.path());
        if let Some(domain) = self.domain() {
            header.push_str("; Domain=");
            header.push_str(domain);
        }
        if self.secure() {
            header.push_str("; Secure");
        }
        if self.http_only() {
            header.push_str("; HttpOnly");
        }
        header.push_str("; SameSite=");
        header.push_str(self.same_site().as_str());
        if self.partitioned() {
            header.push_str("; Partitioned");
        }
        if let Some(max_age) = max_age {
            let seconds = max_age.min(MAX_AGE_LIMIT).as_secs();
            // Writing to a string cannot fail.
            let _ = write!(header, "; Max-Age={seconds}");
        }
        header
    }
}

/// A cookie cannot be set to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The value has characters that no cookie's value has.
    #[error("the cookie's value has characters that are not allowed in a cookie")]
    Value,
    /// Name and value are longer than 4096 bytes together.
    #[error("the cookie would take {length} bytes, browsers ignore those of more than 4096")]
    TooLarge {
        /// How many bytes name and value would take.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SameSite, seconds};

    /// The whole header.
    #[test]
    fn the_default_header_is_exactly_this() {
        assert_eq!(
            CookieSettings::default().set_cookie("abc", None).unwrap(),
            "__Host-id=abc; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        let all = CookieSettings::builder()
            .name("__Secure-visit")
            .path("/shop")
            .domain("example.org")
            .http_only(false)
            .same_site(SameSite::None)
            .partitioned(true)
            .build()
            .unwrap();
        assert_eq!(
            all.set_cookie("abc", Some(seconds(60))).unwrap(),
            "__Secure-visit=abc; Path=/shop; Domain=example.org; Secure; SameSite=None; \
             Partitioned; Max-Age=60"
        );
        assert_eq!(
            all.removal(),
            "__Secure-visit=; Path=/shop; Domain=example.org; Secure; SameSite=None; \
             Partitioned; Max-Age=0"
        );
    }

    /// Grown byte by byte, everything that is accepted is within what browsers take,
    /// and the first that is refused is not.
    #[test]
    fn a_cookie_that_browsers_would_ignore_is_an_error() {
        let settings = CookieSettings::default();
        let room = 4096 - settings.name().len();
        for length in room - 20..=room {
            let header = settings.set_cookie(&"v".repeat(length), None).unwrap();
            let (name, value) = header.split(';').next().unwrap().split_once('=').unwrap();
            assert!(name.len() + value.len() <= 4096);
        }
        assert_eq!(
            settings.set_cookie(&"v".repeat(room + 1), None),
            Err(CookieError::TooLarge { length: 4097 })
        );
    }

    #[test]
    fn a_value_that_would_end_the_cookie_is_an_error() {
        for value in ["a;b", "a b", "a,b", "a\"b", "a\\b", "a\nb", "é", "a\0"] {
            let set = CookieSettings::default().set_cookie(value, None);
            assert_eq!(set, Err(CookieError::Value), "{value:?}");
        }
    }

    /// Any duration is taken; 400 days are the most.
    #[test]
    fn max_age_is_whole_seconds_and_400_days_at_the_most() {
        for (duration, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 0),
            (Duration::from_millis(1999), 1),
            (days(400), 34_560_000),
            (days(3_652_500), 34_560_000),
            (Duration::MAX, 34_560_000),
        ] {
            let header = CookieSettings::default()
                .set_cookie("abc", Some(duration))
                .unwrap();
            assert!(
                header.ends_with(&format!("; Max-Age={expected}")),
                "{header}"
            );
        }
    }
}
