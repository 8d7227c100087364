//! What is said of sessions in the log: events with stable names, never an id, a key or a value.
//!
//! Every line has a field `event`. Those about one session have a field `session`, which puts the
//! lines about it together and leads back to nothing.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use crate::StoreKey;

/// A value that is the same for the same session throughout this process's life: a hash keyed with
/// a secret of the process (ASVS 5.0 row 16.2.5: session tokens appear in logs only hashed or
/// masked).
pub(crate) fn correlation(key: &StoreKey) -> impl fmt::Display + use<> {
    static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    Correlation(SECRET.hash_one(key) >> 32)
}

struct Correlation(u64);

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Cookies of our name held something that is no id.
pub(crate) fn malformed_ids(count: usize) {
    tracing::info!(
        event = "malformed_id",
        count,
        "a session cookie holds no session id: it is ignored"
    );
}

/// An error with all of its causes, on one line.
pub(crate) fn chain<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl fmt::Display + 'a {
    Chain(error)
}

struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
