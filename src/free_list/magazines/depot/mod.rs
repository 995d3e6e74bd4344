//! A stack of free buffers behind a mutex, and a counter for those that were never used: the depot behind the
//! magazines.
#![forbid(unsafe_code)]

mod trim;

use crossbeam_utils::CachePadded;

use crate::free_list::{Counts, Demand, Empty, Limits, NotTaken, Slot};
use crate::memory::trim_plan::GivenBack;
use crate::memory::{OutOfMemory, vec_for};
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, Mutex, Ordering};

/// See the module. Every operation is one lock held for a few instructions. Atomics and a lock, with no plain data
/// beside them: see [`Inlet`](crate::free_list::Inlet).
pub(crate) struct Depot {
    stack: CachePadded<Mutex<Stack>>,
    /// How many may be taken; fewer than are, after it was lowered. An atomic, so that it is read without the lock,
    /// under which it changes.
    max: AtomicU32,
    /// As `max`.
    demand: AtomicU8,
    /// The max was lowered once. Spares all other pools a look at the stack when a buffer is handed over.
    was_shrunk: AtomicBool,
}

struct Stack {
    /// Free, and used before. Its capacity is `reserve` until it is closed, so a push never allocates.
    free: Vec<Slot>,
    /// Buffers from here on were never taken. One is taken only when all below are, so this is the high-water mark as
    /// well.
    fresh: u32,
    /// How many leading bytes of those may hold anything: 0 unless trimming has left something there.
    fresh_exposed: u32,
    acquired: u64,
    /// How often buffers were put back.
    returns: u64,
    closed: bool,
    /// Fewest buffers that were in `free` since this was last set: so many, from the bottom, were not touched. All that
    /// trimming asks of `pop`.
    low_water: usize,
    idle: Idle,
    /// Of the ones from `fresh` on, those that were touched when the pool was made. A copy of the layout's, which is
    /// out of reach under this lock.
    initial: u32,
}

/// What is known of buffers that were not used for a while.
#[derive(Default)]
struct Idle {
    /// Those at the bottom of `free` whose pages have been given back; of them, what lies below `low_water` is left.
    given_back: GivenBack,
    /// The same of those from `fresh` up to `initial`.
    fresh_given_back: GivenBack,
    /// Fewest buffers in `free` in this generation, until `low_water` was last set, and in the one before.
    earlier_low_water: Option<usize>,
    last_low_water: usize,
    /// A thread is trimming, and relies on `low_water`.
    trimming: bool,
}

impl Stack {
    fn in_use(&self) -> u32 {
        // At most `fresh` buffers are in `free`, a `u32`.
        self.fresh - self.free.len() as u32
    }

    /// Takes the next buffer that was never taken. There is one if `free` is empty and fewer than `max` are taken.
    fn pop_fresh(&mut self) -> Slot {
        self.fresh += 1;
        Slot {
            index: self.fresh - 1,
            exposed: self.fresh_exposed,
        }
    }

    /// How many buffers may be taken; at least 1.
    #[inline(always)]
    fn allowed(&self, max: u32) -> Result<u32, Empty> {
        if self.closed {
            return Err(Empty::Closed);
        }
        match max.checked_sub(self.in_use()) {
            None | Some(0) => Err(Empty::AllInUse(self.in_use())),
            Some(allowed) => Ok(allowed),
        }
    }
}

impl Depot {
    pub(super) fn new(limits: &Limits) -> Result<Self, OutOfMemory> {
        Ok(Depot {
            stack: CachePadded::new(Mutex::new(Stack {
                free: vec_for(limits.reserve as usize)?,
                fresh: 0,
                fresh_exposed: 0,
                acquired: 0,
                returns: 0,
                closed: false,
                low_water: 0,
                idle: Idle::default(),
                initial: limits.initial,
            })),
            max: AtomicU32::new(limits.max),
            demand: AtomicU8::new(Demand::None as u8),
            was_shrunk: AtomicBool::new(false),
        })
    }

