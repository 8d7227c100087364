//! The stored form of a record: one MessagePack map. docs/file-format.md shows it byte by byte.
//!
//! What comes before `persist_for` has fixed places, so that a touch can replace the checksum, the last
//! use, the expiry and the revision by one small write in place. Everything else about the format follows from
//! it being a map that any MessagePack reader can print.

use std::ops::Range;
use std::time::Duration;

use rmp::Marker;

use super::walk::Walk;
use super::{Fields, Record, Revision, SaveNumbers};
use crate::id::Proof;
use crate::time::saturating_millis;
use crate::{SessionKey, Timestamp};

/// The version of the stored form that this build writes. It reads no later one.
pub const FORMAT_VERSION: u8 = 1;

/// The largest record that is ever read or written, in bytes: 1 MiB. A manager's own limit is lower.
pub const MAX_ENCODED_LENGTH: usize = 1024 * 1024;

/// How many fields a record may have.
const MAX_FIELDS: usize = 4096;

const MAGIC: &[u8] = b"\xa7session";
const CHECKSUM: &[u8] = b"\xa8checksum";
const LAST_SEEN: &[u8] = b"\xa9last_seen";
const EXPIRES: &[u8] = b"\xa7expires";
const REVISION: &[u8] = b"\xa8revision";
const CREATED: &[u8] = b"\xa7created";
const PROOF: &[u8] = b"\xa5proof";
const PERSIST_FOR: &[u8] = b"\xabpersist_for";
const END_AT: &[u8] = b"\xa6end_at";
const IDLE_WITHIN: &[u8] = b"\xabidle_within";
const OWNER: &[u8] = b"\xa5owner";
const OWNER_SINCE: &[u8] = b"\xabowner_since";
const REPLACED: &[u8] = b"\xa8replaced";
const SAVES: &[u8] = b"\xa5saves";
const SAVES_FLOOR: &[u8] = b"\xabsaves_floor";
const DEADLINES: &[u8] = b"\xa9deadlines";
const FIELDS: &[u8] = b"\xa6fields";

/// The bytes of a replaced proof: the proof and when it was replaced.
const REPLACED_LENGTH: usize = Proof::LENGTH + 8;

/// The bytes of a save number: the number and the lower half of the revision.
const SAVE_LENGTH: usize = 8 + 4;

/// Where the checksum's four bytes are, after the three of the map's head.
const CHECKSUM_AT: usize = 3 + MAGIC.len() + 1 + CHECKSUM.len() + 1;
const LAST_SEEN_AT: usize = CHECKSUM_AT + 4 + LAST_SEEN.len() + 1;
const EXPIRES_AT: usize = LAST_SEEN_AT + 8 + EXPIRES.len() + 1;
const REVISION_AT: usize = EXPIRES_AT + 8 + REVISION.len() + 1;

/// What a touch writes: from the checksum to the end of the revision. It is within the first 512
/// bytes, a disk's smallest sector, so that a power cut leaves the old or the new ones.
pub(crate) const ACTIVITY_RANGE: Range<usize> = CHECKSUM_AT..REVISION_AT + 8;
const _: () = assert!(ACTIVITY_RANGE.end <= 512);

