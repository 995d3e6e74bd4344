//! The pools that the models are about.

use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig};

/// Bytes a buffer.
pub(crate) const SIZE: usize = 16;

/// A pool of `max` buffers, none of which is made before it is needed, without magazines.
pub(crate) fn buffer_pool(max: usize) -> BufferPool {
    magazine_pool(max, 0)
}

pub(crate) fn magazine_pool(max: usize, magazine: usize) -> BufferPool {
    BufferPool::with_config(PoolConfig::new(SIZE).max(max).magazine(magazine)).unwrap()
}

/// A pool all of whose buffers rest in the magazine of the calling thread.
pub(crate) fn full_magazine(buffers: usize) -> BufferPool {
    let pool = magazine_pool(buffers, buffers);
    let held: Vec<_> = (0..buffers).map(|_| pool.acquire().unwrap()).collect();
    drop(held);
    pool
}

pub(crate) fn aligned_pool(max: usize) -> AlignedPool {
    AlignedPool::with_config(PoolConfig::new(SIZE).max(max).magazine(0)).unwrap()
}

pub(crate) fn lock_free_pool<const N: usize>() -> LockFreePool<N> {
    LockFreePool::new(SIZE).unwrap()
}

/// `small` buffers of `SIZE` bytes and one of twice that, which serves when those are out.
pub(crate) fn multi_size_pool(small: usize) -> MultiSizePool {
    multi_size_pool_with_magazines(small, 0)
}

pub(crate) fn multi_size_pool_with_magazines(small: usize, magazine: usize) -> MultiSizePool {
    MultiSizePool::with_config(
        MultiSizeConfig::new()
            .tier(PoolConfig::new(SIZE).max(small).magazine(magazine))
            .tier(PoolConfig::new(2 * SIZE).max(1).magazine(magazine))
            .overflow(Overflow::NextTier),
    )
    .unwrap()
}

/// A pool of `buffers` of which `max` may be lent.
pub(crate) fn resizable_pool(buffers: usize, max: usize, magazine: usize) -> BufferPool {
    let config = PoolConfig::new(SIZE).max(max).reserve(buffers);
    BufferPool::with_config(config.magazine(magazine)).unwrap()
}
