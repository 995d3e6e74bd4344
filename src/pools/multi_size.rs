//! A row of pools, one for each size.
#![forbid(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::config::PoolConfig;
use crate::core::Refusal;
use crate::error::{AcquireError, ConfigError};
use crate::free_list::Empty;
use crate::holders::{Caller, Holders};
use crate::pool::Pool;
use crate::pooled_buf::PooledBuf;
use crate::pools::buffer::BufferPool;
use crate::stats::PoolStats;
use crate::waiting::acquire::{Acquire, Lender};
use crate::waiting::budget::Budget;
use crate::wipe::Wipe;

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
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    overflow: Overflow,
    /// Smallest first; at least one.
    tiers: Box<[BufferPool]>,
    /// Theirs, in bytes: side by side, where a search finds them in one cache line.
    buffer_sizes: Box<[usize]>,
}

/// What becomes of a request whose tier has no free buffer.
///
/// ```
/// use poolbuf::{MultiSizeConfig, MultiSizePool, Overflow, Pool};
///
/// let tiers = MultiSizeConfig::new().tier(64, 1, 1).tier(512, 1, 1).tier(2048, 1, 1);
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

/// How a [`MultiSizePool`] is made: its tiers, and what they have in common.
///
/// ```
/// use poolbuf::{MultiSizeConfig, MultiSizePool, Overflow, Pool};
///
/// let pool = MultiSizePool::with_config(
///     MultiSizeConfig::new()
///         .tier(128, 10, 1000) // bytes, buffers at first, buffers at most
///         .tier(4096, 10, 100)
///         .overflow(Overflow::NextTier)
///         .name("frames"),
/// )?;
/// assert_eq!(pool.max_len(), 4096);
/// # Ok::<(), poolbuf::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens until a pool is made from it"]
pub struct MultiSizeConfig {
    tiers: Vec<Tier>,
    overflow: Overflow,
    wipe: Wipe,
    magazine: Option<usize>,
    budget: Option<Budget>,
    track_holders: bool,
    name: Option<Arc<str>>,
    reserve: usize,
    decay: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Tier {
    buffer_size: usize,
    initial: usize,
    max: usize,
}

impl MultiSizeConfig {
    /// No tiers yet; [`Overflow::Refuse`]; [`Wipe::default`].
    pub fn new() -> Self {
        MultiSizeConfig::default()
    }

    /// Adds a tier of buffers of `buffer_size` bytes, `initial` of them at first and `max` at most. The
    /// order in which tiers are added does not matter.
    pub fn tier(mut self, buffer_size: usize, initial: usize, max: usize) -> Self {
        self.tiers.push(Tier {
            buffer_size,
            initial,
            max,
        });
        self
    }

    /// What becomes of a request whose tier has no free buffer.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// What happens to a buffer's bytes when it comes back.
    pub fn wipe(mut self, wipe: Wipe) -> Self {
        self.wipe = wipe;
        self
    }

    /// Most free buffers of a tier that one thread keeps at hand; see [`PoolConfig::magazine`].
    pub fn magazine(mut self, buffers: usize) -> Self {
        self.magazine = Some(buffers);
        self
    }

    /// A limit in bytes on what all tiers, and other pools with the same budget, lend together; see [`Budget`].
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Remembers who holds what; see [`PoolConfig::track_holders`].
    pub fn track_holders(mut self, track: bool) -> Self {
        self.track_holders = track;
        self
    }

    /// What statistics and messages call the pool; a tier is called by that name and its size.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Buffers that the max of each tier can be raised to, where that is more than its max; see
    /// [`PoolConfig::reserve`].
    ///
    /// ```
    /// use poolbuf::{MultiSizeConfig, MultiSizePool, Pool};
    ///
    /// let tiers = MultiSizeConfig::new().tier(64, 0, 100).tier(2048, 0, 10).reserve(500);
    /// let pool = MultiSizePool::with_config(tiers)?;
    /// pool.tiers()[1].grow(40)?;
    /// assert_eq!(pool.stats().max, 150);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(mut self, buffers: usize) -> Self {
        self.reserve = buffers;
        self
    }

    /// Lets the memory of buffers that nobody needed for long go back to the operating system by itself; see
    /// [`PoolConfig::decay`].
    pub fn decay(mut self, generation: Duration) -> Self {
        self.decay = Some(generation);
        self
    }
}

impl MultiSizePool {
    /// The buffer sizes of [`new`](MultiSizePool::new), in bytes.
    pub const TIERS: [usize; 5] = [64, 512, 2048, 8192, 32_768];
    /// Buffers at first in each tier of [`new`](MultiSizePool::new).
    pub const INITIAL: usize = 50;
    /// Buffers at most in each tier of [`new`](MultiSizePool::new).
    pub const MAX: usize = 500;

    /// Tiers of 64, 512, 2,048, 8,192 and 32,768 bytes, with 50 buffers each at first and 500 at most,
    /// that refuse when the tier that fits is empty.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfMemory`] when the memory (21.8 MB of address space) can't be reserved.
    pub fn new() -> Result<Self, ConfigError> {
        let config = MultiSizePool::TIERS
            .into_iter()
            .fold(MultiSizeConfig::new(), |config, size| {
                config.tier(size, MultiSizePool::INITIAL, MultiSizePool::MAX)
            });
        MultiSizePool::with_config(config)
    }

