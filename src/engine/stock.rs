//! What a pool lends: its buffers, which of them are free, and what is noted of each loan.

use std::ptr::NonNull;

use crate::base::sync::{AtomicU32, Witness};
use crate::base::wipe::Wipe;
use crate::buf::guard::PooledBuf;
use crate::buf::guard::header::ReleaseHeaders;
use crate::free_list::{Empty, FreeList, Slot};
use crate::memory::region::{BufferPlaces, Region};
use crate::report::holders::{Caller, Tracker};
use crate::waiting::after::After;
use crate::waiting::budget::Budget;

/// The header comes first, so a guard's pointer to it is one to the whole.
#[repr(C)]
pub(super) struct Stock<F: FreeList> {
    pub(super) header: ReleaseHeaders,
    pub(super) loans: Loans,
    pub(super) wipe: Wipe,
    pub(super) free_list: F,
    pub(super) region: Region,
    pub(super) budget: Option<Budget>,
    pub(super) tracker: Option<Tracker>,
    /// Its number in the line in which requests wait for these buffers.
    pub(super) tier: usize,
    /// How many buffers the first that waits wants, for the errors of those that don't: may be out of date.
    pub(super) first_wants: AtomicU32,
    pub(super) witness: Witness,
}

/// How buffers are lent. *Plain* loans are noted nowhere, neither by a budget nor by a tracker: the free list's fast
/// path, which knows of neither, may make them.
#[derive(Clone, Copy)]
pub(super) struct Loans {
    /// Requests for fewer bytes may have a plain loan: all that the buffers can hold, or none. One number, so that the
    /// hot path asks once.
    plain_below: usize,
}

impl Loans {
    /// All are noted.
    pub(super) const NOTED: Self = Loans { plain_below: 0 };

    /// All are plain, of buffers of that size.
    pub(super) fn plain(buffer_size: u32) -> Self {
        Loans {
            plain_below: (buffer_size as usize).saturating_add(1),
        }
    }

    #[inline(always)]
    pub(super) fn are_plain(self) -> bool {
        self.plain_below > 0
    }

    /// And the buffers hold `len` bytes.
    #[inline(always)]
    fn are_plain_for(self, len: usize) -> bool {
        len < self.plain_below
    }
}

impl<F: FreeList> Stock<F> {
    #[inline]
    pub(super) fn buffer_size(&self) -> u32 {
        self.region.layout().buffer_size
    }

    /// Takes a buffer that holds `len` bytes, if that takes a few instructions only.
    #[inline(always)]
    pub(super) fn pop_fast_for(&self, len: usize) -> Option<Slot> {
        match self.loans.are_plain_for(len) {
            true => self.free_list.pop_fast(),
            false => None,
        }
    }

    /// Takes a buffer, if that takes a few instructions only.
    #[inline(always)]
    pub(super) fn pop_fast(&self) -> Option<Slot> {
        match self.loans.are_plain() {
            true => self.free_list.pop_fast(),
            false => None,
        }
    }

    /// Takes a free buffer. While requests wait there is none for others: that takes no lock to see.
    pub(super) fn pop(&self) -> Result<Slot, Empty> {
        if self.free_list.is_wanted() {
            return Err(Empty::Owed);
        }
        self.free_list.pop()
    }

    /// As `pop`, of several: see [`FreeList::pop_many`].
    pub(super) fn pop_many<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> Result<(), Empty> {
        if self.free_list.is_wanted() {
            return Err(Empty::Owed);
        }
        self.free_list.pop_many(count, out, make)
    }

    /// Gives bytes back that were charged in vain.
    pub(super) fn refund(&self, bytes: u64) {
        if let Some(budget) = &self.budget {
            let mut after = After::default();
            budget.refund(bytes, &mut after);
            after.settle();
        }
    }

    /// Remembers which line of code the buffer is lent to, if the pool does that.
    pub(super) fn track(&self, slot: &Slot, caller: Caller) {
        if let Some(tracker) = &self.tracker {
            tracker.enter(slot.index(), caller);
        }
    }

    /// Bytes that a budget is charged for so many buffers.
    pub(super) fn bytes_of(&self, count: u32) -> u64 {
        u64::from(self.buffer_size()) * u64::from(count)
    }

    /// Buffers that can be lent at one time, by the max as it is now and by the budget.
    #[inline]
    pub(super) fn most_at_once(&self) -> u32 {
        let max = self.free_list.most_at_once();
        let by_budget = |budget: &Budget| budget.limit() as u64 / u64::from(self.buffer_size());
        match self.budget.as_ref().map(by_budget) {
            // Less than `max`, a `u32`.
            Some(fewer) if fewer < max.into() => fewer as u32,
            _ => max,
        }
    }

    /// To make guards of these buffers.
    ///
    /// # Safety
    ///
    /// These live as long as what this returns is used.
    #[inline(always)]
    pub(super) unsafe fn lending<'a>(this: NonNull<Self>) -> Lending<'a> {
        // SAFETY: as our caller says.
        let alive = unsafe { this.as_ref() };
        Lending {
            header: this.cast(),
            places: alive.region.places(),
            buffer_size: alive.buffer_size(),
            witness: &alive.witness,
        }
    }
}

/// What the guards of a pool have in common. A copy, so that a loop over many need not read it anew for each.
#[derive(Clone, Copy)]
pub(super) struct Lending<'a> {
    header: NonNull<ReleaseHeaders>,
    places: BufferPlaces,
    buffer_size: u32,
    witness: &'a Witness,
}

impl Lending<'_> {
    /// The guard of a buffer.
    ///
    /// # Safety
    ///
    /// `slot` was taken from the free list, or from the guard that released it, and is charged and tracked if need be.
    #[inline(always)]
    pub(super) unsafe fn lend(self, slot: Slot) -> PooledBuf {
        let index = slot.index();
        self.witness.holds(index);
        // SAFETY: the header lies at the start of the core, which lives until all buffers are released (see the
        // module). The region's bytes at `slot` are initialised, at least `buffer_size` many behind the headroom, and
        // ours alone until `release` pushes `slot`; what their last holder did has happened before. The core is `Sync`.
        // `dirty` was a guard's.
        unsafe { PooledBuf::from_parts(self.header, self.places.buffer(index), self.buffer_size, slot) }
    }
}
