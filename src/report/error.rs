//! What can go wrong, each with the numbers that say why. Nothing is lost by an error: the pool, the
//! guard and its bytes are as they were.
//!
//! A message is whole, since most logs have it alone: what an error carries is said in its own message, and so is not
//! its `source`, as std asks ("either or, but not both"). So a reporter that prints all sources says nothing twice.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::units::{Buffers, Bytes};
use crate::report::holders::HeldBy;

/// Why a pool did not lend a buffer: which pool, and the numbers.
///
/// `pool` is what the pool is [called](crate::Pool::name); where a tier of a
/// [`MultiSizePool`](crate::MultiSizePool) is what has no buffer, what that tier is called.
///
/// Converts to [`std::io::Error`], with the kind [`InvalidInput`](io::ErrorKind::InvalidInput) for
/// [`TooLarge`](AcquireError::TooLarge) and [`TooMany`](AcquireError::TooMany),
/// [`ResourceBusy`](io::ErrorKind::ResourceBusy) for [`Exhausted`](AcquireError::Exhausted),
/// [`OverBudget`](AcquireError::OverBudget) and [`TooManyWaiting`](AcquireError::TooManyWaiting),
/// [`OutOfMemory`](io::ErrorKind::OutOfMemory) for [`OutOfMemory`](AcquireError::OutOfMemory),
/// [`TimedOut`](io::ErrorKind::TimedOut) for [`TimedOut`](AcquireError::TimedOut),
/// [`Unsupported`](io::ErrorKind::Unsupported) for [`WaitingOff`](AcquireError::WaitingOff) and
/// [`Other`](io::ErrorKind::Other) for [`Closed`](AcquireError::Closed); the error itself stays reachable through
/// [`get_ref`](io::Error::get_ref).
///
/// The message is whole: that of [`TimedOut`](AcquireError::TimedOut) says what its `why` does. So that is a field, and
/// not a [`source`](Error::source) as well, of which a reporter would print the same again.
///
/// ```
/// use poolbuf::{AcquireError, BufferPool, Pool, PoolConfig};
///
/// let pool = BufferPool::with_config(PoolConfig::new(1024).max(1).name("recv"))?;
/// let _only = pool.acquire()?;
///
/// let error = pool.acquire().unwrap_err();
/// assert!(matches!(error, AcquireError::Exhausted { in_use: 1, max: 1, .. }));
/// assert_eq!(error.pool(), "recv");
/// assert_eq!(
///     error.to_string(),
///     "all buffers of recv are in use (1 of 1): release some, shed load, or raise its max",
/// );
/// assert_eq!(
///     pool.acquire_for(2000).unwrap_err().to_string(),
///     "2000 bytes requested, but the largest buffer of recv has 1024: \
///      ask for less, or make it with larger buffers",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Of 48 bytes, and so is a `Result` with a guard: what is seldom there is in a box.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The request is for more bytes than any buffer of the pool has, so it can never be served.
    TooLarge {
        /// What the pool is called.
        pool: Arc<str>,
        /// Bytes that were asked for.
        requested: usize,
        /// Bytes that the largest buffer of the pool has.
        max: usize,
    },
    /// The request is for more buffers at once than the pool ever lends, so it can never be served: more than its max,
    /// or than its [`Budget`](crate::Budget) has bytes for.
    TooMany {
        /// What the pool (of a [`MultiSizePool`](crate::MultiSizePool): the tier that fits the request) is called.
        pool: Arc<str>,
        /// Buffers that were asked for.
        requested: usize,
        /// Buffers that can be lent at once at most.
        max: usize,
    },
    /// At one moment all buffers that could serve the request were lent (of those that a request for many asked for,
    /// too few were free), or those that were free were owed to requests that came before and wait.
    Exhausted {
        /// What the pool (of a [`MultiSizePool`](crate::MultiSizePool): the tier that fits the request) is called.
        /// Where [the next larger tier](crate::Overflow::NextTier) was tried too, both, joined by "and": the numbers
        /// are then those of both together.
        pool: Arc<str>,
        /// Buffers in use.
        in_use: usize,
        /// Buffers that it can lend at most.
        max: usize,
        /// How many buffers the first of the requests that wait wants, to which the `max - in_use` that are free are
        /// owed; 0 where none waits, or all are lent.
        first_wants: u32,
        /// What holds them, if the pool tracks that: see
        /// [`PoolConfig::track_holders`](crate::PoolConfig::track_holders).
        held_by: Option<Box<HeldBy>>,
    },
    /// The pools that share a [`Budget`](crate::Budget) lend too much already.
    OverBudget {
        /// What the pool that was asked is called.
        pool: Arc<str>,
        /// Bytes of the buffers that were to be lent.
        requested: usize,
        /// Bytes that are lent already.
        lent: usize,
        /// Bytes that can be lent at most.
        budget: usize,
        /// Requests that wait for bytes of the budget, and come first; 0 if there are too few left for this one,
        /// whoever waits.
        waiting: u32,
    },
    /// So many requests wait for the pool as [`PoolConfig::max_waiting`](crate::PoolConfig::max_waiting) allows.
    TooManyWaiting {
        /// What the pool is called.
        pool: Arc<str>,
        /// Requests that wait.
        waiting: usize,
    },
    /// The allocator has no memory for the guards of so many buffers at once. None has been taken.
    OutOfMemory {
        /// What the pool is called.
        pool: Arc<str>,
        /// Bytes that the guards would take.
        bytes: usize,
    },
    /// No buffer came within the time that the request was willing to wait.
    TimedOut {
        /// What the pool is called.
        pool: Arc<str>,
        /// How long it waited.
        waited: Duration,
        /// What it waited for, with the numbers as they were when the time was up:
        /// [`Exhausted`](AcquireError::Exhausted), or [`OverBudget`](AcquireError::OverBudget) if it lacked bytes of a
        /// budget. `None` where the pool does not say.
        why: Option<Box<AcquireError>>,
    },
    /// The pool is not waited for: see [`PoolConfig::waiting`](crate::PoolConfig::waiting).
    WaitingOff {
        /// What the pool is called.
        pool: Arc<str>,
    },
    /// The pool has been closed.
    Closed {
        /// What the pool is called; a tier of a [`MultiSizePool`](crate::MultiSizePool) that was closed by itself, what
        /// that is called.
        pool: Arc<str>,
    },
}

