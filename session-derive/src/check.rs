//! The rules about attributes that contradict each other, one function a rule.

use std::collections::HashMap;

use syn::ext::IdentExt as _;
use syn::{DeriveInput, GenericParam, Type};

use crate::context::Context;
use crate::model::Model;

pub(crate) fn check(model: &Model, input: &DeriveInput, context: &mut Context) {
    no_lifetimes(input, context);
    no_borrowed_fields(model, context);
    skipped_fields_have_no_stored_form(model, context);
    resolved_in_one_way(model, context);
    one_owner(model, context);
    version_and_migrate(model, context);
    stored_names_differ(model, context);
    accessors_differ(model, context);
    companion_differs_from_struct(model, context);
}

/// A session type cannot borrow: its values outlive the buffer that they were decoded from.
fn no_lifetimes(input: &DeriveInput, context: &mut Context) {
    for parameter in &input.generics.params {
        if let GenericParam::Lifetime(lifetime) = parameter {
            context.error(
                lifetime,
                "a session owns its data: use owned types, `String` for `&str`, instead of a lifetime",
            );
        }
    }
}

/// A decoded field cannot borrow from the record. A module given by `with` decodes by its own rules.
fn no_borrowed_fields(model: &Model, context: &mut Context) {
    for (field, stored) in model.stored() {
        if let (Type::Reference(_), None) = (&field.ty, &stored.with) {
            context.error(
                &field.ty,
                "a session owns its data: use an owned type, `String` for `&str`, instead of a reference",
            );
        }
    }
}

fn skipped_fields_have_no_stored_form(model: &Model, context: &mut Context) {
    for field in &model.fields {
        let attributes = &field.attributes;
        if attributes.skip.is_none() {
            continue;
        }
        let words = [
            attributes.rename.as_ref().map(|given| &given.word),
            attributes.with.as_ref().map(|given| &given.word),
            attributes.migrate.as_ref().map(|given| &given.word),
            attributes.rotate.as_ref().map(|given| &given.word),
            attributes.owner.as_ref().map(|given| &given.word),
            attributes.flash.as_ref().map(|given| &given.word),
            attributes.ttl.as_ref().map(|given| &given.word),
            attributes.merge.as_ref().map(|given| &given.word),
            attributes.on_conflict.as_ref().map(|given| &given.word),
            attributes.group.as_ref().map(|given| &given.word),
        ];
        let aliases = attributes.aliases.iter().map(|given| &given.word);
        for word in words.into_iter().flatten().chain(aliases) {
            context.error(
                word,
                format_args!(
                    "`{word}` has no effect on a field that is never stored: remove `{word}` or `skip`"
                ),
            );
        }
    }
}

/// Only one attribute may say what happens to a field that two requests change.
fn resolved_in_one_way(model: &Model, context: &mut Context) {
    for (field, _) in model.stored() {
        let attributes = &field.attributes;
        let merge = attributes.merge.as_ref().map(|given| &given.word);
        let on_conflict = attributes.on_conflict.as_ref().map(|given| &given.word);
        let group = attributes.group.as_ref().map(|given| &given.word);
        let flash = attributes.flash.as_ref().map(|given| &given.word);
        let ttl = attributes.ttl.as_ref().map(|given| &given.word);
        let owner = attributes.owner.as_ref().map(|given| &given.word);
        for (first, second, why) in [
            (
                merge,
                on_conflict,
                "a concurrent change is either merged or resolved by `on_conflict`",
            ),
            (
                merge,
                group,
                "the fields of a group are saved as one, not merged one by one",
            ),
            (
                flash,
                on_conflict,
                "the first request that takes a flash removes it",
            ),
            (
                flash,
                group,
                "the fields of a group change together, but a flash is taken alone",
            ),
            (
                ttl,
                group,
                "the fields of a group change together, but this field would expire alone",
            ),
            (
                ttl,
                owner,
                "the store would find the session by an owner that has expired",
            ),
            (
                flash,
                owner,
                "the store would find the session by an owner that was taken",
            ),
        ] {
            if let (Some(first), Some(second)) = (first, second) {
                context.error(
                    second,
                    format_args!(
                        "`{first}` and `{second}` exclude each other: {why}. Remove one of them"
                    ),
                );
            }
        }
    }
}

/// A session has one owner.
fn one_owner(model: &Model, context: &mut Context) {
    let owners = model
        .stored()
        .filter_map(|(field, _)| field.attributes.owner.as_ref());
    for second in owners.skip(1) {
        context.error(
            &second.word,
            "a session has one owner, and another field is marked `owner` already: remove one of them",
        );
    }
}

/// A version and a migration need each other.
fn version_and_migrate(model: &Model, context: &mut Context) {
    match (&model.version, &model.migrate) {
        (Some(version), None) => context.error(
            &version.word,
            "a version needs the function that migrates to it: add `migrate = my_function`",
        ),
        (None, Some(migrate)) => context.error(
            &migrate.word,
            "a migration needs the version that it migrates to: add `version = 1`",
        ),
        _ => {}
    }
}

/// Two fields of one stored name would overwrite each other.
fn stored_names_differ(model: &Model, context: &mut Context) {
    let mut taken: HashMap<String, String> = HashMap::new();
    let names = model.stored().map(|(field, stored)| (field, stored, None));
    let aliases = model.stored().flat_map(|(field, stored)| {
        (0..stored.aliases.len()).map(move |index| (field, stored, Some(index)))
    });
    for (field, stored, alias) in names.chain(aliases) {
        let name = alias.map_or(&stored.name, |index| &stored.aliases[index]);
        let this = field.name.unraw().to_string();
        let Some(other) = taken.insert(name.clone(), this.clone()) else {
            continue;
        };
        let message = if other == this {
            format!("the field `{this}` is stored as \"{name}\" already: remove this alias")
        } else {
            format!(
                "the field `{other}` is stored as \"{name}\" already: give one of them another name"
            )
        };
        match (alias, &field.attributes.rename) {
            (Some(index), _) => context.error(&field.attributes.aliases[index].value, message),
            (None, Some(rename)) => context.error(&rename.value, message),
            (None, None) => context.error(&field.name, message),
        }
    }
}

fn accessors_differ(model: &Model, context: &mut Context) {
    let mut taken: HashMap<String, String> = HashMap::new();
    for field in &model.fields {
        let this = field.name.unraw().to_string();
        for accessor in field.accessors() {
            let accessor = accessor.to_string();
            if let Some(other) = taken.insert(accessor.clone(), this.clone()) {
                context.error(
                    &field.name,
                    format_args!(
                        "the fields `{other}` and `{this}` would both have a method \
                         `{accessor}`: rename one of them, and keep its stored form by \
                         `#[session(rename = \"{this}\")]`"
                    ),
                );
            }
        }
    }
}

fn companion_differs_from_struct(model: &Model, context: &mut Context) {
    if model.companion == model.name {
        context.error(
            &model.companion,
            "the companion is a separate type: give it another name than the struct",
        );
    }
}
