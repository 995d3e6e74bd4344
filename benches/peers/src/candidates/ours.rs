//! `BufferPool` and `LockFreePool`, the subjects. [`Wipe::Never`] is the default of a release build, said
//! aloud.

use poolbuf::{BufferPool, LockFreePool, Pool, PoolConfig, PooledBuf, Wipe};

use crate::strategy::{BUFFER_SIZE, Bounded, Strategy};

/// What every ratio is taken to.
pub(crate) const OURS: &str = "buffer-pool";
pub(crate) const LOCK_FREE: &str = "lock-free-pool";

macro_rules! ours {
    ([$($parameter:tt)*] $pool:ty, $id:expr, $label:literal) => {
        impl<$($parameter)*> Strategy for $pool {
            type Guard<'a> = PooledBuf;

            const ID: &'static str = $id;
            const LABEL: &'static str = $label;

            fn new(buffers: usize) -> Self {
                let config = PoolConfig::new(BUFFER_SIZE).initial(buffers).max(buffers);
                Self::with_config(config.wipe(Wipe::Never))
                    .expect("the pool's memory can be reserved")
            }

            #[inline(always)]
            fn acquire(&self) -> PooledBuf {
                Pool::acquire(self).expect("a buffer is free")
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
                Pool::acquire(self).ok()
            }
        }
    };
}

ours!([] BufferPool, OURS, "`BufferPool`");
ours!([const N: usize] LockFreePool<N>, LOCK_FREE, "`LockFreePool`");
