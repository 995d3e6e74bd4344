//! What a pool did so far, and what to change.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::base::units::{Buffers, Bytes};
use crate::report::name::Name;

/// A pool's figures at one moment.
///
/// Exact while no other thread uses the pool; else a number of buffers is off by no more than others acquire and
/// release while it is read. Made from what the pool keeps anyway: reading costs a lock or a few loads and a few
/// allocations; acquire and release pay nothing for it.
///
/// `Display` is one line for a log:
///
/// ```
/// use poolbuf::{BufferPool, Pool, PoolConfig};
///
/// let pool = BufferPool::with_config(PoolConfig::new(8192).max(20).name("recv pool"))?;
/// let held: Vec<_> = (0..17).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
/// assert_eq!(
///     pool.stats().to_string(),
///     "recv pool: 85% of 20 in use | refused 0.00% | high water 17 | normal",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For a [`Pool`](crate::Pool) of your own, start from `PoolStats::default()` and set the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// What the pool is called.
    pub name: Name,
    /// Bytes that a buffer holds; of a multi-size pool, the largest.
    pub buffer_size: usize,
    /// Buffers that can be lent at most, as it is now: see [`BufferPool::set_max`](crate::BufferPool::set_max).
    pub max: usize,
    /// Buffers that exist: the initial ones, and those made since because more were in use at once.
    pub total: usize,
    /// Buffers that exist and are free: `total - in_use`. The pool can still lend `max - in_use`,
    /// or none where a lowered `max` is below what is in use, and where it is closed.
    pub available: usize,
    /// Buffers that are lent, those that were granted to a request which has not come for them yet included. Requests
    /// that wait have none.
    pub in_use: usize,
    /// Buffers that were ever `in_use`, counting each once. Exactly the most that were so at the same time if
    /// one thread uses the pool; with several it may be more, since a thread takes a new buffer rather than
    /// one that rests at another's hand. Never less, so a `max` of that many would have been enough. Of a
    /// multi-size pool, the sum over its tiers.
    pub high_water: usize,
    /// Buffers lent since the pool was made, those that were granted to a request which was dropped before it came for
    /// them included. A [`LockFreePool<N>`](crate::LockFreePool) counts modulo 2 to the power of its tag's bits (2⁴⁸
    /// for `N` up to 65,534).
    pub acquired: u64,
    /// Requests refused since the pool was made because all buffers were in use or owed to others, bytes of a budget
    /// lacked, or as many [waited](crate::PoolConfig::max_waiting) as may; one for many counts once. Requests
    /// that were too large, or came after the pool was closed, do not count.
    pub refused: u64,
    /// Requests that were refused, timed out or were abandoned because the [`Budget`](crate::Budget) of several pools
    /// was used up: they lacked its bytes, or waited behind one that lacked nothing but its bytes.
    pub over_budget: u64,
    /// Requests that had to wait, for a buffer or for the bytes of a [`Budget`](crate::Budget), since the pool was
    /// made, and have ended, with a buffer or without. In a multi-size pool each counts in one tier: in that which lent
    /// the buffer, or else in the first in which it waited to the end.
    pub waits: u64,
    /// Buffers lent after a wait, which count as acquired too: one for each request that was served, or as many as it
    /// asked for.
    pub handed_over: u64,
    /// How long all of them together waited. From the 1,024th on, one wait in 16 is timed and stands for all of
    /// them.
    pub waited: Duration,
    /// How many of them ended without a buffer, because their time was up.
    pub timed_out: u64,
    /// How many of them ended without a buffer, because they were dropped: by a time limit of the runtime's, a
    /// `select!`, or the end of their task. Also if a buffer had been granted to them just before.
    pub abandoned: u64,
    /// How many of them lacked nothing but the bytes of a budget at some time, or as `over_budget` says.
    pub waits_for_bytes: u64,
    /// Requests that wait now, for a buffer or for the bytes of a budget. In a multi-size pool each counts in one tier:
    /// in the first that may still serve it.
    pub waiting: usize,
    /// Buffers that the first of them wants; 0 if none waits. As long as fewer are free, those that are free are owed
    /// to it, and those behind it wait, however little they want. Of a multi-size pool, the most of its tiers.
    pub first_wants: usize,
    /// For how long, at least, requests have waited while nothing came back: no buffer was released, and the same
    /// request has been the first in the queue. If that request lacks nothing but bytes of a [`Budget`](crate::Budget),
    /// it is the budget's time without bytes, if that is longer. Each reading notes who is first and what has come
    /// back, and the next one compares: so the first reading says 0. Of a multi-size pool, the longest of its tiers.
    pub stalled: Duration,
    /// Bytes that the [`Budget`](crate::Budget) which the pool shares with others allows; 0 without one. How much of it
    /// is used, [`Budget::stats`](crate::Budget::stats) tells.
    pub budget: usize,
    /// Whether the pool has been [closed](crate::Pool::close), and lends no more; of a multi-size pool, whether all its
    /// tiers are.
    pub closed: bool,
    /// Bytes of buffers that have been touched, and so take up memory, less what trimming gave back of those that
    /// were not lent since; an estimate where only some of them were. Rounding to pages not counted.
    pub resident_bytes: usize,
    /// The tiers of a multi-size pool, smallest first; empty for any other pool.
    pub tiers: Vec<PoolStats>,
}

