//! One contiguous, aligned, zeroed reservation in which all buffers of a pool lie side by side.
//!
//! Buffer `i` has the `stride` bytes from `base + i * stride` on, its headroom first. The operating system commits a
//! page when it is first written, so what is reserved and not used costs address space only. The allocator is asked for
//! a small alignment and the base is rounded up here: with a large one `alloc_zeroed` writes every byte.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ops::Range;
use std::ptr::NonNull;

use crate::memory::layout::BufferLayout;
use crate::memory::{OutOfMemory, pages};

/// What the allocator is asked to align to, in bytes: no more than `malloc` gives anyway, or else zeroed memory is
/// memory that has been written. On 64 bits that is 16, on 32 it is 8.
const ALLOCATION_ALIGNMENT: usize = 2 * size_of::<usize>();
/// The smallest page of the systems that we know, in bytes: writing one byte of each commits them all.
const PAGE: usize = 4096;
/// About so many bytes of buffers are given back at once: on Linux that takes less than a tenth of a millisecond.
const BATCH: usize = 1 << 20;

/// Where the buffers of a pool lie: what [`BufferPool::region`](crate::BufferPool::region) returns, for handing all of
/// them to the kernel or to a device at once.
///
/// Buffer [`slot`](crate::PooledBuf::slot) of the pool starts `slot * stride` bytes behind the start, with its
/// [headroom](crate::PoolConfig::headroom); all buffers lie within `len` bytes. The addresses stay the same, and the
/// memory stays there, while there is a handle of the pool or a guard of one of its buffers: a registration with the
/// kernel has to end before.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(4096, 2, 8)?;
/// let region = pool.region();
/// let buf = pool.acquire()?;
/// let offset = buf.as_ptr() as usize - region.as_ptr() as usize;
/// let slot = buf.slot().expect("it is a buffer of the pool");
/// assert_eq!(offset, slot * region.stride());
/// assert!(offset + buf.capacity() <= region.len());
/// assert_eq!(region.buffers(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRegion {
    base: NonNull<u8>,
    stride: usize,
    buffers: u32,
}

// SAFETY: an address and two numbers; reading or writing there needs unsafe code.
unsafe impl Send for MemoryRegion {}
// SAFETY: as above.
unsafe impl Sync for MemoryRegion {}

// There is always at least one buffer.
#[allow(clippy::len_without_is_empty)]
impl MemoryRegion {
    /// Where the first buffer starts. What lies there may be read and written by the holder of that buffer's
    /// guard alone.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Bytes from the start of the first buffer to the end of the last.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stride * self.buffers as usize
    }

    /// Bytes from the start of one buffer to the start of the next: a buffer's size and headroom, rounded up to the
    /// alignment; and, of 2,048 bytes and more, by another 64 where that would be a multiple of 128, as 8,192 is
    /// (then the stride is 8,256). Buffers that lie a power of two apart would otherwise share the same few places in a
    /// processor's cache and drive each other out. With an alignment above 64, nothing is added beyond it.
    ///
    /// ```
    /// use poolbuf::{AlignedPool, BufferPool};
    ///
    /// assert_eq!(BufferPool::new(8192, 0, 1)?.region().stride(), 8256);
    /// assert_eq!(BufferPool::new(1000, 0, 1)?.region().stride(), 1008); // aligned to 16
    /// assert_eq!(AlignedPool::with_alignment(8192, 1, 4096)?.region().stride(), 8192);
    /// # Ok::<(), poolbuf::ConfigError>(())
    /// ```
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Buffers that there is room for: the pool's `max`, or what it [reserves](crate::PoolConfig::reserve).
    #[must_use]
    pub fn buffers(&self) -> usize {
        self.buffers as usize
    }
}

/// Where the buffers of a [`Region`] lie. A copy, so that a loop over many need not read it anew for each.
#[derive(Clone, Copy)]
pub(crate) struct BufferPlaces {
    first: NonNull<u8>,
    stride: usize,
    reserve: u32,
}

impl BufferPlaces {
    /// As [`Region::buffer`].
    #[inline]
    pub(crate) fn buffer(self, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.reserve);
        // SAFETY: free lists hand out indices below `reserve` only, so this stays inside the reservation.
        unsafe { self.first.add(index as usize * self.stride) }
    }
}

/// The reservation, freed when this is dropped.
pub(crate) struct Region {
    allocation: NonNull<u8>,
    allocated: Layout,
    base: NonNull<u8>,
    /// The first buffer, behind its headroom: a multiple of the alignment.
    first: NonNull<u8>,
    layout: BufferLayout,
}

