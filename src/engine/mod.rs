//! What all pools of equal buffers share: lending, taking back, counting, closing.
//!
//! **What keeps the memory alive.** Neither acquire nor release touches a reference count: a handle keeps the
//! core alive for acquiring, and the core itself is alive while there is a buffer to release. When the last handle goes
//! (or `close` is called) the free list is closed and says how many buffers are out. From then on it takes
//! none back, so each later release counts one down instead, and the last of them frees the core.

mod acquire;
pub(crate) mod config;
pub(crate) mod line;
mod many;
mod release;
mod resize;
mod trim;
mod wait;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::base::sync::{AtomicU32, AtomicU64, AtomicUsize, LeakTracker, Ordering, Witness};
use crate::base::wipe::Wipe;
use crate::buf::guard::header::ReleaseHeaders;
use crate::engine::config::CheckedConfig;
use crate::engine::line::Line;
use crate::free_list::{Counts, FreeList, Limits};
use crate::memory::OutOfMemory;
use crate::memory::decay::Decay;
use crate::memory::region::{MemoryRegion, Region};
use crate::report::error::config::{ConfigError, ConfigProblem};
use crate::report::holders::{Holders, Tracker};
use crate::report::name::Name;
use crate::report::stats::PoolStats;
use crate::waiting::after::After;
use crate::waiting::budget::Budget;
use crate::waiting::counts::WaitCounts;

pub(crate) use acquire::{Refusal, Taken};
pub(crate) use wait::Serving;

/// A handle of a pool of equal buffers. Clones are handles of the same pool.
pub(crate) struct PoolHandle<F: FreeList> {
    core: NonNull<PoolCore<F>>,
}

/// The header comes first, so a guard's pointer to it is one to the whole.
#[repr(C)]
struct PoolCore<F: FreeList> {
    header: ReleaseHeaders,
    /// Requests for fewer bytes may take the fast path, which knows neither budget nor tracker. All that the
    /// buffers can hold, or none.
    fast_below: usize,
    wipe: Wipe,
    free_list: F,
    region: Region,
    /// Where requests wait for the buffers of this core, or of all tiers of the pool that it belongs to.
    line: Arc<Line<F>>,
    /// Its number in that line.
    tier: usize,
    waits: CachePadded<WaitCounts>,
    /// Whether requests may wait.
    waiting: bool,
    /// How many at most.
    max_waiting: usize,
    /// How many buffers the first that waits wants, for the errors of those that don't: may be out of date.
    first_wants: AtomicU32,
    refused: AtomicU64,
    /// Requests that were refused, timed out or were abandoned for want of bytes.
    over_budget: AtomicU64,
    /// Waits that have ended, and were for bytes.
    waits_for_bytes: AtomicU64,
    /// The most that statistics have shown as acquired, so that they never show less.
    acquired_shown: AtomicU64,
    budget: Option<Budget>,
    tracker: Option<Tracker>,
    /// Handles in existence.
    handles: AtomicUsize,
    /// What keeps the core alive once the free list is closed: [`HANDLES`] while there is a handle, plus
    /// 1 for each buffer that is out.
    keepers: AtomicU64,
    name: Name,
    /// What the whole is called as a part of which the pool was closed.
    closed_with: OnceLock<Name>,
    witness: Witness,
    decay: Option<Decay>,
    _leak: LeakTracker,
}

/// What the line knows of a core.
struct InLine {
    /// Requests that wait.
    waiting: usize,
    /// Buffers that the first of them wants.
    first_wants: usize,
    /// For so long, at least, nothing has come back for them: no buffer, or, if the first lacks nothing but bytes, no
    /// bytes.
    stalled: Duration,
    /// Buffers that were lent past the free list.
    handed_on: u64,
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
    /// A pool, whose requests wait in `line`, where it is the next tier.
    pub(crate) fn new(config: CheckedConfig, line: &Arc<Line<F>>) -> Result<Self, ConfigError> {
        let name = config.name.clone();
        Self::try_new(config, line)
            .map_err(|OutOfMemory { bytes }| ConfigError::new(name, ConfigProblem::OutOfMemory { bytes }))
    }

