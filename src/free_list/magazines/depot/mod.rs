//! A stack of free buffers behind a mutex, and a counter for those that were never used: the depot behind the
//! magazines.
#![forbid(unsafe_code)]

mod trim;

use crossbeam_utils::CachePadded;

use crate::base::sync::{AtomicU8, AtomicU32, Mutex, MutexGuard, Ordering};
use crate::free_list::{Counts, Demand, Empty, Held, Limits, NotTaken, Slot, reserve};
use crate::memory::trim_plan::GivenBack;
use crate::memory::{OutOfMemory, vec_for};

/// See the module. Every operation is one lock held for a few instructions. Atomics and a lock, with no plain data
/// beside them: see [`ReleaseSide`](crate::free_list::ReleaseSide).
pub(crate) struct Depot {
    stack: CachePadded<Mutex<Stack>>,
    /// How many may be taken; fewer than are, after it was lowered. An atomic, so that it is read without the lock,
    /// under which it changes.
    max: AtomicU32,
    /// What is known of the stack's demand without the lock: [`NONE`], [`ONE`] or [`OTHER`].
    demand: AtomicU8,
}

const NONE: u8 = 0;
/// At one buffer.
const ONE: u8 = 1;
const OTHER: u8 = 2;

struct Stack {
    /// Free, and used before. Its capacity is `reserve` until it is closed, so a push never allocates.
    free: Vec<Slot>,
    /// Buffers from here on were never taken. One is taken only when all below are, so this is the high-water mark as
    /// well.
    fresh: u32,
    /// How many leading bytes of those may hold anything: 0 unless trimming has left something there.
    fresh_dirty: u32,
    acquired: u64,
    /// How often buffers were put back.
    returns: u64,
    closed: bool,
    demand: Demand,
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
        Slot::new(self.fresh - 1, self.fresh_dirty)
    }

    /// How many buffers may be taken by a request that does not wait; at least `count`.
    #[inline(always)]
    fn allowed(&self, count: u32, max: u32) -> Result<u32, Empty> {
        if self.closed {
            return Err(Empty::Closed);
        }
        match max.checked_sub(self.in_use()) {
            Some(allowed) if allowed >= count => match self.demand {
                Demand::None => Ok(allowed),
                Demand::At(wanted) => {
                    debug_assert!(allowed < wanted, "what the first wants is free, and it waits");
                    Err(Empty::Owed)
                }
                Demand::Never => Err(Empty::Owed),
            },
            _ => Err(Empty::AllInUse(self.in_use())),
        }
    }

    /// Takes the next buffer. One is allowed.
    #[inline(always)]
    fn take(&mut self) -> Slot {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.pop_fresh(),
        };
        self.low_water = self.low_water.min(self.free.len());
        self.acquired += 1;
        slot
    }

    fn put(&mut self, slot: Slot) {
        debug_assert!(self.free.len() < self.fresh as usize);
        self.free.push(slot);
        self.returns += 1;
    }
}

/// The depot, while its lock is held, and `G`, which is let go afterwards.
pub(crate) struct HeldDepot<'a, G> {
    stack: MutexGuard<'a, Stack>,
    depot: &'a Depot,
    _guard: G,
}

impl<G> HeldDepot<'_, G> {
    /// Sets the max, and returns it as it was.
    pub(super) fn set_max(&mut self, max: u32) -> u32 {
        let before = self.depot.max();
        self.depot.max.store(max, Ordering::Relaxed);
        before
    }
}

impl<G> Held for HeldDepot<'_, G> {
    fn allowed(&self) -> u32 {
        self.depot.max().saturating_sub(self.stack.in_use())
    }

    fn take(&mut self) -> Slot {
        self.stack.take()
    }

    fn put(&mut self, slot: Slot) {
        self.stack.put(slot);
    }

    fn set_demand(&mut self, demand: Demand) {
        self.stack.demand = demand;
        let known = match demand {
            Demand::None => NONE,
            Demand::At(1) if self.stack.in_use() <= self.depot.max() => ONE,
            Demand::At(_) | Demand::Never => OTHER,
        };
        self.depot.demand.store(known, Ordering::Relaxed);
    }
}

impl Depot {
    pub(super) fn new(limits: &Limits) -> Result<Self, OutOfMemory> {
        Ok(Depot {
            stack: CachePadded::new(Mutex::new(Stack {
                free: vec_for(limits.reserve as usize)?,
                fresh: 0,
                fresh_dirty: 0,
                acquired: 0,
                returns: 0,
                closed: false,
                demand: Demand::None,
                low_water: 0,
                idle: Idle::default(),
                initial: limits.initial,
            })),
            max: AtomicU32::new(limits.max),
            demand: AtomicU8::new(NONE),
        })
    }

