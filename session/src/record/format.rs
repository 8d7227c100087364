//! The stored form of a record: one MessagePack map. ARCHITECTURE.md shows it byte by byte.
//!
//! What comes before `owner` has fixed places, so that a touch can replace the checksum, the last
//! use and the expiry by one small write in place. Everything else about the format follows from
//! it being a map that any MessagePack reader can print.

use std::ops::Range;
use std::time::Duration;

use rmp::encode as write;

use super::walk::Walk;
use super::{Fields, Record, Revision};
use crate::time::saturating_millis;
use crate::{StoreKey, Timestamp};

/// The version of the stored form that this build writes. It reads no later one.
pub const FORMAT_VERSION: u8 = 1;

/// The largest record that is ever read or written, in bytes: 1 MiB. A manager's own limit is lower.
pub const MAX_ENCODED_LENGTH: usize = 1024 * 1024;

/// How many fields a record may have.
const MAX_FIELDS: usize = 4096;

/// The head of a map of ten entries.
const MAP: u8 = 0x8a;
const MAGIC: &[u8] = b"\xa7session";
const CHECKSUM: &[u8] = b"\xa8checksum";
const LAST_SEEN: &[u8] = b"\xa9last_seen";
const EXPIRES: &[u8] = b"\xa7expires";
const REVISION: &[u8] = b"\xa8revision";
const CREATED: &[u8] = b"\xa7created";
const PERSIST_FOR: &[u8] = b"\xabpersist_for";
const OWNER: &[u8] = b"\xa5owner";
const DEADLINES: &[u8] = b"\xa9deadlines";
const FIELDS: &[u8] = b"\xa6fields";

/// Where the checksum's four bytes lie.
const CHECKSUM_AT: usize = 1 + MAGIC.len() + 1 + CHECKSUM.len() + 1;
const LAST_SEEN_AT: usize = CHECKSUM_AT + 4 + LAST_SEEN.len() + 1;
const EXPIRES_AT: usize = LAST_SEEN_AT + 8 + EXPIRES.len() + 1;

/// What a touch writes: from the checksum to the end of the expiry. It lies within the first 512
/// bytes, a disk's smallest sector, so that a power cut leaves the old or the new ones.
pub(crate) const ACTIVITY_RANGE: Range<usize> = CHECKSUM_AT..EXPIRES_AT + 8;

