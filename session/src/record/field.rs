//! The description of one field of a session type: its names, its lifetime, and the policy for a change by
//! two requests.

use std::time::Duration;

/// The description of one stored field. The derive makes it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) rotate: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) flash: bool,
    pub(crate) group: Option<&'static str>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) equal: Option<EqualFunction>,
}

/// What a save does with a field that another request changed after this one read it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OnConflict {
    /// The save writes its own value.
    LastWriteWins,
    /// The save fails.
    Reject,
    /// The save writes the result of this function.
    Merge(MergeFunction),
}

/// Merges the encoded forms of a field. Gives `None` if they cannot be decoded: the last write wins then.
#[doc(hidden)]
pub type MergeFunction = fn(Versions<'_>) -> Option<Vec<u8>>;

/// Whether two encoded forms of a field, which differ, hold one value.
pub(crate) type EqualFunction = fn(&[u8], &[u8]) -> bool;

/// The three encoded forms of a field that two requests changed.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Versions<'a> {
    /// The value that this request read; `None` if the field was not stored.
    pub base: Option<&'a [u8]>,
    /// The value that this request saves.
    pub ours: &'a [u8],
    /// The value that is stored now; `None` if the field is not stored.
    pub theirs: Option<&'a [u8]>,
}

impl Field {
    /// A field that is stored under `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Field {
            name,
            aliases: &[],
            rotate: false,
            ttl: None,
            flash: false,
            group: None,
            on_conflict: OnConflict::LastWriteWins,
            equal: None,
        }
    }

    /// Former names. A save writes the value under each of them too.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// A change of this field renews the session.
    #[must_use]
    pub const fn rotate(mut self) -> Self {
        self.rotate = true;
        self
    }

    /// The field falls back to its default this long after it was set.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The field is shown once. A value that another request sets replaces an empty one that this one took.
    #[must_use]
    pub const fn flash(mut self) -> Self {
        self.flash = true;
        self
    }

    /// The field changes together with the other fields of this group.
    #[must_use]
    pub const fn group(mut self, group: &'static str) -> Self {
        self.group = Some(group);
        self
    }

    /// A concurrent change is an error.
    #[must_use]
    pub const fn reject(mut self) -> Self {
        self.on_conflict = OnConflict::Reject;
        self
    }

    /// A concurrent change is merged.
    #[must_use]
    pub const fn merge(mut self, function: MergeFunction) -> Self {
        self.on_conflict = OnConflict::Merge(function);
        self
    }

    /// Different bytes can hold one value: `function` compares them.
    #[must_use]
    pub const fn equal(mut self, function: EqualFunction) -> Self {
        self.equal = Some(function);
        self
    }

    /// Whether two stored forms of the field hold one value; `None` is a field that is not stored.
    pub(crate) fn is_same(&self, one: Option<&[u8]>, other: Option<&[u8]>) -> bool {
        one == other
            || match (self.equal, one, other) {
                (Some(equal), Some(one), Some(other)) => equal(one, other),
                _ => false,
            }
    }

    /// Whether a save needs the value that this request read.
    pub(crate) fn needs_base(&self) -> bool {
        self.flash || self.group.is_some() || !matches!(self.on_conflict, OnConflict::LastWriteWins)
    }

    /// Whether a save needs the field's default.
    pub(crate) fn needs_default(&self) -> bool {
        self.flash || self.rotate || self.ttl.is_some()
    }

    /// The name and the former names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}
