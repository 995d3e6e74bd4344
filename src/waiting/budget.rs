//! A limit, in bytes, on what several pools lend together.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::budget_stats::BudgetStats;
use crate::sync::{AtomicU64, Ordering};
use crate::waiting::parcel::Parcel;
use crate::waiting::queue::{Clock, Ending, Locked, Outcome, Ticket, Wait, WaitCounts, Waiters};
use crate::waiting::waker::{UserWaker, wake_all};

/// A limit, in bytes, on what several pools lend together: give it to each of them with
/// [`PoolConfig::budget`](crate::PoolConfig::budget); to each tier of a
/// [`MultiSizePool`](crate::MultiSizePool).
///
/// A buffer counts with the size that it has, whatever was asked for, from its acquire to its release. What is lent
/// never exceeds the budget. A request for which too little of it is left is refused with
/// [`AcquireError::OverBudget`](crate::AcquireError::OverBudget), or waits if it was asked to; here too it is
/// first come, first served, so that small requests can't starve a large one: while one waits for the
/// budget, requests that do not wait are refused. A request that waits for the budget holds its buffer already.
///
/// A request is charged before its buffer is looked for. Should its pool turn out to be exhausted, the bytes are
/// given back at once; a request to another pool that comes in between finds them lent.
///
/// [`stats`](Budget::stats) tells how much of it is used, and how often it was too little.
///
/// Clones are the same budget.
///
/// *Cost.* Two atomic read-modify-writes for each buffer, on a word that all these pools share, and a call that is not
/// inlined: `cargo bench --bench extras` prints it beside a pool without one. No lock, unless a request waits.
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
    /// What is lent, and whether a request waits:
    ///
    /// ```text
    /// 63           1  0
    /// [ bytes lent  ][ wanted ]
    /// ```
    ///
    /// All changes are read-modify-writes of this one word and nothing else depends on it, so they are Relaxed:
    /// what takes bytes away after `wanted` was set finds it set, and what took them before is seen by what set it.
    state: AtomicU64,
    /// The most bytes that were lent at once.
    high_water: AtomicU64,
    refused: AtomicU64,
    waits: WaitCounts,
    waiters: Waiters<Want, Parcel>,
    name: Arc<str>,
}

/// What a request waits for, for which pool, and the buffers that it has already.
struct Want {
    bytes: u64,
    pool: usize,
    buffers: Parcel,
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
    Now(Parcel),
    Queued(Reservation),
}

/// A request's place in the queue for the bytes of its buffers. Dropped, it leaves the queue, gives bytes back that
/// were granted meanwhile, and the buffers.
pub(crate) struct Reservation {
    budget: Budget,
    bytes: u64,
    /// `None` when it is void.
    ticket: Option<Ticket>,
}

