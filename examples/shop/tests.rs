//! The shop's handlers, one request at a time: a visitor with a session to begin with, and a look at
//! what became of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::{App, web};
use session::minutes;
use session::testing::{TestSessions, TestVisitor};

use crate::accounts::Accounts;
use crate::catalog::PRODUCTS;
use crate::csrf::CsrfToken;
use crate::handlers::{Checkout, routes};
use crate::visit::{Cart, Visit, VisitTracked};

/// The shop over these sessions.
macro_rules! shop {
    ($sessions:expr) => {
        init_service(
            App::new()
                .wrap($sessions.middleware())
                .app_data(web::Data::new(Accounts::default()))
                .app_data(web::Data::new(Checkout {
                    payment_takes: Duration::ZERO,
                }))
                .configure(routes),
        )
        .await
    };
}

fn token() -> CsrfToken {
    serde_json::from_str("\"token\"").unwrap()
}

async fn visitor(sessions: &TestSessions, fill: impl FnOnce(&mut VisitTracked)) -> TestVisitor {
    let fill = |visit: &mut VisitTracked| {
        visit.set_csrf(Some(token()));
        fill(visit);
    };
    sessions.visitor::<Visit>(fill).await
}

fn form(address: &str, fields: &[(&str, &str)]) -> TestRequest {
    TestRequest::post().uri(address).set_form(fields)
}

fn cart_of_one() -> Cart {
    let mut cart = Cart::default();
    cart.add(&PRODUCTS[0]);
    cart
}

#[actix_web::test]
async fn a_form_of_the_shop_fills_the_cart_and_a_foreign_one_does_not() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let product = PRODUCTS[0].id.to_string();
    let mut guest = visitor(&sessions, |_| {}).await;
    let foreign = form("/cart/add", &[("csrf", "guess"), ("product", &product)]);
    assert_eq!(guest.call(&shop, foreign).await.status(), 403);
    guest
        .assert_session::<Visit>(|visit| visit.set_csrf(Some(token())))
        .await;
    let own = form("/cart/add", &[("csrf", "token"), ("product", &product)]);
    assert_eq!(guest.call(&shop, own).await.status(), 303);
    guest
        .assert_session::<Visit>(|visit| {
            visit.set_csrf(Some(token()));
            visit.set_cart(cart_of_one());
            visit.set_notice(Some(format!("{} is in your cart.", PRODUCTS[0].name)));
        })
        .await;
}

#[actix_web::test]
async fn a_notice_is_shown_on_one_page() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let mut guest = visitor(&sessions, |visit| {
        visit.set_notice(Some("Hello there.".into()));
    })
    .await;
    for is_shown in [true, false] {
        let response = guest.call(&shop, TestRequest::get().uri("/")).await;
        let page = read_body(response).await;
        let page = String::from_utf8_lossy(&page).into_owned();
        assert_eq!(page.contains("Hello there."), is_shown);
    }
    assert_eq!(guest.session::<Visit>().await.views, 2);
}

#[actix_web::test]
async fn signing_in_changes_the_cookie_and_keeps_the_cart() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let mut guest = visitor(&sessions, |visit| visit.set_cart(cart_of_one())).await;
    let before = guest.clone();
    let fields = [
        ("csrf", "token"),
        ("name", "ada"),
        ("password", "difference-engine"),
    ];
    assert_eq!(
        guest.call(&shop, form("/sign-in", &fields)).await.status(),
        303
    );
    assert_ne!(guest.cookie(), before.cookie());
    let session = guest.session::<Visit>().await;
    assert_eq!(session.user.as_deref(), Some("ada"));
    assert_eq!(session.cart, cart_of_one());
    assert!(!session.csrf.as_ref().unwrap().is("token"), "a new token");
    assert!(
        before.session::<Visit>().await.is_new(),
        "the old id is worthless"
    );
}

#[actix_web::test]
async fn paying_needs_a_visitor_who_is_signed_in() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    for (user, to) in [(None, "/sign-in"), (Some("ada"), "/")] {
        let mut buyer = visitor(&sessions, |visit| {
            visit.set_cart(cart_of_one());
            visit.set_user(user.map(str::to_owned));
        })
        .await;
        let response = buyer
            .call(&shop, form("/checkout", &[("csrf", "token")]))
            .await;
        assert_eq!(response.headers().get(LOCATION).unwrap(), to);
        assert_eq!(
            buyer.session::<Visit>().await.cart.is_empty(),
            user.is_some()
        );
    }
}

/// The guards: who is not signed in is sent to sign in, and who has not typed the password for ten
/// minutes is asked for it.
#[actix_web::test]
async fn the_password_page_needs_a_fresh_password() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let get = || TestRequest::get().uri("/account/password");
    let mut guest = visitor(&sessions, |_| {}).await;
    let response = guest.call(&shop, get()).await;
    assert_eq!(response.headers().get(LOCATION).unwrap(), "/sign-in");
    let mut ada = visitor(&sessions, |visit| visit.set_user(Some("ada".into()))).await;
    let response = ada.call(&shop, get()).await;
    assert_eq!(
        response.headers().get(LOCATION).unwrap(),
        "/account/confirm"
    );
    for (password, to) in [
        ("wrong", "/account/confirm"),
        ("difference-engine", "/account/password"),
    ] {
        let fields = [("csrf", "token"), ("password", password)];
        let response = ada.call(&shop, form("/account/confirm", &fields)).await;
        assert_eq!(response.headers().get(LOCATION).unwrap(), to);
    }
    assert_eq!(ada.call(&shop, get()).await.status(), 200);
    sessions.clock().advance(minutes(10));
    let response = ada.call(&shop, get()).await;
    assert_eq!(
        response.headers().get(LOCATION).unwrap(),
        "/account/confirm"
    );
}

/// Every session that is alive when the next version of the shop starts must be readable by it.
#[test]
fn live_sessions_stay_readable() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/shop/visit.session");
    session::testing::assert_stored_form::<Visit>(path, |visit| {
        visit.set_user(Some("ada".into()));
        visit.set_sudo(true);
        visit.set_browser("Firefox on Linux".into());
        visit.set_cart(cart_of_one());
        visit.set_notice(Some("Hello there.".into()));
        visit.set_views(7);
        visit.set_csrf(Some(token()));
    });
}
