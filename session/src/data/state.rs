//! The data of one session handle and one bit a field.

/// What a companion holds: the user's struct, out of reach of direct writes, and which of its
/// fields have been marked as changed. `WORDS` is the number of fields divided by 64, rounded up.
#[doc(hidden)]
#[derive(Debug)]
pub struct State<D, const WORDS: usize> {
    data: D,
    changed: [u64; WORDS],
}

impl<D, const WORDS: usize> State<D, WORDS> {
    /// Nothing is marked yet.
    #[inline]
    pub fn new(data: D) -> Self {
        State {
            data,
            changed: [0; WORDS],
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
