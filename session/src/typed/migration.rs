//! Migration of the fields that an earlier version of a struct stored.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::read::decode;
use super::write::{EncodeProblem, encode};
use crate::record::{Changes, Field, Fields};

/// The stored fields of a session that an earlier version of its struct stored.
///
/// The function that `#[session(version = …, migrate = path)]` names gets this and the number of the stored
/// version, which is 0 for a session from before the struct had one. It reads the fields of that version and
/// sets the fields of this one. It leaves the old fields as they are, because builds of the old version may
/// still be running.
///
/// ```
/// # #[cfg(feature = "derive")] {
/// use session::{Migration, MigrationError, Session};
///
/// #[derive(Default, Session)]
/// #[session(version = 1, migrate = split_the_name)]
/// struct Visit {
///     first_name: String,
///     last_name: String,
/// }
///
/// fn split_the_name(from: u32, fields: &mut Migration<'_>) -> Result<(), MigrationError> {
///     if from < 1 && let Some(name) = fields.get::<String>("name") {
///         let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
///         fields.set("first_name", &first)?;
///         fields.set("last_name", &last)?;
///     }
///     Ok(())
/// }
/// # }
/// ```
pub struct Migration<'a> {
    fields: &'a mut Fields,
    prefix: &'static str,
}

impl Migration<'_> {
    /// The value that is stored under `name`, if there is one and it is a `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = self.fields.get(&self.stored(name))?;
        decode(bytes, |deserializer| T::deserialize(deserializer)).ok()
    }

    /// Stores `value` under `name`.
    ///
    /// # Errors
    ///
    /// If `value` cannot be encoded.
    pub fn set<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), MigrationError> {
        let bytes = encode(|serializer| value.serialize(serializer)).map_err(MigrationError)?;
        let name = self.stored(name);
        self.fields.set(&name, &bytes);
        Ok(())
    }

    fn stored(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl fmt::Debug for Migration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// A migrated value cannot be encoded. The session is read as it is stored.
#[derive(Debug, thiserror::Error)]
#[error("a migrated session field cannot be encoded")]
pub struct MigrationError(#[source] EncodeProblem);

/// The version of a struct, and the migration to it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// The field that stores the version.
    pub field: Field,
    /// The prefix of the stored names of the struct's fields.
    pub prefix: &'static str,
    /// The version.
    pub number: u32,
    /// The user's function: turns the fields of an earlier version into fields of this one.
    pub function: fn(u32, &mut Migration<'_>) -> Result<(), MigrationError>,
}

impl Version {
    /// Turns `fields` of an earlier version into fields of this one.
    ///
    /// Gives `None` if there is nothing to migrate. The changes are those that the next save must write
    /// beside the application's own.
    pub(crate) fn migrate(
        &'static self,
        known: &'static [Field],
        fields: &Fields,
    ) -> (Option<Fields>, Changes) {
        let stored = fields.stored(&self.field);
        let from = stored.and_then(|bytes| rmp_serde::from_slice::<u32>(bytes).ok());
        let from = from.unwrap_or(0);
        if from >= self.number {
            return (None, Changes::default());
        }
        if !self.has_fields(fields) {
            return (None, self.initial());
        }
        let mut migrated = fields.clone();
        let mut migration = Migration {
            fields: &mut migrated,
            prefix: self.prefix,
        };
        if let Err(error) = (self.function)(from, &mut migration) {
            tracing::error!(
                event = "migration_failed",
                from,
                to = self.number,
                error = %crate::telemetry::chain(&error),
                "a session could not be migrated: it is read as it is stored"
            );
            return (None, Changes::default());
        }
        let mut changes = Changes::default();
        if let Ok(number) = encode(|serializer| self.number.serialize(serializer)) {
            let stored = stored.map(<[u8]>::to_vec);
            changes.include_unmodified(&self.field, Some(number), stored);
        }
        for field in known {
            let (before, after) = (fields.stored(field), migrated.stored(field));
            if before != after {
                changes.include_unmodified(
                    field,
                    after.map(<[u8]>::to_vec),
                    before.map(<[u8]>::to_vec),
                );
            }
        }
        (Some(migrated), changes)
    }

    /// The changes that the first save of this struct must write: its version number.
    pub(crate) fn initial(&'static self) -> Changes {
        let mut changes = Changes::default();
        if let Ok(number) = encode(|serializer| self.number.serialize(serializer)) {
            changes.include_unmodified(&self.field, Some(number), None);
        }
        changes
    }

    /// Whether an earlier version stored any field. A name with a dot belongs to another struct.
    fn has_fields(&self, fields: &Fields) -> bool {
        fields.iter().any(|(name, _)| {
            let own = name.strip_prefix(self.prefix);
            own.is_some_and(|own| !own.contains(['.', '#']))
        })
    }
}
