//! How the value of one field is read from its encoded form, and written to it.

use proc_macro2::{Literal, TokenStream};
use quote::quote_spanned;
use syn::Path;
use syn::spanned::Spanned as _;

use super::hygiene::{at, quote};
use crate::model::{Field, Stored};

pub(super) fn read(private: &Path, field: &Field, stored: &Stored) -> TokenStream {
    let name = &field.name;
    let bit = Literal::usize_unsuffixed(stored.bit);
    if stored.with.is_none() && stored.migrate.is_none() {
        return quote_spanned! {at(field.ty.span())=>
            reader.read(&Self::FIELDS[#bit], &mut data.#name);
        };
    }
    let decode = decode(private, field, stored);
    quote!(reader.read_with(&Self::FIELDS[#bit], &mut data.#name, |bytes| #decode);)
}

pub(super) fn write(field: &Field, stored: &Stored) -> TokenStream {
    let owner = stored.is_owner.then(|| {
        let name = &field.name;
        let bit = Literal::usize_unsuffixed(stored.bit);
        quote_spanned! {at(field.ty.span())=>
            writer.owner(&Self::FIELDS[#bit], &data.#name);
        }
    });
    let name = &field.name;
    let bit = Literal::usize_unsuffixed(stored.bit);
    let write = match &stored.with {
        None => quote_spanned! {at(field.ty.span())=>
            writer.write(&Self::FIELDS[#bit], &data.#name);
        },
        Some(with) => quote_spanned! {at(with.span())=>
            writer.write_with(&Self::FIELDS[#bit], |serializer| {
                #with::serialize(&data.#name, serializer)
            });
        },
    };
    quote! {
        if self.__session.is_marked(#bit) {
            #write
            #owner
        }
    }
}

/// Decodes `bytes` into an optional value of the field.
pub(super) fn decode(private: &Path, field: &Field, stored: &Stored) -> TokenStream {
    let ty = &field.ty;
    let deserialize = match &stored.with {
        None => quote_spanned! {at(ty.span())=>
            |deserializer| <#ty as #private::Deserialize<'_>>::deserialize(deserializer)
        },
        Some(with) => quote_spanned! {at(with.span())=>
            |deserializer| #with::deserialize(deserializer)
        },
    };
    match &stored.migrate {
        None => quote!(#private::decode_field(bytes, #deserialize)),
        Some(function) => {
            let function = quote_spanned! {at(function.span())=>
                let migrate: fn(_) -> #ty = #function;
            };
            quote!({
                #function
                #private::decode_or_migrate::<#ty, _>(bytes, #deserialize, migrate)
            })
        }
    }
}

/// Writes `value` of the field to `serializer`.
pub(super) fn serialize(private: &Path, field: &Field, stored: &Stored) -> TokenStream {
    let ty = &field.ty;
    match &stored.with {
        None => quote!(<#ty as #private::Serialize>::serialize(value, serializer)),
        Some(with) => quote!(#with::serialize(value, serializer)),
    }
}