impl AcquireError {
    /// What the pool is called that did not lend.
    #[must_use]
    pub fn pool(&self) -> &str {
        match self {
            AcquireError::TooLarge { pool, .. }
            | AcquireError::TooMany { pool, .. }
            | AcquireError::Exhausted { pool, .. }
            | AcquireError::OverBudget { pool, .. }
            | AcquireError::TimedOut { pool, .. }
            | AcquireError::TooManyWaiting { pool, .. }
            | AcquireError::OutOfMemory { pool, .. }
            | AcquireError::WaitingOff { pool }
            | AcquireError::Closed { pool } => pool,
        }
    }

    /// This error, or that of both tiers together if both are exhausted.
    pub(crate) fn and(self, next: AcquireError) -> AcquireError {
        match (self, next) {
            (
                AcquireError::Exhausted {
                    pool,
                    in_use,
                    max,
                    first_wants,
                    held_by,
                },
                AcquireError::Exhausted {
                    pool: next,
                    in_use: in_use_there,
                    max: max_there,
                    first_wants: first_wants_there,
                    held_by: held_there,
                },
            ) => AcquireError::Exhausted {
                pool: format!("{pool} and {next}").into(),
                in_use: in_use + in_use_there,
                max: max + max_there,
                first_wants: first_wants.max(first_wants_there),
                held_by: match (held_by, held_there) {
                    (Some(here), Some(there)) => Some(Box::new(here.and(*there))),
                    (here, there) => here.or(there),
                },
            },
            (error, _) => error,
        }
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireError::TooLarge { pool, requested, max } => write!(
                f,
                "{} requested, but the largest buffer of {pool} has {max}: \
                 ask for less, or make it with larger buffers",
                Bytes(*requested)
            ),
            AcquireError::TooMany { pool, requested, max } => write!(
                f,
                "{} requested at once, but {pool} lends {max} at most: \
                 ask for fewer, or raise its max, or the budget that it shares",
                Buffers(*requested)
            ),
            AcquireError::Exhausted {
                pool,
                in_use,
                max,
                first_wants,
                held_by,
            } => {
                match (in_use < max, first_wants) {
                    (true, 0) => write!(f, "too few buffers of {pool} are free ({in_use} of {max} in use)")?,
                    // Of two tiers, one may lend more than a max that was lowered, while the other has some that are
                    // owed.
                    (_, 1..) => write!(
                        f,
                        "the buffers of {pool} that are free ({in_use} of {max} in use) are owed to requests that \
                         wait, the first of which wants {first_wants}"
                    )?,
                    (false, 0) => write!(f, "all buffers of {pool} are in use ({in_use} of {max})")?,
                }
                write!(f, ": release some, shed load, or raise its max")?;
                write_held_by(f, held_by.as_deref())
            }
            AcquireError::OverBudget {
                pool,
                requested,
                lent,
                budget,
                waiting: waiting @ 1..,
            } => write!(
                f,
                "{} of {pool} come after {waiting} that wait for bytes of the budget, of which {lent} of {budget} \
                 are lent: release some, shed load, or raise the budget",
                Bytes(*requested)
            ),
            AcquireError::TooManyWaiting { pool, waiting } => write!(
                f,
                "{waiting} requests wait for {pool} already, as many as it lets wait: shed load, or raise its \
                 max_waiting"
            ),
            AcquireError::OutOfMemory { pool, bytes } => write!(
                f,
                "no memory for {} of guards of {pool}: ask for fewer at once",
                Bytes(*bytes)
            ),
            AcquireError::OverBudget {
                pool,
                requested,
                lent,
                budget,
                ..
            } => write!(
                f,
                "{} of {pool}, beside {lent} lent already, \
                 would exceed the budget of {budget}: release some, shed load, or raise the budget",
                Bytes(*requested)
            ),
            AcquireError::WaitingOff { pool } => write!(
                f,
                "{pool} is made not to be waited for: acquire without waiting, or make it with waiting"
            ),
            AcquireError::TimedOut { pool, waited, why } => {
                write!(f, "waited {waited:.1?} in vain for ")?;
                match why.as_deref() {
                    Some(AcquireError::OverBudget {
                        requested,
                        lent,
                        budget,
                        ..
                    }) => write!(
                        f,
                        "{} of {pool}, beside {lent} lent already of a budget of {budget}: \
                         wait longer, shed load, or raise the budget",
                        Bytes(*requested)
                    ),
                    Some(AcquireError::Exhausted {
                        in_use, max, held_by, ..
                    }) => {
                        write!(
                            f,
                            "{pool} ({in_use} of {max} in use): wait longer, shed load, or raise its max"
                        )?;
                        write_held_by(f, held_by.as_deref())
                    }
                    _ => write!(f, "{pool}: wait longer, shed load, or raise its max"),
                }
            }
            AcquireError::Closed { pool } => {
                write!(f, "{pool} is closed: it lends no more buffers")
            }
        }
    }
}

