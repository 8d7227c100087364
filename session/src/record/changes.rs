//! What a save does to the fields of a record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::{Fields, TooLarge};

/// The fields that a save sets or takes away. What it does not name, it leaves alone.
#[derive(Clone, Default, PartialEq)]
pub struct Changes {
    cleared: bool,
    fields: BTreeMap<Cow<'static, str>, Change>,
}

#[derive(Clone, PartialEq)]
struct Change {
    /// `None` takes the field away.
    value: Option<Vec<u8>>,
    rotate: bool,
}

impl Changes {
    /// Sets a field to a raw MessagePack value. With `rotate` the change of it renews the id.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: Vec<u8>, rotate: bool) {
        let value = Some(value);
        self.fields.insert(name.into(), Change { value, rotate });
    }

    /// Takes every field away that is not set afterwards.
    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.fields.clear();
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.cleared && self.fields.is_empty()
    }

    pub(crate) fn is_cleared(&self) -> bool {
        self.cleared
    }

    /// Makes `later` on top of these.
    pub(crate) fn overlay(&mut self, later: Changes) {
        if later.cleared {
            *self = later;
        } else {
            self.fields.extend(later.fields);
        }
    }

    /// Makes these changes to `fields`.
    pub(crate) fn apply(&self, fields: &mut Fields) {
        if self.cleared {
            fields.clear();
        }
        for (name, change) in &self.fields {
            match &change.value {
                Some(value) => fields.set(name, value),
                None => {
                    fields.remove(name);
                }
            }
        }
    }

    /// Forgets what `base` holds already: a field set to the bytes that are stored, and a field
    /// taken away that is not there.
    pub(crate) fn retain_effective(&mut self, base: &Fields) {
        if self.cleared {
            self.cleared = !base.is_empty();
            if self.cleared {
                return;
            }
        }
        self.fields
            .retain(|name, change| change.value.as_deref() != base.get(name));
    }

    /// Whether one of the changed fields renews the id.
    pub(crate) fn rotates(&self) -> bool {
        self.fields.values().any(|change| change.rotate)
    }

    /// Whether every set value equals that in `defaults`.
    pub(crate) fn is_within(&self, defaults: &Changes) -> bool {
        self.fields.iter().all(|(name, change)| {
            change.value.is_none()
                || defaults
                    .fields
                    .get(name)
                    .is_some_and(|d| d.value == change.value)
        })
    }

    /// The error for a record of `length` bytes that holds these changes.
    pub(crate) fn too_large(&self, length: usize, limit: usize) -> TooLarge {
        let largest = self
            .fields
            .iter()
            .max_by_key(|(_, change)| change.value.as_ref().map_or(0, Vec::len));
        TooLarge {
            field: largest.map_or_else(String::new, |(name, _)| name.to_string()),
            length,
            limit,
        }
    }
}

