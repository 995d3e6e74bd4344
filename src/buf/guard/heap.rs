//! Guards over memory of no pool.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::base::wipe::Wipe;
use crate::buf::guard::header::{ReleaseHeader, ReleaseHeaders};
use crate::buf::guard::words::{Lengths, Place};
use crate::buf::guard::{NO_SLOT, PooledBuf};
use crate::free_list::Slot;
use crate::memory::layout::{BUFFER_SIZE_LIMIT, is_beyond_limit};
use crate::report::error::capacity::CapacityError;

/// A guard over memory of no pool, which is freed when the guard is dropped: no copy. The bytes of the `Vec` count as
/// written, and its spare capacity can be written too.
///
/// # Errors
///
/// [`CapacityError`] when its capacity is more than the 4,294,967,295 bytes that a guard can count; the `Vec` is
/// dropped then.
///
/// ```
/// use poolbuf::PooledBuf;
///
/// let mut buf = PooledBuf::try_from(vec![1, 2, 3])?;
/// assert_eq!(buf, [1, 2, 3]);
/// buf.truncate(1);
/// buf.extend_from_slice(&[7])?;
/// assert_eq!(buf, [1, 7]);
/// # Ok::<(), poolbuf::CapacityError>(())
/// ```
impl TryFrom<Vec<u8>> for PooledBuf {
    type Error = CapacityError;

    fn try_from(memory: Vec<u8>) -> Result<Self, CapacityError> {
        if is_beyond_limit(memory.capacity()) {
            return Err(CapacityError::behind(
                memory.capacity(),
                BUFFER_SIZE_LIMIT,
                0,
                BUFFER_SIZE_LIMIT,
            ));
        }
        Ok(PooledBuf::over(memory))
    }
}

impl PooledBuf {
    /// A guard that has no memory at all. Costs no allocation.
    pub(super) fn of_nothing() -> PooledBuf {
        PooledBuf::over(Vec::new())
    }

    /// A guard over `memory`, whose capacity is within the limit.
    fn over(memory: Vec<u8>) -> PooledBuf {
        let mut memory = ManuallyDrop::new(memory);
        // Both at most `BUFFER_SIZE_LIMIT`, a `u32`.
        let (len, capacity) = (memory.len() as u32, memory.capacity() as u32);
        // SAFETY: a `Vec` never points to null.
        let start = unsafe { NonNull::new_unchecked(memory.as_mut_ptr()) };
        // SAFETY: the lender is a static. The memory was the `Vec`'s, which is not dropped, and is the guard's alone;
        // that its bytes may not be initialised is said by `dirty`. The heap takes it back on any thread.
        let mut buf = unsafe {
            let slot = Slot::new(NO_SLOT, capacity);
            PooledBuf::from_parts(NonNull::from(&HEAP), start, capacity, slot)
        };
        // Initialised, since the `Vec` said so.
        buf.grow_to(len);
        buf
    }
}

/// A guard over memory of no pool, as from a `Vec<u8>`: all of its bytes count as written, so none are to spare.
///
/// # Errors
///
/// [`CapacityError`] when it is more than the 4,294,967,295 bytes that a guard can count; it is dropped then.
impl TryFrom<Box<[u8]>> for PooledBuf {
    type Error = CapacityError;

    fn try_from(memory: Box<[u8]>) -> Result<Self, CapacityError> {
        PooledBuf::try_from(Vec::from(memory))
    }
}

/// Of all guards whose memory is of no pool.
static HEAP: ReleaseHeaders = ReleaseHeaders::new(free, 0, Wipe::Never).of_uninitialised();

/// Frees the memory of a guard that is of no pool.
///
/// # Safety
///
/// The values are what `PooledBuf::try_from` made a guard from, and have not been released before.
unsafe fn free(_header: NonNull<ReleaseHeader>, data: NonNull<u8>, place: Place, _lengths: Lengths, _slot: Slot) {
    // There is no headroom, so the head is not negative.
    let (head, size) = (place.head() as usize, place.size() as usize);
    // SAFETY: it was a `Vec` of that address and capacity, which this call alone takes back.
    drop(unsafe { Vec::from_raw_parts(data.sub(head).as_ptr(), 0, size) });
}
