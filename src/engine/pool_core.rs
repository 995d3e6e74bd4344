//! What all handles of a pool of equal buffers share.
//!
//! **What keeps the memory alive.** Neither acquire nor release touches a reference count: a handle keeps the
//! core alive for acquiring, and the core itself is alive while there is a buffer to release. When the last handle goes
//! (or `close` is called) the free list is closed and says how many buffers are out. From then on it takes
//! none back, so each later release counts one down instead, and the last of them frees the core.

use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::base::sync::{AtomicU64, AtomicUsize, LeakTracker, Ordering};
use crate::engine::line::Line;
use crate::engine::stock::Stock;
use crate::free_list::{Counts, FreeList};
use crate::memory::decay::Decay;
use crate::report::name::Name;
use crate::waiting::after::After;
use crate::waiting::counts::WaitCounts;

/// The stock comes first, and begins with the header: so a guard's pointer to that is one to the whole.
#[repr(C)]
pub(super) struct PoolCore<F: FreeList> {
    pub(super) stock: Stock<F>,
    /// Where requests wait for these buffers, or for those of all tiers of the pool that they belong to.
    pub(super) line: Arc<Line<F>>,
    pub(super) waits: CachePadded<WaitCounts>,
    /// Whether requests may wait.
    pub(super) waiting: bool,
    /// How many at most.
    pub(super) max_waiting: usize,
    pub(super) refused: AtomicU64,
    /// Requests that were refused, timed out or were abandoned for want of bytes.
    pub(super) over_budget: AtomicU64,
    /// Waits that have ended, and were for bytes.
    pub(super) waits_for_bytes: AtomicU64,
    /// The most that statistics have shown as acquired, so that they never show less.
    pub(super) acquired_shown: AtomicU64,
    /// Handles in existence.
    pub(super) handles: AtomicUsize,
    /// What keeps the core alive once the free list is closed: [`HANDLES`] while there is a handle, plus
    /// 1 for each buffer that is out.
    pub(super) keepers: AtomicU64,
    pub(super) name: Name,
    /// What the whole is called as a part of which the pool was closed.
    pub(super) closed_with: OnceLock<Name>,
    pub(super) decay: Option<Decay>,
    pub(super) leak: LeakTracker,
}

/// What the line knows of a core.
pub(super) struct InLine {
    /// Requests that wait.
    pub(super) waiting: usize,
    /// Buffers that the first of them wants.
    pub(super) first_wants: usize,
    /// For so long, at least, nothing has come back for them: no buffer, or, if the first lacks nothing but bytes, no
    /// bytes.
    pub(super) stalled: Duration,
    /// Buffers that were lent past the free list.
    pub(super) handed_on: u64,
}

/// What all handles together count in `keepers`. Larger than any number of buffers, so that a release
/// which counts itself down before `close` has added its buffer to the count can't make it 0.
pub(super) const HANDLES: u64 = 1 << 32;

impl<F: FreeList> PoolCore<F> {
    /// Lends no more. What is out stays valid, and is freed with the rest when the last handle and the
    /// last guard are gone.
    pub(super) fn close(&self) {
        let mut after = After::default();
        let mut line = self.line.lock();
        line.queue.close(self.stock.tier, &mut after);
        let out = self.stock.free_list.close();
        drop(line);
        // Relaxed: a handle is held until after this, so none can bring the count to 0 before the last
        // handle's own subtraction, which this is ordered before.
        self.keepers.fetch_add(u64::from(out), Ordering::Relaxed);
        after.settle();
    }

    pub(super) fn in_line(&self) -> InLine {
        let mut line = self.line.lock();
        let for_buffers = line.queue.stalled(self.stock.tier, self.stock.free_list.returns());
        let stalled = match &self.stock.budget {
            Some(budget) if line.queue.lacks_bytes(self.stock.tier) => budget.stalled().max(for_buffers),
            _ => for_buffers,
        };
        let first = line.queue.first(self.stock.tier);
        InLine {
            waiting: line.queue.waiting(self.stock.tier),
            first_wants: first.map_or(0, |(_, wants)| wants.count as usize),
            stalled,
            handed_on: line.queue.handed_on(self.stock.tier),
        }
    }

    /// Buffers that are out, if those are the free list's counts.
    pub(super) fn in_use(&self, counts: &Counts) -> usize {
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
    pub(super) fn acquired(&self, lent: u64) -> u64 {
        let before = self.acquired_shown.fetch_max(lent, Ordering::Relaxed);
        lent.max(before)
    }

    /// Gives up `count` keepers, and frees the core with the last.
    ///
    /// # Safety
    ///
    /// The caller counts that many, and uses the core no more unless it counts others.
    #[cold]
    pub(super) unsafe fn give_up(this: NonNull<Self>, count: u64) {
        // SAFETY: `count` keepers are the caller's, so the core is still there.
        let keepers = unsafe { &this.as_ref().keepers };
        // Release: what the caller did with the core happens before it is freed. Acquire, for the last
        // one: so does what all the others did.
        if keepers.fetch_sub(count, Ordering::AcqRel) == count {
            // SAFETY: made from a box in `new`. No handle and no guard is left, and the free list touches
            // nothing after a push has taken effect, so none uses the core or can get to it.
            let core = unsafe { Box::from_raw(this.as_ptr()) };
            core.stock.witness.holds_all();
            drop(core);
        }
    }
}
