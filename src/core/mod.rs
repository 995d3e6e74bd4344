//! What all pools of equal buffers share: lending, taking back, counting, closing.
//!
//! **What keeps the memory alive.** Neither acquire nor release touches a reference count: a handle keeps the
//! core alive for acquiring, and the core itself is alive while there is a buffer to release. When the last handle goes
//! (or `close` is called) the free list is closed and says how many buffers are out. From then on it takes
//! none back, so each later release counts one down instead, and the last of them frees the core.

mod acquire;
mod many;
mod release;
mod resize;
mod trim;
mod wait;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::CheckedConfig;
use crate::error::{ConfigError, ConfigProblem};
use crate::free_list::{Counts, FreeList, Limits};
use crate::holders::{Caller, Holders, Tracker};
use crate::memory::OutOfMemory;
use crate::memory::decay::Decay;
use crate::memory::region::{MemoryRegion, Region};
use crate::pooled_buf::header::Lender;
use crate::stats::PoolStats;
use crate::sync::{AtomicU64, AtomicUsize, LeakTracker, Ordering, Witness, fence};
use crate::waiting::budget::Budget;
use crate::waiting::parcel::Parcel;
use crate::waiting::queue::{WaitCounts, Waiters};
use crate::waiting::unlent_slot::{LoanHeader, UnlentSlot};
use crate::waiting::waker::wake_all;
use crate::wipe::Wipe;

pub(crate) use acquire::Refusal;

/// A handle of a pool of equal buffers. Clones are handles of the same pool.
pub(crate) struct PoolHandle<F: FreeList> {
    core: NonNull<PoolCore<F>>,
}

/// The header comes first, so a guard's pointer to it is one to the whole.
#[repr(C)]
struct PoolCore<F: FreeList> {
    header: LoanHeader,
    /// Requests for fewer bytes may take the fast path, which knows neither budget nor tracker. All that the
    /// buffers can hold, or none.
    fast_below: usize,
    wipe: Wipe,
    free_list: F,
    region: Region,
    /// Requests that wait for buffers.
    waiters: Waiters<Wanted, Parcel>,
    waits: WaitCounts,
    /// Whether requests may wait.
    waiting: bool,
    refused: AtomicU64,
    /// Requests that were refused, timed out or were abandoned for want of bytes.
    over_budget: AtomicU64,
    /// Waits that have ended, and were for bytes.
    waits_for_bytes: AtomicU64,
    /// Requests that wait for bytes now.
    waiting_for_bytes: AtomicUsize,
    /// Buffers that the free list counts as acquired and that were not lent, or not by it. Goes up before such a buffer
    /// is taken.
    not_lent: AtomicU64,
    /// The most that statistics have shown as acquired, so that they never show less.
    acquired_shown: AtomicU64,
    budget: Option<Budget>,
    tracker: Option<Tracker>,
    /// Handles in existence.
    handles: AtomicUsize,
    /// What keeps the core alive once the free list is closed: [`HANDLES`] while there is a handle, plus
    /// 1 for each buffer that is out.
    keepers: AtomicU64,
    name: Arc<str>,
    /// What the whole is called as a part of which the pool was closed.
    closed_with: OnceLock<Arc<str>>,
    witness: Witness,
    decay: Option<Decay>,
    _leak: LeakTracker,
}

/// What a request waits for, and the line of code that made it. The first one in the queue collects.
struct Wanted {
    caller: Caller,
    /// Buffers, at least 1.
    count: u32,
    /// What it has of them: fewer.
    collected: Vec<UnlentSlot>,
}

/// What all handles together count in `keepers`. Larger than any number of buffers, so that a release
/// which counts itself down before `close` has added its buffer to the count can't make it 0.
const HANDLES: u64 = 1 << 32;

// SAFETY: a handle gives shared access to the core, whose free list is `Sync` and whose counters are atomic.
// The region's bytes are used by the holder of their buffer, on whatever thread; the free list orders one
// holder's use before the next one's.
unsafe impl<F: FreeList> Send for PoolHandle<F> {}
// SAFETY: as above.
unsafe impl<F: FreeList> Sync for PoolHandle<F> {}

