//! What the soak does with all pools beside what the trait `Pool` has.
#![forbid(unsafe_code)]

use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizePool, Pool, ResizeError};

use crate::recycled::RecycledPool;

/// A pool of any kind.
pub(crate) trait AnyPool: Pool {
    /// The most buffers of one of its sizes.
    fn max(&self, tier: usize) -> usize;
    /// The pool of one of its sizes, if its max can be changed.
    fn resizable(&self, tier: usize) -> Option<&dyn Resizable>;
}

/// A pool whose max can be changed.
pub(crate) trait Resizable {
    fn set_max(&self, max: usize) -> Result<usize, ResizeError>;
}

macro_rules! equal_buffers {
    ($($pool:ty, $resizable:expr $(, const $n:ident)?;)*) => {$(
        impl $(<const $n: usize>)? AnyPool for $pool {
            fn max(&self, _tier: usize) -> usize {
                <$pool>::max(self)
            }

            fn resizable(&self, _tier: usize) -> Option<&dyn Resizable> {
                let resizable: fn(&$pool) -> Option<&dyn Resizable> = $resizable;
                resizable(self)
            }
        }
    )*};
}
equal_buffers! {
    BufferPool, |pool| Some(pool);
    AlignedPool, |pool| Some(pool);
    LockFreePool<N>, |_| None, const N;
}

macro_rules! resizable {
    ($($pool:ident),*) => {$(
        impl Resizable for $pool {
            fn set_max(&self, max: usize) -> Result<usize, ResizeError> {
                $pool::set_max(self, max)
            }
        }
    )*};
}
resizable!(BufferPool, AlignedPool);

impl AnyPool for MultiSizePool {
    fn max(&self, tier: usize) -> usize {
        self.tiers()[tier].max()
    }

    fn resizable(&self, tier: usize) -> Option<&dyn Resizable> {
        Some(&self.tiers()[tier])
    }
}

impl AnyPool for RecycledPool {
    fn max(&self, _tier: usize) -> usize {
        RecycledPool::max(self)
    }

    fn resizable(&self, _tier: usize) -> Option<&dyn Resizable> {
        None
    }
}
