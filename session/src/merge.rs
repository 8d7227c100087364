//! Merge functions for fields that several requests change at the same time.
//!
//! ```
//! # #[cfg(feature = "derive")] {
//! use std::collections::BTreeSet;
//! use session::{Session, merge};
//!
//! #[derive(Default, Session)]
//! struct Visit {
//!     #[session(merge = merge::sum)]
//!     views: u64,
//!     #[session(merge = merge::union)]
//!     seen: BTreeSet<u32>,
//! }
//! # }
//! ```
//!
//! A save calls a field's merge function if this request changed the field and another request changed
//! it after this one read it. The function gets three values: `base` is the value that this request read,
//! `ours` is the value that this request saves, and `theirs` is the value that is stored now. It gives the
//! value to store. It must be pure: it may run on another thread, and more than once. The functions of this
//! module give a result that the same requests would have given one after the other, in some order.
//!
//! A function of your own has the same form:
//!
//! ```
//! /// The visitor's best score so far.
//! fn best(_base: &Option<u32>, ours: Option<u32>, theirs: Option<u32>) -> Option<u32> {
//!     ours.max(theirs)
//! }
//! ```

mod append;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

/// Adds the amount that this request added to the stored number: for counters.
///
/// Stays within the type's range.
///
/// ```
/// assert_eq!(session::merge::sum(&10, 11, 15), 16);
/// assert_eq!(session::merge::sum(&10_u8, 7, 12), 9);
/// ```
#[must_use]
pub fn sum<N: Number>(base: &N, ours: N, theirs: N) -> N {
    N::add_difference(theirs, *base, ours)
}

/// Keeps the greater value: for high-water marks.
///
/// ```
/// assert_eq!(session::merge::max(&1, 4, 3), 4);
/// ```
#[must_use]
pub fn max<T: Ord>(_base: &T, ours: T, theirs: T) -> T {
    ours.max(theirs)
}

/// Adds to a set the items that this request added, and removes those that it removed.
///
/// ```
/// use std::collections::BTreeSet;
/// let set = |items: &[u32]| BTreeSet::from_iter(items.iter().copied());
/// // This request added 4 and removed 1; another one added 5.
/// let merged = session::merge::union(&set(&[1, 2]), set(&[2, 4]), set(&[1, 2, 5]));
/// assert_eq!(merged, set(&[2, 4, 5]));
/// ```
#[must_use]
pub fn union<S: Set>(base: &S, ours: S, theirs: S) -> S {
    S::apply_difference(theirs, base, ours)
}

/// Appends to a list the items that this request added, and removes those that it removed: for carts,
/// and for several notices.
///
/// Compares the items by `PartialEq`. If most of a list of hundreds of items was replaced or reordered, an
/// item that was only moved can count as removed and added again, which keeps the time linear.
///
/// ```
/// // This request added 3; another one removed 1.
/// assert_eq!(session::merge::append(&vec![1, 2], vec![1, 2, 3], vec![2]), [2, 3]);
/// ```
#[must_use]
#[expect(
    clippy::ptr_arg,
    reason = "a merge function takes the field's own type"
)]
pub fn append<T: PartialEq>(base: &Vec<T>, ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
    append::append(base, ours, theirs)
}

/// Sets the entries of a map that this request set, and removes those that it removed. If two requests
/// changed the entry of one key, the last write wins.
///
/// ```
/// use std::collections::BTreeMap;
/// let base = BTreeMap::from([("a", 1), ("b", 1)]);
/// let ours = BTreeMap::from([("a", 2), ("b", 1)]);
/// let theirs = BTreeMap::from([("a", 1), ("c", 3)]);
/// assert_eq!(session::merge::per_key(&base, ours, theirs), BTreeMap::from([("a", 2), ("c", 3)]));
/// ```
#[must_use]
pub fn per_key<M: Map>(base: &M, ours: M, theirs: M) -> M {
    M::apply_difference(theirs, base, ours)
}

