//! What could not be read, kept for a while in case somebody can make something of it.

use std::io;
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, FileType};

use super::folder::Folder;
use super::options::Limits;
use crate::Timestamp;

/// A name in quarantine for what was found under `name` just now. Never one that is taken: nothing
/// that was set aside may be lost to what is set aside after it.
pub(super) fn name(name: &str, random: u64) -> String {
    let now = Timestamp::from(SystemTime::now());
    format!("{name}.{random:016x}.{:020}", now.as_millis())
}

/// When a file was put into quarantine; `None` when the store did not put it there.
fn put_at(name: &str) -> Option<Timestamp> {
    let (_, stamp) = name.rsplit_once('.')?;
    let is_stamp = stamp.len() == 20 && stamp.bytes().all(|byte| byte.is_ascii_digit());
    is_stamp.then(|| stamp.parse().ok().map(Timestamp::from_millis))?
}

impl Folder {
    /// Removes from the quarantine what is too old, and then the oldest until the rest is within the
    /// limits. The newest always stays.
    pub(super) fn trim_quarantine(&self, limits: Limits, now: Timestamp) -> io::Result<()> {
        let mut kept: Vec<(Timestamp, String, u64)> = Vec::new();
        for entry in Dir::read_from(&self.quarantine)? {
            let entry = entry?;
            let Some((name, put_at)) = entry
                .file_name()
                .to_str()
                .ok()
                .and_then(|name| Some((name.to_owned(), put_at(name)?)))
            else {
                continue;
            };
            let status = rustix::fs::statat(&self.quarantine, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            // A folder that was planted under a session's name may hold anything; it stays.
            if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
                kept.push((put_at, name, u64::try_from(status.st_size).unwrap_or(0)));
            }
        }
        kept.sort();
        let mut files = kept.len();
        let mut bytes: u64 = kept.iter().map(|(_, _, size)| size).sum();
        kept.pop();
        for (put_at, name, size) in kept {
            let is_over = files > limits.files || bytes > limits.bytes;
            if !is_over && now.since(put_at) < limits.age {
                break;
            }
            match rustix::fs::unlinkat(&self.quarantine, &*name, AtFlags::empty()) {
                // Another process does the same.
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            files -= 1;
            bytes -= size;
        }
        Ok(())
    }
}
