//! What a save does to the fields of a record.

use std::collections::BTreeMap;
use std::fmt;

use super::field::OnConflict;
use super::{Field, Fields, Versions};
use crate::Timestamp;

/// The fields that a save sets or removes. A save leaves every other field as it is.
#[derive(Clone, Default)]
pub struct Changes {
    cleared: bool,
    fields: BTreeMap<&'static str, FieldChange>,
}

#[derive(Clone)]
struct FieldChange {
    field: &'static Field,
    /// `None` removes the field.
    value: Option<Vec<u8>>,
    /// The value that this request read, for fields whose policy compares it.
    base: Option<Vec<u8>>,
    /// The application set the field. Otherwise it is included unmodified: another field of its group
    /// is set, or a migration made it.
    is_set: bool,
    /// The value is the field's default.
    is_default: bool,
    /// The session's new owner, if this is the field marked `owner`.
    owner: Option<Owner>,
}

/// The owner of a session; `None` when it has none.
#[derive(Clone)]
struct Owner(Option<String>);

impl Changes {
    /// Sets a field to a raw MessagePack value; `base` is the value that this request read.
    pub(crate) fn set(&mut self, field: &'static Field, value: Vec<u8>, base: Option<&[u8]>) {
        let change = FieldChange {
            field,
            value: Some(value),
            base: base.map(<[u8]>::to_vec),
            is_set: true,
            is_default: false,
            owner: None,
        };
        self.fields.insert(field.name, change);
    }

    /// Records the owner that `field`, which is set already, names.
    pub(crate) fn set_owner(&mut self, field: &Field, owner: Option<String>) {
        if let Some(change) = self.fields.get_mut(field.name) {
            change.owner = Some(Owner(owner));
        }
    }

