//! The implementations that the runtime calls: from a record's fields to the struct and back.

use proc_macro2::{Literal, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned as _;
use syn::{GenericParam, Generics, WhereClause, parse_quote};

use super::descriptor::descriptor;
use super::hygiene::{at, quote};
use super::value::{read, write};
use crate::model::{Field, Model};
use crate::order;

/// Implements `SessionData` and `Companion`.
pub(super) fn session_data(model: &Model) -> TokenStream {
    let Model {
        name,
        companion,
        private,
        ..
    } = model;
    let (parameters, arguments, _) = model.generics.split_for_impl();
    let where_clause = storable(model);
    let fields = model
        .stored()
        .map(|(field, stored)| descriptor(model, field, stored));
    let times = model.timed().map(|(stored, _)| {
        let bit = Literal::usize_unsuffixed(stored.bit);
        quote!(reader.time_left(&Self::FIELDS[#bit]))
    });
    let start = quote_spanned! {at(name.span())=>
        <#name #arguments as ::core::default::Default>::default()
    };
    let starts = model.fields.iter().filter_map(|field| {
        let (name, value) = (&field.name, field.starts_from.as_ref()?);
        Some(quote!(data.#name = #value;))
    });
    let mutable = model
        .fields
        .iter()
        .any(|field| field.stored.is_some() || field.starts_from.is_some())
        .then(|| quote!(mut));
    let reads = model
        .stored()
        .map(|(field, stored)| read(private, field, stored));
    let version = version(model);
    let writes = model.stored().map(|(field, stored)| write(field, stored));
    let (reader, writer, data) = match model.stored().next() {
        Some(_) => (
            quote!(reader),
            quote!(writer),
            Some(quote!(let data = self.__session.data();)),
        ),
        None => (quote!(_), quote!(_), None),
    };
    quote! {
        #[automatically_derived]
        impl #parameters #private::SessionData for #name #arguments #where_clause {
            type Tracked = #companion #arguments;
        }

        #[automatically_derived]
        #[allow(deprecated)]
        impl #parameters #private::Companion for #companion #arguments #where_clause {
            type Data = #name #arguments;

            const FIELDS: &'static [#private::Field] = &[#(#fields),*];
            #version

            fn decode(#reader: &mut #private::Reader<'_>) -> Self {
                let #mutable data = #start;
                #(#starts)*
                #(#reads)*
                Self { __session: #private::State::new(data, [#(#times),*]) }
            }

            fn encode_changes(&self, #writer: &mut #private::Writer<'_>) {
                #data
                #(#writes)*
            }

            #[inline]
            fn changed(&self) -> &[::core::primitive::u64] {
                self.__session.changed()
            }

            #[inline]
            fn changed_mut(&mut self) -> &mut [::core::primitive::u64] {
                self.__session.changed_mut()
            }
        }
    }
}

/// The struct's version, and the migration to it.
fn version(model: &Model) -> Option<TokenStream> {
    let (private, prefix) = (&model.private, &model.prefix);
    let number = Literal::u32_unsuffixed(model.version.as_ref()?.value);
    let migrate = &model.migrate.as_ref()?.value;
    let prefix = prefix
        .as_ref()
        .map_or_else(String::new, |prefix| format!("{prefix}."));
    let name = format!("{prefix}#version");
    let migrate = quote_spanned!(at(migrate.span())=> function: #migrate);
    Some(quote! {
        const VERSION: ::core::option::Option<&'static #private::Version> =
            ::core::option::Option::Some(&#private::Version {
                field: #private::Field::new(#name),
                prefix: #prefix,
                number: #number,
                #migrate,
            });
    })
}

/// The struct's own where-clause, and for a generic struct the bounds that storing its fields needs.
fn storable(model: &Model) -> Option<WhereClause> {
    let Model { name, private, .. } = model;
    let mut generics: Generics = model.generics.clone();
    if generics.params.is_empty() {
        return generics.where_clause;
    }
    let arguments = {
        let (_, arguments, _) = model.generics.split_for_impl();
        quote!(#arguments)
    };
    let clause = generics.make_where_clause();
    clause
        .predicates
        .push(parse_quote!(#name #arguments: ::core::default::Default + 'static));
    for (field, stored) in model.stored() {
        if stored.with.is_none() && mentions_parameter(&model.generics, field) {
            let ty = &field.ty;
            clause
                .predicates
                .push(parse_quote!(#ty: #private::Serialize + #private::DeserializeOwned));
        }
        if order::is_unordered(&field.ty) && mentions_parameter(&model.generics, field) {
            let ty = &field.ty;
            clause
                .predicates
                .push(parse_quote!(#ty: ::core::cmp::PartialEq));
        }
    }
    generics.where_clause
}

fn mentions_parameter(generics: &Generics, field: &Field) -> bool {
    fn mentions(tokens: TokenStream, generics: &Generics) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Group(group) => mentions(group.stream(), generics),
            proc_macro2::TokenTree::Ident(ident) => generics.params.iter().any(|parameter| {
                matches!(parameter, GenericParam::Type(parameter) if parameter.ident == ident)
                    || matches!(parameter, GenericParam::Const(parameter) if parameter.ident == ident)
            }),
            _ => false,
        })
    }
    let ty = &field.ty;
    mentions(quote!(#ty), generics)
}
