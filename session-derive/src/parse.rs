//! Parses the tokens of `#[session(…)]` into typed attributes. `check` finds those that contradict each
//! other.

use std::time::Duration;

use proc_macro2::TokenTree;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, ExprPath, Ident, Lit, LitStr, Meta, Path, Token};

use crate::context::Context;

const ON_FIELD: &str = "`rotate`, `owner`, `flash`, `ttl = \"…\"`, `secret`, `merge = …`, \
     `on_conflict = \"…\"`, `group = \"…\"`, `rename = \"…\"`, `alias = \"…\"`, `default`, \
     `default = …`, `with = …`, `migrate = …` and `skip`";
const ON_STRUCT: &str = "`prefix = \"…\"`, `on_conflict = \"…\"`, `version = …`, `migrate = …`, `companion = …` and `crate = …`";

/// The value of an attribute, and its word, which errors point at.
pub(crate) struct Given<T> {
    pub(crate) word: Ident,
    pub(crate) value: T,
}

/// What a save does with a field that another request changed after this one read it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnConflict {
    LastWriteWins,
    Reject,
}

/// The attributes of a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    pub(crate) rotate: Option<Given<()>>,
    pub(crate) secret: Option<Given<()>>,
    pub(crate) skip: Option<Given<()>>,
    pub(crate) owner: Option<Given<()>>,
    pub(crate) flash: Option<Given<()>>,
    pub(crate) ttl: Option<Given<Duration>>,
    pub(crate) merge: Option<Given<Path>>,
    pub(crate) on_conflict: Option<Given<OnConflict>>,
    pub(crate) group: Option<Given<LitStr>>,
    pub(crate) rename: Option<Given<LitStr>>,
    pub(crate) aliases: Vec<Given<LitStr>>,
    pub(crate) default: Option<Given<Option<Expr>>>,
    pub(crate) with: Option<Given<Path>>,
    pub(crate) migrate: Option<Given<Path>>,
}

/// The attributes of the struct.
#[derive(Default)]
pub(crate) struct StructAttributes {
    pub(crate) prefix: Option<Given<LitStr>>,
    pub(crate) on_conflict: Option<Given<OnConflict>>,
    pub(crate) companion: Option<Given<Ident>>,
    pub(crate) version: Option<Given<u32>>,
    pub(crate) migrate: Option<Given<Path>>,
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
                "owner" => flag(&mut parsed.owner, word, value, context),
                "flash" => flag(&mut parsed.flash, word, value, context),
                "ttl" => once(&mut parsed.ttl, word, value, context, time_to_live),
                "merge" => once(&mut parsed.merge, word, value, context, |word, value| {
                    path(word, value, "session::merge::sum")
                }),
                "on_conflict" => once(&mut parsed.on_conflict, word, value, context, on_conflict),
                "group" => once(&mut parsed.group, word, value, context, stored_name),
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
                "migrate" => once(&mut parsed.migrate, word, value, context, |word, value| {
                    path(word, value, "my_function")
                }),
                "prefix" | "companion" | "crate" | "version" => context.error(
                    &word,
                    format_args!("`{word}` belongs on the struct, not on a field"),
                ),
                "index" => context.error(&word, "`index` is called `owner` now: write `owner`"),
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
                "on_conflict" => once(&mut parsed.on_conflict, word, value, context, on_conflict),
                "prefix" => once(&mut parsed.prefix, word, value, context, stored_name),
                "version" => once(&mut parsed.version, word, value, context, version),
                "migrate" => once(&mut parsed.migrate, word, value, context, |word, value| {
                    path(word, value, "my_function")
                }),
                "companion" => once(&mut parsed.companion, word, value, context, type_name),
                "crate" => once(&mut parsed.krate, word, value, context, |word, value| {
                    path(word, value, "::my::session")
                }),
                "rotate" | "owner" | "index" | "flash" | "ttl" | "secret" | "merge" | "group"
                | "skip" | "rename" | "alias" | "default" | "with" => context.error(
                    &word,
                    format_args!("`{word}` belongs on a field, not on the struct"),
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
    let advice = match similar(&word.to_string(), known) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => format!("{place} takes {known}"),
    };
    context.error(word, format_args!("unknown attribute `{word}`: {advice}"));
}

