//! One receive into several guards.

use std::array;
use std::io::{self, IoSliceMut};
use std::ptr::NonNull;

use crate::error::CapacityError;
use crate::pooled_buf::PooledBuf;
use crate::pooled_buf::header::ReleaseHeader;
use crate::pooled_buf::receiving::{claims_too_much, has_written_nothing, uninterrupted};
use crate::pooled_buf::trusted_read::TrustedRead;

/// Buffers that a `readv` or `writev` is given at once: an array on the stack, and far below the limit of every system.
pub(crate) const AT_ONCE: usize = 16;

/// A guard, and its header before its spare bytes were handed out.
type HandedOut<'a> = (&'a mut PooledBuf, NonNull<ReleaseHeader>);

/// Reads once from `reader`, at most `most` bytes, into the first of `bufs` that have room, as [`PooledBuf::read_from`]
/// does into one, and returns how many bytes came: the first of `bufs` got the first of them.
pub(crate) fn read_from<'a>(
    bufs: impl Iterator<Item = &'a mut PooledBuf>,
    reader: &mut (impl TrustedRead + ?Sized),
    most: usize,
) -> io::Result<usize> {
    let mut with_room = bufs.filter(|buf| buf.spare_len() > 0);
    let mut bufs: [Option<HandedOut<'a>>; AT_ONCE] = array::from_fn(|_| {
        let buf = with_room.next()?;
        let before = buf.header;
        Some((buf, before))
    });
    let read = uninterrupted(|| {
        let mut slices: [_; AT_ONCE] = array::from_fn(|_| IoSliceMut::new(&mut []));
        let (mut filled, mut left) = (0, most);
        for (slice, (buf, _)) in slices.iter_mut().zip(bufs.iter_mut().flatten()) {
            // SAFETY: the reader does what is asked of it, or else it would not be marked.
            let spare = unsafe { buf.hand_out() };
            let here = spare.len().min(left);
            *slice = IoSliceMut::new(&mut spare[..here]);
            left -= here;
            filled += 1;
        }
        reader.read_vectored(&mut slices[..filled])
    });
    match read {
        Ok(bytes) => {
            count(bytes, &mut bufs).map_err(claims_too_much)?;
            Ok(bytes)
        }
        Err(error) => {
            if has_written_nothing(&error) {
                let bufs = bufs.into_iter().flatten();
                bufs.for_each(|(buf, before)| buf.take_report(before));
            }
            Err(error)
        }
    }
}

/// Counts the first `bytes` bytes of the guards' room as written; none if there is not so much.
fn count(bytes: usize, bufs: &mut [Option<HandedOut<'_>>]) -> Result<(), CapacityError> {
    let given = bufs.iter().flatten();
    let (room, capacity) = given.fold((0, 0), |(room, capacity), (buf, _)| {
        (room + buf.spare_len(), capacity + buf.capacity())
    });
    if bytes > room {
        return Err(CapacityError::behind(bytes, room, 0, capacity));
    }
    let mut left = bytes;
    for (buf, before) in bufs.iter_mut().flatten() {
        let here = left.min(buf.spare_len());
        buf.received(here, *before)?;
        left -= here;
    }
    Ok(())
}
