//! Decodes a record's stored bytes into the fields of a struct.
//!
//! Generic code is compiled again for every type of a field, so it is kept small here.

use std::time::Duration;

use rmp_serde::decode::ReadRefReader;
use serde::Deserialize;

use crate::Timestamp;
use crate::record::{Field, Fields, MAX_DEPTH};

/// The deserializer that a `with = module` function reads from.
#[doc(hidden)]
pub type FieldDeserializer<'a> = rmp_serde::Deserializer<ReadRefReader<'a, [u8]>>;

/// Reads typed fields from the raw fields of a record.
#[doc(hidden)]
#[derive(Debug)]
pub struct Reader<'a> {
    fields: &'a Fields,
    now: Timestamp,
    undecodable: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(fields: &'a Fields, now: Timestamp) -> Self {
        Reader {
            fields,
            now,
            undecodable: Vec::new(),
        }
    }

    /// How long `field` will last, if it has a `ttl`.
    #[must_use]
    pub fn time_left(&self, field: &Field) -> Option<Duration> {
        self.fields.time_left(field.name, self.now)
    }

    /// Reads `field` into `value`. Leaves `value` as it is if the field is not stored, or if it cannot be
    /// decoded, which is logged.
    pub fn read<T: for<'de> Deserialize<'de>>(&mut self, field: &'static Field, value: &mut T) {
        self.read_with(field, value, |bytes| {
            decode_field(bytes, |deserializer| T::deserialize(deserializer))
        });
    }

    /// The same, with a function that decodes the field.
    pub fn read_with<T>(
        &mut self,
        field: &'static Field,
        value: &mut T,
        decode: impl FnOnce(&'a [u8]) -> Option<T>,
    ) {
        let Some(bytes) = self.fields.stored(field) else {
            return;
        };
        match decode(bytes) {
            Some(decoded) => *value = decoded,
            None => self.note_undecodable(field),
        }
    }

    #[cold]
    fn note_undecodable(&mut self, field: &'static Field) {
        self.undecodable.push(field.name);
        // The error's text could quote the value, so only the field is named.
        tracing::warn!(
            event = "undecodable_field",
            field = field.name,
            "a stored session field cannot be decoded by this build: it reads as its default, and \
             its stored bytes are kept until it is set"
        );
    }

    /// The fields that were stored and could not be decoded.
    #[cfg(feature = "testing")]
    pub(crate) fn undecodable(&self) -> &[&'static str] {
        &self.undecodable
    }
}

/// Decodes the value of a field; `None` if `bytes` are not one.
#[doc(hidden)]
pub fn decode_field<'a, T>(
    bytes: &'a [u8],
    deserialize: impl FnOnce(&mut FieldDeserializer<'a>) -> Result<T, rmp_serde::decode::Error>,
) -> Option<T> {
    decode(bytes, deserialize).ok()
}

/// Decodes the value of a field that had the type `Old` before.
#[doc(hidden)]
pub fn decode_or_migrate<'a, T, Old: for<'de> Deserialize<'de>>(
    bytes: &'a [u8],
    deserialize: impl FnOnce(&mut FieldDeserializer<'a>) -> Result<T, rmp_serde::decode::Error>,
    migrate: fn(Old) -> T,
) -> Option<T> {
    decode(bytes, deserialize)
        .or_else(|_| decode(bytes, |deserializer| Old::deserialize(deserializer)).map(migrate))
        .ok()
}

/// Decodes a value.
pub(super) fn decode<'a, T>(
    bytes: &'a [u8],
    deserialize: impl FnOnce(&mut FieldDeserializer<'a>) -> Result<T, rmp_serde::decode::Error>,
) -> Result<T, rmp_serde::decode::Error> {
    deserialize(&mut deserializer(bytes))
}

fn deserializer(bytes: &[u8]) -> FieldDeserializer<'_> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    deserializer
}
