//! What a pool is made from: plain data with a setter for each choice.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::base::wipe::Wipe;
use crate::buf::guard::NO_SLOT;
use crate::memory::layout::{BUFFER_SIZE_LIMIT, BufferLayout, is_beyond_limit};
use crate::report::error::config::{ConfigError, ConfigProblem};
use crate::report::name::Name;
use crate::waiting::budget::Budget;

/// Most buffers of a pool: indices have 32 bits, and one value is kept for "none".
pub(crate) const MAX_LIMIT: usize = u32::MAX as usize - 1;
// No slot is the one that says that there is none.
const _: () = assert!(MAX_LIMIT <= NO_SLOT as usize);

/// Buffers at most of a pool whose configuration does not say.
const DEFAULT_MAX: usize = 1024;
/// Bytes of a connection's buffer, unless the configuration says otherwise.
const DEFAULT_BUFFER_SIZE: usize = 8192;

/// How a pool of equal buffers is made: sizes, counts, name, wiping, alignment.
///
/// Every setter returns the configuration, so they chain. What is wrong with the values is said, as a
/// [`ConfigError`], when a pool is made from them. A large `max` costs address space, not memory: the
/// pages of a buffer beyond `initial` are committed by the operating system when it is first written.
///
/// ```
/// use poolbuf::{BufferPool, Pool, PoolConfig, Wipe};
///
/// let pool = BufferPool::with_config(
///     PoolConfig::new(8192).initial(16).max(1024).name("recv").wipe(Wipe::OnRelease),
/// )?;
/// assert_eq!(pool.stats().max, 1024);
/// # Ok::<(), poolbuf::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until a pool is made from it"]
pub struct PoolConfig {
    buffer_size: usize,
    headroom: usize,
    initial: Option<usize>,
    max: Option<usize>,
    alignment: usize,
    wipe: Wipe,
    magazine: Option<usize>,
    budget: Option<Budget>,
    waiting: bool,
    max_waiting: usize,
    track_holders: bool,
    name: Option<Name>,
    reserve: Option<usize>,
    decay: Option<Duration>,
}

impl PoolConfig {
    /// Buffers of `buffer_size` bytes each; all else at its default: the pool type's name, no buffer at
    /// first ([`LockFreePool`](crate::LockFreePool): all of them), at most 1,024 (`LockFreePool<N>`: `N`),
    /// [`Wipe::default`], and the pool type's own alignment.
    pub fn new(buffer_size: usize) -> Self {
        PoolConfig {
            buffer_size,
            headroom: 0,
            initial: None,
            max: None,
            alignment: 1,
            wipe: Wipe::default(),
            magazine: None,
            budget: None,
            waiting: true,
            max_waiting: usize::MAX,
            track_holders: false,
            name: None,
            reserve: None,
            decay: None,
        }
    }

    /// Sized for a server with `connections` connections, each of which needs 2 to 3 buffers at a time:
    /// 2 a connection at first, 3 at most, of 8,192 bytes unless [`buffer_size`](PoolConfig::buffer_size) says
    /// otherwise.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool, PoolConfig};
    ///
    /// let stats = BufferPool::with_config(PoolConfig::for_connections(100))?.stats();
    /// assert_eq!((stats.total, stats.max), (200, 300));
    /// # Ok::<(), poolbuf::ConfigError>(())
    /// ```
    pub fn for_connections(connections: usize) -> Self {
        PoolConfig::new(DEFAULT_BUFFER_SIZE)
            .initial(connections.saturating_mul(2))
            .max(connections.saturating_mul(3))
    }

    /// Bytes that each buffer holds: 1 to 4,294,967,295.
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Buffers that can be lent at most: 1 to 4,294,967,294. Can be changed later, up to
    /// [`reserve`](PoolConfig::reserve), with [`set_max`](crate::BufferPool::set_max).
    pub fn max(mut self, buffers: usize) -> Self {
        self.max = Some(buffers);
        self
    }

    /// Buffers that exist from the start, their memory touched, so that no page fault comes later.
    pub fn initial(mut self, buffers: usize) -> Self {
        self.initial = Some(buffers);
        self
    }

    /// What statistics, errors and logs call the pool: at least a character, and no control characters.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What happens to a buffer's bytes when it comes back.
    pub fn wipe(mut self, wipe: Wipe) -> Self {
        self.wipe = wipe;
        self
    }

