//! The guard that holds a buffer.

// In the order in which their methods stand on the guard's page.
mod content;

mod receiving;

pub(crate) mod datagrams;

#[cfg(any(unix, windows))]
mod files;

pub(crate) mod front;
mod handed_out;
pub(crate) mod header;
mod heap;
mod layout;
mod split;
mod traits;
pub(crate) mod trusted_read;
pub(crate) mod vectored;
pub(crate) mod words;
mod writing;

use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;

use crate::buf::guard::header::{ReleaseHeader, ReleaseHeaders};
use crate::buf::guard::layout::Address;
use crate::buf::guard::words::{Lengths, Place};
use crate::free_list::Slot;
use crate::report::error::capacity::CapacityError;

/// A buffer on loan from a pool. Dropping it gives it back.
///
/// It owns its loan: it can sit in a struct, cross threads and tasks, and outlive every handle of its pool.
/// Releasing twice, releasing into another pool and using the buffer after its release do not compile.
///
/// It starts empty, however much it can hold: [`len`](PooledBuf::len) counts the bytes that its holder has
/// written, and it dereferences to those alone, never to what an earlier holder left. It is compared, ordered and
/// hashed as those bytes are, with other guards, slices, arrays, `Vec<u8>` and `str`. Nothing reallocates: what does
/// not fit is refused with a [`CapacityError`].
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
/// // Receiving is one call, from sockets, files, pipes and slices, and costs what was received …
/// let mut socket: &[u8] = b"Host: example.com\r\n";
/// assert_eq!(buf.read_from(&mut socket)?, 19);
/// // … and with safe code of your own: fill the start of the spare bytes, then say how many.
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
/// into a fresh guard for ever. [`as_mut_slice`](PooledBuf::as_mut_slice) gives the written bytes for change.
///
/// A guard can also be of no pool: memory from the heap, for what is larger than any buffer of the pool, and for tests.
///
/// ```
/// use poolbuf::{AcquireError, BufferPool, Pool, PooledBuf};
///
/// let pool = BufferPool::new(1024, 4, 16)?;
/// let acquire = |len| match pool.acquire_for(len) {
///     Err(AcquireError::TooLarge { .. }) => Ok(PooledBuf::try_from(Vec::with_capacity(len))?),
///     result => Ok::<_, Box<dyn std::error::Error>>(result?),
/// };
/// assert_eq!(acquire(1000)?.capacity(), 1024);
/// assert!(acquire(10_000)?.capacity() >= 10_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What was read is taken off the front with [`consume`](PooledBuf::consume), and a header is put there with
/// [`prepend`](PooledBuf::prepend): neither copies what follows. So the data need not begin at the buffer's first byte.
/// What adds behind them needs room between them and the buffer's end, [`spare_len`](PooledBuf::spare_len), and refuses
/// otherwise; [`compact`](PooledBuf::compact) gives back the room of what was consumed. A guard that becomes empty by
/// `consume`, [`truncate`](PooledBuf::truncate) or [`clear`](PooledBuf::clear) begins at the buffer's first byte again,
/// with all of its capacity to spare.
///
/// It is cut in two, each a guard of its own over the same buffer, by [`split_to`](PooledBuf::split_to) and
/// [`split_off`](PooledBuf::split_off).
///
/// `std::mem::forget` on a guard is safe, but the pool can't lend that buffer again, and its memory stays
/// reserved for as long as the process lives.
#[repr(C)]
pub struct PooledBuf {
    // In this order: see the module `layout`.
    place: Place,
    lengths: Lengths,
    /// The first byte of the data. All lengths are counted from here.
    data: Address,
    /// The word of the [`Slot`]. Its `dirty` is counted from the buffer's first byte, wherever the data begin: up to
    /// there bytes may be an earlier holder's, or what was written for this one and not reported, or not be
    /// initialised; from there on, none is, but for what lies below `written`.
    slot: u64,
    /// The first of the lender's two, or the second while bytes are handed out: see [`ReleaseHeaders`].
    header: NonNull<ReleaseHeader>,
}

// SAFETY: a guard owns its buffer exclusively, as a `Box<[u8]>` does, and the caller of `from_parts` promises
// that it may be released on any thread.
unsafe impl Send for PooledBuf {}
// SAFETY: a shared guard gives shared access to bytes, and nothing else.
unsafe impl Sync for PooledBuf {}

/// The slot of memory that is not one of a pool's buffers. No pool has so many.
pub(crate) const NO_SLOT: u32 = u32::MAX;

impl PooledBuf {
    /// A guard over `capacity` bytes at `memory`, of which those that `slot` says may hold an earlier holder's bytes,
    /// or not be initialised. `slot` comes back at the release; its index is [`NO_SLOT`] for memory of no pool.
    ///
    /// # Safety
    ///
    /// Until the lender's `release` is called with these very values, on whatever thread that is:
    /// - `lender` can be dereferenced;
    /// - the `capacity` bytes at `memory`, and the lender's `headroom` bytes before it, can be written, and nothing but
    ///   the guard uses them;
    /// - those that are not dirty are initialised; all of them, unless the lender says otherwise.
    ///
    /// `release` may be called once with them. No more than `capacity` are dirty, and `capacity + headroom` at most
    /// [`BUFFER_SIZE_LIMIT`](crate::memory::layout::BUFFER_SIZE_LIMIT).
    #[inline]
    pub(crate) unsafe fn from_parts(
        lender: NonNull<ReleaseHeaders>,
        memory: NonNull<u8>,
        capacity: u32,
        slot: Slot,
    ) -> Self {
        debug_assert!(slot.dirty() <= capacity);
        let (place, lengths) = (Place::new(capacity, 0), Lengths::new(0, 0));
        PooledBuf::of_words(place, lengths, Address::new(memory), slot.word(), lender.cast())
    }

