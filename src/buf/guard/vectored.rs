//! One receive into several guards.

use std::array;
use std::io::{self, IoSliceMut};

use crate::buf::guard::PooledBuf;
use crate::buf::guard::handed_out::{HandedOut, claims_too_much, has_written_nothing, uninterrupted};
use crate::buf::guard::trusted_read::TrustedRead;
use crate::report::error::capacity::CapacityError;

/// Buffers that a `readv` or `writev` is given at once: an array on the stack, and far below the limit of every system.
pub(crate) const AT_ONCE: usize = 16;

/// Reads once from `reader`, at most `most` bytes, into the first of `bufs` that have room, as [`PooledBuf::read_from`]
/// does into one, and returns how many bytes came: the first of `bufs` got the first of them.
pub(crate) fn read_from<'a>(
    bufs: impl Iterator<Item = &'a mut PooledBuf>,
    reader: &mut (impl TrustedRead + ?Sized),
    most: usize,
) -> io::Result<usize> {
    let mut read = |slices: &mut [IoSliceMut<'_>]| uninterrupted(|| reader.read_vectored(slices));
    // SAFETY: the reader does what is asked of it, or else it would not be marked.
    unsafe { fill_with(bufs, &mut read, most) }
}

/// The same by `fill`, as [`PooledBuf::fill_with`] does into one.
///
/// # Safety
///
/// `fill` does with the bytes of all slices, one after the other, what [`TrustedRead`] asks for.
pub(crate) unsafe fn fill_with<'a>(
    bufs: impl Iterator<Item = &'a mut PooledBuf>,
    fill: &mut dyn FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    most: usize,
) -> io::Result<usize> {
    let mut left = most;
    let mut handed_out = bufs.filter_map(|buf| {
        let mut out = HandedOut::to_stream(buf).ok()?;
        out.shorten(left);
        left -= out.len();
        Some(out)
    });
    let mut handed_out: [Option<HandedOut<'a>>; AT_ONCE] = array::from_fn(|_| handed_out.next());
    let filled = {
        let mut slices: [_; AT_ONCE] = array::from_fn(|_| IoSliceMut::new(&mut []));
        let mut count = 0;
        for (slice, out) in slices.iter_mut().zip(handed_out.iter_mut().flatten()) {
            // SAFETY: only `fill` gets them, which does what is asked of it, as our caller says.
            *slice = IoSliceMut::new(unsafe { out.bytes() });
            count += 1;
        }
        fill(&mut slices[..count])
    };
    match filled {
        Ok(bytes) => {
            count(bytes, handed_out).map_err(claims_too_much)?;
        }
        Err(ref error) if has_written_nothing(error) => {
            handed_out.into_iter().flatten().for_each(HandedOut::untouched);
        }
        // They count as dirty.
        Err(_) => drop(handed_out),
    }
    filled
}

/// Counts the first `bytes` of the bytes that were handed out as written; none if they are fewer.
fn count(bytes: usize, handed_out: [Option<HandedOut<'_>>; AT_ONCE]) -> Result<(), CapacityError> {
    let given = handed_out.iter().flatten();
    let (room, capacity) = given.fold((0, 0), |(room, capacity), out| {
        (room + out.len(), capacity + out.capacity())
    });
    if bytes > room {
        return Err(CapacityError::behind(bytes, room, 0, capacity));
    }
    let mut left = bytes;
    for out in handed_out.into_iter().flatten() {
        let here = left.min(out.len());
        out.received(here)?;
        left -= here;
    }
    Ok(())
}