/// A number of the standard library.
pub trait Number: Copy + sealed::Sealed {
    #[doc(hidden)]
    fn add_difference(to: Self, from: Self, until: Self) -> Self;
}

/// A set of the standard library.
pub trait Set: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn apply_difference(to: Self, from: &Self, until: Self) -> Self;
}

/// A map of the standard library.
pub trait Map: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn apply_difference(to: Self, from: &Self, until: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($integer:ty),+) => {$(
        impl sealed::Sealed for $integer {}

        impl Number for $integer {
            fn add_difference(to: Self, from: Self, until: Self) -> Self {
                if until >= from {
                    // In two steps where the difference of two signed numbers is out of range.
                    match until.checked_sub(from) {
                        Some(difference) => to.saturating_add(difference),
                        None => to.saturating_add(until).saturating_sub(from),
                    }
                } else {
                    match from.checked_sub(until) {
                        Some(difference) => to.saturating_sub(difference),
                        None => to.saturating_sub(from).saturating_add(until),
                    }
                }
            }
        }
    )+};
}

integers!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize
);

macro_rules! floats {
    ($($float:ty),+) => {$(
        impl sealed::Sealed for $float {}

        impl Number for $float {
            fn add_difference(to: Self, from: Self, until: Self) -> Self {
                to + (until - from)
            }
        }
    )+};
}

floats!(f32, f64);

impl<T> sealed::Sealed for BTreeSet<T> {}

impl<T: Ord> Set for BTreeSet<T> {
    fn apply_difference(mut to: Self, from: &Self, until: Self) -> Self {
        to.retain(|item| !from.contains(item) || until.contains(item));
        to.extend(until.into_iter().filter(|item| !from.contains(item)));
        to
    }
}

impl<T, S> sealed::Sealed for HashSet<T, S> {}

impl<T: Eq + Hash, S: BuildHasher> Set for HashSet<T, S> {
    fn apply_difference(mut to: Self, from: &Self, until: Self) -> Self {
        to.retain(|item| !from.contains(item) || until.contains(item));
        to.extend(until.into_iter().filter(|item| !from.contains(item)));
        to
    }
}

impl<K, V> sealed::Sealed for BTreeMap<K, V> {}

impl<K: Ord, V: PartialEq> Map for BTreeMap<K, V> {
    fn apply_difference(mut to: Self, from: &Self, until: Self) -> Self {
        to.retain(|key, _| !from.contains_key(key) || until.contains_key(key));
        let put = until.into_iter();
        to.extend(put.filter(|(key, value)| from.get(key) != Some(value)));
        to
    }
}

impl<K, V, S> sealed::Sealed for HashMap<K, V, S> {}

impl<K: Eq + Hash, V: PartialEq, S: BuildHasher> Map for HashMap<K, V, S> {
    fn apply_difference(mut to: Self, from: &Self, until: Self) -> Self {
        to.retain(|key, _| !from.contains_key(key) || until.contains_key(key));
        let put = until.into_iter();
        to.extend(put.filter(|(key, value)| from.get(key) != Some(value)));
        to
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A change that a writer makes to the value that it read.
    type Operation<T> = Box<dyn Fn(&mut T)>;

    /// Writers read (`None`) and save in any order. The result must be the one that the saves would have given
    /// one after the other.
    fn check<T: Clone + Default>(
        steps: Vec<(usize, Option<Operation<T>>)>,
        merge: fn(&T, T, T) -> T,
    ) -> (T, T) {
        let (mut stored, mut serial) = (T::default(), T::default());
        let mut read: Vec<T> = vec![T::default(); 4];
        for (writer, operation) in steps {
            if let Some(operation) = operation {
                let mut ours = read[writer].clone();
                operation(&mut ours);
                stored = merge(&read[writer], ours, stored);
                operation(&mut serial);
            }
            read[writer] = stored.clone();
        }
        (stored, serial)
    }

    fn steps() -> impl Strategy<Value = Vec<(usize, Option<(bool, u8)>)>> {
        let operation = proptest::option::weighted(0.8, (any::<bool>(), 0..6_u8));
        prop::collection::vec((0..4_usize, operation), 0..40)
    }

    fn operations<T: 'static>(
        steps: Vec<(usize, Option<(bool, u8)>)>,
        operation: fn(&mut T, bool, u8),
    ) -> Vec<(usize, Option<Operation<T>>)> {
        let operation = |(is_first, value): (bool, u8)| -> Operation<T> {
            Box::new(move |held| operation(held, is_first, value))
        };
        steps
            .into_iter()
            .map(|(writer, step)| (writer, step.map(operation)))
            .collect()
    }

