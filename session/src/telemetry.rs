//! What is said of sessions in the log: events with stable names, never a token, a secret or a value.
//!
//! Every line has a field `event`. Those about one session have a field `session`, the session's key,
//! which is the same in all processes and opens nothing.

use std::fmt;

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
