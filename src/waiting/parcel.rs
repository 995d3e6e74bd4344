//! The buffers on their way to a request that waits: all that it asked for.
#![forbid(unsafe_code)]

use crate::waiting::unlent_slot::UnlentSlot;

/// See the module. They go back to their pool when it is dropped; so it is not dropped under a lock.
///
/// One buffer lies beside the others, so that a request for one allocates nothing.
pub(crate) struct Parcel {
    pub(crate) last: UnlentSlot,
    pub(crate) others: Vec<UnlentSlot>,
}

impl Parcel {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        // As many as a request asked for, a `u32`.
        self.others.len() as u32 + 1
    }
}
