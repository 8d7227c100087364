//! What the adapters to frameworks share. Names no framework.

mod current;
mod error;
mod rules;

pub(crate) use current::Current;
pub use error::ExtractError;
pub(crate) use rules::{Entered, Rules};
