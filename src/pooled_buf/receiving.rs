//! Handing out the bytes behind the data, for being written to.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::slice;

use crate::error::CapacityError;
use crate::pooled_buf::PooledBuf;

impl PooledBuf {
    /// All the bytes that can still be added, for writing into; [`commit`](PooledBuf::commit) then says
    /// how many were. What they show is this holder's own, 0, or [`POISON`](crate::POISON), never an
    /// earlier holder's: such bytes are zeroed first, which costs a `memset` of as many of them as earlier
    /// holders exposed. A guard all of whose bytes were handed out counts as exposed to its end when it is
    /// wiped; see [`spare_mut_for`](PooledBuf::spare_mut_for) where it is known how much will come.
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.spare_up_to(self.room)
    }

    /// The first `bytes` bytes of [`spare_mut`](PooledBuf::spare_mut): so only these are zeroed, and
    /// later wiped.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when there are fewer.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(8192, 1, 1)?;
    /// let mut buf = pool.acquire()?;
    /// let mut socket: &[u8] = b"\x05hello, and the next frame";
    /// std::io::Read::read_exact(&mut socket, buf.spare_mut_for(1)?)?;
    /// buf.commit(1)?;
    /// let length = buf[0] as usize;
    /// std::io::Read::read_exact(&mut socket, buf.spare_mut_for(length)?)?;
    /// buf.commit(length)?;
    /// assert_eq!(&buf[1..], b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn spare_mut_for(&mut self, bytes: usize) -> Result<&mut [u8], CapacityError> {
        let end = self.end_after(bytes)?;
        Ok(self.spare_up_to(end))
    }

    /// Counts the next `bytes` bytes as written. Those that were not are 0 or
    /// [`POISON`](crate::POISON), or what this holder wrote there before; never an earlier holder's.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when there are fewer; then nothing changes.
    #[inline]
    pub fn commit(&mut self, bytes: usize) -> Result<(), CapacityError> {
        let end = self.end_after(bytes)?;
        self.make_own(end);
        self.len = end;
        Ok(())
    }

    /// Reads once from `reader`, behind the bytes written so far, as much as comes and fits. Returns how
    /// many bytes came; 0 means that the reader is at its end, since a full buffer is an error instead.
    /// An interrupted read is tried again.
    ///
    /// # Errors
    ///
    /// What the reader returns; a [`CapacityError`] ("the buffer is full"), as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), when nothing more fits, though it may after
    /// [`compact`](PooledBuf::compact); and
    /// [`InvalidData`](io::ErrorKind::InvalidData) when the reader claims more bytes than it was given
    /// room for. In each case nothing counts as written.
    pub fn read_from(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<usize> {
        if self.spare_len() == 0 {
            return Err(self.no_room_behind(1).into());
        }
        loop {
            match reader.read(self.spare_mut()) {
                Ok(bytes) => {
                    self.commit(bytes)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// All the bytes that can still be added, as they are: unlike [`spare_mut`](PooledBuf::spare_mut)
    /// nothing is zeroed first, so they may show an earlier holder's bytes, or, where the memory is of no pool, not be
    /// initialised. For handing to the operating system; [`set_len`](PooledBuf::set_len) then says how many were written, where the safe
    /// [`commit`](PooledBuf::commit) would zero some. All of them count as exposed when the guard is
    /// wiped.
    ///
    /// # Safety
    ///
    /// Its caller writes bytes only, never [`MaybeUninit::uninit`].
    #[inline]
    pub unsafe fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let len = self.len();
        // SAFETY: passed on to our caller.
        let whole = unsafe { self.uninit_mut() };
        &mut whole[len..]
    }

    /// Sets how many bytes count as written, after writing them through
    /// [`spare_capacity_mut`](PooledBuf::spare_capacity_mut).
    ///
    /// # Safety
    ///
    /// `len` is at most `len() + spare_len()`, and this holder has written all bytes from the present length up to
    /// it.
    #[inline]
    pub unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.room as usize);
        // Its caller keeps it within the room, a `u32`.
        self.len = len as u32;
        self.written = self.written.max(self.len);
    }

    /// The data and all that can be added behind them, as they are.
    ///
    /// # Safety
    ///
    /// Its caller writes bytes only, never [`MaybeUninit::uninit`].
    #[inline]
    pub(crate) unsafe fn uninit_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        // Whatever is written here, counted by `set_len` or not, must be wiped, or zeroed before another
        // holder sees it.
        self.exposed = self.room;
        // SAFETY: up to the buffer's end the bytes are the guard's own; those that are initialised stay so, as our
        // caller promises.
        unsafe { slice::from_raw_parts_mut(self.data.cast().as_ptr(), self.room as usize) }
    }

    /// Makes sure that no byte from the data on is an earlier holder's.
    #[cfg(feature = "compio-buf-08")]
    #[inline]
    pub(crate) fn make_all_own(&mut self) {
        self.make_own(self.room);
    }

    /// The bytes from `len` up to `end`, which is within the room and not below `len`.
    #[inline]
    fn spare_up_to(&mut self, end: u32) -> &mut [u8] {
        self.make_own(end);
        // SAFETY: between `len` and `end`, below which the bytes are initialised now; they are the guard's own.
        unsafe {
            slice::from_raw_parts_mut(
                self.data.add(self.len()).as_ptr(),
                (end - self.len) as usize,
            )
        }
    }

    /// Makes sure that each byte below `end`, which is within the room, is initialised and no earlier holder's.
    #[inline]
    fn make_own(&mut self, end: u32) {
        if end > self.written {
            let exposed = self.exposed.min(end);
            if exposed > self.written {
                // SAFETY: from `written` up to `exposed`, both within the room: the guard's own bytes.
                unsafe {
                    self.data
                        .add(self.written as usize)
                        .write_bytes(0, (exposed - self.written) as usize);
                }
            }
            self.written = end;
        }
    }
}
