//! The fields of a record: names and raw values, side by side in one buffer.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::Field;
use crate::Timestamp;

/// A record's fields by name, each value kept as the raw MessagePack it was stored as.
///
/// Ordered by name, so that equal fields always encode to equal bytes. The names and values lie in
/// one buffer, which for a loaded record is the very buffer that was read.
#[derive(Clone, Default)]
pub struct Fields {
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    name: Range<usize>,
    value: Range<usize>,
    expires: Option<Timestamp>,
}

impl Fields {
    /// The raw value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let index = self.position(name).ok()?;
        Some(self.value(&self.entries[index]))
    }

    /// Puts a raw value, which must be one whole MessagePack value, in place of what the field
    /// held.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let value = self.append(value);
        match self.position(name) {
            Ok(index) => {
                self.entries[index].value = value;
                self.entries[index].expires = None;
            }
            Err(index) => {
                let name = self.append(name.as_bytes());
                let entry = Entry {
                    name,
                    value,
                    expires: None,
                };
                self.entries.insert(index, entry);
            }
        }
        self.compact();
    }

    /// Lets go of what has been replaced, once that is most of the buffer: a record that is kept in
    /// memory and saved again and again must not grow.
    fn compact(&mut self) {
        let live = |entry: &Entry| entry.name.len() + entry.value.len();
        let live: usize = self.entries.iter().map(live).sum();
        if self.buffer.len() <= 2 * live + 1024 {
            return;
        }
        let old = std::mem::replace(&mut self.buffer, Vec::with_capacity(live));
        for entry in &mut self.entries {
            for range in [&mut entry.name, &mut entry.value] {
                let start = self.buffer.len();
                self.buffer.extend_from_slice(&old[range.clone()]);
                *range = start..self.buffer.len();
            }
        }
    }

    /// Gives every deadline another moment.
    pub(crate) fn move_deadlines(&mut self, to: impl Fn(Timestamp) -> Timestamp) {
        for entry in &mut self.entries {
            entry.expires = entry.expires.map(&to);
        }
    }

    /// Takes a field away; false when there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        self.position(name)
            .map(|index| self.entries.remove(index))
            .is_ok()
    }

    /// Takes all fields away.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The raw value of a field that may be stored under former names.
    ///
    /// A build writes a field under its name and all of its aliases, the same bytes under each. So
    /// where an alias differs, a build that knows only the old name wrote it later.
    pub(crate) fn stored(&self, field: &Field) -> Option<&[u8]> {
        let current = self.get(field.name);
        field
            .aliases
            .iter()
            .filter_map(|alias| self.get(alias))
            .find(|bytes| Some(*bytes) != current)
            .or(current)
    }

    /// Takes away the fields whose time has run out at `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.entries
            .retain(|entry| entry.expires.is_none_or(|expires| now < expires));
    }

    /// How long a field will last, if it falls back to its default by itself.
    pub(crate) fn time_left(&self, name: &str, now: Timestamp) -> Option<Duration> {
        let index = self.position(name).ok()?;
        Some(self.entries[index].expires?.since(now))
    }

    /// The names and raw values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries
            .iter()
            .map(|entry| (self.name(entry), self.value(entry)))
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When a field falls back to its default, for those that do so by themselves.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.entries
            .iter()
            .filter_map(|entry| Some((self.name(entry), entry.expires?)))
    }

    /// Takes over a buffer that was read, with the places of the names and values in it. Refuses
    /// names that are not UTF-8 or not in strictly ascending order, which also rules out doubles.
    pub(super) fn from_buffer(
        buffer: Vec<u8>,
        places: Vec<(Range<usize>, Range<usize>)>,
    ) -> Option<Self> {
        let fields = Fields {
            buffer,
            entries: places
                .into_iter()
                .map(|(name, value)| Entry {
                    name,
                    value,
                    expires: None,
                })
                .collect(),
        };
        let utf8 = fields
            .entries
            .iter()
            .all(|entry| std::str::from_utf8(&fields.buffer[entry.name.clone()]).is_ok());
        let ascending = fields
            .entries
            .is_sorted_by(|a, b| fields.buffer[a.name.clone()] < fields.buffer[b.name.clone()]);
        (utf8 && ascending).then_some(fields)
    }

    /// Sets a deadline; false when there is no such field.
    pub(crate) fn set_deadline(&mut self, name: &str, deadline: Timestamp) -> bool {
        self.position(name)
            .map(|index| self.entries[index].expires = Some(deadline))
            .is_ok()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| self.buffer[entry.name.clone()].cmp(name.as_bytes()))
    }

    fn name(&self, entry: &Entry) -> &str {
        // Checked when it came in, so the fallback is never seen.
        std::str::from_utf8(&self.buffer[entry.name.clone()]).unwrap_or_default()
    }

    fn value(&self, entry: &Entry) -> &[u8] {
        &self.buffer[entry.value.clone()]
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        start..self.buffer.len()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter()) && self.deadlines().eq(other.deadlines())
    }
}

/// Prints the names only: the values belong to the visitor.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A record would be larger than the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the session would take {length} bytes, {limit} are allowed; \
     the largest field that changed is `{field}`"
)]
#[non_exhaustive]
pub struct TooLarge {
    /// The stored name of the largest field among those that changed.
    pub field: String,
    /// How many bytes the record would take.
    pub length: usize,
    /// How many it may take.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is replaced again and again leaves no more than a bounded rest behind.
    #[test]
    fn replacing_a_value_does_not_grow_the_buffer() {
        let mut fields = Fields::default();
        fields.set("kept", b"\xa4kept");
        for round in 0..4000_usize {
            let value = [&b"\xc5\x10\x00"[..], &[b"ab"[round % 2]; 4096]].concat();
            fields.set("big", &value);
            assert_eq!(fields.get("big"), Some(&value[..]));
            assert!(fields.buffer.len() < 3 * 4200, "{}", fields.buffer.len());
        }
        assert_eq!(fields.get("kept"), Some(&b"\xa4kept"[..]));
    }
}
