//! From a typed merge function to one of encoded values.

use super::FieldSerializer;
use super::write::encode;
use crate::record::Versions;

/// Decodes the three versions of a field, merges them, and encodes the result.
///
/// A base or a stored value that cannot be decoded counts as the field's default, as it does in every
/// read. Gives `None` if the value that this request saves cannot be decoded.
#[doc(hidden)]
pub fn merge_encoded<T>(
    versions: Versions<'_>,
    default: impl Fn() -> T,
    decode: impl Fn(&[u8]) -> Option<T>,
    serialize: impl Fn(&T, &mut FieldSerializer<'_>) -> Result<(), rmp_serde::encode::Error>,
    merge: fn(&T, T, T) -> T,
) -> Option<Vec<u8>> {
    let value = |bytes: Option<&[u8]>| bytes.and_then(&decode).unwrap_or_else(&default);
    let ours = decode(versions.ours)?;
    let merged = merge(&value(versions.base), ours, value(versions.theirs));
    encode(|serializer| serialize(&merged, serializer)).ok()
}
