//! What a pool does besides lending: changing how many it lends, and giving back the memory of free buffers.

use std::ops::Range;
use std::sync::Arc;

use crate::core::{PoolCore, PoolHandle, put_back_quietly};
use crate::error::ResizeError;
use crate::free_list::{FreeList, Resizable};
use crate::memory::decay::Decay;
use crate::memory::trim_plan::Trimming;
use crate::sync::Ordering;
use crate::waiting::queue::wake_all;

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
            self.with_trimming(|trimming| self.free_list.end_generation(trimming));
        }
    }

    /// Calls `f` with what the core's own free list needs to give back pages.
    fn with_trimming<R>(&self, f: impl FnOnce(&mut Trimming<'_>) -> R) -> R {
        let (span, overlap) = self.region.batch();
        let mut last = 0..0;
        let mut discard = |free: Range<u32>, wanted: Range<u32>| {
            free.clone().for_each(|index| self.witness.holds(index));
            // SAFETY: the region's own free list is what calls this, with buffers that are free and that it lends
            // to nobody before this returns; what their last holders did has happened before.
            unsafe { self.region.discard(free, wanted, &mut last) }
        };
        f(&mut Trimming {
            span,
            overlap,
            discard: &mut discard,
        })
    }
}

impl<F: FreeList> PoolHandle<F> {
    /// Gives the pages of free buffers back to the operating system; returns how many bytes that were.
    pub(crate) fn trim(&self) -> usize {
        let core = self.core();
        // Woken afterwards: wakers are a user's code, and the free list may hold a lock while it puts back.
        let mut wakers = Vec::new();
        let mut put_back = |slot| {
            // SAFETY: the free list took it to trim it, so it is out, and it has no guard.
            wakers.extend(unsafe { put_back_quietly(self.core, slot) });
        };
        let bytes = core.with_trimming(|trimming| core.free_list.trim(trimming, &mut put_back));
        wake_all(wakers);
        bytes
    }

    pub(crate) fn reserve(&self) -> usize {
        self.core().reserve as usize
    }
}

impl<F: Resizable> PoolHandle<F> {
    /// Sets the max; returns the one before.
    pub(crate) fn set_max(&self, max: usize) -> Result<usize, ResizeError> {
        let core = self.core();
        let after = match u32::try_from(max) {
            Ok(after) if (1..=core.reserve).contains(&after) => after,
            _ => {
                let (pool, reserve) = (Arc::clone(&core.name), core.reserve as usize);
                return Err(ResizeError::new(pool, max, reserve));
            }
        };
        let (before, _) = core.free_list.resize(|before| {
            if after < before {
                core.was_shrunk.store(true, Ordering::Relaxed);
            }
            core.max.store(after, Ordering::Relaxed);
            Ok::<_, ResizeError>(after)
        })?;
        core.serve_waiters();
        Ok(before as usize)
    }
}
