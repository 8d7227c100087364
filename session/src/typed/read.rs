//! From a record's stored bytes to the fields of a struct.
//!
//! What is generic is compiled anew for every type of a field, so it is kept small here.

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

    /// How long `field` will last, if it falls back to its default by itself.
    #[must_use]
    pub fn time_left(&self, field: &Field) -> Option<Duration> {
        self.fields.time_left(field.name, self.now)
    }

    /// Reads `field` into `slot`. Leaves `slot` as it is when the field is not stored, and when it
    /// cannot be decoded, which is logged.
    pub fn read<T: for<'de> Deserialize<'de>>(&mut self, field: &'static Field, slot: &mut T) {
        self.read_with(field, slot, |bytes| {
            decode_field(bytes, |deserializer| T::deserialize(deserializer))
        });
    }

    /// The same with another way to decode it.
    pub fn read_with<T>(
        &mut self,
        field: &'static Field,
        slot: &mut T,
        decode: impl FnOnce(&'a [u8]) -> Option<T>,
    ) {
        let Some(bytes) = self.fields.stored(field) else {
            return;
        };
        match decode(bytes) {
            Some(value) => *slot = value,
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

/// The value of a field, if `bytes` are one.
#[doc(hidden)]
pub fn decode_field<'a, T>(
    bytes: &'a [u8],
    deserialize: impl FnOnce(&mut FieldDeserializer<'a>) -> Result<T, rmp_serde::decode::Error>,
) -> Option<T> {
    decode(bytes, deserialize).ok()
}

/// The value of a field whose type was another one once.
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

/// The value that `bytes` are the encoded form of.
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
