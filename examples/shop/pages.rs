//! The pages, as HTML. Everything that is put into them is escaped by maud.

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};
use session::{SessionKey, Timestamp};

use crate::accounts::ACCOUNTS;
use crate::catalog::{PRODUCTS, Product, price};
use crate::visit::{Cart, Notice};

/// What every page shows of the visit.
pub(crate) struct Page {
    pub(crate) user: Option<String>,
    pub(crate) in_cart: u32,
    pub(crate) notice: Option<Notice>,
    /// Where a sign-in returns to.
    pub(crate) here: &'static str,
}

pub(crate) fn index(page: &Page) -> Markup {
    frame(
        page,
        "Leaf & Kettle",
        &html! {
            section.hero {
                h1 { "Tea, and nothing else." }
                p { "Six teas, picked by people who drink them." }
            }
            ul.products {
                @for product in &PRODUCTS {
                    li.product {
                        (picture(product))
                        div.about {
                            h2 { (product.name) }
                            p { (product.says) }
                        }
                        div.buy {
                            span.price { (price(product.cents)) }
                            form method="post" action="/cart/add" {
                                input type="hidden" name="product" value=(product.id);
                                button aria-label={ "Add " (product.name) " to the cart" } { "Add" }
                            }
                        }
                    }
                }
            }
        },
    )
}

pub(crate) fn cart(page: &Page, cart: &Cart, has_ended: bool) -> Markup {
    frame(
        page,
        "Your cart",
        &html! {
            h1 { "Your cart" }
            @if cart.is_empty() {
                (ended(has_ended))
                p { "It is empty. " a href="/" { "There is tea over here." } }
            } @else {
                ul.lines {
                    @for (product, quantity) in cart.lines() {
                        li.line {
                            (picture(product))
                            div.about {
                                h2 { (product.name) }
                                p { (price(product.cents)) " each" }
                            }
                            form.quantity method="post" action="/cart/change" {
                                input type="hidden" name="product" value=(product.id);
                                label {
                                    span.quiet { "Quantity" }
                                    input type="number" name="quantity" min="0" max=(Cart::MOST)
                                        value=(quantity) inputmode="numeric" required;
                                }
                                button.plain { "Change" }
                            }
                            span.price { (price(product.cents * u32::from(quantity))) }
                        }
                    }
                }
                div.total {
                    p { "Together " strong { (price(cart.total_cents())) } }
                    form method="post" action="/checkout" {
                        button { @if page.user.is_some() { "Pay" } @else { "Sign in to pay" } }
                    }
                }
            }
        },
    )
}

pub(crate) fn sign_in(page: &Page, has_ended: bool) -> Markup {
    frame(
        page,
        "Sign in",
        &html! {
            h1 { "Sign in" }
            (ended(has_ended))
            form.card method="post" action="/sign-in" {
                input type="hidden" name="to" value=(page.here);
                label { "Name" input name="name" autocomplete="username" required autofocus; }
                label {
                    "Password"
                    input type="password" name="password" autocomplete="current-password" required;
                }
                label.check {
                    input type="checkbox" name="remember" value="1";
                    "Stay signed in for 30 days"
                }
                button { "Sign in" }
            }
            p.quiet {
                "This is an example: "
                @for (index, account) in ACCOUNTS.iter().enumerate() {
                    @if index > 0 { ", or " }
                    code { (account.name) } " with " code { (account.password) }
                }
                "."
            }
        },
    )
}

/// Somewhere where the visitor is signed in.
pub(crate) struct Place {
    pub(crate) key: SessionKey,
    pub(crate) browser: String,
    pub(crate) last_seen: Timestamp,
    pub(crate) is_this: bool,
}

