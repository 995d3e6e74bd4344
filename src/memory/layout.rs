//! How the buffers of a pool lie side by side.
#![forbid(unsafe_code)]

/// Largest buffer, in bytes: a guard counts them in 32 bits.
pub(crate) const BUFFER_SIZE_LIMIT: usize = u32::MAX as usize;

/// Whether `size` is beyond [`BUFFER_SIZE_LIMIT`], which no `usize` of 32 bits is: a comparison would be one that is
/// always false there.
pub(crate) fn is_beyond_limit(size: usize) -> bool {
    u32::try_from(size).is_err()
}

/// Bytes.
const CACHE_LINE: usize = 64;
/// From this many bytes a buffer on, the unused cache line is at most a thirty-second of it.
const COLOURED_FROM: usize = 2048;

/// `reserve` buffers side by side, `stride` bytes from the start of one to the start of the next. Neither number is 0,
/// and the `reserve * stride + alignment` bytes of all are at most `isize::MAX`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferLayout {
    /// Bytes that a buffer holds.
    pub(crate) buffer_size: u32,
    /// Bytes before the first of each buffer that belong to it too.
    pub(crate) headroom: u32,
    pub(crate) stride: usize,
    /// Every buffer starts, behind its headroom, at a multiple of this many bytes: a power of two.
    pub(crate) alignment: usize,
    /// Buffers whose memory is touched at the start; at most `reserve`.
    pub(crate) initial: u32,
    /// Buffers that there are addresses for.
    pub(crate) reserve: u32,
}

impl BufferLayout {
    /// `None` when there are not so many addresses.
    pub(crate) fn new(buffer_size: u32, headroom: u32, alignment: usize, initial: u32, reserve: u32) -> Option<Self> {
        let both = (headroom as usize).checked_add(buffer_size as usize)?;
        let stride = stride(both, alignment)?;
        // With room for the first buffer to start at a multiple of the alignment, wherever the memory lies.
        let bytes = stride.checked_mul(reserve as usize)?;
        isize::try_from(bytes.checked_add(alignment)?).ok()?;
        Some(BufferLayout {
            buffer_size,
            headroom,
            stride,
            alignment,
            initial,
            reserve,
        })
    }
}

/// Bytes from the start of one buffer to the start of the next; `None` when the number does not fit.
///
/// The starts of buffers that lie a large power of two apart fall into the same few sets of a processor's
/// cache and drive each other out: of sixteen 8 KiB buffers only eight would keep their first bytes in a first
/// level of eight ways, whatever its size. So larger buffers take up an odd number of cache lines, of which
/// they leave one unused if need be (after the slab colouring of J. Bonwick, *The Slab Allocator*, 1994).
fn stride(buffer_size: usize, alignment: usize) -> Option<usize> {
    let stride = buffer_size.checked_next_multiple_of(alignment)?;
    if buffer_size >= COLOURED_FROM && alignment <= CACHE_LINE && stride % (2 * CACHE_LINE) == 0 {
        stride.checked_add(CACHE_LINE)
    } else {
        Some(stride)
    }
}

#[cfg(test)]
mod tests {
    use super::stride;

    #[test]
    fn large_buffers_start_in_all_sets_of_a_cache() {
        assert_eq!(stride(8192, 16), Some(8256));
        assert_eq!(stride(2048, 64), Some(2112));
        assert_eq!(stride(8256, 64), Some(8256));
        for (size, alignment) in [(64, 16), (512, 16), (10_000, 16), (8192, 4096)] {
            assert_eq!(stride(size, alignment), size.checked_next_multiple_of(alignment));
        }
        for size in [2048, 4096, 8192, 32_768] {
            let stride = stride(size, 16).unwrap();
            let mut sets: Vec<_> = (0..64).map(|buffer| buffer * stride / 64 % 64).collect();
            sets.sort_unstable();
            sets.dedup();
            assert_eq!(sets.len(), 64);
        }
        assert_eq!(stride(usize::MAX, 64), None);
    }
}