    pub(super) fn pop(&self) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        stack.allowed(self.max())?;
        let slot = match stack.free.pop() {
            Some(slot) => slot,
            None => stack.pop_fresh(),
        };
        stack.low_water = stack.low_water.min(stack.free.len());
        stack.acquired += 1;
        Ok(slot)
    }

    pub(super) fn push(&self, slot: Slot) -> Result<(), NotTaken> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(NotTaken::Closed(slot));
        }
        // Not while more are in use than the max: then no request may have it.
        if self.demand() != Demand::None && stack.in_use() <= self.max() {
            return Err(NotTaken::Wanted(slot));
        }
        debug_assert!(stack.free.len() < stack.fresh as usize);
        stack.free.push(slot);
        stack.returns += 1;
        Ok(())
    }

    /// Takes up to `most` free buffers, at least one, and returns the one that `pop` would have; the others it gives to
    /// `keep`, which should lend the last of them first. Fails as `pop` does. Of the buffers that were never taken it
    /// takes one at most, so that no more are ever used than are needed.
    pub(super) fn pop_many(&self, most: usize, keep: impl FnMut(Slot)) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        let allowed = stack.allowed(self.max())?;
        let most = most.min(allowed as usize);
        let Some(first) = stack.free.pop() else {
            stack.acquired += 1;
            return Ok(stack.pop_fresh());
        };
        let left = (stack.free.len() + 1).saturating_sub(most);
        stack.acquired += 1 + (stack.free.len() - left) as u64;
        stack.free.drain(left..).for_each(keep);
        stack.low_water = stack.low_water.min(left);
        Ok(first)
    }

    /// Takes `count` free buffers, all or none, those that `pop` would take, and adds what `make` makes of each to
    /// `out`. Fails if fewer may be taken.
    pub(super) fn pop_exactly<T>(
        &self,
        count: u32,
        out: &mut Vec<T>,
        make: impl Fn(Slot) -> T,
    ) -> Result<(), Empty> {
        let mut stack = self.stack.lock();
        if stack.allowed(self.max())? < count {
            return Err(Empty::AllInUse(stack.in_use()));
        }
        let left = stack.free.len().saturating_sub(count as usize);
        let used = stack.free.len() - left;
        out.extend(stack.free.drain(left..).rev().map(&make));
        // At most `count`, a `u32`.
        for _ in used as u32..count {
            let fresh = stack.pop_fresh();
            out.push(make(fresh));
        }
        stack.low_water = stack.low_water.min(left);
        stack.acquired += u64::from(count);
        Ok(())
    }

    /// Puts back all of `slots`, or none of them, if the depot is closed or a request waits.
    pub(super) fn push_many(&self, slots: impl Iterator<Item = Slot>) -> bool {
        let mut stack = self.stack.lock();
        if stack.closed || self.demand() != Demand::None {
            return false;
        }
        stack.free.extend(slots);
        stack.returns += 1;
        debug_assert!(stack.free.len() <= stack.fresh as usize);
        true
    }

    pub(super) fn set_demand(&self, demand: Demand) {
        let _stack = self.stack.lock();
        self.demand.store(demand as u8, Ordering::Relaxed);
    }

    pub(super) fn demand(&self) -> Demand {
        // Relaxed: changes under the lock, and elsewhere it may be stale.
        Demand::from_u8(self.demand.load(Ordering::Relaxed))
    }

    pub(super) fn close(&self) -> u32 {
        let mut stack = self.stack.lock();
        if stack.closed {
            return 0;
        }
        let in_use = stack.in_use();
        stack.closed = true;
        // What keeps a closed depot need not keep its array.
        stack.free = Vec::new();
        stack.low_water = 0;
        in_use
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stack.lock().closed
    }

    pub(super) fn counts(&self) -> Counts {
        let stack = self.stack.lock();
        Counts {
            in_use: (!stack.closed).then(|| stack.in_use()),
            high_water: stack.fresh,
            acquired: stack.acquired,
            given_back: stack.given_back(),
        }
    }

    pub(super) fn max(&self) -> u32 {
        // Relaxed: changes under the lock, and elsewhere it may be stale.
        self.max.load(Ordering::Relaxed)
    }

    /// See [`Resizable::set_max`](crate::free_list::Resizable::set_max).
    pub(super) fn set_max(&self, max: u32) -> u32 {
        let _stack = self.stack.lock();
        let before = self.max();
        if max < before {
            self.was_shrunk.store(true, Ordering::Relaxed);
        }
        self.max.store(max, Ordering::Relaxed);
        before
    }

    /// See [`Resizable::returns`](crate::free_list::Resizable::returns).
    pub(super) fn returns(&self) -> u64 {
        self.stack.lock().returns
    }

    /// See [`FreeList::may_lend_again`](crate::free_list::FreeList::may_lend_again).
    pub(super) fn may_lend_again(&self) -> bool {
        // Relaxed: a caller that must see that the max was lowered has taken a lock since.
        !self.was_shrunk.load(Ordering::Relaxed) || self.stack.lock().in_use() <= self.max()
    }

    /// Whether buffers may be kept in magazines: not after closing, nor while a request waits for what comes back or
    /// more are taken than the max.
    pub(super) fn may_fill_magazines(&self) -> bool {
        let stack = self.stack.lock();
        !stack.closed && self.demand() == Demand::None && stack.in_use() <= self.max()
    }
}
