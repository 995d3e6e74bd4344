//! What the pools can do that is in no trait of the crate, so that all of them can be driven as one.

use poolbuf::{AlignedPool, Budget, BufferPool, Holders, LockFreePool, MultiSizePool, Pool, ResizeError, Share};

/// Any pool.
pub(crate) trait AnyPool: Pool {
    fn another_handle(&self) -> Box<dyn AnyPool>;
    /// A handle that is charged to `budget` first.
    fn share(&self, budget: &Budget) -> Box<dyn Pool>;
    /// Changes the max of a tier; `None` where that can't be done.
    fn set_max(&self, tier: usize, max: usize) -> Option<Result<usize, ResizeError>>;
    /// Closes one tier only.
    fn close_tier(&self, tier: usize) -> Holders;
}

macro_rules! any_pool {
    ($pool:ty $(, const $n:ident)?; $self:ident, $tier:ident, $max:ident =>
        $set_max:expr, $close:expr) => {
        impl $(<const $n: usize>)? AnyPool for $pool {
            fn another_handle(&self) -> Box<dyn AnyPool> {
                Box::new(self.clone())
            }

            fn share(&self, budget: &Budget) -> Box<dyn Pool> {
                Box::new(Share::new(self.clone(), budget))
            }

            fn set_max(&$self, $tier: usize, $max: usize) -> Option<Result<usize, ResizeError>> {
                $set_max
            }

            fn close_tier(&$self, $tier: usize) -> Holders {
                $close
            }
        }
    };
}

any_pool!(BufferPool; self, _tier, max => Some(BufferPool::set_max(self, max)), self.close());
any_pool!(AlignedPool; self, _tier, max => Some(AlignedPool::set_max(self, max)), self.close());
any_pool!(LockFreePool<N>, const N; self, _tier, _max => None, self.close());
any_pool!(MultiSizePool; self, tier, max =>
    Some(self.tiers()[tier].set_max(max)), self.tiers()[tier].close());
