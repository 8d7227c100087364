//! A description of the code to generate for a struct.

use std::time::Duration;

use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Expr, Fields, Generics, Ident, Path, Type, Visibility,
    parse_quote,
};

use crate::context::Context;
use crate::parse::{FieldAttributes, Given, OnConflict, StructAttributes};

/// A struct with named fields.
pub(crate) struct Model {
    pub(crate) name: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) generics: Generics,
    pub(crate) companion: Ident,
    /// The module that generated code takes everything from.
    pub(crate) private: Path,
    pub(crate) fields: Vec<Field>,
    /// The prefix of the stored names.
    pub(crate) prefix: Option<String>,
    /// The version, and the function that migrates to it. `check` demands both or neither.
    pub(crate) version: Option<Given<u32>>,
    pub(crate) migrate: Option<Given<Path>>,
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
    pub(crate) updater: Ident,
    /// Takes the value of a flash field.
    pub(crate) taker: Option<Ident>,
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
    /// The function that converts the type that the field had before.
    pub(crate) migrate: Option<Path>,
    pub(crate) rotates: bool,
    pub(crate) is_owner: bool,
    pub(crate) is_flash: bool,
    pub(crate) timed: Option<Timed>,
    pub(crate) on_conflict: Resolve,
    /// With the struct's prefix.
    pub(crate) group: Option<String>,
}

/// The `ttl` of a field.
pub(crate) struct Timed {
    /// The index among the fields with a `ttl`.
    pub(crate) index: usize,
    pub(crate) ttl: Duration,
    /// The name of the method that gives the time left.
    pub(crate) accessor: Ident,
}

/// What a save does with a field that another request changed after this one read it.
pub(crate) enum Resolve {
    LastWriteWins,
    Reject,
    Merge(Path),
}

impl Model {
    /// `None` when `input` is not a struct with named fields.
    pub(crate) fn new(input: &DeriveInput, context: &mut Context) -> Option<Self> {
        let attributes = StructAttributes::parse(&input.attrs, context);
        let named = named_fields(input, context)?;
        let mut surroundings = Surroundings {
            prefix: attributes.prefix.map(|prefix| prefix.value.value()),
            on_conflict: attributes.on_conflict.map(|given| given.value),
            stored: 0,
            timed: 0,
        };
        let mut fields: Vec<Field> = Vec::new();
        for field in named {
            let attributes = FieldAttributes::parse(&field.attrs, context);
            fields.extend(Field::new(field, attributes, &mut surroundings));
        }
        reject_whole_groups(&mut fields);
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
            private: private_module(&krate),
            fields,
            prefix: surroundings.prefix,
            version: attributes.version,
            migrate: attributes.migrate,
        })
    }

    /// The stored fields with a `ttl`.
    pub(crate) fn timed(&self) -> impl Iterator<Item = (&Stored, &Timed)> {
        self.stored()
            .filter_map(|(_, stored)| Some((stored, stored.timed.as_ref()?)))
    }

    /// The fields that are stored.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&Field, &Stored)> {
        self.fields
            .iter()
            .filter_map(|field| Some((field, field.stored.as_ref()?)))
    }
}

/// The module of the `session` crate at `krate` that generated code takes everything from. Its name has the
/// version, so that a `session` of another version fails loudly.
pub(crate) fn private_module(krate: &Path) -> Path {
    let version = env!("CARGO_PKG_VERSION").replace(['.', '-', '+'], "_");
    let name = format_ident!("__private_{version}");
    parse_quote!(#krate::#name)
}

/// The properties of the struct that a field needs.
struct Surroundings {
    prefix: Option<String>,
    on_conflict: Option<OnConflict>,
    stored: usize,
    timed: usize,
}

impl Surroundings {
    fn prefixed(&self, name: String) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}.{name}"),
            None => name,
        }
    }
}

impl Stored {
    fn new(name: &Ident, attributes: &FieldAttributes, surroundings: &mut Surroundings) -> Self {
        let plain = name.unraw();
        let own = match &attributes.rename {
            Some(rename) => rename.value.value(),
            None => plain.to_string(),
        };
        let timed = attributes.ttl.as_ref().map(|ttl| Timed {
            index: next(&mut surroundings.timed),
            ttl: ttl.value,
            accessor: format_ident!("expires_in_{plain}", span = name.span()),
        });
        let aliases = attributes.aliases.iter().map(|alias| alias.value.value());
        let group = attributes.group.as_ref().map(|group| group.value.value());
        Stored {
            bit: next(&mut surroundings.stored),
            name: surroundings.prefixed(own),
            aliases: aliases.collect(),
            with: attributes.with.as_ref().map(|with| with.value.clone()),
            migrate: attributes
                .migrate
                .as_ref()
                .map(|migrate| migrate.value.clone()),
            // A change of the owner is a change of privilege.
            rotates: attributes.rotate.is_some() || attributes.owner.is_some(),
            is_owner: attributes.owner.is_some(),
            is_flash: attributes.flash.is_some(),
            timed,
            on_conflict: resolve(attributes, surroundings.on_conflict),
            group: group.map(|group| surroundings.prefixed(group)),
        }
    }
}

/// A group is rejected as a whole, so one rejecting field makes the whole group reject.
fn reject_whole_groups(fields: &mut [Field]) {
    let stored = || fields.iter().filter_map(|field| field.stored.as_ref());
    let rejecting: Vec<String> = stored()
        .filter(|stored| matches!(stored.on_conflict, Resolve::Reject))
        .filter_map(|stored| stored.group.clone())
        .collect();
    for stored in fields.iter_mut().filter_map(|field| field.stored.as_mut()) {
        if stored
            .group
            .as_ref()
            .is_some_and(|group| rejecting.contains(group))
        {
            stored.on_conflict = Resolve::Reject;
        }
    }
}

fn next(count: &mut usize) -> usize {
    let number = *count;
    *count += 1;
    number
}

/// The field's own policy, or else the struct's. The struct's does not apply to a flash: taking it resolves it.
fn resolve(attributes: &FieldAttributes, of_struct: Option<OnConflict>) -> Resolve {
    if let Some(merge) = &attributes.merge {
        return Resolve::Merge(merge.value.clone());
    }
    let of_struct = of_struct.filter(|_| attributes.flash.is_none());
    let of_field = attributes.on_conflict.as_ref().map(|given| given.value);
    match of_field.or(of_struct) {
        Some(OnConflict::Reject) => Resolve::Reject,
        Some(OnConflict::LastWriteWins) | None => Resolve::LastWriteWins,
    }
}

impl Field {
    fn new(
        field: &syn::Field,
        attributes: FieldAttributes,
        surroundings: &mut Surroundings,
    ) -> Option<Self> {
        let name = field.ident.clone()?;
        let plain = name.unraw();
        let stored = match attributes.skip {
            Some(_) => None,
            None => Some(Stored::new(&name, &attributes, surroundings)),
        };
        Some(Field {
            setter: format_ident!("set_{plain}", span = name.span()),
            mutator: format_ident!("{plain}_mut", span = name.span()),
            updater: format_ident!("update_{plain}", span = name.span()),
            taker: (attributes.flash.is_some())
                .then(|| format_ident!("take_{plain}", span = name.span())),
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

    /// The names of the generated methods of the field.
    pub(crate) fn accessors(&self) -> impl Iterator<Item = &Ident> {
        let timed = self
            .stored
            .as_ref()
            .and_then(|stored| stored.timed.as_ref());
        [&self.setter, &self.mutator, &self.updater]
            .into_iter()
            .chain(&self.taker)
            .chain(timed.map(|timed| &timed.accessor))
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
