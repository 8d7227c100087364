//! Reading the record of a key, with and without the key's lock.
//!
//! A reader without the lock has one open file, which is one whole record, unless it is written to
//! meanwhile: by a touch, or by a save of any session that recycles the file. The checksum shows that,
//! and the reader then reads again under the lock.

use super::engine::Engine;
use super::error::store_error;
use super::fs::{Content, FileSystem};
use super::lock::LockGuard;
use super::recycle::unmask;
use crate::SessionKey;
use crate::record::{DecodeError, Record};
use crate::store::StoreError;

/// A record without its fields, and how many bytes it takes.
#[expect(clippy::needless_pass_by_value, reason = "as `Record::decode`")]
pub(super) fn metadata(key: &SessionKey, bytes: Vec<u8>) -> Result<(Record, u64), DecodeError> {
    Ok((Record::decode_head(key, &bytes)?, bytes.len() as u64))
}

impl<F: FileSystem> Engine<F> {
    /// The record under `key`, where that can be told without waiting for anything.
    pub(super) fn load_cached(
        &self,
        key: &SessionKey,
    ) -> Option<Result<Option<Record>, DecodeError>> {
        let content = self.fs.read_cached(&self.names.record(key))?;
        Some(decoded(key, content, Record::decode))
    }

    /// The record under `key`, without a lock. An unreadable one must be read again with the lock.
    pub(super) fn load_unlocked(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        self.read(key, "load", Record::decode)
    }

    /// Decodes the record under `key`, with the lock where that is needed. Nothing is changed:
    /// an unreadable record stays where it is.
    pub(super) fn peek<R>(
        &self,
        key: &SessionKey,
        operation: &'static str,
        decode: impl Fn(&SessionKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        match self.read(key, operation, &decode) {
            Err(StoreError::Unreadable(DecodeError::Unreadable)) => {
                let guard = self.lock(key, operation)?;
                self.peek_locked(&guard, key, operation, decode)
            }
            read => read,
        }
    }

    /// The same with the lock held.
    pub(super) fn peek_locked<R>(
        &self,
        _guard: &LockGuard,
        key: &SessionKey,
        operation: &'static str,
        decode: impl FnOnce(&SessionKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        self.read(key, operation, unmasked(decode))
    }

    /// Decodes the record under `key`. An unreadable record is quarantined: a later record must
    /// not be written over it.
    pub(super) fn read_locked<R>(
        &self,
        guard: &LockGuard,
        key: &SessionKey,
        operation: &'static str,
        decode: impl FnOnce(&SessionKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        let read = self.peek_locked(guard, key, operation, decode);
        self.quarantining(guard, key, read)
    }

    /// The same, with the file that it is in, to be written to.
    pub(super) fn open_locked<R>(
        &self,
        guard: &LockGuard,
        key: &SessionKey,
        operation: &'static str,
        decode: impl FnOnce(&SessionKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<(R, F::File)>, StoreError> {
        let (content, file) = self
            .fs
            .open(&self.names.record(key))
            .map_err(|error| store_error(operation, error))?;
        let read = decoded(key, content, unmasked(decode)).map_err(StoreError::Unreadable);
        Ok(self.quarantining(guard, key, read)?.zip(file))
    }

    fn read<R>(
        &self,
        key: &SessionKey,
        operation: &'static str,
        decode: impl FnOnce(&SessionKey, Vec<u8>) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, StoreError> {
        let content = self
            .fs
            .read(&self.names.record(key))
            .map_err(|error| store_error(operation, error))?;
        decoded(key, content, decode).map_err(StoreError::Unreadable)
    }

    fn quarantining<R>(
        &self,
        guard: &LockGuard,
        key: &SessionKey,
        read: Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        if let Err(StoreError::Unreadable(DecodeError::Unreadable)) = read {
            self.quarantine(guard, key);
        }
        read
    }
}

fn decoded<R>(
    key: &SessionKey,
    content: Content,
    decode: impl FnOnce(&SessionKey, Vec<u8>) -> Result<R, DecodeError>,
) -> Result<Option<R>, DecodeError> {
    match content {
        Content::Missing => Ok(None),
        Content::Foreign => Err(DecodeError::Unreadable),
        Content::Bytes(bytes) => decode(key, bytes).map(Some),
    }
}

fn unmasked<R>(
    decode: impl FnOnce(&SessionKey, Vec<u8>) -> Result<R, DecodeError>,
) -> impl FnOnce(&SessionKey, Vec<u8>) -> Result<R, DecodeError> {
    |key, mut bytes| {
        unmask(&mut bytes);
        decode(key, bytes)
    }
}
