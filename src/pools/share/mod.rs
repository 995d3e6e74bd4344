//! A pool as one peer of several has it: what is lent through this handle is charged to a budget of its own first.
#![forbid(unsafe_code)]

mod account;
mod request;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::buf::chain::PooledChain;
use crate::buf::guard::PooledBuf;
use crate::pools::pool::{Pool, in_buffers_of};
use crate::pools::share::account::SharedShare;
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Holders;
use crate::report::stats::PoolStats;
use crate::waiting::acquire::Acquire;
use crate::waiting::budget::Budget;
use crate::waiting::charge::Charge;

/// A handle of a pool whose loans are charged to a [`Budget`] first: to that of a peer, a tenant, a route.
///
/// It bounds how much of the pool one of several may hold, so that a client that promises and does not send, or does
/// not read, uses up its own share and nobody else's. A request waits for its share in the share's own queue, and comes
/// to the pool only then: who is over its limit stands in nobody's way. (It holds the share's bytes while it waits for
/// the pool. That keeps them from other requests of the same share alone.) Several handles, of several pools too, can
/// be charged to one budget.
///
/// A buffer is charged with all of its bytes, as a pool's own budget charges it. On a
/// [`MultiSizePool`](crate::MultiSizePool) that may lend from the next larger tier, a request needs a share that has
/// room for that one; what it does not use goes back at once.
///
/// *A reserved minimum* is the same thing the other way round: charge all ordinary handles to one budget that is
/// smaller than the pool, and what is left is there for the handle that is not charged, for control messages say.
///
/// [`close`](Pool::close) closes this handle and its clones alone. Figures, [`holders`](Pool::holders) and
/// [`trim`](Pool::trim) are the pool's; what the share lends is told by [`Budget::stats`]. A request that the share can
/// never serve is refused as [`OverBudget`](AcquireError::OverBudget), waiting or not.
///
/// *Cost.* To make one: an allocation of some 250 bytes, and another of 100 at its first loan (of each size); so each
/// connection can have its own. A loan pays for four atomic updates, of the budget and of a count, beside what the
/// pool costs, and one that can wait for two allocations: `cargo bench --bench extras` prints it. Who uses no share
/// pays nothing. A pool of your own pays for an allocation at each loan, since this does not know how long its lenders
/// live.
///
/// ```
/// use poolbuf::{AcquireError, Budget, BufferPool, Pool, Share};
///
/// let pool = BufferPool::new(4096, 0, 1000)?;
/// let peer = Share::new(pool.clone(), &Budget::with_name(8192, "10.0.0.7"));
/// let held = (peer.acquire()?, peer.acquire()?);
///
/// let refused = peer.acquire().unwrap_err();
/// assert!(matches!(refused, AcquireError::OverBudget { requested: 4096, lent: 8192, budget: 8192, .. }));
/// assert_eq!(refused.pool(), "buffer pool, share of 10.0.0.7");
/// assert!(pool.acquire().is_ok(), "others are not concerned");
/// # drop(held);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Share<P> {
    shared: Arc<SharedShare<P>>,
}

impl<P: Pool> Share<P> {
    /// A handle of `pool` whose loans are charged to `budget` first, before the pool's own. An `Arc<dyn Pool>` is a
    /// pool too.
    pub fn new(pool: P, budget: &Budget) -> Self {
        Share {
            shared: SharedShare::new(pool, budget),
        }
    }

    /// The budget that it is charged to.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.shared.budget()
    }
}

impl<P: Pool + 'static> Pool for Share<P> {
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let mut charge = self.shared.charge(1, len, Charge::try_new)?;
        let buf = self.shared.pool.acquire_for(len)?;
        self.shared.lend(buf, &mut charge)
    }

    fn acquire_many(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError> {
        let charge = self.shared.charge(count, len, Charge::try_new)?;
        let bufs = self.shared.pool.acquire_many(count, len)?;
        self.shared.lend_all(bufs, charge)
    }

    /// Past those that wait for the share, too.
    fn acquire_more(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError> {
        let charge = self.shared.charge(count, len, Charge::past)?;
        let bufs = self.shared.pool.acquire_more(count, len)?;
        self.shared.lend_all(bufs, charge)
    }

    fn acquire_async(&self, len: usize) -> Acquire<'_> {
        Acquire::owning(request::of(&self.shared), 1, len)
    }

    fn acquire_many_async(&self, count: usize, len: usize) -> Acquire<'_, Vec<PooledBuf>> {
        match count {
            0 => Acquire::ready(self.acquire_many(0, len)),
            _ => Acquire::owning(request::of(&self.shared), count, len),
        }
    }

    fn acquire_chain_async(&self, len: usize) -> Acquire<'_, PooledChain> {
        let (count, len) = in_buffers_of(self.max_len(), len);
        Acquire::owning(request::of(&self.shared), count, len)
    }

    fn max_len(&self) -> usize {
        self.shared.pool.max_len()
    }

    fn capacity_for(&self, len: usize) -> Option<usize> {
        self.shared.pool.capacity_for(len)
    }

    /// The pool's.
    fn stats(&self) -> PoolStats {
        self.shared.pool.stats()
    }

    /// The pool's.
    fn name(&self) -> &str {
        self.shared.pool.name()
    }

    /// Closes this handle and its clones; the pool stays open. Returns what they have lent.
    fn close(&self) -> Holders {
        self.shared.close();
        Holders::untracked(self.shared.lent())
    }

    /// Trims the pool.
    fn trim(&self) -> usize {
        self.shared.pool.trim()
    }

    /// The pool's.
    fn holders(&self) -> Holders {
        self.shared.pool.holders()
    }
}

// No operation panics half-way, but for the pool's own.
impl<P: UnwindSafe> UnwindSafe for Share<P> {}
impl<P: RefUnwindSafe> RefUnwindSafe for Share<P> {}

impl<P> Clone for Share<P> {
    /// Another handle of the same share.
    fn clone(&self) -> Self {
        Share {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<P: Pool> fmt::Debug for Share<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("pool", &self.shared.pool)
            .field("budget", self.budget())
            .finish()
    }
}
