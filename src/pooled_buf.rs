//! The guard that holds a buffer, and the header through which it goes back.

use std::fmt;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;

use crate::error::CapacityError;

/// How whatever lent a buffer gets it back. It lies at the start of the lender's own data, so that the
/// function finds that data from the pointer that it is called with (as the vtable of `bytes::Bytes` does).
pub(crate) struct ReleaseHeader {
    pub(crate) release: Release,
}

/// Takes back what [`PooledBuf::from_parts`] was given, in the same order: the header itself, the memory,
/// its capacity and its slot; and last how many leading bytes may have been written, by this holder or one
/// before it, since the buffer was wiped. Plain values, so that they travel in registers.
pub(crate) type Release = unsafe fn(NonNull<ReleaseHeader>, NonNull<u8>, u32, u32, u32);

/// A buffer on loan from a pool. Dropping it gives it back.
///
/// It owns its loan: it can sit in a struct, cross threads and tasks, and outlive every handle of its pool.
/// Releasing twice, releasing into another pool and using the buffer after its release do not compile.
///
/// It starts empty, however much it can hold: [`len`](PooledBuf::len) counts the bytes that its holder has
/// written, and it dereferences to those alone, never to what an earlier holder left. Nothing reallocates:
/// what does not fit is refused with a [`CapacityError`].
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(1024, 4, 16)?;
/// let mut buf = pool.acquire()?;
/// assert_eq!((buf.len(), buf.capacity()), (0, 1024));
///
/// buf.extend_from_slice(b"GET / HTTP/1.1\r\n")?;
/// assert!(buf.starts_with(b"GET "));
///
/// // Receiving: one call, from anything that implements `std::io::Read` …
/// let mut socket: &[u8] = b"Host: example.com\r\n";
/// assert_eq!(buf.read_from(&mut socket)?, 19);
/// // … or by hand: fill the start of the spare bytes, then say how many.
/// buf.spare_mut()[..2].copy_from_slice(b"\r\n");
/// buf.commit(2)?;
/// assert!(buf.ends_with(b"\r\n\r\n"));
///
/// drop(buf);
/// assert_eq!(pool.stats().in_use, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It does not dereference mutably, on purpose: `socket.read(&mut buf)` would then compile, and read 0 bytes
/// into a fresh guard for ever. [`filled_mut`](PooledBuf::filled_mut) gives the written bytes for change.
///
/// `std::mem::forget` on a guard is safe, but the pool can't lend that buffer again, and its memory stays
/// reserved for as long as the process lives.
pub struct PooledBuf {
    header: NonNull<ReleaseHeader>,
    memory: NonNull<u8>,
    capacity: u32,
    /// At most `written`.
    len: u32,
    /// Bytes below this are this holder's: it wrote them, or they were zeroed before it could read them.
    /// At most `capacity`.
    written: u32,
    /// Bytes from `written` up to this may be an earlier holder's; from there on, none is. At most
    /// `capacity`.
    stale: u32,
    slot: u32,
}

// SAFETY: a guard owns its buffer exclusively, as a `Box<[u8]>` does, and whoever makes one
// (`from_parts`) promises that it may be released on any thread.
unsafe impl Send for PooledBuf {}
// SAFETY: a shared guard gives shared access to bytes, and nothing else.
unsafe impl Sync for PooledBuf {}

impl PooledBuf {
    /// A guard over `capacity` bytes at `memory`, of which the first `stale` may hold an earlier holder's
    /// bytes. `slot` comes back at the release.
    ///
    /// # Safety
    ///
    /// Until `header.release` is called with these very values, on whatever thread that is:
    /// - `header` can be dereferenced;
    /// - the `capacity` bytes at `memory` are initialised, and used by nobody but the guard.
    ///
    /// `release` may be called once with them. `stale` is at most `capacity`.
    #[inline]
    pub(crate) unsafe fn from_parts(
        header: NonNull<ReleaseHeader>,
        memory: NonNull<u8>,
        capacity: u32,
        slot: u32,
        stale: u32,
    ) -> Self {
        debug_assert!(stale <= capacity);
        PooledBuf {
            header,
            memory,
            capacity,
            len: 0,
            written: 0,
            stale,
            slot,
        }
    }

    /// Bytes written so far.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nothing has been written, or all of it was cleared.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the buffer holds in all: at least what was asked for. Never changes.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Which of its pool's buffers it is: see [`MemoryRegion`](crate::MemoryRegion). 0 for memory that was lent by a
    /// [`Recycler`](crate::Recycler).
    #[inline]
    #[must_use]
    pub fn slot(&self) -> usize {
        self.slot as usize
    }

    /// Bytes that can still be added: `capacity() - len()`.
    #[inline]
    #[must_use]
    pub fn spare_len(&self) -> usize {
        (self.capacity - self.len) as usize
    }

    /// Copies `bytes` behind those written so far.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when they do not all fit; then nothing is written.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), CapacityError> {
        let end = self.end_after(bytes.len())?;
        // SAFETY: `end_after` says that `bytes.len()` bytes from `len` on are within the capacity, and so
        // the guard's own; `bytes` is borrowed from elsewhere, since the guard is borrowed mutably.
        unsafe {
            self.memory
                .add(self.len())
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        self.len = end;
        self.written = self.written.max(end);
        Ok(())
    }

