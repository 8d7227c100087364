//! What a session does to a response: its cookie, and what caches are told.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY,
};
use actix_web::{Error, HttpResponse, ResponseError};

use crate::{SessionError, StoreError};

/// What a response that depends on the session is given.
#[derive(Debug)]
pub(super) struct Headers {
    cookie: Option<Cookie>,
    clear_site_data: bool,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: HeaderValue,
}

impl Headers {
    /// No cookie changes.
    pub(super) fn without_cookie() -> Self {
        Headers {
            cookie: None,
            clear_site_data: false,
        }
    }

    /// The cookie `name` is changed by this `Set-Cookie` value.
    pub(super) fn with_cookie(name: &str, value: HeaderValue, clear_site_data: bool) -> Self {
        let name = name.to_owned();
        Headers {
            cookie: Some(Cookie { name, value }),
            clear_site_data,
        }
    }

    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        vary_by_cookie(headers);
        let Some(cookie) = &self.cookie else {
            return;
        };
        remove_cookie(headers, &cookie.name);
        headers.append(SET_COOKIE, cookie.value.clone());
        // Not `no-cache="Set-Cookie"`, which caches ignore (OWASP Session Management Cheat Sheet,
        // "Web Content Caching"); and in place of whatever the handler allowed.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.clear_site_data {
            headers.insert(
                HeaderName::from_static("clear-site-data"),
                HeaderValue::from_static("\"cache\", \"cookies\", \"storage\""),
            );
        }
    }
}

/// An inner error that became the response, with the session's headers added to it.
#[derive(Debug)]
pub(super) struct WithHeaders {
    pub(super) error: Error,
    pub(super) headers: Headers,
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
        self.headers.add_to(response.headers_mut());
        response
    }
}

/// Answered by its status alone: 409 for a conflict, 403 for one session too many, 503 for what may
/// be better soon, and 500.
impl ResponseError for SessionError {
    fn status_code(&self) -> StatusCode {
        status(self)
    }

    fn error_response(&self) -> HttpResponse {
        failure(self.status_code())
    }
}

/// Answered by its status alone: 503 for what may be better soon, and 500.
impl ResponseError for StoreError {
    fn status_code(&self) -> StatusCode {
        if self.is_temporary() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }

    fn error_response(&self) -> HttpResponse {
        failure(self.status_code())
    }
}

pub(super) fn status(error: &SessionError) -> StatusCode {
    match error {
        SessionError::Conflict(_) => StatusCode::CONFLICT,
        SessionError::TooManySessions { .. } => StatusCode::FORBIDDEN,
        SessionError::Store(error) => error.status_code(),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A response that says no more than its status (ASVS 5.0 row 16.5.1).
pub(super) fn failure(status: StatusCode) -> HttpResponse {
    let mut response = HttpResponse::new(status);
    let headers = response.headers_mut();
    vary_by_cookie(headers);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn vary_by_cookie(headers: &mut HeaderMap) {
    let is_said = headers
        .get_all(VARY)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("cookie"));
    if !is_said {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
}

/// A response must not set one cookie twice (RFC 6265bis §4.1.1). The others stay, in their order.
fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let is_ours = |value: &HeaderValue| {
        value
            .as_bytes()
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"="))
    };
    if !headers.get_all(SET_COOKIE).any(is_ours) {
        return;
    }
    let others: Vec<_> = headers.remove(SET_COOKIE).collect();
    for value in others.into_iter().filter(|value| !is_ours(value)) {
        headers.append(SET_COOKIE, value);
    }
}
