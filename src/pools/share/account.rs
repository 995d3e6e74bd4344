//! What all handles of a share have in common: what is charged, what is lent, and who waits.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, OnceLock};

use crate::base::sync::{AtomicBool, Mutex, Ordering};
use crate::buf::guard::PooledBuf;
use crate::buf::guard::front::{Front, Told};
use crate::pools::pool::Pool;
use crate::report::error::acquire::AcquireError;
use crate::report::name::Name;
use crate::waiting::budget::{Budget, Exceeded};
use crate::waiting::charge::{Charge, refund};
use crate::waiting::waker::UserWaker;

pub(super) struct SharedShare<P> {
    pub(super) pool: P,
    budget: Arc<Budget>,
    /// Before the lenders of the pool's own buffers, one for each size, made when it is first lent.
    fronts: [OnceLock<Arc<Front<Debit>>>; FRONTS],
    /// Changed under the lock of `waiting`.
    closed: AtomicBool,
    pub(super) waiting: Mutex<Waiting>,
    /// What errors call it.
    name: OnceLock<Name>,
}

/// As many sizes as a `MultiSizePool` has by default, and some more; beyond that each loan allocates.
const FRONTS: usize = 8;

/// What each buffer that one front lends is charged with.
struct Debit {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Told for Debit {
    fn released(&self) {
        refund(&self.budget, self.bytes);
    }

    fn is_wanted(&self) -> bool {
        self.budget.is_wanted()
    }
}

/// Requests that wait, to be woken when the share is closed.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) next: u64,
    pub(super) wakers: BTreeMap<u64, UserWaker>,
}

impl<P: Pool> SharedShare<P> {
    pub(super) fn new(pool: P, budget: &Budget) -> Arc<Self> {
        Arc::new(SharedShare {
            pool,
            budget: Arc::new(budget.clone()),
            fronts: [const { OnceLock::new() }; FRONTS],
            closed: AtomicBool::new(false),
            waiting: Mutex::new(Waiting::default()),
            name: OnceLock::new(),
        })
    }

    /// The budget that it is charged to.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Buffers that are out. Nothing is counted for that: each guard holds its front, and a front that is for one guard
    /// alone holds the budget.
    pub(super) fn lent(&self) -> usize {
        let fronts = self.fronts.iter().filter_map(OnceLock::get);
        let (made, lent) = fronts.fold((0, 0), |(made, lent), front| {
            (made + 1, lent + Arc::strong_count(front) - 1)
        });
        lent + Arc::strong_count(&self.budget) - 1 - made
    }

    /// Whether it is closed; under the lock of `waiting` it stays so or not.
    pub(super) fn is_closed(&self) -> bool {
        // Relaxed: what it goes with is under that lock.
        self.closed.load(Ordering::Relaxed)
    }

    /// Closes it, and wakes those that wait.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        self.closed.store(true, Ordering::Relaxed);
        let wakers = mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_values().for_each(UserWaker::wake);
    }

    pub(super) fn name(&self) -> &Name {
        self.name.get_or_init(|| {
            let budget = self.budget.name();
            format!("{}, share of {budget}", self.pool.name()).into()
        })
    }

    /// Bytes that a request is charged before it comes to the pool; `None` for more than the pool has, which says so.
    pub(super) fn bytes_of(&self, count: usize, len: usize) -> Option<u64> {
        let most = self.pool.capacity_for(len)? as u64;
        Some(most.saturating_mul(count as u64))
    }

    pub(super) fn closed(&self) -> AcquireError {
        AcquireError::Closed {
            pool: self.name().clone(),
        }
    }

    /// The error of a request for so many bytes; counts nothing.
    #[cold]
    pub(super) fn over_budget(&self, bytes: u64, lent: usize, waits: bool) -> AcquireError {
        let budget = self.budget();
        AcquireError::OverBudget {
            pool: self.name().clone(),
            requested: usize::try_from(bytes).unwrap_or(usize::MAX),
            lent,
            budget: budget.limit(),
            waiting: match waits {
                // One at least did then.
                true => u32::try_from(budget.waiting()).unwrap_or(u32::MAX).max(1),
                false => 0,
            },
        }
    }

    /// Charges a request that does not wait, by `by`. Nothing for one that is larger than all buffers: the pool says
    /// so.
    pub(super) fn charge<'a>(
        &'a self,
        count: usize,
        len: usize,
        by: impl FnOnce(&'a Budget, u64) -> Result<Charge<&'a Budget>, Exceeded>,
    ) -> Result<Charge<&'a Budget>, AcquireError> {
        if self.is_closed() {
            return Err(self.closed());
        }
        let bytes = self.bytes_of(count, len).unwrap_or(0);
        by(self.budget(), bytes).map_err(|Exceeded { lent, wanted }| {
            self.budget.count_refused();
            self.over_budget(bytes, lent, wanted)
        })
    }

    /// The guard of a buffer, charged with what it has of `charge`.
    pub(super) fn lend<B: Borrow<Budget>>(
        &self,
        mut buf: PooledBuf,
        charge: &mut Charge<B>,
    ) -> Result<PooledBuf, AcquireError> {
        let bytes = buf.capacity() as u64;
        let charged = charge.take(bytes);
        if charged < bytes {
            // A pool of the user's has lent more than it says.
            let (budget, missing) = (self.budget(), bytes - charged);
            let more = Charge::try_new(budget, missing).map_err(|Exceeded { lent, wanted }| {
                refund(budget, charged);
                self.over_budget(missing, lent, wanted)
            });
            more?.take(missing);
        }
        let debit = || Debit {
            budget: Arc::clone(&self.budget),
            bytes,
        };
        for front in &self.fronts {
            let front = match front.get() {
                Some(front) => front,
                None => match self.pool.handle_for(&buf) {
                    Some(keeps) => front.get_or_init(|| Front::of_all(&buf, keeps, debit())),
                    None => break,
                },
            };
            buf = match front.lend(buf) {
                Ok(lent) => return Ok(lent),
                Err(buf) => buf,
            };
        }
        Ok(Front::of_one(buf, debit()))
    }

    pub(super) fn lend_all<B: Borrow<Budget>>(
        &self,
        bufs: Vec<PooledBuf>,
        mut charge: Charge<B>,
    ) -> Result<Vec<PooledBuf>, AcquireError> {
        bufs.into_iter().map(|buf| self.lend(buf, &mut charge)).collect()
    }
}
