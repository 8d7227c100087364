//! The session's cookie: its settings, the `Set-Cookie` header, and reading `Cookie` headers byte by
//! byte. Knows neither sessions nor frameworks.
//!
//! The reader is our own because general ones are too helpful for a `__Host-` cookie: one that
//! percent-decodes names, removes quotes or trims Unicode space lets a sibling subdomain plant a
//! cookie under the protected name (RFC 6265bis §4.1.3.2; CVE-2020-8184, CVE-2022-36032).

mod header;
mod read;
mod settings;

pub use header::CookieError;
pub use read::{Candidates, MAX_CANDIDATES, candidates};
pub use settings::{CookieSettings, CookieSettingsBuilder, CookieSettingsError, SameSite};
