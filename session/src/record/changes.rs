//! What a save does to the fields of a record.

use std::collections::BTreeMap;
use std::fmt;

use super::field::OnConflict;
use super::{Field, Fields, Sides, TooLarge};
use crate::Timestamp;

/// The fields that a save sets or takes away. What it does not name, it leaves alone.
#[derive(Clone, Default)]
pub struct Changes {
    cleared: bool,
    fields: BTreeMap<&'static str, Change>,
}

#[derive(Clone)]
struct Change {
    field: &'static Field,
    /// `None` takes the field away.
    value: Option<Vec<u8>>,
    /// What the field held when it was read, for those that have to know.
    base: Option<Vec<u8>>,
    /// The application set it. Otherwise it goes along with another field of its group.
    is_set: bool,
    /// The value is the field's default.
    is_default: bool,
    /// Whose session it is from now on, if the field says so.
    owner: Option<Owner>,
}

/// Whose session it is.
#[derive(Clone)]
struct Owner(Option<String>);

impl Changes {
    /// Sets a field to a raw MessagePack value; `base` is what it held when it was read.
    pub(crate) fn set(&mut self, field: &'static Field, value: Vec<u8>, base: Option<&[u8]>) {
        let change = Change {
            field,
            value: Some(value),
            base: base.map(<[u8]>::to_vec),
            is_set: true,
            is_default: false,
            owner: None,
        };
        self.fields.insert(field.name, change);
    }

    /// Notes whose session it is, now that `field` is set.
    pub(crate) fn set_owner(&mut self, field: &Field, owner: Option<String>) {
        if let Some(change) = self.fields.get_mut(field.name) {
            change.owner = Some(Owner(owner));
        }
    }

