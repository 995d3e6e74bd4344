//! Random numbers that are the same for the same seed.
#![forbid(unsafe_code)]

/// SplitMix64 (G. Steele, D. Lea and C. Flood, *Fast Splittable Pseudorandom Number Generators*, 2014): good from the
/// first number on.
pub(crate) struct Random(pub(crate) u64);

/// From one number of the generator to the next.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spreads a number over all bits: neighbouring ones have nothing in common afterwards.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Another generator, for another thread.
    pub(crate) fn fork(&mut self) -> Self {
        Random(self.next())
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // Below `end`, so it fits.
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from `least` up to and including `most`.
    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// True once in so many times, on average.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
