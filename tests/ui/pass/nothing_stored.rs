//! A struct that stores nothing, with and without fields.
#![deny(warnings, missing_docs, unused)]

use session::Session;

/// Nothing at all.
#[derive(Debug, Default, Session)]
pub struct Empty {}

/// One field, never stored.
#[derive(Debug, Default, Session)]
pub struct Skipped {
    /// Counts within the request.
    #[session(skip)]
    pub seen: u32,
}

fn main() {
    assert_eq!(Skipped::default().seen, 0);
}