    /// A limit in bytes that the pool shares with others. Costs two atomic read-modify-writes for each buffer; see
    /// [`Budget`].
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Whether requests may wait for a buffer; true by default. Where they may not,
    /// [`acquire_timeout`](crate::Pool::acquire_timeout) and [`acquire_async`](crate::Pool::acquire_async) fail with
    /// [`AcquireError::WaitingOff`](crate::AcquireError::WaitingOff), whether a buffer is free or not. Then a release
    /// never takes the lock of the line in which requests wait, and so is never held up by a thread that was stopped
    /// while it held that lock: for a [`LockFreePool`](crate::LockFreePool) that a real-time thread releases to. Such a
    /// one lends many at once from a single one of its stacks, since only a lock could count several.
    ///
    /// ```
    /// use poolbuf::{AcquireError, LockFreePool, Pool, PoolConfig};
    /// use std::time::Duration;
    ///
    /// let pool = LockFreePool::<8>::with_config(PoolConfig::new(64).waiting(false))?;
    /// let error = pool.acquire_timeout(10, Duration::from_secs(1)).unwrap_err();
    /// assert!(matches!(error, AcquireError::WaitingOff { .. }));
    /// # Ok::<(), poolbuf::ConfigError>(())
    /// ```
    pub fn waiting(mut self, waiting: bool) -> Self {
        self.waiting = waiting;
        self
    }

