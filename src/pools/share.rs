//! A pool as one peer of several has it: what is lent through this handle is charged to a budget of its own first.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use crate::base::sync::{AtomicUsize, Mutex, Ordering};
use crate::buf::chain::PooledChain;
use crate::buf::guard::PooledBuf;
use crate::buf::guard::front::{Front, Told};
use crate::pools::pool::{Pool, in_buffers_of};
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Holders;
use crate::report::name::Name;
use crate::report::stats::PoolStats;
use crate::waiting::acquire::{Acquire, Lender, Request};
use crate::waiting::budget::{Budget, Exceeded};
use crate::waiting::charge::{Charge, ChargeWait, refund};
use crate::waiting::counts::Ending;
use crate::waiting::loan::Loan;
use crate::waiting::places::Ticket;
use crate::waiting::waker::UserWaker;

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
/// connection can have its own. A loan pays for two atomic updates of the budget and three of counts beside what the
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

struct SharedShare<P> {
    pool: P,
    account: Arc<Account>,
    /// Before the lenders of the pool's own buffers, one for each size, made when it is first lent.
    fronts: [OnceLock<Arc<Front<Debit>>>; FRONTS],
    waiting: Mutex<Waiting>,
    /// What errors call it.
    name: OnceLock<Name>,
}

/// As many sizes as a `MultiSizePool` has by default, and some more; beyond that each loan allocates.
const FRONTS: usize = 8;

struct Account {
    budget: Budget,
    /// Buffers that are out.
    lent: AtomicUsize,
}

/// What each buffer that one front lends is charged with.
struct Debit {
    account: Arc<Account>,
    bytes: u64,
}

impl Told for Debit {
    fn released(&self) {
        self.account.lent.fetch_sub(1, Ordering::Relaxed);
        refund(&self.account.budget, self.bytes);
    }

    fn is_wanted(&self) -> bool {
        self.account.budget.is_wanted()
    }
}

/// Requests that wait, to be woken when the share is closed.
#[derive(Default)]
struct Waiting {
    closed: bool,
    next: u64,
    wakers: BTreeMap<u64, UserWaker>,
}

impl<P: Pool> Share<P> {
    /// A handle of `pool` whose loans are charged to `budget` first, before the pool's own. An `Arc<dyn Pool>` is a
    /// pool too.
    pub fn new(pool: P, budget: &Budget) -> Self {
        Share {
            shared: Arc::new(SharedShare {
                pool,
                account: Arc::new(Account {
                    budget: budget.clone(),
                    lent: AtomicUsize::new(0),
                }),
                fronts: [const { OnceLock::new() }; FRONTS],
                waiting: Mutex::new(Waiting::default()),
                name: OnceLock::new(),
            }),
        }
    }

    /// The budget that it is charged to.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.shared.account.budget
    }
}

impl<P: Pool> SharedShare<P> {
    fn name(&self) -> &Name {
        self.name.get_or_init(|| {
            let budget = self.account.budget.name();
            format!("{}, share of {budget}", self.pool.name()).into()
        })
    }

    /// Bytes that a request is charged before it comes to the pool; `None` for more than the pool has, which says so.
    fn bytes_of(&self, count: usize, len: usize) -> Option<u64> {
        let most = self.pool.capacity_for(len)? as u64;
        Some(most.saturating_mul(count as u64))
    }

    fn closed(&self) -> AcquireError {
        AcquireError::Closed {
            pool: self.name().clone(),
        }
    }

