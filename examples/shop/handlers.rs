//! What happens on each address.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{StatusCode, header::ContentType};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, rt, web};
use maud::Markup;
use serde::Deserialize;
use serde_json::json;
use session::{Session, StoreError, days};

use crate::accounts::Accounts;
use crate::catalog::ProductId;
use crate::visit::{Cart, Visit};
use crate::{account, csrf, pages};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(index))
        .route("/cart", web::get().to(cart))
        .route("/cart/add", web::post().to(add))
        .route("/cart/change", web::post().to(change))
        .route("/checkout", web::post().to(check_out))
        .route("/sign-in", web::get().to(sign_in_page))
        .route("/sign-in", web::post().to(sign_in))
        .route("/sign-out", web::post().to(sign_out))
        .configure(account::routes)
        .route("/session", web::get().to(session))
        .route("/health", web::get().to(health))
        .route("/style.css", web::get().to(style))
        .default_service(web::to(not_found));
}

/// How paying goes.
pub(crate) struct Checkout {
    pub(crate) payment_takes: Duration,
}

async fn index(mut session: Session<Visit>) -> Result<HttpResponse, Problem> {
    let page = page(&mut session)?;
    Ok(html(&pages::index(&page)))
}

async fn cart(mut session: Session<Visit>) -> Result<HttpResponse, Problem> {
    let page = page(&mut session)?;
    Ok(html(&pages::cart(&page, &session.cart)))
}

async fn sign_in_page(mut session: Session<Visit>) -> Result<HttpResponse, Problem> {
    let page = page(&mut session)?;
    Ok(html(&pages::sign_in(&page)))
}

#[derive(Deserialize)]
struct AddForm {
    csrf: String,
    product: ProductId,
}

async fn add(
    mut session: Session<Visit>,
    form: web::Form<AddForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    let product = form.product.product().ok_or(Problem::NotFound)?;
    session.cart_mut().add(product);
    session.set_notice(Some(format!("{} is in your cart.", product.name)));
    Ok(see("/"))
}

#[derive(Deserialize)]
struct ChangeForm {
    csrf: String,
    product: ProductId,
    quantity: u8,
}

async fn change(
    mut session: Session<Visit>,
    form: web::Form<ChangeForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    let product = form.product.product().ok_or(Problem::NotFound)?;
    if form.quantity > Cart::MOST {
        return Err(Problem::TooMany);
    }
    session.cart_mut().set(product, form.quantity);
    session.set_notice(Some(String::from("Your cart has changed.")));
    Ok(see("/cart"))
}

#[derive(Deserialize)]
pub(crate) struct BareForm {
    pub(crate) csrf: String,
}

/// The slow request of this shop: the payment takes its time. Should the visitor sign out meanwhile,
/// in another tab, what is set here afterwards does not bring the session back.
async fn check_out(
    mut session: Session<Visit>,
    form: web::Form<BareForm>,
    checkout: web::Data<Checkout>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    if session.user.is_none() {
        session.set_notice(Some(String::from("Please sign in to pay.")));
        return Ok(see("/sign-in"));
    }
    if session.cart.is_empty() {
        return Ok(see("/cart"));
    }
    rt::time::sleep(checkout.payment_takes).await;
    session.set_cart(Cart::default());
    session.set_notice(Some(String::from("Thank you. Your tea is on its way.")));
    Ok(see("/"))
}

#[derive(Deserialize)]
struct SignInForm {
    csrf: String,
    name: String,
    password: String,
    remember: Option<String>,
}

/// How long a browser is asked to remember a visitor who wants to be.
const REMEMBERED: Duration = days(30);

async fn sign_in(
    mut session: Session<Visit>,
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    form: web::Form<SignInForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    let form = form.into_inner();
    let Some(name) = accounts.authenticate(form.name, form.password).await? else {
        session.set_notice(Some(String::from("Name or password is wrong.")));
        return Ok(see("/sign-in"));
    };
    // The field is marked `rotate`: the session gets a new id by itself.
    session.set_user(Some(name.to_owned()));
    session.set_sudo(false);
    session.set_browser(browser(&request));
    session.persist_for(form.remember.map(|_| REMEMBERED));
    csrf::renew(&mut session)?;
    session.set_notice(Some(format!("Welcome, {name}.")));
    Ok(see("/"))
}