    fn try_new(config: CheckedConfig, line: &Arc<Line<F>>) -> Result<Self, OutOfMemory> {
        let layout = config.layout;
        let free_list = F::new(&Limits {
            buffer_size: layout.buffer_size,
            initial: layout.initial,
            max: config.max,
            reserve: layout.reserve,
            magazine: config.magazine,
            waiting: config.waiting,
        })?;
        let region = Region::reserve(layout)?;
        let tracker = config.track_holders.then(|| Tracker::new(layout.reserve));
        let tracker = tracker.transpose()?;
        let counts_loans = config.budget.is_some() || tracker.is_some();
        let mut core = Box::new(PoolCore {
            header: ReleaseHeaders::new(
                if counts_loans || config.wipe != Wipe::Never {
                    release::release_with_extras::<F>
                } else {
                    release::release::<F>
                },
                layout.headroom,
                config.wipe,
            ),
            fast_below: match counts_loans {
                false => (layout.buffer_size as usize).saturating_add(1),
                true => 0,
            },
            wipe: config.wipe,
            free_list,
            region,
            line: Arc::clone(line),
            tier: 0,
            waits: CachePadded::new(WaitCounts::default()),
            waiting: config.waiting,
            max_waiting: config.max_waiting,
            first_wants: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            over_budget: AtomicU64::new(0),
            waits_for_bytes: AtomicU64::new(0),
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
        core.tier = line.next_tier();
        let core = NonNull::from(Box::leak(core));
        line.add_tier(core);
        Ok(PoolHandle { core })
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

    /// What the pool is called.
    pub(crate) fn own_name(&self) -> &Name {
        &self.core().name
    }

    /// What errors call the pool: after it was closed as a part of a whole, that is what is closed.
    pub(crate) fn name(&self) -> &Name {
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
        let InLine {
            waiting,
            first_wants,
            stalled,
            handed_on,
        } = core.in_line();
        PoolStats {
            name: core.name.clone(),
            buffer_size: self.buffer_size(),
            max: self.max(),
            total,
            available: total - in_use,
            in_use,
            high_water: high_water.max(in_use),
            acquired: core.acquired(counts.acquired + handed_on),
            refused: core.refused.load(Ordering::Relaxed),
            over_budget: core.over_budget.load(Ordering::Relaxed),
            waits: core.waits.all(),
            handed_over: core.waits.handed_over(),
            waited: core.waits.waited(),
            timed_out: core.waits.timed_out(),
            abandoned: core.waits.abandoned(),
            waits_for_bytes: core.waits_for_bytes.load(Ordering::Relaxed),
            waiting,
            first_wants,
            stalled,
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
    pub(crate) fn close_with(&self, whole: &Name) {
        self.core().closed_with.get_or_init(|| whole.clone());
        self.close();
    }

    /// Lends no more. What is out stays valid, and is freed with the rest when the last handle and the
    /// last guard are gone.
    pub(crate) fn close(&self) {
        let core = self.core();
        let mut after = After::default();
        let mut line = core.line.lock();
        line.queue.close(core.tier, &mut after);
        let out = core.free_list.close();
        drop(line);
        // Relaxed: a handle is held until after this, so none can bring the count to 0 before the last
        // handle's own subtraction, which this is ordered before.
        core.keepers.fetch_add(u64::from(out), Ordering::Relaxed);
        after.settle();
    }
}

impl<F: FreeList> PoolCore<F> {
    #[inline]
    fn buffer_size(&self) -> u32 {
        self.region.layout().buffer_size
    }

    fn in_line(&self) -> InLine {
        let mut line = self.line.lock();
        let for_buffers = line.queue.stalled(self.tier, self.free_list.returns());
        let stalled = match &self.budget {
            Some(budget) if line.queue.lacks_bytes(self.tier) => budget.stalled().max(for_buffers),
            _ => for_buffers,
        };
        let first = line.queue.first(self.tier);
        InLine {
            waiting: line.queue.waiting(self.tier),
            first_wants: first.map_or(0, |(_, wants)| wants.count as usize),
            stalled,
            handed_on: line.queue.handed_on(self.tier),
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

    /// How many buffers were lent, if the free list has just said so many: never lower than it was shown before, as it
    /// may seem while other threads use the pool.
    fn acquired(&self, lent: u64) -> u64 {
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
