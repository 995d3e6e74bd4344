//! What all pools of equal buffers share: lending, taking back, counting, closing.
//!
//! **Who keeps the memory alive.** Neither acquire nor release touches a reference count: a handle keeps the
//! core alive for those who acquire, and the core itself for those who release. When the last handle goes
//! (or `close` is called) the free list is closed and says how many buffers are out. From then on it takes
//! none back, so each later release counts one down instead, and the last of them frees the core.

mod upkeep;
mod wait;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

use crate::config::CheckedConfig;
use crate::error::{AcquireError, ConfigError};
use crate::free_list::{Empty, FreeList, NotTaken, Slot};
use crate::holders::{Caller, Holders, Tracker};
use crate::memory::decay::Decay;
use crate::memory::region::{MemoryRegion, Region};
use crate::pooled_buf::{PooledBuf, ReleaseHeader};
use crate::stats::PoolStats;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, LeakTracker, Ordering, Witness};
use crate::waiting::budget::{Budget, Exceeded};
use crate::waiting::queue::{Waiters, wake, wake_all};
use crate::wipe::Wipe;

/// A handle of a pool of equal buffers. Clones are handles of the same pool.
pub(crate) struct PoolHandle<F: FreeList> {
    core: NonNull<PoolCore<F>>,
}

/// Why no buffer was lent.
pub(crate) enum Refusal {
    Empty(Empty),
    OverBudget(Exceeded),
}

/// The header comes first, so a guard's pointer to it is one to the whole.
#[repr(C)]
struct PoolCore<F: FreeList> {
    header: ReleaseHeader,
    buffer_size: u32,
    /// Requests for fewer bytes may take the short way, which knows neither budget nor tracker. All that the
    /// buffers can hold, or none.
    short_way: usize,
    initial: u32,
    wipe: Wipe,
    alignment: usize,
    stride: usize,
    free_list: F,
    region: Region,
    /// Who waits for a buffer. While there is anybody, what is released is handed to the first of them.
    waiters: Waiters<(), Slot>,
    /// Whether there is anybody. Changed under the lock of `waiters`, after the free list was told so and before it
    /// is told otherwise. Relaxed elsewhere: whoever has seen a buffer come back to the free list after the last
    /// one left has seen this change.
    wanted: AtomicBool,
    /// The max was lowered once: whether a buffer may be handed over, only the free list knows.
    was_shrunk: AtomicBool,
    /// The free list's. Changed where it changes there.
    max: AtomicU32,
    refused: AtomicU64,
    over_budget: AtomicU64,
    /// How often a buffer was counted by the free list or by the waiters and then not lent, or was counted by both.
    not_lent: AtomicU64,
    budget: Option<Budget>,
    tracker: Option<Tracker>,
    /// Handles in existence.
    handles: AtomicUsize,
    /// What keeps the core alive once the free list is closed: [`HANDLES`] while there is a handle, plus
    /// 1 for each buffer that is out.
    keepers: AtomicU64,
    name: Arc<str>,
    witness: Witness,
    /// What the max can be raised to.
    reserve: u32,
    decay: Option<Decay>,
    _leak: LeakTracker,
}

/// What all handles together count in `keepers`. Larger than any number of buffers, so that a release
/// which counts itself down before `close` has added its buffer to the count can't make it 0.
const HANDLES: u64 = 1 << 32;

// SAFETY: a handle gives shared access to the core, whose free list is `Sync` and whose counters are atomic.
// The region's bytes are used by whoever holds their buffer, on whatever thread; the free list orders one
// holder's use before the next one's.
unsafe impl<F: FreeList> Send for PoolHandle<F> {}
// SAFETY: as above.
unsafe impl<F: FreeList> Sync for PoolHandle<F> {}

// No operation panics half-way, and a user's panic reaches nothing but the bytes of his own guards.
impl<F: FreeList> UnwindSafe for PoolHandle<F> {}
impl<F: FreeList> RefUnwindSafe for PoolHandle<F> {}

