//! The companion's `Debug`, which prints no secret field.

use proc_macro2::TokenStream;
use syn::ext::IdentExt as _;

use super::hygiene::quote;
use crate::model::Model;

pub(super) fn debug(model: &Model) -> TokenStream {
    let Model {
        name,
        companion,
        private,
        ..
    } = model;
    let (parameters, arguments, where_clause) = model.generics.split_for_impl();
    let title = name.unraw().to_string();
    let fields = model.fields.iter().map(|field| {
        let name = &field.name;
        let title = name.unraw().to_string();
        if field.is_secret {
            quote!(.field(#title, &#private::Redacted))
        } else {
            quote!(.field(#title, (&#private::DebugField(&data.#name)).field()))
        }
    });
    let data = model
        .fields
        .iter()
        .any(|field| !field.is_secret)
        .then(|| quote!(let data = self.__session.data();));
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #parameters ::core::fmt::Debug for #companion #arguments #where_clause {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #[allow(unused_imports)]
                use #private::FallbackDebug as _;
                #data
                formatter.debug_struct(#title) #(#fields)* .finish()
            }
        }
    }
}
