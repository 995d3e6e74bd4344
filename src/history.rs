//! What a pool did over a while, from snapshots of its figures taken now and then: advice about what lasts, which a
//! single snapshot can't give.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::stats::PoolStats;

/// The last snapshots of a pool's figures, and what they advise.
///
/// A peak that is over says little, and the figures since the pool was made say even less after a month. So keep a
/// history: record a snapshot now and then, such as once a second or whenever metrics are scraped, and ask for
/// [`advice`](History::advice) about what lasted. Takes some hundred bytes a snapshot, and nothing of acquire and
/// release.
///
/// ```
/// use poolbuf::{Advice, BufferPool, History, Pool};
///
/// let pool = BufferPool::new(1024, 0, 10)?;
/// let mut history = History::new(60);
/// let held: Vec<_> = (0..10).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
/// for _ in 0..60 {
///     history.record(pool.stats()); // once a second, say
/// }
/// let advice = history.advice();
/// assert!(matches!(advice[0].advice, Advice::NearlyFull { raise_max_to: 14, .. }));
/// println!("{}", history.report()); // for a ticket
/// # drop(held);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    samples: VecDeque<(Instant, PoolStats)>,
    most: usize,
}

/// What to change about a pool, or a tier of one. Part of what [`History::advice`] returns, where the example is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What the pool, or the tier, is called.
    pub pool: Arc<str>,
    /// What to change.
    pub advice: Advice,
}

/// What to change, with the number to set and the figures that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// At least 1 % of the requests got no buffer: they were refused, or their time ran out.
    Unserved {
        /// Requests that got none.
        unserved: u64,
        /// All requests.
        requests: u64,
        /// The present `max` and what the others would have had in use: as many times the buffers in use on average
        /// as there were unserved requests for each served one (Little's law).
        raise_max_to: usize,
    },
    /// Requests waited for 1 ms or more on average, and at least 1 % of them waited.
    Waiting {
        /// Requests that waited.
        waits: u64,
        /// How long each waited on average.
        average: Duration,
        /// The present `max` and as many buffers as there were requests waiting on average (Little's law).
        raise_max_to: usize,
    },
    /// In at least half of the snapshots at least 90 % of the buffers were in use.
    NearlyFull {
        /// Such snapshots, in percent of all.
        percent_of_the_time: usize,
        /// The `max` with which the most buffers in use in any snapshot would be three quarters.
        raise_max_to: usize,
    },
    /// Requests were refused because the [`Budget`](crate::Budget) of several pools was used up: not this pool's `max`
    /// is what is too small.
    OverBudget {
        /// Requests that were refused for that.
        refused: u64,
    },
    /// Less than half of the buffers that take up memory were in use in any snapshot, and they are at least 1 MiB more
    /// than that.
    Idle {
        /// Most buffers in use in any snapshot.
        peak: usize,
        /// Bytes that [`trim`](crate::Pool::trim) could give back.
        trim_bytes: usize,
    },
}

const MEBIBYTE: usize = 1 << 20;

impl History {
    /// A history of the last `snapshots` snapshots, at least 2.
    #[must_use]
    pub fn new(snapshots: usize) -> Self {
        History {
            samples: VecDeque::new(),
            most: snapshots.max(2),
        }
    }

    /// Adds a snapshot, taken now. The oldest one goes if there are too many.
    pub fn record(&mut self, stats: PoolStats) {
        self.record_at(Instant::now(), stats);
    }

    fn record_at(&mut self, at: Instant, stats: PoolStats) {
        if self.samples.len() == self.most {
            self.samples.pop_front();
        }
        self.samples.push_back((at, stats));
    }

    /// What lasted over all snapshots in the history, the gravest first; of a multi-size pool each tier is asked.
    /// Empty when there is nothing to change, or fewer than 2 snapshots.
    pub fn advice(&self) -> Vec<Finding> {
        let Some((_, last)) = self.samples.back() else {
            return Vec::new();
        };
        let mut findings = Vec::new();
        if last.tiers.is_empty() {
            findings.extend(self.of(Some));
        }
        for tier in 0..last.tiers.len() {
            findings.extend(self.of(|stats| stats.tiers.get(tier)));
        }
        findings
    }

