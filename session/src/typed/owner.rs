//! Types that can name the owner of a session.

use std::fmt::Display;

/// A type that the field marked `owner` can have: `Option<K>`, where `K` implements `Display`.
///
/// The store keeps the text that `K` displays as the owner of the session, and finds sessions by that
/// text. Every build must display one owner as the same text.
#[diagnostic::on_unimplemented(
    message = "a field of the type `{Self}` cannot be the `owner`",
    label = "the owner is an `Option<K>`, where `K` implements `Display`",
    note = "write `Option<{Self}>`: a session without an owner holds `None`"
)]
pub trait OwnerKey {
    /// The owner's text; `None` when the session has no owner.
    fn owner(&self) -> Option<String>;
}

impl<K: Display> OwnerKey for Option<K> {
    fn owner(&self) -> Option<String> {
        self.as_ref().map(ToString::to_string)
    }
}