impl Record {
    /// The stored form of this record under `key`.
    ///
    /// The checksum covers the key, so that a record copied to another session's place is noticed.
    #[must_use]
    pub fn encode(&self, key: &StoreKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(MAP);
        bytes.extend_from_slice(MAGIC);
        bytes.push(FORMAT_VERSION);
        bytes.extend_from_slice(CHECKSUM);
        bytes.extend_from_slice(&[rmp::Marker::U32.to_u8(), 0, 0, 0, 0]);
        put_u64(&mut bytes, LAST_SEEN, self.last_seen.as_millis());
        put_u64(&mut bytes, EXPIRES, self.expires.as_millis());
        put_u64(&mut bytes, REVISION, self.revision.into());
        put_u64(&mut bytes, CREATED, self.created.as_millis());
        match self.persist_for {
            Some(duration) => put_u64(&mut bytes, PERSIST_FOR, saturating_millis(duration)),
            None => put_nil(&mut bytes, PERSIST_FOR),
        }
        match &self.owner {
            Some(owner) => {
                bytes.extend_from_slice(OWNER);
                put_string(&mut bytes, owner);
            }
            None => put_nil(&mut bytes, OWNER),
        }
        bytes.extend_from_slice(DEADLINES);
        put_map(&mut bytes, self.fields.deadlines().count());
        for (name, deadline) in self.fields.deadlines() {
            put_string(&mut bytes, name);
            put_u64(&mut bytes, b"", deadline.as_millis());
        }
        bytes.extend_from_slice(FIELDS);
        put_map(&mut bytes, self.fields.len());
        for (name, value) in self.fields.iter() {
            put_string(&mut bytes, name);
            bytes.extend_from_slice(value);
        }
        let checksum = checksum(key, &bytes);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// The record that was stored under `key` as `bytes`.
    ///
    /// Never panics, recurses or allocates more than in proportion to `bytes`, whatever they are.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Unreadable`] for anything that [`encode`](Self::encode) did not make for this
    /// very key, and [`DecodeError::NewerFormat`] for a record of a later version of this library.
    pub fn decode(key: &StoreKey, bytes: Vec<u8>) -> Result<Record, DecodeError> {
        check(key, &bytes)?;
        decode(bytes).ok_or(DecodeError::Unreadable)
    }

    /// The same without its fields, which a listing or a sweep does not need.
    #[cfg(feature = "filesystem")]
    pub(crate) fn decode_head(key: &StoreKey, bytes: &[u8]) -> Result<Record, DecodeError> {
        check(key, bytes)?;
        decode_head(&mut Walk::new(bytes)).ok_or(DecodeError::Unreadable)
    }
}

/// How many bytes a record takes in its stored form.
pub(super) fn encoded_length(record: &Record) -> usize {
    const NUMBER: usize = 1 + 8;
    let persist_for = record.persist_for.map_or(1, |_| NUMBER);
    let owner = record
        .owner
        .as_ref()
        .map_or(1, |owner| string_length(owner));
    let deadlines: usize = record
        .fields
        .deadlines()
        .map(|(name, _)| string_length(name) + NUMBER)
        .sum();
    let fields: usize = record
        .fields
        .iter()
        .map(|(name, value)| string_length(name) + value.len())
        .sum();
    let fixed = ACTIVITY_RANGE.end + REVISION.len() + NUMBER + CREATED.len() + NUMBER;
    let names = PERSIST_FOR.len() + OWNER.len() + DEADLINES.len() + FIELDS.len();
    let maps =
        map_head_length(record.fields.deadlines().count()) + map_head_length(record.fields.len());
    fixed + names + persist_for + owner + maps + deadlines + fields
}

fn string_length(text: &str) -> usize {
    let head = match text.len() {
        0..32 => 1,
        32..0x100 => 2,
        0x100..0x1_0000 => 3,
        _ => 5,
    };
    head + text.len()
}

fn map_head_length(entries: usize) -> usize {
    match entries {
        0..16 => 1,
        16..0x1_0000 => 3,
        _ => 5,
    }
}

/// A stored record could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not a whole record of this key: torn, truncated, altered or foreign.
    #[error("the stored session is damaged or is not a session")]
    Unreadable,
    /// A later version of this library wrote the record. It is left alone.
    #[error(
        "the stored session has format version {version}, this build reads up to {FORMAT_VERSION}"
    )]
    NewerFormat {
        /// The version it has.
        version: u8,
    },
}

/// The bytes of [`ACTIVITY_RANGE`] after a touch of the encoded record `bytes`.
#[cfg(any(test, feature = "filesystem"))]
pub(crate) fn encoded_activity(
    key: &StoreKey,
    mut bytes: Vec<u8>,
    last_seen: Timestamp,
    expires: Timestamp,
) -> Vec<u8> {
    bytes[LAST_SEEN_AT..LAST_SEEN_AT + 8].copy_from_slice(&last_seen.as_millis().to_be_bytes());
    bytes[EXPIRES_AT..EXPIRES_AT + 8].copy_from_slice(&expires.as_millis().to_be_bytes());
    let checksum = checksum(key, &bytes);
    bytes[CHECKSUM_RANGE].copy_from_slice(&checksum.to_be_bytes());
    bytes.drain(..ACTIVITY_RANGE.start);
    bytes.truncate(ACTIVITY_RANGE.len());
    bytes
}

