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
        if bytes.len() > MAX_ENCODED_LENGTH {
            return Err(DecodeError::Unreadable);
        }
        match checked_version(key, &bytes) {
            Some(FORMAT_VERSION) => decode(bytes).ok_or(DecodeError::Unreadable),
            Some(version) if version > FORMAT_VERSION => Err(DecodeError::NewerFormat { version }),
            _ => Err(DecodeError::Unreadable),
        }
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
#[cfg_attr(not(feature = "filesystem"), expect(dead_code, reason = "only files are written in place"))]
pub(crate) fn encoded_activity(
    key: &StoreKey,
    mut bytes: Vec<u8>,
    last_seen: Timestamp,
    expires: Timestamp,
) -> Vec<u8> {
    bytes[LAST_SEEN_AT..LAST_SEEN_AT + 8].copy_from_slice(&last_seen.as_millis().to_be_bytes());
    bytes[EXPIRES_AT..EXPIRES_AT + 8].copy_from_slice(&expires.as_millis().to_be_bytes());
    let checksum = checksum(key, &bytes);
    bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
    bytes.drain(..ACTIVITY_RANGE.start);
    bytes.truncate(ACTIVITY_RANGE.len());
    bytes
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

/// Decodes what [`checked_version`] has approved.
fn decode(bytes: Vec<u8>) -> Option<Record> {
    let mut walk = Walk::new(&bytes);
    walk.literal(&[MAP])?;
    walk.skip(CHECKSUM_AT + 3)?;
    let last_seen = take_u64(&mut walk, LAST_SEEN)?;
    let expires = take_u64(&mut walk, EXPIRES)?;
    let revision = take_u64(&mut walk, REVISION)?;
    let created = take_u64(&mut walk, CREATED)?;
    walk.literal(PERSIST_FOR)?;
    let persist_for = match walk.nil() {
        true => None,
        false => Some(Duration::from_millis(walk.u64()?)),
    };
    walk.literal(OWNER)?;
    let owner = match walk.nil() {
        true => None,
        false => Some(std::str::from_utf8(walk.string()?).ok()?.to_owned()),
    };
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
    Some(Record {
        revision: Revision::from(revision),
        created: Timestamp::from_millis(created),
        last_seen: Timestamp::from_millis(last_seen),
        expires: Timestamp::from_millis(expires),
        persist_for,
        owner,
        fields,
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
