//! Giving the memory of free buffers back to the operating system.

use std::ops::Range;

use crate::engine::pool_core::PoolCore;
use crate::free_list::FreeList;
use crate::memory::decay::Decay;
use crate::memory::pages;
use crate::memory::trim_plan::Trimming;

impl<F: FreeList> PoolCore<F> {
    /// Ends a generation of the buffers if it is time.
    #[inline(always)]
    pub(super) fn decay(&self) {
        if let Some(decay) = &self.decay {
            self.decay_if_due(decay);
        }
    }

    /// A function of its own, so that its callers, which seldom need it, have no registers to save for it.
    #[cold]
    #[inline(never)]
    fn decay_if_due(&self, decay: &Decay) {
        if decay.is_due() {
            self.with_trimming(|trimming| self.stock.free_list.end_generation(trimming));
        }
    }

    /// Calls `f` with what the core's own free list needs to give back pages.
    fn with_trimming<R>(&self, f: impl FnOnce(&mut Trimming<'_>) -> R) -> R {
        let (span, overlap) = self.stock.region.batch();
        let mut last = 0..0;
        let mut discard = |free: Range<u32>, wanted: Range<u32>| {
            free.clone().for_each(|index| self.stock.witness.holds(index));
            // SAFETY: the region's own free list is what calls this, with buffers that are free and that it lends
            // to none before this returns; what their last holders did has happened before.
            unsafe { self.stock.region.discard(free, wanted, &mut last) }
        };
        f(&mut Trimming {
            span,
            overlap,
            reserve: self.stock.region.layout().reserve,
            dirty_after: match pages::keeps_what_was_there() {
                true => 0,
                false => self.stock.buffer_size(),
            },
            discard: &mut discard,
        })
    }

    /// Gives the pages of free buffers back to the operating system; returns how many bytes that were.
    pub(super) fn trim(&self) -> usize {
        self.with_trimming(|trimming| self.stock.free_list.trim(trimming))
    }
}
