//! What all pools have in common.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::buf::chain::PooledChain;
use crate::buf::guard::PooledBuf;
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Holders;
use crate::report::stats::PoolStats;
use crate::waiting::acquire::Acquire;

/// A pool of buffers: what every pool can do, from lending a buffer to closing.
///
/// Object-safe: a server can hold an `Arc<dyn Pool>`, be generic over `P: Pool`, or name a pool, and change
/// its mind in one line. `&P`, `Box<P>` and `Arc<P>` are pools too. To lend your own memory, see
/// [`Recycler`](crate::Recycler).
///
/// `Debug` shows the pool's figures, so that a struct that holds an `Arc<dyn Pool>` can derive it.
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
pub trait Pool: fmt::Debug + Send + Sync {
    /// Lends an empty buffer that can hold at least `len` bytes: the smallest free one of the pool that
    /// can. Never waits for a buffer to come back.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](AcquireError::TooLarge) when no buffer of the pool is large enough,
    /// [`Exhausted`](AcquireError::Exhausted) when all that could serve the request are in use,
    /// [`OverBudget`](AcquireError::OverBudget) when the pools that share its [`Budget`](crate::Budget) lend too much
    /// already, and [`Closed`](AcquireError::Closed) when the pool has been closed.
    #[track_caller]
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError>;

    /// The largest `len` that [`acquire_for`](Pool::acquire_for) can serve, in bytes.
    fn max_len(&self) -> usize;

    /// The pool's figures at this moment.
    fn stats(&self) -> PoolStats;

    /// What statistics, errors and logs call the pool: of this crate's pools, what
    /// [`PoolConfig::name`](crate::PoolConfig::name) says.
    fn name(&self) -> &str;

    /// Lends no more, through whatever handle: from now on acquiring fails with
    /// [`Closed`](AcquireError::Closed), and so do the requests that wait. Buffers that are out stay valid, and go
    /// back when they are dropped. Closing a closed pool changes nothing.
    ///
    /// Returns the buffers that are out, and what holds them if the pool
    /// [tracks](crate::PoolConfig::track_holders) that. Waits for none of them. A pool need not be closed to be freed:
    /// its memory goes when the last handle and the last guard are gone.
    ///
    /// ```
    /// use poolbuf::{AcquireError, BufferPool, Pool};
    /// use std::sync::Arc;
    ///
    /// let pool: Arc<dyn Pool> = Arc::new(BufferPool::new(1024, 0, 10)?);
    /// let mut held = pool.acquire()?;
    /// assert_eq!(pool.close().outstanding(), 1);
    /// assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
    /// held.extend_from_slice(b"goodbye")?;
    /// drop(held);
    /// assert_eq!(pool.stats().in_use, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn close(&self) -> Holders;

    /// Lends an empty buffer of the largest size that the pool has.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_for`](Pool::acquire_for) but for `TooLarge`.
    #[inline]
    #[track_caller]
    fn acquire(&self) -> Result<PooledBuf, AcquireError> {
        self.acquire_for(self.max_len())
    }

    /// Waits until there is a buffer that can hold at least `len` bytes, for at most `timeout`, and parks the
    /// thread meanwhile; `Duration::MAX` is for ever. First come, first served: while requests wait, every
    /// buffer that is released is granted to the one that has waited longest. In a
    /// [`MultiSizePool`](crate::MultiSizePool) the request waits for each tier that may serve it. Costs what
    /// `acquire_for` does when a buffer is free; see [`Acquire`] for the rest.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](AcquireError::TimedOut), and at once [`TooLarge`](AcquireError::TooLarge),
    /// [`WaitingOff`](AcquireError::WaitingOff) and
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