    /// The advice about one pool or tier.
    fn of<'a>(&'a self, part: impl Fn(&'a PoolStats) -> Option<&'a PoolStats>) -> Vec<Finding> {
        let parts = self.samples.iter();
        let parts = parts.filter_map(|(at, stats)| Some((*at, part(stats)?)));
        let samples: Vec<(Instant, &PoolStats)> = parts.collect();
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            return Vec::new();
        };
        if samples.len() < 2 {
            return Vec::new();
        }
        let window = Window {
            during: last.0.saturating_duration_since(first.0),
            change: last.1.since(first.1),
            peak: samples
                .iter()
                .map(|(_, stats)| stats.in_use)
                .max()
                .unwrap_or(0),
            average_in_use: samples
                .iter()
                .map(|(_, stats)| stats.in_use as f64)
                .sum::<f64>()
                / samples.len() as f64,
            nearly_full: samples
                .iter()
                .filter(|(_, stats)| stats.used_percent() >= 90)
                .count(),
            samples: samples.len(),
        };
        let finding = |advice| Finding {
            pool: Arc::clone(&last.1.name),
            advice,
        };
        window.advice().into_iter().map(finding).collect()
    }

    /// The last snapshot, the changes over the history, and the advice, as text of several lines for an operator to
    /// paste.
    #[must_use]
    pub fn report(&self) -> String {
        let (Some((start, first)), Some((end, last))) = (self.samples.front(), self.samples.back())
        else {
            return "no snapshots yet".to_owned();
        };
        let change = last.since(first);
        let mut text = format!(
            "{}\nin the last {:.1?} ({} snapshots): {} acquired, {} refused, {} waited, {} timed out\n",
            last.report(),
            end.saturating_duration_since(*start),
            self.samples.len(),
            change.acquired,
            change.refused,
            change.waits,
            change.timed_out,
        );
        let advice = self.advice();
        if advice.is_empty() {
            text.push_str("advice: nothing to change");
        }
        for (number, finding) in advice.iter().enumerate() {
            let end = if number + 1 < advice.len() { "\n" } else { "" };
            text.push_str(&format!("advice: {finding}{end}"));
        }
        text
    }
}

/// What the snapshots say of one pool.
struct Window {
    during: Duration,
    change: PoolStats,
    peak: usize,
    average_in_use: f64,
    nearly_full: usize,
    samples: usize,
}

