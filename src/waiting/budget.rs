//! A limit, in bytes, on what several pools lend together.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::base::sync::{AtomicU64, Instant, Mutex, Ordering};
use crate::report::budget_stats::BudgetStats;
use crate::report::name::Name;
use crate::waiting::after::{After, Kick};
use crate::waiting::counts::{Clock, Ending, WaitCounts};
use crate::waiting::places::Ticket;

/// A limit, in bytes, on what several pools lend together: give it to each of them with
/// [`PoolConfig::budget`](crate::PoolConfig::budget); to each tier of a
/// [`MultiSizePool`](crate::MultiSizePool).
///
/// A buffer counts with the size that it has, whatever was asked for, from its acquire to its release. What is lent
/// never exceeds the budget. A request for which too little of it is left is refused with
/// [`AcquireError::OverBudget`](crate::AcquireError::OverBudget), or waits if it was asked to; here too it is
/// first come, first served, so that small requests can't starve a large one: while one waits for the
/// budget, requests that do not wait are refused. A request that waits holds nothing meanwhile, neither buffers nor
/// bytes: it is in the budget's queue while it is the first of its pool and all its buffers are free, which are then
/// kept for it.
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
    shared: Arc<SharedBudget>,
}

struct SharedBudget {
    limit: u64,
    /// What is lent, and whether a request waits:
    ///
    /// ```text
    /// 63           1  0
    /// [ bytes lent  ][ wanted ]
    /// ```
    ///
    /// All changes are read-modify-writes of this one word, which have one order, and nothing else depends on it, so
    /// they are Relaxed. A refund after `wanted` was set finds it set, and looks at the queue; the bytes of a refund
    /// before that were seen by the update that set it. `wanted` is set while the queue is not empty; it changes under
    /// the queue's lock.
    state: AtomicU64,
    /// The most bytes that were lent at once.
    high_water: AtomicU64,
    refused: AtomicU64,
    waits: WaitCounts,
    queue: Mutex<BudgetQueue>,
    name: Name,
}

/// The requests that lack nothing but bytes, by number, in the order in which they came to that. Only the first may
/// charge.
#[derive(Default)]
struct BudgetQueue {
    asking: BTreeMap<u64, Asking>,
    next: u64,
    /// The number of the first and what was lent, when it was last asked; and when it was first found so.
    seen: Option<(u64, usize, Instant)>,
}

/// A request that lacks bytes: where it waits.
#[derive(Clone)]
pub(crate) struct Asking {
    /// There as long as one of its pools is, which withdraws its requests when it is closed.
    pub(crate) line: Weak<dyn LookAgain>,
    pub(crate) ticket: Ticket,
}

/// Where requests wait, as a budget sees it.
pub(crate) trait LookAgain: Send + Sync {
    /// Looks whether the request can be served now, and those behind it. The caller holds no lock. The request may be
    /// gone.
    fn look_again(&self, ticket: Ticket, after: &mut After);
}

/// A request's place in the queue of a budget. It is withdrawn by its owner.
#[derive(Clone)]
pub(crate) struct Ask {
    budget: Budget,
    number: u64,
}

const WANTED: u64 = 1;

fn lent(state: u64) -> u64 {
    state >> 1
}

/// More bytes than there are addresses are as good as no limit; they have to fit beside `WANTED`.
const LARGEST: u64 = (1 << 62) - 1;

