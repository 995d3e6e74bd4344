//! A stack of free buffers behind a mutex, and a counter for those that were never used.
#![forbid(unsafe_code)]

mod trim;

use crossbeam_utils::CachePadded;

use crate::config::CheckedConfig;
use crate::error::ConfigError;
use crate::free_list::{Counts, Empty, FreeList, NotTaken, Resizable, Slot};
use crate::memory::trim_plan::{GivenBack, Trimming};
use crate::sync::Mutex;

/// See the module. Every operation is one lock held for a few instructions.
pub(crate) struct MutexStack {
    stack: CachePadded<Mutex<Stack>>,
}

struct Stack {
    /// Free, and used before. Its capacity is `reserve` until it is closed, so a push never allocates.
    free: Vec<Slot>,
    /// Buffers from here up to `reserve` were never taken. One is taken only when all below are, so this is
    /// the high-water mark as well.
    fresh: u32,
    /// How many may be taken; at most `reserve`. Fewer than are, after it was lowered.
    max: u32,
    acquired: u64,
    closed: bool,
    /// Somebody waits for what is pushed.
    wanted: bool,
    /// Fewest buffers that were in `free` since this was last set: those at the bottom were not touched. All that
    /// trimming wants of `pop`.
    low: usize,
    idle: Idle,
    /// Of the ones from `fresh` on, those that were touched when the pool was made.
    initial: u32,
    reserve: u32,
}

/// What is known of buffers that nobody used for a while.
#[derive(Default)]
struct Idle {
    /// Those at the bottom of `free` whose pages have been given back; of them, what lies below `low` is left.
    given_back: GivenBack,
    /// The same of those from `fresh` up to `initial`.
    fresh_given_back: GivenBack,
    /// Fewest buffers in `free` in this generation, until `low` was last set, and in the one before.
    low_before: Option<usize>,
    low_last_generation: usize,
    /// Somebody is trimming, and relies on `low`.
    trimming: bool,
}

impl Stack {
    fn in_use(&self) -> u32 {
        // At most `fresh` buffers are in `free`, a `u32`.
        self.fresh - self.free.len() as u32
    }

    /// Takes the next buffer that was never taken. There is one if `free` is empty and fewer than `max` are taken.
    fn pop_fresh(&mut self) -> Slot {
        debug_assert!(self.fresh < self.reserve);
        self.fresh += 1;
        Slot::fresh(self.fresh - 1)
    }

    /// Fails if as many are taken as may be.
    #[inline(always)]
    fn may_take(&self) -> Result<(), Empty> {
        let in_use = self.in_use();
        if in_use >= self.max {
            return Err(Empty::AllInUse(in_use));
        }
        Ok(())
    }
}

impl FreeList for MutexStack {
    fn new(config: &CheckedConfig) -> Result<Self, ConfigError> {
        let free = ConfigError::vec_for(config.reserve as usize)?;
        Ok(MutexStack {
            stack: CachePadded::new(Mutex::new(Stack {
                free,
                fresh: 0,
                max: config.max,
                acquired: 0,
                closed: false,
                wanted: false,
                low: 0,
                idle: Idle::default(),
                initial: config.initial,
                reserve: config.reserve,
            })),
        })
    }

    fn pop(&self) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(Empty::Closed);
        }
        stack.may_take()?;
        let slot = match stack.free.pop() {
            Some(slot) => slot,
            None => stack.pop_fresh(),
        };
        stack.low = stack.low.min(stack.free.len());
        stack.acquired += 1;
        Ok(slot)
    }

    fn push(&self, slot: Slot) -> Result<(), NotTaken> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(NotTaken::Closed);
        }
        // Not while more are in use than the max: then nobody may have it.
        if stack.wanted && stack.in_use() <= stack.max {
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
        stack.low = 0;
        in_use
    }

    fn counts(&self) -> Counts {
        let stack = self.stack.lock();
        Counts {
            in_use: (!stack.closed).then(|| stack.in_use()),
            high_water: stack.fresh,
            acquired: stack.acquired,
            given_back: stack.given_back(),
        }
    }

    /// Under one lock. Of the buffers that were never taken it takes one at most, so that no more are ever
    /// used than are needed.
    fn pop_many(&self, most: usize, keep: impl FnMut(Slot)) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(Empty::Closed);
        }
        stack.may_take()?;
        // At least 1.
        let allowed = (stack.max - stack.in_use()) as usize;
        let most = most.clamp(1, allowed);
        let Some(first) = stack.free.pop() else {
            stack.acquired += 1;
            return Ok(stack.pop_fresh());
        };
        let left = (stack.free.len() + 1).saturating_sub(most);
        stack.acquired += 1 + (stack.free.len() - left) as u64;
        stack.free.drain(left..).for_each(keep);
        stack.low = stack.low.min(left);
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

    fn may_lend_onward(&self) -> bool {
        let stack = self.stack.lock();
        stack.in_use() <= stack.max
    }

    fn trim(&self, trimming: &mut Trimming<'_>, _put_back: &mut dyn FnMut(Slot)) -> usize {
        self.trim_free(trimming)
    }

    const DECAYS: bool = true;

    fn end_generation(&self, trimming: &mut Trimming<'_>) {
        self.trim_decayed(trimming);
    }
}

impl Resizable for MutexStack {
    fn resize<E>(&self, change: impl FnOnce(u32) -> Result<u32, E>) -> Result<(u32, u32), E> {
        let mut stack = self.stack.lock();
        let before = stack.max;
        stack.max = change(before)?;
        debug_assert!((1..=stack.reserve).contains(&stack.max));
        Ok((before, stack.max))
    }
}