impl Budget {
    /// A budget of so many bytes. It is called "budget".
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Budget::with_name(bytes, "budget")
    }

    /// A budget of so many bytes, and what statistics and metrics call it. Without a character, or with control
    /// characters, no pool can be made that shares it.
    #[must_use]
    pub fn with_name(bytes: usize, name: impl Into<Arc<str>>) -> Self {
        Budget {
            shared: Arc::new(Shared {
                limit: (bytes as u64).min(LARGEST),
                state: AtomicU64::new(0),
                high_water: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                waits: WaitCounts::default(),
                waiters: Waiters::new(),
                name: name.into(),
            }),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
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
        self.shared.waiters.waiting()
    }

    /// For how long, at least, no bytes have come back while requests waited for them; see [`Queue::stalled`]. While one
    /// waits none are charged but for the first in the queue, so what is lent changes only by what comes back.
    ///
    /// [`Queue::stalled`]: crate::waiting::queue::Queue::stalled
    pub(crate) fn stalled(&self) -> Duration {
        self.shared.waiters.lock().stalled(|_| self.lent())
    }

    /// The budget's figures at this moment. Takes the lock of its queue; what charges it pays nothing for them beyond
    /// a load.
    #[must_use]
    pub fn stats(&self) -> BudgetStats {
        let shared = &*self.shared;
        let waits = &shared.waits;
        BudgetStats {
            name: Arc::clone(&shared.name),
            limit: self.limit(),
            lent: self.lent(),
            // At most `limit`.
            high_water: shared.high_water.load(Ordering::Relaxed) as usize,
            refused: shared.refused.load(Ordering::Relaxed),
            waits: waits.all(),
            granted: waits.served(),
            waited: waits.waited(),
            timed_out: waits.timed_out(),
            abandoned: waits.abandoned(),
            waiting: self.waiting(),
        }
    }

    /// Counts `bytes` as lent for a buffer that is there, unless that is too much or other requests wait.
    pub(crate) fn charge(&self, bytes: u64) -> Result<(), Exceeded> {
        let charged = self.charge_ahead(bytes);
        if charged.is_ok() {
            self.note_lent();
        }
        charged
    }

    /// As `charge`, for a buffer that is looked for afterwards: it is followed by `note_lent` or by `refund`.
    pub(crate) fn charge_ahead(&self, bytes: u64) -> Result<(), Exceeded> {
        self.take(bytes, |state| state & WANTED == 0)
    }

    /// What was charged is lent: keeps the high-water mark. The last of several charges sees the bytes of the others,
    /// unless they have been given back; so the mark is never below what was lent at once.
    pub(crate) fn note_lent(&self) {
        let lent = lent(self.shared.state.load(Ordering::Relaxed));
        // It seldom rises, and looking is cheap: `state` lies beside it.
        if lent > self.shared.high_water.load(Ordering::Relaxed) {
            self.shared.high_water.fetch_max(lent, Ordering::Relaxed);
        }
    }

    /// Counts a request that was refused for want of bytes.
    pub(crate) fn count_refused(&self) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wait that was for bytes, and has ended.
    pub(crate) fn count_wait(&self, ending: Ending, clock: Option<Clock>) {
        self.shared.waits.add(ending, clock);
    }

    fn take(&self, bytes: u64, may: impl Fn(u64) -> bool) -> Result<(), Exceeded> {
        let taken = self
            .shared
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                // Both are below 2^62: a request for more than the limit has been refused.
                let fits = lent(state) + bytes <= self.shared.limit;
                (fits && may(state)).then_some(state + (bytes << 1))
            });
        taken.map(drop).map_err(|state| Exceeded {
            lent: lent(state) as usize,
        })
    }

    /// Counts `bytes` as lent no more. Returns what to wake.
    pub(crate) fn refund(&self, bytes: u64) -> Vec<UserWaker> {
        let before = self.shared.state.fetch_sub(bytes << 1, Ordering::Relaxed);
        debug_assert!(lent(before) >= bytes);
        if before & WANTED == 0 {
            return Vec::new();
        }
        self.serve(self.shared.waiters.lock())
    }

    /// Grants what there is to the requests that came first, and lets go of the lock. Returns what to wake.
    #[cold]
    fn serve(&self, mut queue: Locked<'_, Want, Parcel>) -> Vec<UserWaker> {
        let mut wakers = Vec::new();
        // None of these requests is in two queues: none is passed over.
        while let Some(first) = queue.first_wants(&mut Vec::new()) {
            if self.take(first.bytes, |_| true).is_err() {
                break;
            }
            self.note_lent();
            let first = queue.next();
            wakers.extend(first.map(|first| first.hand(|want| want.buffers)));
        }
        if queue.is_empty() {
            self.shared.state.fetch_and(!WANTED, Ordering::Relaxed);
        }
        wakers
    }

    /// Counts `bytes` as lent for `buffers`, which are `pool`'s, or joins the queue.
    pub(crate) fn charge_or_join(
        &self,
        bytes: u64,
        pool: usize,
        buffers: Parcel,
        waker: &Waker,
    ) -> Granted {
        if self.charge(bytes).is_ok() {
            return Granted::Now(buffers);
        }
        // Before the lock: a user's code.
        let waker = UserWaker::clone_of(waker);
        let want = Want {
            bytes,
            pool,
            buffers,
        };
        let mut queue = self.shared.waiters.lock();
        if queue.is_empty() {
            self.shared.state.fetch_or(WANTED, Ordering::Relaxed);
            if self.take(want.bytes, |_| true).is_ok() {
                self.note_lent();
                self.shared.state.fetch_and(!WANTED, Ordering::Relaxed);
                drop(queue);
                return Granted::Now(want.buffers);
            }
        }
        Granted::Queued(Reservation {
            ticket: Some(queue.join(want, waker, None, true)),
            budget: self.clone(),
            bytes,
        })
    }

    /// No request waits any more for `pool`. Gives the buffers back that they had.
    pub(crate) fn close(&self, pool: usize) {
        let mut queue = self.shared.waiters.lock();
        let (mut wakers, wants) = queue.close_where(|want| want.pool == pool);
        wakers.extend(self.serve(queue));
        drop(wants);
        wake_all(wakers);
    }
}

impl Reservation {
    /// Whether the bytes have been granted. While not, the request will be woken with `waker`.
    pub(crate) fn check(&mut self, waker: &Waker) -> Outcome<Parcel> {
        let Some(ticket) = &self.ticket else {
            return Outcome::Closed(None);
        };
        let outcome = self.budget.shared.waiters.check(ticket, waker);
        if !matches!(outcome, Outcome::Waiting) {
            self.ticket = None;
        }
        outcome
    }

    /// Leaves the queue. Returns the buffers if their bytes have been granted already and the request `wants` them
    /// still; else both go back.
    pub(crate) fn leave(mut self, wants: bool) -> (Option<Parcel>, Wait) {
        let (granted, clock) = self.give_up(wants);
        (granted, Wait::for_bytes(clock))
    }

    fn give_up(&mut self, wants: bool) -> (Option<Parcel>, Option<Clock>) {
        let Some(ticket) = self.ticket.take() else {
            return (None, None);
        };
        let mut queue = self.budget.shared.waiters.lock();
        let mut left = queue.leave(ticket);
        // Those behind may want less.
        let mut wakers = self.budget.serve(queue);
        let mut granted = left.handed.take();
        if granted.is_some() && !wants {
            wakers.extend(self.budget.refund(self.bytes));
            granted = None;
        }
        let clock = left.clock;
        drop(left);
        wake_all(wakers);
        (granted, clock)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_up(false);
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
