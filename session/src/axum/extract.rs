//! `Session<T>` and `SessionManager` as extractors.

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use super::ADVICE;
use crate::adapter::Current;
use crate::typed::SessionData;
use crate::{ExtractError, Session, SessionManager};

/// Opens the visitor's session at the first extraction in a request. Further extractions, of this
/// session type or another one, see what the earlier ones changed once those are dropped.
///
/// # Errors
///
/// [`ExtractError`]: 503 when the store is not available, 500 when it fails and when there is no
/// [`SessionLayer`](crate::SessionLayer). Both are logged; the client is told nothing.
impl<T: SessionData, S: Sync> FromRequestParts<S> for Session<T> {
    type Rejection = ExtractError;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, ExtractError>> + Send {
        Current::extract(parts.extensions.get(), ADVICE)
    }
}

/// The manager of the layer around the handler: for handlers that list or revoke sessions.
///
/// # Errors
///
/// [`ExtractError`]: 500 when there is no [`SessionLayer`](crate::SessionLayer).
impl<S: Sync> FromRequestParts<S> for SessionManager {
    type Rejection = ExtractError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractError> {
        Current::extract_manager(parts.extensions.get(), ADVICE)
    }
}
