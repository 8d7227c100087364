//! What a session does to a response.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};
use actix_web::{Error, HttpResponse, ResponseError};

use crate::request::{Finish, ResponseHeaders};
use crate::{SessionError, StoreError};

impl ResponseHeaders for HeaderMap {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).map(HeaderValue::as_bytes)
    }

    fn append(&mut self, name: &'static str, value: &str) {
        // Visible ASCII, as the settings were checked when they were built.
        if let Ok(value) = HeaderValue::from_str(value) {
            HeaderMap::append(self, HeaderName::from_static(name), value);
        }
    }

    fn replace(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.insert(HeaderName::from_static(name), value);
        }
    }

    fn remove_values(&mut self, name: &'static str, is_wrong: impl Fn(&[u8]) -> bool) {
        if !self.values(name).any(&is_wrong) {
            return;
        }
        let values: Vec<HeaderValue> = self.remove(name).collect();
        for value in values {
            if !is_wrong(value.as_bytes()) {
                HeaderMap::append(self, HeaderName::from_static(name), value);
            }
        }
    }
}

/// An inner error that became the response, with the session's headers added to it.
#[derive(Debug)]
pub(super) struct WithHeaders {
    pub(super) error: Error,
    pub(super) finish: Finish,
}

impl fmt::Display for WithHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for WithHeaders {
    fn status_code(&self) -> StatusCode {
        self.error.as_response_error().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.error.error_response();
        self.finish.apply(response.headers_mut());
        response
    }
}

/// Answered by its [status](SessionError::status) alone.
impl ResponseError for SessionError {
    fn status_code(&self) -> StatusCode {
        status(self.status())
    }

    fn error_response(&self) -> HttpResponse {
        failure(self.status_code())
    }
}

/// Answered by its [status](StoreError::status) alone.
impl ResponseError for StoreError {
    fn status_code(&self) -> StatusCode {
        status(self.status())
    }

    fn error_response(&self) -> HttpResponse {
        failure(self.status_code())
    }
}

pub(super) fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A response that says no more than its status (ASVS 5.0 row 16.5.1).
pub(super) fn failure(status: StatusCode) -> HttpResponse {
    let mut response = HttpResponse::new(status);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Cookie"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
