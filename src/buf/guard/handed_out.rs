//! The bytes behind a guard's data, while they are handed out to what writes them.

use std::io;
use std::mem::{self, MaybeUninit};
use std::slice;

use crate::buf::guard::{PooledBuf, no_room_behind};
use crate::report::error::capacity::CapacityError;

/// The bytes behind a guard's data, while something writes to them. When it is dropped, they count as dirty for good:
/// so do those of a receive that panics, or breaks off, or may write more than it reports.
pub(super) struct HandedOut<'a> {
    buf: &'a mut PooledBuf,
    /// Where they end: within the room.
    end: u32,
    /// Whether what is reported as written is what counts.
    trusts_report: bool,
}

impl<'a> HandedOut<'a> {
    /// All of them, for what reports all that it writes.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when there are none.
    #[inline]
    pub(super) fn to_stream(buf: &'a mut PooledBuf) -> Result<Self, CapacityError> {
        // SAFETY: `from_parts` was promised that the lender lives until the release.
        let trusts_report = unsafe { buf.header.as_ref() }.wipe.trusts_reports();
        let mut out = Self::to_datagrams(buf, usize::MAX)?;
        out.trusts_report = trusts_report;
        Ok(out)
    }

    /// At most `most` of them, for what may write more than it reports.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when there are none.
    #[inline]
    pub(super) fn to_datagrams(buf: &'a mut PooledBuf, most: usize) -> Result<Self, CapacityError> {
        if buf.spare_len() == 0 {
            return Err(no_room_behind(buf.place, buf.lengths, 1));
        }
        // Not above the room, a `u32`.
        let end = buf.lengths.len() + buf.spare_len().min(most) as u32;
        let trusts_report = false;
        Ok(HandedOut {
            buf,
            end,
            trusts_report,
        })
    }

    /// How many they are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end as usize - self.buf.len()
    }

    /// Hands out no more than `most` of them.
    #[inline]
    pub(super) fn shorten(&mut self, most: usize) {
        // Not above how many there are, a `u32`.
        self.end = self.buf.lengths.len() + self.len().min(most) as u32;
    }

    /// How many bytes the buffer holds in all.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// They, as they are: they may be an earlier holder's, or not be initialised.
    ///
    /// # Safety
    ///
    /// Its caller writes bytes only, never [`MaybeUninit::uninit`], and reads none that it has not written.
    #[inline]
    pub(super) unsafe fn uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let (start, len) = (self.buf.len(), self.len());
        // SAFETY: up to the room they are the guard's own; those that are initialised stay so, as our caller promises.
        unsafe { slice::from_raw_parts_mut(self.buf.data().add(start).cast().as_ptr(), len) }
    }

    /// They, as initialised bytes, which may be an earlier holder's.
    ///
    /// # Safety
    ///
    /// They are given to nothing but what does with them as [`TrustedRead`](crate::TrustedRead) asks, or, if the report
    /// is not trusted, [`TrustedRecv`](crate::TrustedRecv).
    #[inline]
    pub(super) unsafe fn bytes(&mut self) -> &mut [u8] {
        self.buf.initialise();
        // SAFETY: they are initialised, and only bytes can be written to a slice of them. Who gets them reads as our
        // caller says.
        unsafe {
            let bytes = self.uninit();
            slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len())
        }
    }

    /// Counts as written what has been reported.
    ///
    /// # Errors
    ///
    /// That of the report; [`InvalidData`](io::ErrorKind::InvalidData) when it is of more bytes than these.
    #[inline]
    pub(super) fn reported<R: Report>(self, report: io::Result<R>) -> io::Result<R> {
        match &report {
            Ok(report) => self.received(report.bytes()).map_err(claims_too_much)?,
            Err(error) if has_written_nothing(error) => self.untouched(),
            Err(_) => drop(self),
        }
        report
    }

    /// Counts the first `bytes` of them as written.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when they are fewer.
    #[inline]
    pub(super) fn received(self, bytes: usize) -> Result<(), CapacityError> {
        if bytes > self.len() {
            let (room, capacity) = (self.len(), self.buf.capacity());
            return Err(CapacityError::behind(bytes, room, 0, capacity));
        }
        // At most their number, a `u32`.
        self.buf.grow_to(self.buf.lengths.len() + bytes as u32);
        self.untouched();
        Ok(())
    }

    /// None of those that are not counted as written has been written.
    #[inline]
    pub(super) fn untouched(self) {
        if self.trusts_report {
            mem::forget(self);
        }
    }
}

impl Drop for HandedOut<'_> {
    #[inline]
    fn drop(&mut self) {
        self.buf.mark_dirty(self.end);
    }
}

/// What a receive reports.
pub(super) trait Report {
    /// How many bytes came.
    fn bytes(&self) -> usize;
}

impl Report for usize {
    #[inline]
    fn bytes(&self) -> usize {
        *self
    }
}

/// And from where.
impl<A> Report for (usize, A) {
    #[inline]
    fn bytes(&self) -> usize {
        self.0
    }
}

/// Calls `attempt` until it is not interrupted.
#[inline]
pub(super) fn uninterrupted<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The error that a reader claims more bytes than it was given room for.
#[cold]
pub(crate) fn claims_too_much(error: CapacityError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whether a read that failed so has left the bytes alone. A socket hands over what has come, or fails; but a disk can
/// fail in the middle, also by a time limit, after some bytes have been written past the page cache.
#[cold]
pub(super) fn has_written_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionReset, Interrupted, WouldBlock};

    matches!(error.kind(), WouldBlock | Interrupted | ConnectionReset)
}