/// What the browser calls itself, in a few words.
fn browser(request: &HttpRequest) -> String {
    let says = request.headers().get(USER_AGENT);
    let says = says
        .and_then(|says| says.to_str().ok())
        .unwrap_or("unknown");
    let product = ["Firefox", "Edg", "Chrome", "Safari", "curl"]
        .into_iter()
        .find(|product| says.contains(product));
    let system = ["Windows", "Android", "iPhone", "Mac OS", "Linux"]
        .into_iter()
        .find(|system| says.contains(system));
    match (product, system) {
        (Some(product), Some(system)) => format!("{product} on {system}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => String::from("some browser"),
    }
}

async fn sign_out(
    mut session: Session<Visit>,
    form: web::Form<BareForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    session.destroy();
    // After a destroy this begins a new, anonymous session.
    session.set_notice(Some(String::from("You are signed out.")));
    Ok(see("/"))
}

/// The session's fields and times. Never its id, and nothing that is marked secret.
async fn session(session: Session<Visit>) -> web::Json<serde_json::Value> {
    web::Json(json!({
        "user": session.user,
        "cart": session.cart,
        "notice": session.notice,
        "views": session.views,
        "sudo_for": session.expires_in_sudo().map(|left| left.as_secs()),
        "is_new": session.is_new(),
        "created_at": session.created_at().as_millis(),
        "expires_at": session.expires_at().as_millis(),
    }))
}

async fn health() -> &'static str {
    "ok"
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .content_type("text/css; charset=utf-8")
        .body(include_str!("style.css"))
}

async fn not_found() -> Problem {
    Problem::NotFound
}

/// What every page shows of the visit; counts the view and takes the notice.
pub(crate) fn page(session: &mut Session<Visit>) -> Result<pages::Page, Problem> {
    *session.views_mut() += 1;
    let notice = session.take_notice();
    Ok(pages::Page {
        user: session.user.clone(),
        in_cart: session.cart.count(),
        views: session.views,
        csrf: csrf::token(session)?,
        notice,
    })
}

pub(crate) fn check(session: &Session<Visit>, sent: &str) -> Result<(), Problem> {
    match &session.csrf {
        Some(token) if token.is(sent) => Ok(()),
        _ => Err(Problem::ForeignForm),
    }
}

pub(crate) fn html(markup: &Markup) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        // Every page shows something of the visit.
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(markup.0.clone())
}

/// After a form, the browser is sent to a page, so that reloading it sends nothing twice.
pub(crate) fn see(address: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, address))
        .finish()
}

/// Why a page cannot be shown.
#[derive(Debug)]
pub(crate) enum Problem {
    NotFound,
    SignInFirst,
    PasswordFirst,
    Unavailable,
    TooMany,
    ForeignForm,
    Internal,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Problem::NotFound => "There is no such page or product.",
            Problem::SignInFirst => "Please sign in first.",
            Problem::PasswordFirst => "Please type your password first.",
            Problem::Unavailable => "We cannot look that up just now. Please try again.",
            Problem::TooMany => "That is more tea than we have.",
            Problem::ForeignForm => {
                "This form is out of date, or did not come from this shop. Nothing was changed: go \
                 back, reload the page, and try again."
            }
            Problem::Internal => "Something went wrong on our side. Nothing was changed.",
        })
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::SignInFirst | Problem::PasswordFirst => StatusCode::SEE_OTHER,
            Problem::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Problem::TooMany => StatusCode::BAD_REQUEST,
            Problem::ForeignForm => StatusCode::FORBIDDEN,
            Problem::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Problem::SignInFirst => return see("/sign-in"),
            Problem::PasswordFirst => return see("/account/confirm"),
            _ => {}
        }
        let mut page = html(&pages::problem(&self.to_string()));
        *page.status_mut() = self.status_code();
        page
    }
}

impl actix_web::Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

impl From<rand::rngs::SysError> for Problem {
    fn from(_: rand::rngs::SysError) -> Self {
        Problem::Internal
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "sessions cannot be looked up"
        );
        if error.is_temporary() {
            Problem::Unavailable
        } else {
            Problem::Internal
        }
    }
}

/// Nothing from elsewhere, nothing inline, in nobody's frame.
pub(crate) async fn security_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
