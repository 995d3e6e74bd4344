//! The guard that holds a buffer, and the header through which it goes back.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;

use crate::error::CapacityError;
use crate::memory::layout::BUFFER_SIZE_LIMIT;

/// How whatever lent a buffer gets it back. It lies at the start of the lender's own data, so that the
/// function finds that data from the pointer that it is called with (as the vtable of `bytes::Bytes` does).
pub(crate) struct ReleaseHeader {
    pub(crate) release: Release,
    /// Bytes before each buffer's first byte that belong to the buffer too.
    pub(crate) headroom: u32,
}

/// Takes back what [`PooledBuf::from_parts`] made a guard from: the header itself; where the data begin, and where that
/// is in the buffer; the slot; and last up to how many bytes behind the buffer's first some may have been written, by
/// this holder or one before it, since the buffer was wiped. The headroom's may have been written in any case. Plain
/// values, as the guard has them, so that they travel in registers.
pub(crate) type Release = unsafe fn(NonNull<ReleaseHeader>, NonNull<u8>, Place, u32, u32);

/// Where in its buffer a guard's data begin: how many bytes it is to the buffer's end, and how many they lie behind the
/// buffer's first (modulo 2³², if they lie before it: in the headroom). An array, which travels in one register.
pub(crate) type Place = [u32; 2];

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
/// `std::mem::forget` on a guard is safe, but the pool can't lend that buffer again, and its memory stays
/// reserved for as long as the process lives.
pub struct PooledBuf {
    header: NonNull<ReleaseHeader>,
    /// The first byte of the data. All lengths but `head` are counted from here.
    data: NonNull<u8>,
    /// Bytes up to the end of the buffer.
    room: u32,
    /// How many bytes `data` lies behind the buffer's first byte: all of them this holder's. Modulo 2³²: where it was
    /// prepended into the headroom, which lies before that byte, the number is negative. So `room + head` is the
    /// capacity, and the headers' headroom `+ head` are the bytes before `data` that belong to the buffer.
    head: u32,
    /// At most `written`.
    len: u32,
    /// Bytes below this are this holder's: it wrote them, or they were zeroed before it could read them.
    /// At most `room`.
    written: u32,
    /// Bytes from `written` up to this may be an earlier holder's, or not be initialised; from there on, none is the
    /// one or the other. At most `room`.
    exposed: u32,
    slot: u32,
}

// SAFETY: a guard owns its buffer exclusively, as a `Box<[u8]>` does, and the caller of `from_parts` promises
// that it may be released on any thread.
unsafe impl Send for PooledBuf {}
// SAFETY: a shared guard gives shared access to bytes, and nothing else.
unsafe impl Sync for PooledBuf {}