    /// Whether that lender takes it back, and none of its bytes are handed out.
    pub(crate) fn is_lent_by(&self, lender: NonNull<ReleaseHeaders>) -> bool {
        self.header == lender.cast()
    }

    /// The capacity when the first `bytes` bytes, not all, have been consumed.
    #[inline]
    pub(crate) fn capacity_after(&self, bytes: usize) -> usize {
        let size = self.place.size() as usize;
        size.max(self.room() as usize - bytes)
    }

    /// Lets the data begin at the buffer's first byte. `len` stays, so what it counts must lie there, or be nothing.
    #[inline]
    fn rewind(&mut self) {
        let head = self.place.head();
        if head == 0 {
            return;
        }
        // SAFETY: it is there.
        unsafe { self.begin_at(self.first_byte(), 0, self.lengths.len()) };
    }

    /// The first byte of the data.
    #[inline(always)]
    fn data(&self) -> NonNull<u8> {
        self.data.get()
    }

    /// The buffer's first byte.
    #[inline(always)]
    fn first_byte(&self) -> NonNull<u8> {
        // SAFETY: where the data begin behind the buffer's first byte, `consumed` bytes before are the guard's own;
        // where they begin before it, they go on up to there at least: `room` is larger than the buffer's size.
        unsafe {
            match self.place.consumed() {
                0 => self.data().add(self.place.head().wrapping_neg() as usize),
                consumed => self.data().sub(consumed as usize),
            }
        }
    }

    /// Bytes from the data's first up to the end of the buffer.
    #[inline(always)]
    fn room(&self) -> u32 {
        self.place.room()
    }

    /// Bytes below this, counted from where the data begin, are this holder's: it wrote them, or they were zeroed
    /// before it could read them. They are wiped at the release. At most the room, and at least `len`.
    #[inline(always)]
    fn written(&self) -> u32 {
        self.lengths.written()
    }

    /// From `written` up to this, counted from where the data begin, bytes may be an earlier holder's, or what was
    /// written for this one and not reported, or not be initialised; from there on, none is. At most the room.
    #[inline(always)]
    fn dirty(&self) -> u32 {
        let dirty = Slot::from_word(self.slot).dirty();
        let (dirty, room) = (u64::from(dirty), u64::from(self.room()));
        // What was consumed does not count, and what was prepended counts besides. At most the room.
        (dirty + room).saturating_sub(self.place.size().into()) as u32
    }

    /// Sets how many bytes the data are, and counts them as written.
    #[inline(always)]
    fn grow_to(&mut self, len: u32) {
        self.set_lengths(Lengths::new(len, self.written().max(len)));
    }

    /// Sets how many bytes the data are: no more than `written`.
    #[inline(always)]
    fn shorten_to(&mut self, len: u32) {
        self.set_lengths(Lengths::new(len, self.written()));
    }

    /// Sets what [`dirty`](PooledBuf::dirty) says: to no fewer bytes than were prepended, which lie before those
    /// that a slot counts.
    #[inline]
    fn set_dirty(&mut self, dirty: u32) {
        let mut slot = Slot::from_word(self.slot);
        slot.set_dirty(dirty.wrapping_add(self.place.head()));
        self.slot = slot.word();
    }

    /// Lets the data begin elsewhere in the buffer, `head` bytes behind its first byte, and be `len` bytes. What is
    /// written and dirty stays where it is.
    ///
    /// # Safety
    ///
    /// `data` is there, in the buffer or its headroom. No more is moved over than is written.
    #[inline(always)]
    unsafe fn begin_at(&mut self, data: NonNull<u8>, head: u32, len: u32) {
        let moved = head.wrapping_sub(self.place.head());
        let place = Place::new(self.place.size().wrapping_sub(head), head);
        let lengths = Lengths::new(len, self.written().wrapping_sub(moved));
        let slot = layout::unknown(self.slot);
        let moved = PooledBuf::of_words(place, lengths, Address::new(data), slot, self.header);
        // SAFETY: it is the same loan as before, which is not released now.
        unsafe { ptr::write(self, moved) };
    }

    /// Where the written bytes end after `bytes` more.
    #[inline]
    fn end_after(&self, bytes: usize) -> Result<u32, CapacityError> {
        if bytes > self.spare_len() {
            return Err(no_room_behind(self.place, self.lengths, bytes));
        }
        // At most the room, a `u32`.
        Ok(self.lengths.len() + bytes as u32)
    }
}

/// The error that `bytes` bytes don't fit behind those written so far in a guard of these words. By value: a call that
/// takes the guard by reference, even one that is never made, has it lie in memory.
#[cold]
fn no_room_behind(place: Place, lengths: Lengths, bytes: usize) -> CapacityError {
    let spare = place.room() - lengths.len();
    let (consumed, capacity) = (place.consumed(), place.capacity());
    CapacityError::behind(bytes, spare as usize, consumed as usize, capacity as usize)
}

impl Drop for PooledBuf {
    #[inline]
    fn drop(&mut self) {
        // No more than loads and a call: a larger function is not inlined where a caller cleans up for a panic, and
        // then the guard has to have an address in the way without a panic too.
        let PooledBuf {
            place,
            lengths,
            data,
            slot,
            header,
        } = *self;
        // SAFETY: `from_parts` was promised that the lender lives until this call, the first and only one
        // with these values, and that it may come from any thread.
        unsafe { (header.as_ref().release)(header, data.get(), place, lengths, Slot::from_word(slot)) };
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len` is at most `written`, below which the bytes are initialised; they are the guard's own.
        unsafe { slice::from_raw_parts(self.data().as_ptr(), self.len()) }
    }
}
