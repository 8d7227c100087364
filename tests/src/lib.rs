//! What the whole-library tests share: a probe application on real sockets, a client that sends
//! exactly the bytes it is told to, and a look at stores and logs.

pub mod client;
pub mod crash;
pub mod events;
pub mod faults;
pub mod gate;
pub mod probe;
mod probe_axum;
pub mod process;
pub mod server;
pub mod stores;
pub mod tools;

/// The code in the README and in the guides compiles and runs.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    pub struct Readme;
    #[doc = include_str!("../../docs/fields.md")]
    pub struct Fields;
    #[doc = include_str!("../../docs/custom-store.md")]
    pub struct CustomStore;
    #[doc = include_str!("../../docs/coming-from-werkzeug.md")]
    pub struct ComingFromWerkzeug;
}