impl<F: FreeList> PoolHandle<F> {
    pub(crate) fn new(config: CheckedConfig) -> Result<Self, ConfigError> {
        let region = Region::reserve(&config)?;
        let tracker = config.track_holders.then(|| Tracker::new(config.reserve));
        let tracker = tracker.transpose()?;
        let plain = config.budget.is_none() && tracker.is_none();
        let core = Box::new(PoolCore {
            header: ReleaseHeader {
                release: match config.wipe {
                    _ if !plain => settle_and_release::<F>,
                    Wipe::Never => release::<F>,
                    _ => wipe_and_release::<F>,
                },
            },
            buffer_size: config.buffer_size,
            short_way: match plain {
                true => (config.buffer_size as usize).saturating_add(1),
                false => 0,
            },
            initial: config.initial,
            wipe: config.wipe,
            alignment: config.alignment,
            stride: config.stride,
            free_list: F::new(&config)?,
            region,
            waiters: Waiters::new(),
            wanted: AtomicBool::new(false),
            was_shrunk: AtomicBool::new(false),
            max: AtomicU32::new(config.max),
            refused: AtomicU64::new(0),
            over_budget: AtomicU64::new(0),
            not_lent: AtomicU64::new(0),
            budget: config.budget,
            tracker,
            handles: AtomicUsize::new(1),
            keepers: AtomicU64::new(HANDLES),
            name: config.name,
            witness: Witness::new(config.reserve),
            reserve: config.reserve,
            decay: config.decay.filter(|_| F::DECAYS).map(Decay::new),
            _leak: LeakTracker::new(),
        });
        Ok(PoolHandle {
            core: NonNull::from(Box::leak(core)),
        })
    }

    #[inline]
    fn core(&self) -> &PoolCore<F> {
        // SAFETY: the core lives while there is a handle.
        unsafe { self.core.as_ref() }
    }

    /// Lends a buffer that holds `len` bytes. A request that is refused counts as such.
    #[inline]
    pub(crate) fn acquire_for(
        &self,
        len: usize,
        caller: Caller,
    ) -> Result<PooledBuf, AcquireError> {
        let at_hand = if len < self.core().short_way {
            self.core().free_list.pop_at_hand()
        } else {
            None
        };
        // The guard is made in one place, whichever way its slot came: then the compiler knows that it is empty.
        let slot = match at_hand {
            Some(slot) => slot,
            None => self.pop_elsewhere(len, caller)?,
        };
        // SAFETY: just popped.
        Ok(unsafe { self.lend(slot) })
    }

    #[cold]
    #[inline(never)]
    fn pop_elsewhere(&self, len: usize, caller: Caller) -> Result<Slot, AcquireError> {
        if len > self.buffer_size() {
            return Err(self.too_large(len));
        }
        let core = self.core();
        core.decay();
        let popped = if core.short_way > 0 {
            // That was tried, and has not found anything at hand.
            core.pop().map_err(Refusal::Empty)
        } else {
            self.try_pop(caller)
        };
        popped.map_err(|refusal| self.refuse(refusal))
    }

    /// Lends a buffer if the free list has one at hand, and nothing is to be done but that.
    #[inline(always)]
    pub(crate) fn acquire_at_hand(&self) -> Option<PooledBuf> {
        let core = self.core();
        if core.short_way == 0 {
            return None;
        }
        let slot = core.free_list.pop_at_hand()?;
        // SAFETY: just popped.
        Some(unsafe { self.lend(slot) })
    }

    /// Lends a buffer, or says why not; counts no refusal.
    pub(crate) fn try_acquire(&self, caller: Caller) -> Result<PooledBuf, Refusal> {
        self.core().decay();
        let slot = self.try_pop(caller)?;
        // SAFETY: just popped.
        Ok(unsafe { self.lend(slot) })
    }

    /// A buffer that is charged and tracked.
    fn try_pop(&self, caller: Caller) -> Result<Slot, Refusal> {
        let core = self.core();
        let slot = match core.free_list.pop_at_hand() {
            Some(slot) => slot,
            None => core.pop().map_err(Refusal::Empty)?,
        };
        if let Some(budget) = &core.budget {
            if let Err(exceeded) = budget.charge(core.buffer_size) {
                core.count_not_lent();
                // SAFETY: just popped.
                unsafe { give_back(self.core, slot) };
                return Err(Refusal::OverBudget(exceeded));
            }
        }
        core.track(slot, caller);
        Ok(slot)
    }

    /// The guard of a buffer.
    ///
    /// # Safety
    ///
    /// `slot` was popped from the free list, and becomes no other guard.
    #[inline(always)]
    unsafe fn lend(&self, slot: Slot) -> PooledBuf {
        let core = self.core();
        core.witness.holds(slot.index);
        // SAFETY: the header lies at the start of the core, which lives until all buffers are released
        // (see the module). The region's bytes at `slot` are initialised, at least `buffer_size` many, and
        // ours alone until `release` pushes `slot`; what their last holder did has happened before. The core
        // is `Sync`. `stale` was a guard's.
        unsafe {
            PooledBuf::from_parts(
                self.core.cast(),
                core.region.slot(slot.index),
                core.buffer_size,
                slot.index,
                slot.stale,
            )
        }
    }