/// What the message of an error has at its end where the pool tracks what holds its buffers.
fn write_held_by(f: &mut fmt::Formatter<'_>, held_by: Option<&HeldBy>) -> fmt::Result {
    match held_by {
        Some(held_by) => write!(f, "; {held_by}"),
        None => Ok(()),
    }
}

impl Error for AcquireError {}

impl From<AcquireError> for io::Error {
    fn from(error: AcquireError) -> Self {
        let kind = match error {
            AcquireError::TooLarge { .. } | AcquireError::TooMany { .. } => io::ErrorKind::InvalidInput,
            AcquireError::Exhausted { .. } | AcquireError::OverBudget { .. } | AcquireError::TooManyWaiting { .. } => {
                io::ErrorKind::ResourceBusy
            }
            AcquireError::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
            AcquireError::TimedOut { .. } => io::ErrorKind::TimedOut,
            AcquireError::WaitingOff { .. } => io::ErrorKind::Unsupported,
            AcquireError::Closed { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Why a pool could not be made: which pool or tier, and what is wrong with its configuration.
///
/// Converts to [`std::io::Error`], with the kind [`OutOfMemory`](io::ErrorKind::OutOfMemory) for
/// [`ConfigProblem::OutOfMemory`] and [`InvalidInput`](io::ErrorKind::InvalidInput) for all else; the error itself
/// stays reachable through [`get_ref`](io::Error::get_ref). The message is that of the problem, with the name before
/// it: the problem is no [`source`](Error::source), which would be printed again.
///
/// ```
/// use poolbuf::{BufferPool, ConfigProblem, PoolConfig};
///
/// let config = PoolConfig::new(8192).initial(100).max(50).name("recv");
/// let error = BufferPool::with_config(config).unwrap_err();
/// assert_eq!(&*error.pool, "recv");
/// assert_eq!(error.problem, ConfigProblem::InitialExceedsMax { initial: 100, max: 50 });
/// assert_eq!(error.to_string(), "recv: initial is 100 buffers, more than the max of 50");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// What the pool would be called; of a [`MultiSizePool`](crate::MultiSizePool), the tier with the problem if one
    /// has.
    pub pool: Arc<str>,
    /// What is wrong.
    pub problem: ConfigProblem,
}

impl ConfigError {
    /// That the pool called `pool` could not be made because of `problem`: for pools of your own.
    pub fn new(pool: impl Into<Arc<str>>, problem: ConfigProblem) -> Self {
        let pool = pool.into();
        ConfigError { pool, problem }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            // As a literal: the message is one line too.
            ConfigProblem::InvalidName => write!(f, "{:?}: {}", self.pool, self.problem),
            _ => write!(f, "{}: {}", self.pool, self.problem),
        }
    }
}

impl Error for ConfigError {}

impl From<ConfigError> for io::Error {
    fn from(error: ConfigError) -> Self {
        let kind = match error.problem {
            ConfigProblem::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
            _ => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

/// What is wrong with the configuration of a pool: part of [`ConfigError`], where the example is. An error by itself
/// too, for what checks a configuration and has no pool's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The pool's name is empty, or has control characters, such as a line break, which would break the line of a log.
    InvalidName,
    /// The name of the [`Budget`](crate::Budget) is empty, or has control characters.
    InvalidBudgetName,
    /// The buffers would have 0 bytes.
    ZeroBufferSize,
    /// A buffer would have more bytes than a guard can count.
    BufferTooLarge {
        /// Bytes a buffer that were asked for.
        buffer_size: usize,
        /// Bytes that a buffer can have at most.
        limit: usize,
    },
    /// A buffer and its headroom together would have more bytes than a guard can count.
    HeadroomTooLarge {
        /// Bytes before each buffer that were asked for.
        headroom: usize,
        /// Bytes a buffer.
        buffer_size: usize,
        /// Bytes that both together can have at most.
        limit: usize,
    },
    /// The pool could never lend anything: its max is 0 buffers.
    ZeroBuffers,
    /// The pool could lend more buffers than an index can count.
    TooManyBuffers {
        /// Buffers at most that were asked for.
        max: usize,
        /// Buffers that a pool can have at most.
        limit: usize,
    },
    /// More buffers at first than at most.
    InitialExceedsMax {
        /// Buffers at first.
        initial: usize,
        /// Buffers at most.
        max: usize,
    },
    /// Fewer buffers reserved than the pool can have from the start.
    ReserveBelowMax {
        /// Buffers that the max can be raised to.
        reserve: usize,
        /// Buffers at most.
        max: usize,
    },
    /// More buffers reserved than an index can count.
    ReserveTooLarge {
        /// Buffers that the max was to be raised to.
        reserve: usize,
        /// Buffers that a pool can have at most.
        limit: usize,
    },
    /// The number of buffers is part of the pool's type, and the max that is configured differs from it.
    FixedMax {
        /// Buffers that the configuration asks for.
        requested: usize,
        /// Buffers that the type says.
        fixed: usize,
    },
    /// The number of buffers is part of the pool's type, and the reserve that is configured differs from it.
    FixedReserve {
        /// Buffers that the configuration asks for.
        requested: usize,
        /// Buffers that the type says.
        fixed: usize,
    },
    /// The alignment is not a power of two.
    InvalidAlignment {
        /// Bytes that were asked for.
        alignment: usize,
    },
    /// The buffers together are larger than the address space allows.
    AddressSpace {
        /// Bytes a buffer.
        buffer_size: usize,
        /// Buffers that there were to be addresses for: the reserve, or else the max.
        buffers: usize,
        /// Alignment in bytes, to which the size of each buffer is rounded up.
        alignment: usize,
    },
    /// The allocator could not reserve the memory.
    OutOfMemory {
        /// Bytes that were asked for.
        bytes: usize,
    },
    /// The budget could never cover a buffer.
    BudgetTooSmall {
        /// Bytes a buffer.
        buffer_size: usize,
        /// Bytes that can be lent at most.
        budget: usize,
    },
    /// A multi-size pool without any tier.
    NoTiers,
    /// Two tiers of a multi-size pool with the same buffer size.
    DuplicateTier {
        /// Bytes a buffer that both tiers have.
        buffer_size: usize,
    },
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigProblem::InvalidName => {
                write!(f, "the name is empty or has control characters")
            }
            ConfigProblem::InvalidBudgetName => {
                write!(f, "the name of its budget is empty or has control characters")
            }
            ConfigProblem::ZeroBufferSize => {
                write!(f, "the buffer size is 0 bytes: give it at least 1")
            }
            ConfigProblem::BufferTooLarge { buffer_size, limit } => write!(
                f,
                "the buffer size is {}, more than the limit of {limit}",
                Bytes(*buffer_size)
            ),
            ConfigProblem::HeadroomTooLarge {
                headroom,
                buffer_size,
                limit,
            } => write!(
                f,
                "a headroom of {} and buffers of {buffer_size} are more together than the limit of {limit}",
                Bytes(*headroom)
            ),
            ConfigProblem::ZeroBuffers => {
                write!(f, "the max is 0 buffers: such a pool could lend nothing")
            }
            ConfigProblem::TooManyBuffers { max, limit } => {
                write!(f, "the max is {}, more than the limit of {limit}", Buffers(*max))
            }
            ConfigProblem::InitialExceedsMax { initial, max } => {
                write!(f, "initial is {}, more than the max of {max}", Buffers(*initial))
            }
            ConfigProblem::ReserveBelowMax { reserve, max } => {
                write!(f, "the reserve is {}, fewer than the max of {max}", Buffers(*reserve))
            }
            ConfigProblem::ReserveTooLarge { reserve, limit } => write!(
                f,
                "the reserve is {}, more than the limit of {limit}",
                Buffers(*reserve)
            ),
            ConfigProblem::FixedMax { requested, fixed } => write!(
                f,
                "the max is configured as {}, but the pool's type fixes it at {fixed}",
                Buffers(*requested)
            ),
            ConfigProblem::FixedReserve { requested, fixed } => write!(
                f,
                "the reserve is configured as {}, but the pool's type fixes it at {fixed}",
                Buffers(*requested)
            ),
            ConfigProblem::InvalidAlignment { alignment } => {
                write!(f, "the alignment is {}, which is not a power of two", Bytes(*alignment))
            }
            ConfigProblem::AddressSpace {
                buffer_size,
                buffers,
                alignment,
            } => write!(
                f,
                "{} of {}, aligned to {alignment}, need more than the address space",
                Buffers(*buffers),
                Bytes(*buffer_size)
            ),
            ConfigProblem::OutOfMemory { bytes } => {
                write!(
                    f,
                    "the allocator could not reserve {}: lower the max, the reserve or the buffer size, \
                     or raise what the system allows (on Linux: ulimit -v, vm.overcommit_memory)",
                    Bytes(*bytes)
                )
            }
            ConfigProblem::BudgetTooSmall { buffer_size, budget } => write!(
                f,
                "the budget is {}, less than one buffer of {buffer_size}",
                Bytes(*budget)
            ),
            ConfigProblem::NoTiers => write!(f, "it has no tier: give it at least 1"),
            ConfigProblem::DuplicateTier { buffer_size } => {
                write!(f, "there are two tiers of {}", Bytes(*buffer_size))
            }
        }
    }
}

impl Error for ConfigProblem {}

/// Why the max of a pool was not changed: it can be 1 to [`PoolConfig::reserve`](crate::PoolConfig::reserve). It is
/// as it was.
///
/// Converts to [`std::io::Error`] with the kind [`InvalidInput`](io::ErrorKind::InvalidInput).
///
/// ```
/// use poolbuf::{BufferPool, PoolConfig};
///
/// let pool = BufferPool::with_config(PoolConfig::new(1024).max(10).reserve(100).name("recv"))?;
/// let error = pool.set_max(200).unwrap_err();
/// assert_eq!((error.requested, error.reserve), (200, 100));
/// assert_eq!(
///     error.to_string(),
///     "a max of 200 buffers requested, but that of recv can be 1 to 100: \
///      ask for that, or make it with a larger reserve",
/// );
/// assert_eq!(pool.max(), 10);
/// # Ok::<(), poolbuf::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResizeError {
    /// What the pool is called.
    pub pool: Arc<str>,
    /// Buffers that were asked for.
    pub requested: usize,
    /// Buffers that the max can be raised to.
    pub reserve: usize,
}

impl ResizeError {
    pub(crate) fn new(pool: Arc<str>, requested: usize, reserve: usize) -> Self {
        ResizeError {
            pool,
            requested,
            reserve,
        }
    }
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ResizeError {
            pool,
            requested,
            reserve,
        } = self;
        write!(
            f,
            "a max of {} requested, but that of {pool} can be 1 to {reserve}: ",
            Buffers(*requested)
        )?;
        match requested {
            0 => write!(f, "lower it to 1, or close the pool"),
            _ => write!(f, "ask for that, or make it with a larger reserve"),
        }
    }
}

