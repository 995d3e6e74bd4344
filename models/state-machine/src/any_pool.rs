//! What the pools can do that is in no trait of the crate, so that all of them can be driven as one.

use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizePool, Pool, ResizeError};

/// Any pool.
pub(crate) trait AnyPool: Pool {
    fn another_handle(&self) -> Box<dyn AnyPool>;
    /// Changes the max of a tier; `None` where that can't be done.
    fn set_max(&self, tier: usize, max: usize) -> Option<Result<usize, ResizeError>>;
}

macro_rules! any_pool {
    ($pool:ty $(, const $n:ident)?; $self:ident, $tier:ident, $max:ident => $set_max:expr) => {
        impl $(<const $n: usize>)? AnyPool for $pool {
            fn another_handle(&self) -> Box<dyn AnyPool> {
                Box::new(self.clone())
            }

            fn set_max(&$self, $tier: usize, $max: usize) -> Option<Result<usize, ResizeError>> {
                $set_max
            }
        }
    };
}

any_pool!(BufferPool; self, _tier, max => Some(BufferPool::set_max(self, max)));
any_pool!(AlignedPool; self, _tier, max => Some(AlignedPool::set_max(self, max)));
any_pool!(LockFreePool<N>, const N; self, _tier, _max => None);
any_pool!(MultiSizePool; self, tier, max => Some(self.tiers()[tier].set_max(max)));