    /// The error that `refusal` is to a user, counted as refused where it is that.
    #[cold]
    pub(crate) fn refuse(&self, refusal: Refusal) -> AcquireError {
        let core = self.core();
        match refusal {
            Refusal::Empty(Empty::Closed) => self.closed(),
            Refusal::Empty(Empty::AllInUse(in_use)) => {
                core.refused.fetch_add(1, Ordering::Relaxed);
                AcquireError::Exhausted {
                    pool: Arc::clone(self.name()),
                    in_use: in_use as usize,
                    max: self.max(),
                    held_by: core
                        .tracker
                        .as_ref()
                        .and_then(Tracker::held_by)
                        .map(Box::new),
                }
            }
            Refusal::OverBudget(Exceeded { lent }) => {
                core.refused.fetch_add(1, Ordering::Relaxed);
                core.over_budget.fetch_add(1, Ordering::Relaxed);
                AcquireError::OverBudget {
                    pool: Arc::clone(self.name()),
                    requested: self.buffer_size(),
                    lent,
                    budget: core.budget.as_ref().map_or(0, Budget::limit),
                }
            }
        }
    }

    /// The error that no buffer of the pool is that large.
    #[cold]
    pub(crate) fn too_large(&self, requested: usize) -> AcquireError {
        AcquireError::TooLarge {
            pool: Arc::clone(self.name()),
            requested,
            max: self.buffer_size(),
        }
    }

    /// The error that the pool is closed.
    #[cold]
    pub(crate) fn closed(&self) -> AcquireError {
        AcquireError::Closed {
            pool: Arc::clone(self.name()),
        }
    }

    /// Who holds what.
    pub(crate) fn holders(&self) -> Holders {
        match &self.core().tracker {
            Some(tracker) => tracker.holders(),
            None => Holders::untracked(self.stats().in_use),
        }
    }

    /// A number that no other living pool has.
    fn id(&self) -> usize {
        self.core.as_ptr() as usize
    }

    #[inline]
    pub(crate) fn buffer_size(&self) -> usize {
        self.core().buffer_size as usize
    }

