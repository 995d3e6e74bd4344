//! Why a request is not served, and how a user is told.
#![forbid(unsafe_code)]

use crate::base::sync::Ordering;
use crate::buf::guard::PooledBuf;
use crate::engine::handle::PoolHandle;
use crate::free_list::{Empty, FreeList};
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Tracker;
use crate::waiting::budget::{Budget, Exceeded};

/// Why no buffer was lent.
pub(crate) enum Refusal {
    Empty(Empty),
    OverBudget(Exceeded),
}

impl<F: FreeList> PoolHandle<F> {
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
                if let Some(budget) = &core.stock.budget {
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
                requested: core.stock.bytes_of(count) as usize,
                lent: exceeded.lent,
                budget: core.stock.budget.as_ref().map_or(0, Budget::limit),
                waiting: match &core.stock.budget {
                    // One at least did then.
                    Some(budget) if exceeded.wanted => as_u32(budget.waiting()).max(1),
                    _ => 0,
                },
            },
        }
    }

    /// The error that too few buffers are free while `in_use` are lent; or that those that are free are `owed` to
    /// requests that came before. Counts nothing.
    #[cold]
    pub(crate) fn exhausted(&self, in_use: usize, owed: bool) -> AcquireError {
        let core = self.core();
        // Relaxed, and without the lock of the line: who is refused is not to keep those who wait from it.
        let first_wants = core.stock.first_wants.load(Ordering::Relaxed);
        let max = self.max();
        let held_by = core.stock.tracker.as_ref().and_then(Tracker::held_by);
        AcquireError::Exhausted {
            pool: self.name().clone(),
            in_use,
            max,
            first_wants: if in_use < max {
                first_wants.max(u32::from(owed))
            } else {
                0
            },
            held_by: held_by.map(Box::new),
        }
    }

    /// What a request for `count` buffers lacks that waited in vain: bytes, or buffers. Counts nothing.
    #[cold]
    pub(super) fn shortage(&self, count: u32, of_bytes: bool) -> AcquireError {
        let core = self.core();
        match &core.stock.budget {
            Some(budget) if of_bytes => AcquireError::OverBudget {
                pool: self.name().clone(),
                requested: core.stock.bytes_of(count) as usize,
                lent: budget.lent(),
                budget: budget.limit(),
                waiting: as_u32(budget.waiting()),
            },
            _ => self.exhausted(self.in_use(), false),
        }
    }

    /// The error that no buffer of the pool is that large.
    #[cold]
    pub(crate) fn too_large(&self, requested: usize) -> AcquireError {
        AcquireError::TooLarge {
            pool: self.name().clone(),
            requested,
            max: self.buffer_size(),
        }
    }

    /// The error that the pool never lends so many at once.
    #[cold]
    pub(crate) fn too_many(&self, requested: usize) -> AcquireError {
        let stock = &self.core().stock;
        let max = stock.most_at_once();
        let by_budget = stock.budget.as_ref().filter(|_| max < stock.free_list.most_at_once());
        AcquireError::TooMany {
            pool: self.name().clone(),
            requested,
            max: max as usize,
            budget: by_budget.map_or(0, Budget::limit),
        }
    }

    /// The error that there is no memory for the guards of so many.
    #[cold]
    pub(super) fn out_of_memory(&self, count: u32) -> AcquireError {
        AcquireError::OutOfMemory {
            pool: self.name().clone(),
            bytes: (count as usize).saturating_mul(size_of::<PooledBuf>()),
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

/// As an error says it.
fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