    /// All the bytes that can still be added, for writing into; [`commit`](PooledBuf::commit) then says
    /// how many were. What they show is this holder's own, 0, or [`POISON`](crate::POISON), never an
    /// earlier holder's: such bytes are zeroed first, which costs a `memset` of as many of them as earlier
    /// holders exposed. A guard all of whose bytes were handed out counts as exposed to its end when it is
    /// wiped; see [`spare_mut_for`](PooledBuf::spare_mut_for) where it is known how much will come.
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.spare_up_to(self.capacity)
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

    /// Keeps the first `len` bytes; nothing changes when there are no more than that.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            // Below a `u32`, so it fits one.
            self.len = len as u32;
        }
    }

    /// Counts no byte as written any more. The bytes are not wiped before the guard is dropped.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Removes the first `bytes` bytes, or all when there are no more, and moves the rest to the front: what
    /// is left of a receive when a frame has been taken off it. Costs a copy of the rest.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut buf = BufferPool::new(64, 1, 1)?.acquire()?;
    /// buf.extend_from_slice(b"frame|next fr")?;
    /// buf.consume(6);
    /// assert_eq!(&buf[..], b"next fr");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn consume(&mut self, bytes: usize) {
        let rest = self.len().saturating_sub(bytes);
        let front = self.len() - rest;
        self.filled_mut().copy_within(front.., 0);
        self.truncate(rest);
    }

    /// The bytes written so far, for change.
    #[inline]
    pub fn filled_mut(&mut self) -> &mut [u8] {
        // SAFETY: `len` is within the capacity, whose bytes are initialised and the guard's own.
        unsafe { slice::from_raw_parts_mut(self.memory.as_ptr(), self.len()) }
    }

    /// Reads once from `reader`, behind the bytes written so far, as much as comes and fits. Returns how
    /// many bytes came; 0 means that the reader is at its end, since a full buffer is an error instead.
    /// An interrupted read is tried again.
    ///
    /// # Errors
    ///
    /// What the reader returns; [`CapacityError`], as an [`io::Error`], when the buffer is full; and
    /// [`InvalidData`](io::ErrorKind::InvalidData) when the reader claims more bytes than it was given
    /// room for. In each case nothing counts as written.
    pub fn read_from(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<usize> {
        if self.spare_len() == 0 {
            return Err(CapacityError::new(1, 0, self.capacity()).into());
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
    /// nothing is zeroed first, so they may show an earlier holder's bytes. For handing to the operating
    /// system; [`set_len`](PooledBuf::set_len) then says how many were written, where the safe
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
    /// `len` is at most the capacity, and this holder has written all bytes from the present length up to
    /// it.
    #[inline]
    pub unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.capacity());
        // Its caller keeps it within the capacity, a `u32`.
        self.len = len as u32;
        self.written = self.written.max(self.len);
    }

    /// The whole buffer from its first byte, as it is.
    ///
    /// # Safety
    ///
    /// Its caller writes bytes only, never [`MaybeUninit::uninit`].
    #[inline]
    pub(crate) unsafe fn uninit_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        // Whatever is written here, counted by `set_len` or not, must be wiped, or zeroed before another
        // holder sees it.
        self.stale = self.capacity;
        // SAFETY: the capacity's bytes are the guard's own, and stay initialised as our caller promises.
        unsafe { slice::from_raw_parts_mut(self.memory.cast().as_ptr(), self.capacity()) }
    }

    /// Where the written bytes end after `bytes` more.
    #[inline]
    fn end_after(&self, bytes: usize) -> Result<u32, CapacityError> {
        if bytes > self.spare_len() {
            return Err(CapacityError::new(bytes, self.spare_len(), self.capacity()));
        }
        // At most the capacity, a `u32`.
        Ok(self.len + bytes as u32)
    }

    /// The bytes from `len` up to `end`, which is within the capacity and not below `len`.
    #[inline]
    fn spare_up_to(&mut self, end: u32) -> &mut [u8] {
        self.make_own(end);
        // SAFETY: between `len` and the capacity; the bytes are initialised and the guard's own.
        unsafe {
            slice::from_raw_parts_mut(
                self.memory.add(self.len()).as_ptr(),
                (end - self.len) as usize,
            )
        }
    }

    /// Makes sure that no byte below `end`, which is within the capacity, is an earlier holder's.
    #[inline]
    fn make_own(&mut self, end: u32) {
        if end > self.written {
            let stale = self.stale.min(end);
            if stale > self.written {
                // SAFETY: from `written` up to `stale`, both within the capacity: the guard's own bytes.
                unsafe {
                    self.memory
                        .add(self.written as usize)
                        .write_bytes(0, (stale - self.written) as usize);
                }
            }
            self.written = end;
        }
    }
}

impl Drop for PooledBuf {
    #[inline]
    fn drop(&mut self) {
        let exposed = self.written.max(self.stale);
        // SAFETY: `from_parts` was promised that the header lives until this call, the first and only one
        // with these values, and that it may come from any thread.
        unsafe {
            let release = self.header.as_ref().release;
            release(self.header, self.memory, self.capacity, self.slot, exposed);
        }
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len` is within the capacity, whose bytes are initialised and the guard's own.
        unsafe { slice::from_raw_parts(self.memory.as_ptr(), self.len()) }
    }
}

impl AsRef<[u8]> for PooledBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Length and capacity; never the bytes, which may be secret.
impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// Adds all the bytes or, when they do not all fit, none: then the error is a [`CapacityError`] of the kind
/// [`WriteZero`](io::ErrorKind::WriteZero).
impl Write for PooledBuf {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Ok(self.extend_from_slice(bytes)?)
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
