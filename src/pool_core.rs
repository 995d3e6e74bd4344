//! What all pools of equal buffers share: lending, taking back, counting, closing.
//!
//! **Who keeps the memory alive.** Neither acquire nor release touches a reference count: a handle keeps the
//! core alive for those who acquire, and the core itself for those who release. When the last handle goes
//! (or `close` is called) the free list is closed and says how many buffers are out. From then on it takes
//! none back, so each later release counts one down instead, and the last of them frees the core.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::acquire::{Lender, Turn};
use crate::config::CheckedConfig;
use crate::error::{AcquireError, ConfigError};
use crate::free_list::{Empty, FreeList, NotTaken, Slot};
use crate::pooled_buf::{PooledBuf, ReleaseHeader};
use crate::region::Region;
use crate::stats::PoolStats;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, LeakTracker, Ordering, Witness};
use crate::waiters::{Ending, Outcome, Queue, Ticket, Waiters, wake_all};
use crate::wipe::Wipe;

/// A handle of a pool of equal buffers. Clones are handles of the same pool.
pub(crate) struct PoolHandle<F: FreeList> {
    core: NonNull<PoolCore<F>>,
}

/// The header comes first, so a guard's pointer to it is one to the whole.
#[repr(C)]
struct PoolCore<F: FreeList> {
    header: ReleaseHeader,
    buffer_size: u32,
    max: u32,
    initial: u32,
    wipe: Wipe,
    alignment: usize,
    stride: usize,
    free_list: F,
    region: Region,
    /// Who waits for a buffer. While there is anybody, what is released is handed to the first of them.
    waiters: Waiters<(), Slot>,
    /// Whether there is anybody, as the free list knows it. Changed under the lock of `waiters`; elsewhere a hint.
    wanted: AtomicBool,
    refused: AtomicU64,
    /// Handles in existence.
    handles: AtomicUsize,
    /// What keeps the core alive once the free list is closed: [`HANDLES`] while there is a handle, plus
    /// 1 for each buffer that is out.
    keepers: AtomicU64,
    name: Arc<str>,
    witness: Witness,
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
        let core = Box::new(PoolCore {
            header: ReleaseHeader {
                release: match config.wipe {
                    Wipe::Never => release::<F>,
                    _ => wipe_and_release::<F>,
                },
            },
            buffer_size: config.buffer_size,
            max: config.max,
            initial: config.initial,
            wipe: config.wipe,
            alignment: config.alignment,
            stride: config.stride,
            free_list: F::new(&config)?,
            region,
            waiters: Waiters::new(),
            wanted: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            handles: AtomicUsize::new(1),
            keepers: AtomicU64::new(HANDLES),
            name: config.name,
            witness: Witness::new(config.max),
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
    pub(crate) fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let at_hand = if len <= self.buffer_size() {
            self.core().free_list.pop_at_hand()
        } else {
            None
        };
        // The guard is made in one place, whichever way its slot came: then the compiler knows that it is empty.
        let slot = match at_hand {
            Some(slot) => slot,
            None => self.pop_elsewhere(len)?,
        };
        // SAFETY: just popped.
        Ok(unsafe { self.lend(slot) })
    }

    #[cold]
    #[inline(never)]
    fn pop_elsewhere(&self, len: usize) -> Result<Slot, AcquireError> {
        if len > self.buffer_size() {
            return Err(AcquireError::TooLarge {
                requested: len,
                max: self.buffer_size(),
            });
        }
        let slot = self.core().free_list.pop();
        slot.map_err(|empty| self.refuse(empty))
    }

    /// Lends a buffer if the free list has one at hand.
    #[inline(always)]
    pub(crate) fn acquire_at_hand(&self) -> Option<PooledBuf> {
        let slot = self.core().free_list.pop_at_hand()?;
        // SAFETY: just popped.
        Some(unsafe { self.lend(slot) })
    }

    /// Lends a buffer, or says why not; counts no refusal.
    pub(crate) fn try_acquire(&self) -> Result<PooledBuf, Empty> {
        let slot = self.core().free_list.pop()?;
        // SAFETY: just popped.
        Ok(unsafe { self.lend(slot) })
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

    /// The error that `empty` is to a user, counted as refused where it is a refusal.
    #[cold]
    pub(crate) fn refuse(&self, empty: Empty) -> AcquireError {
        match empty {
            Empty::AllInUse(in_use) => {
                self.core().refused.fetch_add(1, Ordering::Relaxed);
                AcquireError::Exhausted {
                    in_use: in_use as usize,
                    max: self.max(),
                }
            }
            Empty::Closed => AcquireError::Closed,
        }
    }

    #[inline]
    pub(crate) fn buffer_size(&self) -> usize {
        self.core().buffer_size as usize
    }

    pub(crate) fn max(&self) -> usize {
        self.core().max as usize
    }

    pub(crate) fn alignment(&self) -> usize {
        self.core().alignment
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.core().name
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let core = self.core();
        let waits = core.waiters.lock().figures();
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
            acquired: counts.acquired.saturating_add(waits.served),
            refused: core.refused.load(Ordering::Relaxed),
            waits: waits.waits,
            waited: waits.waited,
            timed_out: waits.timed_out,
            waiting: waits.waiting,
            resident_bytes: total * core.stride,
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
    loop {
        // A hint: most of who comes here while somebody waits need not ask the free list first.
        if core.wanted.load(Ordering::Relaxed) && core.hand_over(slot) {
            return;
        }
        match core.free_list.push(slot) {
            Ok(()) => return,
            Err(NotTaken::Wanted) if core.hand_over(slot) => return,
            // Whoever waited has left.
            Err(NotTaken::Wanted) => {}
            Err(NotTaken::Closed) => {
                // SAFETY: `close` has counted this buffer as out, or is about to and holds a handle; and the
                // list did not take it back.
                return unsafe { PoolHandle::give_up(handle, 1) };
            }
        }
    }
}

impl<F: FreeList> PoolCore<F> {
    /// Hands a buffer to the first who waits. False if nobody does. Afterwards the core may be gone.
    fn hand_over(&self, slot: Slot) -> bool {
        let mut queue = self.waiters.lock();
        let Ok(waker) = queue.hand(slot) else {
            return false;
        };
        self.stop_waiting_if_empty(&queue);
        drop(queue);
        waker.wake();
        true
    }

    fn start_waiting(&self, _queue: &Queue<(), Slot>) {
        self.wanted.store(true, Ordering::Relaxed);
        self.free_list.start_waiting();
    }

    fn stop_waiting_if_empty(&self, queue: &Queue<(), Slot>) {
        if queue.is_empty() && self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(false, Ordering::Relaxed);
            self.free_list.stop_waiting();
        }
    }

    /// Takes a free buffer, or joins the queue.
    fn pop_or_join(&self, waker: &Waker, counted: bool) -> Result<Turned, Empty> {
        if let Some(slot) = self.free_list.pop_at_hand() {
            return Ok(Turned::Served(slot));
        }
        if !self.wanted.load(Ordering::Relaxed) {
            match self.free_list.pop() {
                Err(Empty::AllInUse(_)) => {}
                result => return result.map(Turned::Served),
            }
        }
        // Before the lock: a user's code.
        let waker = waker.clone();
        let mut queue = self.waiters.lock();
        if queue.is_closed() {
            drop(queue);
            return Err(Empty::Closed);
        }
        if queue.is_empty() {
            self.start_waiting(&queue);
            match self.free_list.pop() {
                Err(Empty::AllInUse(_)) => {}
                result => {
                    self.stop_waiting_if_empty(&queue);
                    drop(queue);
                    return result.map(Turned::Served);
                }
            }
        }
        Ok(Turned::Queued(queue.join((), waker, counted)))
    }
}

enum Turned {
    Served(Slot),
    Queued(Ticket),
}

impl<F: FreeList> Lender for PoolHandle<F> {
    fn poll_turn(
        &self,
        turn: &mut Turn,
        waker: &Waker,
        counted: bool,
    ) -> Poll<Result<PooledBuf, AcquireError>> {
        let core = self.core();
        let slot = match turn {
            Turn::New => match core.pop_or_join(waker, counted) {
                Ok(Turned::Served(slot)) => slot,
                Ok(Turned::Queued(ticket)) => {
                    *turn = Turn::ForBuffer(ticket);
                    return Poll::Pending;
                }
                Err(empty) => return Poll::Ready(Err(self.refuse(empty))),
            },
            Turn::ForBuffer(ticket) => match core.waiters.check(ticket, waker) {
                Outcome::Waiting => return Poll::Pending,
                Outcome::Handed(slot) => slot,
                Outcome::Closed => {
                    *turn = Turn::New;
                    return Poll::Ready(Err(AcquireError::Closed));
                }
            },
        };
        *turn = Turn::New;
        // SAFETY: just popped, or handed over by whoever had it last.
        Poll::Ready(Ok(unsafe { self.lend(slot) }))
    }

    fn leave(&self, turn: &mut Turn, ending: Ending) -> Option<PooledBuf> {
        match std::mem::take(turn) {
            Turn::New => None,
            Turn::ForBuffer(ticket) => {
                let core = self.core();
                let mut queue = core.waiters.lock();
                let (outcome, waker) = queue.leave(&ticket, ending);
                core.stop_waiting_if_empty(&queue);
                drop(queue);
                drop(waker);
                match outcome {
                    // SAFETY: handed over by whoever had it last.
                    Outcome::Handed(slot) => Some(unsafe { self.lend(slot) }),
                    _ => None,
                }
            }
        }
    }
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
