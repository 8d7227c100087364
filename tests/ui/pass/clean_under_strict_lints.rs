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

use std::collections::{HashMap, HashSet};

use session::Session;

/// A visit, without `Debug`: one of its fields is secret.
#[derive(Default, Session)]
#[allow(missing_debug_implementations, reason = "the session's own `Debug` prints the other fields")]
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
    /// Told apart by value.
    pub rights: HashMap<String, u32>,
    /// Told apart by value, once migrated.
    #[session(migrate = from_list)]
    pub(crate) seen: HashSet<u32>,
    /// Told apart by value, where that can be.
    pub theme: Theme,
    /// Stored by a module.
    #[session(with = stored)]
    pub flags: HashSet<bool>,
    /// Merged.
    #[session(merge = session::merge::sum, default = 1)]
    pub views: u64,
}

/// A theme.
#[derive(Debug, Default, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Theme(u8);

fn from_list(list: Vec<u32>) -> HashSet<u32> {
    list.into_iter().collect()
}

#[allow(clippy::redundant_pub_crate, reason = "`unreachable_pub` demands the opposite")]
mod stored {
    use std::collections::HashSet;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &HashSet<bool>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<HashSet<bool>, D::Error> {
        HashSet::deserialize(deserializer)
    }
}

fn main() {
    let read = |visit: &Visit| (visit.csrf.is_some(), visit.request, visit.page_size, visit.cart.len());
    assert_eq!(read(&Visit::default()), (false, 0, 0, 0));
}
