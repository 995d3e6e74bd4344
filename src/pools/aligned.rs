//! Buffers that start on cache-line, page or larger boundaries.
#![forbid(unsafe_code)]

use crate::engine::config::PoolConfig;
use crate::engine::handle::PoolHandle;
use crate::free_list::magazines::Magazines;
use crate::pools::forward::{public_pool, resizable_pool};
use crate::report::error::config::ConfigError;

/// A [`BufferPool`](crate::BufferPool) whose buffers start at multiples of 64 bytes, or of a larger power of two.
///
/// It is that pool with another default: a [`PoolConfig::alignment`] of at least 64, and all buffers there from the
/// start with [`new`](AlignedPool::new). All else is said there.
///
/// 64 bytes are a cache line: no two buffers share one, so two threads that write to neighbouring buffers
/// do not slow each other down, and vector instructions find their data aligned.
///
/// *For direct I/O* (`O_DIRECT`, `FILE_FLAG_NO_BUFFERING`) *64 bytes are too few*. It asks for addresses and lengths
/// that are multiples of what the disk and its file system work in: 4,096 bytes do for nearly all of them. Say so with
/// [`with_alignment`](AlignedPool::with_alignment), and make `buffer_size` a multiple of it too.
///
/// The space between buffers costs address space: each takes `buffer_size` rounded up to the alignment.
///
/// ```
/// use poolbuf::{AlignedPool, Pool};
///
/// let pool = AlignedPool::new(1500, 100)?;
/// assert_eq!(pool.acquire()?.spare_mut().as_ptr() as usize % 64, 0);
///
/// let pages = AlignedPool::with_alignment(16_384, 8, 4096)?; // for direct I/O
/// assert_eq!(pages.acquire()?.spare_mut().as_ptr() as usize % 4096, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AlignedPool {
    handle: PoolHandle<Magazines>,
}

impl AlignedPool {
    const NAME: &str = "aligned pool";
    /// A cache line of x86-64 and of most Arm processors.
    const ALIGNMENT: usize = 64;
    const FIXED_MAX: Option<usize> = None;

    /// A pool of `count` buffers of `buffer_size` bytes that start at multiples of 64 bytes. All exist,
    /// their memory touched, from the start.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] when `buffer_size` or `count` is 0 or too large, or the memory can't be reserved.
    pub fn new(buffer_size: usize, count: usize) -> Result<Self, ConfigError> {
        AlignedPool::with_alignment(buffer_size, count, AlignedPool::ALIGNMENT)
    }

    /// As [`new`](AlignedPool::new), but the buffers start at multiples of `alignment` bytes, any power of
    /// two. One below 64 is raised to 64.
    ///
    /// # Errors
    ///
    /// As for [`new`](AlignedPool::new), and when `alignment` is not a power of two.
    pub fn with_alignment(buffer_size: usize, count: usize, alignment: usize) -> Result<Self, ConfigError> {
        AlignedPool::with_config(
            PoolConfig::new(buffer_size)
                .initial(count)
                .max(count)
                .alignment(alignment),
        )
    }
}

public_pool!(AlignedPool);
resizable_pool!(AlignedPool);
