//! From a typed merge function to one of encoded values.

use std::marker::PhantomData;

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
    merge: Merge<T>,
) -> Option<Vec<u8>> {
    let value = |bytes: Option<&[u8]>| bytes.and_then(&decode).unwrap_or_else(&default);
    let ours = decode(versions.ours)?;
    let merged = merge(&value(versions.base), ours, value(versions.theirs));
    encode(|serializer| serialize(&merged, serializer)).ok()
}

/// The type of a merge function.
#[doc(hidden)]
pub type Merge<T> = fn(&T, T, T) -> T;

/// A function that the user gave to merge a field of the type `T`.
///
/// `(&MergeOf::<T, _>::of(function)).function()` finds the inherent method if the function has the right
/// form. If not, it finds the method of [`WrongMerge`], whose bound no function meets. The error of that
/// bound says what to write, where a mismatch of function types would only show both.
#[doc(hidden)]
#[derive(Debug)]
pub struct MergeOf<T, F> {
    function: F,
    of: PhantomData<T>,
}

impl<T, F> MergeOf<T, F> {
    /// For method resolution to start from.
    pub fn of(function: F) -> Self {
        MergeOf {
            function,
            of: PhantomData,
        }
    }
}

impl<T, F: Copy + Fn(&T, T, T) -> T> MergeOf<T, F> {
    /// The function.
    pub fn function(&self) -> F {
        self.function
    }
}

/// What method resolution finds for a function of another form.
#[doc(hidden)]
pub trait WrongMerge {
    type Field;
    type Function;

    fn function(&self) -> Merge<Self::Field>
    where
        Self::Function: MergesField<Self::Field>;
}

impl<T, F> WrongMerge for MergeOf<T, F> {
    type Field = T;
    type Function = F;

    fn function(&self) -> Merge<T>
    where
        F: MergesField<T>,
    {
        |_, ours, _| ours
    }
}

/// Has no implementation: its unmet bound is the error.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this function cannot merge a field of the type `{T}`",
    label = "its type is `{Self}`",
    note = "write a function of the type `fn(base: &{T}, ours: {T}, theirs: {T}) -> {T}`, or use one of `session::merge`"
)]
pub trait MergesField<T> {}