// No operation panics half-way, and a user's panic reaches nothing but the bytes of its own guards.
impl<F: FreeList> UnwindSafe for PoolHandle<F> {}
impl<F: FreeList> RefUnwindSafe for PoolHandle<F> {}

impl<F: FreeList> PoolHandle<F> {
    pub(crate) fn new(config: CheckedConfig) -> Result<Self, ConfigError> {
        let name = Arc::clone(&config.name);
        Self::try_new(config).map_err(|OutOfMemory { bytes }| {
            ConfigError::new(name, ConfigProblem::OutOfMemory { bytes })
        })
    }

    fn try_new(config: CheckedConfig) -> Result<Self, OutOfMemory> {
        let layout = config.layout;
        let free_list = F::new(&Limits {
            buffer_size: layout.buffer_size,
            initial: layout.initial,
            max: config.max,
            reserve: layout.reserve,
            magazine: config.magazine,
        })?;
        let region = Region::reserve(layout)?;
        let tracker = config.track_holders.then(|| Tracker::new(layout.reserve));
        let tracker = tracker.transpose()?;
        let counts_loans = config.budget.is_some() || tracker.is_some();
        let core = Box::new(PoolCore {
            header: LoanHeader {
                lender: Lender::new(
                    if counts_loans || config.wipe != Wipe::Never {
                        release::release_with_extras::<F>
                    } else {
                        release::release::<F>
                    },
                    layout.headroom,
                    config.wipe,
                ),
                give_back: release::give_back::<F>,
            },
            fast_below: match counts_loans {
                false => (layout.buffer_size as usize).saturating_add(1),
                true => 0,
            },
            wipe: config.wipe,
            free_list,
            region,
            waiters: Waiters::new(),
            waits: WaitCounts::default(),
            waiting: config.waiting,
            refused: AtomicU64::new(0),
            over_budget: AtomicU64::new(0),
            waits_for_bytes: AtomicU64::new(0),
            waiting_for_bytes: AtomicUsize::new(0),
            not_lent: AtomicU64::new(0),
            acquired_shown: AtomicU64::new(0),
            budget: config.budget,
            tracker,
            handles: AtomicUsize::new(1),
            keepers: AtomicU64::new(HANDLES),
            name: config.name,
            closed_with: OnceLock::new(),
            witness: Witness::new(layout.reserve),
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

    /// Which line of code holds what.
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
        self.core().buffer_size() as usize
    }

    pub(crate) fn max(&self) -> usize {
        self.core().free_list.max() as usize
    }

    pub(crate) fn region(&self) -> MemoryRegion {
        self.core().region.public()
    }

    pub(crate) fn alignment(&self) -> usize {
        self.core().region.layout().alignment
    }

    /// What the pool is called.
    pub(crate) fn own_name(&self) -> &Arc<str> {
        &self.core().name
    }

    /// What errors call the pool: after it was closed as a part of a whole, that is what is closed.
    pub(crate) fn name(&self) -> &Arc<str> {
        self.core().closed_with.get().unwrap_or(self.own_name())
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let core = self.core();
        core.decay();
        let layout = core.region.layout();
        let counts = core.free_list.counts();
        let high_water = counts.high_water as usize;
        let in_use = core.in_use(&counts);
        // `in_use`, since the lock-free list counts a new high-water mark after the buffer is taken.
        let total = high_water.max(layout.initial as usize).max(in_use);
        let waiting_for_bytes = core.waiting_for_bytes.load(Ordering::Relaxed);
        PoolStats {
            name: Arc::clone(&core.name),
            buffer_size: self.buffer_size(),
            max: self.max(),
            total,
            available: total - in_use,
            in_use,
            high_water: high_water.max(in_use),
            acquired: core.acquired(counts.acquired),
            refused: core.refused.load(Ordering::Relaxed),
            over_budget: core.over_budget.load(Ordering::Relaxed),
            waits: core.waits.all(),
            handed_over: core.waits.handed_over(),
            waited: core.waits.waited(),
            timed_out: core.waits.timed_out(),
            abandoned: core.waits.abandoned(),
            waits_for_bytes: core.waits_for_bytes.load(Ordering::Relaxed),
            waiting: core.waiters.waiting() + waiting_for_bytes,
            stalled: core.stalled(waiting_for_bytes > 0),
            budget: core.budget.as_ref().map_or(0, Budget::limit),
            closed: counts.in_use.is_none(),
            resident_bytes: (total * layout.stride).saturating_sub(counts.given_back),
            tiers: Vec::new(),
        }
    }

    /// Buffers that are out.
    pub(crate) fn in_use(&self) -> usize {
        let core = self.core();
        core.in_use(&core.free_list.counts())
    }

    /// As `close`, as a part of what is called `whole`.
    pub(crate) fn close_with(&self, whole: &Arc<str>) {
        self.core().closed_with.get_or_init(|| Arc::clone(whole));
        self.close();
    }

    /// Lends no more. What is out stays valid, and is freed with the rest when the last handle and the
    /// last guard are gone.
    pub(crate) fn close(&self) {
        let core = self.core();
        let mut queue = core.waiters.lock();
        let (wakers, wanted) = queue.close();
        core.stop_waiting_if_empty(&queue);
        let out = core.free_list.close();
        drop(queue);
        if let Some(budget) = &core.budget {
            budget.close(self.id());
        }
        // Relaxed: a handle is held until after this, so none can bring the count to 0 before the last
        // handle's own subtraction, which this is ordered before.
        core.keepers.fetch_add(u64::from(out), Ordering::Relaxed);
        // What was collected is given back.
        drop(wanted);
        wake_all(wakers);
    }
}

impl<F: FreeList> PoolCore<F> {
    #[inline]
    fn buffer_size(&self) -> u32 {
        self.region.layout().buffer_size
    }

    /// For how long, at least, nothing has come back for the requests that wait: no buffer, or, if some wait `for_bytes`,
    /// no bytes.
    fn stalled(&self, for_bytes: bool) -> Duration {
        let for_buffers = self.waiters.lock().stalled(|wanted| wanted.collected.len());
        match &self.budget {
            Some(budget) if for_bytes => budget.stalled().max(for_buffers),
            _ => for_buffers,
        }
    }

    /// Buffers that are out, if those are the free list's counts.
    fn in_use(&self, counts: &Counts) -> usize {
        match counts.in_use {
            Some(in_use) => in_use as usize,
            // A closed list takes none back; what is out is then among the keepers. Saturating: a
            // release may have counted itself down before `close` has added what was out.
            None => {
                let keepers = self.keepers.load(Ordering::Relaxed);
                keepers.saturating_sub(HANDLES) as usize
            }
        }
    }

    /// How many buffers were lent, if the free list has just said that so many were taken: exact while no other thread
    /// uses the pool, and otherwise never too high, nor lower than it was shown before.
    fn acquired(&self, taken: u64) -> u64 {
        let lent = taken.saturating_add(self.waits.handed_over());
        // What is taken and not lent counts there before it is taken, so this is read afterwards: the fence pairs with
        // the one in `take`, and with the Release of `WaitCounts::add`.
        fence(Ordering::Acquire);
        let lent = lent.saturating_sub(self.not_lent.load(Ordering::Relaxed));
        let before = self.acquired_shown.fetch_max(lent, Ordering::Relaxed);
        lent.max(before)
    }

    /// Gives up `count` keepers, and frees the core with the last.
    ///
    /// # Safety
    ///
    /// The caller counts that many, and uses the core no more unless it counts others.
    #[cold]
    unsafe fn give_up(this: NonNull<Self>, count: u64) {
        // SAFETY: `count` keepers are the caller's, so the core is still there.
        let keepers = unsafe { &this.as_ref().keepers };
        // Release: what the caller did with the core happens before it is freed. Acquire, for the last
        // one: so does what all the others did.
        if keepers.fetch_sub(count, Ordering::AcqRel) == count {
            // SAFETY: made from a box in `new`. No handle and no guard is left, and the free list touches
            // nothing after a push has taken effect, so none uses the core or can get to it.
            let core = unsafe { Box::from_raw(this.as_ptr()) };
            core.witness.holds_all();
            drop(core);
        }
    }
}

impl<F: FreeList> Clone for PoolHandle<F> {
    fn clone(&self) -> Self {
        // Relaxed: there is a handle, so no thread is counting the last one down.
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
            unsafe { PoolCore::give_up(self.core, HANDLES) };
        }
    }
}
