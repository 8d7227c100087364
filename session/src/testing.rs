//! For tests: of applications that use sessions, and of stores.

mod clock;
pub mod conformance;
mod counting;
mod stored_form;
#[cfg(feature = "actix-web")]
mod visitor;

pub use clock::TestClock;
pub use counting::{Calls, CountingStore};
pub use stored_form::assert_stored_form;
#[cfg(feature = "actix-web")]
pub use visitor::{TestSessions, TestVisitor};
