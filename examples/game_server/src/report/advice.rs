//! What lasted over a run: advice about its pools, with the number to set. A single snapshot can't give it,
//! since a peak that is over says little.

use std::fmt;
use std::time::Duration;

use poolbuf::{Name, PoolStats};
use poolbuf_support::numbers::thousands;

/// What to change about a pool, or a tier of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) pool: Name,
    pub(crate) advice: Advice,
}

/// What to change, with the figures that it comes from. Memory that lies idle is not looked for: buffers that
/// are held for a moment are missed by a look a second, and would pass for idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// At least 1 % of the requests got no buffer.
    Unserved {
        unserved: u64,
        requests: u64,
        /// The present `max` and what the others would have had in use: as many times the buffers in use on
        /// average as there were unserved requests for each served one (Little's law).
        raise_max_to: usize,
    },
    /// Requests waited for 1 ms or more on average, and at least 1 % of them waited.
    Waiting {
        waits: u64,
        average: Duration,
        /// The present `max` and as many buffers as there were requests waiting on average (Little's law).
        raise_max_to: usize,
    },
    /// In at least half of the snapshots at least 90 % of the buffers were in use.
    NearlyFull {
        percent_of_the_time: usize,
        /// The `max` with which the most buffers in use in any snapshot would be three quarters.
        raise_max_to: usize,
    },
}

/// What all snapshots of a run say together. Takes no more memory for many than for two.
#[derive(Default)]
pub(crate) struct Trends {
    /// Of each pool, or in its place of each of its tiers.
    trends: Vec<Trend>,
}

/// What they say of one pool or tier.
struct Trend {
    /// Of the first and the last of them: when it was taken, and its figures.
    first: (Duration, PoolStats),
    last: (Duration, PoolStats),
    snapshots: usize,
    /// In how many of them at least 90 % were in use.
    nearly_full: usize,
    /// Most buffers in use in any of them, and in all of them together.
    peak: usize,
    in_use: f64,
}

impl Trends {
    /// Adds a snapshot of all pools, taken so long after the start.
    pub(crate) fn record(&mut self, at: Duration, pools: &[PoolStats]) {
        let parts = pools.iter().flat_map(|pool| match &pool.tiers[..] {
            [] => std::slice::from_ref(pool),
            tiers => tiers,
        });
        for (index, stats) in parts.enumerate() {
            if index == self.trends.len() {
                self.trends.push(Trend::new(at, stats));
            }
            self.trends[index].record(at, stats);
        }
    }

    /// What lasted, pool by pool, the gravest of each first. Empty when there is nothing to change, or were
    /// fewer than 2 snapshots.
    pub(crate) fn advice(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for trend in self.trends.iter().filter(|trend| trend.snapshots > 1) {
            findings.extend(trend.advice().into_iter().map(|advice| Finding {
                pool: trend.last.1.name.clone(),
                advice,
            }));
        }
        findings
    }
}

impl Trend {
    fn new(at: Duration, stats: &PoolStats) -> Trend {
        Trend {
            first: (at, stats.clone()),
            last: (at, stats.clone()),
            snapshots: 0,
            nearly_full: 0,
            peak: 0,
            in_use: 0.0,
        }
    }

    fn record(&mut self, at: Duration, stats: &PoolStats) {
        self.last = (at, stats.clone());
        self.snapshots += 1;
        self.nearly_full += usize::from(stats.used_percent() >= 90);
        self.peak = self.peak.max(stats.in_use);
        self.in_use += stats.in_use as f64;
    }

