//! The pool for most servers: equal buffers, a mutex-guarded free-stack behind per-thread magazines, growth
//! from `initial` to `max`.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::engine::config::{Defaults, PoolConfig};
use crate::engine::handle::PoolHandle;
use crate::engine::line::Line;
use crate::free_list::magazines::Magazines;
use crate::pools::forward::{public_pool, resizable_pool};
use crate::report::error::config::ConfigError;

/// A pool of equal buffers, from `initial` to `max` of them.
///
/// `initial` buffers exist from the start, their memory touched. More are made as they are needed, up to
/// `max`; until a buffer is first written it takes up address space, but no memory. When all `max` are in
/// use, acquiring fails at once.
///
/// *Cost.* Each thread keeps a few free buffers at hand, in its magazine ([`PoolConfig::magazine`]). Acquire and
/// release use that alone: no lock, no atomic read-modify-write, no reference count, and nothing that another
/// thread writes to. When it is empty or full, half a magazine is moved from or to the free-stack that all
/// threads share, under a mutex held for a few instructions. The buffer that a thread released last, whose
/// bytes are likely still in its core's cache, is what it is lent first. A thread's first acquire allocates
/// its magazine, about 700 bytes, and once for all pools 2 KiB to find it in; its end gives back what was there.
///
/// *Exhaustion is exact.* A request is refused only when all `max` buffers are in use: before, those that rest in
/// the magazines of other threads are taken back. That costs some microseconds, and these threads then go to
/// the free-stack for their next thousand visits or so, so a pool that lives at its limit pays for it
/// seldom; it is as fast as a mutex then.
///
/// *Trimming* ([`trim`](crate::Pool::trim)) sorts the free buffers, and costs a system call for each row of free ones
/// side by side, and the system's work for each page that goes back: some tens of milliseconds for hundreds of MiB.
/// Buffers at the hand of other threads are taken back first, so they go without for a while, as
/// after a request that found nothing. Meanwhile others acquire and release as ever; at the free-stack they may have to
/// wait for a MiB of it, or for one buffer if that is larger.
///
/// The magazines are those of J. Bonwick and J. Adams, *Magazines and Vmem* (USENIX 2001). Taking them back relies on
/// `membarrier(2)` on Linux; where that is not to be had, acquire and release cost a memory fence each. Windows has
/// `FlushProcessWriteBuffers`, but that of Wine does nothing, and a program can't be sure which it runs on: so it is
/// used only in a program that is built with `RUSTFLAGS="--cfg poolbuf_windows_barrier"`, by which you say that it runs
/// on Windows itself. (Where it runs on Wine nevertheless, and Wine hides that, a buffer could be lent twice.) Not to
/// be used in signal handlers, nor in a global allocator.
///
/// ```
/// use poolbuf::{AcquireError, BufferPool, Pool};
///
/// let pool = BufferPool::new(8192, 50, 100)?; // 8 KiB each, 50 at first, 100 at most
/// let held: Vec<_> = (0..100).map(|_| pool.acquire()).collect::<Result<_, _>>()?;
/// assert!(matches!(pool.acquire(), Err(AcquireError::Exhausted { in_use: 100, max: 100, .. })));
///
/// // A guard may go to another thread, and outlive every handle of its pool.
/// drop(pool);
/// std::thread::spawn(move || drop(held)).join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Names, wiping and alignment are set with a [`PoolConfig`]:
///
/// ```
/// use poolbuf::{BufferPool, Pool, PoolConfig, Wipe};
///
/// let pool = BufferPool::with_config(
///     PoolConfig::for_connections(1000).buffer_size(2048).name("recv").wipe(Wipe::OnRelease),
/// )?;
/// assert_eq!((pool.name(), pool.max()), ("recv", 3000));
/// # Ok::<(), poolbuf::ConfigError>(())
/// ```
pub struct BufferPool {
    pub(crate) handle: PoolHandle<Magazines>,
}

impl BufferPool {
    const NAME: &str = "buffer pool";
    /// What `malloc` gives; enough for every primitive type.
    const ALIGNMENT: usize = 16;
    const FIXED_MAX: Option<usize> = None;

    /// A pool of buffers of `buffer_size` bytes, `initial` of them at first and `max` at most.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] when `buffer_size` is 0 or above 4,294,967,295, `max` is 0 or above
    /// 4,294,967,294, `initial` is above `max`, or the memory can't be reserved.
    #[inline]
    pub fn new(buffer_size: usize, initial: usize, max: usize) -> Result<Self, ConfigError> {
        BufferPool::with_config(PoolConfig::new(buffer_size).initial(initial).max(max))
    }

    /// As `with_config`: the next tier of a pool whose requests wait in `line`.
    pub(crate) fn with_config_in(config: PoolConfig, line: &Arc<Line<Magazines>>) -> Result<Self, ConfigError> {
        let config = config.check(Defaults {
            name: Self::NAME,
            alignment: Self::ALIGNMENT,
            fixed_max: Self::FIXED_MAX,
        })?;
        PoolHandle::new(config, line).map(|handle| BufferPool { handle })
    }
}

public_pool!(BufferPool);
resizable_pool!(BufferPool);