impl PooledBuf {
    /// A guard over `capacity` bytes at `memory`, of which the first `exposed` may hold an earlier holder's
    /// bytes, or not be initialised. `slot` comes back at the release.
    ///
    /// # Safety
    ///
    /// Until `header.release` is called with these very values, on whatever thread that is:
    /// - `header` can be dereferenced;
    /// - the `capacity` bytes at `memory`, and the header's `headroom` bytes before it, can be written, and nothing but
    ///   the guard uses them;
    /// - those from `memory + exposed` on are initialised.
    ///
    /// `release` may be called once with them. `exposed` is at most `capacity`, and `capacity + headroom` at most
    /// [`BUFFER_SIZE_LIMIT`].
    #[inline]
    pub(crate) unsafe fn from_parts(
        header: NonNull<ReleaseHeader>,
        memory: NonNull<u8>,
        capacity: u32,
        slot: u32,
        exposed: u32,
    ) -> Self {
        debug_assert!(exposed <= capacity);
        PooledBuf {
            header,
            data: memory,
            room: capacity,
            len: 0,
            written: 0,
            exposed,
            head: 0,
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

    /// Bytes that the buffer holds in all, beside its [headroom](crate::PoolConfig::headroom): at least what was asked
    /// for. Never changes.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.room.wrapping_add(self.head) as usize
    }

    /// Which of its pool's buffers it is: see [`MemoryRegion`](crate::MemoryRegion). 0 for memory that was lent by a
    /// [`Recycler`](crate::Recycler), or is of no pool.
    #[inline]
    #[must_use]
    pub fn slot(&self) -> usize {
        self.slot as usize
    }

    /// Bytes that can still be added behind those written so far: `capacity()`, less the data, and less what was
    /// [consumed](PooledBuf::consume) before them, which [`compact`](PooledBuf::compact) gives back. What was
    /// [prepended](PooledBuf::prepend) into the headroom takes none of them.
    #[inline]
    #[must_use]
    pub fn spare_len(&self) -> usize {
        (self.room - self.len) as usize
    }

    /// Bytes that can be [prepended](PooledBuf::prepend): the pool's [headroom](crate::PoolConfig::headroom), less what
    /// was prepended, and with what was [consumed](PooledBuf::consume).
    #[inline]
    #[must_use]
    pub fn headroom(&self) -> usize {
        // SAFETY: `from_parts` was promised that the header lives until the release.
        let before = unsafe { self.header.as_ref() }.headroom;
        before.wrapping_add(self.head) as usize
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
            self.data
                .add(self.len())
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        self.len = end;
        self.written = self.written.max(end);
        Ok(())
    }

    /// Copies `bytes` before those written so far, which stay where they are: a length or a header in front of what
    /// was received or formatted. Costs a copy of `bytes` alone.
    ///
    /// There is room for [`headroom`](PooledBuf::headroom) bytes: what the pool
    /// [keeps before each buffer](crate::PoolConfig::headroom), and what was consumed.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when they do not all fit; then nothing is written.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool, PoolConfig};
    /// use std::io::Write;
    ///
    /// let pool = BufferPool::with_config(PoolConfig::new(16).max(1).headroom(4))?;
    /// let mut frame = pool.acquire()?;
    /// write!(frame, "tick {}", 7)?;
    /// let length = frame.len() as u32;
    /// frame.prepend(&length.to_be_bytes())?;
    /// assert_eq!(frame, b"\0\0\0\x06tick 7");
    ///
    /// let error = frame.prepend(b"!").unwrap_err();
    /// assert_eq!(error.to_string(), "1 bytes do not fit in front: 0 are free there");
    /// // What was consumed is room in front too.
    /// frame.consume(4);
    /// frame.prepend(b"tic ")?;
    /// assert_eq!(frame, "tic tick 7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prepend(&mut self, bytes: &[u8]) -> Result<(), CapacityError> {
        let free = self.headroom();
        if bytes.len() > free {
            return Err(CapacityError::in_front(bytes.len(), free, self.capacity()));
        }
        // SAFETY: so many bytes before the data are the guard's own; `bytes` is borrowed from elsewhere, since the
        // guard is borrowed mutably.
        unsafe {
            self.data = self.data.sub(bytes.len());
            self.data
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        // No more than the guard's bytes in all, which a `u32` counts.
        let more = bytes.len() as u32;
        self.head = self.head.wrapping_sub(more);
        self.room += more;
        self.len += more;
        self.written += more;
        self.exposed += more;
        Ok(())
    }

    /// Copies as many of `bytes` as fit behind those written so far, and returns how many that were.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut buf = BufferPool::new(8, 1, 1)?.acquire()?;
    /// let message = b"hello, world";
    /// let taken = buf.put_some(message);
    /// assert_eq!((&buf[..], &message[taken..]), (&b"hello, w"[..], &b"orld"[..]));
    /// assert_eq!(buf.put_some(b"more"), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn put_some(&mut self, bytes: &[u8]) -> usize {
        let fits = bytes.len().min(self.spare_len());
        // As many as fit.
        let _ = self.extend_from_slice(&bytes[..fits]);
        fits
    }

