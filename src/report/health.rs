//! What a pool's figures advise.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::base::units::Bytes;
use crate::report::stats::{PoolStats, percent};

/// What a pool's figures advise. From when on it advises what:
///
/// | advice | threshold |
/// |---|---|
/// | [`NearlyFull`](Health::NearlyFull) | 90 % of `max` buffers in use |
/// | [`Refusing`](Health::Refusing), [`OverBudget`](Health::OverBudget) | 1 % of all requests refused or in vain |
/// | [`Waiting`](Health::Waiting), [`WaitingForBytes`](Health::WaitingForBytes) | 1 % of all requests waited, for 1 ms or more on average |
/// | [`HoldAndWait`](Health::HoldAndWait) | no buffer came back for 1 s, and for ten times the average wait, while requests wait |
///
/// ```
/// use poolbuf::{BufferPool, Health, Pool};
///
/// let pool = BufferPool::new(64, 0, 10)?;
/// let _nine: Vec<_> = (0..9).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
/// assert_eq!(pool.stats().health(), Health::NearlyFull { used_percent: 90, raise_max_to: 12 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Nothing to change.
    Normal,
    /// The pool is closed: there is nothing to change any more.
    Closed,
    /// At least 90 % of `max` buffers are in use.
    NearlyFull {
        /// Buffers in use, in percent of `max`, rounded down.
        used_percent: usize,
        /// The `max` with which the most buffers ever in use would be three quarters.
        raise_max_to: usize,
    },
    /// Requests wait, and no buffer comes back. Most likely those that wait hold buffers themselves, and wait for each
    /// other, since each took one buffer and then waited for another; or else what holds the buffers keeps them for far
    /// longer than usual. A larger `max` helps in neither case, nor does a larger [`Budget`](crate::Budget) where it is
    /// bytes that they wait for.
    ///
    /// The criterion: the same request has been first in the queue, and nothing has come back, for at least 1 s and
    /// for ten times as long as waits took on average; see [`PoolStats::stalled`].
    HoldAndWait {
        /// For how long, at least, no buffer has come back.
        stalled: Duration,
        /// Requests that wait.
        waiting: usize,
    },
    /// Buffers are free, but owed to a request for many that is the first in line, and others wait behind it: the order
    /// is that of arrival, so that small requests can't starve a large one.
    FirstWantsMany {
        /// Buffers that the first wants.
        wanted: usize,
        /// Buffers that can be lent now.
        free: usize,
        /// Requests that wait, the first included.
        waiting: usize,
    },
    /// At least 1 % of all requests were refused, or waited in vain: timed out, or were abandoned.
    Refusing {
        /// Those, in hundredths of a percent of all requests, rounded down.
        refused_basis_points: u64,
        /// An `initial` with which no buffer would have had to be made late: the most ever in use.
        raise_initial_to: usize,
        /// Half again the present `max`: how many more were wanted than there were can't be known.
        raise_max_to: usize,
    },
    /// As `Refusing`, but most of them lacked bytes of a [`Budget`](crate::Budget): more buffers would not help.
    OverBudget {
        /// Requests refused or in vain, in hundredths of a percent of all requests, rounded down.
        refused_basis_points: u64,
        /// Half again the present limit, in bytes: how much was wanted can't be known.
        raise_budget_to: usize,
    },
    /// At least 1 % of all requests had to wait, for 1 ms or more on average.
    Waiting {
        /// How long they waited on average.
        average: Duration,
        /// Half again the present `max`: how many waited at once can't be known.
        raise_max_to: usize,
    },
    /// As `Waiting`, but most of them waited for bytes of a [`Budget`](crate::Budget).
    WaitingForBytes {
        /// How long they waited on average.
        average: Duration,
        /// Half again the present limit, in bytes: how much was wanted can't be known.
        raise_budget_to: usize,
    },
    /// A tier of a multi-size pool needs attention; the first one that does.
    Tier {
        /// Bytes a buffer of that tier.
        buffer_size: usize,
        /// What that tier's figures advise.
        health: Box<Health>,
    },
}

/// A pool that gets no buffer back for less time than that, while requests wait, is not said to be stalled.
const STALLED: Duration = Duration::from_secs(1);

