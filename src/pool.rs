//! What all pools have in common.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use crate::error::AcquireError;
use crate::holders::Holders;
use crate::pooled_buf::PooledBuf;
use crate::stats::PoolStats;
use crate::waiting::acquire::Acquire;

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
    #[track_caller]
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
    #[track_caller]
    fn acquire(&self) -> Result<PooledBuf, AcquireError> {
        self.acquire_for(self.max_len())
    }

    /// Waits until there is a buffer that can hold at least `len` bytes, for at most `timeout`, and parks the
    /// thread meanwhile; `Duration::MAX` is for ever. First come, first served: while somebody waits, every
    /// buffer that is released is handed to whoever has waited longest. In a [`MultiSizePool`](crate::MultiSizePool)
    /// the request waits for each tier that may serve it. Costs what `acquire_for` does when a buffer is
    /// free; see [`Acquire`] for the rest.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](AcquireError::TimedOut), and at once [`TooLarge`](AcquireError::TooLarge) and
    /// [`Closed`](AcquireError::Closed); the last also when the pool is closed meanwhile.
    ///
    /// ```
    /// use poolbuf::{AcquireError, BufferPool, Pool};
    /// use std::time::Duration;
    ///
    /// let pool = BufferPool::new(1024, 1, 1)?;
    /// let only = pool.acquire()?;
    /// let error = pool.acquire_timeout(10, Duration::from_millis(1)).unwrap_err();
    /// assert!(matches!(error, AcquireError::TimedOut { .. }));
    ///
    /// std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| pool.acquire_timeout(10, Duration::MAX).map(drop));
    ///     drop(only);
    ///     waiting.join().unwrap()
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn acquire_timeout(&self, len: usize, timeout: Duration) -> Result<PooledBuf, AcquireError> {
        self.acquire_async(len).wait_timeout(timeout)
    }

    /// Waits as [`acquire_timeout`](Pool::acquire_timeout) does, but holds up no thread: a future for any runtime,
    /// with the time limit left to the runtime's own timers. It can be dropped at any moment.
    ///
    /// Pools of your own that don't say otherwise do not wait: their future is ready at once with what
    /// `acquire_for` says.
    #[track_caller]
    fn acquire_async(&self, len: usize) -> Acquire<'_> {
        Acquire::ready(self.acquire_for(len))
    }

    /// Who holds the buffers that are out: the lines of code that acquired them, if the pool
    /// [tracks](crate::PoolConfig::track_holders) that. Looks at every buffer of the pool.
    fn holders(&self) -> Holders {
        Holders::untracked(self.stats().in_use)
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

            fn acquire_async(&self, len: usize) -> Acquire<'_> {
                (**self).acquire_async(len)
            }

            fn holders(&self) -> Holders {
                (**self).holders()
            }
        }
    )*};
}

forward!(&P, Box<P>, Arc<P>);
