//! Changing how many buffers a pool lends at most.

use crate::engine::handle::PoolHandle;
use crate::free_list::Resizable;
use crate::report::error::resize::ResizeError;
use crate::waiting::after::After;
use crate::waiting::queue::{Refused, Wants};

impl<F: Resizable> PoolHandle<F> {
    /// Sets the max; returns the one before.
    pub(crate) fn set_max(&self, max: usize) -> Result<usize, ResizeError> {
        let core = self.core();
        let reserve = core.stock.region.layout().reserve;
        let max = match u32::try_from(max) {
            Ok(max) if (1..=reserve).contains(&max) => max,
            _ => {
                let pool = core.name.clone();
                return Err(ResizeError::new(pool, max, reserve as usize));
            }
        };
        let (mut after, mut others) = (After::default(), Vec::new());
        let mut line = core.line.lock();
        let too_many = |wants: &Wants| wants.count > max;
        (line.queue).refuse(core.stock.tier, Refused::TooMany, too_many, &mut after);
        // In one hold of the list, or else a request could be refused for nothing: no longer by the old max, as what is
        // free is owed, and not yet served by the new one.
        let before = core.stock.free_list.set_max(max, |held| {
            if !line.queue.is_closed(core.stock.tier) {
                // SAFETY: this is a handle of that pool, so its core is there.
                unsafe { line.serve(self.core.cast(), held, &mut others, &mut after) };
            }
        });
        line.look_at(others, &mut after);
        drop(line);
        after.settle();
        Ok(before as usize)
    }
}
