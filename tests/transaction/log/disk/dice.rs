//! Random numbers that a seed repeats.

/// A small generator: the same numbers for the same seed, on every machine.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Dice(u64);

impl Dice {
    pub(in super::super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `splitmix64`
    pub(in super::super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(in super::super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(in super::super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}
