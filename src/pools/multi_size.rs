//! A row of pools, one for each size.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::base::units::Bytes;
use crate::buf::chain::PooledChain;
use crate::buf::guard::PooledBuf;
use crate::engine::config::{PoolConfig, check_name};
use crate::engine::line::Line;
use crate::engine::refusal::Refusal;
use crate::engine::wait::Serving;
use crate::free_list::Empty;
use crate::free_list::magazines::Magazines;
use crate::pools::buffer::BufferPool;
use crate::pools::heap::Heap;
use crate::pools::pool::{Pool, in_buffers_of};
use crate::pools::share::Share;
use crate::report::error::acquire::AcquireError;
use crate::report::error::config::{ConfigError, ConfigProblem};
use crate::report::holders::{Caller, Holders};
use crate::report::name::Name;
use crate::report::stats::PoolStats;
use crate::waiting::acquire::{Acquire, Lender, Request};
use crate::waiting::budget::Budget;
use crate::waiting::counts::Ending;
use crate::waiting::loan::Loan;
use crate::waiting::places::Ticket;

/// A pool of buffers of several sizes. A request gets a buffer of the smallest tier that holds it.
///
/// Each tier is a [`BufferPool`], so acquire and release cost what they cost there, plus the search for the
/// tier. When the tier that fits is empty, the request is refused, or served one tier further up, as
/// [`Overflow`] says.
///
/// ```
/// use poolbuf::{MultiSizePool, Pool};
///
/// let pool = MultiSizePool::new()?; // 64, 512, 2,048, 8,192 and 32,768 bytes
/// assert_eq!(pool.acquire_for(40)?.capacity(), 64);
/// assert_eq!(pool.acquire_for(513)?.capacity(), 2048);
/// assert_eq!(pool.acquire()?.capacity(), 32_768);
/// assert!(pool.acquire_for(32_769).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MultiSizePool {
    shared: Arc<SharedTiers>,
}

struct SharedTiers {
    name: Name,
    overflow: Overflow,
    /// For what is larger than the largest tier.
    heap: Option<Share<Heap>>,
    /// Smallest first; at least one.
    tiers: Box<[BufferPool]>,
    /// Theirs, in bytes: side by side, where a search finds them in one cache line.
    buffer_sizes: Box<[usize]>,
}

/// What becomes of a request whose tier has no free buffer.
///
/// ```
/// use poolbuf::{MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig};
///
/// let one_of = |size| PoolConfig::new(size).max(1);
/// let tiers = MultiSizeConfig::new().tier(one_of(64)).tier(one_of(512)).tier(one_of(2048));
/// let pool = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier))?;
/// let small = pool.acquire_for(40)?;
/// let next = pool.acquire_for(40)?;
/// assert_eq!((small.capacity(), next.capacity()), (64, 512));
/// assert!(pool.acquire_for(40).is_err(), "one tier further up, not two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// It is refused.
    #[default]
    Refuse,
    /// It gets a buffer of the next larger tier, and is refused if that has none either.
    NextTier,
}

/// How a [`MultiSizePool`] is made: its tiers, its name, and what happens when a tier is empty. Each tier is a pool
/// with a [`PoolConfig`] of its own, which sets all else.
///
/// ```
/// use poolbuf::{MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig};
///
/// let pool = MultiSizePool::with_config(
///     MultiSizeConfig::new()
///         .tier(PoolConfig::new(128).initial(10).max(1000))
///         .tier(PoolConfig::new(4096).initial(10).max(100))
///         .overflow(Overflow::NextTier)
///         .name("frames"),
/// )?;
/// assert_eq!(pool.max_len(), 4096);
/// assert_eq!(pool.tiers()[0].name(), "frames (128 bytes)");
/// # Ok::<(), poolbuf::ConfigError>(())
/// ```
///
/// What all tiers share is set where they are made:
///
/// ```
/// use poolbuf::{Budget, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, Wipe};
///
/// let budget = Budget::new(1_000_000); // bytes
/// let tier = |size, max| PoolConfig::new(size).max(max).budget(&budget).wipe(Wipe::OnRelease);
/// let pool = MultiSizePool::with_config(
///     MultiSizeConfig::new().tier(tier(512, 50_000)).tier(tier(65_536, 1000)),
/// )?;
/// let _held = pool.acquire_for(600)?;
/// assert_eq!(budget.lent(), 65_536);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens until a pool is made from it"]
pub struct MultiSizeConfig {
    tiers: Vec<PoolConfig>,
    overflow: Overflow,
    heap: Option<Budget>,
    name: Option<Name>,
}