    /// The error of a request for so many bytes; counts nothing.
    #[cold]
    fn over_budget(&self, bytes: u64, lent: usize, waits: bool) -> AcquireError {
        let budget = &self.account.budget;
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
    fn charge(
        &self,
        count: usize,
        len: usize,
        by: impl FnOnce(&Budget, u64) -> Result<Charge, Exceeded>,
    ) -> Result<Charge, AcquireError> {
        if self.waiting.lock().closed {
            return Err(self.closed());
        }
        let bytes = self.bytes_of(count, len).unwrap_or(0);
        by(&self.account.budget, bytes).map_err(|Exceeded { lent, wanted }| {
            self.account.budget.count_refused();
            self.over_budget(bytes, lent, wanted)
        })
    }

    /// The guard of a buffer, charged with what it has of `charge`.
    fn lend(&self, mut buf: PooledBuf, charge: &mut Charge) -> Result<PooledBuf, AcquireError> {
        let bytes = buf.capacity() as u64;
        let charged = charge.take(bytes);
        if charged < bytes {
            // A pool of the user's has lent more than it says.
            let (budget, missing) = (&self.account.budget, bytes - charged);
            let more = Charge::try_new(budget, missing).map_err(|Exceeded { lent, wanted }| {
                refund(budget, charged);
                self.over_budget(missing, lent, wanted)
            });
            more?.take(missing);
        }
        self.account.lent.fetch_add(1, Ordering::Relaxed);
        let debit = || Debit {
            account: Arc::clone(&self.account),
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

    fn lend_all(&self, bufs: Vec<PooledBuf>, mut charge: Charge) -> Result<Vec<PooledBuf>, AcquireError> {
        bufs.into_iter().map(|buf| self.lend(buf, &mut charge)).collect()
    }
}

/// A request that can wait: first for the share's bytes, then for the pool.
struct ShareRequest<P> {
    shared: Arc<SharedShare<P>>,
    stage: Mutex<Stage>,
    /// Its number among those that are woken when the share is closed.
    number: Mutex<Option<u64>>,
}

enum Stage {
    New,
    ForBytes(ChargeWait, u64),
    InPool(Charge, InPool),
    Done,
}

/// A request of the pool behind.
enum InPool {
    One(Acquire<'static>),
    Many(Acquire<'static, Vec<PooledBuf>>),
}

impl InPool {
    fn poll(&mut self, waker: &Waker) -> Poll<Result<Vec<PooledBuf>, AcquireError>> {
        match self {
            InPool::One(request) => request.poll_lent(waker).map_ok(|buf| vec![buf]),
            InPool::Many(request) => request.poll_lent(waker),
        }
    }

    /// The time is up, or the request is dropped.
    fn leave(&mut self, ending: Ending) -> Result<Vec<PooledBuf>, Option<AcquireError>> {
        match self {
            InPool::One(request) => request.leave(ending).map(|buf| vec![buf]),
            InPool::Many(request) => request.leave(ending),
        }
    }
}

impl<P: Pool + 'static> ShareRequest<P> {
    fn lender(shared: &Arc<SharedShare<P>>) -> Box<dyn Lender> {
        Box::new(ShareRequest {
            shared: Arc::clone(shared),
            stage: Mutex::new(Stage::New),
            number: Mutex::new(None),
        })
    }

    fn in_pool(&self, request: &Request) -> InPool {
        let (pool, caller) = (&self.shared.pool, request.caller);
        match request.count {
            1 => InPool::One(pool.acquire_async(request.len).into_owned().for_caller(caller)),
            count => InPool::Many(
                pool.acquire_many_async(count, request.len)
                    .into_owned()
                    .for_caller(caller),
            ),
        }
    }

    /// Goes on as far as it can without waiting.
    fn poll(&self, request: &Request, waker: &Waker) -> Poll<Result<Loan, AcquireError>> {
        let shared = &*self.shared;
        let mut stage = self.stage.lock();
        loop {
            *stage = match mem::replace(&mut *stage, Stage::Done) {
                Stage::New => {
                    let Some(bytes) = shared.bytes_of(request.count, request.len) else {
                        // It says that it has none so large.
                        let refused = shared.pool.acquire_for(request.len);
                        return Poll::Ready(refused.map(Loan::one));
                    };
                    let budget = &shared.account.budget;
                    if bytes > budget.limit() as u64 {
                        return Poll::Ready(Err(shared.over_budget(bytes, budget.lent(), false)));
                    }
                    match ChargeWait::join(budget, bytes, waker) {
                        Ok(charge) => Stage::InPool(charge, self.in_pool(request)),
                        Err(wait) => {
                            *stage = Stage::ForBytes(wait, bytes);
                            return Poll::Pending;
                        }
                    }
                }
                Stage::ForBytes(wait, bytes) => match wait.poll(waker) {
                    Poll::Ready(charge) => Stage::InPool(charge, self.in_pool(request)),
                    Poll::Pending => {
                        *stage = Stage::ForBytes(wait, bytes);
                        return Poll::Pending;
                    }
                },
                Stage::InPool(charge, mut in_pool) => match in_pool.poll(waker) {
                    Poll::Ready(lent) => {
                        let lent = lent.and_then(|bufs| shared.lend_all(bufs, charge));
                        // As many as were asked for, at least one.
                        let loan = lent.and_then(|bufs| Loan::many(bufs).ok_or_else(|| shared.closed()));
                        return Poll::Ready(loan);
                    }
                    Poll::Pending => {
                        *stage = Stage::InPool(charge, in_pool);
                        return Poll::Pending;
                    }
                },
                Stage::Done => return Poll::Ready(Err(shared.closed())),
            };
        }
    }

    /// Is to be woken when the share is closed; returns whether it is open.
    fn listen(&self, waker: &Waker) -> bool {
        let waker = UserWaker::clone_of(waker);
        let mut number = self.number.lock();
        let mut waiting = self.shared.waiting.lock();
        if waiting.closed {
            return false;
        }
        let number = *number.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        let before = waiting.wakers.insert(number, waker);
        drop(waiting);
        drop(before);
        true
    }

    fn listen_no_more(&self) {
        let number = self.number.lock().take();
        let waker = number.and_then(|number| self.shared.waiting.lock().wakers.remove(&number));
        drop(waker);
    }

    /// Leaves whatever it waits in. What was granted already is lent if the time is up.
    fn leave(&self, ending: Ending) -> Result<Loan, Option<AcquireError>> {
        self.listen_no_more();
        let stage = mem::replace(&mut *self.stage.lock(), Stage::Done);
        let shared = &*self.shared;
        // Closed by now, it would have waited in vain, however long.
        let closed = shared.waiting.lock().closed;
        let ending = if closed { Ending::Refused } else { ending };
        match stage {
            Stage::ForBytes(wait, bytes) => {
                wait.leave(ending);
                if closed {
                    return Err(Some(shared.closed()));
                }
                let lent = shared.account.budget.lent();
                Err(Some(shared.over_budget(bytes, lent, true)))
            }
            Stage::InPool(charge, mut in_pool) => {
                let left = in_pool.leave(ending);
                let bufs = left.map_err(|why| if closed { Some(shared.closed()) } else { why })?;
                let bufs = shared.lend_all(bufs, charge).map_err(Some)?;
                Loan::many(bufs).ok_or(None)
            }
            Stage::New | Stage::Done => Err(None),
        }
    }
}

impl<P: Pool + 'static> Lender for ShareRequest<P> {
    fn name(&self) -> &Name {
        self.shared.name()
    }

    fn poll_lend(
        &self,
        request: &Request,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>> {
        // Before it is polled: what closes the share after this wakes it.
        let polled = match self.listen(waker) {
            true => self.poll(request, waker),
            false => {
                drop(self.leave(Ending::Refused));
                Poll::Ready(Err(self.shared.closed()))
            }
        };
        *ticket = match polled {
            Poll::Pending => Some(Ticket::ONLY),
            Poll::Ready(_) => {
                self.listen_no_more();
                None
            }
        };
        polled
    }

    fn leave(&self, _: &Request, _: Ticket, ending: Ending) -> Result<Loan, Option<AcquireError>> {
        ShareRequest::leave(self, ending)
    }

    fn to_owned(&self) -> Box<dyn Lender> {
        ShareRequest::lender(&self.shared)
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
        Acquire::owning(ShareRequest::lender(&self.shared), 1, len)
    }

    fn acquire_many_async(&self, count: usize, len: usize) -> Acquire<'_, Vec<PooledBuf>> {
        match count {
            0 => Acquire::ready(self.acquire_many(0, len)),
            _ => Acquire::owning(ShareRequest::lender(&self.shared), count, len),
        }
    }

    fn acquire_chain_async(&self, len: usize) -> Acquire<'_, PooledChain> {
        let (count, len) = in_buffers_of(self.max_len(), len);
        Acquire::owning(ShareRequest::lender(&self.shared), count, len)
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
        let mut waiting = self.shared.waiting.lock();
        waiting.closed = true;
        let wakers = mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_values().for_each(UserWaker::wake);
        Holders::untracked(self.shared.account.lent.load(Ordering::Relaxed))
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
