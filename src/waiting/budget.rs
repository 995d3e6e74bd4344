//! A limit, in bytes, on what several pools lend together.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use crate::sync::{AtomicU64, Ordering};
use crate::waiting::queue::{Ending, Locked, Outcome, Ticket, Waiters, discard, wake_all};

/// A limit, in bytes, on what several pools lend together: give it to each of them with
/// [`PoolConfig::budget`](crate::PoolConfig::budget); to each tier of a
/// [`MultiSizePool`](crate::MultiSizePool).
///
/// A buffer counts with the size that it has, whatever was asked for, from its acquire to its release. What is lent
/// never exceeds the budget. A request for which too little of it is left is refused with
/// [`AcquireError::OverBudget`](crate::AcquireError::OverBudget), or waits if it was asked to; here too who came
/// first is served first, so that small requests can't starve a large one: while somebody waits for the
/// budget, requests that do not wait are refused. Who waits for the budget holds its buffer already.
///
/// Clones are the same budget.
///
/// *Cost.* Two atomic read-modify-writes for each buffer, on a word that all these pools share, and a call that is not
/// inlined: `cargo bench --bench extras` prints it beside a pool without one. No lock, unless somebody waits.
///
/// ```
/// use poolbuf::{AcquireError, Budget, BufferPool, Pool, PoolConfig};
///
/// let budget = Budget::new(10_000); // bytes
/// let small = BufferPool::with_config(PoolConfig::new(1000).max(100).budget(&budget))?;
/// let large = BufferPool::with_config(PoolConfig::new(8000).max(100).budget(&budget))?;
///
/// let one = large.acquire()?;
/// let _two = [small.acquire()?, small.acquire()?];
/// assert_eq!(budget.lent(), 10_000);
/// assert!(matches!(
///     small.acquire().unwrap_err(),
///     AcquireError::OverBudget { requested: 1000, lent: 10_000, budget: 10_000, .. },
/// ));
/// drop(one);
/// assert!(small.acquire().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    limit: u64,
    /// What is lent, and whether somebody waits:
    ///
    /// ```text
    /// 63           1  0
    /// [ bytes lent  ][ wanted ]
    /// ```
    ///
    /// All changes are read-modify-writes of this one word and nothing else depends on it, so they are Relaxed:
    /// whoever takes bytes away after `wanted` was set finds it set, and whoever took them before is seen by who
    /// set it.
    state: AtomicU64,
    waiters: Waiters<Want, ()>,
}

/// What somebody waits for, and in whose name.
struct Want {
    bytes: u64,
    pool: usize,
}

const WANTED: u64 = 1;

fn lent(state: u64) -> u64 {
    state >> 1
}

/// More bytes than there are addresses are as good as no limit; they have to fit beside `WANTED`.
const LARGEST: u64 = (1 << 62) - 1;

/// There is not enough left; how many bytes are lent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) lent: usize,
}

/// Whether bytes were granted at once.
pub(crate) enum Granted {
    Now,
    Queued(Ticket),
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Budget {
            shared: Arc::new(Shared {
                limit: (bytes as u64).min(LARGEST),
                state: AtomicU64::new(0),
                waiters: Waiters::new(),
            }),
        }
    }

    /// Bytes that can be lent at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        // At most what `new` was given.
        self.shared.limit as usize
    }

    /// Bytes that are lent now.
    #[must_use]
    pub fn lent(&self) -> usize {
        // At most `limit`.
        lent(self.shared.state.load(Ordering::Relaxed)) as usize
    }

    /// Requests that wait for the budget now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiters.figures().waiting
    }

    /// Counts `bytes` as lent, unless that is too much or others wait.
    pub(crate) fn charge(&self, bytes: u32) -> Result<(), Exceeded> {
        self.take(bytes.into(), |state| state & WANTED == 0)
    }

    fn take(&self, bytes: u64, may: impl Fn(u64) -> bool) -> Result<(), Exceeded> {
        let taken = self
            .shared
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                // Both are below 2^62.
                let fits = lent(state) + bytes <= self.shared.limit;
                (fits && may(state)).then_some(state + (bytes << 1))
            });
        taken.map(drop).map_err(|state| Exceeded {
            lent: lent(state) as usize,
        })
    }

    /// Counts `bytes` as lent no more. Returns whom to wake.
    pub(crate) fn refund(&self, bytes: u32) -> Vec<Waker> {
        let before = self
            .shared
            .state
            .fetch_sub(u64::from(bytes) << 1, Ordering::Relaxed);
        debug_assert!(lent(before) >= u64::from(bytes));
        if before & WANTED == 0 {
            return Vec::new();
        }
        self.serve(self.shared.waiters.lock())
    }

    /// Grants what there is to those who came first, and lets go of the lock. Returns whom to wake.
    #[cold]
    fn serve(&self, mut queue: Locked<'_, Want, ()>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(first) = queue.first_wants() {
            if self.take(first.bytes, |_| true).is_err() {
                break;
            }
            wakers.extend(queue.hand(()));
        }
        if queue.is_empty() {
            self.shared.state.fetch_and(!WANTED, Ordering::Relaxed);
        }
        wakers
    }

    /// Counts `bytes` as lent, or joins the queue in the name of `pool`.
    pub(crate) fn charge_or_join(&self, bytes: u32, pool: usize, waker: &Waker) -> Granted {
        if self.charge(bytes).is_ok() {
            return Granted::Now;
        }
        // Before the lock: a user's code.
        let waker = waker.clone();
        let bytes = u64::from(bytes);
        let mut queue = self.shared.waiters.lock();
        if queue.is_empty() {
            self.shared.state.fetch_or(WANTED, Ordering::Relaxed);
            if self.take(bytes, |_| true).is_ok() {
                self.shared.state.fetch_and(!WANTED, Ordering::Relaxed);
                drop(queue);
                return Granted::Now;
            }
        }
        Granted::Queued(queue.join(Want { bytes, pool }, waker, true))
    }

    /// Whether the bytes have been granted.
    pub(crate) fn check(&self, ticket: &Ticket, waker: &Waker) -> Outcome<()> {
        self.shared.waiters.check(ticket, waker)
    }

    /// Leaves the queue. Returns whether the bytes had been granted: then they are the caller's still.
    pub(crate) fn leave(&self, ticket: &Ticket, ending: Ending) -> bool {
        let mut queue = self.shared.waiters.lock();
        let (outcome, waker, wait) = queue.leave(ticket, ending);
        // Those behind him may want less.
        let wakers = self.serve(queue);
        self.shared.waiters.add(wait);
        discard(waker);
        wake_all(wakers);
        outcome == Outcome::Handed(())
    }

    /// Nobody waits any more in the name of `pool`.
    pub(crate) fn close(&self, pool: usize) {
        let mut queue = self.shared.waiters.lock();
        let mut wakers = queue.close_where(|want| want.pool == pool);
        wakers.extend(self.serve(queue));
        wake_all(wakers);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit())
            .field("lent", &self.lent())
            .finish_non_exhaustive()
    }
}