impl Record {
    /// The stored form of this record under `key`.
    ///
    /// The checksum covers the key, so that a record copied to another session's place is noticed.
    #[must_use]
    pub fn encode(&self, key: &SessionKey) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_length());
        self.write_to(&mut bytes);
        let checksum = checksum(key, &bytes);
        bytes[CHECKSUM_RANGE].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// How many bytes [`encode`](Self::encode) gives.
    #[must_use]
    pub fn encoded_length(&self) -> usize {
        let mut length = Length(0);
        self.write_to(&mut length);
        length.0
    }

    /// The record that was stored under `key` as `bytes`.
    ///
    /// Never panics, recurses or allocates more than in proportion to `bytes`, whatever they are.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Unreadable`] for anything that [`encode`](Self::encode) did not make for this
    /// very key, and [`DecodeError::NewerFormat`] for a record of a later version of this library.
    pub fn decode(key: &SessionKey, bytes: Vec<u8>) -> Result<Record, DecodeError> {
        check(key, &bytes)?;
        decode(bytes).ok_or(DecodeError::Unreadable)
    }

    /// The same without its fields, which a listing or a sweep does not need.
    #[cfg(feature = "filesystem")]
    pub(crate) fn decode_head(key: &SessionKey, bytes: &[u8]) -> Result<Record, DecodeError> {
        check(key, bytes)?;
        let head = decode_head(&mut Walk::new(bytes)).ok_or(DecodeError::Unreadable)?;
        Ok(head.record)
    }

    /// Entries without content are left out, so that a record is no larger than what it holds.
    fn write_to(&self, out: &mut impl Output) {
        let deadlines = self.fields.deadlines().count();
        let optional = [
            self.persist_for.is_some(),
            self.end_at.is_some(),
            self.idle_within.is_some(),
            self.owner.is_some(),
            self.owner.is_some(),
            !self.replaced.is_empty(),
            !self.saves.is_empty(),
            self.saves.floor() != Revision::NONE,
            deadlines > 0,
        ];
        let entries = REQUIRED_ENTRIES + optional.into_iter().map(u8::from).sum::<u8>();
        out.put(&[Marker::Map16.to_u8(), 0, entries]);
        out.put(MAGIC);
        out.put(&[FORMAT_VERSION]);
        out.put(CHECKSUM);
        out.put(&[Marker::U32.to_u8(), 0, 0, 0, 0]);
        put_u64(out, LAST_SEEN, self.last_seen.as_millis());
        put_u64(out, EXPIRES, self.expires.as_millis());
        put_u64(out, REVISION, self.revision.into());
        put_u64(out, CREATED, self.created.as_millis());
        put_binary_head(out, PROOF, Proof::LENGTH);
        out.put(&self.proof.0);
        if let Some(duration) = self.persist_for {
            put_u64(out, PERSIST_FOR, saturating_millis(duration));
        }
        if let Some(end_at) = self.end_at {
            put_u64(out, END_AT, end_at.as_millis());
        }
        if let Some(duration) = self.idle_within {
            put_u64(out, IDLE_WITHIN, saturating_millis(duration));
        }
        if let Some(owner) = &self.owner {
            out.put(OWNER);
            put_string(out, owner);
            put_u64(out, OWNER_SINCE, self.owner_since.as_millis());
        }
        if !self.replaced.is_empty() {
            put_binary_head(out, REPLACED, self.replaced.len() * REPLACED_LENGTH);
            for (proof, since) in &self.replaced {
                out.put(&proof.0);
                out.put(&since.as_millis().to_be_bytes());
            }
        }
        if !self.saves.is_empty() {
            put_binary_head(out, SAVES, self.saves.len() * SAVE_LENGTH);
            for (number, revision) in self.saves.iter() {
                out.put(&number.to_be_bytes());
                out.put(&u64::from(revision).to_be_bytes()[4..]);
            }
        }
        if self.saves.floor() != Revision::NONE {
            put_u64(out, SAVES_FLOOR, self.saves.floor().into());
        }
        if deadlines > 0 {
            out.put(DEADLINES);
            put_map_head(out, deadlines);
            for (name, deadline) in self.fields.deadlines() {
                put_string(out, name);
                put_u64(out, b"", deadline.as_millis());
            }
        }
        out.put(FIELDS);
        put_map_head(out, self.fields.len());
        for (name, value) in self.fields.iter() {
            put_string(out, name);
            out.put(value);
        }
    }
}

/// How many entries every record has.
const REQUIRED_ENTRIES: u8 = 8;

