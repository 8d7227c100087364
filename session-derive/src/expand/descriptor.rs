//! The description of each stored field: its names and its policies, with their functions on encoded
//! values.

use proc_macro2::{Literal, TokenStream};
use quote::quote_spanned;
use syn::Path;
use syn::spanned::Spanned as _;

use super::hygiene::{at, quote};
use super::value::{decode, serialize};
use crate::model::{Field, Model, Resolve, Stored};
use crate::order;

pub(super) fn descriptor(model: &Model, field: &Field, stored: &Stored) -> TokenStream {
    let private = &model.private;
    let Stored { name, aliases, .. } = stored;
    let aliases = (!aliases.is_empty()).then(|| quote!(.aliases(&[#(#aliases),*])));
    let rotate = stored.rotates.then(|| quote!(.rotate()));
    let flash = stored.is_flash.then(|| quote!(.flash()));
    let ttl = stored.timed.as_ref().map(|timed| {
        let seconds = Literal::u64_unsuffixed(timed.ttl.as_secs());
        quote!(.ttl(::core::time::Duration::from_secs(#seconds)))
    });
    let group = stored.group.as_ref().map(|group| quote!(.group(#group)));
    let on_conflict = match &stored.on_conflict {
        Resolve::LastWriteWins => None,
        Resolve::Reject => Some(quote!(.reject())),
        Resolve::Merge(function) => {
            let merge = merge(model, field, stored, function);
            Some(quote!(.merge(#merge)))
        }
    };
    let equal = equal(private, field, stored);
    quote!(#private::Field::new(#name) #aliases #rotate #flash #ttl #group #on_conflict #equal)
}

/// How encoded forms of the field are compared, if equal values can differ in their bytes.
fn equal(private: &Path, field: &Field, stored: &Stored) -> Option<TokenStream> {
    let is_migrated = stored.migrate.is_some();
    if !is_migrated && order::is_ordered(&field.ty) {
        return None;
    }
    let ty = &field.ty;
    // Without `PartialEq`, every mutable borrow of such a field would count as a change.
    let demand = order::is_unordered(ty)
        .then(|| quote_spanned!(at(ty.span())=> let _ = <#ty as ::core::cmp::PartialEq>::eq;));
    if !is_migrated && stored.with.is_none() {
        return Some(quote! {
            .equal(|one, other| {
                #[allow(unused_imports)]
                use #private::FallbackEqualEncoded as _;
                #demand
                (&#private::EqualEncoded::<#ty>::new()).equal(one, other)
            })
        });
    }
    let decode = decode(private, field, stored);
    let (function, serialize) = if is_migrated {
        let serialize = serialize(private, field, stored);
        (
            quote!(equal_migrated),
            Some(quote!(|value, serializer| #serialize,)),
        )
    } else {
        (quote!(equal_encoded), None)
    };
    Some(quote! {
        .equal(|one, other| {
            #[allow(unused_imports)]
            use #private::FallbackEqual as _;
            #demand
            #private::#function::<#ty>(
                one,
                other,
                |bytes| #decode,
                #serialize
                |one, other| (&#private::EqualValues::<#ty>(one, other)).equal(),
            )
        })
    })
}

/// Whether the path names a function of `session::merge`, as far as its tokens tell.
fn is_of_the_library(function: &Path) -> bool {
    let mut segments = function.segments.iter().rev();
    segments
        .nth(1)
        .is_some_and(|module| module.ident == "merge")
}

/// The field's merge function, of encoded values.
fn merge(model: &Model, field: &Field, stored: &Stored, function: &Path) -> TokenStream {
    let (struct_name, private) = (&model.name, &model.private);
    let (_, arguments, _) = model.generics.split_for_impl();
    let Field { name, ty, .. } = field;
    let default = match &field.starts_from {
        Some(value) => quote!(#value),
        None => quote!(<#struct_name #arguments as ::core::default::Default>::default().#name),
    };
    let decode = decode(private, field, stored);
    let serialize = serialize(private, field, stored);
    let checked = if is_of_the_library(function) {
        // Has the right form. What it asks of the type is told best where it is named.
        quote!(#function)
    } else {
        quote_spanned! {at(function.span())=>
            (&#private::MergeOf::<#ty, _>::of(#function)).function()
        }
    };
    let function = quote_spanned! {at(function.span())=>
        let merge: #private::Merge<#ty> = #checked;
    };
    quote! {
        |versions| {
            #[allow(unused_imports)]
            use #private::WrongMerge as _;
            #function
            #private::merge_encoded::<#ty>(
                versions,
                || #default,
                |bytes| #decode,
                |value, serializer| #serialize,
                merge,
            )
        }
    }
}
