//! Changing how many buffers a pool lends at most.
#![forbid(unsafe_code)]

use crate::core::PoolHandle;
use crate::error::ResizeError;
use crate::free_list::Resizable;

impl<F: Resizable> PoolHandle<F> {
    /// Buffers that the max can be raised to.
    pub(crate) fn reserve(&self) -> usize {
        self.core().region.layout().reserve as usize
    }

    /// Sets the max; returns the one before.
    pub(crate) fn set_max(&self, max: usize) -> Result<usize, ResizeError> {
        let core = self.core();
        let reserve = core.region.layout().reserve;
        let max = match u32::try_from(max) {
            Ok(0) => {
                return Err(ResizeError::NoneLeft {
                    max: self.max(),
                    shrink_by: self.max(),
                });
            }
            Ok(max) if max <= reserve => max,
            _ => {
                return Err(ResizeError::AboveReserve {
                    requested: max,
                    reserve: reserve as usize,
                });
            }
        };
        let before = core.free_list.set_max(max);
        self.serve_waiters();
        Ok(before as usize)
    }

    pub(crate) fn grow(&self, by: usize) -> Result<usize, ResizeError> {
        let max = self.max().saturating_add(by);
        self.set_max(max).map(|_| max)
    }

    pub(crate) fn shrink(&self, by: usize) -> Result<usize, ResizeError> {
        let max = self.max().saturating_sub(by);
        self.set_max(max).map(|_| max)
    }
}
