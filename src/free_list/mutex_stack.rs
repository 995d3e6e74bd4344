//! A stack of free buffers behind a mutex, and a counter for those that were never used.
#![forbid(unsafe_code)]

use crossbeam_utils::CachePadded;

use crate::config::CheckedConfig;
use crate::error::ConfigError;
use crate::free_list::{Counts, Empty, FreeList, NotTaken, Slot};
use crate::sync::Mutex;

/// See the module. Every operation is one lock held for a few instructions.
pub(crate) struct MutexStack {
    stack: CachePadded<Mutex<Stack>>,
}

struct Stack {
    /// Free, and used before. Its capacity is `max` until it is closed, so a push never allocates.
    free: Vec<Slot>,
    /// Buffers from here up to `max` were never taken. One is taken only when all below are, so this is
    /// the high-water mark as well.
    fresh: u32,
    max: u32,
    acquired: u64,
    closed: bool,
    /// Somebody waits for what is pushed.
    wanted: bool,
}

impl Stack {
    fn in_use(&self) -> u32 {
        // At most `fresh` buffers are in `free`, a `u32`.
        self.fresh - self.free.len() as u32
    }

    /// Takes the next buffer that was never taken, if there is one.
    fn pop_fresh(&mut self) -> Result<Slot, Empty> {
        if self.fresh == self.max {
            return Err(Empty::AllInUse(self.max));
        }
        self.fresh += 1;
        Ok(Slot::fresh(self.fresh - 1))
    }
}

impl FreeList for MutexStack {
    fn new(config: &CheckedConfig) -> Result<Self, ConfigError> {
        let mut free = Vec::new();
        free.try_reserve_exact(config.max as usize)
            .map_err(|_| ConfigError::OutOfMemory {
                bytes: (config.max as usize).saturating_mul(size_of::<Slot>()),
            })?;
        Ok(MutexStack {
            stack: CachePadded::new(Mutex::new(Stack {
                free,
                fresh: 0,
                max: config.max,
                acquired: 0,
                closed: false,
                wanted: false,
            })),
        })
    }

    fn pop(&self) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(Empty::Closed);
        }
        let slot = match stack.free.pop() {
            Some(slot) => slot,
            None => stack.pop_fresh()?,
        };
        stack.acquired += 1;
        Ok(slot)
    }

    fn push(&self, slot: Slot) -> Result<(), NotTaken> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(NotTaken::Closed);
        }
        if stack.wanted {
            return Err(NotTaken::Wanted);
        }
        debug_assert!(stack.free.len() < stack.fresh as usize);
        stack.free.push(slot);
        Ok(())
    }

    fn start_waiting(&self) {
        self.stack.lock().wanted = true;
    }

    fn stop_waiting(&self) {
        self.stack.lock().wanted = false;
    }

    fn close(&self) -> u32 {
        let mut stack = self.stack.lock();
        if stack.closed {
            return 0;
        }
        let in_use = stack.in_use();
        stack.closed = true;
        // Whoever keeps a closed list need not keep its array.
        stack.free = Vec::new();
        in_use
    }

    fn counts(&self) -> Counts {
        let stack = self.stack.lock();
        Counts {
            in_use: (!stack.closed).then(|| stack.in_use()),
            high_water: stack.fresh,
            acquired: stack.acquired,
        }
    }

    /// Under one lock. Of the buffers that were never taken it takes one at most, so that no more are ever
    /// used than are needed.
    fn pop_many(&self, most: usize, keep: impl FnMut(Slot)) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(Empty::Closed);
        }
        let Some(first) = stack.free.pop() else {
            let fresh = stack.pop_fresh()?;
            stack.acquired += 1;
            return Ok(fresh);
        };
        let left = (stack.free.len() + 1).saturating_sub(most.max(1));
        stack.acquired += 1 + (stack.free.len() - left) as u64;
        stack.free.drain(left..).for_each(keep);
        Ok(first)
    }

    /// Under one lock.
    fn push_many(&self, slots: impl Iterator<Item = Slot>) -> usize {
        let mut stack = self.stack.lock();
        if stack.closed || stack.wanted {
            return 0;
        }
        let before = stack.free.len();
        stack.free.extend(slots);
        debug_assert!(stack.free.len() <= stack.fresh as usize);
        stack.free.len() - before
    }
}
