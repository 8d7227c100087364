//! Which sessions are whose: `owners/<hash of the owner>/<key>`, an empty file for each.
//!
//! They are hints. One is made before the record that it leads to, and both while the key is locked,
//! so a killed process never leaves a record without its hint; a hint without its record is
//! harmless, as every hint is checked against the record, and those that lead nowhere are removed.

use std::io;

use sha2::{Digest as _, Sha256};

use super::disk::Disk;
use super::files::Files;
use super::read::head;
use super::store_error;
use crate::StoreKey;
use crate::id::hex_digits;
use crate::log::{chain, correlation};
use crate::store::{SessionInfo, StoreError};

/// The name of an owner's folder. What the owner is called may hold any character.
pub(super) struct OwnerName(String);

impl OwnerName {
    pub(super) fn new(owner: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"session owner v1\0");
        hasher.update(owner.as_bytes());
        let digits = hex_digits(hasher.finalize().into());
        OwnerName(String::from_utf8_lossy(&digits).into_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<D: Disk> Files<D> {
    /// Before a record of `owner` is written, unless it was `before` already.
    pub(super) fn note_owner(
        &self,
        key: &StoreKey,
        before: Option<&str>,
        owner: Option<&str>,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        match owner {
            Some(owner) if before != Some(owner) => self
                .disk
                .note(&OwnerName::new(owner), key)
                .map_err(|error| store_error(operation, error)),
            _ => Ok(()),
        }
    }

    /// After the record of `owner` has gone, or has become another's, for good: a power cut must not
    /// bring it back without its hint. What fails is left to be corrected by a later look.
    pub(super) fn forget_owner(&self, key: &StoreKey, owner: Option<&str>) {
        let Some(owner) = owner else {
            return;
        };
        match self.disk.forget(&OwnerName::new(owner), key) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                event = "store_failure",
                session = %correlation(key),
                error = %chain(&error),
                "a hint whose session it was could not be removed: it will be found to be outdated"
            ),
        }
    }

    /// The keys that may be of sessions of `owner`.
    pub(super) fn noted(&self, owner: &str) -> Result<Vec<StoreKey>, StoreError> {
        self.disk
            .noted(&OwnerName::new(owner))
            .map_err(|error| store_error("find", error))
    }

    /// The session under `key`, if it is one of `owner`. Otherwise the hint is removed.
    pub(super) fn checked(
        &self,
        owner: &str,
        key: &StoreKey,
    ) -> Option<Result<SessionInfo, StoreError>> {
        match self.look(key, "find", head) {
            Ok(Some((record, size))) if record.owner.as_deref() == Some(owner) => {
                return Some(Ok(SessionInfo::new(key.clone(), &record, size)));
            }
            Err(error) => return Some(Err(error)),
            Ok(_) => {}
        }
        // Whoever writes a record of this owner holds the lock from the hint to the record.
        if let Ok(Some(guard)) = self.stripes.try_lock(key) {
            let is_outdated = match self.look_locked(&guard, key, "find", head) {
                Ok(None) => true,
                Ok(Some((record, _))) => record.owner.as_deref() != Some(owner),
                Err(_) => false,
            };
            if is_outdated && self.sync_folder("find").is_ok() {
                self.forget_owner(key, Some(owner));
            }
        }
        None
    }
}