    /// Takes every field away that is not set afterwards.
    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.fields.clear();
    }

    /// Has a field go along that the application has not set.
    pub(crate) fn carry(
        &mut self,
        field: &'static Field,
        value: Option<Vec<u8>>,
        base: Option<Vec<u8>>,
    ) {
        let change = Change {
            field,
            value,
            base,
            is_set: false,
            is_default: false,
            owner: None,
        };
        self.fields.insert(field.name, change);
    }

    /// Has those fields go along that are not changed.
    pub(crate) fn carry_all(&mut self, carried: &Changes) {
        for (name, change) in &carried.fields {
            self.fields.entry(name).or_insert_with(|| change.clone());
        }
    }

    /// Has the other fields of each changed group go along, as they were read from `base`.
    pub(crate) fn complete_groups(&mut self, fields: &'static [Field], base: &Fields) {
        for field in fields.iter().filter(|field| field.group.is_some()) {
            let is_changed = self.is_group_changed(field);
            if !is_changed || self.fields.contains_key(field.name) {
                continue;
            }
            let read = base.stored(field).map(<[u8]>::to_vec);
            self.carry(field, read.clone(), read);
        }
    }

    fn is_group_changed(&self, field: &Field) -> bool {
        let mut changed = self.fields.values();
        field.group.is_some()
            && changed.any(|change| change.is_set && change.field.group == field.group)
    }

    /// Notes which values are those that `defaults` has.
    pub(crate) fn note_defaults(&mut self, defaults: &Changes) {
        for (name, change) in &mut self.fields {
            let default = defaults.fields.get(name);
            change.is_default = default.is_some_and(|default| default.value == change.value);
        }
    }

    /// Whether every set value is one that [`note_defaults`](Self::note_defaults) has found to be the
    /// default.
    pub(crate) fn are_defaults(&self) -> bool {
        let mut set = self.fields.values().filter(|change| change.is_set);
        set.all(|change| change.is_default || change.value.is_none())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.cleared && self.fields.is_empty()
    }

    pub(crate) fn is_cleared(&self) -> bool {
        self.cleared
    }

    /// What the fields hold once these changes are made, by field.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static Field, Option<&[u8]>)> {
        self.fields
            .values()
            .map(|change| (change.field, change.value.as_deref()))
    }

    /// Makes `later` on top of these. Both are of one request: where both change a field, what can be
    /// merged is, and otherwise the later one stands.
    pub(crate) fn overlay(&mut self, later: Changes) {
        if later.cleared || self.is_empty() {
            *self = later;
            return;
        }
        for (name, mut change) in later.fields {
            if let Some(earlier) = self.fields.remove(name) {
                match change.settle(earlier.value.as_deref()) {
                    Settled::Value(value) => change.value = value,
                    Settled::Theirs => change.value = earlier.value,
                    Settled::Rejected => {}
                }
                change.base = earlier.base;
                change.is_set |= earlier.is_set;
                change.owner = change.owner.or(earlier.owner);
            }
            self.fields.insert(name, change);
        }
    }

    /// Makes these changes to `fields`; `now` is when they are made.
    ///
    /// # Errors
    ///
    /// When others have changed a field meanwhile that does not allow it. `fields` is then left half
    /// changed.
    pub(crate) fn apply(&self, fields: &mut Fields, now: Timestamp) -> Result<(), FieldConflict> {
        if self.cleared {
            fields.clear();
        }
        for change in self.fields.values() {
            let field = change.field;
            let value = match change.settle(fields.stored(field)) {
                Settled::Value(value) => value,
                Settled::Theirs => continue,
                Settled::Rejected => return Err(FieldConflict { field: field.name }),
            };
            for name in field.names() {
                let Some(value) = &value else {
                    fields.remove(name);
                    continue;
                };
                fields.set(name, value);
                if let Some(ttl) = field.ttl {
                    fields.set_deadline(name, now + ttl);
                }
            }
        }
        Ok(())
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
        let groups: Vec<&'static str> = self
            .fields
            .values()
            .filter(|change| change.is_effective(base))
            .filter_map(|change| change.field.group)
            .collect();
        self.fields.retain(|_, change| match change.field.group {
            Some(group) => groups.contains(&group),
            None => change.is_effective(base),
        });
    }

    /// Whether one of the changed fields renews the id.
    pub(crate) fn rotates(&self) -> bool {
        let mut set = self.fields.values().filter(|change| change.is_set);
        set.any(|change| change.field.rotate)
    }

    /// Whose session it is after these changes, if they say so.
    #[expect(clippy::option_option, reason = "nobody's is not unchanged")]
    pub(crate) fn owner(&self) -> Option<Option<&str>> {
        let named = self
            .fields
            .values()
            .find_map(|change| change.owner.as_ref());
        match named {
            Some(Owner(owner)) => Some(owner.as_deref()),
            None => self.cleared.then_some(None),
        }
    }

    /// The error for a record of `length` bytes that holds these changes.
    pub(crate) fn too_large(&self, length: usize, limit: usize) -> TooLarge {
        let largest = self
            .fields
            .iter()
            .max_by_key(|(_, change)| change.value.as_ref().map_or(0, Vec::len));
        TooLarge {
            field: largest.map_or_else(String::new, |(name, _)| (*name).to_owned()),
            length,
            limit,
        }
    }
}

/// What becomes of a field that has been changed here and may have been elsewhere.
enum Settled {
    Value(Option<Vec<u8>>),
    Theirs,
    Rejected,
}

impl Change {
    /// `theirs` is what is there now, which is what was read unless others have changed it.
    fn settle(&self, theirs: Option<&[u8]>) -> Settled {
        let mine = || Settled::Value(self.value.clone());
        let is_carried = !self.is_set && self.field.group.is_none();
        if theirs == self.base.as_deref() || !(is_carried || self.field.needs_base()) {
            return mine();
        }
        if is_carried {
            // Nobody has set it here, and somebody has elsewhere.
            return Settled::Theirs;
        }
        match (self.field.on_conflict, &self.value) {
            (OnConflict::Reject, _) => Settled::Rejected,
            (OnConflict::Merge(function), Some(value)) => {
                let merged = function(Sides {
                    base: self.base.as_deref(),
                    mine: value,
                    theirs,
                });
                merged.map_or_else(mine, |merged| Settled::Value(Some(merged)))
            }
            // What was taken was not this one: it has not been seen yet.
            _ if self.field.flash && self.is_default => Settled::Theirs,
            _ => mine(),
        }
    }

