//! What is to be generated for a struct.

use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Expr, Fields, Generics, Ident, Path, Type, Visibility,
    parse_quote,
};

use crate::context::Context;
use crate::parse::{FieldAttributes, StructAttributes};

/// A struct with named fields.
pub(crate) struct Model {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) generics: Generics,
    pub(crate) companion: Ident,
    /// The module that generated code takes everything from.
    pub(crate) private: Path,
    pub(crate) fields: Vec<Field>,
}

/// One field, stored or not.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) ty: Type,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) deprecated: Option<Attribute>,
    pub(crate) setter: Ident,
    pub(crate) mutator: Ident,
    pub(crate) starts_from: Option<Expr>,
    pub(crate) is_secret: bool,
    /// `None` when it is skipped.
    pub(crate) stored: Option<Stored>,
    /// For errors.
    pub(crate) attributes: FieldAttributes,
}

/// How a field is stored.
pub(crate) struct Stored {
    pub(crate) bit: usize,
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) with: Option<Path>,
    pub(crate) rotates: bool,
}

impl Model {
    /// `None` when `input` is not a struct with named fields.
    pub(crate) fn new(input: &DeriveInput, context: &mut Context) -> Option<Self> {
        let attributes = StructAttributes::parse(&input.attrs, context);
        let named = named_fields(input, context)?;
        let prefix = attributes.prefix.map(|prefix| prefix.value.value());
        let mut fields: Vec<Field> = Vec::new();
        let mut bits = 0..;
        for field in named {
            let attributes = FieldAttributes::parse(&field.attrs, context);
            fields.extend(Field::new(field, attributes, prefix.as_deref(), &mut bits));
        }
        let krate: Path = attributes
            .krate
            .map_or_else(|| parse_quote!(::session), |krate| krate.value);
        Some(Model {
            name: input.ident.clone(),
            visibility: input.vis.clone(),
            generics: input.generics.clone(),
            companion: attributes.companion.map_or_else(
                || format_ident!("{}Tracked", input.ident.unraw(), span = input.ident.span()),
                |companion| companion.value,
            ),
            private: parse_quote!(#krate::__private),
            fields,
        })
    }

    /// The fields that are stored.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&Field, &Stored)> {
        self.fields
            .iter()
            .filter_map(|field| Some((field, field.stored.as_ref()?)))
    }
}

impl Field {
    fn new(
        field: &syn::Field,
        attributes: FieldAttributes,
        prefix: Option<&str>,
        bits: &mut impl Iterator<Item = usize>,
    ) -> Option<Self> {
        let name = field.ident.clone()?;
        let plain = name.unraw();
        let stored = attributes.skip.is_none().then(|| {
            let own = attributes
                .rename
                .as_ref()
                .map_or_else(|| plain.to_string(), |rename| rename.value.value());
            Stored {
                bit: bits.next().unwrap_or_default(),
                name: prefix.map_or_else(|| own.clone(), |prefix| format!("{prefix}.{own}")),
                aliases: attributes
                    .aliases
                    .iter()
                    .map(|alias| alias.value.value())
                    .collect(),
                with: attributes.with.as_ref().map(|with| with.value.clone()),
                rotates: attributes.rotate.is_some(),
            }
        });
        Some(Field {
            setter: format_ident!("set_{plain}", span = name.span()),
            mutator: format_ident!("{plain}_mut", span = name.span()),
            name,
            visibility: field.vis.clone(),
            ty: field.ty.clone(),
            docs: with_path(&field.attrs, "doc").cloned().collect(),
            deprecated: with_path(&field.attrs, "deprecated").next().cloned(),
            starts_from: attributes.default.as_ref().map(|default| {
                default.value.clone().unwrap_or_else(|| {
                    syn::parse_quote_spanned!(field.ty.span()=> ::core::default::Default::default())
                })
            }),
            is_secret: attributes.secret.is_some(),
            stored,
            attributes,
        })
    }
}

fn with_path<'a>(
    attributes: &'a [Attribute],
    path: &'a str,
) -> impl Iterator<Item = &'a Attribute> {
    attributes
        .iter()
        .filter(move |attribute| attribute.path().is_ident(path))
}

fn named_fields<'a>(
    input: &'a DeriveInput,
    context: &mut Context,
) -> Option<impl Iterator<Item = &'a syn::Field> + use<'a>> {
    let name = &input.ident;
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Some(fields.named.iter()),
            Fields::Unnamed(fields) => context.error(
                fields,
                format_args!("a session's fields have names: write `struct {name} {{ … }}`"),
            ),
            Fields::Unit => context.error(
                name,
                format_args!("a session has named fields: write `struct {name} {{ … }}`"),
            ),
        },
        Data::Enum(data) => context.error(
            data.enum_token,
            format_args!(
                "an enum cannot be a session: put it into a field of a struct with \
                 `#[derive(Session)]`, and derive serde's `Serialize` and `Deserialize` for `{name}`"
            ),
        ),
        Data::Union(data) => {
            context.error(
                data.union_token,
                "a union cannot be a session: write a struct with named fields",
            );
        }
    }
    None
}