impl MultiSizeConfig {
    /// No tiers yet; [`Overflow::Refuse`].
    pub fn new() -> Self {
        MultiSizeConfig::default()
    }

    /// Adds a tier: a [`BufferPool`] with that configuration. It is called by the name of the whole and its size, such
    /// as "frames (512 bytes)", unless its configuration gives it a [name](PoolConfig::name) of its own. The order in
    /// which tiers are added does not matter.
    pub fn tier(mut self, tier: PoolConfig) -> Self {
        self.tiers.push(tier);
        self
    }

    /// What becomes of a request whose tier has no free buffer.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Serves requests for more bytes than the largest tier has by memory of the [`Heap`] of exactly that length,
    /// charged to `budget`. Without this they are refused as too large.
    ///
    /// ```
    /// use poolbuf::{AcquireError, Budget, MultiSizeConfig, MultiSizePool, Pool, PoolConfig};
    ///
    /// let large = Budget::with_name(1_000_000, "large requests");
    /// let tiers = MultiSizeConfig::new().tier(PoolConfig::new(512)).tier(PoolConfig::new(8192));
    /// let pool = MultiSizePool::with_config(tiers.heap(&large))?;
    /// let buf = pool.acquire_for(100_000)?;
    /// assert_eq!((buf.capacity(), large.lent()), (100_000, 100_000));
    /// assert!(matches!(pool.acquire_for(950_000), Err(AcquireError::OverBudget { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`max_len`](Pool::max_len) is the largest tier's still, and chains are made of that. Statistics leave such
    /// requests out: [`Budget::stats`] has them.
    pub fn heap(mut self, budget: &Budget) -> Self {
        self.heap = Some(budget.clone());
        self
    }

    /// What statistics, errors and logs call the pool: at least a character, and no control characters.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// The buffer sizes of [`MultiSizePool::new`], in bytes.
const TIERS: [usize; 5] = [64, 512, 2048, 8192, 32_768];
/// Buffers at first in each tier of [`MultiSizePool::new`].
const INITIAL: usize = 50;
/// Buffers at most in each tier of [`MultiSizePool::new`].
const MAX: usize = 500;

impl MultiSizePool {
    /// Tiers of 64, 512, 2,048, 8,192 and 32,768 bytes, with 50 buffers each at first and 500 at most,
    /// that refuse when the tier that fits is empty.
    ///
    /// # Errors
    ///
    /// [`ConfigProblem::OutOfMemory`] when the memory (21.8 MB of address space) can't be reserved.
    pub fn new() -> Result<Self, ConfigError> {
        let tiers = TIERS.map(|size| PoolConfig::new(size).initial(INITIAL).max(MAX));
        MultiSizePool::with_config(MultiSizeConfig {
            tiers: tiers.into(),
            ..MultiSizeConfig::new()
        })
    }

    /// A pool made from `config`: the builder, for other tiers, names and overflow.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] when there is no tier, two have the same buffer size, or one makes no pool.
    pub fn with_config(config: MultiSizeConfig) -> Result<Self, ConfigError> {
        let name = config.name.unwrap_or_else(|| Name::from("multi-size pool"));
        check_name(&name).map_err(|problem| ConfigError::new(name.clone(), problem))?;
        if let Some(budget) = &config.heap {
            check_name(budget.name()).map_err(|_| ConfigError::new(name.clone(), ConfigProblem::InvalidBudgetName))?;
        }
        // One line for all tiers: a request that two of them may serve has one place.
        let line = Line::new();
        let make = |tier: PoolConfig| {
            let called = format!("{name} ({})", Bytes(tier.size()));
            BufferPool::with_config_in(tier.or_name(called), &line)
        };
        let tiers = config.tiers.into_iter().map(make);
        let mut tiers = tiers.collect::<Result<Vec<_>, _>>()?;
        if tiers.is_empty() {
            return Err(ConfigError::new(name, ConfigProblem::NoTiers));
        }
        tiers.sort_by_key(BufferPool::max_len);
        for pair in tiers.windows(2) {
            let buffer_size = pair[0].max_len();
            if buffer_size == pair[1].max_len() {
                let problem = ConfigProblem::DuplicateTier { buffer_size };
                return Err(ConfigError::new(name, problem));
            }
        }
        Ok(MultiSizePool {
            shared: Arc::new(SharedTiers {
                name,
                overflow: config.overflow,
                heap: config.heap.map(|budget| Share::new(Heap, &budget)),
                buffer_sizes: tiers.iter().map(BufferPool::max_len).collect(),
                tiers: tiers.into(),
            }),
        })
    }

