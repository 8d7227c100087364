//! For tests: of applications that use sessions, and of stores.

mod clock;
pub mod conformance;
mod counting;

pub use clock::TestClock;
pub use counting::{Calls, CountingStore};
