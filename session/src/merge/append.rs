//! The difference of two lists whose items can only be compared for equality, in linear time.
//!
//! Without an order or a hash, finding an item in a list means comparing it with each item. So the lists
//! are walked side by side, where an append or a removal is found after as many comparisons as it has
//! items. Only the items left over are searched for everywhere, with a limited number of comparisons.

use std::collections::VecDeque;

/// How many comparisons may fail for each item of the three lists.
const FAILURES_PER_ITEM: usize = 8;

/// How many comparisons may fail in any case: lists of some two hundred items are compared in full.
const FAILURES: usize = 1 << 16;

/// How far ahead an equal item is looked for once too many comparisons have failed.
const SHORT_RUN: usize = 8;

/// Adds to `theirs` what `ours` adds to `base`, and removes what `ours` lacks of `base`.
pub(super) fn append<T: PartialEq>(base: &[T], ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
    let items = base.len() + ours.len() + theirs.len();
    let mut search = Search {
        failures_left: FAILURES + FAILURES_PER_ITEM * items,
    };
    let kept = search.pairs(base, &ours);
    let stored = search.pairs(base, &theirs);

    let mut is_removed = vec![false; theirs.len()];
    let mut twice_removed = Vec::new();
    for (index, (kept, stored)) in kept.iter().zip(&stored).enumerate() {
        match (kept, stored) {
            (None, Some(stored)) => is_removed[*stored] = true,
            (None, None) => twice_removed.push(index),
            (Some(_), _) => {}
        }
    }
    // Two requests that each remove one of several equal items remove two of them.
    let mut places: VecDeque<usize> = (0..theirs.len())
        .filter(|place| !is_removed[*place])
        .collect();
    for index in twice_removed {
        if let Some(place) = search.take(&base[index], &mut places, &theirs) {
            is_removed[place] = true;
        }
    }
    let mut is_added = vec![true; ours.len()];
    for index in kept.into_iter().flatten() {
        is_added[index] = false;
    }
    let rest = theirs.into_iter().zip(is_removed);
    let added = ours.into_iter().zip(is_added);
    rest.filter_map(|(item, is_removed)| (!is_removed).then_some(item))
        .chain(added.filter_map(|(item, is_added)| is_added.then_some(item)))
        .collect()
}

struct Search {
    /// How many comparisons may still fail.
    failures_left: usize,
}

/// Where two lists go on with an equal item.
enum Run {
    /// So many items of the first list come before it.
    Removed(usize),
    /// So many items of the second list come before it.
    Added(usize),
}

impl Search {
    /// For each item of `from`, the index of the equal item of `to` that it is paired with.
    fn pairs<T: PartialEq>(&mut self, from: &[T], to: &[T]) -> Vec<Option<usize>> {
        let mut pairs = vec![None; from.len()];
        let ends = from.iter().rev().zip(to.iter().rev());
        let prefix = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        let shorter = from.len().min(to.len());
        let suffix = ends
            .take(shorter - prefix)
            .take_while(|(a, b)| a == b)
            .count();
        let (from_end, to_end) = (from.len() - suffix, to.len() - suffix);
        for (index, pair) in pairs.iter_mut().take(prefix).enumerate() {
            *pair = Some(index);
        }
        for (index, pair) in pairs.iter_mut().skip(from_end).enumerate() {
            *pair = Some(to_end + index);
        }

        let (mut left, mut right) = (prefix, prefix);
        let mut removed = VecDeque::new();
        let mut added = Vec::new();
        while left < from_end && right < to_end {
            if from[left] == to[right] {
                pairs[left] = Some(right);
                left += 1;
                right += 1;
                continue;
            }
            let (skipped, inserted) = match self.run(&from[left..from_end], &to[right..to_end]) {
                Some(Run::Removed(count)) => (count, 0),
                Some(Run::Added(count)) => (0, count),
                None => (1, 1),
            };
            removed.extend(left..left + skipped);
            added.extend(right..right + inserted);
            left += skipped;
            right += inserted;
        }
        removed.extend(left..from_end);
        added.extend(right..to_end);

        for index in added {
            if let Some(place) = self.take(&to[index], &mut removed, from) {
                pairs[place] = Some(index);
            }
        }
        pairs
    }

    /// The shortest run of items that only one of the lists has. Both begin with different items.
    fn run<T: PartialEq>(&mut self, from: &[T], to: &[T]) -> Option<Run> {
        let longest = from.len().max(to.len());
        for count in 1..longest {
            if count > SHORT_RUN && self.failures_left == 0 {
                return None;
            }
            if from.get(count) == Some(&to[0]) {
                return Some(Run::Removed(count));
            }
            if to.get(count) == Some(&from[0]) {
                return Some(Run::Added(count));
            }
            self.failures_left = self.failures_left.saturating_sub(2);
        }
        None
    }

