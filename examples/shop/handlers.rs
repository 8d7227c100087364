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
use session::{Arrival, Session, SessionError, StoreError, days};

use crate::accounts::Accounts;
use crate::catalog::ProductId;
use crate::visit::{Cart, Notice, Visit};
use crate::{account, pages};

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

/// The settings of the checkout.
pub(crate) struct Checkout {
    pub(crate) payment_takes: Duration,
}

async fn index(mut session: Session<Visit>) -> HttpResponse {
    html(&pages::index(&page(&mut session, "/")))
}

async fn cart(mut session: Session<Visit>) -> HttpResponse {
    let page = page(&mut session, "/cart");
    html(&pages::cart(&page, &session.cart, has_ended(&session)))
}

#[derive(Deserialize)]
struct WayBack {
    #[serde(default)]
    to: String,
}

async fn sign_in_page(mut session: Session<Visit>, way: web::Query<WayBack>) -> HttpResponse {
    let page = page(&mut session, way_back(&way.to));
    html(&pages::sign_in(&page, has_ended(&session)))
}

#[derive(Deserialize)]
struct AddForm {
    product: ProductId,
}

async fn add(
    mut session: Session<Visit>,
    form: web::Form<AddForm>,
) -> Result<HttpResponse, Problem> {
    let product = form.product.product().ok_or(Problem::NotFound)?;
    session.cart_mut().add(product);
    session.set_notice(Some(Notice::done(format!(
        "{} is in your cart.",
        product.name
    ))));
    Ok(see("/"))
}

#[derive(Deserialize)]
struct ChangeForm {
    product: ProductId,
    quantity: u8,
}

async fn change(
    mut session: Session<Visit>,
    form: web::Form<ChangeForm>,
) -> Result<HttpResponse, Problem> {
    let product = form.product.product().ok_or(Problem::NotFound)?;
    if form.quantity > Cart::MOST {
        return Err(Problem::TooMany);
    }
    session.cart_mut().set(product, form.quantity);
    session.set_notice(Some(Notice::done("Your cart has changed.")));
    Ok(see("/cart"))
}

/// The slow request of this shop: the payment takes its time. If the visitor signs out meanwhile in
/// another tab, what is set here afterwards does not bring the session back.
async fn check_out(mut session: Session<Visit>, checkout: web::Data<Checkout>) -> HttpResponse {
    if session.user.is_none() {
        session.set_notice(Some(Notice::refused("Please sign in to pay.")));
        return see("/sign-in?to=/cart");
    }
    if session.cart.is_empty() {
        return see("/cart");
    }
    rt::time::sleep(checkout.payment_takes).await;
    session.set_cart(Cart::default());
    *session.orders_mut() += 1;
    let order = session.orders;
    session.set_notice(Some(Notice::done(format!(
        "Thank you. Order {order} of this visit is on its way."
    ))));
    see("/")
}

#[derive(Deserialize)]
struct SignInForm {
    name: String,
    password: String,
    remember: Option<String>,
    #[serde(default)]
    to: String,
}

/// How long a browser is asked to remember a visitor who wants to be remembered.
const REMEMBERED: Duration = days(30);

async fn sign_in(
    mut session: Session<Visit>,
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    form: web::Form<SignInForm>,
) -> Result<HttpResponse, Problem> {
    let form = form.into_inner();
    let to = way_back(&form.to);
    let Some(name) = accounts.authenticate(form.name, form.password).await? else {
        session.set_notice(Some(Notice::refused("Name or password is wrong.")));
        return Ok(see(&format!("/sign-in?to={to}")));
    };
    // The field is marked `rotate`, so the session gets a new secret and the response a new cookie.
    session.set_user(Some(name.to_owned()));
    session.set_sudo(false);
    session.set_browser(browser(&request));
    session.persist_for(form.remember.map(|_| REMEMBERED));
    session.set_notice(Some(Notice::done(format!("Welcome, {name}."))));
    Ok(see(to))
}

/// The page that a sign-in returns to: one of the shop's own, whatever the form says.
fn way_back(to: &str) -> &'static str {
    let pages = ["/cart", "/account", "/account/password"];
    pages.into_iter().find(|page| *page == to).unwrap_or("/")
}

/// Whether the visitor came with the cookie of a session that has ended.
fn has_ended(session: &Session<Visit>) -> bool {
    matches!(session.arrival(), Arrival::Ended | Arrival::Unknown)
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

async fn sign_out(mut session: Session<Visit>) -> HttpResponse {
    session.destroy();
    // After a destroy this begins a new, anonymous session.
    session.set_notice(Some(Notice::done("You are signed out.")));
    see("/")
}

/// The session's fields and times, and its key, which is no secret.
async fn session(session: Session<Visit>) -> web::Json<serde_json::Value> {
    web::Json(json!({
        "key": session.key().map(|key| key.to_string()),
        "arrival": format!("{:?}", session.arrival()),
        "is_new": session.is_new(),
        "user": session.user,
        "sudo_for": session.expires_in_sudo().filter(|_| session.sudo).map(|left| left.as_secs()),
        "browser": session.browser,
        "cart": session.cart,
        "notice": session.notice,
        "orders": session.orders,
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

/// What every page shows of the visit; takes the notice. Without a notice it changes nothing, so that
/// looking at a page writes nothing.
pub(crate) fn page(session: &mut Session<Visit>, here: &'static str) -> pages::Page {
    pages::Page {
        notice: session.take_notice(),
        user: session.user.clone(),
        in_cart: session.cart.count(),
        here,
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
    Overtaken,
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
            Problem::ForeignForm => "This form did not come from this shop. Nothing was changed.",
            Problem::Overtaken => {
                "Another page of yours was faster. Please go back, reload the page and try again."
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
            Problem::Overtaken => StatusCode::CONFLICT,
            Problem::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Problem::SignInFirst => return see("/sign-in?to=/account"),
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

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        SessionError::from(error).into()
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error.status() {
            401 => Problem::SignInFirst,
            409 => Problem::Overtaken,
            413 => Problem::TooMany,
            status => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a session cannot be read or changed"
                );
                if status == 503 {
                    Problem::Unavailable
                } else {
                    Problem::Internal
                }
            }
        }
    }
}

/// The page for a response whose session could not be saved. The library has logged the error.
pub(crate) fn not_saved(error: &SessionError, _: &HttpRequest) -> HttpResponse {
    let problem = match error.status() {
        401 => Problem::SignInFirst,
        409 => Problem::Overtaken,
        413 => Problem::TooMany,
        503 => Problem::Unavailable,
        _ => Problem::Internal,
    };
    problem.error_response()
}

/// A middleware: the pages load nothing foreign and nothing inline, and are shown in no frame.
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