pub(crate) fn account(page: &Page, places: &[Place]) -> Markup {
    frame(
        page,
        "Your account",
        &html! {
            h1 { "Your account" }
            h2 { "Where you are signed in" }
            ul.lines {
                @for place in places {
                    li.line.place {
                        div.about {
                            h2 { (place.browser) @if place.is_this { " – this one" } }
                            p { "Last seen " (time(place.last_seen)) }
                        }
                        @if !place.is_this {
                            form method="post" action="/account/end" {
                                input type="hidden" name="key" value=(place.key);
                                button.plain { "Sign out there" }
                            }
                        }
                    }
                }
            }
            div.actions {
                @if places.len() > 1 {
                    form method="post" action="/account/end-others" {
                        button.plain { "Sign out everywhere else" }
                    }
                }
                a href="/account/password" { "Change your password" }
            }
        },
    )
}

pub(crate) fn confirm(page: &Page) -> Markup {
    frame(
        page,
        "Your password, please",
        &html! {
            h1 { "Your password, please" }
            p { "Only you may change what comes next, so please type it again." }
            form.card method="post" action="/account/confirm" {
                label {
                    "Password"
                    input type="password" name="password" autocomplete="current-password" required autofocus;
                }
                button { "Go on" }
            }
        },
    )
}

pub(crate) fn password(page: &Page, left: Option<Duration>) -> Markup {
    frame(
        page,
        "Change your password",
        &html! {
            h1 { "Change your password" }
            @if let Some(left) = left {
                p.quiet { "You can do so for another " (left.as_secs().div_ceil(60)) " minutes." }
            }
            form.card method="post" action="/account/password" {
                label {
                    "New password"
                    input type="password" name="password" autocomplete="new-password" minlength="8" required;
                }
                button { "Change it" }
            }
        },
    )
}

/// Shown without a visit, so that it can be shown whatever is wrong.
pub(crate) fn problem(says: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head("Oh."))
            body {
                main {
                    h1 { "Oh." }
                    p { (says) }
                    p { a href="/" { "Back to the shop" } }
                }
            }
        }
    }
}

fn frame(page: &Page, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                header {
                    a.name href="/" { "Leaf & Kettle" }
                    nav {
                        a href="/cart" { "Cart" span.badge { (page.in_cart) } }
                        @if let Some(user) = &page.user {
                            form method="post" action="/sign-out" {
                                a.user href="/account" { (user) }
                                button.plain { "Sign out" }
                            }
                        } @else {
                            a href={ "/sign-in?to=" (page.here) } { "Sign in" }
                        }
                    }
                }
                @match &page.notice {
                    Some(Notice::Done(text)) => p.notice role="status" { (text) },
                    Some(Notice::Refused(text)) => p.notice.refused role="alert" { (text) },
                    None => {}
                }
                main { (content) }
                footer {
                    p { a href="/session" { "What this shop keeps of your visit" } }
                }
            }
        }
    }
}

/// Tells a visitor whose session has ended from one who has just come.
fn ended(has_ended: bool) -> Markup {
    html! {
        @if has_ended {
            p.notice.refused role="alert" { "Your last visit has ended." }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            link rel="stylesheet" href="/style.css";
        }
    }
}

/// The day and the time, in UTC.
fn time(moment: Timestamp) -> Markup {
    let text = humantime::format_rfc3339_seconds(moment.into()).to_string();
    let day = text.get(..10).unwrap_or_default();
    let minute = text.get(11..16).unwrap_or_default();
    html! { time datetime=(text) { (day) ", " (minute) " UTC" } }
}

/// A cup of it.
fn picture(product: &Product) -> Markup {
    html! {
        svg class={ "picture " (product.tint) } viewBox="0 0 120 80" aria-hidden="true" {
            path.steam d="M46 22c-6-7 6-9 0-17M60 22c-6-7 6-9 0-17M74 22c-6-7 6-9 0-17" {}
            path.handle d="M86 38c18-3 18 24-3 23" {}
            path.cup d="M30 30h60c0 26-12 40-30 40S30 56 30 30z" {}
            ellipse.tea cx="60" cy="31" rx="27" ry="5" {}
            ellipse.saucer cx="60" cy="73" rx="38" ry="4" {}
        }
    }
}