impl Error for ResizeError {}

impl From<ResizeError> for io::Error {
    fn from(error: ResizeError) -> Self {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

/// More bytes than the rest of a buffer holds. Nothing was written, but by
/// [`write_all`](io::Write::write_all), which writes what fits.
///
/// Converts to [`std::io::Error`] with the kind [`WriteZero`](io::ErrorKind::WriteZero), as writing to a
/// full slice does.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(8, 1, 1)?;
/// let mut buf = pool.acquire()?;
/// buf.extend_from_slice(b"hello")?;
/// let error = buf.extend_from_slice(b" world").unwrap_err();
/// assert_eq!((error.requested, error.spare, error.capacity), (6, 3, 8));
/// assert_eq!(&buf[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapacityError {
    /// Bytes that were to be added.
    pub requested: usize,
    /// Bytes that could still be added there.
    pub spare: usize,
    /// Bytes that could be added beside `spare` after [`PooledBuf::compact`](crate::PooledBuf::compact), since they
    /// were consumed. 0 for what was to be prepended.
    pub consumed: usize,
    /// Bytes that the buffer holds in all: its [`capacity`](crate::PooledBuf::capacity).
    pub capacity: usize,
    side: Side,
}

/// Where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Behind,
    InFront,
}

impl CapacityError {
    pub(crate) fn behind(requested: usize, spare: usize, consumed: usize, capacity: usize) -> Self {
        CapacityError {
            requested,
            spare,
            consumed,
            capacity,
            side: Side::Behind,
        }
    }