// SAFETY: a region is an address range. It reads and writes none of its bytes once it is built, and what
// does so through `buffer` answers for it.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves the buffers of `layout` and touches the initial ones.
    pub(crate) fn reserve(layout: BufferLayout) -> Result<Region, OutOfMemory> {
        let used = layout.stride * layout.reserve as usize;
        let headroom = layout.headroom as usize;
        let slack = match headroom {
            0 => layout.alignment.saturating_sub(ALLOCATION_ALIGNMENT),
            _ => layout.alignment - 1,
        };
        let bytes = used + slack;
        let refused = OutOfMemory { bytes };
        let allocated = Layout::from_size_align(bytes, ALLOCATION_ALIGNMENT).map_err(|_| refused)?;
        // SAFETY: the size is not 0, since neither the stride nor the reserve of a layout is.
        let allocation = NonNull::new(unsafe { alloc_zeroed(allocated) }).ok_or(refused)?;
        // Until a headroom behind it is a multiple of the alignment.
        let behind = allocation.as_ptr().wrapping_add(headroom);
        let padding = behind.align_offset(layout.alignment);
        debug_assert!(padding <= slack);
        // SAFETY: that skips less than the alignment, and without headroom whole multiples of what the allocation is
        // aligned to: at most `slack` of the `used + slack` bytes. The headroom is part of the first buffer.
        let (base, first) = unsafe {
            let base = allocation.add(padding);
            (base, base.add(headroom))
        };
        let region = Region {
            allocation,
            allocated,
            base,
            first,
            layout,
        };
        region.touch(layout.stride * layout.initial as usize);
        Ok(region)
    }

    #[inline]
    pub(crate) fn layout(&self) -> &BufferLayout {
        &self.layout
    }

    /// Writes one byte in each page of the first `bytes` bytes, so that they are committed.
    fn touch(&self, bytes: usize) {
        for offset in (0..bytes).step_by(PAGE).chain(bytes.checked_sub(1)) {
            // SAFETY: `offset` is below `bytes`, which is at most `reserve * stride`: inside the
            // reservation, whose bytes are 0 and not lent yet. Volatile, or else the compiler
            // could see that the bytes are 0 already.
            unsafe { self.base.add(offset).write_volatile(0) };
        }
    }

    pub(crate) fn public(&self) -> MemoryRegion {
        MemoryRegion {
            base: self.base,
            stride: self.layout.stride,
            buffers: self.layout.reserve,
        }
    }

    /// Where buffer `index` starts, behind its headroom. The `headroom` bytes before it and the `buffer_size` bytes
    /// from there on are inside the reservation, initialised, and overlap with no other buffer's.
    #[inline]
    pub(crate) fn buffer(&self, index: u32) -> NonNull<u8> {
        self.places().buffer(index)
    }

    #[inline]
    pub(crate) fn places(&self) -> BufferPlaces {
        BufferPlaces {
            first: self.first,
            stride: self.layout.stride,
            reserve: self.layout.reserve,
        }
    }

    /// Buffers that are given back at once, and buffers that lie, at least in part, in the page where one begins.
    pub(crate) fn batch(&self) -> (u32, u32) {
        let buffers = |bytes: usize| u32::try_from(bytes.div_ceil(self.layout.stride)).unwrap_or(u32::MAX);
        (buffers(BATCH), buffers(pages::size()))
    }

    /// Gives the operating system back the pages that lie in the buffers `free` and touch the buffers `wanted`,
    /// which are among them, but for those in `last`; returns how many bytes these pages are, and sets `last` to
    /// their addresses. 0 where none is or the system refuses.
    ///
    /// # Safety
    ///
    /// The caller has the buffers `free` to itself, as if it held them, until this returns.
    pub(crate) unsafe fn discard(&self, free: Range<u32>, wanted: Range<u32>, last: &mut Range<usize>) -> usize {
        debug_assert!(free.start <= wanted.start && wanted.end <= free.end.min(self.layout.reserve));
        let page = pages::size();
        let base = self.base.as_ptr() as usize;
        // In an allocation, so no address overflows; rounding up stays below `isize::MAX` + a page.
        let address = |index: u32| base + index as usize * self.layout.stride;
        let (down, up) = (
            |address: usize| address & !(page - 1),
            |address: usize| (address + page - 1) & !(page - 1),
        );
        let mut start = up(address(free.start)).max(down(address(wanted.start)));
        let mut end = down(address(free.end)).min(up(address(wanted.end)));
        // Buffers that share a page are asked for one after the other, upwards or downwards.
        if last.contains(&start) {
            start = last.end;
        }
        if start < last.start && last.start < end {
            end = last.start;
        }
        if start >= end {
            return 0;
        }
        // SAFETY: `start` is at least `base`, and `end` at most the end of the buffer that `free` ends with: the
        // pages between lie in buffers that are the caller's, in the allocation.
        let given_back = unsafe { pages::discard(self.base.add(start - base), end - start) };
        if !given_back {
            return 0;
        }
        *last = start..end;
        end - start
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated in `reserve` with this layout, and freed only here.
        unsafe { dealloc(self.allocation.as_ptr(), self.allocated) };
    }
}

#[cfg(test)]
mod tests {
    use super::Region;
    use crate::memory::layout::BufferLayout;

    #[test]
    fn buffers_are_aligned_and_apart_at_every_alignment() {
        for shift in 0..=21 {
            let alignment = 1_usize << shift;
            for headroom in [0, 1, 16, 100] {
                let layout = BufferLayout::new(100, headroom, alignment, 0, 3).unwrap();
                let region = Region::reserve(layout).unwrap();
                let starts = [0, 1, 2].map(|index| region.buffer(index).as_ptr() as usize);
                let apart = 100 + headroom as usize;
                assert!(starts.iter().all(|start| start % alignment == 0));
                assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= apart));
                let base = region.public().as_ptr() as usize;
                assert_eq!(starts[0] - base, headroom as usize);
                let allocated = region.allocation.as_ptr() as usize;
                assert!(allocated <= base);
                assert!(base + region.public().len() <= allocated + region.allocated.size());
            }
        }
    }

    /// On 32 bits, so much is refused before the allocator is asked.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_reservation_that_the_allocator_refuses_is_an_error() {
        let huge = BufferLayout::new(u32::MAX, 0, 16, 0, 2_000_000_000).unwrap();
        let refused = Region::reserve(huge).err().unwrap();
        assert!(refused.bytes >= u32::MAX as usize * 2_000_000_000);
    }
}
