//! What all pools have in common.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::error::AcquireError;
use crate::pooled_buf::PooledBuf;
use crate::stats::PoolStats;

/// A pool of buffers.
///
/// Object-safe: a server can hold an `Arc<dyn Pool>`, be generic over `P: Pool`, or name a pool, and change
/// its mind in one line. `&P`, `Box<P>` and `Arc<P>` are pools too. To lend your own memory, see
/// [`Recycler`](crate::Recycler).
///
/// ```
/// use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizePool, Pool};
///
/// fn greet(pool: &dyn Pool) -> Result<usize, Box<dyn std::error::Error>> {
///     let mut buf = pool.acquire_for(5)?;
///     buf.extend_from_slice(b"hello")?;
///     Ok(buf.capacity())
/// }
///
/// assert_eq!(greet(&BufferPool::new(1024, 10, 100)?)?, 1024);
/// assert_eq!(greet(&AlignedPool::new(1024, 10)?)?, 1024);
/// assert_eq!(greet(&LockFreePool::<10>::new(1024)?)?, 1024);
/// assert_eq!(greet(&MultiSizePool::new()?)?, 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Pool: Send + Sync {
    /// Lends an empty buffer that can hold at least `len` bytes: the smallest free one of the pool that
    /// can. Never waits for a buffer to come back.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](AcquireError::TooLarge) when no buffer of the pool is large enough,
    /// [`Exhausted`](AcquireError::Exhausted) when all that could serve the request are in use, and
    /// [`Closed`](AcquireError::Closed) when the pool has been closed.
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError>;

    /// The largest `len` that [`acquire_for`](Pool::acquire_for) can serve, in bytes.
    fn max_len(&self) -> usize;

    /// The pool's figures at this moment.
    fn stats(&self) -> PoolStats;

    /// Lends an empty buffer of the largest size that the pool has.
    ///
    /// # Errors
    ///
    /// [`Exhausted`](AcquireError::Exhausted) and [`Closed`](AcquireError::Closed), as for
    /// [`acquire_for`](Pool::acquire_for).
    #[inline]
    fn acquire(&self) -> Result<PooledBuf, AcquireError> {
        self.acquire_for(self.max_len())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<P: Pool + ?Sized> Pool for $pointer {
            #[inline]
            fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
                (**self).acquire_for(len)
            }

            #[inline]
            fn max_len(&self) -> usize {
                (**self).max_len()
            }

            fn stats(&self) -> PoolStats {
                (**self).stats()
            }

            #[inline]
            fn acquire(&self) -> Result<PooledBuf, AcquireError> {
                (**self).acquire()
            }
        }
    )*};
}

forward!(&P, Box<P>, Arc<P>);