    fn advice(&self) -> Vec<Advice> {
        let ((start, first), (end, last)) = (&self.first, &self.last);
        let change = last.since(first);
        let in_vain = change.timed_out.saturating_add(change.abandoned);
        let unserved = change.refused.saturating_add(in_vain);
        let requests = change.acquired.saturating_add(unserved);
        let raised = |by: f64| {
            // A float beyond the range becomes the largest number.
            last.max.saturating_add((by.ceil() as usize).max(1))
        };
        let mut advice = Vec::new();
        if unserved > 0 && unserved.saturating_mul(100) >= requests {
            let for_each_served = unserved as f64 / change.acquired.max(1) as f64;
            let average_in_use = self.in_use / self.snapshots as f64;
            advice.push(Advice::Unserved {
                unserved,
                requests,
                raise_max_to: raised(for_each_served * average_in_use),
            });
        }
        let average = change.average_wait();
        if average >= Duration::from_millis(1) && change.waits.saturating_mul(100) >= requests {
            let waiting = change.waited.as_secs_f64() / (*end - *start).as_secs_f64().max(1e-9);
            advice.push(Advice::Waiting {
                waits: change.waits,
                average,
                raise_max_to: raised(waiting),
            });
        }
        if self.nearly_full * 2 >= self.snapshots && last.max > 0 {
            let comfortable = self.peak.saturating_mul(4).div_ceil(3);
            advice.push(Advice::NearlyFull {
                percent_of_the_time: self.nearly_full * 100 / self.snapshots,
                raise_max_to: comfortable.max(last.max.saturating_add(1)),
            });
        }
        advice
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pool, self.advice)
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |buffers: usize| thousands(buffers as u64);
        match *self {
            Advice::Unserved {
                unserved,
                requests,
                raise_max_to,
            } => write!(
                f,
                "{} of {} requests got no buffer: raise max to {}",
                thousands(unserved),
                thousands(requests),
                count(raise_max_to)
            ),
            Advice::Waiting {
                waits,
                average,
                raise_max_to,
            } => write!(
                f,
                "{} requests waited {average:.1?} on average: raise max to {}",
                thousands(waits),
                count(raise_max_to)
            ),
            Advice::NearlyFull {
                percent_of_the_time,
                raise_max_to,
            } => write!(
                f,
                "at least 90% in use {percent_of_the_time}% of the time: raise max to {}",
                count(raise_max_to)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use poolbuf::PoolStats;

    use super::{Advice, Trends};

    fn stats(in_use: usize) -> PoolStats {
        let mut stats = PoolStats::default();
        stats.name = "recv".into();
        (stats.buffer_size, stats.max, stats.in_use) = (1000, 100, in_use);
        stats
    }

    /// Trends of snapshots a second apart.
    fn trends(snapshots: impl IntoIterator<Item = PoolStats>) -> Trends {
        let mut trends = Trends::default();
        for (second, stats) in (0..).zip(snapshots) {
            trends.record(Duration::from_secs(second), &[stats]);
        }
        trends
    }

    fn only(trends: &Trends) -> Advice {
        let mut advice = trends.advice();
        assert_eq!(advice.len(), 1, "{advice:?}");
        advice.remove(0).advice
    }

    #[test]
    fn a_momentary_peak_is_no_reason_to_change_anything() {
        let mut peaks = vec![10; 20];
        peaks[7] = 100;
        assert_eq!(trends(peaks.into_iter().map(stats)).advice(), []);
        assert_eq!(trends([]).advice(), []);
        assert_eq!(trends([stats(100)]).advice(), []);
    }

    #[test]
    fn what_lasts_is_reported_from_half_of_the_time_on() {
        let mostly = |full: usize| trends((0..20).map(|n| stats(if n < full { 90 } else { 0 })));
        assert_eq!(mostly(9).advice(), []);
        assert_eq!(
            only(&mostly(10)),
            Advice::NearlyFull {
                percent_of_the_time: 50,
                raise_max_to: 120
            }
        );
    }

    #[test]
    fn unserved_requests_raise_max_by_what_they_would_have_used() {
        let requests = |acquired, refused, timed_out, abandoned| {
            let mut stats = stats(80);
            (stats.acquired, stats.refused) = (acquired, refused);
            (stats.timed_out, stats.abandoned) = (timed_out, abandoned);
            stats
        };
        // What was refused before the first snapshot does not count.
        let past = requests(1000, 1000, 900, 100);
        let below = trends([past.clone(), requests(1991, 1005, 902, 102)]);
        assert_eq!(below.advice(), []);
        let above = trends([past, requests(2000, 1200, 940, 110)]);
        assert_eq!(
            only(&above),
            Advice::Unserved {
                unserved: 250,
                requests: 1250,
                // A quarter as many again as the 80 in use.
                raise_max_to: 120
            }
        );
    }

    #[test]
    fn long_waits_raise_max_by_the_number_of_those_that_wait() {
        let waits = |waits, seconds| {
            let mut stats = stats(80);
            (stats.acquired, stats.waits) = (waits, waits);
            stats.waited = Duration::from_secs_f64(seconds);
            stats
        };
        let short = trends([waits(0, 0.0), waits(1000, 0.999)]);
        assert_eq!(short.advice(), []);
        let long = trends([waits(0, 0.0), waits(1000, 7.5)]);
        assert_eq!(
            only(&long),
            Advice::Waiting {
                waits: 1000,
                average: Duration::from_micros(7500),
                raise_max_to: 108
            }
        );
    }

    #[test]
    fn each_pool_and_tier_is_judged_and_named() {
        let mut small = stats(95);
        small.name = "frames, 64 bytes".into();
        let mut tiered = stats(96);
        tiered.tiers = vec![stats(1), small];
        let mut trends = Trends::default();
        for second in 0..2 {
            trends.record(Duration::from_secs(second), &[tiered.clone(), stats(97)]);
        }
        let advice = trends.advice();
        assert_eq!(advice.len(), 2);
        let start = "frames, 64 bytes: at least 90% in use 100% of the time: raise max to 127";
        assert_eq!(advice[0].to_string(), start);
        assert_eq!(&*advice[1].pool, "recv");
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut extreme = stats(usize::MAX);
        extreme.max = usize::MAX;
        (extreme.acquired, extreme.refused, extreme.waits) = (u64::MAX, u64::MAX, u64::MAX);
        extreme.waited = Duration::MAX;
        let advice = trends([PoolStats::default(), extreme]).advice();
        assert!(advice.len() >= 2, "{advice:?}");
        assert!(advice.iter().all(|finding| !finding.to_string().is_empty()));
    }
}
