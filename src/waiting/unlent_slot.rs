//! A buffer on its way to a request that waits: taken from the free list, or from the guard that released it, and not
//! yet lent.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::free_list::Slot;
use crate::pooled_buf::header::Lender;

/// What lies at the start of a pool's own data.
#[repr(C)]
pub(crate) struct LoanHeader {
    /// For guards.
    pub(crate) lender: Lender,
    /// For buffers that have become no guard. Called once for each, with the pool's header.
    pub(crate) give_back: unsafe fn(NonNull<LoanHeader>, Slot),
}

/// See the module. It goes back to its pool when it is dropped, be it by a wait that is cancelled, by an early return
/// or by a panic; so it can't be lost.
pub(crate) struct UnlentSlot {
    header: NonNull<LoanHeader>,
    slot: ManuallyDrop<Slot>,
}

// SAFETY: a number and a pointer to a pool, which may be shared among threads; its buffer may be given back on any.
unsafe impl Send for UnlentSlot {}

impl UnlentSlot {
    /// # Safety
    ///
    /// `slot` is that of a buffer that is out of the pool of `header`, and has no guard; `give_back` may be called with
    /// it. So the pool's memory stays.
    pub(crate) unsafe fn new(header: NonNull<LoanHeader>, slot: Slot) -> Self {
        UnlentSlot {
            header,
            slot: ManuallyDrop::new(slot),
        }
    }

    /// The slot, which is to be lent or given back now.
    pub(crate) fn into_slot(self) -> Slot {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the slot is taken once.
        unsafe { ManuallyDrop::take(&mut this.slot) }
    }
}

impl Drop for UnlentSlot {
    fn drop(&mut self) {
        // SAFETY: the slot is taken once, since `into_slot` does not get here. What made this has promised the rest.
        unsafe {
            let slot = ManuallyDrop::take(&mut self.slot);
            (self.header.as_ref().give_back)(self.header, slot);
        }
    }
}