    /// Waits as [`acquire_timeout`](Pool::acquire_timeout) does, but holds up no thread: a future for any runtime. It
    /// can be dropped at any moment. A time limit is added by [`within`](Acquire::within), from the runtime's own
    /// timers; [`into_owned`](Acquire::into_owned) makes it one that borrows nothing.
    ///
    /// Pools of your own that don't say otherwise do not wait: their future is ready at once with what
    /// `acquire_for` says. One that waits returns [`Acquire::from_future`] here, and then waits in
    /// [`acquire_timeout`](Pool::acquire_timeout) too.
    #[track_caller]
    fn acquire_async(&self, len: usize) -> Acquire<'_> {
        Acquire::ready(self.acquire_for(len))
    }

    /// Lends `count` empty buffers that can hold at least `len` bytes each, all or none. Never waits. 0 are an empty
    /// `Vec`, or the error of a request that the pool could never serve: that it is closed, or that no buffer has `len`
    /// bytes.
    ///
    /// For whatever needs several buffers for one thing. Taken one at a time, each by a request that waits while it
    /// holds the ones before, they can end up with requests that all wait for one more: see
    /// [`guide::waiting`](crate::guide::waiting). Afterwards each buffer is like any other, and goes back by itself.
    ///
    /// In a [`MultiSizePool`](crate::MultiSizePool) all are of one tier: of that which fits, or, if
    /// [`Overflow`](crate::Overflow) allows it and that tier can't lend so many, of the next.
    ///
    /// *Cost.* One allocation, of 40 bytes a buffer, for the `Vec`. Beside that less than half of what as many
    /// single requests cost: in a [`BufferPool`](crate::BufferPool) all are taken from the thread's magazine at once,
    /// or with one lock from the stack behind it; in a [`LockFreePool`](crate::LockFreePool) with one compare-and-swap,
    /// or, where one of its stacks has too few, under a lock from several. `cargo bench --bench instructions` counts
    /// it. Pools of your own that don't say otherwise lend one after the other, and give back what they have if one is
    /// refused.
    ///
    /// # Errors
    ///
    /// [`TooMany`](AcquireError::TooMany) when the pool could never lend so many at once,
    /// [`Exhausted`](AcquireError::Exhausted) when at one moment fewer were free, and the others of
    /// [`acquire_for`](Pool::acquire_for). A budget is charged for all of them before the first is taken.
    ///
    /// ```
    /// use poolbuf::{AcquireError, BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(1024, 0, 10)?;
    /// let message = pool.acquire_many(6, 1024)?; // a message of 6 KiB
    /// assert_eq!(message.len(), 6);
    ///
    /// let refused = pool.acquire_many(5, 1024).unwrap_err();
    /// assert!(matches!(refused, AcquireError::Exhausted { in_use: 6, max: 10, .. }));
    /// assert_eq!(pool.stats().in_use, 6);
    ///
    /// let never = pool.acquire_many(11, 1024).unwrap_err();
    /// assert!(matches!(never, AcquireError::TooMany { requested: 11, max: 10, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn acquire_many(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError> {
        let mut bufs = Vec::new();
        for _ in 0..count {
            bufs.push(self.acquire_for(len)?);
        }
        Ok(bufs)
    }

    /// Waits until `count` buffers that can hold at least `len` bytes each can be lent, all at once: a future for any
    /// runtime, which can be dropped at any moment. [`wait_timeout`](Acquire::wait_timeout) parks the thread instead.
    ///
    /// First come, first served, in one queue with the requests for single buffers. A request holds nothing until as
    /// many are free at once as it wants; then it gets all of them. What is free meanwhile is owed to the first in the
    /// queue: those behind it wait, and requests that don't wait are refused, even if one would be enough for them. So
    /// it is always served in the end, and two that want many never each hold what the other lacks. Whether it can be
    /// served at all is asked at its first poll, and once more when the max is lowered. A request for none has its
    /// answer when it is made.
    ///
    /// Pools of your own that don't say otherwise do not wait for many, as above.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::time::Duration;
    ///
    /// let pool = BufferPool::new(1024, 0, 4)?;
    /// let held = pool.acquire_many(3, 1024)?;
    /// assert!(pool.acquire_many_async(2, 1024).wait_timeout(Duration::from_millis(1)).is_err());
    ///
    /// std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| pool.acquire_many_async(4, 1024).wait_timeout(Duration::MAX).map(drop));
    ///     drop(held);
    ///     waiting.join().unwrap()
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn acquire_many_async(&self, count: usize, len: usize) -> Acquire<'_, Vec<PooledBuf>> {
        Acquire::ready(self.acquire_many(count, len))
    }

    /// As [`acquire_many`](Pool::acquire_many), for who holds some buffers already and needs more to finish: what is
    /// free is lent past the requests that wait. They hold nothing, and can go on waiting; if who holds could get no
    /// more while anybody waits, then nobody would finish. See [`PooledChain::try_grow`].
    ///
    /// Bound what one client may hold by a [`Share`](crate::Share), or those that wait could starve. Costs what
    /// `acquire_many` does; while requests wait, a lock more. Pools of your own that don't say otherwise refuse while
    /// requests wait, if `acquire_many` does.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_many`](Pool::acquire_many).
    #[track_caller]
    fn acquire_more(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError> {
        self.acquire_many(count, len)
    }

    /// Lends buffers that can hold at least `len` bytes together, all or none, to be written and read as one. Never
    /// waits. For messages that are larger than any buffer of the pool; at least one buffer.
    ///
    /// All are of the pool's largest size, as many as it takes; what one buffer holds gets the smallest that does.
    /// Costs what [`acquire_many`](Pool::acquire_many) does.
    ///
    /// # Errors
    ///
    /// Those of [`acquire_many`](Pool::acquire_many); [`TooMany`](AcquireError::TooMany) for more than all buffers of
    /// the largest size hold.
    ///
    /// ```
    /// use poolbuf::{AcquireError, BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(16 * 1024, 0, 100)?;
    /// let message = pool.acquire_chain(1_000_000)?;
    /// assert_eq!((message.buffers(), message.spare_len()), (62, 62 * 16 * 1024));
    ///
    /// let refused = pool.acquire_chain(1_000_000).unwrap_err();
    /// assert!(matches!(refused, AcquireError::Exhausted { in_use: 62, max: 100, .. }));
    /// let never = pool.acquire_chain(2_000_000).unwrap_err();
    /// assert!(matches!(never, AcquireError::TooMany { requested: 123, max: 100, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn acquire_chain(&self, len: usize) -> Result<PooledChain, AcquireError> {
        let (count, len) = in_buffers_of(self.max_len(), len);
        let bufs = self.acquire_many(count, len)?;
        Ok(bufs.into_iter().collect())
    }

    /// Waits for a chain as [`acquire_many_async`](Pool::acquire_many_async) does for its buffers, which are all of the
    /// pool's largest size. [`wait_timeout`](Acquire::wait_timeout) parks the thread.
    #[track_caller]
    fn acquire_chain_async(&self, len: usize) -> Acquire<'_, PooledChain> {
        Acquire::ready(self.acquire_chain(len))
    }

    /// The most bytes that a buffer lent for `len` bytes can have, or `None` if no buffer has so many: what a
    /// [`Share`](crate::Share) is charged with.
    fn capacity_for(&self, len: usize) -> Option<usize> {
        let most = self.max_len();
        (len <= most).then_some(most)
    }

    /// A handle of what has lent this guard, if that is this pool, and one of this crate's.
    #[doc(hidden)]
    fn handle_for(&self, _: &PooledBuf) -> Option<Box<dyn Send + Sync>> {
        None
    }

    /// What holds the buffers that are out: the lines of code that acquired them, if the pool
    /// [tracks](crate::PoolConfig::track_holders) that; else only how many are out. Looks at every buffer of the pool.
    fn holders(&self) -> Holders {
        Holders::untracked(self.stats().in_use)
    }

    /// Gives the memory of free buffers back to the operating system, and returns how many bytes that were. What is
    /// lent is not touched, and what is lent later takes up memory again when it is written, page by page.
    ///
    /// In the pools of this crate, a page goes if all of its bytes belong to free buffers (so what buffers of 64 bytes
    /// give back depends on how they lie), and not a second time before one of these has been lent again; whether it
    /// was in memory is not asked. On Linux and Android that is `madvise(MADV_DONTNEED)`, on Windows
    /// `DiscardVirtualMemory`; elsewhere nothing is given back. They return 0 as well when they are closed, and when
    /// another thread is trimming them. What it costs is said at each of them. A pool of your own that does not say
    /// otherwise gives nothing back.
    ///
    /// Not for a pool whose memory is registered with the kernel, as fixed buffers of io_uring are: the kernel
    /// would go on to use the pages that were given back. Nor where the global allocator
    /// takes its memory from hugetlbfs, whose pages are larger than those reckoned with here.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let pool: Box<dyn Pool> = Box::new(BufferPool::new(16_384, 0, 64)?);
    /// let held: Vec<_> = (0..64).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
    /// let before = pool.stats().resident_bytes;
    /// drop(held);
    /// let given_back = pool.trim();
    /// assert_eq!(pool.stats().resident_bytes, before - given_back);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn trim(&self) -> usize {
        0
    }
}

