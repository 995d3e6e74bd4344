//! Giving pages back to the operating system: the two calls that differ from one system to the next.
//!
//! What is given back stays reserved and may be read and written at any time; it then takes up memory again. On
//! Linux and Android it reads as 0 (where the memory is private and anonymous, as that of every common
//! allocator), on Windows as whatever the system likes. Elsewhere nothing is given back.

use std::ptr::NonNull;

use crate::base::faults::{Fault, injected};

/// Bytes of a page: what is given back starts and ends at multiples of it. A power of two.
pub(crate) fn size() -> usize {
    system::page_size()
}

/// Whether bytes that were given back are 0 or what they were; else they may be anything.
pub(crate) fn keeps_what_was_there() -> bool {
    cfg!(not(windows)) && !injected(Fault::DiscardGarbles)
}

/// Gives `bytes` bytes from `start` back; both are multiples of [`size`]. False if the system refused, as it does
/// where pages are locked in memory: then all is as it was.
///
/// # Safety
///
/// The bytes are part of one allocation, and are not read or written by others during the call. The caller may do with
/// them as it likes, which includes that they may have any values afterwards.
pub(crate) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> bool {
    if injected(Fault::DiscardGarbles) {
        // SAFETY: the caller may do with the bytes as it likes.
        unsafe { start.write_bytes(0xA5, bytes) };
        return true;
    }
    // SAFETY: as our caller says.
    !injected(Fault::NoDiscard) && unsafe { system::discard(start, bytes) }
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(poolbuf_loom, poolbuf_shuttle, miri))
))]
mod system {
    use std::ptr::NonNull;
    use std::sync::OnceLock;

    static PAGE_SIZE: OnceLock<usize> = OnceLock::new();

    pub(super) fn page_size() -> usize {
        *PAGE_SIZE.get_or_init(|| {
            // SAFETY: the call takes an integer and touches no memory of ours.
            let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            usize::try_from(bytes).map_or(4096, |bytes| bytes.max(1))
        })
    }

    pub(super) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: the pages lie in one allocation, whose bytes the caller may change.
        unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) == 0 }
    }
}

#[cfg(all(windows, not(any(poolbuf_loom, poolbuf_shuttle, miri))))]
mod system {
    use std::ffi::c_void;
    use std::ptr::NonNull;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        /// Since Windows 8.1. 0 is success.
        fn DiscardVirtualMemory(address: *mut c_void, bytes: usize) -> u32;
    }

    /// On every processor that Windows runs on today.
    pub(super) fn page_size() -> usize {
        4096
    }

    pub(super) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: the pages lie in one allocation, whose bytes the caller may change.
        unsafe { DiscardVirtualMemory(start.as_ptr().cast(), bytes) == 0 }
    }
}

#[cfg(any(not(any(target_os = "linux", target_os = "android", windows)), miri))]
#[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
mod system {
    use std::ptr::NonNull;

    pub(super) fn page_size() -> usize {
        4096
    }

    pub(super) unsafe fn discard(_start: NonNull<u8>, _bytes: usize) -> bool {
        false
    }
}

/// Here every byte is a page, so that the few small buffers of a model have some, and giving back is writing 0.
#[cfg(any(poolbuf_loom, poolbuf_shuttle))]
mod system {
    use std::ptr::NonNull;

    pub(super) fn page_size() -> usize {
        1
    }

    pub(super) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: the bytes lie in one allocation, and the caller may change them.
        unsafe { start.write_bytes(0, bytes) };
        true
    }
}

#[cfg(all(test, poolbuf_faults))]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_takes_no_page_back_is_had_if_it_is_asked_for() {
        let bytes = 2 * size();
        let mut memory = vec![1_u8; 2 * bytes];
        let padding = memory.as_ptr().align_offset(size());
        let start = NonNull::from(&mut memory[padding]);
        // SAFETY: the pages lie in `memory`, which is not used during the call.
        let discarded = unsafe { discard(start, bytes) };
        assert_eq!(discarded, !injected(Fault::NoDiscard));
    }
}
