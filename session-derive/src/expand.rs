//! Writes the code that a model describes. Cannot fail.

mod accessors;
mod codec;
mod debug;
mod descriptor;
mod hygiene;
mod value;

use proc_macro2::{Literal, TokenStream};
use syn::ext::IdentExt as _;

use self::hygiene::quote;
use crate::model::{Field, Model};

pub(crate) fn expand(model: &Model) -> TokenStream {
    let companion = companion(model);
    let accessors = accessors::accessors(model);
    let deref = deref(model);
    let debug = debug::debug(model);
    let data = codec::session_data(model);
    quote! {
        #companion
        #accessors
        #deref
        #debug
        #data
    }
}

/// The companion type.
pub(crate) fn companion(model: &Model) -> TokenStream {
    let Model {
        name,
        visibility,
        companion,
        private,
        generics,
        ..
    } = model;
    let (_, arguments, where_clause) = generics.split_for_impl();
    let parameters = &generics.params;
    let words = Literal::usize_unsuffixed(model.stored().count().div_ceil(64));
    let timed = Literal::usize_unsuffixed(model.timed().count());
    let doc = companion_doc(model);
    quote! {
        #[doc = #doc]
        #visibility struct #companion<#parameters> #where_clause {
            __session: #private::State<#name #arguments, #words, #timed>,
        }
    }
}

/// How to change a field, in terms of the struct's own names.
fn companion_doc(model: &Model) -> String {
    let name = model.name.unraw();
    let intro = format!(
        "The fields of a [`{name}`] in a session, to be read, and the methods that change them.\n\n\
         A `Session<{name}>` derefs to this type, and this type derefs to the `{name}`."
    );
    let Some(field) = model.fields.first() else {
        return intro;
    };
    let Field {
        setter,
        mutator,
        updater,
        ..
    } = field;
    let field = field.name.unraw();
    format!(
        "{intro} So a field is read as `session.{field}`. A field is changed by one of its methods, \
         which marks it as changed:\n\n\
         - `session.{setter}(value)` replaces the value.\n\
         - `session.{mutator}()` gives `&mut` to the value.\n\
         - `session.{updater}(|{field}| …)` calls a closure with `&mut` to the value, and gives what \
         the closure returns.\n\n\
         Rust borrows the session before it evaluates the arguments of these methods, so \
         `session.{setter}(session.{field}.clone())` does not compile. Change the value in place, \
         compute it in a statement of its own, or borrow this type first: \
         `let fields = &mut *session; fields.{setter}(fields.{field}.clone());` compiles.\n\n\
         It is a logic error to exchange two values of this type, by `std::mem::swap` for instance: \
         changes are lost or reach the wrong session."
    )
}

/// `Deref` to the struct, for reads. There is no `DerefMut`, so nothing can be written past the methods.
fn deref(model: &Model) -> TokenStream {
    let Model {
        name, companion, ..
    } = model;
    let (parameters, arguments, where_clause) = model.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #parameters ::core::ops::Deref for #companion #arguments #where_clause {
            type Target = #name #arguments;

            #[inline]
            fn deref(&self) -> &Self::Target {
                self.__session.data()
            }
        }
    }
}
