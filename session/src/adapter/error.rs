//! Why an extractor fails.

use std::fmt;

use crate::SessionError;

/// A session could not be extracted: the rejection of the extractors of every framework.
#[derive(Debug)]
pub struct ExtractError(Problem);

#[derive(Debug)]
enum Problem {
    NoMiddleware,
    Open(SessionError),
}

impl ExtractError {
    /// Logs that no middleware is around the handler, with an advice on how to add it.
    pub(super) fn no_middleware(asked_for: &'static str, advice: &'static str) -> Self {
        tracing::error!(
            event = "missing_middleware",
            asked_for,
            "a handler asks for a session, but nothing opens sessions for it: {advice}"
        );
        ExtractError(Problem::NoMiddleware)
    }

    pub(super) fn failed(error: SessionError) -> Self {
        ExtractError(Problem::Open(error))
    }

    /// Why the session could not be opened; `None` when there is no middleware to open it.
    #[must_use]
    pub fn session_error(&self) -> Option<&SessionError> {
        match &self.0 {
            Problem::NoMiddleware => None,
            Problem::Open(error) => Some(error),
        }
    }

    /// The HTTP status of the answer: the [error's](SessionError::status), and 500 when there is no
    /// middleware.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.session_error().map_or(500, SessionError::status)
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::NoMiddleware => f.write_str("no session middleware is around this handler"),
            Problem::Open(_) => f.write_str("the session could not be opened"),
        }
    }
}

impl std::error::Error for ExtractError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let error = self.session_error()?;
        Some(error)
    }
}
