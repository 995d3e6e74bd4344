//! How waits ended, and how long they took.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::base::sync::{AtomicU64, Instant, Ordering};

/// When a wait began, and for how many waits that are not timed it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    since: Instant,
    stands_for: u64,
}

/// So many waits are timed each; beyond that, one in [`TIMED`]: looking at the clock would otherwise take a tenth of
/// what it takes to wait and to be served.
const TIMED_EACH: u64 = 1024;
const TIMED: u64 = 16;

impl Clock {
    /// For the wait with this number, from 0 on, which begins now; `None` if it is not timed.
    pub(crate) fn start(number: u64) -> Option<Self> {
        let stands_for = match number {
            0..TIMED_EACH => 1,
            _ if number % TIMED == 0 => TIMED,
            _ => return None,
        };
        Some(Clock {
            since: Instant::now(),
            stands_for,
        })
    }
}

/// How the waits of a pool ended. Added up without a lock.
#[derive(Default)]
pub(crate) struct WaitCounts {
    served: AtomicU64,
    /// Buffers that were lent to them, but for one each.
    more: AtomicU64,
    timed_out: AtomicU64,
    abandoned: AtomicU64,
    closed: AtomicU64,
    /// Nanoseconds, modulo 2⁶⁴: ten thousand requests that wait get there in three weeks.
    waited: AtomicU64,
    /// How often it got there.
    laps: AtomicU64,
}

/// Why a request waits no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was lent so many buffers, and came for them.
    Served(u32),
    TimedOut,
    /// It was dropped, whatever had happened by then.
    Abandoned,
    /// Its pool was closed, or its max lowered, and it was told so.
    Refused,
}

impl WaitCounts {
    pub(crate) fn add(&self, ending: Ending, clock: Option<Clock>) {
        let count = match ending {
            Ending::Served(buffers) => {
                let more = u64::from(buffers.saturating_sub(1));
                if more > 0 {
                    self.more.fetch_add(more, Ordering::Relaxed);
                }
                &self.served
            }
            Ending::TimedOut => &self.timed_out,
            Ending::Abandoned => &self.abandoned,
            Ending::Refused => &self.closed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(clock) = clock {
            self.add_time(clock.since.elapsed(), clock.stands_for);
        }
    }

    fn add_time(&self, waited: Duration, stands_for: u64) {
        // 584 years hold one wait.
        let nanos = u128::from(waited.as_nanos() as u64) * u128::from(stands_for);
        let before = self.waited.fetch_add(nanos as u64, Ordering::Relaxed);
        let laps = (u128::from(before) + nanos) >> 64;
        if laps > 0 {
            // At most the number of waits that it stands for.
            self.laps.fetch_add(laps as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Buffers that were lent after a wait.
    pub(crate) fn handed_over(&self) -> u64 {
        self.served() + self.more.load(Ordering::Relaxed)
    }

    pub(crate) fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    pub(crate) fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> u64 {
        let unserved = self.timed_out() + self.abandoned() + self.closed.load(Ordering::Relaxed);
        self.served() + unserved
    }

    pub(crate) fn waited(&self) -> Duration {
        let laps = self.laps.load(Ordering::Relaxed);
        let nanos = u128::from(laps) << 64 | u128::from(self.waited.load(Ordering::Relaxed));
        const SECOND: u128 = 1_000_000_000;
        // The quotient of 2¹²⁸ would not fit, that of ten thousand requests over 10⁷ years does.
        Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
    }
}

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn waits_that_are_not_timed_are_stood_for_by_those_that_are() {
        let waits = TIMED_EACH + 10 * TIMED;
        let clocks = (0..waits).filter_map(Clock::start);
        assert_eq!(clocks.map(|clock| clock.stands_for).sum::<u64>(), waits);
    }

    #[test]
    fn each_ending_of_a_wait_counts_as_itself_and_as_a_wait() {
        let counts = WaitCounts::default();
        let endings = [Ending::Served(3), Ending::TimedOut, Ending::Abandoned, Ending::Refused];
        for (number, ending) in endings.into_iter().enumerate() {
            (0..=number).for_each(|_| counts.add(ending, None));
        }
        assert_eq!((counts.served(), counts.timed_out()), (1, 2));
        assert_eq!((counts.abandoned(), counts.all()), (3, 10));
        assert_eq!(counts.handed_over(), 3);
        assert_eq!(counts.waited(), Duration::ZERO);
    }

    #[test]
    fn ten_thousand_that_wait_for_a_year_are_added_up() {
        let counts = WaitCounts::default();
        let month = Duration::from_secs(30 * 24 * 3600);
        for _ in 0..12 {
            (0..10_000 / 16).for_each(|_| counts.add_time(month, 16));
        }
        assert_eq!(counts.waited(), month * 12 * 10_000);
        let average = counts.waited() / (12 * 10_000);
        assert_eq!(average, month);
    }
}
