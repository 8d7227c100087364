//! From a typed merge function to one of encoded values.

use super::FieldSerializer;
use super::write::encode;
use crate::record::Sides;

/// Decodes the three sides, merges them, and encodes what comes out. What cannot be decoded is read as
/// the field's default, as it is everywhere; `None` where not even the value to be saved can be.
#[doc(hidden)]
pub fn merge_encoded<T>(
    sides: Sides<'_>,
    default: impl Fn() -> T,
    decode: impl Fn(&[u8]) -> Option<T>,
    serialize: impl Fn(&T, &mut FieldSerializer<'_>) -> Result<(), rmp_serde::encode::Error>,
    merge: fn(&T, T, T) -> T,
) -> Option<Vec<u8>> {
    let side = |bytes: Option<&[u8]>| bytes.and_then(&decode).unwrap_or_else(&default);
    let mine = decode(sides.mine)?;
    let merged = merge(&side(sides.base), mine, side(sides.theirs));
    encode(|serializer| serialize(&merged, serializer)).ok()
}
