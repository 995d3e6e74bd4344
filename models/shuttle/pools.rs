//! The pools that the models are about.

use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig};

/// Bytes a buffer.
pub(crate) const SIZE: usize = 16;

/// Any pool, of which there can be several handles.
pub(crate) trait AnyPool: Pool + Clone + 'static {}
impl<P: Pool + Clone + 'static> AnyPool for P {}

/// A pool of `max` buffers, none of which is made before it is needed, with magazines of so many.
pub(crate) fn buffer_pool(max: usize, magazine: usize) -> BufferPool {
    BufferPool::with_config(PoolConfig::new(SIZE).max(max).magazine(magazine)).unwrap()
}

pub(crate) fn aligned_pool(max: usize) -> AlignedPool {
    AlignedPool::with_config(PoolConfig::new(SIZE).max(max).magazine(2)).unwrap()
}

pub(crate) fn lock_free_pool<const N: usize>() -> LockFreePool<N> {
    LockFreePool::new(SIZE).unwrap()
}

/// One buffer fewer than `max` of `SIZE` bytes, and one of twice that, which serves when those are out.
pub(crate) fn multi_size_pool(max: usize) -> MultiSizePool {
    MultiSizePool::with_config(
        MultiSizeConfig::new()
            .tier(PoolConfig::new(SIZE).max(max - 1).magazine(2))
            .tier(PoolConfig::new(2 * SIZE).max(1).magazine(2))
            .overflow(Overflow::NextTier),
    )
    .unwrap()
}

/// Makes a test for each pool, of `max` buffers, from a model that is generic.
macro_rules! on_each_pool {
    ($model:ident, $max:literal) => {
        pub(crate) mod $model {
            use crate::explore::explore;
            use crate::pools::{aligned_pool, buffer_pool, lock_free_pool, multi_size_pool};

            #[test]
            fn buffer_pool_without_magazines() {
                explore(|| super::$model(buffer_pool($max, 0)));
            }

            #[test]
            fn buffer_pool_with_magazines() {
                explore(|| super::$model(buffer_pool($max, 3)));
            }

            #[test]
            fn aligned() {
                explore(|| super::$model(aligned_pool($max)));
            }

            #[test]
            fn lock_free() {
                explore(|| super::$model(lock_free_pool::<$max>()));
            }

            #[test]
            fn multi_size() {
                explore(|| super::$model(multi_size_pool($max)));
            }
        }
    };
}
pub(crate) use on_each_pool;
