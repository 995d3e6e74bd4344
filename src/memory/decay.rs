//! When a generation of buffers ends.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::base::sync::{AtomicU64, Instant, Ordering};

/// A clock that many threads look at, one of which is told that a generation has ended.
pub(crate) struct Decay {
    /// Nanoseconds; at least [`SHORTEST`].
    generation: u64,
    start: Instant,
    /// Nanoseconds after `start` at which the generation ends.
    end: AtomicU64,
}

/// Or else a pool would do nothing else.
const SHORTEST: u64 = 1000;

impl Decay {
    /// The first generation begins now.
    pub(crate) fn new(generation: Duration) -> Decay {
        let generation = nanoseconds(generation).max(SHORTEST);
        Decay {
            generation,
            start: Instant::now(),
            end: AtomicU64::new(generation),
        }
    }

    /// Whether the generation has ended. Only one caller is told so; for it, the next generation begins now.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due_after(self.start.elapsed())
    }

    /// As `is_due`, at `since` after the start.
    fn is_due_after(&self, since: Duration) -> bool {
        let now = nanoseconds(since);
        // Relaxed: says when, and hands nothing on.
        let end = self.end.load(Ordering::Relaxed);
        let next = now.saturating_add(self.generation);
        now >= end
            && (self.end)
                .compare_exchange(end, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The largest number if there are more: 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Decay;

    #[test]
    fn a_generation_ends_once_and_the_next_begins_when_that_was_noticed() {
        let decay = Decay::new(Duration::from_secs(10));
        let ends = |seconds| decay.is_due_after(Duration::from_secs(seconds));
        assert!(!ends(9));
        assert!(ends(10));
        assert!(!ends(10));
        // Long unnoticed, it is still one generation.
        assert!(ends(45));
        assert!(!ends(54));
        assert!(ends(55));
    }

    #[test]
    fn generations_of_any_length_do_not_overflow() {
        let for_ever = Decay::new(Duration::MAX);
        assert!(!for_ever.is_due_after(Duration::from_secs(1 << 32)));
        let shortest = Decay::new(Duration::ZERO);
        assert!(!shortest.is_due_after(Duration::from_nanos(999)));
        assert!(shortest.is_due_after(Duration::from_nanos(1000)));
        assert!(!shortest.is_due_after(Duration::from_nanos(1999)));
    }
}
