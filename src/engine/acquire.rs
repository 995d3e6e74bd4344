//! Lending without waiting.

use crate::buf::guard::PooledBuf;
use crate::engine::handle::PoolHandle;
use crate::engine::refusal::Refusal;
use crate::engine::stock::{Lending, Stock};
use crate::free_list::{Empty, FreeList, Slot};
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Caller;

impl<F: FreeList> PoolHandle<F> {
    /// Lends a buffer that holds `len` bytes. A request that is refused counts as such.
    #[inline]
    pub(crate) fn acquire_for(&self, len: usize, caller: Caller) -> Result<PooledBuf, AcquireError> {
        // The guard is made in one place, whichever way its slot came: then the compiler knows that it is empty.
        let slot = match self.core().stock.pop_fast_for(len) {
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
        let slot = self.core().stock.pop_fast()?;
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
        match self.core().stock.pop_fast() {
            Some(slot) => Ok(slot),
            None => self.try_pop_slow(caller),
        }
    }

    /// As `try_pop`, after the fast path has found none. A buffer is charged before it is taken: one that was taken in
    /// vain, and is about to be given back, would be missed by a request that comes meanwhile.
    fn try_pop_slow(&self, caller: Caller) -> Result<Slot, Refusal> {
        let stock = &self.core().stock;
        if stock.loans.are_plain() {
            return stock.pop().map_err(Refusal::Empty);
        }
        let bytes = stock.buffer_size();
        if let Some(budget) = &stock.budget {
            budget.charge_ahead(bytes.into()).map_err(|exceeded| {
                // That a pool is closed says more: waiting for bytes would not help.
                match stock.free_list.is_closed() {
                    true => Refusal::Empty(Empty::Closed),
                    false => Refusal::OverBudget(exceeded),
                }
            })?;
        }
        let popped = match stock.free_list.pop_fast() {
            Some(slot) => Ok(slot),
            None => stock.pop(),
        };
        match popped {
            Ok(slot) => {
                stock.track(&slot, caller);
                if let Some(budget) = &stock.budget {
                    budget.note_lent();
                }
                Ok(slot)
            }
            Err(empty) => {
                stock.refund(bytes.into());
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
        unsafe { Stock::<F>::lending(self.core.cast()) }
    }

    /// See [`FreeList::returns`].
    pub(crate) fn returns(&self) -> u64 {
        self.core().stock.free_list.returns()
    }

    /// Whether a request that lacks bytes here lacks them in `other` too, since that is charged to the same budget.
    pub(crate) fn shares_budget(&self, other: &Self) -> bool {
        let budgets = (&self.core().stock.budget, &other.core().stock.budget);
        matches!(budgets, (Some(own), Some(other)) if own.is(other))
    }
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
