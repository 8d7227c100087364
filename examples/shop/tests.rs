//! The shop's handlers, one request at a time: a visitor with a session to begin with, and what its
//! session holds afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use actix_web::http::header::{LOCATION, SET_COOKIE};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::{App, web};
use session::minutes;
use session::testing::TestSessions;

use crate::accounts::Accounts;
use crate::catalog::PRODUCTS;
use crate::handlers::{Checkout, not_saved, routes};
use crate::same_origin::same_origin;
use crate::visit::{Cart, Notice, Visit, VisitTracked};

/// The shop over these sessions.
macro_rules! shop {
    ($sessions:expr) => {
        init_service(
            App::new()
                .wrap($sessions.middleware().on_failed_save(not_saved))
                .wrap(from_fn(same_origin))
                .app_data(web::Data::new(Accounts::default()))
                .app_data(web::Data::new(Checkout {
                    payment_takes: Duration::ZERO,
                }))
                .configure(routes),
        )
        .await
    };
}

/// The page that this visitor gets at this address, as text.
macro_rules! page {
    ($visitor:expr, $shop:expr, $address:expr) => {{
        let get = TestRequest::get().uri($address);
        let page = read_body($visitor.call(&$shop, get).await).await;
        String::from_utf8_lossy(&page).into_owned()
    }};
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
    let mut guest = sessions.stranger();
    let add = || form("/cart/add", &[("product", &product)]);
    for foreign in [
        add().insert_header(("sec-fetch-site", "cross-site")),
        add().insert_header(("sec-fetch-site", "same-site")),
        add().insert_header(("origin", "https://shop.example.evil")),
        add().insert_header(("origin", "null")),
    ] {
        let foreign = foreign.insert_header(("host", "shop.example"));
        assert_eq!(guest.call(&shop, foreign).await.status(), 403);
        assert_eq!(guest.cookie(), None);
    }
    let own = add().insert_header(("sec-fetch-site", "same-origin"));
    assert_eq!(guest.call(&shop, own).await.status(), 303);
    let own = add()
        .insert_header(("origin", "https://shop.example"))
        .insert_header(("host", "shop.example"));
    assert_eq!(guest.call(&shop, own).await.status(), 303);
    guest
        .assert_session::<Visit>(|visit| {
            let mut two = cart_of_one();
            two.add(&PRODUCTS[0]);
            visit.set_cart(two);
            let notice = format!("{} is in your cart.", PRODUCTS[0].name);
            visit.set_notice(Some(Notice::done(notice)));
        })
        .await;
}

#[actix_web::test]
async fn looking_around_stores_nothing() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let mut guest = sessions.stranger();
    for address in ["/", "/cart", "/sign-in", "/session", "/account"] {
        let response = guest.call(&shop, TestRequest::get().uri(address)).await;
        assert!(!response.headers().contains_key(SET_COOKIE), "{address}");
    }
    assert_eq!(guest.cookie(), None);
}

#[actix_web::test]
async fn a_notice_is_shown_on_one_page() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let greeting = |visit: &mut VisitTracked| {
        visit.set_notice(Some(Notice::done("Hello there.")));
    };
    let mut guest = sessions.visitor::<Visit>(greeting).await;
    for is_shown in [true, false] {
        let page = page!(guest, shop, "/");
        assert_eq!(page.contains("Hello there."), is_shown);
    }
}

#[actix_web::test]
async fn signing_in_changes_the_cookie_keeps_the_cart_and_returns_to_the_page() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let fill = |visit: &mut VisitTracked| visit.set_cart(cart_of_one());
    let mut guest = sessions.visitor::<Visit>(fill).await;
    let before = guest.clone();
    let sign_in = |password, to| {
        let fields = [("name", "ada"), ("password", password), ("to", to)];
        form("/sign-in", &fields)
    };
    let response = guest.call(&shop, sign_in("wrong", "/cart")).await;
    assert_eq!(
        response.headers().get(LOCATION).unwrap(),
        "/sign-in?to=/cart"
    );
    assert_eq!(guest.cookie(), before.cookie());
    let page = page!(guest, shop, "/sign-in?to=/cart");
    assert!(page.contains("role=\"alert\">Name or password is wrong."));

    let right = sign_in("difference-engine", "/cart");
    let response = guest.call(&shop, right).await;
    assert_eq!(response.headers().get(LOCATION).unwrap(), "/cart");
    assert_ne!(guest.cookie(), before.cookie());
    let session = guest.session::<Visit>().await;
    assert_eq!(session.user.as_deref(), Some("ada"));
    assert_eq!(session.cart, cart_of_one());
    let old = before.session::<Visit>().await;
    assert!(old.is_new(), "the old cookie opens nothing");

    let elsewhere = sign_in("difference-engine", "https://evil.example/");
    let response = guest.call(&shop, elsewhere).await;
    assert_eq!(response.headers().get(LOCATION).unwrap(), "/");
}

