//! Changing how many buffers a pool lends at most.
#![forbid(unsafe_code)]

use std::sync::Arc;

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
            Ok(max) if (1..=reserve).contains(&max) => max,
            _ => {
                let pool = Arc::clone(&core.name);
                return Err(ResizeError::new(pool, max, reserve as usize));
            }
        };
        let before = core.free_list.set_max(max);
        self.refuse_waiters_for_more_than(max);
        self.serve_waiters();
        Ok(before as usize)
    }
}
