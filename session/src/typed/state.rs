//! The data of one session handle, and one bit for each field.

use std::time::Duration;

/// The state of a companion: the user's struct, which cannot be written directly, and a mark for each
/// changed field. `WORDS` is the number of stored fields divided by 64, rounded up. `TIMED` is the number
/// of fields with a `ttl`.
#[doc(hidden)]
#[derive(Debug)]
pub struct State<D, const WORDS: usize, const TIMED: usize = 0> {
    data: D,
    changed: [u64; WORDS],
    time_left: [Option<Duration>; TIMED],
}

impl<D, const WORDS: usize, const TIMED: usize> State<D, WORDS, TIMED> {
    /// A state without marks.
    #[inline]
    pub fn new(data: D, time_left: [Option<Duration>; TIMED]) -> Self {
        State {
            data,
            changed: [0; WORDS],
            time_left,
        }
    }

    /// The data, to read.
    #[inline]
    pub fn data(&self) -> &D {
        &self.data
    }

    /// Marks the field with this bit, and gives the data to write.
    #[inline]
    pub fn mark(&mut self, bit: usize) -> &mut D {
        self.changed[bit / 64] |= 1 << (bit % 64);
        &mut self.data
    }

    /// The data, to write a field that is never stored.
    #[inline]
    pub fn unmarked(&mut self) -> &mut D {
        &mut self.data
    }

    /// Whether the field with this bit is marked.
    #[inline]
    pub fn is_marked(&self, bit: usize) -> bool {
        self.changed[bit / 64] & (1 << (bit % 64)) != 0
    }

    /// How long the field with a `ttl` of this index lasts.
    #[inline]
    pub fn time_left(&self, index: usize) -> Option<Duration> {
        self.time_left[index]
    }

    /// All bits.
    #[inline]
    pub fn changed(&self) -> &[u64] {
        &self.changed
    }

    /// All bits, to mark or reset.
    #[inline]
    pub fn changed_mut(&mut self) -> &mut [u64] {
        &mut self.changed
    }
}