    /// The pools that serve the sizes, smallest first. What is acquired from one directly counts in the
    /// figures of the whole.
    #[must_use]
    pub fn tiers(&self) -> &[BufferPool] {
        &self.shared.tiers
    }

    /// The tier that fits `len`, and the one that may serve in its place.
    fn serving(&self, len: usize) -> Option<(&BufferPool, Option<&BufferPool>)> {
        let tiers = self.tiers().iter();
        let mut fitting = tiers.skip_while(|tier| tier.max_len() < len);
        let home = fitting.next()?;
        let next = match self.shared.overflow {
            Overflow::Refuse => None,
            Overflow::NextTier => fitting.next(),
        };
        Some((home, next))
    }

    /// As `serving`, for requests that wait.
    fn tiers_for(&self, len: usize) -> Option<Serving<'_, Magazines>> {
        let (home, next) = self.serving(len)?;
        Some(Serving {
            home: &home.handle,
            next: next.map(|next| &next.handle),
        })
    }

    fn too_large(&self, requested: usize) -> AcquireError {
        AcquireError::TooLarge {
            pool: self.shared.name.clone(),
            requested,
            max: self.max_len(),
        }
    }

    /// What serves requests for more than the largest tier has.
    #[cold]
    fn beyond_tiers(&self, len: usize) -> Result<&Share<Heap>, AcquireError> {
        self.shared.heap.as_ref().ok_or_else(|| self.too_large(len))
    }

    /// The same, if such a request is for it.
    fn heap_for(&self, len: usize) -> Option<&Share<Heap>> {
        self.shared.heap.as_ref().filter(|_| len > self.max_len())
    }

    /// Serves a request that the fast path of its tier could not serve.
    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, len: usize, caller: Caller) -> Result<PooledBuf, AcquireError> {
        let Some((home, next)) = self.serving(len) else {
            return self.beyond_tiers(len)?.acquire_for(len);
        };
        let taken = from_either(home, next, 1, |tier| tier.handle.try_take(caller))?;
        Ok(taken.lend())
    }
}

/// What `attempt` gets from the tier `home`, or from `next` in its place, of `count` buffers; or why it gets nothing.
fn from_either<'a, T>(
    home: &'a BufferPool,
    next: Option<&'a BufferPool>,
    count: u32,
    attempt: impl Fn(&'a BufferPool) -> Result<T, Refusal>,
) -> Result<T, AcquireError> {
    let refuse = |tier: &BufferPool, refusal| tier.handle.refuse(refusal, count);
    loop {
        let returns = home.handle.returns();
        let in_home = match attempt(home) {
            Ok(lent) => return Ok(lent),
            Err(refusal) => refusal,
        };
        let next = match (next, &in_home) {
            (None, _) | (_, Refusal::Empty(Empty::OutOfMemory)) => {
                return Err(refuse(home, in_home));
            }
            // A larger buffer would cost more of the same budget.
            (Some(next), Refusal::OverBudget(_)) if home.handle.shares_budget(&next.handle) => {
                return Err(refuse(home, in_home));
            }
            (Some(next), _) => next,
        };
        let in_next = match attempt(next) {
            Ok(lent) => return Ok(lent),
            // A tier that is closed is passed over; both are, or the next alone has nothing.
            Err(in_next) if matches!(in_home, Refusal::Empty(Empty::Closed)) => {
                return Err(refuse(next, in_next));
            }
            Err(in_next) => in_next,
        };
        // The tiers were looked at one after the other. If a buffer came back to the first one meanwhile, that may
        // have been free when the next one was found empty: then both are looked at again.
        if home.handle.returns() != returns {
            continue;
        }
        let refused = refuse(home, in_home);
        return Err(match in_next {
            Refusal::Empty(Empty::AllInUse(in_use)) => refused.and(next.handle.exhausted(in_use as usize, false)),
            Refusal::Empty(Empty::Owed) => refused.and(next.handle.exhausted(next.handle.in_use(), true)),
            _ => refused,
        });
    }
}

impl Lender for MultiSizePool {
    fn name(&self) -> &Name {
        &self.shared.name
    }

