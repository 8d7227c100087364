//! Typed HTTP sessions, on the server side, for actix-web, axum and everything else.
//!
//! A struct becomes a session by `#[derive(Session)]`. Reads are plain field reads; every write goes
//! through a setter that marks what it changed, and a save merges only that.
//!
//! ```no_run
//! # #[cfg(all(feature = "derive", feature = "actix-web", feature = "filesystem"))] {
//! use actix_web::{App, HttpResponse, HttpServer, web};
//! use session::{FilesystemStore, Session, SessionManager, SessionMiddleware, merge};
//!
//! #[derive(Debug, Default, Session)]
//! struct Visit {
//!     #[session(rotate, owner)]
//!     user: Option<String>,
//!     #[session(merge = merge::sum)]
//!     views: u64,
//! }
//!
//! async fn index(mut session: Session<Visit>) -> HttpResponse {
//!     *session.views_mut() += 1;
//!     HttpResponse::Ok().body(format!("{} views", session.views))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = SessionManager::new(FilesystemStore::open("sessions")?);
//! HttpServer::new(move || {
//!     App::new()
//!         .wrap(SessionMiddleware::new(sessions.clone()))
//!         .route("/", web::get().to(index))
//! })
//! .bind("127.0.0.1:8080")?
//! .run()
//! .await?;
//! # Ok(())
//! # }
//! # }
//! ```
//!
//! - [`Session`](struct@Session) is what handlers hold; the [derive](derive@Session) says what a field
//!   can say.
//! - [`SessionManager`] has all the rules: timeouts, limits, finding and revoking.
//! - [`SessionStore`] is what keeps records: `FilesystemStore`, `MemoryStore`, or your own, checked by
//!   the suite in `testing`.
//! - The modules `actix` and `axum` are the adapters to the two frameworks.
//! - [`Request`] is what an adapter to another framework is made of.
//! - What it has to report, it reports as [`tracing`] events.
//!
//! Features: `derive`, `actix-web`, `filesystem`, `memory` (all on by default), `axum` and `testing`.

#[cfg(feature = "actix-web")]
pub mod actix;
#[cfg(any(feature = "actix-web", feature = "axum"))]
mod adapter;
#[cfg(feature = "axum")]
pub mod axum;
pub mod cookie;
mod error;
mod id;
mod manager;
pub mod merge;
#[cfg(session_mistakes)]
#[doc(hidden)]
pub mod mistakes;
#[cfg(not(session_mistakes))]
mod mistakes;
mod record;
mod request;
mod session;
mod store;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod typed;

#[cfg(feature = "actix-web")]
pub use actix::{Require, Requirement, SessionExt, SessionMiddleware};
#[cfg(any(feature = "actix-web", feature = "axum"))]
pub use adapter::ExtractError;
#[cfg(feature = "axum")]
pub use axum::SessionLayer;
pub use cookie::{CookieSettings, SameSite};
pub use error::SessionError;
pub use id::{GenerateError, ParseKeyError, Proof, SessionKey, SessionToken};
pub use manager::{
    EndReason, EndedSession, OnServerError, OnSessionEnded, Revoked, SessionLimit, SessionManager,
    SessionManagerBuilder, SettingsError,
};
pub use record::{
    Changes, DecodeError, FORMAT_VERSION, FieldConflict, Fields, MAX_ENCODED_LENGTH, Record,
    Revision, SaveNumbers, TooLarge,
};
pub use request::{Arrival, CookieChange, Finish, Request, Saved};
pub use session::Session;
pub use store::*;
pub use time::{Clock, SystemClock, Timestamp, days, hours, minutes, seconds};
pub use typed::{
    EncodeError, FlashValue, Migration, MigrationError, OwnerKey, SessionData, SessionView,
};

#[cfg(feature = "derive")]
pub use session_derive::Session;

/// What the derive's generated code uses. Not part of the public interface: it changes without notice.
///
/// Its name has the version, so that a derive of another version finds nothing and fails loudly.
#[doc(hidden)]
pub mod __private_0_1_0 {
    pub use crate::typed::generated::*;
}
