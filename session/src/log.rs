//! What may be said of a session in a log: never its id, its key or a value.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use crate::StoreKey;

/// A value that is the same for the same session throughout this process's life, so that lines of
/// a log can be put together, and that leads back to nothing: a hash keyed with a secret of the
/// process (ASVS 5.0 row 16.2.5: session tokens appear in logs only hashed or masked).
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

/// An error with all of its causes, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> impl fmt::Display + '_ {
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
