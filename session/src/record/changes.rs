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
