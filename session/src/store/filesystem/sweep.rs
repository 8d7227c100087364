//! Going through all files, a page at a time, so that neither memory nor a thread is taken up for
//! long.

use std::io;

use rustix::fs::Dir;

use super::disk::Disk as _;
use super::files::Files;
use super::folder::Folder;
use super::names::Named;
use super::read::head;
use super::store_error;
use crate::log::{chain, correlation};
use crate::store::{SessionInfo, StoreError};
use crate::{StoreKey, Timestamp};

/// How many files are looked at in one trip to a blocking thread.
const PAGE: usize = 256;

/// Where a walk through the folder stands.
pub(super) struct Position(Option<Dir>);

impl Position {
    /// There is no more.
    pub(super) fn end() -> Self {
        Position(None)
    }
}

type SessionPage = (Vec<Result<SessionInfo, StoreError>>, Option<Position>);

type OwnerPage = (Vec<Result<SessionInfo, StoreError>>, Vec<StoreKey>);

impl Files<Folder> {
    /// The sessions among the next files, and where to go on.
    pub(super) fn page(&self, position: Option<Position>) -> Result<SessionPage, StoreError> {
        let (names, position) = self.names(position, "list")?;
        let mut sessions = Vec::new();
        for name in names {
            let Named::Record(key) = name else {
                continue;
            };
            // A look that changes nothing: what cannot be read is set aside when somebody asks for it.
            match self.look(&key, "list", head) {
                Ok(None) => {}
                Ok(Some((record, size))) => {
                    sessions.push(Ok(SessionInfo::new(key, &record, size)));
                }
                Err(error) => sessions.push(Err(error)),
            }
        }
        Ok((sessions, position))
    }

    /// Those of the next sessions in `left` that are of `owner`, and what is left then; all of its
    /// keys are fetched first when `left` is `None`.
    pub(super) fn find_page(
        &self,
        owner: &str,
        left: Option<Vec<StoreKey>>,
    ) -> Result<OwnerPage, StoreError> {
        let mut left = match left {
            Some(left) => left,
            None => self.noted(owner)?,
        };
        let page = left.split_off(left.len().saturating_sub(PAGE));
        let sessions = page.iter().filter_map(|key| self.checked(owner, key));
        Ok((sessions.collect(), left))
    }

    /// Makes the hints for all sessions that there are.
    pub(super) fn note_all(&self) -> Result<(), StoreError> {
        let mut position = None;
        loop {
            let (names, next) = self.names(position, "open")?;
            for name in names {
                let Named::Record(key) = name else {
                    continue;
                };
                let guard = self.lock(&key, "open")?;
                match self.look_locked(&guard, &key, "open", head) {
                    Ok(Some((record, _))) => {
                        self.note_owner(&key, None, record.owner.as_deref(), "open")?;
                    }
                    Ok(None) | Err(StoreError::Unreadable(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            match next {
                Some(next) => position = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Removes those of the next files that have expired or are left over; gives the number of the
    /// former, and where to go on.
    pub(super) fn remove_expired_page(
        &self,
        position: Option<Position>,
        now: Timestamp,
    ) -> Result<(u64, Option<Position>), StoreError> {
        const OPERATION: &str = "remove expired sessions";
        if position.is_none() {
            self.disk
                .trim_quarantine(self.options.quarantine, now)
                .map_err(|error| store_error(OPERATION, error))?;
        }
        let (names, position) = self.names(position, OPERATION)?;
        let mut removed = 0;
        for name in names {
            match name {
                Named::Record(key) => match self.look(&key, OPERATION, head) {
                    Ok(Some((record, _))) if record.is_expired(now) => {
                        removed += u64::from(self.remove_if_expired(&key, now)?);
                    }
                    Ok(_) => {}
                    // Perhaps not ours at all: it is reported and stays.
                    Err(StoreError::Unreadable(error)) => tracing::error!(
                        event = "unreadable_record",
                        session = %correlation(&key),
                        error = %chain(&error),
                        "a stored session cannot be read: it is left where it is"
                    ),
                    Err(error) => return Err(error),
                },
                Named::Temporary { key, name } => self.remove_left_over(&key, &name)?,
                Named::Foreign => {}
            }
        }
        Ok((removed, position))
    }

    /// What has been used since it was looked at stays.
    fn remove_if_expired(&self, key: &StoreKey, now: Timestamp) -> Result<bool, StoreError> {
        const OPERATION: &str = "remove an expired session";
        let guard = self.lock(key, OPERATION)?;
        let owner = match self.look_locked(&guard, key, OPERATION, head) {
            Ok(Some((record, _))) if record.is_expired(now) => record.owner,
            Ok(_) | Err(StoreError::Unreadable(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        // Not synced: should a power cut bring it back, it is as expired as it was.
        self.disk
            .remove(&self.template.record(key))
            .map_err(|error| store_error(OPERATION, error))?;
        self.forget_owner(key, owner.as_deref());
        Ok(true)
    }

    /// Removes a temporary file of `key`, unless somebody holds the key's lock: whoever writes one
    /// does. So one that is not locked is left over, however old it is.
    fn remove_left_over(&self, key: &StoreKey, name: &str) -> Result<(), StoreError> {
        let failed = |error| store_error("remove a temporary file", error);
        let Some(_guard) = self.stripes.try_lock(key).map_err(failed)? else {
            return Ok(());
        };
        match self.disk.remove(name) {
            // Whatever it is, it must not keep the sweep from the rest.
            Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::error!(
                event = "store_failure",
                session = %correlation(key),
                error = %chain(&error),
                "a temporary file could not be removed"
            ),
            _ => {}
        }
        Ok(())
    }

    fn names(
        &self,
        position: Option<Position>,
        operation: &'static str,
    ) -> Result<(Vec<Named>, Option<Position>), StoreError> {
        let failed = |error: rustix::io::Errno| store_error(operation, error.into());
        let mut entries = match position {
            None => Dir::read_from(&self.disk.folder).map_err(failed)?,
            Some(Position(Some(entries))) => entries,
            Some(Position(None)) => return Ok((Vec::new(), None)),
        };
        let mut names = Vec::with_capacity(PAGE);
        while names.len() < PAGE {
            match entries.read() {
                Some(entry) => {
                    let entry = entry.map_err(failed)?;
                    names.push(self.template.named(entry.file_name().to_bytes()));
                }
                None => return Ok((names, None)),
            }
        }
        Ok((names, Some(Position(Some(entries)))))
    }
}
