//! Whether two encoded forms of a field hold one value.
//!
//! The encoding of a `HashMap` has no order of its own: a decoded map encodes its entries in another order
//! than the one it was decoded from. Such a field must not count as changed because its bytes changed.
//! Two encoded forms hold one value if they consist of the same bytes in another order *and* the decoded
//! values are equal. The first condition keeps every change that a `PartialEq` does not compare.
//!
//! The derive cannot ask whether a type implements `PartialEq`, so it lets method resolution choose:
//! `(&EqualValues(&one, &other)).equal()` finds the inherent method when `T: PartialEq`, and otherwise
//! the trait method of [`FallbackEqual`]. [`EqualEncoded`] does the same and asks for serde's trait too, so
//! that a field without it gives the one error of the code that reads it.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::write::encode;
use super::{FieldSerializer, decode_field};

/// Two values to compare, if their type can be compared.
#[doc(hidden)]
#[expect(
    missing_debug_implementations,
    reason = "exists only to reach another type's PartialEq"
)]
pub struct EqualValues<'a, T>(pub &'a T, pub &'a T);

impl<T: PartialEq> EqualValues<'_, T> {
    /// Whether the two values are equal.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.0 == self.1
    }
}

/// The answer for a type without `PartialEq`: its values count as different.
#[doc(hidden)]
pub trait FallbackEqual {
    fn equal(&self) -> bool;
}

impl<T> FallbackEqual for EqualValues<'_, T> {
    fn equal(&self) -> bool {
        false
    }
}

/// Compares two encoded forms of a type that serde decodes, if the type can be compared.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct EqualEncoded<T>(PhantomData<T>);

impl<T> EqualEncoded<T> {
    /// For method resolution to start from.
    #[must_use]
    pub fn new() -> Self {
        EqualEncoded(PhantomData)
    }
}

impl<T: PartialEq + DeserializeOwned> EqualEncoded<T> {
    /// Whether two encoded forms hold one value.
    #[must_use]
    pub fn equal(&self, one: &[u8], other: &[u8]) -> bool {
        let decode =
            |bytes: &[u8]| decode_field(bytes, |deserializer| T::deserialize(deserializer));
        equal_encoded(one, other, decode, T::eq)
    }
}

/// The answer for a type that cannot be compared: different bytes count as different values.
#[doc(hidden)]
pub trait FallbackEqualEncoded {
    fn equal(&self, one: &[u8], other: &[u8]) -> bool;
}

impl<T> FallbackEqualEncoded for EqualEncoded<T> {
    fn equal(&self, _: &[u8], _: &[u8]) -> bool {
        false
    }
}

/// Whether two encoded forms hold one value.
#[doc(hidden)]
pub fn equal_encoded<T>(
    one: &[u8],
    other: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
    equal: impl Fn(&T, &T) -> bool,
) -> bool {
    if !is_reordered(one, other) {
        return false;
    }
    match (decode(one), decode(other)) {
        (Some(one), Some(other)) => equal(&one, &other),
        _ => false,
    }
}

/// The same for a field that had another type before: compares what both forms migrate to.
#[doc(hidden)]
pub fn equal_migrated<T>(
    one: &[u8],
    other: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
    serialize: impl Fn(&T, &mut FieldSerializer<'_>) -> Result<(), rmp_serde::encode::Error>,
    equal: impl Fn(&T, &T) -> bool,
) -> bool {
    let migrated = |bytes: &[u8]| {
        let value = decode(bytes)?;
        encode(|serializer| serialize(&value, serializer)).ok()
    };
    match (migrated(one), migrated(other)) {
        (Some(one), Some(other)) => one == other || equal_encoded(&one, &other, decode, equal),
        _ => false,
    }
}

/// Whether both consist of the same bytes, in any order.
fn is_reordered(one: &[u8], other: &[u8]) -> bool {
    let mut counts = [0_isize; 256];
    for byte in one {
        counts[usize::from(*byte)] += 1;
    }
    for byte in other {
        counts[usize::from(*byte)] -= 1;
    }
    counts.iter().all(|count| *count == 0)
}
