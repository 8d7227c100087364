//! The file that a save writes to, which is most often the one that an earlier save has replaced.
//!
//! To make a file and to remove another one is most of what a save costs. So where the two can exchange
//! their names, the replaced file is filled with zeros and kept, and the next save of the stripe writes over
//! it instead of making a file. No power cut may bring back the name that it had, so at `Durable` the
//! folder is synced first; at `Relaxed` a power cut may damage what was saved last anyway.
//!
//! Readers take no lock, so one may still have the file open as what it was. It then reads zeros, or
//! a part, or the record of another session: the checksum, which covers the key, tells it so. The one case
//! that the checksum would not tell is a later record of the same session that has not taken its place yet,
//! and perhaps never will. So the beginning of a record that is written to such a file is *masked*, and unmasked
//! when the file has the record's name. A reader that holds the lock may unmask what it reads: what has
//! the record's name is the record, even if its writer was killed before it could unmask it.

use std::borrow::Cow;
use std::io;

use super::engine::{Engine, random};
use super::fs::FileSystem;
use super::lock::LockGuard;
use crate::SessionKey;
use crate::telemetry::chain;

/// How a record begins: a MessagePack map with a length of 16 bits.
const FIRST: u8 = 0xde;

/// How many bytes are masked. They include the checksum, so that what a reader puts together of the old
/// beginning and the new rest is no record either; and they are within a disk's smallest sector, so
/// that a power cut leaves all of them masked or none.
const MASKED: usize = 32;

fn invert(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().take(MASKED) {
        *byte = !*byte;
    }
}

/// The bytes to write for `bytes`, a record that has not taken its place yet.
pub(super) fn mask(bytes: &[u8]) -> Vec<u8> {
    let mut masked = bytes.to_vec();
    invert(&mut masked);
    masked
}

/// Takes the mask off where there is one, for a reader that knows that the record has taken its place.
pub(super) fn unmask(bytes: &mut [u8]) {
    if bytes.first() == Some(&!FIRST) {
        invert(bytes);
    }
}

/// A file that is to take the place of a record.
pub(super) struct Draft<File> {
    pub(super) name: String,
    file: File,
    is_recycled: bool,
}

impl<F: FileSystem> Engine<F> {
    /// Writes `bytes` to a file of their own.
    ///
    /// The lock is held while the file is in use, so that a temporary file whose stripe is free is left
    /// over, however new it is.
    pub(super) fn draft(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        bytes: &[u8],
    ) -> io::Result<Draft<F::File>> {
        let mut draft = self.empty_draft(guard, key)?;
        let masked = if draft.is_recycled {
            Cow::Owned(mask(bytes))
        } else {
            Cow::Borrowed(bytes)
        };
        // A failed sync is not tried again on the same file: the kernel has marked its pages as
        // written, so the next one would succeed without writing them (Rebello et al., ATC '20).
        let mut written = self.fs.write(&mut draft.file, &masked);
        if written.is_ok() && self.is_durable() {
            written = self.fs.sync_data(&draft.file);
        }
        match written {
            Ok(()) => Ok(draft),
            Err(error) => {
                self.remove_temporary(key, &draft.name);
                Err(error)
            }
        }
    }

    fn empty_draft(&self, guard: &mut LockGuard, key: &SessionKey) -> io::Result<Draft<F::File>> {
        if let Some(name) = guard.take_recyclable() {
            let reopened = self.fs.reopen(&name);
            if let Ok(Some(file)) = reopened {
                let is_recycled = true;
                return Ok(Draft {
                    name,
                    file,
                    is_recycled,
                });
            }
            self.remove_temporary(key, &name);
            reopened?;
        }
        let name = self.names.temporary(key, random()?);
        let file = self.fs.create(&name)?;
        let is_recycled = false;
        Ok(Draft {
            name,
            file,
            is_recycled,
        })
    }

    /// The draft of `bytes` has the record's name now. Where the mask cannot be taken off, readers take the
    /// lock.
    pub(super) fn publish(&self, key: &SessionKey, draft: &Draft<F::File>, bytes: &[u8]) {
        if !draft.is_recycled {
            return;
        }
        let beginning = &bytes[..bytes.len().min(MASKED)];
        if let Err(error) = self.fs.overwrite(&draft.file, 0, beginning) {
            tracing::warn!(
                event = "store_failure",
                session = %key,
                error = %chain(&error),
                "each read of a session takes its lock until the session is saved or touched again"
            );
        }
    }

    /// Keeps the file that had been the record until now and has the temporary name `name`. It is removed
    /// when it has other names, as a backup gives it, or cannot be filled with zeros: what a save has replaced
    /// must not stay, as a field may have been cleared because its time was up.
    pub(super) fn recycle(
        &self,
        guard: &mut LockGuard,
        key: &SessionKey,
        name: String,
        replaced: &F::File,
    ) {
        let zeroed = match self.fs.has_other_links(replaced) {
            Ok(false) => self.fs.zero(replaced).map(|()| true),
            Ok(true) => Ok(false),
            Err(error) => Err(error),
        };
        match zeroed {
            Ok(true) => guard.leave_recyclable(name),
            Ok(false) => self.remove_temporary(key, &name),
            Err(error) => {
                tracing::warn!(
                    event = "store_failure",
                    session = %key,
                    error = %chain(&error),
                    "what a save has replaced could not be filled with zeros: its file is removed"
                );
                self.remove_temporary(key, &name);
            }
        }
    }

    /// Removes a temporary file whose stripe is held, after another error, which is the one to report.
    pub(super) fn remove_temporary(&self, key: &SessionKey, name: &str) {
        match self.fs.remove(name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                event = "store_failure",
                session = %key,
                error = %chain(&error),
                "a temporary file is left over until the next sweep"
            ),
        }
    }

    /// Removes the files that were kept for a next save, as the store is closed. A sweep would remove them, too.
    pub(super) fn remove_recyclables(&self) {
        for name in self.locks.take_recyclables() {
            if let Err(error) = self.fs.remove(&name)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(
                    event = "store_failure",
                    error = %chain(&error),
                    "a temporary file is left over until the next sweep"
                );
            }
        }
    }
}

impl<F: FileSystem> Drop for Engine<F> {
    fn drop(&mut self) {
        self.remove_recyclables();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::{DecodeError, Timestamp};

    /// What the mask relies on: how a record begins, and that its checksum is within the masked bytes.
    #[test]
    fn a_masked_record_is_no_record_and_is_one_unmasked() {
        let key = SessionKey::from_bytes([7; 16]);
        let record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2));
        let bytes = record.encode(&key);
        assert_eq!(bytes[0], FIRST);
        let masked = mask(&bytes);
        let decode = |bytes: &[u8]| Record::decode(&key, bytes.to_vec());
        assert_eq!(decode(&masked), Err(DecodeError::Unreadable));
        for cut in 1..MASKED {
            let torn = [&bytes[..cut], &masked[cut..MASKED], &bytes[MASKED..]].concat();
            assert!(decode(&torn).is_err(), "{cut} bytes of the beginning");
        }
        let mut unmasked = masked;
        unmask(&mut unmasked);
        assert_eq!(unmasked, bytes);
        unmask(&mut unmasked);
        assert_eq!(unmasked, bytes);
        let zeros = &mut [0; 100];
        unmask(zeros);
        assert_eq!(zeros, &[0; 100]);
    }
}
