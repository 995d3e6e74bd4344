//! What a budget did so far.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::base::units::Bytes;
use crate::report::name::Name;
use crate::report::stats::{percent, write_waits};

/// The figures of a [`Budget`](crate::Budget) at one moment, over all pools that share it.
///
/// Exact while no thread uses these pools; else off by no more than others acquire and release while it is read.
///
/// `Display` is one line for a log:
///
/// ```
/// use poolbuf::{Budget, BufferPool, Pool, PoolConfig};
///
/// let budget = Budget::with_name(10_000, "everything");
/// let pool = BufferPool::with_config(PoolConfig::new(4000).max(100).budget(&budget))?;
/// let _held = [pool.acquire()?, pool.acquire()?];
/// assert!(pool.acquire().is_err());
/// assert_eq!(
///     budget.stats().to_string(),
///     "everything: 80% of 10000 bytes lent | high water 8000 | refused 1",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStats {
    /// What the budget is called.
    pub name: Name,
    /// Bytes that can be lent at most.
    pub limit: usize,
    /// Bytes that are lent now.
    pub lent: usize,
    /// The most bytes that were lent at once. Exactly that if one thread uses the pools; with several it may be more,
    /// by what was charged at the same moment for requests whose pool then had no buffer. Never less.
    pub high_water: usize,
    /// Requests refused since the budget was made because too little of it was left.
    pub refused: u64,
    /// Requests that had to wait for bytes since the budget was made, and have ended, with a buffer or without: those
    /// in vain also if they waited behind one of their pool that lacked nothing but bytes.
    pub waits: u64,
    /// How many of them were granted their bytes.
    pub granted: u64,
    /// How long all of them together waited. From the 1,024th on, one wait in 16 is timed and stands for all of them.
    pub waited: Duration,
    /// How many of them ended without a buffer, because their time was up.
    pub timed_out: u64,
    /// How many of them ended without a buffer, because they were dropped.
    pub abandoned: u64,
    /// Requests that lack nothing but bytes now: of each pool, or tier, the first in line at most, while all its
    /// buffers are free.
    pub waiting: usize,
}

impl BudgetStats {
    /// Bytes lent, in percent of the limit, rounded down; 0 for a budget of nothing.
    fn used_percent(&self) -> usize {
        percent(self.lent as u64, self.limit as u64, 100) as usize
    }

    /// These figures with what was counted since `earlier` in place of what was counted since the budget was made.
    #[must_use]
    pub fn since(&self, earlier: &BudgetStats) -> BudgetStats {
        BudgetStats {
            name: self.name.clone(),
            refused: self.refused.saturating_sub(earlier.refused),
            waits: self.waits.saturating_sub(earlier.waits),
            granted: self.granted.saturating_sub(earlier.granted),
            waited: self.waited.saturating_sub(earlier.waited),
            timed_out: self.timed_out.saturating_sub(earlier.timed_out),
            abandoned: self.abandoned.saturating_sub(earlier.abandoned),
            ..*self
        }
    }
}

impl fmt::Display for BudgetStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}% of {} lent | high water {} | refused {}",
            self.name,
            self.used_percent(),
            Bytes(self.limit),
            self.high_water,
            self.refused,
        )?;
        write_waits(f, self.waits, self.waited, self.timed_out, self.abandoned)
    }
}
