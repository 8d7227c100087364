//! Sessions in axum: the layer that commits them, and the extractors. No policy: reading and writing
//! cookies, timeouts and saving are done by what knows no framework.
//!
//! ```
//! # #[cfg(all(feature = "derive", feature = "memory"))] {
//! use axum::Router;
//! use axum::routing::{get, post};
//! use session::{MemoryStore, Session, SessionLayer, SessionManager};
//!
//! #[derive(Debug, Default, Session)]
//! struct Visit {
//!     #[session(rotate)]
//!     user: Option<String>,
//!     views: u64,
//! }
//!
//! async fn index(mut session: Session<Visit>) -> String {
//!     *session.views_mut() += 1;
//!     format!("{} views", session.views)
//! }
//!
//! async fn sign_out(mut session: Session<Visit>) {
//!     session.destroy();
//! }
//!
//! let sessions = SessionManager::new(MemoryStore::new());
//! let app: Router = Router::new()
//!     .route("/", get(index))
//!     .route("/sign-out", post(sign_out))
//!     .layer(SessionLayer::new(sessions));
//! # }
//! ```
//!
//! - A handler that extracts [`Session<T>`](struct@crate::Session) opens the session. One that extracts
//!   [`SessionManager`](crate::SessionManager) can list and revoke sessions.
//! - `Result<Session<T>, ExtractError>` is an extractor too, for a handler with its own answer to a store
//!   that fails. `Option<Session<T>>` is not: every visitor has a session, new or stored, and a failed store
//!   must not look like a visitor without one.
//! - A handler can answer with `Result<_, SessionError>`.
//!
//! Two extractors of one handler run one after the other, and each handle sees what was changed through
//! handles that were dropped before it was extracted.

mod extract;
mod layer;
mod response;

pub use layer::{SessionLayer, SessionService};

/// How the layer is added, for the log.
const ADVICE: &str =
    "add `.layer(SessionLayer::new(sessions.clone()))` to its `Router`, after its route";
