//! What is lent to one request: as many buffers as it asked for.
#![forbid(unsafe_code)]

use crate::buf::chain::PooledChain;
use crate::buf::guard::PooledBuf;

/// See the module. One lies beside the others, so that a request for one allocates nothing. What is never handed on
/// goes back to its pool when this is dropped, which takes locks of the pool's.
pub(crate) struct Loan {
    pub(crate) first: PooledBuf,
    /// The one on top of the free list last, so that, released from the front on, they lie there as before. Has room
    /// for the first, if there are others.
    pub(crate) others: Vec<PooledBuf>,
}

impl Loan {
    pub(crate) fn one(first: PooledBuf) -> Self {
        Loan {
            first,
            others: Vec::new(),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        // As many as a request asked for, a `u32`.
        self.others.len() as u32 + 1
    }

    /// `None` if there are none.
    pub(crate) fn many(mut others: Vec<PooledBuf>) -> Option<Self> {
        let first = others.pop()?;
        Some(Loan { first, others })
    }
}

/// What an [`Acquire`](crate::Acquire) is ready with: a [`PooledBuf`], as many as were asked for in a `Vec`, or a
/// [`PooledChain`]. Nothing else can be.
///
/// ```
/// use poolbuf::{Acquire, AcquireError, BufferPool, Lent, Pool};
/// use std::time::Duration;
///
/// fn wait<T: Lent>(request: Acquire<'_, T>) -> Result<T, AcquireError> {
///     request.wait_timeout(Duration::from_millis(10))
/// }
///
/// let pool = BufferPool::new(1024, 0, 10)?;
/// assert_eq!(wait(pool.acquire_async(1024))?.capacity(), 1024);
/// assert_eq!(wait(pool.acquire_many_async(3, 1024))?.len(), 3);
/// assert_eq!(wait(pool.acquire_chain_async(5000))?.buffers(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Lent: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn from_buffers(first: PooledBuf, others: Vec<PooledBuf>) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::PooledBuf {}
    impl Sealed for Vec<super::PooledBuf> {}
    impl Sealed for super::PooledChain {}
}

impl Lent for PooledBuf {
    #[inline]
    fn from_buffers(first: PooledBuf, _: Vec<PooledBuf>) -> Self {
        first
    }
}

impl Lent for Vec<PooledBuf> {
    fn from_buffers(first: PooledBuf, mut others: Vec<PooledBuf>) -> Self {
        others.push(first);
        others
    }
}

impl Lent for PooledChain {
    fn from_buffers(first: PooledBuf, others: Vec<PooledBuf>) -> Self {
        Vec::from_buffers(first, others).into_iter().collect()
    }
}
