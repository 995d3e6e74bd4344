//! Lending without waiting.

use std::ptr::NonNull;

use crate::base::sync::{Ordering, Witness};
use crate::buf::guard::PooledBuf;
use crate::buf::guard::header::ReleaseHeaders;
use crate::engine::{PoolCore, PoolHandle};
use crate::free_list::{Empty, FreeList, Slot};
use crate::memory::region::BufferPlaces;
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Caller;
use crate::waiting::after::After;
use crate::waiting::budget::{Budget, Exceeded};

/// Why no buffer was lent.
pub(crate) enum Refusal {
    Empty(Empty),
    OverBudget(Exceeded),
}

impl<F: FreeList> PoolHandle<F> {
    /// Lends a buffer that holds `len` bytes. A request that is refused counts as such.
    #[inline]
    pub(crate) fn acquire_for(&self, len: usize, caller: Caller) -> Result<PooledBuf, AcquireError> {
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
        self.try_pop_slow(caller).map_err(|refusal| self.refuse(refusal, 1))
    }

    /// Takes a buffer, to be lent at once, if that takes a few instructions only.
    #[inline(always)]
    pub(crate) fn take_fast(&self) -> Option<Taken<'_, F>> {
        let core = self.core();
        if core.fast_below == 0 {
            return None;
        }
        let slot = core.free_list.pop_fast()?;
        Some(Taken { pool: self, slot })
    }

    /// Takes a buffer, to be lent at once, or says why not; counts no refusal.
    pub(crate) fn try_take(&self, caller: Caller) -> Result<Taken<'_, F>, Refusal> {
        self.core().decay();
        let slot = self.try_pop(caller)?;
        Ok(Taken { pool: self, slot })
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
                core.refund(bytes.into());
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
        // SAFETY: the slot was taken, charged and tracked, as our caller says.
        unsafe { self.lending().lend(slot) }
    }

    /// To make guards.
    #[inline(always)]
    pub(super) fn lending(&self) -> Lending<'_> {
        // SAFETY: the core lives while there is a handle.
        unsafe { PoolCore::lending(self.core) }
    }

    /// The error that `refusal` of a request for `count` buffers is to a user, counted as refused where it is that.
    #[cold]
    pub(crate) fn refuse(&self, refusal: Refusal, count: u32) -> AcquireError {
        let core = self.core();
        let pool = self.name().clone();
        match refusal {
            Refusal::Empty(Empty::Closed) => return self.closed(),
            Refusal::Empty(_) => {}
            Refusal::OverBudget(_) => {
                core.over_budget.fetch_add(1, Ordering::Relaxed);
                if let Some(budget) = &core.budget {
                    budget.count_refused();
                }
            }
        }
        core.refused.fetch_add(1, Ordering::Relaxed);
        match refusal {
            Refusal::Empty(Empty::AllInUse(in_use)) => self.exhausted(in_use as usize, false),
            Refusal::Empty(Empty::Owed) => self.exhausted(self.in_use(), true),
            Refusal::Empty(Empty::OutOfMemory) => self.out_of_memory(count),
            Refusal::Empty(Empty::Closed) => self.closed(),
            Refusal::OverBudget(exceeded) => AcquireError::OverBudget {
                pool,
                requested: core.bytes_of(count) as usize,
                lent: exceeded.lent,
                budget: core.budget.as_ref().map_or(0, Budget::limit),
                waiting: match &core.budget {
                    // One at least did then.
                    Some(budget) if exceeded.wanted => as_u32(budget.waiting()).max(1),
                    _ => 0,
                },
            },
        }
    }
}

impl<F: FreeList> PoolCore<F> {
    /// To make guards of `core`.
    ///
    /// # Safety
    ///
    /// The core lives as long as what this returns is used.
    #[inline(always)]
    pub(super) unsafe fn lending<'a>(core: NonNull<Self>) -> Lending<'a> {
        // SAFETY: as our caller says.
        let alive = unsafe { core.as_ref() };
        Lending {
            header: core.cast(),
            places: alive.region.places(),
            buffer_size: alive.buffer_size(),
            witness: &alive.witness,
        }
    }
}

/// As an error says it.
pub(super) fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A buffer that was taken from a pool, to be lent at once.
#[must_use = "the buffer is lost to its pool unless it is lent"]
pub(crate) struct Taken<'a, F: FreeList> {
    pool: &'a PoolHandle<F>,
    slot: Slot,
}

impl<F: FreeList> Taken<'_, F> {
    #[inline(always)]
    pub(crate) fn lend(self) -> PooledBuf {
        // SAFETY: just popped, and charged and tracked if need be, by what made this.
        unsafe { self.pool.lend(self.slot) }
    }
}

/// What the guards of a pool have in common. A copy, so that a loop over many need not read it anew for each.
#[derive(Clone, Copy)]
pub(super) struct Lending<'a> {
    header: NonNull<ReleaseHeaders>,
    places: BufferPlaces,
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
        let index = slot.index();
        self.witness.holds(index);
        // SAFETY: the header lies at the start of the core, which lives until all buffers are released (see the
        // module). The region's bytes at `slot` are initialised, at least `buffer_size` many behind the headroom, and
        // ours alone until `release` pushes `slot`; what their last holder did has happened before. The core is `Sync`.
        // `dirty` was a guard's.
        unsafe { PooledBuf::from_parts(self.header, self.places.buffer(index), self.buffer_size, slot) }
    }
}

impl<F: FreeList> PoolHandle<F> {
    /// The error that no buffer of the pool is that large.
    #[cold]
    pub(crate) fn too_large(&self, requested: usize) -> AcquireError {
        AcquireError::TooLarge {
            pool: self.name().clone(),
            requested,
            max: self.buffer_size(),
        }
    }

    /// The error that the pool is closed.
    #[cold]
    pub(crate) fn closed(&self) -> AcquireError {
        AcquireError::Closed {
            pool: self.name().clone(),
        }
    }
}

impl<F: FreeList> PoolHandle<F> {
    /// See [`FreeList::returns`].
    pub(crate) fn returns(&self) -> u64 {
        self.core().free_list.returns()
    }

    /// Whether a request that lacks bytes here lacks them in `other` too, since that is charged to the same budget.
    pub(crate) fn shares_budget(&self, other: &Self) -> bool {
        let budgets = (&self.core().budget, &other.core().budget);
        matches!(budgets, (Some(own), Some(other)) if own.is(other))
    }
}

impl<F: FreeList> PoolCore<F> {
    /// Takes a free buffer. While requests wait there is none for others: that takes no lock to see.
    pub(super) fn pop(&self) -> Result<Slot, Empty> {
        if self.free_list.is_wanted() {
            return Err(Empty::Owed);
        }
        self.free_list.pop()
    }

    /// As `pop`, of several: see [`FreeList::pop_many`].
    pub(super) fn pop_many<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> Result<(), Empty> {
        if self.free_list.is_wanted() {
            return Err(Empty::Owed);
        }
        self.free_list.pop_many(count, out, make)
    }

    /// Gives bytes back that were charged in vain.
    pub(super) fn refund(&self, bytes: u64) {
        if let Some(budget) = &self.budget {
            let mut after = After::default();
            budget.refund(bytes, &mut after);
            after.settle();
        }
    }

    /// Remembers which line of code the buffer is lent to, if the pool does that.
    pub(super) fn track(&self, slot: &Slot, caller: Caller) {
        if let Some(tracker) = &self.tracker {
            tracker.enter(slot.index(), caller);
        }
    }
}
