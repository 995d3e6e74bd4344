//! Lending without waiting.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::core::{PoolCore, PoolHandle};
use crate::error::AcquireError;
use crate::free_list::{Demand, Empty, FreeList, Resizable, Slot};
use crate::holders::{Caller, Tracker};
use crate::memory::region::Places;
use crate::pooled_buf::PooledBuf;
use crate::pooled_buf::header::ReleaseHeader;
use crate::sync::{Ordering, Witness, fence};
use crate::waiting::budget::{Budget, Exceeded};
use crate::waiting::waker::wake_all;

/// Why no buffer was lent.
pub(crate) enum Refusal {
    Empty(Empty),
    OverBudget(Exceeded),
}

impl<F: FreeList> PoolHandle<F> {
    /// Lends a buffer that holds `len` bytes. A request that is refused counts as such.
    #[inline]
    pub(crate) fn acquire_for(
        &self,
        len: usize,
        caller: Caller,
    ) -> Result<PooledBuf, AcquireError> {
        let fast = if len < self.core().fast_below {
            self.core().free_list.pop_fast()
        } else {
            None
        };
        // The guard is made in one place, whichever way its slot came: then the compiler knows that it is empty.
        let slot = match fast {
            Some(slot) => slot,
            None => self.pop_slow(len, caller)?,
        };
        // SAFETY: just popped.
        Ok(unsafe { self.lend(slot) })
    }

    #[cold]
    #[inline(never)]
    fn pop_slow(&self, len: usize, caller: Caller) -> Result<Slot, AcquireError> {
        if len > self.buffer_size() {
            return Err(self.too_large(len));
        }
        self.core().decay();
        self.try_pop_slow(caller)
            .map_err(|refusal| self.refuse(refusal))
    }

    /// Lends a buffer if that takes a few instructions only.
    #[inline(always)]
    pub(crate) fn acquire_fast(&self) -> Option<PooledBuf> {
        let core = self.core();
        if core.fast_below == 0 {
            return None;
        }
        let slot = core.free_list.pop_fast()?;
        // SAFETY: just popped.
        Some(unsafe { self.lend(slot) })
    }

    /// Lends a buffer, or says why not; counts no refusal.
    pub(crate) fn try_acquire(&self, caller: Caller) -> Result<PooledBuf, Refusal> {
        self.core().decay();
        let slot = self.try_pop(caller)?;
        // SAFETY: just popped.
        Ok(unsafe { self.lend(slot) })
    }

    /// A buffer that is charged and tracked if need be.
    pub(super) fn try_pop(&self, caller: Caller) -> Result<Slot, Refusal> {
        let core = self.core();
        if core.fast_below > 0 {
            if let Some(slot) = core.free_list.pop_fast() {
                return Ok(slot);
            }
        }
        self.try_pop_slow(caller)
    }

    /// As `try_pop`, after the fast path has found none. A buffer is charged before it is taken: one that was taken in
    /// vain, and is about to be given back, would be missed by a request that comes meanwhile.
    fn try_pop_slow(&self, caller: Caller) -> Result<Slot, Refusal> {
        let core = self.core();
        if core.fast_below > 0 {
            return core.pop().map_err(Refusal::Empty);
        }
        let bytes = core.buffer_size();
        if let Some(budget) = &core.budget {
            budget.charge_ahead(bytes.into()).map_err(|exceeded| {
                // That a pool is closed says more: waiting for bytes would not help.
                match core.free_list.is_closed() {
                    true => Refusal::Empty(Empty::Closed),
                    false => Refusal::OverBudget(exceeded),
                }
            })?;
        }
        let popped = match core.free_list.pop_fast() {
            Some(slot) => Ok(slot),
            None => core.pop(),
        };
        match popped {
            Ok(slot) => {
                core.track(&slot, caller);
                if let Some(budget) = &core.budget {
                    budget.note_lent();
                }
                Ok(slot)
            }
            Err(empty) => {
                let refunded = core
                    .budget
                    .as_ref()
                    .map(|budget| budget.refund(bytes.into()));
                wake_all(refunded.unwrap_or_default());
                Err(Refusal::Empty(empty))
            }
        }
    }

    /// The guard of a buffer.
    ///
    /// # Safety
    ///
    /// `slot` was taken from the free list, or from the guard that released it, and is charged and tracked if need be.
    #[inline(always)]
    pub(super) unsafe fn lend(&self, slot: Slot) -> PooledBuf {
        // SAFETY: passed on.
        unsafe { self.lending().lend(slot) }
    }

