//! Refuses forms that another site sends in the visitor's name (cross-site request forgery).
//!
//! Browsers say where a request comes from, by `Sec-Fetch-Site` or, where they do not send that, by `Origin`
//! (OWASP Cross-Site Request Forgery Prevention Cheat Sheet, "Fetch Metadata headers"). So the forms need no
//! token, and a visitor who only looks around needs no session. `SameSite=Lax` is a second line of defence.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _};

use crate::handlers::Problem;

/// A middleware: lets a request that changes something pass only when it comes from this very site.
pub(crate) async fn same_origin(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.method().is_safe() || is_same_origin(request.headers()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(request.into_response(Problem::ForeignForm.error_response()))
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        // `none` is a request that the visitor made without any page, by the address bar for instance.
        return site == "same-origin" || site == "none";
    }
    match headers.get(ORIGIN) {
        Some(origin) => {
            let origin = origin.to_str().unwrap_or_default();
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            let origin_host = origin.split_once("://").map(|(_, host)| host);
            origin_host.is_some() && origin_host == host
        }
        // Every browser sends one of the two with a form, so this is none, and carries no visitor's cookie.
        None => true,
    }
}
