//! The derive macro of the [`session`](https://docs.rs/session) crate. Use it from there.
//!
//! The stages run in this order: `parse` reads the attributes, `model` decides what to generate, `check`
//! rejects attributes that contradict each other, and `expand` writes the code. `context` collects all
//! errors of a struct on the way. If there are any, `fallback` writes stubs, so that the rest of the
//! program gives no errors that follow from them.

mod check;
mod context;
mod expand;
mod fallback;
mod model;
mod order;
mod parse;

use proc_macro::TokenStream;

#[doc = include_str!("derive.md")]
#[proc_macro_derive(Session, attributes(session))]
pub fn derive_session(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    let mut context = context::Context::default();
    let model = model::Model::new(&input, &mut context);
    if let Some(model) = &model {
        check::check(model, &input, &mut context);
    }
    match (context.finish(), model) {
        (Ok(()), Some(model)) => expand::expand(&model).into(),
        (result, model) => {
            let errors = result.err().map(|errors| errors.to_compile_error());
            let stub = fallback::expand(&input, model.as_ref());
            quote::quote!(#errors #stub).into()
        }
    }
}
