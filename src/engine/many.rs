//! Lending many buffers at once, all or none, without waiting.

use crate::buf::guard::PooledBuf;
use crate::engine::handle::PoolHandle;
use crate::engine::refusal::Refusal;
use crate::free_list::{Empty, FreeList};
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Caller;

/// Most buffers for whose guards room is made before it is known whether they are free; about what a magazine holds.
const MOST_FAST: u32 = 64;

impl<F: FreeList> PoolHandle<F> {
    /// Lends `count` buffers that hold `len` bytes each. A request that is refused counts as such, once.
    #[inline]
    pub(crate) fn acquire_many(
        &self,
        count: usize,
        len: usize,
        caller: Caller,
    ) -> Result<Vec<PooledBuf>, AcquireError> {
        let count = self.may_lend_at_once(count, len)?;
        if count == 0 {
            return self.none();
        }
        match self.acquire_many_fast(count) {
            Some(bufs) => Ok(bufs),
            None => self.acquire_many_slow(count, caller),
        }
    }

    /// Lends `count` buffers, at least 1, if that takes a few instructions for each only.
    #[inline]
    pub(crate) fn acquire_many_fast(&self, count: u32) -> Option<Vec<PooledBuf>> {
        let stock = &self.core().stock;
        if !stock.loans.are_plain() || count > MOST_FAST {
            return None;
        }
        let mut bufs = Vec::with_capacity(count as usize);
        let lending = self.lending();
        // SAFETY: just popped.
        let lend = |slot| unsafe { lending.lend(slot) };
        let lent = stock.free_list.pop_many_fast(count, &mut bufs, lend);
        lent.then_some(bufs)
    }

    #[cold]
    #[inline(never)]
    fn acquire_many_slow(&self, count: u32, caller: Caller) -> Result<Vec<PooledBuf>, AcquireError> {
        let lent = self.try_acquire_many(count, caller);
        lent.map_err(|refusal| self.refuse(refusal, count))
    }

    /// Lends `count` buffers, at least 1, or says why not; counts no refusal.
    pub(crate) fn try_acquire_many(&self, count: u32, caller: Caller) -> Result<Vec<PooledBuf>, Refusal> {
        self.core().decay();
        let stock = &self.core().stock;
        let bytes = stock.bytes_of(count);
        // All are charged before the first is taken: see `try_pop`.
        if let Some(budget) = &stock.budget {
            budget
                .charge_ahead(bytes)
                .map_err(|exceeded| match stock.free_list.is_closed() {
                    true => Refusal::Empty(Empty::Closed),
                    false => Refusal::OverBudget(exceeded),
                })?;
        }
        let mut bufs = Vec::new();
        let lending = self.lending();
        let lend = |slot| {
            stock.track(&slot, caller);
            // SAFETY: just popped, and tracked.
            unsafe { lending.lend(slot) }
        };
        let popped = stock.pop_many(count, &mut bufs, lend);
        match (&popped, &stock.budget) {
            (Ok(()), Some(budget)) => budget.note_lent(),
            (Err(_), _) => stock.refund(bytes),
            (Ok(()), None) => {}
        }
        popped.map(|()| bufs).map_err(Refusal::Empty)
    }

    /// No buffers, for a request for none: it fails as another would that can't be served whatever is free.
    #[cold]
    pub(crate) fn none(&self) -> Result<Vec<PooledBuf>, AcquireError> {
        match self.core().stock.free_list.is_closed() {
            true => Err(self.closed()),
            false => Ok(Vec::new()),
        }
    }

    /// Whether `count` buffers that hold `len` bytes each can be lent at once at all. Returns `count`.
    #[inline]
    pub(crate) fn may_lend_at_once(&self, count: usize, len: usize) -> Result<u32, AcquireError> {
        if len > self.buffer_size() {
            return Err(self.too_large(len));
        }
        match u32::try_from(count) {
            Ok(number) if number <= self.core().stock.most_at_once() => Ok(number),
            _ => Err(self.too_many(count)),
        }
    }
}