    proptest! {
        #[test]
        fn sums_count_everything(steps in steps()) {
            let (stored, serial) = check(
                operations(steps, |number: &mut i64, adds, by| {
                    *number += if adds { i64::from(by) } else { -i64::from(by) };
                }),
                sum,
            );
            prop_assert_eq!(stored, serial);
        }

        #[test]
        fn sums_stay_in_range(base: i8, ours: i8, theirs: i8) {
            let exact = i32::from(theirs) + i32::from(ours) - i32::from(base);
            let clamped = exact.clamp(-128, 127);
            prop_assert_eq!(i32::from(sum(&base, ours, theirs)), clamped);
        }

        #[test]
        fn maxima_are_kept(steps in steps()) {
            let (stored, serial) = check(
                operations(steps, |number: &mut u8, _, to| *number = (*number).max(to)),
                max,
            );
            prop_assert_eq!(stored, serial);
        }

        /// An item that one request adds and another one removes: either order is one of theirs.
        #[test]
        fn unions_hold_what_was_added(steps in steps()) {
            let (stored, serial) = check(
                operations(steps, |set: &mut BTreeSet<u8>, _, item| {
                    set.insert(item);
                }),
                union,
            );
            prop_assert_eq!(stored, serial);
        }

        #[test]
        fn a_removal_takes_away_what_was_there(base: BTreeSet<u8>, ours: BTreeSet<u8>, theirs: BTreeSet<u8>) {
            let merged = union(&base, ours.clone(), theirs.clone());
            for item in 0..=u8::MAX {
                let expected = match (base.contains(&item), ours.contains(&item)) {
                    (false, true) => true,
                    (true, false) => false,
                    _ => theirs.contains(&item),
                };
                prop_assert_eq!(merged.contains(&item), expected);
            }
            let hashed = |set: &BTreeSet<u8>| set.iter().copied().collect::<HashSet<u8>>();
            prop_assert_eq!(union(&hashed(&base), hashed(&ours), hashed(&theirs)), hashed(&merged));
        }

        #[test]
        fn appended_items_are_all_there(steps in steps()) {
            let (mut stored, mut serial) = check(
                operations(steps, |list: &mut Vec<u8>, _, item| list.push(item)),
                append,
            );
            stored.sort_unstable();
            serial.sort_unstable();
            prop_assert_eq!(stored, serial);
        }

        #[test]
        fn each_key_is_resolved_alone(base: BTreeMap<u8, u8>, ours: BTreeMap<u8, u8>, theirs: BTreeMap<u8, u8>) {
            let merged = per_key(&base, ours.clone(), theirs.clone());
            for key in 0..=u8::MAX {
                let expected = if ours.get(&key) == base.get(&key) { theirs.get(&key) } else { ours.get(&key) };
                prop_assert_eq!(merged.get(&key), expected);
            }
            let hashed = |map: &BTreeMap<u8, u8>| map.clone().into_iter().collect::<HashMap<u8, u8>>();
            prop_assert_eq!(per_key(&hashed(&base), hashed(&ours), hashed(&theirs)), hashed(&merged));
        }
    }
}