    /// Removes every field that is not set afterwards.
    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.fields.clear();
    }

    /// Includes a field that the application did not set.
    pub(crate) fn include_unmodified(
        &mut self,
        field: &'static Field,
        value: Option<Vec<u8>>,
        base: Option<Vec<u8>>,
    ) {
        let change = FieldChange {
            field,
            value,
            base,
            is_set: false,
            is_default: false,
            owner: None,
        };
        self.fields.insert(field.name, change);
    }

    /// Includes those fields of `other` that are not set here.
    pub(crate) fn include_unmodified_from(&mut self, other: &Changes) {
        for (name, change) in &other.fields {
            self.fields.entry(name).or_insert_with(|| change.clone());
        }
    }

    /// Includes the other fields of each group that has a set field, with the values that this request
    /// read from `base`.
    pub(crate) fn include_unmodified_of_groups(&mut self, fields: &'static [Field], base: &Fields) {
        for field in fields.iter().filter(|field| field.group.is_some()) {
            let is_changed = self.is_group_changed(field);
            if !is_changed || self.fields.contains_key(field.name) {
                continue;
            }
            let read = base.stored(field).map(<[u8]>::to_vec);
            self.include_unmodified(field, read.clone(), read);
        }
    }

    fn is_group_changed(&self, field: &Field) -> bool {
        let mut changed = self.fields.values();
        field.group.is_some()
            && changed.any(|change| change.is_set && change.field.group == field.group)
    }

    /// Records which values equal those of `defaults`.
    pub(crate) fn note_defaults(&mut self, defaults: &Changes) {
        for (name, change) in &mut self.fields {
            let default = defaults.fields.get(name);
            change.is_default = default.is_some_and(|default| {
                change
                    .field
                    .is_same(default.value.as_deref(), change.value.as_deref())
            });
        }
    }

    /// Whether [`note_defaults`](Self::note_defaults) found every set value to be the field's default.
    pub(crate) fn are_defaults(&self) -> bool {
        let mut set = self.fields.values().filter(|change| change.is_set);
        set.all(|change| change.is_default || change.value.is_none())
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.cleared && self.fields.is_empty()
    }

    pub(crate) fn is_cleared(&self) -> bool {
        self.cleared
    }

    /// The value that each changed field holds after these changes.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static Field, Option<&[u8]>)> {
        self.fields
            .values()
            .map(|change| (change.field, change.value.as_deref()))
    }

    /// Adds `later` changes of the same request to these. If both change a field, the field's merge
    /// function merges them; without one, the later value replaces the earlier one.
    pub(crate) fn absorb(&mut self, later: Changes) {
        if later.cleared || self.is_empty() {
            *self = later;
            return;
        }
        for (name, mut change) in later.fields {
            if let Some(earlier) = self.fields.remove(name) {
                match change.resolve(earlier.value.as_deref()) {
                    Resolved::Value(value) => change.value = value,
                    Resolved::Theirs => change.value = earlier.value,
                    Resolved::Rejected => {}
                }
                change.base = earlier.base;
                change.is_set |= earlier.is_set;
                change.owner = change.owner.or(earlier.owner);
            }
            self.fields.insert(name, change);
        }
    }

    /// Makes these changes to `fields` at the time `now`, after removing the fields that have expired.
    ///
    /// # Errors
    ///
    /// If another request changed a field with `on_conflict = "reject"` after this request read it.
    /// Some of the changes have then been made to `fields`.
    pub(crate) fn apply(&self, fields: &mut Fields, now: Timestamp) -> Result<(), FieldConflict> {
        if self.cleared {
            fields.clear();
        }
        fields.expire(now);
        for change in self.fields.values() {
            let field = change.field;
            let value = match change.resolve(fields.stored(field)) {
                Resolved::Value(value) => value,
                Resolved::Theirs => continue,
                Resolved::Rejected => return Err(FieldConflict { field: field.name }),
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

    /// Drops the changes that make no difference to `base`: a field set to the value that is stored, and
    /// a removed field that is not stored.
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

    /// Whether a set field is marked `rotate`.
    pub(crate) fn rotates(&self) -> bool {
        let mut set = self.fields.values().filter(|change| change.is_set);
        set.any(|change| change.field.rotate)
    }

    /// The owner after these changes; the outer `None` when they leave the owner as it is.
    #[expect(
        clippy::option_option,
        reason = "no owner differs from an unchanged owner"
    )]
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
}

/// The outcome for a field that this request changed and another request may have changed too.
enum Resolved {
    /// Write this value; remove the field if it is `None`.
    Value(Option<Vec<u8>>),
    /// Leave the stored value.
    Theirs,
    /// Fail the save.
    Rejected,
}

impl FieldChange {
    /// `theirs` is the stored value. It equals the base unless another request changed the field.
    fn resolve(&self, theirs: Option<&[u8]>) -> Resolved {
        let ours = || Resolved::Value(self.value.clone());
        let is_migrated = !self.is_set && self.field.group.is_none();
        if !(is_migrated || self.field.needs_base())
            || self.field.is_same(theirs, self.base.as_deref())
        {
            return ours();
        }
        if is_migrated {
            // Another request set the field; here only a migration made it.
            return Resolved::Theirs;
        }
        match (self.field.on_conflict, &self.value) {
            // The field has expired since this request read it. No request changed it.
            (OnConflict::Reject, _) if self.field.ttl.is_some() && theirs.is_none() => ours(),
            (OnConflict::Reject, _) => Resolved::Rejected,
            (OnConflict::Merge(function), Some(value)) => {
                let merged = function(Versions {
                    base: self.base.as_deref(),
                    ours: value,
                    theirs,
                });
                merged.map_or_else(ours, |merged| Resolved::Value(Some(merged)))
            }
            // This request took an older flash. The stored one has not been shown yet.
            _ if self.field.flash && self.is_default => Resolved::Theirs,
            _ => ours(),
        }
    }