    pub(crate) fn max(&self) -> usize {
        self.core().max.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn region(&self) -> MemoryRegion {
        self.core().region.public()
    }

    pub(crate) fn alignment(&self) -> usize {
        self.core().alignment
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.core().name
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let core = self.core();
        core.decay();
        let waits = core.waiters.figures();
        let counts = core.free_list.counts();
        let high_water = counts.high_water as usize;
        let in_use = match counts.in_use {
            Some(in_use) => in_use as usize,
            // A closed list takes nothing back; what is out is then among the keepers. Saturating: a
            // release may have counted itself down before `close` has added what was out.
            None => {
                let keepers = core.keepers.load(Ordering::Relaxed);
                keepers.saturating_sub(HANDLES) as usize
            }
        };
        // `in_use`, since the lock-free list counts a new high-water mark after the buffer is taken.
        let total = high_water.max(core.initial as usize).max(in_use);
        PoolStats {
            name: Arc::clone(&core.name),
            buffer_size: self.buffer_size(),
            max: self.max(),
            total,
            available: total - in_use,
            in_use,
            high_water: high_water.max(in_use),
            // What is handed over does not pass through the free list.
            acquired: (counts.acquired.saturating_add(waits.served))
                .saturating_sub(core.not_lent.load(Ordering::Relaxed)),
            refused: core.refused.load(Ordering::Relaxed),
            over_budget: core.over_budget.load(Ordering::Relaxed),
            waits: waits.waits,
            handed_over: waits.served,
            waited: waits.waited,
            timed_out: waits.timed_out,
            waiting: waits.waiting,
            resident_bytes: (total * core.stride).saturating_sub(counts.given_back),
            tiers: Vec::new(),
        }
    }

    /// Lends no more. What is out stays valid, and is freed with the rest when the last handle and the
    /// last guard are gone.
    pub(crate) fn close(&self) {
        let core = self.core();
        let mut queue = core.waiters.lock();
        let wakers = queue.close();
        core.stop_waiting_if_empty(&queue);
        let out = core.free_list.close();
        drop(queue);
        if let Some(budget) = &core.budget {
            budget.close(self.id());
        }
        // Relaxed: a handle is held until after this, so nobody can bring the count to 0 before the last
        // handle's own subtraction, which this is ordered before.
        core.keepers.fetch_add(u64::from(out), Ordering::Relaxed);
        wake_all(wakers);
    }

    /// Gives up `count` keepers, and frees the core with the last.
    ///
    /// # Safety
    ///
    /// The caller counts that many, and uses the core no more unless it counts others.
    #[cold]
    unsafe fn give_up(core: NonNull<PoolCore<F>>, count: u64) {
        // SAFETY: `count` keepers are the caller's, so the core is still there.
        let keepers = unsafe { &core.as_ref().keepers };
        // Release: what the caller did with the core happens before it is freed. Acquire, for the last
        // one: so does what all the others did.
        if keepers.fetch_sub(count, Ordering::AcqRel) == count {
            // SAFETY: made from a box in `new`. No handle and no guard is left, and the free list touches
            // nothing after a push has taken effect, so nobody uses the core or can get to it.
            let core = unsafe { Box::from_raw(core.as_ptr()) };
            core.witness.holds_all();
            drop(core);
        }
    }
}

/// Takes a guard's buffer back, as it is.
///
/// # Safety
///
/// The values are what `PoolHandle::<F>::lend` made a guard from, and have not been released before.
unsafe fn release<F: FreeList>(
    header: NonNull<ReleaseHeader>,
    _memory: NonNull<u8>,
    _capacity: u32,
    index: u32,
    exposed: u32,
) {
    let handle: NonNull<PoolCore<F>> = header.cast();
    // SAFETY: the header is that of a core, alive because this buffer is out.
    let core = unsafe { handle.as_ref() };
    let slot = Slot {
        index,
        stale: exposed,
    };
    core.witness.holds(index);
    if !core.free_list.push_at_hand(slot) {
        // SAFETY: the buffer is out still, and nobody else releases it.
        unsafe { release_elsewhere(handle, slot) };
    }
}

/// Takes a guard's buffer back where the free list has no place for it at hand. A function of its own, and the
/// last call of its caller, which therefore has no register to save.
///
/// # Safety
///
/// `slot` is that of a buffer that is out, whose guard is gone.
#[cold]
#[inline(never)]
unsafe fn release_elsewhere<F: FreeList>(handle: NonNull<PoolCore<F>>, slot: Slot) {
    // SAFETY: the core is alive because this buffer is out.
    let core = unsafe { handle.as_ref() };
    // While others wait, most of who comes here need not ask the free list: a hint, which the list would correct.
    if core.wanted.load(Ordering::Relaxed) && !core.was_shrunk.load(Ordering::Relaxed) {
        if let Some(waker) = core.hand_over(slot) {
            wake(waker);
            return;
        }
    }
    // Before the push, after which the core may be gone.
    core.decay();
    if let Err(reason) = core.free_list.push(slot) {
        // SAFETY: passed on, as the list did not take the buffer.
        unsafe { release_not_taken(handle, slot, reason) };
    }
}

/// Hands a buffer over that the free list did not take, or counts it down.
///
/// # Safety
///
/// As for `release_elsewhere`; and the list has just said so.
#[cold]
#[inline(never)]
unsafe fn release_not_taken<F: FreeList>(
    handle: NonNull<PoolCore<F>>,
    slot: Slot,
    reason: NotTaken,
) {
    // SAFETY: passed on.
    if let Some(waker) = unsafe { settle_not_taken(handle, slot, reason) } {
        wake(waker);
    }
}

/// Takes back a buffer, and returns whom to wake, who has been handed it.
///
/// # Safety
///
/// As for `release_elsewhere`.
unsafe fn put_back_quietly<F: FreeList>(handle: NonNull<PoolCore<F>>, slot: Slot) -> Option<Waker> {
    // SAFETY: the core is alive because this buffer is out.
    let reason = unsafe { handle.as_ref() }.free_list.push(slot).err()?;
    // SAFETY: passed on, as the list did not take the buffer.
    unsafe { settle_not_taken(handle, slot, reason) }
}

/// Hands a buffer over that the free list did not take, and returns whom to wake; or counts it down.
///
/// # Safety
///
/// As for `release_not_taken`.
unsafe fn settle_not_taken<F: FreeList>(
    handle: NonNull<PoolCore<F>>,
    slot: Slot,
    mut reason: NotTaken,
) -> Option<Waker> {
    // SAFETY: the core is alive because this buffer is out.
    let core = unsafe { handle.as_ref() };
    while reason == NotTaken::Wanted {
        if let Some(waker) = core.hand_over(slot) {
            return Some(waker);
        }
        // Whoever waited has left, or the max was lowered.
        reason = core.free_list.push(slot).err()?;
    }
    // SAFETY: `close` has counted this buffer as out, or is about to and holds a handle; and the list did not
    // take it back.
    unsafe { PoolHandle::give_up(handle, 1) };
    None
}

/// Takes a popped buffer back that has become no guard.
///
/// # Safety
///
/// As for `release_elsewhere`.
unsafe fn give_back<F: FreeList>(handle: NonNull<PoolCore<F>>, slot: Slot) {
    // SAFETY: the core is alive because this buffer is out.
    if !unsafe { handle.as_ref() }.free_list.push_at_hand(slot) {
        // SAFETY: passed on.
        unsafe { release_elsewhere(handle, slot) };
    }
}

/// Wipes a guard's buffer if need be, tells budget and tracker that it is back, and takes it back.
///
/// # Safety
///
/// As for `release`.
unsafe fn settle_and_release<F: FreeList>(
    header: NonNull<ReleaseHeader>,
    memory: NonNull<u8>,
    capacity: u32,
    index: u32,
    exposed: u32,
) {
    // SAFETY: the header is that of a core, alive because this buffer is out.
    let core = unsafe { header.cast::<PoolCore<F>>().as_ref() };
    if let Some(tracker) = &core.tracker {
        tracker.remove(index);
    }
    // Before the buffer is back, as afterwards the core may be gone. Whom that serves is woken when it is: wakers
    // are a user's code, which may panic.
    let served = core.budget.as_ref().map(|budget| budget.refund(capacity));
    match core.wipe {
        // SAFETY: passed on.
        Wipe::Never => unsafe { release::<F>(header, memory, capacity, index, exposed) },
        // SAFETY: passed on.
        _ => unsafe { wipe_and_release::<F>(header, memory, capacity, index, exposed) },
    }
    wake_all(served.unwrap_or_default());
}

/// Wipes a guard's buffer and takes it back.
///
/// # Safety
///
/// As for `release`.
unsafe fn wipe_and_release<F: FreeList>(
    header: NonNull<ReleaseHeader>,
    memory: NonNull<u8>,
    capacity: u32,
    index: u32,
    exposed: u32,
) {
    // SAFETY: the header is that of a core, alive because this buffer is out.
    let core = unsafe { header.cast::<PoolCore<F>>().as_ref() };
    // SAFETY: the guard gave up its buffer, whose first `exposed` bytes are initialised, and it is ours
    // alone until it is pushed.
    core.wipe
        .overwrite(unsafe { NonNull::slice_from_raw_parts(memory, exposed as usize).as_mut() });
    // SAFETY: passed on. Nothing is exposed any more.
    unsafe { release::<F>(header, memory, capacity, index, 0) };
}

impl<F: FreeList> PoolCore<F> {
    /// A buffer that counts as acquired is not lent, or counts twice.
    fn count_not_lent(&self) {
        self.not_lent.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers to whom the buffer is lent, if the pool does that.
    fn track(&self, slot: Slot, caller: Caller) {
        if let Some(tracker) = &self.tracker {
            tracker.enter(slot.index, caller);
        }
    }
}

impl<F: FreeList> Clone for PoolHandle<F> {
    fn clone(&self) -> Self {
        // Relaxed: there is a handle, so nobody is counting the last one down.
        let handles = self.core().handles.fetch_add(1, Ordering::Relaxed);
        // Only a program that forgets handles without end gets there. Going on would let the count wrap
        // and free the core under their feet, so, as `Arc` does, it ends here.
        if handles > isize::MAX as usize {
            std::process::abort();
        }
        PoolHandle { core: self.core }
    }
}

impl<F: FreeList> Drop for PoolHandle<F> {
    fn drop(&mut self) {
        // Release: what was done through this handle happens before the last handle closes the pool.
        // Acquire, for the last one: all that was done through the others has happened.
        if self.core().handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
            // SAFETY: the handles' share, given up once, by the last of them.
            unsafe { PoolHandle::give_up(self.core, HANDLES) };
        }
    }
}
