//! Random numbers that are the same for the same seed.
#![forbid(unsafe_code)]

use std::time::SystemTime;

/// SplitMix64 (G. Steele, D. Lea and C. Flood, *Fast Splittable Pseudorandom Number Generators*, 2014): good from the
/// first number on. Holds the seed.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

/// From one number of the generator to the next.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spreads a number over all bits: neighbouring ones have nothing in common afterwards.
#[must_use]
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// A seed from the clock: another in every run.
#[must_use]
pub fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // Its last digits are what differs.
    since.map_or(1, |since| since.as_nanos() as u64)
}

impl Random {
    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "an iterator could end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Another generator, for another thread.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Random(self.next())
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        // Below `end`, so it fits.
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from `least` up to and including `most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// True once in so many times, on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `from`, which is not empty.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let numbers = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        numbers.take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_first_numbers_are_those_of_the_paper() {
        let mut random = Random(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random(1);
        for _ in 0..1000 {
            assert!(random.below(3) < 3);
            assert!((5..=7).contains(&random.between(5, 7)));
        }
        assert_eq!(random.below(1), 0);
        assert_eq!(random.bytes(13).len(), 13);
    }
}
