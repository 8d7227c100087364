//! Where the names in generated code are looked up.

use proc_macro2::Span;

/// As `quote!`, but the user's expressions cannot see the local names among the tokens.
macro_rules! quote {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!($crate::expand::hygiene::hygienic()=> $($tokens)*)
    };
}

pub(super) use quote;

/// The place of a user's token, where the local names of generated code can be seen.
pub(super) fn at(span: Span) -> Span {
    span.resolved_at(hygienic())
}

/// Local names are those of generated code, and all other names mean what they mean to the user.
pub(super) fn hygienic() -> Span {
    Span::mixed_site()
}
