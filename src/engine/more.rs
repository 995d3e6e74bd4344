//! Lending to who holds some already and needs more to finish: past the requests that wait.
//!
//! Who waits holds nothing, so it can go on waiting; who holds and gets no more can't finish, and what it holds is what
//! those that wait lack. So more is lent past them.

use crate::buf::guard::PooledBuf;
use crate::engine::handle::PoolHandle;
use crate::engine::refusal::Refusal;
use crate::free_list::{Empty, FreeList};
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Caller;

impl<F: FreeList> PoolHandle<F> {
    /// Lends `count` buffers that hold `len` bytes each, whoever waits. A request that is refused counts as such, once.
    pub(crate) fn acquire_more(
        &self,
        count: usize,
        len: usize,
        caller: Caller,
    ) -> Result<Vec<PooledBuf>, AcquireError> {
        let count = self.may_lend_at_once(count, len)?;
        if count == 0 {
            return self.none();
        }
        let lent = self.try_acquire_many(count, caller).or_else(|refusal| {
            let others_wait = match &refusal {
                Refusal::Empty(empty) => matches!(empty, Empty::Owed),
                Refusal::OverBudget(exceeded) => exceeded.wanted,
            };
            match others_wait {
                true => self.take_past(count, caller),
                false => Err(refusal),
            }
        });
        lent.map_err(|refusal| self.refuse(refusal, count))
    }

    fn take_past(&self, count: u32, caller: Caller) -> Result<Vec<PooledBuf>, Refusal> {
        let core = self.core();
        let mut bufs = Vec::new();
        if bufs.try_reserve_exact(count as usize).is_err() {
            return Err(Refusal::Empty(Empty::OutOfMemory));
        }
        let bytes = core.stock.bytes_of(count);
        if let Some(budget) = &core.stock.budget {
            budget.charge_past(bytes).map_err(Refusal::OverBudget)?;
        }
        let mut line = core.line.lock();
        let taken = match line.queue.is_closed(core.stock.tier) {
            true => Err(Empty::Closed),
            // SAFETY: this is a handle of that pool, so its core is there.
            false => match unsafe { line.take_past(self.core.cast(), count, caller, &mut bufs) } {
                true => Ok(()),
                false => Err(Empty::AllInUse(self.in_use() as u32)),
            },
        };
        drop(line);
        match (&taken, &core.stock.budget) {
            (Ok(()), Some(budget)) => budget.note_lent(),
            (Err(_), _) => core.stock.refund(bytes),
            (Ok(()), None) => {}
        }
        taken.map(|()| bufs).map_err(Refusal::Empty)
    }
}
