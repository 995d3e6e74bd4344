//! A handle of a pool of equal buffers.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;

use crate::base::sync::{AtomicU32, AtomicU64, AtomicUsize, LeakTracker, Ordering, Witness};
use crate::base::wipe::Wipe;
use crate::buf::guard::PooledBuf;
use crate::buf::guard::header::ReleaseHeaders;
use crate::engine::config::CheckedConfig;
use crate::engine::line::Line;
use crate::engine::pool_core::{HANDLES, PoolCore};
use crate::engine::release;
use crate::engine::stock::{Loans, Stock};
use crate::free_list::{FreeList, Limits};
use crate::memory::OutOfMemory;
use crate::memory::decay::Decay;
use crate::memory::region::{MemoryRegion, Region};
use crate::report::error::config::{ConfigError, ConfigProblem};
use crate::report::holders::Tracker;
use crate::report::name::Name;
use crate::waiting::counts::WaitCounts;

/// A handle of a pool of equal buffers. Clones are handles of the same pool.
pub(crate) struct PoolHandle<F: FreeList> {
    pub(super) core: NonNull<PoolCore<F>>,
}

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
        let loans_are_noted = config.budget.is_some() || tracker.is_some();
        let header = ReleaseHeaders::new(
            if loans_are_noted || config.wipe != Wipe::Never {
                release::release_with_extras::<F>
            } else {
                release::release::<F>
            },
            layout.headroom,
            config.wipe,
        )
        .waited_for(release::is_wanted::<F>);
        let core = Box::new(PoolCore {
            stock: Stock {
                header,
                loans: match loans_are_noted {
                    true => Loans::NOTED,
                    false => Loans::plain(layout.buffer_size),
                },
                wipe: config.wipe,
                free_list,
                region,
                budget: config.budget,
                tracker,
                tier: line.next_tier(),
                first_wants: AtomicU32::new(0),
                witness: Witness::new(layout.reserve),
            },
            line: Arc::clone(line),
            waits: CachePadded::new(WaitCounts::default()),
            waiting: config.waiting,
            max_waiting: config.max_waiting,
            refused: AtomicU64::new(0),
            over_budget: AtomicU64::new(0),
            waits_for_bytes: AtomicU64::new(0),
            acquired_shown: AtomicU64::new(0),
            handles: AtomicUsize::new(1),
            keepers: AtomicU64::new(HANDLES),
            name: config.name,
            closed_with: OnceLock::new(),
            decay: config.decay.filter(|_| F::DECAYS).map(Decay::new),
            leak: LeakTracker::new(),
        });
        let core = NonNull::from(Box::leak(core));
        line.add_tier(core.cast());
        Ok(PoolHandle { core })
    }

    #[inline]
    pub(super) fn core(&self) -> &PoolCore<F> {
        // SAFETY: the core lives while there is a handle.
        unsafe { self.core.as_ref() }
    }

    #[inline]
    pub(crate) fn buffer_size(&self) -> usize {
        self.core().stock.buffer_size() as usize
    }

    pub(crate) fn max(&self) -> usize {
        self.core().stock.free_list.max() as usize
    }

    pub(crate) fn region(&self) -> MemoryRegion {
        self.core().stock.region.public()
    }

    /// Whether `buf` is a guard of this pool, with nothing before it that takes it back first.
    pub(crate) fn has_lent(&self, buf: &PooledBuf) -> bool {
        buf.is_lent_by(self.core.cast())
    }

    /// What the pool is called.
    pub(crate) fn own_name(&self) -> &Name {
        &self.core().name
    }

    /// What errors call the pool: after it was closed as a part of a whole, that is what is closed.
    pub(crate) fn name(&self) -> &Name {
        self.core().closed_with.get().unwrap_or(self.own_name())
    }

    /// Gives the pages of free buffers back to the operating system; returns how many bytes that were.
    pub(crate) fn trim(&self) -> usize {
        self.core().trim()
    }

    /// As `close`, as a part of what is called `whole`.
    pub(crate) fn close_with(&self, whole: &Name) {
        self.core().closed_with.get_or_init(|| whole.clone());
        self.close();
    }

    /// Lends no more. What is out stays valid, and is freed with the rest when the last handle and the
    /// last guard are gone.
    pub(crate) fn close(&self) {
        self.core().close();
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
            self.core().close();
            // SAFETY: the handles' share, given up once, by the last of them.
            unsafe { PoolCore::give_up(self.core, HANDLES) };
        }
    }
}