impl PoolStats {
    /// Buffers in use, in percent of `max`, rounded down; 0 for a pool without buffers.
    #[must_use]
    pub fn used_percent(&self) -> usize {
        percent(self.in_use as u64, self.max as u64, 100) as usize
    }

    /// How long a request that waited did so on average; 0 when none did.
    #[must_use]
    pub fn average_wait(&self) -> Duration {
        average(self.waited, self.waits)
    }

    /// These figures with what was counted since `earlier` in place of what was counted since the pool was made; tier
    /// by tier where both have the same number of them.
    #[must_use]
    pub fn since(&self, earlier: &PoolStats) -> PoolStats {
        let tiers = match self.tiers.len() == earlier.tiers.len() {
            true => self.tiers.iter().zip(&earlier.tiers).map(|(now, then)| now.since(then)),
            false => {
                return PoolStats {
                    tiers: Vec::new(),
                    ..self.since_alone(earlier)
                };
            }
        };
        PoolStats {
            tiers: tiers.collect(),
            ..self.since_alone(earlier)
        }
    }

    /// All figures as text of several lines, for an operator to paste.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool, PoolConfig};
    ///
    /// let pool = BufferPool::with_config(PoolConfig::new(8192).max(20).name("recv"))?;
    /// let report = pool.stats().report();
    /// assert!(report.starts_with("recv: 20 buffers of 8192 bytes at most"));
    /// # Ok::<(), poolbuf::ConfigError>(())
    /// ```
    #[must_use]
    pub fn report(&self) -> String {
        let sizes = match self.tiers.len() {
            0 => Bytes(self.buffer_size).to_string(),
            1 => format!("1 size, {},", Bytes(self.buffer_size)),
            tiers => format!("{tiers} sizes, {} the largest,", Bytes(self.buffer_size)),
        };
        let over_budget = match self.budget {
            0 => String::new(),
            budget => format!(
                "budget of {}: {} refused or in vain, {} waits for its bytes\n",
                Bytes(budget),
                self.over_budget,
                self.waits_for_bytes,
            ),
        };
        let mut text = format!(
            "{}: {} of {sizes} at most{}\n\
             in use {}, free {}, high water {}, resident {}\n\
             acquired {}, refused {}\n\
             waits {} ({} handed over, {} timed out, {} abandoned), {:.1?} on average, {} waiting now\n\
             {}health: {}",
            self.name,
            Buffers(self.max),
            if self.closed { "; closed" } else { "" },
            self.in_use,
            self.available,
            self.high_water,
            Bytes(self.resident_bytes),
            self.acquired,
            self.refused,
            self.waits,
            self.handed_over,
            self.timed_out,
            self.abandoned,
            self.average_wait(),
            self.waiting,
            over_budget,
            self.health(),
        );
        for tier in &self.tiers {
            text.push_str("\n  ");
            text.push_str(&tier.to_string());
        }
        text
    }

    /// Requests refused, in hundredths of a percent of all requests, those in vain included, rounded down; 0 before the
    /// first.
    fn refused_basis_points(&self) -> u64 {
        percent(self.refused, self.requests(), 10_000)
    }

