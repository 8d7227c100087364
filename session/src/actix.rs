//! Sessions in actix-web: the middleware that commits them, and the extractors. No policy: reading
//! and writing cookies, timeouts and saving are done by what knows no framework.

mod extract;
mod middleware;
mod require;
mod response;

pub use extract::SessionExt;
pub use middleware::{SessionMiddleware, SessionService};
pub use require::{Require, Requirement};

/// How the middleware is added, for the log.
const ADVICE: &str =
    "add `.wrap(SessionMiddleware::new(sessions.clone()))` to its `App` or `scope`";