    /// Requests that may wait at the same time at most; those that come when so many do are refused with
    /// [`AcquireError::TooManyWaiting`](crate::AcquireError::TooManyWaiting). No limit unless set: each that waits
    /// costs about 250 bytes, and those of clients that have long gone are served in turn before whoever comes now. Of
    /// a [`MultiSizePool`](crate::MultiSizePool), each tier has its own.
    ///
    /// ```
    /// use poolbuf::{AcquireError, BufferPool, Pool, PoolConfig};
    /// use std::time::Duration;
    ///
    /// let pool = BufferPool::with_config(PoolConfig::new(64).max(1).max_waiting(0))?;
    /// let _only = pool.acquire_timeout(64, Duration::from_secs(1))?;
    /// let error = pool.acquire_timeout(64, Duration::from_secs(1)).unwrap_err();
    /// assert!(matches!(error, AcquireError::TooManyWaiting { waiting: 0, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_waiting(mut self, requests: usize) -> Self {
        self.max_waiting = requests;
        self
    }

    /// Every buffer starts at a multiple of `bytes`, a power of two. A pool type may align more strictly
    /// ([`AlignedPool`](crate::AlignedPool): at least 64).
    pub fn alignment(mut self, bytes: usize) -> Self {
        self.alignment = bytes;
        self
    }

    /// Room for `bytes` bytes before each buffer, for what is put in front of a payload that is there already, without
    /// moving it: a length, a header, a chunk's size in hexadecimal. See [`prepend`](crate::PooledBuf::prepend). 0
    /// unless set; at most 4,294,967,295 less the buffer size.
    ///
    /// It comes on top of the buffer size: what can be written behind, and which requests fit, is as without it,
    /// whatever is prepended. (Were it a part of the buffer, then a pool of 8 KiB would refuse a request for 8 KiB.) Of
    /// a buffer's [capacity](crate::PooledBuf::capacity), only what was prepended into it is a part. The alignment is
    /// that of the first byte behind it. A [`Budget`] does not count it. Where buffers are [wiped](PoolConfig::wipe),
    /// all of it is wiped with each.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool, PoolConfig};
    ///
    /// let pool = BufferPool::with_config(PoolConfig::new(1024).max(4).headroom(2))?;
    /// let mut buf = pool.acquire_for(1024)?;
    /// assert_eq!((buf.headroom(), buf.spare_len(), buf.capacity()), (2, 1024, 1024));
    /// buf.resize(1024, 7)?;
    /// buf.prepend(&1024_u16.to_be_bytes())?;
    /// assert_eq!((buf.headroom(), buf.len(), buf.capacity()), (0, 1026, 1026));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn headroom(mut self, bytes: usize) -> Self {
        self.headroom = bytes;
        self
    }

    /// Buffers that `max` can ever be raised to while the pool lives: `max` to 4,294,967,294; as many as `max` if
    /// it is not set. Costs address space for each, and 8 bytes of it in the free list, but no memory before they
    /// are used. A [`LockFreePool<N>`](crate::LockFreePool) has `N` buffers for ever: leave it unset there, since any
    /// other number is an error.
    ///
    /// ```
    /// use poolbuf::{BufferPool, PoolConfig};
    ///
    /// let pool = BufferPool::with_config(PoolConfig::new(8192).max(100).reserve(1000))?;
    /// pool.set_max(500)?;
    /// assert!(pool.set_max(1001).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(mut self, buffers: usize) -> Self {
        self.reserve = Some(buffers);
        self
    }

    /// Lets the memory of buffers that were not needed for long go back to the operating system by itself, as
    /// [`trim`](crate::Pool::trim) gives it back when called; off unless set.
    ///
    /// Time is cut into generations of this length. Buffers that lay in the free-stack all through two generations
    /// in a row are trimmed at the end of the second: after a load that lasted for one, nothing is lost when the
    /// next comes soon. As many as [`initial`](PoolConfig::initial) keep their memory. What rests in
    /// magazines counts as used, and keeps it.
    ///
    /// No thread of its own does it: the next visit to the free-stack, or call of [`stats`](crate::Pool::stats), does,
    /// and takes longer by as much as a `trim` of those buffers does. A pool that is not used and whose statistics
    /// are not asked for keeps its memory. The price is a look at the clock for each
    /// visit to the free-stack, which makes acquire and release several times as expensive where there are no
    /// magazines; at the magazine they cost what they did. Without effect in a
    /// [`LockFreePool`](crate::LockFreePool), and not for memory that `trim` is not for. A generation of less than a
    /// microsecond counts as one.
    pub fn decay(mut self, generation: Duration) -> Self {
        self.decay = Some(generation);
        self
    }

    /// Remembers for each buffer that is out which line of code acquired it, and when: for
    /// [`Pool::holders`](crate::Pool::holders), [`Pool::close`](crate::Pool::close) and
    /// [`AcquireError::Exhausted`](crate::AcquireError::Exhausted).
    /// Costs nothing when off, as it is by default. On, each acquire and release costs a lock that is
    /// hardly ever contended and reads the clock (`cargo bench --bench extras` prints how much that is), a refusal
    /// looks at all buffers that are out (of a pool that reserves more than 1,024, what it found is told to further
    /// refusals for 50 times as long as it took to find), and each buffer takes 32 bytes more.
    pub fn track_holders(mut self, track: bool) -> Self {
        self.track_holders = track;
        self
    }

    /// Most free buffers that one thread keeps at hand, in its *magazine*, so that acquiring and releasing
    /// need no lock. Fewer when `max` is small or many threads use the pool, since each gets its share of `max` at
    /// most, and at most 64 or 512 KiB of buffers in any case; 0 switches magazines off. Whatever
    /// the number, no request is refused while a buffer is free anywhere. A smaller number leaves less memory
    /// with threads that are idle, and costs a lock more often. Without effect in a
    /// [`LockFreePool`](crate::LockFreePool), which has none.
    pub fn magazine(mut self, buffers: usize) -> Self {
        self.magazine = Some(buffers);
        self
    }

    /// Bytes a buffer, checked or not.
    pub(crate) fn size(&self) -> usize {
        self.buffer_size
    }

    /// With that name, unless it has one.
    pub(crate) fn or_name(mut self, name: String) -> Self {
        self.name.get_or_insert_with(|| name.into());
        self
    }

    /// The values with `defaults` in place of what was not set, or what is wrong with them.
    pub(crate) fn check(mut self, defaults: Defaults) -> Result<CheckedConfig, ConfigError> {
        let name = self.name.take();
        let name = name.unwrap_or_else(|| Name::from(defaults.name));
        let checked = self.check_values(name.clone(), defaults);
        checked.map_err(|problem| ConfigError::new(name, problem))
    }

    fn check_values(self, name: Name, defaults: Defaults) -> Result<CheckedConfig, ConfigProblem> {
        check_name(&name)?;
        let buffer_size = self.check_size()?;
        let max = self.check_max(&defaults)?;
        self.check_budget(buffer_size)?;
        let reserve = self.check_reserve(max, &defaults)?;
        let initial = self.initial.or(defaults.fixed_max).unwrap_or(0);
        if initial > max {
            return Err(ConfigProblem::InitialExceedsMax { initial, max });
        }
        if !self.alignment.is_power_of_two() {
            return Err(ConfigProblem::InvalidAlignment {
                alignment: self.alignment,
            });
        }
        let alignment = self.alignment.max(defaults.alignment);
        let too_large = ConfigProblem::AddressSpace {
            buffer_size,
            buffers: reserve,
            alignment,
        };
        // All four were checked above, and fit a `u32`.
        let layout = BufferLayout::new(
            buffer_size as u32,
            self.headroom as u32,
            alignment,
            initial as u32,
            reserve as u32,
        )
        .ok_or(too_large)?;
        Ok(CheckedConfig {
            layout,
            max: max as u32,
            wipe: self.wipe,
            magazine: self.magazine.unwrap_or(usize::MAX),
            budget: self.budget,
            waiting: self.waiting,
            max_waiting: self.max_waiting,
            track_holders: self.track_holders,
            name,
            decay: self.decay,
        })
    }

    /// The buffer size, which leaves room for the headroom.
    fn check_size(&self) -> Result<usize, ConfigProblem> {
        let (buffer_size, headroom, limit) = (self.buffer_size, self.headroom, BUFFER_SIZE_LIMIT);
        match buffer_size {
            0 => Err(ConfigProblem::ZeroBufferSize),
            _ if is_beyond_limit(buffer_size) => Err(ConfigProblem::BufferTooLarge { buffer_size, limit }),
            _ if headroom > limit - buffer_size => Err(ConfigProblem::HeadroomTooLarge {
                headroom,
                buffer_size,
                limit,
            }),
            _ => Ok(buffer_size),
        }
    }

    fn check_max(&self, defaults: &Defaults) -> Result<usize, ConfigProblem> {
        let max = match (self.max, defaults.fixed_max) {
            (Some(requested), Some(fixed)) if requested != fixed => {
                return Err(ConfigProblem::FixedMax { requested, fixed });
            }
            (_, Some(fixed)) => fixed,
            (requested, None) => requested.unwrap_or(DEFAULT_MAX),
        };
        match max {
            0 => Err(ConfigProblem::ZeroBuffers),
            _ if max > MAX_LIMIT => Err(ConfigProblem::TooManyBuffers { max, limit: MAX_LIMIT }),
            _ => Ok(max),
        }
    }

    fn check_budget(&self, buffer_size: usize) -> Result<(), ConfigProblem> {
        let Some(budget) = &self.budget else {
            return Ok(());
        };
        check_name(budget.name()).map_err(|_| ConfigProblem::InvalidBudgetName)?;
        match budget.limit() {
            limit if limit < buffer_size => Err(ConfigProblem::BudgetTooSmall {
                buffer_size,
                budget: limit,
            }),
            _ => Ok(()),
        }
    }

    fn check_reserve(&self, max: usize, defaults: &Defaults) -> Result<usize, ConfigProblem> {
        match (self.reserve, defaults.fixed_max) {
            (Some(requested), Some(fixed)) if requested != fixed => {
                Err(ConfigProblem::FixedReserve { requested, fixed })
            }
            (Some(reserve), _) if reserve < max => Err(ConfigProblem::ReserveBelowMax { reserve, max }),
            (Some(reserve), _) if reserve > MAX_LIMIT => Err(ConfigProblem::ReserveTooLarge {
                reserve,
                limit: MAX_LIMIT,
            }),
            (reserve, _) => Ok(reserve.unwrap_or(max)),
        }
    }
}

/// Names are for the lines of logs, and for labels of metrics.
pub(crate) fn check_name(name: &str) -> Result<(), ConfigProblem> {
    match name.is_empty() || name.contains(char::is_control) {
        true => Err(ConfigProblem::InvalidName),
        false => Ok(()),
    }
}

/// What a pool type adds to a [`PoolConfig`].
pub(crate) struct Defaults {
    pub(crate) name: &'static str,
    /// Bytes; the smallest alignment of the type.
    pub(crate) alignment: usize,
    /// Buffers, where the type says how many.
    pub(crate) fixed_max: Option<usize>,
}

/// Values that a pool can be made from.
pub(crate) struct CheckedConfig {
    pub(crate) layout: BufferLayout,
    /// At least 1, and at most the layout's reserve.
    pub(crate) max: u32,
    pub(crate) wipe: Wipe,
    /// Most buffers in one thread's magazine, as the user wants it.
    pub(crate) magazine: usize,
    pub(crate) budget: Option<Budget>,
    pub(crate) waiting: bool,
    /// Requests that may wait at most.
    pub(crate) max_waiting: usize,
    pub(crate) track_holders: bool,
    pub(crate) name: Name,
    pub(crate) decay: Option<Duration>,
}
