//! What a session does to a response.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};

use crate::request::ResponseHeaders;
use crate::{ExtractError, SessionError, StoreError};

impl ResponseHeaders for HeaderMap {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).into_iter().map(HeaderValue::as_bytes)
    }

    fn append(&mut self, name: &'static str, value: &str) {
        // Visible ASCII, as the settings were checked when they were built.
        if let Ok(value) = HeaderValue::from_str(value) {
            append(self, name, value);
        }
    }

    fn replace(&mut self, name: &'static str, value: &str) {
        self.remove(name);
        ResponseHeaders::append(self, name, value);
    }

    fn remove_values(&mut self, name: &'static str, is_wrong: impl Fn(&[u8]) -> bool) {
        if !ResponseHeaders::values(self, name).any(&is_wrong) {
            return;
        }
        let values: Vec<HeaderValue> = self.get_all(name).iter().cloned().collect();
        self.remove(name);
        for value in values {
            if !is_wrong(value.as_bytes()) {
                append(self, name, value);
            }
        }
    }
}

/// A map of headers holds at most 32,768 names.
fn append(headers: &mut HeaderMap, name: &'static str, value: HeaderValue) {
    if headers
        .try_append(HeaderName::from_static(name), value)
        .is_err()
    {
        tracing::error!(
            event = "too_many_headers",
            header = name,
            "a response has so many headers that the session's do not fit in"
        );
    }
}

/// Answered by its [status](ExtractError::status) alone.
impl IntoResponse for ExtractError {
    fn into_response(self) -> Response {
        failure(self.status())
    }
}

/// Answered by its [status](SessionError::status) alone.
impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        failure(self.status())
    }
}

/// Answered by its [status](StoreError::status) alone.
impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        failure(self.status())
    }
}

/// A response that says no more than its status (ASVS 5.0 row 16.5.1).
pub(super) fn failure(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Cookie"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
