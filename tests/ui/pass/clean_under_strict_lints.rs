//! Generated code is clean under everything a careful user denies.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    single_use_lifetimes,
    trivial_casts,
    unused_results,
    unused_lifetimes,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    dead_code
)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]

use session::Session;

/// A visit.
#[derive(Debug, Default, Session)]
pub struct Visit {
    /// Who is signed in.
    #[session(rotate)]
    pub user: Option<String>,
    /// What they buy.
    pub(crate) cart: Vec<u32>,
    #[session(secret)]
    csrf: Option<String>,
    #[session(skip)]
    request: u64,
    #[session(default = 7, alias = "old_size", rename = "size")]
    page_size: u8,
    /// Not used any more.
    #[deprecated(note = "use `cart`")]
    pub basket: Vec<u32>,
}

fn main() {
    let read = |visit: &Visit| (visit.csrf.is_some(), visit.request, visit.page_size, visit.cart.len());
    assert_eq!(read(&Visit::default()), (false, 0, 0, 0));
}
