//! Sessions in actix-web: the middleware that commits them, and the extractor. No policy: reading
//! and writing cookies, timeouts and saving are done by what knows no framework.

mod extract;
mod middleware;
mod require;
mod response;

pub use extract::{ExtractError, SessionExt};
pub use middleware::{OnServerError, SessionMiddleware, SessionService};
pub use require::{Require, Requirement};

use crate::Slot;

/// The slot of the innermost middleware, in the request's extensions.
struct Current(Slot);
