//! The code that is generated if there are errors: stubs that let the handlers compile, so that the user
//! sees the errors and not fifty that follow from them.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{DeriveInput, GenericParam, parse_quote};

use crate::model::{Field, Model, private_module};

pub(crate) fn expand(input: &DeriveInput, model: Option<&Model>) -> TokenStream {
    let has_lifetimes = input
        .generics
        .params
        .iter()
        .any(|parameter| matches!(parameter, GenericParam::Lifetime(_)));
    if has_lifetimes {
        return TokenStream::new();
    }
    let name = &input.ident;
    let visibility = &input.vis;
    let companion = match model {
        Some(model) if model.companion != *name => model.companion.clone(),
        _ => format_ident!("{}Tracked", name.unraw(), span = name.span()),
    };
    let private = model.map_or_else(
        || private_module(&parse_quote!(::session)),
        |model| model.private.clone(),
    );
    let declared = &input.generics.params;
    let (parameters, arguments, where_clause) = input.generics.split_for_impl();
    let mut static_generics = input.generics.clone();
    if !static_generics.params.is_empty() {
        static_generics
            .make_where_clause()
            .predicates
            .push(parse_quote!(#name #arguments: 'static));
    }
    let (_, _, static_clause) = static_generics.split_for_impl();
    let accessors = model
        .into_iter()
        .flat_map(|model| accessors(&model.fields))
        .collect::<TokenStream>();
    quote! {
        #[doc(hidden)]
        #visibility struct #companion<#declared> #where_clause {
            __session: ::core::marker::PhantomData<#name #arguments>,
        }

        #[allow(unused_variables, dead_code)]
        impl #parameters #companion #arguments #where_clause {
            #accessors
        }

        impl #parameters ::core::ops::Deref for #companion #arguments #where_clause {
            type Target = #name #arguments;

            fn deref(&self) -> &Self::Target {
                ::core::unimplemented!()
            }
        }

        impl #parameters ::core::fmt::Debug for #companion #arguments #where_clause {
            fn fmt(&self, _: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::unimplemented!()
            }
        }

        impl #parameters #private::SessionData for #name #arguments #static_clause {
            type Tracked = #companion #arguments;
        }

        impl #parameters #private::Companion for #companion #arguments #static_clause {
            type Data = #name #arguments;

            const FIELDS: &'static [#private::Field] = &[];

            fn decode(_: &mut #private::Reader<'_>) -> Self {
                ::core::unimplemented!()
            }

            fn encode_changes(&self, _: &mut #private::Writer<'_>) {}

            fn changed(&self) -> &[::core::primitive::u64] {
                &[]
            }

            fn changed_mut(&mut self) -> &mut [::core::primitive::u64] {
                &mut []
            }
        }
    }
}

/// One method of each name: two fields with a method of the same name may have caused the error.
fn accessors(fields: &[Field]) -> Vec<TokenStream> {
    let mut taken = Vec::new();
    let mut methods = Vec::new();
    for field in fields {
        let (visibility, ty) = (&field.visibility, &field.ty);
        let methods_of_field = field.accessors().map(|method| {
            let signature = if *method == field.setter {
                quote!((&mut self, value: #ty))
            } else if *method == field.mutator {
                quote!((&mut self) -> &mut #ty)
            } else if *method == field.updater {
                quote!(<ClosureOutput>(
                    &mut self,
                    change: impl ::core::ops::FnOnce(&mut #ty) -> ClosureOutput,
                ) -> ClosureOutput)
            } else if Some(method) == field.taker.as_ref() {
                quote!((&mut self) -> #ty)
            } else {
                quote!((&self) -> ::core::option::Option<::core::time::Duration>)
            };
            (method, signature)
        });
        for (method, signature) in methods_of_field {
            if taken.contains(&method) {
                continue;
            }
            taken.push(method);
            methods.push(quote! {
                #visibility fn #method #signature {
                    ::core::unimplemented!()
                }
            });
        }
    }
    methods
}
