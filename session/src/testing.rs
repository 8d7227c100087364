//! For tests: of applications that use sessions, and of stores.

mod clock;

pub use clock::TestClock;