#[actix_web::test]
async fn a_visitor_whose_session_has_ended_is_told_so() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let fill = |visit: &mut VisitTracked| visit.set_cart(cart_of_one());
    let mut guest = sessions.visitor::<Visit>(fill).await;
    let says = "Your last visit has ended.";
    assert!(!page!(guest, shop, "/cart").contains(says));
    sessions.clock().advance(minutes(31));
    assert!(page!(guest, shop, "/cart").contains(says));
    let mut stranger = sessions.stranger();
    assert!(!page!(stranger, shop, "/cart").contains(says));
}

#[actix_web::test]
async fn a_session_is_ended_from_another_browser_of_its_user_only() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let ada = |visit: &mut VisitTracked| visit.set_user(Some("ada".into()));
    let mut here = sessions.visitor::<Visit>(ada).await;
    let there = sessions.visitor::<Visit>(ada).await;
    let grace = |visit: &mut VisitTracked| visit.set_user(Some("grace".into()));
    let mut grace = sessions.visitor::<Visit>(grace).await;

    let page = page!(here, shop, "/account");
    let key = there.session::<Visit>().await.key().unwrap().to_string();
    assert!(page.contains(&key));
    let end = || form("/account/end", &[("key", &key)]);
    assert_eq!(grace.call(&shop, end()).await.status(), 303);
    assert!(!there.session::<Visit>().await.is_new());
    assert_eq!(here.call(&shop, end()).await.status(), 303);
    assert!(there.session::<Visit>().await.is_new());
}

#[actix_web::test]
async fn paying_needs_a_visitor_who_is_signed_in() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    for (user, to) in [(None, "/sign-in?to=/cart"), (Some("ada"), "/")] {
        let fill = |visit: &mut VisitTracked| {
            visit.set_cart(cart_of_one());
            visit.set_user(user.map(str::to_owned));
        };
        let mut buyer = sessions.visitor::<Visit>(fill).await;
        let response = buyer.call(&shop, form("/checkout", &[])).await;
        assert_eq!(response.headers().get(LOCATION).unwrap(), to);
        let session = buyer.session::<Visit>().await;
        assert_eq!(session.cart.is_empty(), user.is_some());
        assert_eq!(session.orders, u32::from(user.is_some()));
    }
}

/// The guards: a visitor who is not signed in is sent to the sign-in page, and one who has not typed
/// the password for ten minutes is asked for it.
#[actix_web::test]
async fn the_password_page_needs_a_fresh_password() {
    let sessions = TestSessions::new();
    let shop = shop!(sessions);
    let get = || TestRequest::get().uri("/account/password");
    let mut guest = sessions.stranger();
    let response = guest.call(&shop, get()).await;
    let to_sign_in = "/sign-in?to=/account";
    assert_eq!(response.headers().get(LOCATION).unwrap(), to_sign_in);
    let ada = |visit: &mut VisitTracked| visit.set_user(Some("ada".into()));
    let mut ada = sessions.visitor::<Visit>(ada).await;
    let response = ada.call(&shop, get()).await;
    assert_eq!(
        response.headers().get(LOCATION).unwrap(),
        "/account/confirm"
    );
    for (password, to) in [
        ("wrong", "/account/confirm"),
        ("difference-engine", "/account/password"),
    ] {
        let confirm = form("/account/confirm", &[("password", password)]);
        let response = ada.call(&shop, confirm).await;
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
        visit.set_notice(Some(Notice::done("Hello there.")));
        visit.set_orders(7);
    });
}
