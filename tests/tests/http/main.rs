//! What every adapter promises, over real sockets: each test runs once in actix-web and once in axum.

#![expect(clippy::duplicate_mod, reason = "once for each framework")]

use session_tests::server::Framework;

#[path = "."]
mod actix {
    const FRAMEWORK: super::Framework = super::Framework::Actix;

    mod caching;
    mod cookies;
    mod failures;
    mod lifecycle;
    mod streams;
    mod tabs;
}

#[path = "."]
mod axum {
    const FRAMEWORK: super::Framework = super::Framework::Axum;

    mod caching;
    mod cookies;
    mod failures;
    mod lifecycle;
    mod streams;
    mod tabs;
}