    /// A pool made from `config`: the builder, for other tiers, names, wiping and overflow.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] when there is no tier, two have the same buffer size, or one makes no pool.
    pub fn with_config(config: MultiSizeConfig) -> Result<Self, ConfigError> {
        let name = config.name.unwrap_or_else(|| Arc::from("multi-size pool"));
        let make = |tier: Tier| {
            let mut pool = PoolConfig::new(tier.buffer_size)
                .initial(tier.initial)
                .max(tier.max)
                .wipe(config.wipe)
                .magazine(config.magazine.unwrap_or(usize::MAX))
                .track_holders(config.track_holders)
                .name(format!("{name}, {} bytes", tier.buffer_size))
                .reserve(config.reserve.max(tier.max));
            if let Some(budget) = &config.budget {
                pool = pool.budget(budget);
            }
            if let Some(generation) = config.decay {
                pool = pool.decay(generation);
            }
            BufferPool::with_config(pool)
        };
        let tiers = config.tiers.into_iter().map(make);
        let mut tiers = tiers.collect::<Result<Vec<_>, _>>()?;
        if tiers.is_empty() {
            return Err(ConfigError::NoTiers);
        }
        tiers.sort_by_key(BufferPool::buffer_size);
        for pair in tiers.windows(2) {
            let buffer_size = pair[0].buffer_size();
            if buffer_size == pair[1].buffer_size() {
                return Err(ConfigError::DuplicateTier { buffer_size });
            }
        }
        Ok(MultiSizePool {
            shared: Arc::new(Shared {
                name,
                overflow: config.overflow,
                buffer_sizes: tiers.iter().map(BufferPool::buffer_size).collect(),
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

    /// What statistics call the pool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What becomes of a request whose tier has no free buffer.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        self.shared.overflow
    }

    /// The tier that fits `len`, and the one that may serve in its place.
    fn serving(&self, len: usize) -> Option<(&BufferPool, Option<&BufferPool>)> {
        let tiers = self.tiers().iter();
        let mut fitting = tiers.skip_while(|tier| tier.buffer_size() < len);
        let home = fitting.next()?;
        let next = match self.overflow() {
            Overflow::Refuse => None,
            Overflow::NextTier => fitting.next(),
        };
        Some((home, next))
    }

    fn too_large(&self, requested: usize) -> AcquireError {
        AcquireError::TooLarge {
            requested,
            max: self.max_len(),
        }
    }

    /// Serves a request that the fast path of its tier could not.
    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, len: usize, caller: Caller) -> Result<PooledBuf, AcquireError> {
        let Some((home, next)) = self.serving(len) else {
            return Err(self.too_large(len));
        };
        loop {
            let returns = home.handle.returns();
            let refusal = match (home.handle.try_acquire(caller), next) {
                (Ok(buf), _) => return Ok(buf),
                (Err(refusal @ Refusal::Empty(_)), Some(next)) => {
                    match next.handle.try_acquire(caller) {
                        Ok(buf) => return Ok(buf),
                        // A tier that is closed is passed over; both are, or this one alone is in use.
                        Err(in_next) if matches!(refusal, Refusal::Empty(Empty::Closed)) => {
                            return Err(next.handle.refuse(in_next));
                        }
                        Err(_) => refusal,
                    }
                }
                // A larger buffer would cost more of the budget.
                (Err(refusal), _) => return Err(home.handle.refuse(refusal)),
            };
            // The tiers were looked at one after the other. If a buffer came back to the first one meanwhile, that may
            // have been free when the next one was found empty: then both are looked at again.
            if home.handle.returns() == returns {
                return Err(home.handle.refuse(refusal));
            }
        }
    }

    /// Gives the memory of free buffers of all tiers back to the operating system, and returns how many bytes that
    /// were; see [`BufferPool::trim`].
    pub fn trim(&self) -> usize {
        self.tiers().iter().map(BufferPool::trim).sum()
    }

    /// Closes every tier; see [`BufferPool::close`].
    pub fn close(&self) -> Holders {
        Holders::merge(self.tiers().iter().map(BufferPool::close))
    }
}

impl Pool for MultiSizePool {
    #[inline]
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let sizes = &self.shared.buffer_sizes;
        let home = sizes.iter().position(|size| len <= *size);
        if let Some(home) = home.and_then(|home| self.tiers().get(home)) {
            if let Some(buf) = home.handle.acquire_fast() {
                return Ok(buf);
            }
        }
        self.acquire_slow(len, Location::caller())
    }

    fn holders(&self) -> Holders {
        Holders::merge(self.tiers().iter().map(Pool::holders))
    }

    /// Of the tiers that [`MultiSizePool::overflow`] allows, whichever can lend first does.
    fn acquire_async(&self, len: usize) -> Acquire<'_> {
        let Some((home, next)) = self.serving(len) else {
            return Acquire::ready(Err(self.too_large(len)));
        };
        Acquire::new(&home.handle, next.map(|next| &next.handle as &dyn Lender))
    }

    #[inline]
    fn max_len(&self) -> usize {
        self.tiers().last().map_or(0, BufferPool::buffer_size)
    }

    /// The sums over all tiers; each tier's own figures are in [`PoolStats::tiers`].
    fn stats(&self) -> PoolStats {
        let tiers = self.tiers().iter().map(Pool::stats).collect();
        PoolStats::sum_of(Arc::clone(&self.shared.name), tiers)
    }
}

impl fmt::Debug for MultiSizePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MultiSizePool").field(&self.stats()).finish()
    }
}