    pub(crate) fn in_front(requested: usize, spare: usize, capacity: usize) -> Self {
        CapacityError {
            requested,
            spare,
            consumed: 0,
            capacity,
            side: Side::InFront,
        }
    }
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CapacityError {
            requested,
            spare,
            consumed,
            capacity,
            side,
        } = self;
        if let (Side::Behind, 0, 0) = (side, spare, consumed) {
            return write!(f, "the buffer is full: it holds {}", Bytes(*capacity));
        }
        let do_not = if *requested == 1 { "does not" } else { "do not" };
        write!(f, "{} {do_not} fit", Bytes(*requested))?;
        match (side, consumed) {
            (Side::InFront, _) => write!(f, " in front: there is room for {spare}"),
            (Side::Behind, 0) => write!(f, ": the buffer has room for {spare} of its {capacity}"),
            (Side::Behind, consumed) => write!(
                f,
                ": the buffer has room for {spare} of its {capacity} behind its data, \
                 and for {consumed} before them: compact it"
            ),
        }
    }
}

impl Error for CapacityError {}

impl From<CapacityError> for io::Error {
    fn from(error: CapacityError) -> Self {
        io::Error::new(io::ErrorKind::WriteZero, error)
    }
}

/// Why a guard was not split: it is as it was.
///
/// Converts to [`std::io::Error`] with the kind [`InvalidInput`](io::ErrorKind::InvalidInput) for
/// [`TooShort`](SplitError::TooShort) and [`OutOfMemory`](io::ErrorKind::OutOfMemory) for
/// [`OutOfMemory`](SplitError::OutOfMemory).
///
/// ```
/// use poolbuf::{BufferPool, Pool, SplitError};
///
/// let mut buf = BufferPool::new(8, 1, 1)?.acquire()?;
/// buf.extend_from_slice(b"hello")?;
/// let error = buf.split_to(6).unwrap_err();
/// assert_eq!(error, SplitError::TooShort { at: 6, len: 5 });
/// assert_eq!(error.to_string(), "a split at byte 6 requested, but there are 5 bytes: ask for that at most");
/// assert_eq!((&buf[..], buf.spare_len()), (&b"hello"[..], 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitError {
    /// There are fewer bytes.
    TooShort {
        /// How many bytes were to come before the split.
        at: usize,
        /// Bytes that there are.
        len: usize,
    },
    /// The allocator has no memory for what the parts share.
    OutOfMemory {
        /// Bytes that were asked for.
        bytes: usize,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitError::TooShort { at, len } => {
                let are = if *len == 1 { "is" } else { "are" };
                let len = Bytes(*len);
                write!(
                    f,
                    "a split at byte {at} requested, but there {are} {len}: ask for that at most"
                )
            }
            SplitError::OutOfMemory { bytes } => write!(
                f,
                "no memory for the {} that the parts of a buffer share",
                Bytes(*bytes)
            ),
        }
    }
}

impl Error for SplitError {}

impl From<SplitError> for io::Error {
    fn from(error: SplitError) -> Self {
        let kind = match error {
            SplitError::TooShort { .. } => io::ErrorKind::InvalidInput,
            SplitError::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
        };
        io::Error::new(kind, error)
    }
}
