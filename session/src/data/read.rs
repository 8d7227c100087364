//! From a record's stored bytes to the fields of a struct.

use std::time::Duration;

use rmp_serde::decode::ReadRefReader;
use serde::Deserialize;

use crate::Timestamp;
use crate::record::{Field, Fields, MAX_DEPTH};

/// What a `with = module` deserializer reads from.
#[doc(hidden)]
pub type FieldDeserializer<'a> = rmp_serde::Deserializer<ReadRefReader<'a, [u8]>>;

/// Reads typed fields from the raw ones of a record.
#[doc(hidden)]
#[derive(Debug)]
pub struct Reader<'a> {
    fields: &'a Fields,
    now: Timestamp,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(fields: &'a Fields, now: Timestamp) -> Self {
        Reader { fields, now }
    }

    /// How long `field` will last, if it falls back to its default by itself.
    #[must_use]
    pub fn time_left(&self, field: &Field) -> Option<Duration> {
        self.fields.time_left(field.name, self.now)
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
        let Some(bytes) = self.fields.stored(field) else {
            return false;
        };
        match decode(bytes, deserialize) {
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
}

/// The value that `bytes` are the encoded form of.
pub(super) fn decode<'a, T>(
    bytes: &'a [u8],
    deserialize: impl FnOnce(&mut FieldDeserializer<'a>) -> Result<T, rmp_serde::decode::Error>,
) -> Result<T, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    deserialize(&mut deserializer)
}
