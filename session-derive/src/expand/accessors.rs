//! The methods of the companion that read and change single fields.

use proc_macro2::{Literal, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;

use super::hygiene::{at, quote};
use crate::model::{Field, Model, Stored, Timed};

/// The methods of every field.
pub(super) fn accessors(model: &Model) -> TokenStream {
    let companion = &model.companion;
    let (parameters, arguments, where_clause) = model.generics.split_for_impl();
    let methods = model.fields.iter().map(|field| accessors_of(model, field));
    quote! {
        #[automatically_derived]
        // The setter of a field `_a` is `set__a`.
        #[allow(dead_code, deprecated, non_snake_case)]
        impl #parameters #companion #arguments #where_clause {
            #(#methods)*
        }
    }
}

fn accessors_of(model: &Model, field: &Field) -> TokenStream {
    let Field {
        name,
        visibility,
        ty,
        docs,
        deprecated,
        setter,
        mutator,
        updater,
        ..
    } = field;
    let plain = name.unraw();
    let then = match &field.stored {
        None => "It is never stored.",
        Some(stored) if stored.rotates => {
            "Marks it as changed. A change renews the session at the save."
        }
        Some(_) => "Marks it as changed.",
    };
    let paragraph = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
    let set_doc = format!("Sets `{plain}`. {then}");
    let mut_doc = format!("Gives `&mut` to `{plain}`. {then}");
    let update_doc =
        format!("Calls `change` with `&mut` to `{plain}`, and gives what `change` returns. {then}");
    let data = match &field.stored {
        Some(stored) => {
            let bit = Literal::usize_unsuffixed(stored.bit);
            quote!(self.__session.mark(#bit))
        }
        None => quote!(self.__session.unmarked()),
    };
    let (taker, time_left) = (taker(model, field), time_left(field));
    quote! {
        #(#docs)*
        #paragraph
        #[doc = #set_doc]
        #deprecated
        #[inline]
        #visibility fn #setter(&mut self, value: #ty) {
            #data.#name = value;
        }

        #(#docs)*
        #paragraph
        #[doc = #mut_doc]
        #deprecated
        #[inline]
        #visibility fn #mutator(&mut self) -> &mut #ty {
            &mut #data.#name
        }

        #(#docs)*
        #paragraph
        #[doc = #update_doc]
        #deprecated
        #[inline]
        #visibility fn #updater<ClosureOutput>(
            &mut self,
            change: impl ::core::ops::FnOnce(&mut #ty) -> ClosureOutput,
        ) -> ClosureOutput {
            change(&mut #data.#name)
        }

        #taker
        #time_left
    }
}

/// `take_<field>`, for a flash.
fn taker(model: &Model, field: &Field) -> Option<TokenStream> {
    let Field {
        name,
        visibility,
        ty,
        docs,
        deprecated,
        taker,
        stored,
        ..
    } = field;
    let private = &model.private;
    let taker = taker.as_ref()?;
    let bit = Literal::usize_unsuffixed(stored.as_ref()?.bit);
    let plain = name.unraw();
    let paragraph = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
    let doc = format!(
        "Takes `{plain}` out of the session, so that it is shown once. Marks it as changed unless it is empty."
    );
    let is_empty = quote_spanned! {at(ty.span())=>
        #private::FlashValue::is_empty(&self.__session.data().#name)
    };
    Some(quote! {
        #(#docs)*
        #paragraph
        #[doc = #doc]
        #deprecated
        #[inline]
        #[must_use = "a taken value is not shown again"]
        #visibility fn #taker(&mut self) -> #ty {
            if #is_empty {
                return ::core::default::Default::default();
            }
            ::core::mem::take(&mut self.__session.mark(#bit).#name)
        }
    })
}

/// `expires_in_<field>`, for a field with a `ttl`.
fn time_left(field: &Field) -> Option<TokenStream> {
    let visibility = &field.visibility;
    let Stored { bit, timed, .. } = field.stored.as_ref()?;
    let Timed {
        index,
        ttl,
        accessor,
    } = timed.as_ref()?;
    let (bit, index) = (
        Literal::usize_unsuffixed(*bit),
        Literal::usize_unsuffixed(*index),
    );
    let seconds = Literal::u64_unsuffixed(ttl.as_secs());
    let doc = format!(
        "How long `{}` lasts before it falls back to its default, counted from when the session was \
         read; `None` if it is not set.",
        field.name.unraw()
    );
    let deprecated = &field.deprecated;
    Some(quote! {
        #[doc = #doc]
        #deprecated
        #[must_use]
        #visibility fn #accessor(&self) -> ::core::option::Option<::core::time::Duration> {
            if self.__session.is_marked(#bit) {
                return ::core::option::Option::Some(::core::time::Duration::from_secs(#seconds));
            }
            self.__session.time_left(#index)
        }
    })
}