/// There is not enough left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// How many bytes are lent.
    pub(crate) lent: usize,
    /// There is enough, but others wait for it.
    pub(crate) wanted: bool,
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
    pub fn with_name(bytes: usize, name: impl Into<Name>) -> Self {
        Budget {
            shared: Arc::new(SharedBudget {
                limit: (bytes as u64).min(LARGEST),
                state: AtomicU64::new(0),
                high_water: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                waits: WaitCounts::default(),
                queue: Mutex::new(BudgetQueue::default()),
                name: name.into(),
            }),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Bytes that can be lent at most.
    pub(crate) fn limit(&self) -> usize {
        // At most what `new` was given.
        self.shared.limit as usize
    }

    /// Bytes that are lent now.
    #[must_use]
    pub fn lent(&self) -> usize {
        // At most `limit`.
        lent(self.shared.state.load(Ordering::Relaxed)) as usize
    }

    /// Requests that lack nothing but bytes now, and wait for them: of each pool, or tier, the first in line at most.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.lock().asking.len()
    }

    /// Whether both are the same budget.
    pub(crate) fn is(&self, other: &Budget) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// For how long, at least, the same request has been the first here and no bytes have come back; zero if none
    /// waits. Counted from the first call that finds it so. While one waits none are charged but for the first, so what
    /// is lent changes only by what comes back.
    pub(crate) fn stalled(&self) -> Duration {
        let mut queue = self.shared.queue.lock();
        let Some((&first, _)) = queue.asking.first_key_value() else {
            return Duration::ZERO;
        };
        match queue.seen {
            Some((seen, lent, since)) if (seen, lent) == (first, self.lent()) => since.elapsed(),
            _ => {
                queue.seen = Some((first, self.lent(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// The budget's figures at this moment. Takes the lock of its queue; what charges it pays nothing for them beyond
    /// a load.
    #[must_use]
    pub fn stats(&self) -> BudgetStats {
        let shared = &*self.shared;
        let waits = &shared.waits;
        BudgetStats {
            name: shared.name.clone(),
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

    /// Counts `bytes` as lent for buffers that are looked for afterwards, unless that is too much or other requests
    /// wait. It is followed by `note_lent` or by `refund`.
    pub(crate) fn charge_ahead(&self, bytes: u64) -> Result<(), Exceeded> {
        self.charge_if(bytes, |state| state & WANTED == 0)
    }

    /// The same, whoever waits: for who holds some already.
    pub(crate) fn charge_past(&self, bytes: u64) -> Result<(), Exceeded> {
        self.charge_if(bytes, |_| true)
    }

    fn charge_if(&self, bytes: u64, may: impl Fn(u64) -> bool) -> Result<(), Exceeded> {
        let shared = &*self.shared;
        let fits = |state| may(state) && self.fits(state, bytes);
        let charged = shared
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                fits(state).then(|| state + (bytes << 1))
            });
        charged.map(drop).map_err(|state| Exceeded {
            lent: lent(state) as usize,
            wanted: self.fits(state, bytes),
        })
    }

    /// Whatever `bytes` is: a share is asked for any number of buffers.
    fn fits(&self, state: u64, bytes: u64) -> bool {
        // Never more is lent than the limit.
        bytes <= self.shared.limit - lent(state)
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

    /// Whether a request waits for bytes.
    pub(crate) fn is_wanted(&self) -> bool {
        self.shared.state.load(Ordering::Relaxed) & WANTED != 0
    }

    /// Counts a request that was refused for want of bytes.
    pub(crate) fn count_refused(&self) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// For a wait for bytes alone, which begins.
    pub(crate) fn start_clock(&self) -> Option<Clock> {
        Clock::start(self.shared.waits.all())
    }

    /// Counts a wait that was for bytes, and has ended.
    pub(crate) fn count_wait(&self, ending: Ending, clock: Option<Clock>) {
        self.shared.waits.add(ending, clock);
    }

    /// Counts `bytes` as lent no more.
    pub(crate) fn refund(&self, bytes: u64, after: &mut After) {
        let before = self.shared.state.fetch_sub(bytes << 1, Ordering::Relaxed);
        debug_assert!(lent(before) >= bytes);
        if before & WANTED != 0 {
            after.kick(&self.shared);
        }
    }

    /// Counts `bytes` as lent for the first request, and leaves `wanted` as it is to be for the others; or sets it. In
    /// one step: what is given back before it is seen by it, and what is given back after it sees `wanted`. The caller
    /// has the lock of the queue.
    fn charge_first(&self, bytes: u64, others: bool) -> bool {
        let state = &self.shared.state;
        let charge = |state| match self.fits(state, bytes) {
            true => (state & !WANTED) + (bytes << 1) + u64::from(others),
            false => state | WANTED,
        };
        let before = state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(charge(state)));
        // It never fails.
        let charged = self.fits(before.unwrap_or_else(|state| state), bytes);
        if charged {
            self.note_lent();
        }
        charged
    }

    /// Counts `bytes` as lent for a request whose buffers are free, and kept for it; or puts it into the queue.
    pub(crate) fn charge_or_queue(&self, bytes: u64, asking: impl FnOnce() -> Asking) -> Result<(), Ask> {
        let mut queue = self.shared.queue.lock();
        if queue.asking.is_empty() && self.charge_first(bytes, false) {
            return Ok(());
        }
        let number = queue.next;
        queue.next += 1;
        queue.asking.insert(number, asking());
        let budget = self.clone();
        Err(Ask { budget, number })
    }
}

impl Kick for SharedBudget {
    /// Serves the first of those that lack nothing but bytes, if there are enough. If it is served or asks no more,
    /// then that kicks for the next.
    #[cold]
    fn serve(&self, after: &mut After) {
        let first = self.queue.lock().asking.values().next().cloned();
        // If the line is gone, then so is the request, and what withdrew it has kicked for the next.
        if let Some((line, ticket)) = first.and_then(|Asking { line, ticket }| Some((line.upgrade()?, ticket))) {
            line.look_again(ticket, after);
        }
    }
}

impl Ask {
    pub(crate) fn is_to(&self, budget: &Budget) -> bool {
        self.budget.is(budget)
    }

    pub(crate) fn is(&self, other: &Ask) -> bool {
        self.number == other.number && self.is_to(&other.budget)
    }

    /// Counts `bytes` as lent if it is the request's turn, which then is out of the queue.
    pub(crate) fn charge(&self, bytes: u64, after: &mut After) -> bool {
        let mut queue = self.budget.shared.queue.lock();
        let mut numbers = queue.asking.keys();
        let (is_first, others) = (numbers.next() == Some(&self.number), numbers.next().is_some());
        if !is_first || !self.budget.charge_first(bytes, others) {
            return false;
        }
        queue.asking.remove(&self.number);
        if others {
            after.kick(&self.budget.shared);
        }
        true
    }

    /// Takes the request out of the queue.
    pub(crate) fn withdraw(self, after: &mut After) {
        let mut queue = self.budget.shared.queue.lock();
        let was_first = queue.asking.keys().next() == Some(&self.number);
        queue.asking.remove(&self.number);
        if queue.asking.is_empty() {
            let state = &self.budget.shared.state;
            state.fetch_and(!WANTED, Ordering::Relaxed);
        } else if was_first {
            after.kick(&self.budget.shared);
        }
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
