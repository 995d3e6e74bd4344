//! What is wrong with a configuration.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io;

use crate::base::units::{Buffers, Bytes};
use crate::report::name::Name;

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
    pub pool: Name,
    /// What is wrong.
    pub problem: ConfigProblem,
}

impl ConfigError {
    /// That the pool called `pool` could not be made because of `problem`: for pools of your own.
    pub fn new(pool: impl Into<Name>, problem: ConfigProblem) -> Self {
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
