//! The derive macro of the `session` crate.
use proc_macro::TokenStream;

/// Placeholder until the derive lands.
#[proc_macro_derive(Session, attributes(session))]
pub fn derive_session(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