    /// To make guards.
    #[inline(always)]
    pub(super) fn lending(&self) -> Lending<'_> {
        let core = self.core();
        Lending {
            header: self.core.cast(),
            places: core.region.places(),
            buffer_size: core.buffer_size(),
            witness: &core.witness,
        }
    }

    /// The error that `refusal` is to a user, counted as refused where it is that.
    #[cold]
    pub(crate) fn refuse(&self, refusal: Refusal) -> AcquireError {
        let core = self.core();
        match refusal {
            Refusal::Empty(Empty::Closed) => self.closed(),
            Refusal::Empty(Empty::AllInUse(in_use)) => {
                core.refused.fetch_add(1, Ordering::Relaxed);
                let held_by = core.tracker.as_ref().and_then(Tracker::held_by);
                AcquireError::Exhausted {
                    pool: Arc::clone(self.name()),
                    in_use: in_use as usize,
                    max: self.max(),
                    held_by: held_by.map(Box::new),
                }
            }
            Refusal::OverBudget(Exceeded { lent }) => {
                core.refused.fetch_add(1, Ordering::Relaxed);
                core.over_budget.fetch_add(1, Ordering::Relaxed);
                if let Some(budget) = &core.budget {
                    budget.count_refused();
                }
                AcquireError::OverBudget {
                    pool: Arc::clone(self.name()),
                    requested: self.buffer_size(),
                    lent,
                    budget: core.budget.as_ref().map_or(0, Budget::limit),
                }
            }
        }
    }
}

/// What the guards of a pool have in common. A copy, so that a loop over many need not read it anew for each.
#[derive(Clone, Copy)]
pub(super) struct Lending<'a> {
    header: NonNull<ReleaseHeader>,
    places: Places,
    buffer_size: u32,
    witness: &'a Witness,
}

impl Lending<'_> {
    /// See [`PoolHandle::lend`].
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn lend(self, slot: Slot) -> PooledBuf {
        self.witness.holds(slot.index);
        // SAFETY: the header lies at the start of the core, which lives until all buffers are released
        // (see the module). The region's bytes at `slot` are initialised, at least `buffer_size` many behind the
        // headroom, and ours alone until `release` pushes `slot`; what their last holder did has happened before. The core
        // is `Sync`. `exposed` was a guard's.
        unsafe {
            PooledBuf::from_parts(
                self.header,
                self.places.buffer(slot.index),
                self.buffer_size,
                slot.index,
                slot.exposed,
            )
        }
    }
}

impl<F: FreeList> PoolHandle<F> {
    /// The error that no buffer of the pool is that large.
    #[cold]
    pub(crate) fn too_large(&self, requested: usize) -> AcquireError {
        AcquireError::TooLarge {
            pool: Arc::clone(self.name()),
            requested,
            max: self.buffer_size(),
        }
    }

    /// The error that the pool is closed.
    #[cold]
    pub(crate) fn closed(&self) -> AcquireError {
        AcquireError::Closed {
            pool: Arc::clone(self.name()),
        }
    }
}

impl<F: Resizable> PoolHandle<F> {
    /// See [`Resizable::returns`].
    pub(crate) fn returns(&self) -> u64 {
        self.core().free_list.returns()
    }
}

impl<F: FreeList> PoolCore<F> {
    /// Takes a free buffer, to be lent at once. While requests wait there is none: that takes no lock to see.
    pub(super) fn pop(&self) -> Result<Slot, Empty> {
        if self.free_list.demand() == Demand::Waiting {
            return Err(Empty::AllInUse(self.free_list.max()));
        }
        self.free_list.pop()
    }

    /// Takes a free buffer that is not lent at once, or never.
    pub(super) fn take(&self) -> Result<Slot, Empty> {
        self.not_lent.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `acquired`: what sees the buffer counted as taken sees that it is not lent.
        fence(Ordering::Release);
        let taken = self.free_list.pop();
        if taken.is_err() {
            self.not_lent.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// Remembers which line of code the buffer is lent to, if the pool does that.
    pub(super) fn track(&self, slot: &Slot, caller: Caller) {
        if let Some(tracker) = &self.tracker {
            tracker.enter(slot.index, caller);
        }
    }
}