/// Where the checksum lies in an encoded record.
#[cfg(any(test, feature = "filesystem"))]
pub(crate) const CHECKSUM_RANGE: Range<usize> = CHECKSUM_AT..CHECKSUM_AT + 4;

/// Inverts the checksum of an encoded record: whoever comes across it does not take it for one, as
/// it is not in its place yet.
#[cfg(any(test, feature = "filesystem"))]
pub(crate) fn mark_pending(bytes: &mut [u8]) {
    for byte in bytes.get_mut(CHECKSUM_RANGE).unwrap_or_default() {
        *byte = !*byte;
    }
}

/// Takes that back where it was done, for those who know that the record is in its place.
#[cfg(any(test, feature = "filesystem"))]
pub(crate) fn clear_pending(key: &StoreKey, bytes: &mut [u8]) {
    let inverted = (!checksum(key, bytes)).to_be_bytes();
    if bytes.get(CHECKSUM_RANGE) == Some(&inverted) {
        mark_pending(bytes);
    }
}

/// The version of an undamaged record. Every version keeps the place and the meaning of the magic,
/// the version and the checksum, so that damage can be told from a newer format.
fn checked_version(key: &StoreKey, bytes: &[u8]) -> Option<u8> {
    let mut walk = Walk::new(bytes);
    walk.map()?;
    walk.literal(MAGIC)?;
    let version = walk.positive_fixint()?;
    walk.literal(CHECKSUM)?;
    (walk.u32()? == checksum(key, bytes)).then_some(version)
}

/// Whether `bytes` are an undamaged record of `key` in a version that this build reads.
fn check(key: &StoreKey, bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > MAX_ENCODED_LENGTH {
        return Err(DecodeError::Unreadable);
    }
    match checked_version(key, bytes) {
        Some(FORMAT_VERSION) => Ok(()),
        Some(version) if version > FORMAT_VERSION => Err(DecodeError::NewerFormat { version }),
        _ => Err(DecodeError::Unreadable),
    }
}

/// Decodes what [`check`] has approved.
fn decode(bytes: Vec<u8>) -> Option<Record> {
    let mut walk = Walk::new(&bytes);
    let mut record = decode_head(&mut walk)?;
    walk.literal(DEADLINES)?;
    let mut deadlines = Vec::new();
    for _ in 0..walk.map()? {
        let name = std::str::from_utf8(walk.string()?).ok()?.to_owned();
        deadlines.push((name, Timestamp::from_millis(walk.u64()?)));
    }
    walk.literal(FIELDS)?;
    let count = walk.map().filter(|count| *count <= MAX_FIELDS)?;
    let mut places = Vec::with_capacity(count);
    for _ in 0..count {
        let name = walk.string()?.len();
        let name = walk.position() - name..walk.position();
        walk.skip_value()?;
        places.push((name.clone(), name.end..walk.position()));
    }
    if !walk.is_at_end() {
        return None;
    }
    let mut fields = Fields::from_buffer(bytes, places)?;
    for (name, deadline) in deadlines {
        fields.set_deadline(&name, deadline).then_some(())?;
    }
    record.fields = fields;
    Some(record)
}

/// Decodes what comes before the fields and their deadlines.
fn decode_head(walk: &mut Walk<'_>) -> Option<Record> {
    walk.literal(&[MAP])?;
    walk.skip(CHECKSUM_AT + 3)?;
    let last_seen = take_u64(walk, LAST_SEEN)?;
    let expires = take_u64(walk, EXPIRES)?;
    let revision = take_u64(walk, REVISION)?;
    let created = take_u64(walk, CREATED)?;
    walk.literal(PERSIST_FOR)?;
    let persist_for = if walk.nil() {
        None
    } else {
        Some(Duration::from_millis(walk.u64()?))
    };
    walk.literal(OWNER)?;
    let owner = if walk.nil() {
        None
    } else {
        Some(std::str::from_utf8(walk.string()?).ok()?.to_owned())
    };
    Some(Record {
        revision: Revision::from(revision),
        created: Timestamp::from_millis(created),
        last_seen: Timestamp::from_millis(last_seen),
        expires: Timestamp::from_millis(expires),
        persist_for,
        owner,
        fields: Fields::default(),
    })
}

