//! How the filesystem store behaves as its folder grows.

mod bare;
mod operations;
mod population;
mod walks;

pub use bare::Folder;
pub use operations::{cold, operations, repeat};
pub use population::{Population, populate};
pub use walks::{bare_walk, list, sweep};
