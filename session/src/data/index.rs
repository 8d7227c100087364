//! What sessions can be found by.

use std::fmt::Display;

/// A type that a field marked `index` can have: `Option<K>`, where `K` is what
/// [`SessionManager::find`](crate::SessionManager::find) is given.
///
/// What `K` is printed as is the owner of the session in the store. It must be the same for the same
/// owner in every build.
#[diagnostic::on_unimplemented(
    message = "a field of the type `{Self}` cannot be the `index`",
    label = "sessions are found by an `Option<K>`, where `K` implements `Display`",
    note = "write `Option<{Self}>`; nobody's session has `None`"
)]
pub trait IndexKey {
    /// Whose session it is; nobody's when `None`.
    fn owner(&self) -> Option<String>;
}

impl<K: Display> IndexKey for Option<K> {
    fn owner(&self) -> Option<String> {
        self.as_ref().map(ToString::to_string)
    }
}
