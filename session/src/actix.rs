//! Sessions in actix-web: the middleware that commits them, and the extractors. No policy: reading
//! and writing cookies, timeouts and saving are done by what knows no framework.

mod current;
mod extract;
mod middleware;
mod require;
mod response;

pub use extract::{ExtractError, SessionExt};
pub use middleware::{SessionMiddleware, SessionService};
pub use require::{Require, Requirement};
