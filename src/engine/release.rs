//! Taking buffers back.
//!
//! What a guard calls when it is dropped is one of two functions, [`release`] and [`release_with_extras`]; both end in
//! the free list's fast path or in [`release_slow`].

use std::ptr::NonNull;

use crate::base::wipe::Wipe;
use crate::buf::guard::header::ReleaseHeader;
use crate::buf::guard::words::{Lengths, Place};
use crate::engine::pool_core::PoolCore;
use crate::free_list::{FreeList, NotTaken, ReleaseSide, Slot};
use crate::waiting::after::After;
use crate::waiting::budget::Budget;

/// Takes a guard's buffer back, as it is.
///
/// # Safety
///
/// The values are what `PoolHandle::<F>::lend` made a guard from, and have not been released before.
pub(super) unsafe fn release<F: FreeList>(
    header: NonNull<ReleaseHeader>,
    _data: NonNull<u8>,
    place: Place,
    lengths: Lengths,
    slot: Slot,
) {
    // SAFETY: the header is that of a core; and the buffer is out and its guard gone, as our caller says.
    unsafe { put(header.cast::<PoolCore<F>>(), slot.used(place, lengths)) };
}

/// Puts a guard's buffer into the free list.
///
/// # Safety
///
/// `slot` is that of a buffer that is out of `core` and has no guard any more.
#[inline(always)]
unsafe fn put<F: FreeList>(core: NonNull<PoolCore<F>>, slot: Slot) {
    // SAFETY: the core is alive because this buffer is out.
    let alive = unsafe { core.as_ref() };
    alive.stock.witness.holds(slot.index());
    if let Err(slot) = alive.stock.free_list.release_side().push_fast(slot) {
        // SAFETY: the buffer is out still, and has no guard, as our caller says.
        unsafe { release_slow(core, slot) };
    }
}

/// Takes a guard's buffer back that is to be wiped, to be told to the tracker, or to be refunded to a budget.
///
/// # Safety
///
/// As for `release`.
pub(super) unsafe fn release_with_extras<F: FreeList>(
    header: NonNull<ReleaseHeader>,
    _data: NonNull<u8>,
    place: Place,
    lengths: Lengths,
    mut slot: Slot,
) {
    let this: NonNull<PoolCore<F>> = header.cast();
    // SAFETY: the header is that of a core, alive because this buffer is out.
    let core = unsafe { this.as_ref() };
    match core.stock.wipe {
        Wipe::Never => slot = slot.used(place, lengths),
        policy => {
            let written = lengths.written_end(place);
            let headroom = core.stock.region.layout().headroom as usize;
            // SAFETY: the guard gave up its buffer, which is initialised from the headroom before its first byte on,
            // and it is ours alone until it is pushed.
            let bytes = unsafe {
                let first = core.stock.region.buffer(slot.index()).sub(headroom);
                NonNull::slice_from_raw_parts(first, headroom + written as usize).as_mut()
            };
            policy.overwrite(bytes);
            // What a writer was handed and did not report is no more than hidden: to wipe it, too, would cost the
            // buffer's size for each receive, however little came.
            if slot.dirty() <= written {
                slot.set_dirty(0);
            }
        }
    }
    if let Some(tracker) = &core.stock.tracker {
        tracker.remove(slot.index());
    }
    // Before the buffer is back, as afterwards the core may be gone. Whom the bytes serve is looked at when it is.
    let mut after = After::default();
    if let Some(budget) = &core.stock.budget {
        budget.refund(core.stock.buffer_size().into(), &mut after);
    }
    // SAFETY: the buffer is out still, and its guard is gone.
    unsafe { put(this, slot) };
    after.settle();
}

/// Takes a buffer back where the free list's fast path does not. A function of its own, and the last call of its
/// caller, which therefore has no register to save.
///
/// # Safety
///
/// `slot` is that of a buffer that is out and has no guard.
#[cold]
#[inline(never)]
unsafe fn release_slow<F: FreeList>(core: NonNull<PoolCore<F>>, slot: Slot) {
    // SAFETY: the core is alive because this buffer is out.
    let alive = unsafe { core.as_ref() };
    alive.decay();
    // Most often the free list takes it. If a request waits for one, it need not be asked: a hint.
    let slot = if alive.stock.free_list.wants_one() {
        slot
    } else {
        match alive.stock.free_list.release_side().push(slot) {
            Ok(()) => return,
            Err(NotTaken::Wanted(slot)) => slot,
            Err(NotTaken::Closed(_)) => {
                // SAFETY: `close` has counted this buffer as out, or is about to and holds a handle; and the list did
                // not take it back.
                return unsafe { PoolCore::give_up(core, 1) };
            }
        }
    };
    alive.stock.witness.is_used();
    let mut after = After::default();
    let mut line = alive.line.lock();
    if line.queue.is_closed(alive.stock.tier) {
        drop(line);
        // SAFETY: as above.
        return unsafe { PoolCore::give_up(core, 1) };
    }
    // SAFETY: the core is alive until the line is unlocked: until it is put back because this buffer is out; and then
    // because the pool is not closed, and closing it takes the lock.
    unsafe { line.take_back(alive.stock.tier, slot, &mut after) };
    drop(line);
    after.settle();
}

/// Whether requests wait that a buffer of this core could serve: in its line, or for bytes of its budget.
///
/// # Safety
///
/// The header is that of a core, a buffer of which is out.
pub(super) unsafe fn is_wanted<F: FreeList>(header: NonNull<ReleaseHeader>) -> bool {
    // SAFETY: the core is alive because the buffer is out.
    let core = unsafe { header.cast::<PoolCore<F>>().as_ref() };
    let stock = &core.stock;
    // The demand may be that of a request that has been served: the line knows.
    stock.free_list.is_wanted() && core.line.lock().queue.first(stock.tier).is_some()
        || stock.budget.as_ref().is_some_and(Budget::is_wanted)
}