/// Takes the bytes of an encoded record, or counts them.
trait Output {
    fn put(&mut self, bytes: &[u8]);
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

struct Length(usize);

impl Output for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
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
    key: &SessionKey,
    mut bytes: Vec<u8>,
    last_seen: Timestamp,
    expires: Timestamp,
    revision: Revision,
) -> Vec<u8> {
    bytes[LAST_SEEN_AT..LAST_SEEN_AT + 8].copy_from_slice(&last_seen.as_millis().to_be_bytes());
    bytes[EXPIRES_AT..EXPIRES_AT + 8].copy_from_slice(&expires.as_millis().to_be_bytes());
    bytes[REVISION_AT..REVISION_AT + 8].copy_from_slice(&u64::from(revision).to_be_bytes());
    let checksum = checksum(key, &bytes);
    bytes[CHECKSUM_RANGE].copy_from_slice(&checksum.to_be_bytes());
    bytes.drain(..ACTIVITY_RANGE.start);
    bytes.truncate(ACTIVITY_RANGE.len());
    bytes
}

/// Where the checksum is in an encoded record.
const CHECKSUM_RANGE: Range<usize> = CHECKSUM_AT..CHECKSUM_AT + 4;

/// The version of an undamaged record. Every version keeps the place and the meaning of the magic,
/// the version and the checksum, so that damage can be told from a newer format.
fn checked_version(key: &SessionKey, bytes: &[u8]) -> Option<u8> {
    let mut walk = Walk::new(bytes);
    walk.map()?;
    walk.literal(MAGIC)?;
    let version = walk.positive_fixint()?;
    walk.literal(CHECKSUM)?;
    (walk.u32()? == checksum(key, bytes)).then_some(version)
}

