//! Whether this process takes up more and more memory.
#![forbid(unsafe_code)]

use poolbuf_support::numbers::mebibytes;

/// So much more may be resident in the end: what the allocator keeps for itself, and what an instrumented build does.
const GROWTH: u64 = 32 << 20;
/// And so much for each thread, for which the allocator has an arena.
const GROWTH_BY_THREAD: u64 = 2 << 20;
/// With fewer rounds there is nothing to compare.
const LEAST_ROUNDS: usize = 4;

/// Resident bytes after each round.
#[derive(Default)]
pub(crate) struct Memory {
    samples: Vec<u64>,
}

impl Memory {
    pub(crate) fn sample(&mut self, resident: u64) {
        self.samples.push(resident);
    }

    /// The most after the first rounds, and the least after the last ones.
    pub(crate) fn first_and_last(&self) -> Option<(u64, u64)> {
        let rounds = self.samples.len();
        if rounds < LEAST_ROUNDS {
            return None;
        }
        let some = (rounds / 3).clamp(1, 10);
        let first = self.samples[..some].iter().max()?;
        let last = self.samples[rounds - some..].iter().min()?;
        Some((*first, *last))
    }

    /// What is wrong, as a line for the user.
    pub(crate) fn problem(&self, threads: usize) -> Option<String> {
        let (first, last) = self.first_and_last()?;
        let growth = GROWTH + threads as u64 * GROWTH_BY_THREAD;
        (last > first + growth).then(|| {
            let (first, last) = (mebibytes(first), mebibytes(last));
            format!("memory grows without end: {first} after the first rounds, {last} after the last")
        })
    }
}