    /// Adds one byte behind those written so far.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when the buffer is full.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut buf = BufferPool::new(2, 1, 1)?.acquire()?;
    /// buf.push(b'o')?;
    /// buf.push(b'k')?;
    /// assert_eq!(buf, "ok");
    /// assert!(buf.push(b'!').is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn push(&mut self, byte: u8) -> Result<(), CapacityError> {
        self.extend_from_slice(&[byte])
    }

    /// Makes it `len` bytes long: what is more is cut off, and what is missing is added as bytes of that `value`.
    /// Costs a `memset` of the bytes that are added.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when they do not all fit; then nothing changes.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut header = BufferPool::new(16, 1, 1)?.acquire()?;
    /// header.extend_from_slice(b"PNG")?;
    /// header.resize(8, b'-')?;
    /// assert_eq!(header, b"PNG-----");
    /// assert!(header.resize(17, 0).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resize(&mut self, len: usize, value: u8) -> Result<(), CapacityError> {
        let Some(more) = len.checked_sub(self.len()) else {
            self.truncate(len);
            return Ok(());
        };
        let end = self.end_after(more)?;
        // SAFETY: `end_after` says that `more` bytes from `len` on are within the capacity: the guard's own.
        unsafe { self.data.add(self.len()).write_bytes(value, more) };
        self.len = end;
        self.written = self.written.max(end);
        Ok(())
    }

    /// Lets `append` write behind the bytes written so far, and takes that back when it fails: for what writes in
    /// several steps, such as `write!` or a serializer, and would leave half a message when it does not fit.
    ///
    /// What it returns is returned. If it fails, or panics, the guard is as long as it was before; what `append` may
    /// have done to earlier bytes stays. Costs nothing but the call.
    ///
    /// # Errors
    ///
    /// The error of `append`.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::Write;
    ///
    /// let mut buf = BufferPool::new(16, 1, 1)?.acquire()?;
    /// buf.try_append(|buf| write!(buf, "{}: {};", "a", 1))?;
    /// assert!(buf.try_append(|buf| write!(buf, "{}: {};", "much", "too much")).is_err());
    /// assert_eq!(buf, b"a: 1;");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_append<T, E>(
        &mut self,
        append: impl FnOnce(&mut PooledBuf) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut attempt = Attempt {
            len: self.len(),
            buf: self,
        };
        let done = append(attempt.buf)?;
        // What it wrote stays.
        attempt.len = attempt.buf.len();
        Ok(done)
    }

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

    /// Keeps the first `len` bytes; nothing changes when there are no more than that. 0 is
    /// [`clear`](PooledBuf::clear).
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len == 0 {
            self.clear();
        } else if len < self.len() {
            // Below a `u32`, so it fits one.
            self.len = len as u32;
        }
    }

    /// Counts no byte as written any more: all of the capacity is to spare again, and all of the headroom free. The
    /// bytes are not wiped before the guard is dropped.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
        self.rewind();
    }

    /// Removes the first `bytes` bytes, or all when there are no more: what has been read of a message, or a frame at
    /// the front of a receive. Nothing is copied; the rest stays where it is, whatever its length.
    ///
    /// The room of what was removed is free in front, for [`prepend`](PooledBuf::prepend), and not behind: see
    /// [`compact`](PooledBuf::compact). When nothing is left, all of the capacity is to spare again, as after
    /// [`clear`](PooledBuf::clear): a loop that receives and consumes whole messages needs no `compact`.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut buf = BufferPool::new(16, 1, 1)?.acquire()?;
    /// buf.extend_from_slice(b"frame|next fr")?;
    /// buf.consume(6);
    /// assert_eq!((&buf[..], buf.spare_len()), (&b"next fr"[..], 3));
    /// buf.consume(7);
    /// assert_eq!((&buf[..], buf.spare_len()), (&b""[..], 16));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        if bytes >= self.len() {
            self.clear();
            return;
        }
        // SAFETY: below `len`, so the guard's own.
        self.data = unsafe { self.data.add(bytes) };
        // Below `len`, a `u32`.
        let less = bytes as u32;
        self.head = self.head.wrapping_add(less);
        self.room -= less;
        self.len -= less;
        self.written -= less;
        // Bytes below `written` are the holder's anyway.
        self.exposed = self.exposed.saturating_sub(less);
    }

    /// Moves the data to the buffer's first byte, so that the room of what was [consumed](PooledBuf::consume) before
    /// them can be written behind them: `capacity() - len()` bytes. Costs a copy of the data; nothing where nothing was
    /// consumed. What was prepended into the headroom stays there.
    ///
    /// Call it before receiving behind the start of a message. It then costs little, as what is left is little: not so
    /// after each frame of many.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut buf = BufferPool::new(16, 1, 1)?.acquire()?;
    /// // Frames that end with '|', some whole, some cut by the network.
    /// let mut socket: &[u8] = b"one|two|three|four|five|six|seven|";
    /// let mut frames = 0;
    /// loop {
    ///     buf.compact();
    ///     if buf.read_from(&mut socket)? == 0 {
    ///         break;
    ///     }
    ///     while let Some(end) = buf.iter().position(|&byte| byte == b'|') {
    ///         frames += 1; // of the bytes `buf[..end]`
    ///         buf.consume(end + 1);
    ///     }
    /// }
    /// assert_eq!((frames, buf.is_empty()), (7, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&mut self) {
        let consumed = self.consumed();
        if consumed > 0 {
            // SAFETY: so many bytes before the data are the guard's own, and so are the data.
            unsafe { self.data.copy_to(self.data.sub(consumed), self.len()) };
            self.rewind();
        }
    }

    /// Bytes before the data, up to the buffer's first, that were consumed. 0 where the data begin in the headroom.
    #[inline]
    fn consumed(&self) -> usize {
        // The head is negative if there are fewer bytes from the data on than the buffer holds.
        let capacity = self.capacity();
        capacity.saturating_sub(self.room as usize)
    }

    /// Lets the data begin at the buffer's first byte. `len` stays, so what it counts must lie there, or be nothing.
    #[inline]
    fn rewind(&mut self) {
        if self.head == 0 {
            return;
        }
        let consumed = self.consumed();
        // SAFETY: where the data begin behind the buffer's first byte, `consumed` bytes before are the guard's own;
        // where they begin before it, they go on up to there at least: `room` is larger than the capacity.
        self.data = unsafe {
            match consumed {
                0 => self.data.add(self.head.wrapping_neg() as usize),
                consumed => self.data.sub(consumed),
            }
        };
        // Each as far behind the buffer's first byte as before. None becomes negative: `prepend` has added to each
        // what it took from `head`.
        self.room = self.room.wrapping_add(self.head);
        self.written = self.written.wrapping_add(self.head);
        self.exposed = self.exposed.wrapping_add(self.head);
        self.head = 0;
    }

    /// The bytes written so far; it dereferences to them too.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self
    }

    /// The bytes written so far, for change. Not for reading into: of a guard that was just acquired it is empty. See
    /// [`spare_mut`](PooledBuf::spare_mut) and [`read_from`](PooledBuf::read_from) for that.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut buf = BufferPool::new(64, 1, 1)?.acquire()?;
    /// assert!(buf.as_mut_slice().is_empty());
    /// buf.extend_from_slice(b"hello")?;
    /// buf.as_mut_slice().make_ascii_uppercase();
    /// assert_eq!(buf, "HELLO");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `len` is at most `written`, below which the bytes are initialised; they are the guard's own.
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.len()) }
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

    /// Where the written bytes end after `bytes` more.
    #[inline]
    fn end_after(&self, bytes: usize) -> Result<u32, CapacityError> {
        if bytes > self.spare_len() {
            return Err(self.no_room_behind(bytes));
        }
        // At most the room, a `u32`.
        Ok(self.len + bytes as u32)
    }

    /// The error that `bytes` bytes don't fit behind those written so far.
    #[cold]
    fn no_room_behind(&self, bytes: usize) -> CapacityError {
        let consumed = self.consumed();
        CapacityError::behind(bytes, self.spare_len(), consumed, self.capacity())
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

impl Drop for PooledBuf {
    #[inline]
    fn drop(&mut self) {
        // As far behind the buffer's first byte as they are behind `data`.
        let exposed = self.written.max(self.exposed).wrapping_add(self.head);
        let place = [self.room, self.head];
        // SAFETY: `from_parts` was promised that the header lives until this call, the first and only one
        // with these values, and that it may come from any thread.
        unsafe {
            let release = self.header.as_ref().release;
            release(self.header, self.data, place, self.slot, exposed);
        }
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len` is at most `written`, below which the bytes are initialised; they are the guard's own.
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len()) }
    }
}

/// Takes back what is written behind `len` bytes, when it is dropped.
struct Attempt<'a> {
    buf: &'a mut PooledBuf,
    len: usize,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.buf.truncate(self.len);
    }
}

impl AsRef<[u8]> for PooledBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// The bytes written so far, as [`as_mut_slice`](PooledBuf::as_mut_slice) gives them: not for reading into.
impl AsMut<[u8]> for PooledBuf {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

/// Lawful, since a guard is compared, ordered and hashed as its bytes are: a map with guards as keys is searched with a
/// slice.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// use std::collections::HashMap;
///
/// let mut token = BufferPool::new(64, 1, 1)?.acquire()?;
/// token.extend_from_slice(b"4711")?;
/// let sessions = HashMap::from([(token, "Ada")]);
/// assert_eq!(sessions.get(&b"4711"[..]), Some(&"Ada"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Borrow<[u8]> for PooledBuf {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<'a> IntoIterator for &'a PooledBuf {
    type Item = &'a u8;
    type IntoIter = slice::Iter<'a, u8>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut PooledBuf {
    type Item = &'a mut u8;
    type IntoIter = slice::IterMut<'a, u8>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.as_mut_slice().iter_mut()
    }
}

/// Of the bytes written so far, whatever the capacity. Stops at the first difference, so not for secrets.
impl PartialEq for PooledBuf {
    #[inline]
    fn eq(&self, other: &PooledBuf) -> bool {
        **self == **other
    }
}

impl Eq for PooledBuf {}

impl PartialOrd for PooledBuf {
    #[inline]
    fn partial_cmp(&self, other: &PooledBuf) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PooledBuf {
    #[inline]
    fn cmp(&self, other: &PooledBuf) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for PooledBuf {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Equality with what `AsRef` makes bytes of, both ways.
macro_rules! equals {
    ($($other:ty $(, const $n:ident)?;)*) => {$(
        impl $(<const $n: usize>)? PartialEq<$other> for PooledBuf {
            #[inline]
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                **self == *other
            }
        }

        impl $(<const $n: usize>)? PartialEq<PooledBuf> for $other {
            #[inline]
            fn eq(&self, other: &PooledBuf) -> bool {
                other == self
            }
        }
    )*};
}

equals! {
    [u8];
    &[u8];
    [u8; N], const N;
    &[u8; N], const N;
    Vec<u8>;
    str;
    &str;
}

/// A copy of the bytes written so far; the buffer goes back to its pool. Costs an allocation.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(64, 1, 1)?;
/// let mut buf = pool.acquire()?;
/// buf.extend_from_slice(b"kept for long")?;
/// let kept = Vec::from(buf);
/// assert_eq!((&kept[..], pool.stats().in_use), (&b"kept for long"[..], 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl From<PooledBuf> for Vec<u8> {
    fn from(buf: PooledBuf) -> Vec<u8> {
        buf.to_vec()
    }
}

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
/// buf.push(7)?;
/// assert_eq!(buf, [1, 7]);
/// # Ok::<(), poolbuf::CapacityError>(())
/// ```
impl TryFrom<Vec<u8>> for PooledBuf {
    type Error = CapacityError;

    fn try_from(memory: Vec<u8>) -> Result<Self, CapacityError> {
        if memory.capacity() > BUFFER_SIZE_LIMIT {
            return Err(CapacityError::behind(
                memory.capacity(),
                BUFFER_SIZE_LIMIT,
                0,
                BUFFER_SIZE_LIMIT,
            ));
        }
        let mut memory = ManuallyDrop::new(memory);
        // Both at most `BUFFER_SIZE_LIMIT`, a `u32`.
        let (len, capacity) = (memory.len() as u32, memory.capacity() as u32);
        // SAFETY: a `Vec` never points to null.
        let start = unsafe { NonNull::new_unchecked(memory.as_mut_ptr()) };
        // SAFETY: the header is a static. The memory was the `Vec`'s, which is not dropped, and is the guard's alone;
        // that its bytes may not be initialised is said by `exposed`. The heap takes it back on any thread.
        let mut buf =
            unsafe { PooledBuf::from_parts(NonNull::from(&HEAP), start, capacity, 0, capacity) };
        // Initialised, since the `Vec` said so.
        (buf.len, buf.written) = (len, len);
        Ok(buf)
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
static HEAP: ReleaseHeader = ReleaseHeader {
    release: free,
    headroom: 0,
};

/// Frees the memory of a guard that is of no pool.
///
/// # Safety
///
/// The values are what `PooledBuf::try_from` made a guard from, and have not been released before.
unsafe fn free(
    _header: NonNull<ReleaseHeader>,
    data: NonNull<u8>,
    [room, head]: Place,
    _slot: u32,
    _exposed: u32,
) {
    // There is no headroom, so neither is negative.
    let (head, capacity) = (head as usize, head as usize + room as usize);
    // SAFETY: it was a `Vec` of that address and capacity, which this call alone takes back.
    drop(unsafe { Vec::from_raw_parts(data.sub(head).as_ptr(), 0, capacity) });
}

/// Length and capacity; never the bytes, which may be secret.
impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// Writes behind the bytes written so far what fits, as `&mut [u8]` does: `write` says how much that was, and 0 for a
/// full buffer. `write_all`, and so `write!` and [`io::copy`], writes what fits and then fails with a
/// [`CapacityError`], as an [`io::Error`] of the kind [`WriteZero`](io::ErrorKind::WriteZero), if that is not all. For
/// all or nothing there are [`extend_from_slice`](PooledBuf::extend_from_slice) and
/// [`try_append`](PooledBuf::try_append).
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// use std::io::Write;
///
/// let mut buf = BufferPool::new(8, 1, 1)?.acquire()?;
/// assert_eq!(buf.write(b"hello, world")?, 8);
/// assert_eq!(buf.write(b"more")?, 0);
/// assert_eq!(buf, b"hello, w");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Write for PooledBuf {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.put_some(bytes))
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let spare = self.spare_len();
        match self.put_some(bytes) {
            written if written == bytes.len() => Ok(()),
            _ => {
                let consumed = self.consumed();
                Err(CapacityError::behind(bytes.len(), spare, consumed, self.capacity()).into())
            }
        }
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds a piece of text whole, or fails: for `write!`, and what is written against `fmt::Write`. The pieces before the
/// one that does not fit stay; [`try_append`](PooledBuf::try_append) takes them back.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// use std::fmt::Write;
///
/// let mut buf = BufferPool::new(16, 1, 1)?.acquire()?;
/// write!(buf, "{} + {}", 1, 2)?;
/// assert_eq!(buf, "1 + 2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl fmt::Write for PooledBuf {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.extend_from_slice(text.as_bytes())
            .map_err(|_| fmt::Error)
    }
}
