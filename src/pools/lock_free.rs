//! A pool whose acquire and release take no lock.
#![forbid(unsafe_code)]

use crate::engine::config::PoolConfig;
use crate::engine::handle::PoolHandle;
use crate::free_list::lock_free::shards::Shards;
use crate::pools::forward::public_pool;
use crate::report::error::config::ConfigError;

/// A pool of `N` equal buffers, whose acquire and release take no lock: up to eight Treiber stacks of indices, with
/// tags against ABA.
///
/// *Progress.* [`acquire`](crate::Pool::acquire) and release are lock-free: a thread that is stopped at any
/// instruction, by the scheduler or by a debugger, holds up no other; whenever one thread has to try again, another has
/// got its buffer or given one back. They are not wait-free: one thread may have to try again any number of times.
/// For threads that must not wait for others, such as a real-time audio or control loop.
///
/// *Where there is a lock.* While requests wait ([`acquire_timeout`](crate::Pool::acquire_timeout),
/// [`acquire_async`](crate::Pool::acquire_async)) the stacks are frozen, and a release takes a lock; so does an acquire
/// or a release while [`acquire_many`](crate::Pool::acquire_many) counts what is free in several stacks, since no
/// single one has as many as are wanted. Make a pool that a real-time thread uses with
/// [`PoolConfig::waiting(false)`](PoolConfig::waiting): then none waits, and many at once come from a single stack, of
/// which it says how many that are ([`TooMany`](crate::AcquireError::TooMany)), and `Exhausted` means that none of the
/// stacks had so many. Trimming and closing freeze the stacks in any pool, trimming for as long as it takes to give
/// back a MiB at a time; statistics take locks that no acquire or release needs otherwise. A [`Budget`](crate::Budget)
/// that is waited for has a lock too, and [`track_holders`](PoolConfig::track_holders) one for each buffer.
///
/// *Speed.* One compare-and-swap each while threads do not meet, which they seldom do: each thread takes from a
/// stack of its own, one of eight (fewer if `N` is below 64), and goes on to the others only when that is
/// empty. A [`BufferPool`](crate::BufferPool), whose threads need no compare-and-swap at all, is faster; there
/// a thread may have to wait for another, though.
///
/// *Exhaustion is exact.* A request is refused only if at one moment all `N` buffers were in use, or owed to requests
/// that wait: the stacks are looked at again until none has changed between two looks (a double collect: Y. Afek et
/// al., *Atomic Snapshots of Shared Memory*, 1993).
///
/// *The tag* of each stack has all the bits of a 64-bit word that `N` leaves. An operation could go wrong only if,
/// while its thread is stopped between two instructions, others acquired a buffer from that stack exactly as often as
/// the tag has values, or a multiple of that:
///
/// | `N` up to | bits of the tag | at a hundred million a second, it wraps after |
/// |--:|--:|--:|
/// | 254 | 56 | 22 years |
/// | 65,534 | 48 | 32 days |
/// | 1,048,574 | 44 | 2 days |
/// | 16,777,214 | 40 | 3 hours |
/// | 4,294,967,294 | 32 | 43 seconds |
///
/// *Its max is its type:* it can't be changed while the pool lives.
///
/// *Trimming* ([`trim`](crate::Pool::trim)) costs what it does in a [`BufferPool`](crate::BufferPool), and looks at all
/// free buffers of a stack for each MiB of it. Others acquire and release between two of these steps, and wait during
/// one.
///
/// ```
/// use poolbuf::{LockFreePool, Pool};
///
/// let pool = LockFreePool::<256>::new(2048)?;
/// let mut buf = pool.acquire()?;
/// buf.extend_from_slice(b"sample")?;
/// assert_eq!(pool.stats().available, 255);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LockFreePool<const N: usize> {
    handle: PoolHandle<Shards<N>>,
}

impl<const N: usize> LockFreePool<N> {
    const NAME: &str = "lock-free pool";
    /// What `malloc` gives; enough for every primitive type.
    const ALIGNMENT: usize = 16;
    const FIXED_MAX: Option<usize> = Some(N);

    /// A pool of `N` buffers of `buffer_size` bytes. All exist, their memory touched, from the start;
    /// [`PoolConfig::initial`] makes it fewer.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] when `buffer_size` or `N` is 0 or too large, or the memory can't be reserved.
    pub fn new(buffer_size: usize) -> Result<Self, ConfigError> {
        LockFreePool::with_config(PoolConfig::new(buffer_size))
    }
}

public_pool!(LockFreePool<N>, const N);
