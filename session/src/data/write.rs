//! From the changed fields of a struct to raw changes of a record.

use std::sync::Arc;

use rmp_serde::config::{DefaultConfig, StructMapConfig};
use serde::Serialize;

use super::Field;
use crate::record::{Changes, MAX_DEPTH, is_one_value};

/// What a `with = module` serializer writes to.
#[doc(hidden)]
pub type FieldSerializer<'a> =
    rmp_serde::Serializer<&'a mut Vec<u8>, StructMapConfig<DefaultConfig>>;

/// Collects the encoded forms of changed fields.
#[doc(hidden)]
#[derive(Debug)]
pub struct Writer<'a> {
    changes: &'a mut Changes,
    error: Option<EncodeError>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(changes: &'a mut Changes) -> Self {
        Writer {
            changes,
            error: None,
        }
    }

    /// Writes the value of a changed field.
    pub fn write<T: Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        self.write_with(field, |serializer| value.serialize(serializer));
    }

    /// The same through a function of serde's `with` convention.
    pub fn write_with(
        &mut self,
        field: &Field,
        serialize: impl FnOnce(&mut FieldSerializer<'_>) -> Result<(), rmp_serde::encode::Error>,
    ) {
        let mut bytes = Vec::new();
        // Structs as maps: a field added to a nested struct does not shift the others.
        let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
        let problem = match serialize(&mut serializer) {
            Err(source) => Some(EncodeProblem::Serialize(source)),
            Ok(()) if !is_one_value(&bytes) => Some(EncodeProblem::NotOneValue),
            Ok(()) => None,
        };
        if let Some(problem) = problem {
            self.error.get_or_insert(EncodeError {
                field: field.name,
                problem: Arc::new(problem),
            });
            return;
        }
        for alias in field.aliases {
            self.changes.set(*alias, bytes.clone(), field.rotate);
        }
        self.changes.set(field.name, bytes, field.rotate);
    }

    pub(crate) fn finish(self) -> Result<(), EncodeError> {
        self.error.map_or(Ok(()), Err)
    }
}

/// A changed field could not be encoded, so nothing of its handle was saved.
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
enum EncodeProblem {
    #[error("its serde implementation failed")]
    Serialize(#[source] rmp_serde::encode::Error),
    #[error("it does not encode to exactly one MessagePack value at most {MAX_DEPTH} levels deep")]
    NotOneValue,
}
