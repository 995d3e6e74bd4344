//! Why a max was not changed.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io;

use crate::base::units::Buffers;
use crate::report::name::Name;

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
    pub pool: Name,
    /// Buffers that were asked for.
    pub requested: usize,
    /// Buffers that the max can be raised to.
    pub reserve: usize,
}

impl ResizeError {
    pub(crate) fn new(pool: Name, requested: usize, reserve: usize) -> Self {
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
