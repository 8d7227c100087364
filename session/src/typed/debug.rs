//! How a companion prints its fields: by the `Debug` of the field's type, if it has one, and as
//! `<redacted>` if the field is secret.
//!
//! The session handle and the read-only view print their companion, so they redact the same fields. A
//! `Debug` that the user derives on the struct itself is out of reach: it prints every field.
//!
//! The derive cannot ask whether a type implements `Debug`, so it lets method resolution choose:
//! `(&DebugField(&value)).field()` finds the inherent method when `T: Debug`, and otherwise
//! the trait method of [`FallbackDebug`].

use std::fmt;

/// A field that is printed with its own `Debug`, if it has one.
#[doc(hidden)]
#[expect(
    missing_debug_implementations,
    reason = "exists only to reach another type's Debug"
)]
pub struct DebugField<'a, T: ?Sized>(pub &'a T);

impl<'a, T: fmt::Debug + ?Sized> DebugField<'a, T> {
    /// The value's own `Debug`.
    #[must_use]
    pub fn field(&self) -> &'a dyn fmt::Debug
    where
        T: Sized,
    {
        self.0
    }
}

/// Prints an ellipsis for a type without `Debug`.
#[doc(hidden)]
pub trait FallbackDebug {
    fn field(&self) -> &'static dyn fmt::Debug;
}

impl<T: ?Sized> FallbackDebug for DebugField<'_, T> {
    fn field(&self) -> &'static dyn fmt::Debug {
        &Opaque
    }
}

/// Prints `<redacted>` for a field marked `secret`.
#[doc(hidden)]
pub struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

struct Opaque;

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
