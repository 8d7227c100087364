//! The data of one session handle and one bit a field.

use std::time::Duration;

/// What a companion holds: the user's struct, out of reach of direct writes, and which of its
/// fields have been marked as changed. `WORDS` is the number of fields divided by 64, rounded up;
/// `TIMED` the number of those that fall back to their default by themselves.
#[doc(hidden)]
#[derive(Debug)]
pub struct State<D, const WORDS: usize, const TIMED: usize = 0> {
    data: D,
    changed: [u64; WORDS],
    time_left: [Option<Duration>; TIMED],
}

impl<D, const WORDS: usize, const TIMED: usize> State<D, WORDS, TIMED> {
    /// Nothing is marked yet.
    #[inline]
    pub fn new(data: D, time_left: [Option<Duration>; TIMED]) -> Self {
        State {
            data,
            changed: [0; WORDS],
            time_left,
        }
    }

    /// The data, to be read.
    #[inline]
    pub fn data(&self) -> &D {
        &self.data
    }

    /// Marks the field with this bit, and gives the data, to be written.
    #[inline]
    pub fn mark(&mut self, bit: usize) -> &mut D {
        self.changed[bit / 64] |= 1 << (bit % 64);
        &mut self.data
    }

    /// The data, to be written in a field that is never stored.
    #[inline]
    pub fn unmarked(&mut self) -> &mut D {
        &mut self.data
    }

    /// Whether the field with this bit is marked.
    #[inline]
    pub fn is_marked(&self, bit: usize) -> bool {
        self.changed[bit / 64] & (1 << (bit % 64)) != 0
    }

    /// How long a field lasts that falls back to its default by itself; the fields are counted by
    /// `index`.
    #[inline]
    pub fn time_left(&self, index: usize) -> Option<Duration> {
        self.time_left[index]
    }

    /// All bits.
    #[inline]
    pub fn changed(&self) -> &[u64] {
        &self.changed
    }

    /// All bits, to be marked or reset.
    #[inline]
    pub fn changed_mut(&mut self) -> &mut [u64] {
        &mut self.changed
    }
}
