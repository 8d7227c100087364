//! Which types of fields encode equal values to equal bytes, as far as their tokens tell.

use syn::{GenericArgument, PathArguments, PathSegment, Type, TypePath};

/// Types of the standard library whose encoding has an order of its own, if that of their parameters has.
const ORDERED: [&str; 23] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32",
    "f64", "bool", "char", "String", "Option", "Vec", "VecDeque", "BTreeMap", "BTreeSet", "Box",
];

/// Types of the standard library whose encoding has no order of its own.
const UNORDERED: [&str; 2] = ["HashMap", "HashSet"];

/// Whether the type consists only of types that encode equal values to equal bytes.
pub(crate) fn is_ordered(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => last_of_std(path).is_some_and(|segment| {
            ORDERED.iter().any(|name| segment.ident == name) && parameters(segment).all(is_ordered)
        }),
        Type::Tuple(tuple) => tuple.elems.iter().all(is_ordered),
        Type::Array(array) => is_ordered(&array.elem),
        Type::Group(group) => is_ordered(&group.elem),
        Type::Paren(paren) => is_ordered(&paren.elem),
        _ => false,
    }
}

/// Whether the type names one whose encoding has no order.
pub(crate) fn is_unordered(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| {
            UNORDERED.iter().any(|name| segment.ident == name)
                || parameters(segment).any(is_unordered)
        }),
        Type::Tuple(tuple) => tuple.elems.iter().any(is_unordered),
        Type::Array(array) => is_unordered(&array.elem),
        Type::Group(group) => is_unordered(&group.elem),
        Type::Paren(paren) => is_unordered(&paren.elem),
        _ => false,
    }
}

/// The last segment of a path that can lead to the standard library.
fn last_of_std(path: &TypePath) -> Option<&PathSegment> {
    let segments = &path.path.segments;
    let first = segments.first()?;
    let is_of_std = segments.len() == 1
        || ["std", "core", "alloc"]
            .iter()
            .any(|name| first.ident == name);
    segments
        .last()
        .filter(|_| is_of_std && path.qself.is_none())
}

fn parameters(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
}
