//! Lending many buffers at once, all or none, without waiting.

use std::sync::Arc;

use crate::core::acquire::Refusal;
use crate::core::release::return_slot;
use crate::core::{PoolCore, PoolHandle};
use crate::error::AcquireError;
use crate::free_list::{Demand, Empty, FreeList, Slot};
use crate::holders::Caller;
use crate::pooled_buf::PooledBuf;
use crate::sync::{Ordering, fence};
use crate::waiting::budget::Budget;
use crate::waiting::waker::wake_all;

impl<F: FreeList> PoolHandle<F> {
    /// Lends `count` buffers that hold `len` bytes each. A request that is refused counts as such, once.
    #[inline]
    pub(crate) fn acquire_many(
        &self,
        count: usize,
        len: usize,
        caller: Caller,
    ) -> Result<Vec<PooledBuf>, AcquireError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let count = self.may_lend_at_once(count, len)?;
        match self.acquire_many_fast(count) {
            Some(bufs) => Ok(bufs),
            None => self.acquire_many_slow(count, caller),
        }
    }

    /// Lends `count` buffers, at least 1, if that takes a few instructions for each only.
    #[inline]
    pub(crate) fn acquire_many_fast(&self, count: u32) -> Option<Vec<PooledBuf>> {
        let core = self.core();
        if core.fast_below == 0 {
            return None;
        }
        let mut bufs = Vec::with_capacity(count as usize);
        let lending = self.lending();
        // SAFETY: just popped.
        let lend = |slot| unsafe { lending.lend(slot) };
        let lent = core.free_list.pop_many_fast(count, &mut bufs, lend);
        lent.then_some(bufs)
    }

    #[cold]
    #[inline(never)]
    fn acquire_many_slow(
        &self,
        count: u32,
        caller: Caller,
    ) -> Result<Vec<PooledBuf>, AcquireError> {
        let lent = self.try_acquire_many(count, caller);
        lent.map_err(|refusal| self.refuse_many(refusal, count))
    }

    /// Lends `count` buffers, at least 1, or says why not; counts no refusal.
    pub(crate) fn try_acquire_many(
        &self,
        count: u32,
        caller: Caller,
    ) -> Result<Vec<PooledBuf>, Refusal> {
        let core = self.core();
        core.decay();
        let bytes = core.bytes_of(count);
        // All are charged before the first is taken: see `try_pop`.
        if let Some(budget) = &core.budget {
            budget
                .charge_ahead(bytes)
                .map_err(|exceeded| match core.free_list.is_closed() {
                    true => Refusal::Empty(Empty::Closed),
                    false => Refusal::OverBudget(exceeded),
                })?;
        }
        let mut wakers = Vec::new();
        let mut bufs = Vec::with_capacity(count as usize);
        let lending = self.lending();
        // SAFETY: just popped; tracked below.
        let lend = |slot| unsafe { lending.lend(slot) };
        let popped = if core.free_list.demand() == Demand::Waiting {
            Err(Empty::AllInUse(core.free_list.max()))
        } else {
            core.free_list.pop_many(count, &mut bufs, lend, |slot| {
                // SAFETY: just popped, and not lent.
                wakers.extend(unsafe { return_slot(self.core, slot) });
            })
        };
        if let Some(budget) = &core.budget {
            match popped {
                Ok(()) => budget.note_lent(),
                Err(_) => wakers.extend(budget.refund(bytes)),
            }
        }
        if let Some(tracker) = &core.tracker {
            for buf in &bufs {
                tracker.enter(buf.raw_slot(), caller);
            }
        }
        wake_all(wakers);
        popped.map(|()| bufs).map_err(Refusal::Empty)
    }

    /// Takes `count` free buffers that are not lent at once, or never: all or none.
    pub(super) fn take_many(&self, count: u32) -> Result<Vec<Slot>, Empty> {
        let core = self.core();
        core.not_lent.fetch_add(count.into(), Ordering::Relaxed);
        // As in `take`.
        fence(Ordering::Release);
        let (mut slots, mut wakers) = (Vec::with_capacity(count as usize), Vec::new());
        let taken = core.free_list.pop_many(
            count,
            &mut slots,
            |slot| slot,
            |slot| {
                // SAFETY: just popped, and not lent.
                wakers.extend(unsafe { return_slot(self.core, slot) });
            },
        );
        if taken.is_err() {
            core.not_lent.fetch_sub(count.into(), Ordering::Relaxed);
        }
        wake_all(wakers);
        taken.map(|()| slots)
    }

    /// Whether `count` buffers that hold `len` bytes each can be lent at once at all. Returns `count`.
    #[inline]
    pub(crate) fn may_lend_at_once(&self, count: usize, len: usize) -> Result<u32, AcquireError> {
        if len > self.buffer_size() {
            return Err(self.too_large(len));
        }
        match u32::try_from(count) {
            Ok(number) if number <= self.core().most_at_once() => Ok(number),
            _ => Err(self.too_many(count)),
        }
    }

    /// Whether a request for `count` buffers that hold `len` bytes each may wait here. Returns `count`.
    pub(crate) fn may_wait_for_many(&self, count: usize, len: usize) -> Result<u32, AcquireError> {
        self.may_wait(len)?;
        self.may_lend_at_once(count, len)
    }

    /// The error that the pool never lends so many at once.
    #[cold]
    pub(crate) fn too_many(&self, requested: usize) -> AcquireError {
        AcquireError::TooMany {
            pool: Arc::clone(self.name()),
            requested,
            max: self.core().most_at_once() as usize,
        }
    }

    /// As `refuse`, for `count` buffers.
    #[cold]
    pub(crate) fn refuse_many(&self, refusal: Refusal, count: u32) -> AcquireError {
        let mut error = self.refuse(refusal);
        if let AcquireError::OverBudget { requested, .. } = &mut error {
            *requested *= count as usize;
        }
        error
    }
}

impl<F: FreeList> PoolCore<F> {
    /// Bytes that a budget is charged for so many buffers.
    pub(super) fn bytes_of(&self, count: u32) -> u64 {
        u64::from(self.buffer_size()) * u64::from(count)
    }

    /// Buffers that can be lent at one time, by the max as it is now and by the budget.
    #[inline]
    pub(super) fn most_at_once(&self) -> u32 {
        let max = self.free_list.max();
        let by_budget = |budget: &Budget| budget.limit() as u64 / u64::from(self.buffer_size());
        match self.budget.as_ref().map(by_budget) {
            // Less than `max`, a `u32`.
            Some(fewer) if fewer < max.into() => fewer as u32,
            _ => max,
        }
    }
}