    /// Requests that were refused, timed out, or were abandoned.
    pub(crate) fn unserved(&self) -> u64 {
        let in_vain = self.timed_out.saturating_add(self.abandoned);
        self.refused.saturating_add(in_vain)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.acquired.saturating_add(self.unserved())
    }

    fn since_alone(&self, earlier: &PoolStats) -> PoolStats {
        PoolStats {
            name: self.name.clone(),
            acquired: self.acquired.saturating_sub(earlier.acquired),
            refused: self.refused.saturating_sub(earlier.refused),
            over_budget: self.over_budget.saturating_sub(earlier.over_budget),
            waits: self.waits.saturating_sub(earlier.waits),
            handed_over: self.handed_over.saturating_sub(earlier.handed_over),
            waited: self.waited.saturating_sub(earlier.waited),
            timed_out: self.timed_out.saturating_sub(earlier.timed_out),
            abandoned: self.abandoned.saturating_sub(earlier.abandoned),
            waits_for_bytes: self.waits_for_bytes.saturating_sub(earlier.waits_for_bytes),
            tiers: Vec::new(),
            ..*self
        }
    }

    /// The figures of several pools as one: sums, and the parts as `tiers`.
    pub(crate) fn sum_of(name: Name, tiers: Vec<PoolStats>) -> PoolStats {
        let mut sum = PoolStats {
            name,
            closed: tiers.iter().all(|tier| tier.closed),
            ..PoolStats::default()
        };
        for tier in &tiers {
            sum.buffer_size = sum.buffer_size.max(tier.buffer_size);
            sum.max += tier.max;
            sum.total += tier.total;
            sum.available += tier.available;
            sum.in_use += tier.in_use;
            sum.high_water += tier.high_water;
            sum.acquired += tier.acquired;
            sum.refused += tier.refused;
            sum.over_budget += tier.over_budget;
            sum.handed_over += tier.handed_over;
            sum.waits += tier.waits;
            sum.waited += tier.waited;
            sum.timed_out += tier.timed_out;
            sum.abandoned += tier.abandoned;
            sum.waits_for_bytes += tier.waits_for_bytes;
            sum.budget = sum.budget.max(tier.budget);
            sum.waiting += tier.waiting;
            sum.first_wants = sum.first_wants.max(tier.first_wants);
            sum.stalled = sum.stalled.max(tier.stalled);
            sum.resident_bytes += tier.resident_bytes;
        }
        sum.tiers = tiers;
        sum
    }
}

/// `part` in `scale`ths of `whole`, rounded down; 0 when there is no whole.
pub(crate) fn percent(part: u64, whole: u64, scale: u64) -> u64 {
    match whole {
        0 => 0,
        whole => (u128::from(part) * u128::from(scale) / u128::from(whole)) as u64,
    }
}

/// How long one of `waits` took on average, if all of them took `waited`; 0 when there were none.
pub(crate) fn average(waited: Duration, waits: u64) -> Duration {
    let waits = u32::try_from(waits).unwrap_or(u32::MAX);
    waited.checked_div(waits).unwrap_or_default()
}

/// What a line says of waits: nothing if there were none.
pub(crate) fn write_waits(
    f: &mut fmt::Formatter<'_>,
    waits: u64,
    waited: Duration,
    timed_out: u64,
    abandoned: u64,
) -> fmt::Result {
    if waits == 0 {
        return Ok(());
    }
    write!(f, " | waits {waits}, {:.1?} avg", average(waited, waits))?;
    for (count, ending) in [(timed_out, "timed out"), (abandoned, "abandoned")] {
        if count > 0 {
            write!(f, ", {count} {ending}")?;
        }
    }
    Ok(())
}

