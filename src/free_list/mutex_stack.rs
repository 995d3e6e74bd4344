//! A stack of free indices behind a mutex, and a counter for those that were never used.
#![forbid(unsafe_code)]

use crossbeam_utils::CachePadded;

use crate::error::ConfigError;
use crate::free_list::{Closed, Counts, Empty, FreeList};
use crate::sync::Mutex;

/// See the module. Every operation is one lock held for a few instructions.
pub(crate) struct MutexStack {
    stack: CachePadded<Mutex<Stack>>,
}

struct Stack {
    /// Free, and used before. Its capacity is `max`, so a push never allocates.
    free: Vec<u32>,
    /// Indices from here up to `max` were never taken. One is taken only when all below are in use, so
    /// this is the high-water mark as well.
    fresh: u32,
    max: u32,
    acquired: u64,
    closed: bool,
}

impl Stack {
    fn in_use(&self) -> u32 {
        // At most `fresh` indices are in `free`, a `u32`.
        self.fresh - self.free.len() as u32
    }
}

impl FreeList for MutexStack {
    fn with_max(max: u32) -> Result<Self, ConfigError> {
        let mut free = Vec::new();
        free.try_reserve_exact(max as usize)
            .map_err(|_| ConfigError::OutOfMemory {
                bytes: (max as usize).saturating_mul(size_of::<u32>()),
            })?;
        Ok(MutexStack {
            stack: CachePadded::new(Mutex::new(Stack {
                free,
                fresh: 0,
                max,
                acquired: 0,
                closed: false,
            })),
        })
    }

    #[inline]
    fn pop(&self) -> Result<u32, Empty> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(Empty::Closed);
        }
        let index = match stack.free.pop() {
            Some(index) => index,
            None if stack.fresh < stack.max => {
                stack.fresh += 1;
                stack.fresh - 1
            }
            None => return Err(Empty::AllInUse(stack.fresh)),
        };
        stack.acquired += 1;
        Ok(index)
    }

    #[inline]
    fn push(&self, index: u32) -> Result<(), Closed> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(Closed);
        }
        debug_assert!(stack.free.len() < stack.fresh as usize);
        stack.free.push(index);
        Ok(())
    }

    fn close(&self) -> Option<u32> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return None;
        }
        stack.closed = true;
        Some(stack.in_use())
    }

    fn counts(&self) -> Counts {
        let stack = self.stack.lock();
        Counts {
            in_use: (!stack.closed).then(|| stack.in_use()),
            high_water: stack.fresh,
            acquired: stack.acquired,
        }
    }
}