/// Whether `bytes` are an undamaged record of `key` in a version that this build reads.
fn check(key: &SessionKey, bytes: &[u8]) -> Result<(), DecodeError> {
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
    let Head {
        mut record,
        entries_left,
    } = decode_head(&mut walk)?;
    let mut deadlines = Vec::new();
    let has_deadlines = walk.optional_literal(DEADLINES);
    if has_deadlines {
        for _ in 0..walk.map()? {
            let name = std::str::from_utf8(walk.string()?).ok()?.to_owned();
            deadlines.push((name, Timestamp::from_millis(walk.u64()?)));
        }
    }
    if entries_left != 1 + usize::from(has_deadlines) {
        return None;
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

/// A record without its fields and their deadlines.
struct Head {
    record: Record,
    /// How many entries of the map come after it.
    entries_left: usize,
}

/// Decodes what comes before the deadlines and the fields.
fn decode_head(walk: &mut Walk<'_>) -> Option<Head> {
    let entries = walk.map()?;
    walk.skip(CHECKSUM_AT + 4 - walk.position())?;
    let last_seen = take_u64(walk, LAST_SEEN)?;
    let expires = take_u64(walk, EXPIRES)?;
    let revision = Revision::from(take_u64(walk, REVISION)?);
    let created = take_u64(walk, CREATED)?;
    walk.literal(PROOF)?;
    let proof = Proof(walk.binary()?.try_into().ok()?);
    let mut record = Record {
        revision,
        last_seen: Timestamp::from_millis(last_seen),
        proof,
        ..Record::new(
            Timestamp::from_millis(created),
            Timestamp::from_millis(expires),
        )
    };
    let mut passed = usize::from(REQUIRED_ENTRIES) - 1;
    if let Some(millis) = take_optional_u64(walk, PERSIST_FOR, &mut passed)? {
        record.persist_for = Some(Duration::from_millis(millis));
    }
    if let Some(millis) = take_optional_u64(walk, END_AT, &mut passed)? {
        record.end_at = Some(Timestamp::from_millis(millis));
    }
    if let Some(millis) = take_optional_u64(walk, IDLE_WITHIN, &mut passed)? {
        record.idle_within = Some(Duration::from_millis(millis));
    }
    if walk.optional_literal(OWNER) {
        record.owner = Some(std::str::from_utf8(walk.string()?).ok()?.to_owned());
        record.owner_since = Timestamp::from_millis(take_u64(walk, OWNER_SINCE)?);
        passed += 2;
    }
    if walk.optional_literal(REPLACED) {
        record.replaced = replaced(walk.binary()?)?;
        passed += 1;
    }
    if walk.optional_literal(SAVES) {
        record.saves = saves(walk.binary()?, revision)?;
        passed += 1;
    }
    if let Some(floor) = take_optional_u64(walk, SAVES_FLOOR, &mut passed)? {
        record.saves.set_floor(Revision::from(floor));
    }
    Some(Head {
        record,
        entries_left: entries.checked_sub(passed)?,
    })
}

fn replaced(bytes: &[u8]) -> Option<Vec<(Proof, Timestamp)>> {
    let entries = bytes.chunks_exact(REPLACED_LENGTH);
    if bytes.is_empty() || !entries.remainder().is_empty() {
        return None;
    }
    let entry = |bytes: &[u8]| {
        let (proof, since) = bytes.split_at(Proof::LENGTH);
        let since = u64::from_be_bytes(since.try_into().ok()?);
        Some((Proof(proof.try_into().ok()?), Timestamp::from_millis(since)))
    };
    entries.map(entry).collect()
}

/// Only the lower half of each revision is kept: the whole is the latest with it that is not after the
/// record's own.
fn saves(bytes: &[u8], latest: Revision) -> Option<SaveNumbers> {
    let entries = bytes.chunks_exact(SAVE_LENGTH);
    if bytes.is_empty() || !entries.remainder().is_empty() {
        return None;
    }
    let latest = u64::from(latest);
    let entry = |bytes: &[u8]| {
        let (number, low) = bytes.split_at(8);
        let low = u32::from_be_bytes(low.try_into().ok()?);
        let latest_low = u32::try_from(latest & u64::from(u32::MAX)).ok()?;
        let before = latest_low.wrapping_sub(low);
        Some((
            u64::from_be_bytes(number.try_into().ok()?),
            Revision::from(latest.checked_sub(u64::from(before))?),
        ))
    };
    // This request's own save is added to the list.
    let mut saves = Vec::with_capacity(entries.len() + 1);
    for bytes in entries {
        saves.push(entry(bytes)?);
    }
    Some(SaveNumbers::from_entries(saves))
}

/// CRC-32 over the key and every byte of the record but the checksum's own four. It finds every
/// error of up to 32 neighbouring bits, and any other with all but a chance of 2⁻³²; it guards
/// against accidents, not against somebody who can write to the store.
fn checksum(key: &SessionKey, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.digits());
    let (before, rest) = bytes.split_at(CHECKSUM_AT.min(bytes.len()));
    hasher.update(before);
    hasher.update(rest.get(4..).unwrap_or_default());
    hasher.finalize()
}

fn take_u64(walk: &mut Walk<'_>, name: &[u8]) -> Option<u64> {
    walk.literal(name)?;
    walk.u64()
}

/// The value of an entry that may be left out. The outer `None` is an entry that is damaged.
#[expect(clippy::option_option, reason = "left out is not damaged")]
fn take_optional_u64(walk: &mut Walk<'_>, name: &[u8], passed: &mut usize) -> Option<Option<u64>> {
    if !walk.optional_literal(name) {
        return Some(None);
    }
    *passed += 1;
    walk.u64().map(Some)
}

fn put_u64(out: &mut impl Output, name: &[u8], value: u64) {
    out.put(name);
    out.put(&[Marker::U64.to_u8()]);
    out.put(&value.to_be_bytes());
}

/// The lengths that are put here are bounded by a record's own limit, far below what four bytes hold.
fn put_length(out: &mut impl Output, markers: [Marker; 2], length: usize) {
    match u16::try_from(length) {
        Ok(length) => {
            out.put(&[markers[0].to_u8()]);
            out.put(&length.to_be_bytes());
        }
        Err(_) => {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            out.put(&[markers[1].to_u8()]);
            out.put(&length.to_be_bytes());
        }
    }
}

fn put_string(out: &mut impl Output, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length @ 0..32) => out.put(&[Marker::FixStr(length).to_u8()]),
        Ok(length) => out.put(&[Marker::Str8.to_u8(), length]),
        Err(_) => put_length(out, [Marker::Str16, Marker::Str32], text.len()),
    }
    out.put(text.as_bytes());
}

