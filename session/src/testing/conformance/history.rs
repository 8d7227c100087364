//! Whether the calls of many tasks on one record can have happened one after the other.
//!
//! In general that takes a search. Here every write, a touch too, has the revision after that of its
//! predecessor, so the writes have an order, and each call can be compared with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Revision;

/// The calls on one key, from its creation to at most one deletion.
#[derive(Default)]
pub(super) struct History {
    clock: AtomicU64,
    values: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

/// A call, and when it began and returned: in the order of these events, not by a clock.
#[derive(Clone, Copy)]
struct Call {
    began: u64,
    returned: u64,
    seen: Seen,
}

/// What a call did, or learned.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    /// It stored this revision with this value. A touch leaves the value as it was.
    Wrote(Revision, u64),
    /// It read this revision with this value.
    Read(Revision, u64),
    /// There was some record.
    Present,
    /// There was no record.
    Absent,
    /// It deleted the record, which had this revision if that is known.
    Deleted(Option<Revision>),
}

impl History {
    /// A value that no other write has.
    pub(super) fn new_value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The moment at which a call begins.
    pub(super) fn began(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// The call that began at `began` has returned.
    pub(super) fn returned(&self, began: u64, seen: Seen) {
        let returned = self.clock.fetch_add(1, Ordering::SeqCst);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(Call {
            began,
            returned,
            seen,
        });
    }

    /// Whether there is an order of the calls that explains all that they saw.
    pub(super) fn check(&self) -> Result<(), String> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writes: BTreeMap<u64, (Call, u64)> = BTreeMap::new();
        let mut deletion: Option<(Call, Option<Revision>)> = None;
        for call in calls.iter() {
            if let Seen::Wrote(revision, value) = call.seen {
                let revision = u64::from(revision);
                if writes.insert(revision, (*call, value)).is_some() {
                    return Err(format!("two writes made revision {revision}"));
                }
            }
            if let Seen::Deleted(revision) = call.seen
                && deletion.replace((*call, revision)).is_some()
            {
                return Err(String::from("two calls deleted one record"));
            }
        }
        if let Some((missing, _)) = (1..)
            .zip(writes.keys())
            .find(|(number, found)| number != *found)
        {
            return Err(format!(
                "no write made revision {missing}, but a later one was made"
            ));
        }
        let last = writes.len() as u64;
        for call in calls.iter() {
            // The revisions between which this call must find the record.
            let before =
                |end: u64| move |(_, (write, _)): &(&u64, &(Call, u64))| write.returned < end;
            let least = writes
                .iter()
                .filter(before(call.began))
                .map(|(number, _)| *number)
                .max();
            let least = least.unwrap_or(0);
            let begun = writes
                .iter()
                .filter(|(_, (write, _))| write.began < call.returned);
            let most = begun.map(|(number, _)| *number).max().unwrap_or(0);
            let is_after_deletion = deletion.is_some_and(|(end, _)| end.returned < call.began);
            match call.seen {
                Seen::Wrote(revision, _) if u64::from(revision) <= least => {
                    return Err(format!(
                        "revision {revision:?} was made after revision {least}"
                    ));
                }
                Seen::Read(revision, value) => {
                    let number = u64::from(revision);
                    if writes
                        .get(&number)
                        .is_none_or(|(_, written)| *written != value)
                    {
                        return Err(format!(
                            "revision {number} was read with a value never written"
                        ));
                    }
                    if number < least {
                        return Err(format!(
                            "revision {number} was read after a write of {least} had returned"
                        ));
                    }
                    if number > most {
                        return Err(format!("revision {number} was read before its write began"));
                    }
                }
                Seen::Deleted(Some(revision)) if u64::from(revision) != last => {
                    return Err(format!("{revision:?} was deleted, and there were {last}"));
                }
                Seen::Absent if deletion.is_none_or(|(end, _)| end.began > call.returned) => {
                    return Err(String::from("there was no record before it was deleted"));
                }
                _ => {}
            }
            if is_after_deletion && !matches!(call.seen, Seen::Absent) {
                return Err(String::from("a record was found after it was deleted"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(calls: &[(u64, u64, Seen)]) -> Result<(), String> {
        let history = History::default();
        *history.calls.lock().unwrap() = calls
            .iter()
            .map(|(began, returned, seen)| Call {
                began: *began,
                returned: *returned,
                seen: *seen,
            })
            .collect();
        history.check()
    }

    fn wrote(revision: u64) -> Seen {
        Seen::Wrote(Revision::from(revision), 100 + revision)
    }

    fn read(revision: u64) -> Seen {
        Seen::Read(Revision::from(revision), 100 + revision)
    }

    #[test]
    fn what_can_have_been_is_accepted() {
        // The read of revision 1 overlaps the write of revision 2, so it may come first.
        let calls = [
            (0, 1, wrote(1)),
            (2, 6, wrote(2)),
            (3, 5, read(1)),
            (4, 7, read(2)),
            (8, 11, Seen::Deleted(Some(Revision::from(2)))),
            (9, 10, Seen::Absent),
            (12, 13, Seen::Absent),
        ];
        assert_eq!(history(&calls), Ok(()));
    }

    #[test]
    fn what_cannot_have_been_is_refused() {
        let absent = (4, 5, Seen::Absent);
        let deletion = |revision: u64| Seen::Deleted(Some(Revision::from(revision)));
        for (calls, problem) in [
            (
                vec![(0, 1, wrote(1)), (2, 3, wrote(1))],
                "two writes made revision 1",
            ),
            (
                vec![(0, 1, wrote(1)), (2, 3, wrote(3))],
                "no write made revision 2",
            ),
            (
                vec![(2, 3, wrote(1)), (0, 1, wrote(2))],
                "was made after revision 2",
            ),
            (
                vec![(0, 1, wrote(1)), (2, 3, wrote(2)), (4, 5, read(1))],
                "after a write of 2",
            ),
            (
                vec![(0, 1, wrote(1)), (2, 3, read(2)), (4, 5, wrote(2))],
                "before its write began",
            ),
            (
                vec![(0, 1, wrote(1)), (2, 3, Seen::Read(Revision::from(1), 7))],
                "never written",
            ),
            (vec![(0, 1, wrote(1)), absent], "before it was deleted"),
            (
                vec![(0, 1, wrote(1)), (2, 3, deletion(1)), (4, 5, read(1))],
                "after it was deleted",
            ),
            (
                vec![(0, 1, wrote(1)), (2, 3, deletion(1)), (4, 5, wrote(2))],
                "was deleted, and there were 2",
            ),
            (
                vec![(0, 1, wrote(1)), (2, 3, deletion(1)), (4, 5, deletion(1))],
                "two calls deleted",
            ),
        ] {
            let found = history(&calls).expect_err(problem);
            assert!(found.contains(problem), "{found} instead of: {problem}");
        }
    }
}
