//! What a pool says of itself.
#![forbid(unsafe_code)]

use crate::base::sync::Ordering;
use crate::engine::handle::PoolHandle;
use crate::engine::pool_core::InLine;
use crate::free_list::FreeList;
use crate::report::holders::Holders;
use crate::report::stats::PoolStats;
use crate::waiting::budget::Budget;

impl<F: FreeList> PoolHandle<F> {
    /// Which line of code holds what.
    pub(crate) fn holders(&self) -> Holders {
        match &self.core().stock.tracker {
            Some(tracker) => tracker.holders(),
            None => Holders::untracked(self.stats().in_use),
        }
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let core = self.core();
        core.decay();
        let layout = core.stock.region.layout();
        let counts = core.stock.free_list.counts();
        let high_water = counts.high_water as usize;
        let in_use = core.in_use(&counts);
        // `in_use`, since the lock-free list counts a new high-water mark after the buffer is taken.
        let total = high_water.max(layout.initial as usize).max(in_use);
        let InLine {
            waiting,
            first_wants,
            stalled,
            handed_on,
        } = core.in_line();
        PoolStats {
            name: core.name.clone(),
            buffer_size: self.buffer_size(),
            max: self.max(),
            total,
            available: total - in_use,
            in_use,
            high_water: high_water.max(in_use),
            acquired: core.acquired(counts.acquired + handed_on),
            refused: core.refused.load(Ordering::Relaxed),
            over_budget: core.over_budget.load(Ordering::Relaxed),
            waits: core.waits.all(),
            handed_over: core.waits.handed_over(),
            waited: core.waits.waited(),
            timed_out: core.waits.timed_out(),
            abandoned: core.waits.abandoned(),
            waits_for_bytes: core.waits_for_bytes.load(Ordering::Relaxed),
            waiting,
            first_wants,
            stalled,
            budget: core.stock.budget.as_ref().map_or(0, Budget::limit),
            closed: counts.in_use.is_none(),
            resident_bytes: (total * layout.stride).saturating_sub(counts.given_back),
            tiers: Vec::new(),
        }
    }

    /// Buffers that are out.
    pub(crate) fn in_use(&self) -> usize {
        let core = self.core();
        core.in_use(&core.stock.free_list.counts())
    }
}