fn put_binary_head(out: &mut impl Output, name: &[u8], length: usize) {
    out.put(name);
    match u8::try_from(length) {
        Ok(length) => out.put(&[Marker::Bin8.to_u8(), length]),
        Err(_) => put_length(out, [Marker::Bin16, Marker::Bin32], length),
    }
}

fn put_map_head(out: &mut impl Output, entries: usize) {
    match u8::try_from(entries) {
        Ok(entries @ 0..16) => out.put(&[Marker::FixMap(entries).to_u8()]),
        _ => put_length(out, [Marker::Map16, Marker::Map32], entries),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SessionToken;

    fn key() -> SessionKey {
        SessionToken::generate().unwrap().key()
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
                record.proof = Proof([revision.to_be_bytes()[7]; Proof::LENGTH]);
                record.end_at = persist_for.map(Timestamp::from_millis);
                record.idle_within = owner.as_ref().map(|_| Duration::from_millis(created));
                record.owner_since = Timestamp::from_millis(owner.as_ref().map_or(0, |_| created));
                for since in deadlines.iter().take(2) {
                    let since = Timestamp::from_millis(*since);
                    record.replaced.push((record.proof, since));
                }
                for (before, number) in (0..).zip(&deadlines) {
                    let before = Revision::from(revision.saturating_sub(4 - before));
                    record.saves.add(*number, before);
                }
                record.saves.set_floor(Revision::from(created));
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
            touched.revision = touched.revision.next();
            let Record { last_seen, expires, revision, .. } = touched;
            let mut in_place = bytes.clone();
            in_place[ACTIVITY_RANGE].copy_from_slice(
                &encoded_activity(&key, bytes, last_seen, expires, revision)
            );
            prop_assert_eq!(in_place, touched.encode(&key));
        }

        /// Any bytes give a record or an error.
        #[test]
        fn any_bytes_give_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Record::decode(&key(), bytes);
        }

        /// Nor do bytes that pass the checksum make it panic.
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

    /// Cut short, full of zeros, with any one bit flipped, or another's record.
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
        let other = SessionToken::generate().unwrap().key();
        assert_eq!(Record::decode(&other, bytes), unreadable);
    }

    /// A corpus of what decoders stumble over, each with a good checksum, on the 2 MiB
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

    /// A record of a later version is told from a damaged one.
    #[test]
    fn a_newer_format_is_told_from_damage() {
        let key = key();
        let mut bytes = small().encode(&key);
        bytes[3 + MAGIC.len()] = FORMAT_VERSION + 1;
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
        let key = "0123456789abcdef".repeat(2).parse().unwrap();
        let mut full = Record::new(
            Timestamp::from_millis(1_767_225_600_000),
            Timestamp::from_millis(1_767_227_400_000),
        );
        full.revision = Revision::from(7);
        full.last_seen = Timestamp::from_millis(1_767_225_660_000);
        full.proof = Proof(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        full.persist_for = Some(crate::days(1));
        full.end_at = Some(Timestamp::from_millis(1_767_300_000_000));
        full.idle_within = Some(crate::minutes(10));
        full.owner = Some(String::from("ada"));
        full.owner_since = Timestamp::from_millis(1_767_225_600_001);
        for (byte, since) in [(1, 1_767_225_600_002), (2, 1_767_225_600_003)] {
            let since = Timestamp::from_millis(since);
            full.replaced.push((Proof([byte; Proof::LENGTH]), since));
        }
        full.saves.add(1, Revision::from(5));
        full.saves.add(u64::MAX, Revision::from(7));
        full.saves.set_floor(Revision::from(4));
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
