//! `BufferPool`, `LockFreePool` and `MultiSizePool`, the subjects. [`Wipe::Never`] is the default of a release build,
//! said aloud.

use poolbuf::{
    BufferPool, ConfigError, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf, Wipe,
};

use crate::strategy::{BUFFER_SIZE, Bounded, Strategy};

/// What every ratio is taken to.
pub(crate) const OURS: &str = "buffer-pool";
pub(crate) const LOCK_FREE: &str = "lock-free-pool";
pub(crate) const MULTI_SIZE: &str = "multi-size-pool";

macro_rules! ours {
    ([$($parameter:tt)*] $pool:ty, $id:expr, $label:literal, $new:expr) => {
        impl<$($parameter)*> Strategy for $pool {
            type Guard<'a> = PooledBuf;

            const ID: &'static str = $id;
            const LABEL: &'static str = $label;

            fn new(buffers: usize) -> Self {
                let config = |size| PoolConfig::new(size).initial(buffers).max(buffers).wipe(Wipe::Never);
                let new: fn(&dyn Fn(usize) -> PoolConfig) -> Result<Self, ConfigError> = $new;
                new(&config).expect("the pool's memory can be reserved")
            }

            #[inline(always)]
            fn acquire(&self) -> PooledBuf {
                self.acquire_for(BUFFER_SIZE).expect("a buffer is free")
            }

            #[inline(always)]
            fn write(guard: &mut PooledBuf, message: &[u8]) -> *const u8 {
                guard.extend_from_slice(message).expect("the message fits");
                guard.as_ptr()
            }
        }

        impl<$($parameter)*> Bounded for $pool {
            #[inline(always)]
            fn try_acquire(&self) -> Option<PooledBuf> {
                self.acquire_for(BUFFER_SIZE).ok()
            }
        }
    };
}

ours!([] BufferPool, OURS, "`BufferPool`", |config| {
    BufferPool::with_config(config(BUFFER_SIZE))
});
ours!([const N: usize] LockFreePool<N>, LOCK_FREE, "`LockFreePool`", |config| {
    LockFreePool::with_config(config(BUFFER_SIZE))
});
// Two tiers below the one that serves, and one above, of which no buffer is used.
ours!([] MultiSizePool, MULTI_SIZE, "`MultiSizePool`", |config| {
    let sizes = [512, 2048, BUFFER_SIZE, 32_768];
    let tiers = sizes.map(|size| match size {
        BUFFER_SIZE => config(size),
        _ => config(size).initial(0),
    });
    MultiSizePool::with_config(tiers.into_iter().fold(MultiSizeConfig::new(), MultiSizeConfig::tier))
});
