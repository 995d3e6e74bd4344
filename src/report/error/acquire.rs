//! Why a pool lent nothing.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::base::units::{Buffers, Bytes};
use crate::report::holders::HeldBy;
use crate::report::name::Name;

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
        pool: Name,
        /// Bytes that were asked for.
        requested: usize,
        /// Bytes that the largest buffer of the pool has.
        max: usize,
    },
    /// The request is for more buffers at once than the pool ever lends, so it can never be served: more than its max,
    /// or than its [`Budget`](crate::Budget) has bytes for.
    TooMany {
        /// What the pool (of a [`MultiSizePool`](crate::MultiSizePool): the tier that fits the request) is called.
        pool: Name,
        /// Buffers that were asked for.
        requested: usize,
        /// Buffers that can be lent at once at most.
        max: usize,
        /// Bytes of the budget, if that is the limit, which covers `max` buffers; 0 if the limit is the pool's own.
        budget: usize,
    },
    /// At one moment all buffers that could serve the request were lent (of those that a request for many asked for,
    /// too few were free), or those that were free were owed to requests that came before and wait.
    Exhausted {
        /// What the pool (of a [`MultiSizePool`](crate::MultiSizePool): the tier that fits the request) is called.
        /// Where [the next larger tier](crate::Overflow::NextTier) was tried too, both, joined by "and": the numbers
        /// are then those of both together.
        pool: Name,
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
        pool: Name,
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
        pool: Name,
        /// Requests that wait.
        waiting: usize,
    },
    /// The allocator has no memory for the guards of so many buffers at once. None has been taken.
    OutOfMemory {
        /// What the pool is called.
        pool: Name,
        /// Bytes that the guards would take.
        bytes: usize,
    },
    /// No buffer came within the time that the request was willing to wait.
    TimedOut {
        /// What the pool is called.
        pool: Name,
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
        pool: Name,
    },
    /// The pool has been closed.
    Closed {
        /// What the pool is called; a tier of a [`MultiSizePool`](crate::MultiSizePool) that was closed by itself, what
        /// that is called.
        pool: Name,
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
            AcquireError::TooMany {
                pool,
                requested,
                max,
                budget: 0,
            } => write!(
                f,
                "{} requested at once, but by its max {pool} lends {max} at most: ask for fewer, or raise its max",
                Buffers(*requested)
            ),
            AcquireError::TooMany {
                pool,
                requested,
                max,
                budget,
            } => write!(
                f,
                "{} of {pool} requested at once, but its budget of {} covers {max}: \
                 ask for fewer, or raise the budget",
                Buffers(*requested),
                Bytes(*budget)
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
