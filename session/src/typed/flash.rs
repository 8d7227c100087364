//! Types that a flash can have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// A type that a field marked `flash` can have: one with a value that means "nothing to show".
///
/// Implemented for `Option`, `String` and the collections of the standard library. For a type of
/// your own, its `Default` must be empty.
#[diagnostic::on_unimplemented(
    message = "a field of the type `{Self}` cannot be `flash`",
    label = "this type has no value that means \"nothing to show\"",
    note = "write `Option<{Self}>`, or implement `session::FlashValue` for `{Self}`"
)]
pub trait FlashValue: Default {
    /// Whether there is nothing to show.
    fn is_empty(&self) -> bool;
}

impl<T> FlashValue for Option<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl FlashValue for String {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

macro_rules! collections {
    ($($name:ident<$($parameter:ident),+>),+) => {$(
        impl<$($parameter),+> FlashValue for $name<$($parameter),+>
        where
            Self: Default,
        {
            fn is_empty(&self) -> bool {
                self.is_empty()
            }
        }
    )+};
}

collections!(Vec<T>, VecDeque<T>, BTreeSet<T>, BTreeMap<K, V>, HashSet<T, S>, HashMap<K, V, S>);