    /// Whether it makes a difference to what was read.
    fn is_effective(&self, base: &Fields) -> bool {
        let value = self.value.as_deref();
        if self.is_set && self.is_default && base.stored(self.field).is_none() {
            return false;
        }
        if self.field.ttl.is_some() && self.is_set {
            // Setting it anew lets it last anew.
            return true;
        }
        if self.field.needs_base() {
            return value != self.base.as_deref();
        }
        self.field.names().any(|name| base.get(name) != value)
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

/// Another request has changed a field meanwhile that allows no concurrent change.
///
/// Nothing was saved. The middleware answers 409: the client is to look at the new state and decide
/// again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("another request has changed the session field `{field}` meanwhile")]
#[non_exhaustive]
pub struct FieldConflict {
    /// The stored name of the field.
    pub field: &'static str,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;
    use crate::record::Record;

    static PLAIN: [Field; 15] = [
        Field::new("f0"),
        Field::new("f1"),
        Field::new("f2"),
        Field::new("f3"),
        Field::new("f4"),
        Field::new("f5"),
        Field::new("f6"),
        Field::new("f7"),
        Field::new("f8"),
        Field::new("f9"),
        Field::new("f10"),
        Field::new("f11"),
        Field::new("f12"),
        Field::new("f13"),
        Field::new("f14"),
    ];
    const NOW: Timestamp = Timestamp::from_millis(1);

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
                let field = &PLAIN[usize::from(*name)];
                changes.set(field, vec![value.unwrap_or_default()], None);
                if value.is_none() {
                    changes.fields.get_mut(field.name).unwrap().value = None;
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
                merged = merged.merge(&changes, NOW).unwrap();
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
            let in_order = saves.iter().fold(record(&start), |record, save| record.merge(save, NOW).unwrap());
            let shuffled = order.iter().fold(record(&start), |record, index| record.merge(&saves[*index], NOW).unwrap());
            prop_assert_eq!(in_order, shuffled);
        }

        /// Merging nothing changes nothing, the revision neither.
        #[test]
        fn merging_nothing_changes_nothing(start in model()) {
            let record = record(&start);
            prop_assert_eq!(record.merge(&Changes::default(), NOW).unwrap(), record);
        }

        /// Changes laid over each other do together what they do one after the other: two handles of
        /// one request may make one save.
        #[test]
        fn an_overlay_is_both_in_one(start in model(), first in save(0..10), second in save(0..10)) {
            let mut both = first.changes();
            both.overlay(second.changes());
            let one_by_one = record(&start).merge(&first.changes(), NOW).unwrap().merge(&second.changes(), NOW).unwrap();
            prop_assert_eq!(record(&start).merge(&both, NOW).unwrap().fields, one_by_one.fields);
        }

        /// What is left out because it is stored already makes no difference to what was read.
        #[test]
        fn only_what_has_no_effect_is_left_out(start in model(), save in save(0..10)) {
            let record = record(&start);
            let mut effective = save.changes();
            effective.retain_effective(&record.fields);
            let merged = record.merge(&save.changes(), NOW).unwrap();
            prop_assert_eq!(&record.merge(&effective, NOW).unwrap().fields, &merged.fields);
            // A clear that puts back just what was there is the one that is made all the same.
            if merged.fields == record.fields && !effective.cleared {
                prop_assert!(effective.is_empty());
            }
        }
    }

    fn numbers(bytes: Option<&[u8]>) -> i64 {
        bytes.map_or(0, |bytes| i64::from_le_bytes(bytes.try_into().unwrap()))
    }

    /// A counter, a group of two that must add up to nothing, one that allows no other hand, and a
    /// flash.
    static SETTLED: [Field; 7] = [
        Field::new("counter").merge(|sides| {
            let base = numbers(sides.base);
            let merged = crate::merge::sum(&base, numbers(Some(sides.mine)), numbers(sides.theirs));
            Some(merged.to_le_bytes().to_vec())
        }),
        Field::new("plus").group("balance"),
        Field::new("minus").group("balance"),
        Field::new("alone").reject(),
        Field::new("notice").flash(),
        Field::new("debit").group("account").reject(),
        Field::new("credit").group("account").reject(),
    ];

    /// Who reads, and what is then made of what was read.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Read,
        Count(i64),
        Balance(i64),
        Alone(i64),
        Notice(i64),
        Take,
        Debit(i64),
        Credit(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
        let step = prop_oneof![
            Just(Step::Read),
            (-9..9_i64).prop_map(Step::Count),
            (1..99_i64).prop_map(Step::Balance),
            (1..99_i64).prop_map(Step::Alone),
            (1..99_i64).prop_map(Step::Notice),
            Just(Step::Take),
            (1..99_i64).prop_map(Step::Debit),
            (1..99_i64).prop_map(Step::Credit),
        ];
        prop::collection::vec((0..4_usize, step), 0..60)
    }

    fn encoded(number: i64) -> Vec<u8> {
        number.to_le_bytes().to_vec()
    }

    proptest! {
        /// However saves of what was read earlier follow each other: a counter counts each of them, a
        /// group is always one writer's, a field with `reject` never changes under its writer, and a
        /// notice that was not taken is not lost.
        #[test]
        fn each_field_is_settled_as_it_says(steps in steps()) {
            let mut stored = record(&BTreeMap::new());
            let mut read = vec![stored.fields.clone(); 4];
            let (mut count, mut alone, mut notice, mut account) = (0, 0, 0, [0, 0]);
            for (writer, step) in steps {
                let base = read[writer].clone();
                let held = |field: usize| numbers(base.stored(&SETTLED[field]));
                let mut changes = Changes::default();
                let mut set = |field: usize, value: i64| {
                    changes.set(&SETTLED[field], encoded(value), base.stored(&SETTLED[field]));
                };
                match step {
                    Step::Read => read[writer] = stored.fields.clone(),
                    Step::Count(by) => set(0, held(0) + by),
                    // Only one half of it: the other goes along as it was read.
                    Step::Balance(value) if value % 3 == 0 => set(1, held(1)),
                    Step::Balance(value) => {
                        set(1, value);
                        set(2, -value);
                    }
                    Step::Alone(value) => set(3, value),
                    Step::Notice(value) => set(4, value),
                    Step::Take => set(4, 0),
                    Step::Debit(value) => set(5, value),
                    Step::Credit(value) => set(6, value),
                }
                changes.complete_groups(&SETTLED, &base);
                if matches!(step, Step::Take) {
                    changes.note_defaults(&changes.clone());
                }
                changes.retain_effective(&base);
                let merged = stored.merge(&changes, NOW);
                match step {
                    Step::Alone(value) if value != held(3) => {
                        prop_assert_eq!(merged.is_ok(), held(3) == alone);
                        if merged.is_ok() {
                            alone = value;
                        }
                    }
                    // A change of either is one of both.
                    Step::Debit(value) | Step::Credit(value) => {
                        let which = usize::from(matches!(step, Step::Credit(_)));
                        let was_read = [held(5), held(6)];
                        if value != was_read[which] {
                            prop_assert_eq!(merged.is_ok(), was_read == account);
                        }
                        if merged.is_ok() && value != was_read[which] {
                            account[which] = value;
                        }
                    }
                    Step::Count(by) => count += by,
                    Step::Notice(value) if value != held(4) => notice = value,
                    // What was taken is what was read, and no other one.
                    Step::Take if held(4) == notice => notice = 0,
                    _ => {}
                }
                let Ok(merged) = merged else {
                    continue;
                };
                stored = merged;
                if !changes.is_empty() {
                    read[writer] = stored.fields.clone();
                }
                let now = |field: usize| numbers(stored.fields.stored(&SETTLED[field]));
                prop_assert_eq!(now(0), count);
                prop_assert_eq!(now(1) + now(2), 0);
                prop_assert_eq!(now(3), alone);
                prop_assert_eq!(now(4), notice);
                prop_assert_eq!([now(5), now(6)], account);
            }
        }
    }
}
