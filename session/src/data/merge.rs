//! From a typed merge function to one of encoded values.

use super::read::decode;
use super::write::encode;
use super::{FieldDeserializer, FieldSerializer};
use crate::record::Sides;

/// Decodes the three sides, merges them, and encodes what comes out. What cannot be decoded is read as
/// the field's default, as it is everywhere; `None` where not even the value to be saved can be.
#[doc(hidden)]
pub fn merge_encoded<T>(
    sides: Sides<'_>,
    default: impl Fn() -> T,
    deserialize: impl Fn(&mut FieldDeserializer<'_>) -> Result<T, rmp_serde::decode::Error>,
    serialize: impl Fn(&T, &mut FieldSerializer<'_>) -> Result<(), rmp_serde::encode::Error>,
    merge: fn(&T, T, T) -> T,
) -> Option<Vec<u8>> {
    let side = |bytes: Option<&[u8]>| {
        bytes
            .and_then(|bytes| decode(bytes, &deserialize).ok())
            .unwrap_or_else(&default)
    };
    let mine = decode(sides.mine, &deserialize).ok()?;
    let merged = merge(&side(sides.base), mine, side(sides.theirs));
    encode(|serializer| serialize(&merged, serializer)).ok()
}
