//! From the model to code. Cannot fail.

use proc_macro2::{Literal, Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{GenericParam, Generics, Path, WhereClause, parse_quote};

use crate::model::{Field, Model, Resolve, Stored, Timed};
use crate::order;

/// As `quote!`, but local names are out of reach of the user's expressions among them.
macro_rules! quote {
    ($($tokens:tt)*) => { quote_spanned!(hygienic()=> $($tokens)*) };
}

pub(crate) fn expand(model: &Model) -> TokenStream {
    let companion = companion(model);
    let accessors = accessors(model);
    let deref = deref(model);
    let debug = debug(model);
    let data = session_data(model);
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

/// What a user needs to know to change a field, told with the struct's own names.
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

/// The methods of every field.
fn accessors(model: &Model) -> TokenStream {
    let companion = &model.companion;
    let (parameters, arguments, where_clause) = model.generics.split_for_impl();
    let methods = model.fields.iter().map(|field| accessors_of(model, field));
    quote! {
        #[automatically_derived]
        #[allow(dead_code, deprecated)]
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
        "Takes `{plain}`, so that it is shown once. Marks it as changed if there is something to take."
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
        #[must_use = "what has been taken is not shown again"]
        #visibility fn #taker(&mut self) -> #ty {
            if #is_empty {
                return ::core::default::Default::default();
            }
            ::core::mem::take(&mut self.__session.mark(#bit).#name)
        }
    })
}

/// `expires_in_<field>`, for a field that falls back to its default by itself.
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
        "How long `{}` will last before it falls back to its default, as of when the session was \
         read; `None` when it is not set.",
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

/// Reads go through to the struct; there is no way to write through.
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

fn debug(model: &Model) -> TokenStream {
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

/// What the runtime needs: from a record's fields to the struct and back.
fn session_data(model: &Model) -> TokenStream {
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

fn descriptor(model: &Model, field: &Field, stored: &Stored) -> TokenStream {
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

/// Whether the path names a function of `session::merge`, as far as its tokens tell.
fn is_of_the_library(function: &Path) -> bool {
    let mut segments = function.segments.iter().rev();
    segments
        .nth(1)
        .is_some_and(|module| module.ident == "merge")
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

/// Writes `value` of the field to `serializer`.
fn serialize(private: &Path, field: &Field, stored: &Stored) -> TokenStream {
    let ty = &field.ty;
    match &stored.with {
        None => quote!(<#ty as #private::Serialize>::serialize(value, serializer)),
        Some(with) => quote!(#with::serialize(value, serializer)),
    }
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

fn read(private: &Path, field: &Field, stored: &Stored) -> TokenStream {
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

/// From `bytes` to an optional value of the field.
fn decode(private: &Path, field: &Field, stored: &Stored) -> TokenStream {
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

/// The struct's version, and the way to it.
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

fn write(field: &Field, stored: &Stored) -> TokenStream {
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

/// The struct's own where-clause, and for a generic one what storing its fields takes.
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

/// The place of a user's token, with the names that generated code knows.
fn at(span: Span) -> Span {
    span.resolved_at(hygienic())
}

/// Where names other than local ones mean what they mean to the user.
fn hygienic() -> Span {
    Span::mixed_site()
}
