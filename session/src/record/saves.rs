//! Which saves a record has been through: how a save that is tried again is applied only once.

use std::fmt;

use super::Revision;
use crate::mistakes::mistake;

/// How many numbers a record keeps.
const KEPT: usize = 32;

/// The numbers of the saves that a record was last changed by, and the revision that each made.
///
/// Every save has a random number. A save whose answer was lost is sent again; where the record lists
/// its number, it has been applied. A list that is full loses its oldest number, and
/// its floor then tells that a save as old as that one can no longer be found.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SaveNumbers {
    /// Oldest first.
    entries: Vec<(u64, Revision)>,
    floor: Revision,
}

impl SaveNumbers {
    pub(super) fn from_entries(entries: Vec<(u64, Revision)>) -> Self {
        SaveNumbers {
            entries,
            floor: Revision::NONE,
        }
    }

    /// Whether the save with this number has been applied, as far as the list reaches.
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.entries.iter().any(|(known, _)| *known == number)
    }

    /// The highest revision of a number that the list has lost.
    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    pub(super) fn set_floor(&mut self, floor: Revision) {
        self.floor = floor;
    }

    pub(crate) fn add(&mut self, number: u64, revision: Revision) {
        let kept = if mistake!("a short list of save numbers without a floor") {
            1
        } else {
            KEPT
        };
        if self.entries.len() >= kept {
            let surplus = self.entries.len() + 1 - kept;
            self.forget(surplus);
        }
        self.entries.push((number, revision));
    }

    /// Loses all numbers: for a record that has not been used for longer than a request takes.
    pub(crate) fn forget_all(&mut self) {
        self.forget(self.entries.len());
    }

    fn forget(&mut self, count: usize) {
        for (_, revision) in self.entries.drain(..count) {
            self.floor = self.floor.max(revision);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Revision)> {
        self.entries.iter().copied()
    }
}

impl fmt::Debug for SaveNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaveNumbers")
            .field("kept", &self.entries.len())
            .field("floor", &self.floor)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_tells_how_far_it_reaches() {
        let mut saves = SaveNumbers::default();
        for number in 1..=40_u64 {
            saves.add(number, Revision::from(number));
        }
        assert!(!saves.contains(8) && saves.contains(9) && saves.contains(40));
        assert_eq!(saves.floor(), Revision::from(8));
        saves.forget_all();
        assert!(!saves.contains(40));
        assert_eq!(saves.floor(), Revision::from(40));
    }
}
