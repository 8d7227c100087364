//! From the tokens of `#[session(…)]` to typed attributes. What they mean together is not looked
//! at here.

use proc_macro2::TokenTree;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, ExprPath, Ident, Lit, LitStr, Meta, Path, Token};

use crate::context::Context;

const ON_FIELD: &str = "`rotate`, `secret`, `rename = \"…\"`, `alias = \"…\"`, `default`, \
     `default = …`, `with = …` and `skip`";
const ON_STRUCT: &str = "`prefix = \"…\"`, `companion = …` and `crate = …`";

/// An attribute with the word that it began with, which errors point at.
pub(crate) struct Given<T> {
    pub(crate) word: Ident,
    pub(crate) value: T,
}

/// What a field's attributes say.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) rotate: Option<Given<()>>,
    pub(crate) secret: Option<Given<()>>,
    pub(crate) skip: Option<Given<()>>,
    pub(crate) rename: Option<Given<LitStr>>,
    pub(crate) aliases: Vec<Given<LitStr>>,
    pub(crate) default: Option<Given<Option<Expr>>>,
    pub(crate) with: Option<Given<Path>>,
}

/// What the struct's attributes say.
#[derive(Default)]
pub(crate) struct StructAttributes {
    pub(crate) prefix: Option<Given<LitStr>>,
    pub(crate) companion: Option<Given<Ident>>,
    pub(crate) krate: Option<Given<Path>>,
}

impl FieldAttributes {
    pub(crate) fn parse(attributes: &[Attribute], context: &mut Context) -> Self {
        let mut parsed = FieldAttributes::default();
        for Item { word, value } in items(attributes, context) {
            match word.to_string().as_str() {
                "rotate" => flag(&mut parsed.rotate, word, value, context),
                "secret" => flag(&mut parsed.secret, word, value, context),
                "skip" => flag(&mut parsed.skip, word, value, context),
                "rename" => once(&mut parsed.rename, word, value, context, stored_name),
                "alias" => {
                    let mut alias = None;
                    once(&mut alias, word, value, context, stored_name);
                    parsed.aliases.extend(alias);
                }
                "default" => once(&mut parsed.default, word, value, context, |_, value| {
                    Ok(value)
                }),
                "with" => once(&mut parsed.with, word, value, context, |word, value| {
                    path(word, value, "my_module")
                }),
                "prefix" | "companion" | "crate" => context.error(
                    &word,
                    format_args!("`{word}` goes on the struct, not on a field"),
                ),
                _ => unknown(&word, "a field", ON_FIELD, context),
            }
        }
        parsed
    }
}

impl StructAttributes {
    pub(crate) fn parse(attributes: &[Attribute], context: &mut Context) -> Self {
        let mut parsed = StructAttributes::default();
        for Item { word, value } in items(attributes, context) {
            match word.to_string().as_str() {
                "prefix" => once(&mut parsed.prefix, word, value, context, stored_name),
                "companion" => once(&mut parsed.companion, word, value, context, type_name),
                "crate" => once(&mut parsed.krate, word, value, context, |word, value| {
                    path(word, value, "::my::session")
                }),
                "rotate" | "secret" | "skip" | "rename" | "alias" | "default" | "with" => context
                    .error(
                        &word,
                        format_args!("`{word}` goes on a field, not on the struct"),
                    ),
                _ => unknown(&word, "the struct", ON_STRUCT, context),
            }
        }
        parsed
    }
}

/// One `word` or `word = value`.
struct Item {
    word: Ident,
    value: Option<Expr>,
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let word = Ident::parse_any(input)?;
        if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            let value = Some(input.parse()?);
            return Ok(Item { word, value });
        }
        if !input.is_empty() && !input.peek(Token![,]) {
            let rest: TokenTree = input.parse()?;
            return Err(syn::Error::new(
                rest.span(),
                format_args!("a value is given as `{word} = …`"),
            ));
        }
        Ok(Item { word, value: None })
    }
}

/// All items of all `#[session(…)]` among `attributes`.
fn items(attributes: &[Attribute], context: &mut Context) -> Vec<Item> {
    let mut items = Vec::new();
    for attribute in attributes {
        if !attribute.path().is_ident("session") {
            continue;
        }
        let Meta::List(list) = &attribute.meta else {
            context.error(
                attribute,
                "attributes are given in parentheses: `#[session(…)]`",
            );
            continue;
        };
        match list.parse_args_with(Punctuated::<Item, Token![,]>::parse_terminated) {
            Ok(parsed) => items.extend(parsed),
            Err(error) => context.push(error),
        }
    }
    items
}

fn unknown(word: &Ident, place: &str, known: &str, context: &mut Context) {
    context.error(
        word,
        format_args!("unknown attribute `{word}`: {place} takes {known}"),
    );
}

fn flag(place: &mut Option<Given<()>>, word: Ident, value: Option<Expr>, context: &mut Context) {
    once(place, word, value, context, |word, value| match value {
        None => Ok(()),
        Some(value) => Err(syn::Error::new_spanned(
            value,
            format_args!("`{word}` takes no value: write `{word}` alone"),
        )),
    });
}

fn once<T>(
    place: &mut Option<Given<T>>,
    word: Ident,
    value: Option<Expr>,
    context: &mut Context,
    read: impl FnOnce(&Ident, Option<Expr>) -> syn::Result<T>,
) {
    if place.is_some() {
        context.error(&word, format_args!("`{word}` is given twice: remove one"));
        return;
    }
    match read(&word, value) {
        Ok(value) => *place = Some(Given { word, value }),
        Err(error) => context.push(error),
    }
}

fn stored_name(word: &Ident, value: Option<Expr>) -> syn::Result<LitStr> {
    let wrong = |tokens: &dyn quote::ToTokens| {
        syn::Error::new_spanned(
            tokens,
            format_args!("`{word}` takes a name in quotes: `{word} = \"name\"`"),
        )
    };
    match value {
        Some(Expr::Lit(ExprLit {
            lit: Lit::Str(name),
            ..
        })) if !name.value().is_empty() => Ok(name),
        Some(value) => Err(wrong(&value)),
        None => Err(wrong(word)),
    }
}

fn path(word: &Ident, value: Option<Expr>, example: &str) -> syn::Result<Path> {
    let wrong = |tokens: &dyn quote::ToTokens| {
        syn::Error::new_spanned(
            tokens,
            format_args!("`{word}` takes a path without quotes: `{word} = {example}`"),
        )
    };
    match value {
        Some(Expr::Path(ExprPath {
            qself: None, path, ..
        })) => Ok(path),
        Some(value) => Err(wrong(&value)),
        None => Err(wrong(word)),
    }
}

fn type_name(word: &Ident, value: Option<Expr>) -> syn::Result<Ident> {
    let path = path(word, value, "MyName")?;
    path.get_ident().cloned().ok_or_else(|| {
        syn::Error::new_spanned(
            &path,
            "`companion` names a type that is generated beside the struct: one name, no path",
        )
    })
}
