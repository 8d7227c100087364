//! Encodes the changed fields of a struct as raw changes of a record.
//!
//! Generic code is compiled again for every type of a field, so it is kept small here.

use std::sync::Arc;

use rmp_serde::config::{DefaultConfig, StructMapConfig};
use serde::Serialize;

use super::OwnerKey;
use crate::record::{Changes, Field, Fields, MAX_DEPTH, is_one_value};

/// The serializer that a `with = module` function writes to.
#[doc(hidden)]
pub type FieldSerializer<'a> =
    rmp_serde::Serializer<&'a mut Vec<u8>, StructMapConfig<DefaultConfig>>;

/// Collects the encoded forms of changed fields.
#[doc(hidden)]
#[derive(Debug)]
pub struct Writer<'a> {
    changes: &'a mut Changes,
    /// The fields as this request read them.
    base: &'a Fields,
    error: Option<EncodeError>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(changes: &'a mut Changes, base: &'a Fields) -> Self {
        Writer {
            changes,
            base,
            error: None,
        }
    }

    /// Writes the value of a changed field.
    pub fn write<T: Serialize + ?Sized>(&mut self, field: &'static Field, value: &T) {
        self.write_with(field, |serializer| value.serialize(serializer));
    }

    /// The same, with a function of serde's `with` convention.
    pub fn write_with(
        &mut self,
        field: &'static Field,
        serialize: impl FnOnce(&mut FieldSerializer<'_>) -> Result<(), rmp_serde::encode::Error>,
    ) {
        self.note(field, encode(serialize));
    }

    fn note(&mut self, field: &'static Field, encoded: Result<Vec<u8>, EncodeProblem>) {
        match encoded {
            Ok(bytes) => self.changes.set(field, bytes, self.base.stored(field)),
            Err(problem) => {
                self.error.get_or_insert(EncodeError {
                    field: field.name,
                    problem: Arc::new(problem),
                });
            }
        }
    }

    /// Records the owner that the field marked `owner` now names.
    pub fn owner(&mut self, field: &Field, key: &impl OwnerKey) {
        self.changes.set_owner(field, key.owner());
    }

    pub(crate) fn finish(self) -> Result<(), EncodeError> {
        self.error.map_or(Ok(()), Err)
    }
}

/// The encoded form of a value.
pub(super) fn encode(
    serialize: impl FnOnce(&mut FieldSerializer<'_>) -> Result<(), rmp_serde::encode::Error>,
) -> Result<Vec<u8>, EncodeProblem> {
    let mut bytes = Vec::new();
    let outcome = serialize(&mut serializer(&mut bytes));
    checked(outcome, bytes)
}

/// Structs as maps: a field added to a nested struct does not shift the others.
fn serializer(bytes: &mut Vec<u8>) -> FieldSerializer<'_> {
    rmp_serde::Serializer::new(bytes).with_struct_map()
}

fn checked(
    outcome: Result<(), rmp_serde::encode::Error>,
    bytes: Vec<u8>,
) -> Result<Vec<u8>, EncodeProblem> {
    outcome.map_err(EncodeProblem::Serialize)?;
    if !is_one_value(&bytes) {
        return Err(EncodeProblem::NotOneValue);
    }
    Ok(bytes)
}

/// A changed field could not be encoded, so no change of its handle was saved.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the session field `{field}` cannot be encoded")]
pub struct EncodeError {
    field: &'static str,
    #[source]
    problem: Arc<EncodeProblem>,
}

impl EncodeError {
    /// The stored name of the field.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeProblem {
    #[error("its serde implementation failed")]
    Serialize(#[source] rmp_serde::encode::Error),
    #[error("it does not encode to exactly one MessagePack value at most {MAX_DEPTH} levels deep")]
    NotOneValue,
}