    /// Removes from `places` the first one where `items` has an equal item, unless too many comparisons
    /// fail.
    fn take<T: PartialEq>(
        &mut self,
        item: &T,
        places: &mut VecDeque<usize>,
        items: &[T],
    ) -> Option<usize> {
        let mut compared = 0;
        while self.failures_left > 0 {
            if items[*places.get(compared)?] == *item {
                return places.remove(compared);
            }
            compared += 1;
            self.failures_left -= 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    /// What `append` gives, said in the plainest way.
    fn expected(base: &[u8], ours: &[u8], theirs: &[u8]) -> Vec<u8> {
        let mut removed = base.to_vec();
        let mut added = Vec::new();
        for item in ours {
            match removed.iter().position(|removed| removed == item) {
                Some(place) => {
                    removed.remove(place);
                }
                None => added.push(*item),
            }
        }
        let mut merged = theirs.to_vec();
        for item in removed {
            if let Some(place) = merged.iter().position(|merged| *merged == item) {
                merged.remove(place);
            }
        }
        merged.extend(added);
        merged
    }

    fn sorted(mut items: Vec<u8>) -> Vec<u8> {
        items.sort_unstable();
        items
    }

    proptest! {
        /// Which of several equal items is removed makes no difference to what the list holds.
        #[test]
        fn a_list_gets_what_was_added_and_loses_what_was_removed(
            base in prop::collection::vec(0..6_u8, 0..24),
            ours in prop::collection::vec(0..6_u8, 0..24),
            theirs in prop::collection::vec(0..6_u8, 0..24),
        ) {
            let merged = append(&base, ours.clone(), theirs.clone());
            prop_assert_eq!(sorted(merged), sorted(expected(&base, &ours, &theirs)));
        }

        /// Of items that are all different, the order is that of the stored list, then of the added items.
        #[test]
        fn the_order_is_kept(
            all in Just((0..40_u8).collect::<Vec<_>>()).prop_shuffle(),
            in_ours: u64,
            in_theirs: u64,
            appended in 0..10_usize,
        ) {
            let (added, base) = all.split_at(appended);
            let kept = |mask: u64| {
                let items = base.iter().enumerate();
                let items = items.filter(move |(index, _)| mask >> index & 1 == 1);
                items.map(|(_, item)| *item).collect::<Vec<u8>>()
            };
            let ours = [kept(in_ours), added.to_vec()].concat();
            let merged = append(base, ours.clone(), kept(in_theirs));
            prop_assert_eq!(merged, expected(base, &ours, &kept(in_theirs)));
        }
    }

    thread_local! {
        static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts how often it is compared.
    #[derive(Debug, Clone)]
    struct Counting(u32);

    impl PartialEq for Counting {
        fn eq(&self, other: &Self) -> bool {
            COMPARISONS.set(COMPARISONS.get() + 1);
            self.0 == other.0
        }
    }

    fn list(items: impl IntoIterator<Item = u32>) -> Vec<Counting> {
        items.into_iter().map(Counting).collect()
    }

    /// The comparisons that merging took for each item, and the merged list.
    fn merged(base: &[Counting], ours: Vec<Counting>, theirs: Vec<Counting>) -> (usize, Vec<u32>) {
        let items = base.len() + ours.len() + theirs.len();
        COMPARISONS.set(0);
        let merged = append(base, ours, theirs);
        let merged = merged.into_iter().map(|item| item.0).collect();
        (COMPARISONS.get() / items, merged)
    }

    const MANY: u32 = 60_000;

    #[test]
    fn appending_and_removing_take_a_few_comparisons_for_each_item() {
        let base = list(0..MANY);
        let appended = MANY..MANY + MANY / 2;
        let others = 2 * MANY..2 * MANY + MANY / 2;

        // Both append.
        let (comparisons, result) = merged(
            &base,
            list((0..MANY).chain(appended.clone())),
            list((0..MANY).chain(others.clone())),
        );
        assert!(comparisons < 4, "{comparisons}");
        assert!(
            result
                .into_iter()
                .eq((0..MANY).chain(others.clone()).chain(appended.clone()))
        );

        // Both remove items everywhere.
        let (comparisons, result) = merged(
            &base,
            list((0..MANY).filter(|item| item % 2 == 0)),
            list((0..MANY).filter(|item| item % 3 != 1)),
        );
        assert!(comparisons < 4 + FAILURES_PER_ITEM, "{comparisons}");
        assert!(
            result
                .into_iter()
                .eq((0..MANY).filter(|item| item % 2 == 0 && item % 3 != 1))
        );

        // One empties the list and the other one appends.
        let (comparisons, result) =
            merged(&base, Vec::new(), list((0..MANY).chain(others.clone())));
        assert!(comparisons < 4, "{comparisons}");
        assert!(result.into_iter().eq(others.clone()));

        // A window that moves on: old items are removed at the front, new ones appended.
        let (comparisons, result) = merged(
            &base,
            list((500..MANY).chain(MANY..MANY + 500)),
            list((100..MANY).chain(2 * MANY..2 * MANY + 100)),
        );
        assert!(comparisons < 4 + FAILURES_PER_ITEM, "{comparisons}");
        let expected = (500..MANY)
            .chain(2 * MANY..2 * MANY + 100)
            .chain(MANY..MANY + 500);
        assert!(result.into_iter().eq(expected));
    }

    /// The worst cases for a search: nothing is where it was, or nothing is there at all.
    #[test]
    fn replacing_and_reordering_stay_linear() {
        let base = list(0..MANY);
        let limit = 2 * FAILURES_PER_ITEM + 2 * SHORT_RUN;

        let (comparisons, result) = merged(&base, list(MANY..2 * MANY), list(2 * MANY..3 * MANY));
        assert!(comparisons < limit, "{comparisons}");
        assert!(
            result
                .into_iter()
                .eq((2 * MANY..3 * MANY).chain(MANY..2 * MANY))
        );

        let (comparisons, mut result) =
            merged(&base, list((0..MANY).rev()), list((0..MANY).chain([MANY])));
        assert!(comparisons < limit, "{comparisons}");
        result.sort_unstable();
        assert!(result.into_iter().eq(0..=MANY));
    }
}