/// Prints the names only: the values belong to the visitor.
impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("cleared", &self.cleared)
            .field("fields", &self.fields.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;
    use crate::record::Record;

    /// What one save does, in the words of a plain map: a clear or not, then fields set or removed.
    #[derive(Debug, Clone)]
    struct Save {
        clear: bool,
        fields: Vec<(u8, Option<u8>)>,
    }

    impl Save {
        fn changes(&self) -> Changes {
            let mut changes = Changes::default();
            if self.clear {
                changes.clear();
            }
            for (name, value) in &self.fields {
                let name = format!("f{name}");
                match value {
                    Some(value) => changes.set(name, vec![*value], false),
                    None => {
                        let change = Change {
                            value: None,
                            rotate: false,
                        };
                        changes.fields.insert(name.into(), change);
                    }
                }
            }
            changes
        }

        fn apply(&self, model: &mut BTreeMap<String, u8>) {
            if self.clear {
                model.clear();
            }
            for (name, value) in &self.fields {
                let name = format!("f{name}");
                match value {
                    Some(value) => model.insert(name, *value),
                    None => model.remove(&name),
                };
            }
        }
    }

    fn save(fields: std::ops::Range<u8>) -> impl Strategy<Value = Save> {
        let field = (fields, proptest::option::weighted(0.8, 0..0x80_u8));
        (
            prop::bool::weighted(0.1),
            prop::collection::vec(field, 0..4),
        )
            .prop_map(|(clear, fields)| Save { clear, fields })
    }

    fn record(model: &BTreeMap<String, u8>) -> Record {
        let mut record = Record::new(Timestamp::default(), Timestamp::MAX);
        for (name, value) in model {
            record.fields.set(name, &[*value]);
        }
        record
    }

    fn stored(record: &Record) -> BTreeMap<String, u8> {
        let fields = record.fields.iter();
        fields
            .map(|(name, value)| (name.to_owned(), value[0]))
            .collect()
    }

    fn model() -> impl Strategy<Value = BTreeMap<String, u8>> {
        prop::collection::btree_map("f[0-9]|unknown", 0..0x80_u8, 0..8)
    }

    proptest! {
        /// For one field the later save wins; a field that a save does not name it leaves alone; each
        /// save that does something is a revision of its own.
        #[test]
        fn saves_make_what_they_would_of_a_map(start in model(), saves in prop::collection::vec(save(0..10), 0..12)) {
            let (mut merged, mut expected) = (record(&start), start);
            for save in saves {
                let before = merged.revision;
                let changes = save.changes();
                merged = merged.merge(&changes);
                save.apply(&mut expected);
                prop_assert_eq!(merged.revision == before, changes.is_empty());
                prop_assert_eq!(stored(&merged), expected.clone());
            }
        }

        /// Saves that name different fields give one result in any order: none loses anything.
        #[test]
        fn saves_of_distinct_fields_commute(
            start in model(),
            (saves, order) in prop::collection::vec(prop::collection::vec((0..3_u8, proptest::option::of(0..0x80_u8)), 0..4), 1..5)
                .prop_flat_map(|saves| {
                    let order: Vec<usize> = (0..saves.len()).collect();
                    (Just(saves), Just(order).prop_shuffle())
                }),
        ) {
            let saves: Vec<Changes> = (0_u8..)
                .zip(saves)
                .map(|(writer, fields)| {
                    let fields = fields.into_iter().map(|(name, value)| (writer * 3 + name, value));
                    Save { clear: false, fields: fields.collect() }.changes()
                })
                .collect();
            let in_order = saves.iter().fold(record(&start), |record, save| record.merge(save));
            let shuffled = order.iter().fold(record(&start), |record, index| record.merge(&saves[*index]));
            prop_assert_eq!(in_order, shuffled);
        }

        /// Merging nothing changes nothing, the revision neither.
        #[test]
        fn merging_nothing_changes_nothing(start in model()) {
            let record = record(&start);
            prop_assert_eq!(record.merge(&Changes::default()), record);
        }

        /// Changes laid over each other do together what they do one after the other: two handles of
        /// one request may make one save.
        #[test]
        fn an_overlay_is_both_in_one(start in model(), first in save(0..10), second in save(0..10)) {
            let mut both = first.changes();
            both.overlay(second.changes());
            let one_by_one = record(&start).merge(&first.changes()).merge(&second.changes());
            prop_assert_eq!(record(&start).merge(&both).fields, one_by_one.fields);
        }

        /// What is left out because it is stored already makes no difference to what was read.
        #[test]
        fn only_what_has_no_effect_is_left_out(start in model(), save in save(0..10)) {
            let record = record(&start);
            let mut effective = save.changes();
            effective.retain_effective(&record.fields);
            let merged = record.merge(&save.changes());
            prop_assert_eq!(&record.merge(&effective).fields, &merged.fields);
            // A clear that puts back just what was there is the one that is made all the same.
            if merged.fields == record.fields && !effective.cleared {
                prop_assert!(effective.is_empty());
            }
        }
    }
}
