//! The runtime of the derive macro: it decodes a record's fields into a struct, and encodes the changes.
//!
//! Applications use [`SessionData`] and the few types that the crate re-exports. Generated code reaches the
//! rest through [`generated`].

mod debug;
mod equal;
mod flash;
pub(crate) mod generated;
mod merge;
mod migration;
mod owner;
mod read;
mod state;
mod view;
mod write;

pub use debug::{DebugField, FallbackDebug, Redacted};
pub use equal::{
    EqualEncoded, EqualValues, FallbackEqual, FallbackEqualEncoded, equal_encoded, equal_migrated,
};
pub use flash::FlashValue;
pub use merge::{Merge, MergeOf, MergesField, WrongMerge, merge_encoded};
pub use migration::{Migration, MigrationError, Version};
pub use owner::OwnerKey;
pub use read::{FieldDeserializer, Reader, decode_field, decode_or_migrate};
pub use state::State;
pub use view::SessionView;
pub use write::{EncodeError, FieldSerializer, Writer};

use crate::record::Field;

/// A struct that can be a session: implemented by `#[derive(Session)]`.
///
/// The derive also makes the companion type that [`Session<T>`](struct@crate::Session) derefs to. It has
/// the setters, which mark the fields that they change.
///
/// It is a logic error to exchange the companions of two sessions, by [`std::mem::swap`] for instance, as
/// it is to change a key inside a map. Each session then saves the marks and the values of the other one,
/// so changes are lost or reach the wrong session. It is not unsafe.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session type",
    label = "this type does not derive `Session`",
    note = "add `#[derive(Default, session::Session)]` to the struct `{Self}`"
)]
pub trait SessionData: Sized + 'static {
    /// The companion of this type: its data, and one mark for each changed field.
    type Tracked: Companion<Data = Self>;
}

/// The operations of a companion type. Only the derive implements it.
#[doc(hidden)]
pub trait Companion: std::ops::Deref<Target = Self::Data> + Sized + 'static {
    /// The struct that this type is the companion of.
    type Data;

    /// The stored fields, in the order of their bits.
    const FIELDS: &'static [Field];

    /// The version of the struct, if it has one.
    const VERSION: Option<&'static Version> = None;

    /// Decodes the fields that this type knows. A field that is not stored keeps its default.
    fn decode(reader: &mut Reader<'_>) -> Self;

    /// Encodes every marked field.
    fn encode_changes(&self, writer: &mut Writer<'_>);

    /// One bit a field, in the order of [`FIELDS`](Self::FIELDS).
    fn changed(&self) -> &[u64];

    /// The same bits, to mark or reset.
    fn changed_mut(&mut self) -> &mut [u64];
}