    /// Whether the change makes a difference to the value that this request read.
    fn is_effective(&self, base: &Fields) -> bool {
        let value = self.value.as_deref();
        if self.is_set && self.is_default && base.stored(self.field).is_none() {
            return false;
        }
        if self.field.ttl.is_some() && self.is_set {
            // Setting the field again starts its time again, even with the same value.
            return true;
        }
        if self.field.needs_base() {
            return !self.field.is_same(value, self.base.as_deref());
        }
        let mut names = self.field.names();
        names.any(|name| !self.field.is_same(base.get(name), value))
    }
}

/// Prints only the names: the values are the visitor's data.
impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("cleared", &self.cleared)
            .field("fields", &self.fields.keys())
            .finish()
    }
}

/// Another request changed a field marked `on_conflict = "reject"` after this request read it.
///
/// Nothing was saved. The middleware answers 409, so that the client reads the new state and decides
/// again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("another request changed the session field `{field}` after this one read it")]
#[non_exhaustive]
pub struct FieldConflict {
    /// The stored name of the field.
    pub field: &'static str,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

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

        /// Absorbed changes do what both do one after the other: two handles of one request may make
        /// one save.
        #[test]
        fn absorbed_changes_do_what_both_do(start in model(), first in save(0..10), second in save(0..10)) {
            let mut both = first.changes();
            both.absorb(second.changes());
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

    static EXPIRING: Field = Field::new("code").ttl(Duration::from_millis(5)).reject();

    fn set(value: u8, base: Option<&[u8]>) -> Changes {
        let mut changes = Changes::default();
        changes.set(&EXPIRING, vec![value], base);
        changes
    }

    /// An expired field was changed by no request, whether the stored fields still hold its bytes or not.
    #[test]
    fn an_expired_field_conflicts_with_nobody() {
        let at = Timestamp::from_millis;
        let stored = record(&BTreeMap::new())
            .merge(&set(1, None), at(1))
            .unwrap();
        // Read before it expired, and saved after; then read after it expired.
        for base in [Some(&[1][..]), None] {
            assert!(stored.merge(&set(2, base), at(6)).is_ok());
            let mut removed = stored.clone();
            removed.fields.expire(at(6));
            assert!(removed.merge(&set(2, base), at(6)).is_ok());
        }
        // Another request set it again.
        let again = stored.merge(&set(3, None), at(6)).unwrap();
        assert!(again.merge(&set(2, Some(&[1])), at(7)).is_err());
        assert!(stored.merge(&set(2, None), at(5)).is_err());
    }

    fn numbers(bytes: Option<&[u8]>) -> i64 {
        bytes.map_or(0, |bytes| i64::from_le_bytes(bytes.try_into().unwrap()))
    }

    /// A counter, a group of two whose sum must stay zero, a field that rejects a concurrent change, and
    /// a flash.
    static RESOLVED: [Field; 7] = [
        Field::new("counter").merge(|versions| {
            let base = numbers(versions.base);
            let merged = crate::merge::sum(
                &base,
                numbers(Some(versions.ours)),
                numbers(versions.theirs),
            );
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
        fn each_field_is_resolved_by_its_policy(steps in steps()) {
            let mut stored = record(&BTreeMap::new());
            let mut read = vec![stored.fields.clone(); 4];
            let (mut count, mut alone, mut notice, mut account) = (0, 0, 0, [0, 0]);
            for (writer, step) in steps {
                let base = read[writer].clone();
                let held = |field: usize| numbers(base.stored(&RESOLVED[field]));
                let mut changes = Changes::default();
                let mut set = |field: usize, value: i64| {
                    changes.set(&RESOLVED[field], encoded(value), base.stored(&RESOLVED[field]));
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
                changes.include_unmodified_of_groups(&RESOLVED, &base);
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
                let now = |field: usize| numbers(stored.fields.stored(&RESOLVED[field]));
                prop_assert_eq!(now(0), count);
                prop_assert_eq!(now(1) + now(2), 0);
                prop_assert_eq!(now(3), alone);
                prop_assert_eq!(now(4), notice);
                prop_assert_eq!([now(5), now(6)], account);
            }
        }
    }
}