    /// See [`FreeList::hold`](crate::free_list::FreeList::hold).
    pub(super) fn hold<G>(&self, guard: G) -> HeldDepot<'_, G> {
        HeldDepot {
            stack: self.stack.lock(),
            depot: self,
            _guard: guard,
        }
    }

    pub(super) fn pop(&self) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        stack.allowed(1, self.max())?;
        Ok(stack.take())
    }

    pub(super) fn push(&self, slot: Slot) -> Result<(), NotTaken> {
        let mut stack = self.stack.lock();
        if stack.closed {
            return Err(NotTaken::Closed(slot));
        }
        if let Demand::At(count) = stack.demand {
            // As many may be taken once it is back.
            let allowed = (u64::from(self.max()) + 1).saturating_sub(stack.in_use().into());
            if allowed >= count.into() {
                return Err(NotTaken::Wanted(slot));
            }
        }
        stack.put(slot);
        Ok(())
    }

    /// Takes up to `most` free buffers, at least one, and returns the one that `pop` would have; the others it gives to
    /// `keep` under the lock, from the one that should be lent last on. Fails as `pop` does. Of the buffers that were
    /// never taken it takes one at most, so that no more are ever used than are needed.
    pub(super) fn pop_many(&self, most: usize, keep: impl FnMut(Slot)) -> Result<Slot, Empty> {
        let mut stack = self.stack.lock();
        let allowed = stack.allowed(1, self.max())?;
        let most = most.min(allowed as usize);
        let first = stack.take();
        let left = (stack.free.len() + 1).saturating_sub(most);
        if left < stack.free.len() {
            stack.acquired += (stack.free.len() - left) as u64;
            stack.free.drain(left..).for_each(keep);
            stack.low_water = stack.low_water.min(left);
        }
        Ok(first)
    }

    /// See [`FreeList::pop_many`](crate::free_list::FreeList::pop_many). Makes room in `out` for `beside` more.
    pub(super) fn pop_exactly<T>(
        &self,
        count: u32,
        beside: u32,
        out: &mut Vec<T>,
        make: impl Fn(Slot) -> T,
    ) -> Result<(), Empty> {
        let mut stack = self.stack.lock();
        stack.allowed(count, self.max())?;
        reserve(out, count + beside)?;
        let left = stack.free.len().saturating_sub(count as usize);
        // At most `count`, a `u32`.
        let used = (stack.free.len() - left) as u32;
        let from = out.len();
        out.extend((used..count).map(|_| make(stack.pop_fresh())));
        out[from..].reverse();
        out.extend(stack.free.drain(left..).map(&make));
        stack.low_water = stack.low_water.min(left);
        stack.acquired += u64::from(count);
        Ok(())
    }

    /// Puts back all of `slots`, or none of them and returns false, if the depot is closed or requests wait. Calls
    /// `put` under the lock once they are back.
    pub(super) fn push_many(&self, slots: impl Iterator<Item = Slot>, put: impl FnOnce()) -> bool {
        let mut stack = self.stack.lock();
        if stack.closed || stack.demand != Demand::None {
            return false;
        }
        stack.free.extend(slots);
        stack.returns += 1;
        debug_assert!(stack.free.len() <= stack.fresh as usize);
        put();
        true
    }

    pub(super) fn is_wanted(&self) -> bool {
        // Relaxed: changes under the lock, and elsewhere it may be stale.
        self.demand.load(Ordering::Relaxed) != NONE
    }

    pub(super) fn wants_one(&self) -> bool {
        // As in `is_wanted`.
        self.demand.load(Ordering::Relaxed) == ONE
    }

    pub(super) fn close(&self) -> u32 {
        let mut stack = self.stack.lock();
        if stack.closed {
            return 0;
        }
        let in_use = stack.in_use();
        stack.closed = true;
        stack.demand = Demand::None;
        self.demand.store(NONE, Ordering::Relaxed);
        // What keeps a closed depot need not keep its array.
        stack.free = Vec::new();
        stack.low_water = 0;
        in_use
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stack.lock().closed
    }

    /// Its counts, and what `beside` says under the same lock: what moves between it and the magazines does so under
    /// this lock.
    pub(super) fn counts<R>(&self, beside: impl FnOnce() -> R) -> (Counts, R) {
        let stack = self.stack.lock();
        let counts = Counts {
            in_use: (!stack.closed).then(|| stack.in_use()),
            high_water: stack.fresh,
            acquired: stack.acquired,
            given_back: stack.given_back(),
        };
        (counts, beside())
    }

    pub(super) fn max(&self) -> u32 {
        // Relaxed: changes under the lock, and elsewhere it may be stale.
        self.max.load(Ordering::Relaxed)
    }

    /// See [`FreeList::returns`](crate::free_list::FreeList::returns).
    pub(super) fn returns(&self) -> u64 {
        self.stack.lock().returns
    }

    /// Whether buffers may be kept in magazines: not after closing, nor while a request waits for what comes back or
    /// more are taken than the max.
    pub(super) fn may_fill_magazines(&self) -> bool {
        let stack = self.stack.lock();
        !stack.closed && stack.demand == Demand::None && stack.in_use() <= self.max()
    }
}
