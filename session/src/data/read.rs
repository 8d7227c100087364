//! From a record's stored bytes to the fields of a struct.

use rmp_serde::decode::ReadRefReader;
use serde::Deserialize;

use super::Field;
use crate::record::{Fields, MAX_DEPTH};

/// What a `with = module` deserializer reads from.
#[doc(hidden)]
pub type FieldDeserializer<'a> = rmp_serde::Deserializer<ReadRefReader<'a, [u8]>>;

/// Reads typed fields from the raw ones of a record.
#[doc(hidden)]
#[derive(Debug)]
pub struct Reader<'a> {
    fields: &'a Fields,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(fields: &'a Fields) -> Self {
        Reader { fields }
    }

    /// Reads `field` into `slot`. Leaves `slot` as it is, and returns false, when the field is not
    /// stored or cannot be decoded; the latter is logged.
    pub fn read<T: for<'de> Deserialize<'de>>(&mut self, field: &Field, slot: &mut T) -> bool {
        self.read_with(field, slot, |deserializer| T::deserialize(deserializer))
    }

    /// The same through a function of serde's `with` convention.
    pub fn read_with<T>(
        &mut self,
        field: &Field,
        slot: &mut T,
        deserialize: impl FnOnce(&mut FieldDeserializer<'a>) -> Result<T, rmp_serde::decode::Error>,
    ) -> bool {
        let Some(bytes) = self.stored(field) else {
            return false;
        };
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        deserializer.set_max_depth(MAX_DEPTH);
        match deserialize(&mut deserializer) {
            Ok(value) => {
                *slot = value;
                true
            }
            // The error's text can quote the value, so only the field is named.
            Err(_) => {
                tracing::warn!(
                    event = "undecodable_field",
                    field = field.name,
                    "a stored session field cannot be decoded by this build: it reads as its \
                     default, and its stored bytes are kept until it is set"
                );
                false
            }
        }
    }

    /// This build writes a field under its name and all of its aliases, the same bytes under each.
    /// So where an alias differs, a build that knows only the old name wrote it later.
    fn stored(&self, field: &Field) -> Option<&'a [u8]> {
        let current = self.fields.get(field.name);
        field
            .aliases
            .iter()
            .filter_map(|alias| self.fields.get(alias))
            .find(|bytes| Some(*bytes) != current)
            .or(current)
    }
}