impl PoolStats {
    /// What to change, with the number to set. A pool whose free buffers are owed to one request that wants many, and
    /// one to which no buffer comes back while requests wait, is told so before all else. Then one that refuses at
    /// least 1 % of its requests is told so first, then one that lets them wait for long, then one of whose `max` at
    /// least 90 % are in use; of a multi-size pool each tier is asked. The last is about this moment and the others
    /// about all the time since the pool was made: for what happened in between, ask the change
    /// [`since`](PoolStats::since) an earlier snapshot. A closed pool gets no advice.
    #[must_use]
    pub fn health(&self) -> Health {
        if self.closed {
            return Health::Closed;
        }
        for tier in &self.tiers {
            match tier.health() {
                Health::Normal | Health::Closed => {}
                health => {
                    return Health::Tier {
                        buffer_size: tier.buffer_size,
                        health: Box::new(health),
                    };
                }
            }
        }
        if !self.tiers.is_empty() {
            return Health::Normal;
        }
        let free = self.max.saturating_sub(self.in_use);
        if self.waiting > 1 && free > 0 && free < self.first_wants {
            return Health::FirstWantsMany {
                wanted: self.first_wants,
                free,
                waiting: self.waiting,
            };
        }
        if self.waiting > 0 && self.stalled >= self.average_wait().saturating_mul(10).max(STALLED) {
            return Health::HoldAndWait {
                stalled: self.stalled,
                waiting: self.waiting,
            };
        }
        let comfortable = self.high_water.saturating_mul(4).div_ceil(3);
        let half_again = |now: usize| now.saturating_add(now.div_ceil(2));
        // If the max has been lowered, more was in use before.
        let raise_max_to = half_again(self.max).max(self.high_water);
        let (unserved, requests) = (self.unserved(), self.requests());
        let lack_bytes = self.over_budget > unserved / 2;
        let wait_for_bytes = self.waits_for_bytes > self.waits / 2;
        let unserved = percent(unserved, requests, 10_000);
        let long_waits = self.average_wait() >= Duration::from_millis(1) && percent(self.waits, requests, 100) >= 1;
        if unserved >= 100 && lack_bytes {
            Health::OverBudget {
                refused_basis_points: unserved,
                raise_budget_to: half_again(self.budget),
            }
        } else if unserved >= 100 {
            Health::Refusing {
                refused_basis_points: unserved,
                raise_initial_to: self.high_water,
                raise_max_to,
            }
        } else if long_waits && wait_for_bytes {
            Health::WaitingForBytes {
                average: self.average_wait(),
                raise_budget_to: half_again(self.budget),
            }
        } else if long_waits {
            Health::Waiting {
                average: self.average_wait(),
                raise_max_to,
            }
        } else if self.used_percent() >= 90 {
            Health::NearlyFull {
                used_percent: self.used_percent(),
                raise_max_to: comfortable.max(self.max.saturating_add(1)),
            }
        } else {
            Health::Normal
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Normal => write!(f, "normal"),
            Health::Closed => write!(f, "closed"),
            Health::HoldAndWait { stalled, waiting } => write!(
                f,
                "no buffer came back for {stalled:.1?}, with {waiting} waiting: if those hold buffers, \
                 they wait for each other; acquire many at once"
            ),
            Health::FirstWantsMany { wanted, free, waiting } => write!(
                f,
                "the first of {waiting} that wait wants {wanted} buffers, and {free} are free: the others wait for it; \
                 ask for fewer at once, or take what is many from a pool of its own"
            ),
            Health::NearlyFull {
                used_percent,
                raise_max_to,
            } => write!(f, "{used_percent}% in use: raise max to {raise_max_to}"),
            Health::Refusing {
                refused_basis_points,
                raise_initial_to,
                raise_max_to,
            } => write!(
                f,
                "{}.{:02}% refused or in vain: raise initial to {raise_initial_to}, max to {raise_max_to}",
                refused_basis_points / 100,
                refused_basis_points % 100,
            ),
            Health::OverBudget {
                refused_basis_points,
                raise_budget_to,
            } => write!(
                f,
                "{}.{:02}% refused or in vain, most for want of bytes: raise the budget to {raise_budget_to}",
                refused_basis_points / 100,
                refused_basis_points % 100,
            ),
            Health::Waiting { average, raise_max_to } => {
                write!(f, "waits of {average:.1?} on average: raise max to {raise_max_to}")
            }
            Health::WaitingForBytes {
                average,
                raise_budget_to,
            } => write!(
                f,
                "waits of {average:.1?} on average for bytes: raise the budget to {raise_budget_to}"
            ),
            Health::Tier { buffer_size, health } => write!(f, "tier of {}: {health}", Bytes(*buffer_size)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::report::health::Health;
    use crate::report::stats::PoolStats;
    use crate::report::stats::tests::stats;

    #[test]
    fn who_waits_while_nothing_comes_back_is_told_of_holding_and_waiting() {
        let stalled = |seconds, waited| PoolStats {
            waiting: 4,
            stalled: Duration::from_secs(seconds),
            waits: 10,
            waited: Duration::from_secs(waited),
            ..stats(160, 160, 1000, 0)
        };
        let health = stalled(3, 0).health();
        assert_eq!(
            health,
            Health::HoldAndWait {
                stalled: Duration::from_secs(3),
                waiting: 4
            }
        );
        assert_eq!(
            health.to_string(),
            "no buffer came back for 3.0s, with 4 waiting: if those hold buffers, \
             they wait for each other; acquire many at once"
        );
        // For less than a second, or where waits take long anyway.
        for stats in [stalled(0, 0), stalled(3, 10)] {
            assert!(!matches!(stats.health(), Health::HoldAndWait { .. }));
        }
    }

    #[test]
    fn advice_begins_at_its_thresholds() {
        assert_eq!(stats(1000, 899, 10_000, 0).health(), Health::Normal);
        assert_eq!(
            stats(1000, 900, 10_000, 0).health(),
            Health::NearlyFull {
                used_percent: 90,
                raise_max_to: 1200
            }
        );
        assert_eq!(stats(1000, 10, 9_901, 99).health(), Health::Normal);
        assert_eq!(
            stats(1000, 10, 9_900, 100).health(),
            Health::Refusing {
                refused_basis_points: 100,
                raise_initial_to: 10,
                raise_max_to: 1500
            }
        );
    }

    #[test]
    fn a_max_below_what_was_in_use_is_never_advised() {
        let lowered = PoolStats {
            high_water: 100,
            ..stats(10, 10, 1, 1)
        };
        assert_eq!(
            lowered.health(),
            Health::Refusing {
                refused_basis_points: 5000,
                raise_initial_to: 100,
                raise_max_to: 100
            }
        );
        let waits = PoolStats {
            waits: 1,
            waited: Duration::from_secs(1),
            refused: 0,
            ..lowered
        };
        assert!(matches!(waits.health(), Health::Waiting { raise_max_to: 100, .. }));
    }

    #[test]
    fn the_advised_max_is_always_larger() {
        for max in 1..50 {
            for in_use in 0..=max {
                for refused in [0, 1000] {
                    match stats(max, in_use, 1, refused).health() {
                        Health::NearlyFull { raise_max_to, .. } | Health::Refusing { raise_max_to, .. } => {
                            assert!(raise_max_to > max)
                        }
                        _ => assert_eq!(refused, 0),
                    }
                }
            }
        }
    }

    #[test]
    fn requests_that_waited_in_vain_count_as_refused_and_long_waits_are_told() {
        let waits = |acquired, waits, timed_out, millis| PoolStats {
            waits,
            timed_out,
            waited: Duration::from_millis(millis),
            ..stats(100, 10, acquired, 0)
        };
        assert_eq!(waits(990, 10, 9, 0).health(), Health::Normal);
        assert!(matches!(waits(990, 10, 10, 0).health(), Health::Refusing { .. }));
        assert_eq!(waits(1000, 9, 0, 900).health(), Health::Normal);
        assert_eq!(waits(1000, 10, 0, 9).health(), Health::Normal);
        assert_eq!(
            waits(1000, 10, 0, 10).health(),
            Health::Waiting {
                average: Duration::from_millis(1),
                raise_max_to: 150
            }
        );
    }

    #[test]
    fn a_full_tier_is_named() {
        let mut full = stats(10, 10, 10, 0);
        full.buffer_size = 512;
        let sum = PoolStats::sum_of("all".into(), vec![stats(1000, 1, 1, 0), full]);
        assert_eq!((sum.max, sum.in_use), (1010, 11));
        assert_eq!(
            sum.health().to_string(),
            "tier of 512 bytes: 100% in use: raise max to 14"
        );
    }
}
