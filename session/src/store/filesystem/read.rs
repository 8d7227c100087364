//! What is under a key, as it is read with and without the key's lock.
//!
//! Whoever reads without it has one open file, which is one record, whole; unless that is written to
//! meanwhile: by a touch, or by a save of any session, for which it is a spare file by then. The
//! checksum shows that, and the lock then tells what is true.

use super::disk::{Content, Disk};
use super::files::{Files, random};
use super::lock::Guard;
use super::store_error;
use crate::StoreKey;
use crate::log::{chain, correlation};
use crate::record::{DecodeError, Record, clear_pending};
use crate::store::StoreError;

/// A record without its fields, and how many bytes it takes.
#[expect(clippy::needless_pass_by_value, reason = "as `Record::decode`")]
pub(super) fn head(key: &StoreKey, bytes: Vec<u8>) -> Result<(Record, u64), DecodeError> {
    Ok((Record::decode_head(key, &bytes)?, bytes.len() as u64))
}

impl<D: Disk> Files<D> {
    /// The record under `key`, where that can be told without waiting for anything.
    pub(super) fn load_cached(
        &self,
        key: &StoreKey,
    ) -> Option<Result<Option<Record>, DecodeError>> {
        let content = self.disk.read_cached(&self.template.record(key))?;
        Some(decoded(key, content, Record::decode))
    }

    pub(super) fn load(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        match self.read(key, "load", Record::decode) {
            Err(StoreError::Unreadable(DecodeError::Unreadable)) => {
                let guard = self.lock(key, "load")?;
                self.read_locked(&guard, key, "load", Record::decode)
            }
            read => read,
        }
    }

    /// What `decode` makes of what is under `key`, for those who only look on: what cannot be read is
    /// left where it is.
    pub(super) fn look<R>(
        &self,
        key: &StoreKey,
        operation: &'static str,
        decode: impl Fn(&StoreKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        match self.read(key, operation, &decode) {
            Err(StoreError::Unreadable(DecodeError::Unreadable)) => {
                let guard = self.lock(key, operation)?;
                self.look_locked(&guard, key, operation, decode)
            }
            seen => seen,
        }
    }

    /// The same with the lock held.
    pub(super) fn look_locked<R>(
        &self,
        _guard: &Guard<'_>,
        key: &StoreKey,
        operation: &'static str,
        decode: impl FnOnce(&StoreKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        self.read(key, operation, settled(decode))
    }

    /// What `decode` makes of what is under `key`. What cannot be read is set aside: a later record must
    /// not be written over it.
    pub(super) fn read_locked<R>(
        &self,
        guard: &Guard<'_>,
        key: &StoreKey,
        operation: &'static str,
        decode: impl FnOnce(&StoreKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        let read = self.look_locked(guard, key, operation, decode);
        self.setting_aside(key, read)
    }

    /// The same, with the file that it is in, to be written to.
    pub(super) fn open_locked<R>(
        &self,
        _guard: &Guard<'_>,
        key: &StoreKey,
        operation: &'static str,
        decode: impl FnOnce(&StoreKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<(R, D::File)>, StoreError> {
        let (content, file) = self
            .disk
            .open(&self.template.record(key))
            .map_err(|error| store_error(operation, error))?;
        let read = decoded(key, content, settled(decode)).map_err(StoreError::Unreadable);
        Ok(self.setting_aside(key, read)?.zip(file))
    }

    fn read<R>(
        &self,
        key: &StoreKey,
        operation: &'static str,
        decode: impl FnOnce(&StoreKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        let content = self
            .disk
            .read(&self.template.record(key))
            .map_err(|error| store_error(operation, error))?;
        decoded(key, content, decode).map_err(StoreError::Unreadable)
    }

    fn setting_aside<R>(
        &self,
        key: &StoreKey,
        read: Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        if let Err(StoreError::Unreadable(DecodeError::Unreadable)) = read {
            self.set_aside(key);
        }
        read
    }

    fn set_aside(&self, key: &StoreKey) {
        let name = self.template.record(key);
        let set_aside = random().and_then(|random| {
            self.disk
                .set_aside(&name, &super::quarantine::name(&name, random))
        });
        match set_aside {
            Ok(()) => tracing::error!(
                event = "quarantined",
                session = %correlation(key),
                "a stored session that cannot be read was moved to the quarantine folder"
            ),
            Err(error) => tracing::error!(
                event = "store_failure",
                session = %correlation(key),
                error = %chain(&error),
                "a stored session that cannot be read could not be moved to the quarantine folder"
            ),
        }
    }
}

fn decoded<R>(
    key: &StoreKey,
    content: Content,
    decode: impl FnOnce(&StoreKey, Vec<u8>) -> Result<R, DecodeError>,
) -> Result<Option<R>, DecodeError> {
    match content {
        Content::Missing => Ok(None),
        Content::Foreign => Err(DecodeError::Unreadable),
        Content::Bytes(bytes) => decode(key, bytes).map(Some),
    }
}

/// While the lock is held, what is under a record's name is in its place, even if its writer was killed
/// before it could say so.
fn settled<R>(
    decode: impl FnOnce(&StoreKey, Vec<u8>) -> Result<R, DecodeError>,
) -> impl FnOnce(&StoreKey, Vec<u8>) -> Result<R, DecodeError> {
    |key, mut bytes| {
        clear_pending(key, &mut bytes);
        decode(key, bytes)
    }
}