impl Window {
    fn advice(&self) -> Vec<Advice> {
        let now = &self.change;
        let unserved = now.refused.saturating_add(now.timed_out);
        let of_pool = unserved.saturating_sub(now.over_budget);
        let requests = now.acquired.saturating_add(unserved);
        let raised = |by: f64| {
            // A float beyond the range becomes the largest number.
            now.max.saturating_add((by.ceil() as usize).max(1))
        };
        let mut advice = Vec::new();
        if now.over_budget > 0 {
            advice.push(Advice::OverBudget {
                refused: now.over_budget,
            });
        }
        if of_pool > 0 && of_pool.saturating_mul(100) >= requests {
            let for_each_served = of_pool as f64 / now.acquired.max(1) as f64;
            advice.push(Advice::Unserved {
                unserved: of_pool,
                requests,
                raise_max_to: raised(for_each_served * self.average_in_use),
            });
        }
        let waits = u32::try_from(now.waits).unwrap_or(u32::MAX);
        let average = now.waited.checked_div(waits).unwrap_or_default();
        if average >= Duration::from_millis(1) && now.waits.saturating_mul(100) >= requests {
            let waiting = now.waited.as_secs_f64() / self.during.as_secs_f64().max(1e-9);
            advice.push(Advice::Waiting {
                waits: now.waits,
                average,
                raise_max_to: raised(waiting),
            });
        }
        if self.nearly_full * 2 >= self.samples && now.max > 0 {
            let comfortable = self.peak.saturating_mul(4).div_ceil(3);
            advice.push(Advice::NearlyFull {
                percent_of_the_time: self.nearly_full * 100 / self.samples,
                raise_max_to: comfortable.max(now.max.saturating_add(1)),
            });
        }
        let needed = self.peak.saturating_mul(now.buffer_size);
        let idle = now.resident_bytes.saturating_sub(needed);
        if idle >= MEBIBYTE && needed < now.resident_bytes / 2 {
            advice.push(Advice::Idle {
                peak: self.peak,
                trim_bytes: idle,
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
        match self {
            Advice::Unserved {
                unserved,
                requests,
                raise_max_to,
            } => write!(
                f,
                "{unserved} of {requests} requests got no buffer: raise max to {raise_max_to}"
            ),
            Advice::Waiting {
                waits,
                average,
                raise_max_to,
            } => write!(
                f,
                "{waits} requests waited {average:.1?} on average: raise max to {raise_max_to}"
            ),
            Advice::NearlyFull {
                percent_of_the_time,
                raise_max_to,
            } => write!(
                f,
                "at least 90% in use {percent_of_the_time}% of the time: raise max to {raise_max_to}"
            ),
            Advice::OverBudget { refused } => write!(
                f,
                "{refused} requests refused by the budget: raise it, or lower the max of other pools"
            ),
            Advice::Idle { peak, trim_bytes } => write!(
                f,
                "at most {peak} in use at once: trim would give back up to {trim_bytes} bytes"
            ),
        }
    }
}

#[cfg(all(test, not(poolbuf_loom)))]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Advice, History};
    use crate::stats::PoolStats;

    fn stats(in_use: usize) -> PoolStats {
        PoolStats {
            name: "recv".into(),
            buffer_size: 1000,
            max: 100,
            in_use,
            ..PoolStats::default()
        }
    }

    /// A history of snapshots a second apart.
    fn history(snapshots: impl IntoIterator<Item = PoolStats>) -> History {
        let mut history = History::new(100);
        let start = Instant::now();
        for (second, stats) in (0..).zip(snapshots) {
            history.record_at(start + Duration::from_secs(second), stats);
        }
        history
    }

    fn only(history: &History) -> Advice {
        let mut advice = history.advice();
        assert_eq!(advice.len(), 1, "{advice:?}");
        advice.remove(0).advice
    }

    #[test]
    fn a_momentary_peak_is_no_reason_to_change_anything() {
        let mut peaks = vec![10; 20];
        peaks[7] = 100;
        assert_eq!(history(peaks.into_iter().map(stats)).advice(), []);
        assert_eq!(history([]).advice(), []);
        assert_eq!(history([stats(100)]).advice(), []);
    }

    #[test]
    fn what_lasts_is_reported_from_half_of_the_time_on() {
        let mostly = |full: usize| history((0..20).map(|n| stats(if n < full { 90 } else { 0 })));
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
        let requests = |acquired, refused, timed_out| PoolStats {
            acquired,
            refused,
            timed_out,
            ..stats(80)
        };
        // What was refused before the history began does not count.
        let past = requests(1000, 1000, 1000);
        let below = history([past.clone(), requests(1991, 1005, 1004)]);
        assert_eq!(below.advice(), []);
        let above = history([past, requests(2000, 1200, 1050)]);
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
    fn long_waits_raise_max_by_the_number_of_those_who_wait() {
        let waits = |waits, seconds| PoolStats {
            acquired: waits,
            waits,
            waited: Duration::from_secs_f64(seconds),
            ..stats(80)
        };
        let short = history([waits(0, 0.0), waits(1000, 0.999)]);
        assert_eq!(short.advice(), []);
        let long = history([waits(0, 0.0), waits(1000, 7.5)]);
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
    fn a_budget_that_refuses_is_not_the_pools_fault() {
        let refused = PoolStats {
            refused: 50,
            over_budget: 50,
            acquired: 50,
            ..stats(10)
        };
        let over = history([stats(10), refused]);
        assert_eq!(only(&over), Advice::OverBudget { refused: 50 });
    }

    #[test]
    fn memory_that_nobody_used_is_reported_in_bytes() {
        let resident = |bytes| PoolStats {
            resident_bytes: bytes,
            ..stats(100)
        };
        let few = PoolStats {
            in_use: 20,
            ..resident(3_000_000)
        };
        let lasting = history([few.clone(), few.clone(), few]);
        assert_eq!(
            only(&lasting),
            Advice::Idle {
                peak: 20,
                trim_bytes: 2_980_000
            }
        );
        // Neither less than a mebibyte, nor less than half of what there is.
        let idle = |buffer_size, bytes| {
            let stats = PoolStats {
                in_use: 80,
                buffer_size,
                ..resident(bytes)
            };
            history([stats.clone(), stats]).advice()
        };
        assert_eq!(idle(100, 8000 + (1 << 20) - 1), []);
        assert_eq!(idle(100, 8000 + (1 << 20)).len(), 1);
        assert_eq!(idle(1_000_000, 150_000_000), []);
        assert_eq!(idle(1_000_000, 160_000_002).len(), 1);
    }

    #[test]
    fn a_report_has_each_advice_on_a_line_of_its_own() {
        let full_and_idle = PoolStats {
            resident_bytes: 10_000_000,
            ..stats(95)
        };
        let history = history([full_and_idle.clone(), full_and_idle]);
        assert_eq!(history.advice().len(), 2);
        let report = history.report();
        let advice = report.lines().rev().take(2);
        assert!(advice.into_iter().all(|line| line.starts_with("advice: ")));
        assert!(!report.ends_with('\n'));
    }

    #[test]
    fn each_tier_is_asked_and_named() {
        let tiered = |in_use| {
            let mut small = stats(in_use);
            small.name = "frames, 64 bytes".into();
            PoolStats::sum_of("frames".into(), vec![stats(1), small])
        };
        let history = history([tiered(95), tiered(95)]);
        let advice = history.advice();
        assert_eq!((advice.len(), &*advice[0].pool), (1, "frames, 64 bytes"));
        assert!(history.report().contains("frames, 64 bytes: at least 90%"));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let extreme = PoolStats {
            max: usize::MAX,
            in_use: usize::MAX,
            acquired: u64::MAX,
            refused: u64::MAX,
            waits: u64::MAX,
            waited: Duration::MAX,
            resident_bytes: usize::MAX,
            ..stats(0)
        };
        let history = history([PoolStats::default(), extreme]);
        assert!(!history.advice().is_empty());
        assert!(history.report().lines().count() > 3);
    }

    #[test]
    fn only_so_many_snapshots_are_kept() {
        let mut history = History::new(3);
        for _ in 0..10 {
            history.record(stats(95));
        }
        assert_eq!(history.samples.len(), 3);
    }
}