/// How many buffers of at most `largest` bytes hold `len`, and what each is asked to hold.
pub(crate) fn in_buffers_of(largest: usize, len: usize) -> (usize, usize) {
    (len.div_ceil(largest.max(1)).max(1), len.min(largest))
}

/// What points to a pool is that pool: every method goes there, or else what a pool of the user's does in place of a
/// default would be lost. `tests/forwarding.rs` compares this list with the trait.
macro_rules! forward {
    (for $pointer:ty; $(fn $method:ident(&self $(, $value:ident: $type:ty)*) -> $result:ty;)*) => {
        impl<P: Pool + ?Sized> Pool for $pointer {
            $(
                #[inline]
                fn $method(&self $(, $value: $type)*) -> $result {
                    (**self).$method($($value),*)
                }
            )*
        }
    };
    ($($methods:tt)*) => {
        forward! { for &P; $($methods)* }
        forward! { for Box<P>; $($methods)* }
        forward! { for Arc<P>; $($methods)* }
    };
}

forward! {
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError>;
    fn max_len(&self) -> usize;
    fn stats(&self) -> PoolStats;
    fn name(&self) -> &str;
    fn close(&self) -> Holders;
    fn acquire(&self) -> Result<PooledBuf, AcquireError>;
    fn acquire_timeout(&self, len: usize, timeout: Duration) -> Result<PooledBuf, AcquireError>;
    fn acquire_async(&self, len: usize) -> Acquire<'_>;
    fn acquire_many(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError>;
    fn acquire_many_async(&self, count: usize, len: usize) -> Acquire<'_, Vec<PooledBuf>>;
    fn acquire_more(&self, count: usize, len: usize) -> Result<Vec<PooledBuf>, AcquireError>;
    fn acquire_chain(&self, len: usize) -> Result<PooledChain, AcquireError>;
    fn acquire_chain_async(&self, len: usize) -> Acquire<'_, PooledChain>;
    fn capacity_for(&self, len: usize) -> Option<usize>;
    fn handle_for(&self, buf: &PooledBuf) -> Option<Box<dyn Send + Sync>>;
    fn holders(&self) -> Holders;
    fn trim(&self) -> usize;
}
