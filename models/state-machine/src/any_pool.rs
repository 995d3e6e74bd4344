//! What the pools can do that is in no trait of the crate, so that all of them can be driven as one.

use poolbuf::{AlignedPool, BufferPool, Holders, LockFreePool, MultiSizePool, Pool, ResizeError};

use crate::operation::Resize;

/// Any pool.
pub(crate) trait AnyPool: Pool {
    fn another_handle(&self) -> Box<dyn AnyPool>;
    fn close(&self) -> Holders;
    fn trim(&self) -> usize;
    /// Changes the max of a tier; `None` where that can't be done.
    fn resize(&self, tier: usize, resize: Resize) -> Option<Result<usize, ResizeError>>;
}

macro_rules! any_pool {
    ($pool:ty $(, const $n:ident)?; $self:ident, $tier:ident => $resizable:expr) => {
        impl $(<const $n: usize>)? AnyPool for $pool {
            fn another_handle(&self) -> Box<dyn AnyPool> {
                Box::new(self.clone())
            }

            fn close(&self) -> Holders {
                self.close()
            }

            fn trim(&self) -> usize {
                self.trim()
            }

            fn resize(&$self, $tier: usize, resize: Resize) -> Option<Result<usize, ResizeError>> {
                let resizable: Option<&dyn Resizable> = $resizable;
                resizable.map(|pool| pool.resize(resize))
            }
        }
    };
}

any_pool!(BufferPool; self, _tier => Some(self));
any_pool!(AlignedPool; self, _tier => Some(self));
any_pool!(LockFreePool<N>, const N; self, _tier => None);
any_pool!(MultiSizePool; self, tier => Some(&self.tiers()[tier]));

trait Resizable {
    fn resize(&self, resize: Resize) -> Result<usize, ResizeError>;
}

macro_rules! resizable {
    ($($pool:ident),*) => {$(
        impl Resizable for $pool {
            fn resize(&self, resize: Resize) -> Result<usize, ResizeError> {
                match resize {
                    Resize::SetMax(_) => self.set_max(resize.buffers()),
                    Resize::Grow(_) => self.grow(resize.buffers()),
                    Resize::Shrink(_) => self.shrink(resize.buffers()),
                }
            }
        }
    )*};
}

resizable!(BufferPool, AlignedPool);