    fn poll_lend(
        &self,
        request: &Request,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>> {
        match self.tiers_for(request.len) {
            Some(tiers) => tiers.poll_lend(request, ticket, waker),
            None => Poll::Ready(Err(self.too_large(request.len))),
        }
    }

    fn leave(&self, request: &Request, ticket: Ticket, ending: Ending) -> Result<Loan, Option<AcquireError>> {
        // It waits, so there are some.
        let tiers = self.tiers_for(request.len).ok_or(None)?;
        tiers.leave(request, ticket, ending)
    }

    fn to_owned(&self) -> Box<dyn Lender> {
        Box::new(self.clone())
    }
}

impl Pool for MultiSizePool {
    #[inline]
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let sizes = &self.shared.buffer_sizes;
        let home = sizes.iter().position(|size| len <= *size);
        let home = home.and_then(|home| self.tiers().get(home));
        match home.and_then(|home| home.handle.take_fast()) {
            Some(taken) => Ok(taken.lend()),
            None => self.acquire_slow(len, Location::caller()),
        }
    }

    #[inline]
    fn max_len(&self) -> usize {
        self.tiers().last().map_or(0, BufferPool::max_len)
    }

    /// The sums over all tiers; each tier's own figures are in [`PoolStats::tiers`].
    fn stats(&self) -> PoolStats {
        let tiers = self.tiers().iter().map(Pool::stats).collect();
        PoolStats::sum_of(self.shared.name.clone(), tiers)
    }

    fn name(&self) -> &str {
        &self.shared.name
    }

    /// Closes every tier.
    fn close(&self) -> Holders {
        Holders::merge(
            self.tiers()
                .iter()
                .map(|tier| {
                    tier.handle.close_with(&self.shared.name);
                    tier.handle.holders()
                })
                .chain(self.shared.heap.as_ref().map(Pool::close)),
        )
    }

    /// Of the tiers that [`MultiSizeConfig::overflow`] allows, whichever can lend first does.
    fn acquire_async(&self, len: usize) -> Acquire<'_> {
        match self.heap_for(len) {
            Some(heap) => heap.acquire_async(len),
            None => Acquire::new(self, 1, len),
        }
    }

    fn acquire_many(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError> {
        let caller = Location::caller();
        let Some((home, next)) = self.serving(len) else {
            return self.beyond_tiers(len)?.acquire_many(count, len);
        };
        if count == 0 {
            return home.handle.none();
        }
        let may_lend = |tier: &&BufferPool| tier.handle.may_lend_at_once(count, len).is_ok();
        let next = next.filter(may_lend);
        let many = match (home.handle.may_lend_at_once(count, len), next) {
            (Ok(many), _) => many,
            (Err(_), Some(next)) => return next.handle.acquire_many(count, len, caller),
            (Err(error), None) => return Err(error),
        };
        if let Some(bufs) = home.handle.acquire_many_fast(many) {
            return Ok(bufs);
        }
        from_either(home, next, many, |tier| tier.handle.try_acquire_many(many, caller))
    }

    /// Of the tier that fits alone.
    fn acquire_more(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError> {
        match self.serving(len) {
            Some((home, _)) => home.acquire_more(count, len),
            None => self.beyond_tiers(len)?.acquire_more(count, len),
        }
    }

    /// Of the tiers that [`MultiSizeConfig::overflow`] allows, whichever can lend all first does.
    fn acquire_many_async(&self, count: usize, len: usize) -> Acquire<'_, Vec<PooledBuf>> {
        match self.heap_for(len) {
            _ if count == 0 => Acquire::ready(self.acquire_many(0, len)),
            Some(heap) => heap.acquire_many_async(count, len),
            None => Acquire::new(self, count, len),
        }
    }

    fn acquire_chain_async(&self, len: usize) -> Acquire<'_, PooledChain> {
        let (count, len) = in_buffers_of(self.max_len(), len);
        Acquire::new(self, count, len)
    }

    fn holders(&self) -> Holders {
        Holders::merge(self.tiers().iter().map(Pool::holders))
    }

    fn capacity_for(&self, len: usize) -> Option<usize> {
        match self.serving(len) {
            Some((home, next)) => Some(next.unwrap_or(home).max_len()),
            None => self.shared.heap.as_ref().map(|_| len),
        }
    }

    fn handle_for(&self, buf: &PooledBuf) -> Option<Box<dyn Send + Sync>> {
        self.tiers().iter().find_map(|tier| tier.handle_for(buf))
    }

    /// Trims every tier.
    fn trim(&self) -> usize {
        self.tiers().iter().map(Pool::trim).sum()
    }
}

impl fmt::Debug for MultiSizePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MultiSizePool").field(&self.stats()).finish()
    }
}
