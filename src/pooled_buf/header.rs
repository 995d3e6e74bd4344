//! The header through which a buffer goes back.

use std::ptr::NonNull;

/// How whatever lent a buffer gets it back. It lies at the start of the lender's own data, so that the
/// function finds that data from the pointer that it is called with (as the vtable of `bytes::Bytes` does).
pub(crate) struct ReleaseHeader {
    pub(crate) release: Release,
    /// Bytes before each buffer's first byte that belong to the buffer too.
    pub(crate) headroom: u32,
}

/// Takes back what a guard was made from: the header itself; where the data begin, and where that is in the buffer; the
/// slot; and last up to how many bytes behind the buffer's first some may have been written, by this holder or one
/// before it, since the buffer was wiped. The headroom's may have been written in any case. Plain values, as the guard
/// has them, so that they travel in registers.
pub(crate) type Release = unsafe fn(NonNull<ReleaseHeader>, NonNull<u8>, Place, u32, u32);

/// Where in its buffer a guard's data begin: how many bytes it is to the buffer's end, and how many they lie behind the
/// buffer's first (modulo 2³², if they lie before it: in the headroom). An array, which travels in one register.
pub(crate) type Place = [u32; 2];
