//! Taking buffers back.
//!
//! What a guard calls when it is dropped is one of two functions, [`release`] and [`release_with_extras`]; both end in
//! the free list's fast path or in [`release_slow`].

use std::ptr::NonNull;

use crate::core::PoolCore;
use crate::free_list::{FreeList, Inlet, NotTaken, Slot};
use crate::pooled_buf::header::{Lengths, Place, ReleaseHeader};
use crate::waiting::unlent_slot::LoanHeader;
use crate::waiting::waker::{UserWaker, wake_all};
use crate::wipe::Wipe;

/// Takes a guard's buffer back, as it is.
///
/// # Safety
///
/// The values are what `PoolHandle::<F>::lend` made a guard from, and have not been released before.
pub(super) unsafe fn release<F: FreeList>(
    header: NonNull<ReleaseHeader>,
    _data: NonNull<u8>,
    _place: Place,
    index: u32,
    Lengths { exposed, .. }: Lengths,
) {
    let core: NonNull<PoolCore<F>> = header.cast();
    // SAFETY: the header is that of a core, alive because this buffer is out.
    let alive = unsafe { core.as_ref() };
    alive.witness.holds(index);
    if let Err(slot) = alive.free_list.inlet().push_fast(Slot { index, exposed }) {
        // SAFETY: the buffer is out still, and has no guard any more.
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
    data: NonNull<u8>,
    place: Place,
    index: u32,
    lengths: Lengths,
) {
    // SAFETY: the header is that of a core, alive because this buffer is out.
    let core = unsafe { header.cast::<PoolCore<F>>().as_ref() };
    let Lengths { written, exposed } = lengths;
    let exposed = match core.wipe {
        Wipe::Never => exposed,
        policy => {
            let headroom = core.region.layout().headroom as usize;
            // SAFETY: the guard gave up its buffer, which is initialised from the headroom before its first byte on,
            // and it is ours alone until it is pushed.
            let bytes = unsafe {
                let first = core.region.buffer(index).sub(headroom);
                NonNull::slice_from_raw_parts(first, headroom + written as usize).as_mut()
            };
            policy.overwrite(bytes);
            // What a writer was handed and did not report is no more than hidden: to wipe it, too, would cost the
            // buffer's size for each receive, however little came.
            if exposed > written { exposed } else { 0 }
        }
    };
    if let Some(tracker) = &core.tracker {
        tracker.remove(index);
    }
    // Before the buffer is back, as afterwards the core may be gone. What that serves is woken when it is: wakers
    // are a user's code, which may call the pool.
    let served = core
        .budget
        .as_ref()
        .map(|budget| budget.refund(core.buffer_size().into()));
    // SAFETY: passed on.
    unsafe { release::<F>(header, data, place, index, Lengths { written, exposed }) };
    wake_all(served.unwrap_or_default());
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
    // Most often the free list takes it. While requests wait, it need not be asked: a hint, which it would correct.
    let slot = if alive.has_waiters() {
        slot
    } else {
        match alive.free_list.inlet().push(slot) {
            Ok(()) => return,
            Err(NotTaken::Wanted(slot)) => slot,
            Err(NotTaken::Closed(_)) => {
                // SAFETY: as at the end of `return_slot`.
                return unsafe { PoolCore::give_up(core, 1) };
            }
        }
    };
    // SAFETY: passed on.
    if let Some(waker) = unsafe { return_slot(core, slot) } {
        waker.wake();
    }
}

/// Takes a buffer back: hands it to the first request that waits, puts it into the free list, or counts it down if the
/// pool is closed. Returns the waker of the request that was
/// served, if it has all that it waits for.
///
/// # Safety
///
/// As for `release_slow`. Afterwards the core may be gone.
#[inline(never)]
pub(super) unsafe fn return_slot<F: FreeList>(
    core: NonNull<PoolCore<F>>,
    mut slot: Slot,
) -> Option<UserWaker> {
    // SAFETY: the core is alive because this buffer is out. A local reference, not an argument: so it may end before
    // the core does, see `Inlet`.
    let alive = unsafe { core.as_ref() };
    loop {
        // SAFETY: passed on.
        match unsafe { PoolCore::hand_over(core, slot) } {
            Ok(waker) => return waker,
            // None waits, or the max was lowered.
            Err(unwanted) => slot = unwanted,
        }
        match alive.free_list.inlet().push(slot) {
            Ok(()) => return None,
            Err(NotTaken::Wanted(wanted)) => slot = wanted,
            Err(NotTaken::Closed(_)) => break,
        }
    }
    // SAFETY: `close` has counted this buffer as out, or is about to and holds a handle; and the list did not
    // take it back.
    unsafe { PoolCore::give_up(core, 1) };
    None
}

/// Takes a buffer back that was taken, or handed over, and has become no guard.
///
/// # Safety
///
/// `header` is that of a core, and `slot` as for `release_slow`.
pub(super) unsafe fn give_back<F: FreeList>(header: NonNull<LoanHeader>, slot: Slot) {
    let core: NonNull<PoolCore<F>> = header.cast();
    // SAFETY: the core is alive because this buffer is out.
    let alive = unsafe { core.as_ref() };
    if let Some(tracker) = &alive.tracker {
        tracker.remove(slot.index);
    }
    // SAFETY: passed on.
    unsafe { release_slow(core, slot) };
}