/// CRC-32 over the key and every byte of the record but the checksum's own four. It finds every
/// error of up to 32 neighbouring bits, and any other with all but a chance of 2⁻³²; it guards
/// against accidents, not against somebody who can write to the store.
fn checksum(key: &StoreKey, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    let (before, rest) = bytes.split_at(CHECKSUM_AT.min(bytes.len()));
    hasher.update(before);
    hasher.update(rest.get(4..).unwrap_or_default());
    hasher.finalize()
}

fn take_u64(walk: &mut Walk<'_>, name: &[u8]) -> Option<u64> {
    walk.literal(name)?;
    walk.u64()
}

fn put_u64(bytes: &mut Vec<u8>, name: &[u8], value: u64) {
    bytes.extend_from_slice(name);
    bytes.push(rmp::Marker::U64.to_u8());
    bytes.extend_from_slice(&value.to_be_bytes());
}

fn put_nil(bytes: &mut Vec<u8>, name: &[u8]) {
    bytes.extend_from_slice(name);
    bytes.push(rmp::Marker::Null.to_u8());
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    // Writing to a `Vec` cannot fail.
    let _infallible = write::write_str(bytes, text);
}

fn put_map(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let _infallible = write::write_map_len(bytes, length);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SessionId;

    fn key() -> StoreKey {
        StoreKey::new("id", &SessionId::generate().unwrap())
    }

    /// Any MessagePack value, at most a few levels deep, canonical or not.
    fn value() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(|number| vec![number & 0x7f]),
            any::<u64>().prop_map(|number| {
                let mut bytes = vec![0xcf];
                bytes.extend_from_slice(&number.to_be_bytes());
                bytes
            }),
            any::<f64>().prop_map(|number| {
                let mut bytes = vec![0xcb];
                bytes.extend_from_slice(&number.to_be_bytes());
                bytes
            }),
            "\\PC{0,40}".prop_map(|text| {
                let mut bytes = Vec::new();
                put_string(&mut bytes, &text);
                bytes
            }),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|data| {
                let mut bytes = vec![0xc4, u8::try_from(data.len()).unwrap()];
                bytes.extend_from_slice(&data);
                bytes
            }),
            (any::<i8>(), any::<[u8; 4]>()).prop_map(|(kind, data)| {
                let mut bytes = vec![0xd6, kind.to_be_bytes()[0]];
                bytes.extend_from_slice(&data);
                bytes
            }),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            proptest::collection::vec(inner, 0..6).prop_map(|values| {
                let mut bytes = vec![0x90 | u8::try_from(values.len()).unwrap()];
                bytes.extend(values.into_iter().flatten());
                bytes
            })
        })
    }

    fn record() -> impl Strategy<Value = Record> {
        (
            (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()),
            proptest::option::of(any::<u64>()),
            proptest::option::of("\\PC{0,300}"),
            proptest::collection::btree_map("\\PC{0,50}", value(), 0..40),
            proptest::collection::vec(any::<u64>(), 0..5),
        )
            .prop_map(|(numbers, persist_for, owner, fields, deadlines)| {
                let (revision, created, last_seen, expires) = numbers;
                let mut record = Record::new(
                    Timestamp::from_millis(created),
                    Timestamp::from_millis(expires),
                );
                record.revision = Revision::from(revision);
                record.last_seen = Timestamp::from_millis(last_seen);
                record.persist_for = persist_for.map(Duration::from_millis);
                record.owner = owner;
                for (name, value) in &fields {
                    record.fields.set(name, value);
                }
                for (name, deadline) in fields.keys().zip(deadlines) {
                    record
                        .fields
                        .set_deadline(name, Timestamp::from_millis(deadline));
                }
                record
            })
    }

    fn small() -> Record {
        let mut record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2));
        record.owner = Some(String::from("ada"));
        record.fields.set("cart", b"\x93\x01\x02\x03");
        record.fields.set("user", b"\xa3ada");
        record
    }

    proptest! {
        /// What is encoded is decoded to the same, and to the same bytes again.
        #[test]
        fn a_record_survives_its_stored_form(record in record()) {
            let key = key();
            let bytes = record.encode(&key);
            prop_assert_eq!(bytes.len(), record.encoded_length());
            let decoded = Record::decode(&key, bytes.clone()).unwrap();
            prop_assert_eq!(decoded.encode(&key), bytes);
            prop_assert_eq!(decoded, record);
        }

        /// A touch in place gives the bytes of the touched record.
        #[test]
        fn a_touch_in_place_is_the_touched_record(record in record(), seen: u64, expires: u64) {
            let key = key();
            let bytes = record.encode(&key);
            let mut touched = record;
            touched.last_seen = Timestamp::from_millis(seen);
            touched.expires = Timestamp::from_millis(expires);
            let mut in_place = bytes.clone();
            in_place[ACTIVITY_RANGE].copy_from_slice(
                &encoded_activity(&key, bytes, touched.last_seen, touched.expires)
            );
            prop_assert_eq!(in_place, touched.encode(&key));
        }

        /// SR-2 [gate]: any bytes give a record or an error.
        #[test]
        fn any_bytes_give_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Record::decode(&key(), bytes);
        }

        /// SR-2 [gate]: nor do bytes that pass the checksum make it panic.
        #[test]
        fn any_bytes_with_a_good_checksum_give_a_record_or_an_error(
            record in record(),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let key = key();
            let mut bytes = record.encode(&key);
            for (place, byte) in edits {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            let checksum = checksum(&key, &bytes);
            bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
            let _ = Record::decode(&key, bytes);
        }
    }

    /// SR-3 [gate]: cut short, full of zeros, with any one bit flipped, or another's record.
    #[test]
    fn every_damage_is_noticed() {
        let key = key();
        let bytes = small().encode(&key);
        let unreadable = Err(DecodeError::Unreadable);
        for length in 0..bytes.len() {
            assert_eq!(
                Record::decode(&key, bytes[..length].to_vec()),
                unreadable,
                "{length}"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&key, flipped), unreadable, "bit {bit}");
        }
        assert_eq!(Record::decode(&key, vec![0; bytes.len()]), unreadable);
        let mut longer = bytes.clone();
        longer.push(0xc0);
        assert_eq!(Record::decode(&key, longer), unreadable);
        let other = StoreKey::new("id", &SessionId::generate().unwrap());
        assert_eq!(Record::decode(&other, bytes), unreadable);
    }

    /// SR-2 [gate]: a corpus of what decoders stumble over, each with a good checksum, on the 2 MiB
    /// stack of a thread.
    #[test]
    fn a_corpus_of_bad_fields_is_refused() {
        let run = || {
            let key = key();
            let with_fields = |fields: &[u8]| {
                let empty = Record::new(Timestamp::default(), Timestamp::default());
                let mut bytes = empty.encode(&key);
                bytes.pop();
                bytes.extend_from_slice(fields);
                let checksum = checksum(&key, &bytes);
                bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
                Record::decode(&key, bytes)
            };
            let nested = |levels: usize| {
                let mut fields = b"\x81\xa1a".to_vec();
                fields.resize(fields.len() + levels, 0x91);
                fields.push(0xc0);
                fields
            };
            assert!(with_fields(b"\x81\xa1a\xc0").is_ok());
            assert!(
                with_fields(b"\x81\xa1a\xcb\x7f\xf8\0\0\0\0\0\0").is_ok(),
                "not a number"
            );
            assert!(
                with_fields(b"\x81\xa1a\xd4\x01\x00").is_ok(),
                "an extension"
            );
            assert!(with_fields(&nested(60)).is_ok());
            for bad in [
                &nested(100)[..],
                &nested(1023),
                &nested(500_000),
                b"\xdf\xff\xff\xff\xff",
                b"\xde\xff\xff",
                b"\x81\xa1a\xdd\xff\xff\xff\xff",
                b"\x81\xa1a\xdf\xff\xff\xff\xff",
                b"\x81\xa1a\xc6\xff\xff\xff\xff",
                b"\x81\xdb\xff\xff\xff\xff",
                b"\x81\xa1a\xc9\xff\xff\xff\xff\x01",
                b"\x82\xa1a\x01\xa1a\x02",
                b"\x82\xa1b\x01\xa1a\x02",
                b"\x81\xa1\xff\x01",
                b"\x81\x01\x01",
                b"\x81\xa1a\xc1",
                b"\x81\xa1a",
                b"\x82\xa1a\x01",
                b"\x80\xc0",
                b"\x90",
                b"\xc0",
            ] {
                let decoded = with_fields(bad);
                assert_eq!(
                    decoded,
                    Err(DecodeError::Unreadable),
                    "{:?}",
                    &bad[..bad.len().min(20)]
                );
            }
            let too_large = vec![0; MAX_ENCODED_LENGTH + 1];
            assert_eq!(
                Record::decode(&key, too_large),
                Err(DecodeError::Unreadable)
            );
        };
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        thread.spawn(run).unwrap().join().unwrap();
    }

    /// SR-5: a record of a later version is told from a damaged one.
    #[test]
    fn a_newer_format_is_told_from_damage() {
        let key = key();
        let mut bytes = small().encode(&key);
        bytes[1 + MAGIC.len()] = FORMAT_VERSION + 1;
        // Whatever the rest looks like then.
        bytes.extend_from_slice(b"something new");
        assert_eq!(
            Record::decode(&key, bytes.clone()),
            Err(DecodeError::Unreadable)
        );
        let checksum = checksum(&key, &bytes);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
        let newer = DecodeError::NewerFormat {
            version: FORMAT_VERSION + 1,
        };
        assert_eq!(Record::decode(&key, bytes), Err(newer));
    }

    /// Files of every format that was ever released must load for ever, and this version's must be
    /// written so.
    #[test]
    fn the_golden_files_load_and_are_written_so() {
        let key = StoreKey::parse(&"0123456789abcdef".repeat(4)).unwrap();
        let mut full = Record::new(
            Timestamp::from_millis(1_767_225_600_000),
            Timestamp::from_millis(1_767_227_400_000),
        );
        full.revision = Revision::from(7);
        full.last_seen = Timestamp::from_millis(1_767_225_660_000);
        full.persist_for = Some(crate::days(1));
        full.owner = Some(String::from("ada"));
        full.fields.set(
            "cart",
            b"\x92\x82\xa7product\x01\xa8quantity\x02\x82\xa7product\x05\xa8quantity\x01",
        );
        full.fields.set("notice", b"\xc0");
        full.fields.set("sudo", b"\xc3");
        full.fields.set("user", b"\xa3ada");
        full.fields
            .set_deadline("sudo", Timestamp::from_millis(1_767_226_200_000));
        let mut empty = Record::new(Timestamp::from_millis(1), Timestamp::MAX);
        empty.revision = Revision::FIRST;
        for (record, golden) in [
            (
                full,
                &include_bytes!("../../tests/golden/v1-full.session")[..],
            ),
            (empty, include_bytes!("../../tests/golden/v1-empty.session")),
        ] {
            assert_eq!(Record::decode(&key, golden.to_vec()).as_ref(), Ok(&record));
            assert_eq!(record.encode(&key), golden);
        }
    }
}