impl fmt::Display for PoolStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.refused_basis_points();
        match self.closed {
            true => write!(f, "{}: closed, {} still out", self.name, self.in_use)?,
            false => {
                let used = self.used_percent();
                write!(f, "{}: {used}% of {} in use", self.name, self.max)?;
            }
        }
        write!(
            f,
            " | refused {}.{:02}% | high water {}",
            refused / 100,
            refused % 100,
            self.high_water,
        )?;
        write_waits(f, self.waits, self.waited, self.timed_out, self.abandoned)?;
        match self.closed {
            true => Ok(()),
            false => write!(f, " | {}", self.health()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use crate::report::health::Health;
    use crate::report::stats::PoolStats;

    pub(crate) fn stats(max: usize, in_use: usize, acquired: u64, refused: u64) -> PoolStats {
        PoolStats {
            name: "send pool".into(),
            max,
            in_use,
            high_water: in_use,
            acquired,
            refused,
            ..PoolStats::default()
        }
    }

    #[test]
    fn the_line_has_the_figures_and_the_advice() {
        assert_eq!(
            stats(2000, 1700, 199_900, 100).to_string(),
            "send pool: 85% of 2000 in use | refused 0.05% | high water 1700 | normal"
        );
        assert_eq!(
            stats(2000, 2000, 95, 5).to_string(),
            "send pool: 100% of 2000 in use | refused 5.00% | high water 2000 | \
             5.00% refused or in vain: raise initial to 2000, max to 3000"
        );
    }

    #[test]
    fn waits_are_in_the_line_when_there_were_any() {
        let mut waited = stats(2000, 1700, 199_900, 100);
        waited.waits = 12;
        waited.waited = Duration::from_micros(3600);
        assert_eq!(
            waited.to_string(),
            "send pool: 85% of 2000 in use | refused 0.05% | high water 1700 | waits 12, 300.0µs avg | normal"
        );
    }

    /// The line has two percentages: what was refused, and what was refused or waited in vain. Both are of all
    /// requests.
    #[test]
    fn percentages_in_one_line_are_of_the_same_whole() {
        let both = PoolStats {
            waits: 30,
            timed_out: 20,
            abandoned: 10,
            ..stats(100, 10, 60, 10)
        };
        assert_eq!(
            both.to_string(),
            "send pool: 10% of 100 in use | refused 10.00% | high water 10 | \
             waits 30, 0.0ns avg, 20 timed out, 10 abandoned | \
             40.00% refused or in vain: raise initial to 10, max to 150"
        );
    }

    #[test]
    fn a_closed_pool_says_so_and_gets_no_advice() {
        let closed = PoolStats {
            closed: true,
            ..stats(100, 100, 60, 40)
        };
        assert_eq!(closed.health(), Health::Closed);
        assert_eq!(
            closed.to_string(),
            "send pool: closed, 100 still out | refused 40.00% | high water 100"
        );
        let report = closed.report();
        let ending = "at most; closed\n";
        assert!(report.contains(ending), "{report}");
        assert!(report.contains("health: closed"), "{report}");
        // One tier of two is closed, and gets no advice; the other is not.
        let open = stats(100, 10, 60, 0);
        let one = PoolStats::sum_of("all".into(), vec![closed.clone(), open.clone()]);
        assert_eq!((one.closed, one.health()), (false, Health::Normal));
        let all = PoolStats::sum_of("all".into(), vec![closed.clone(), closed]);
        assert_eq!((all.closed, all.health()), (true, Health::Closed));
    }

    #[test]
    fn since_takes_away_what_was_counted_before_and_nothing_else() {
        let count = |times: u64| PoolStats {
            over_budget: 10 * times,
            waits: 20 * times,
            handed_over: 30 * times,
            waited: Duration::from_secs(40) * times as u32,
            timed_out: 50 * times,
            ..stats(10 * times as usize, 5, 100 + 50 * times, 7 + times)
        };
        let (then, now) = (count(1), count(2));
        let since = now.since(&then);
        assert_eq!((since.acquired, since.refused), (50, 1));
        assert_eq!((since.over_budget, since.waits, since.handed_over), (10, 20, 30));
        assert_eq!((since.waited, since.timed_out), (Duration::from_secs(40), 50));
        assert_eq!((since.max, since.in_use, &since.name), (20, 5, &now.name));
        let tiered = PoolStats::sum_of("all".into(), vec![now.clone(), now.clone()]);
        let before = PoolStats::sum_of("all".into(), vec![then.clone(), then]);
        assert_eq!(tiered.since(&before).tiers, [since.clone(), since]);
    }

    #[test]
    fn figures_at_the_edge_of_their_range_do_not_overflow() {
        let extreme = stats(usize::MAX, usize::MAX, u64::MAX, u64::MAX);
        assert_eq!(extreme.used_percent(), 100);
        assert!(!extreme.to_string().is_empty());
        assert_eq!(PoolStats::default().health(), Health::Normal);
    }
}