/// The word of the list of attributes that `typed` was probably meant to be.
fn similar<'a>(typed: &str, known: &'a str) -> Option<&'a str> {
    let words = known.split('`').skip(1).step_by(2);
    words
        .filter_map(|attribute| attribute.split(' ').next())
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, word)| *distance <= 2 && *distance < word.len() / 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The Levenshtein distance: how many characters to insert, remove or replace.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, b) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
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
        context.error(
            &word,
            format_args!("`{word}` is given twice: remove one of them"),
        );
        return;
    }
    match read(&word, value) {
        Ok(value) => *place = Some(Given { word, value }),
        Err(error) => context.push(error),
    }
}

fn on_conflict(word: &Ident, value: Option<Expr>) -> syn::Result<OnConflict> {
    let text = string(value.as_ref());
    match text.as_ref().map(LitStr::value).as_deref() {
        Some("reject") => Ok(OnConflict::Reject),
        Some("last-write-wins") => Ok(OnConflict::LastWriteWins),
        Some("later-wins") => Err(syn::Error::new_spanned(
            value,
            "`\"later-wins\"` is called `\"last-write-wins\"` now: write `on_conflict = \"last-write-wins\"`",
        )),
        _ => Err(wrong(
            word,
            value,
            "takes `\"reject\"`, which makes a concurrent change an error, or `\"last-write-wins\"`, \
             which is the default",
        )),
    }
}

fn version(word: &Ident, value: Option<Expr>) -> syn::Result<u32> {
    let number = match &value {
        Some(Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        })) => number.base10_parse().ok(),
        _ => None,
    };
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| wrong(word, value, "takes a number from 1 on: `version = 1`"))
}

/// A number and a unit, or several of them: `"90s"`, `"10m"`, `"1h 30m"`, `"7d"`.
fn time_to_live(word: &Ident, value: Option<Expr>) -> syn::Result<Duration> {
    let text = string(value.as_ref());
    let duration = text.as_ref().and_then(|text| duration(&text.value()));
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| {
        wrong(
            word,
            value,
            "takes a time in seconds, minutes, hours or days: `\"90s\"`, `\"10m\"`, `\"1h 30m\"`, \
             `\"7d\"`",
        )
    })
}

fn duration(text: &str) -> Option<Duration> {
    let mut total: Option<u64> = None;
    for part in text.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
        let part = part.trim_start();
        let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = digits.then(|| number.parse().ok()).flatten()?;
        total = Some(
            total
                .unwrap_or(0)
                .checked_add(number.checked_mul(seconds)?)?,
        );
    }
    total.map(Duration::from_secs)
}

fn string(value: Option<&Expr>) -> Option<LitStr> {
    match value {
        Some(Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        })) => Some(text.clone()),
        _ => None,
    }
}

/// The error for a value that `word` does not take. It points at the word if there is no value.
fn wrong(word: &Ident, value: Option<Expr>, takes: &str) -> syn::Error {
    let message = format!("`{word}` {takes}");
    match value {
        Some(value) => syn::Error::new_spanned(value, message),
        None => syn::Error::new_spanned(word, message),
    }
}

fn stored_name(word: &Ident, value: Option<Expr>) -> syn::Result<LitStr> {
    string(value.as_ref())
        // The library keeps names with a `#` for itself.
        .filter(|name| !name.value().is_empty() && !name.value().contains('#'))
        .ok_or_else(|| {
            let takes = format!("takes a name in quotes, without `#`: `{word} = \"name\"`");
            wrong(word, value, &takes)
        })
}

fn path(word: &Ident, value: Option<Expr>, example: &str) -> syn::Result<Path> {
    match value {
        Some(Expr::Path(ExprPath {
            qself: None, path, ..
        })) => Ok(path),
        value => {
            let takes = format!("takes a path without quotes: `{word} = {example}`");
            Err(wrong(word, value, &takes))
        }
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
