//! Everything that the derive's generated code names. The crate exports it under a name that has the
//! version.

pub use super::{
    Companion, DebugField, EqualEncoded, EqualValues, FallbackDebug, FallbackEqual,
    FallbackEqualEncoded, FieldDeserializer, FieldSerializer, FlashValue, Merge, MergeOf,
    MergesField, OwnerKey, Reader, Redacted, SessionData, State, Version, Writer, WrongMerge,
    decode_field, decode_or_migrate, equal_encoded, equal_migrated, merge_encoded,
};
pub use crate::record::{Field, MergeFunction, Versions};
pub use serde::de::DeserializeOwned;
pub use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests {
    /// The derive makes the module's name from its own version, which is the workspace's.
    #[test]
    fn the_private_module_is_named_with_the_version() {
        let version = env!("CARGO_PKG_VERSION").replace(['.', '-', '+'], "_");
        let module = format!("pub mod __private_{version} {{");
        assert!(
            include_str!("../lib.rs").contains(&module),
            "rename the private module at the end of lib.rs: `{module} … }}`"
        );
    }
}
