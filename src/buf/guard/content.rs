//! What a guard holds: how much, and how that is added to, cut off and taken away.

use std::ptr::NonNull;
use std::slice;

use crate::buf::guard::header::ReleaseHeader;
use crate::buf::guard::{NO_SLOT, PooledBuf};
use crate::free_list::Slot;
use crate::report::error::capacity::CapacityError;

impl PooledBuf {
    /// Bytes written so far.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len() as usize
    }

    /// Whether nothing has been written, or all of it was cleared.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the buffer holds in all: at least what was asked for. It is [`len`](PooledBuf::len), and
    /// [`spare_len`](PooledBuf::spare_len), and what was [consumed](PooledBuf::consume) before the data, together.
    ///
    /// The [headroom](crate::PoolConfig::headroom) does not count, but for what was [prepended](PooledBuf::prepend)
    /// into it, as long as the data begin there. Without headroom it never changes, but by
    /// [splitting](PooledBuf::split_to): that of a part is what the part can hold.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool, PoolConfig};
    ///
    /// let pool = BufferPool::with_config(PoolConfig::new(16).max(1).headroom(4))?;
    /// let mut buf = pool.acquire()?;
    /// assert_eq!((buf.len(), buf.spare_len(), buf.capacity()), (0, 16, 16));
    /// buf.prepend(b"head")?;
    /// assert_eq!((buf.len(), buf.spare_len(), buf.capacity()), (4, 16, 20));
    /// buf.clear();
    /// assert_eq!((buf.len(), buf.spare_len(), buf.capacity()), (0, 16, 16));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.place.capacity() as usize
    }

    /// Bytes that can still be added behind those written so far: `capacity()`, less the data, and less what was
    /// [consumed](PooledBuf::consume) before them, which [`compact`](PooledBuf::compact) gives back. What was
    /// [prepended](PooledBuf::prepend) into the headroom takes none of them.
    #[inline]
    #[must_use]
    pub fn spare_len(&self) -> usize {
        (self.room() - self.lengths.len()) as usize
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
            self.data()
                .add(self.len())
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        self.grow_to(end);
        Ok(())
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
        unsafe { slice::from_raw_parts_mut(self.data().as_ptr(), self.len()) }
    }

    /// Keeps the first `len` bytes; nothing changes when there are no more than that. 0 is
    /// [`clear`](PooledBuf::clear).
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len == 0 {
            self.clear();
        } else if len < self.len() {
            // Below a `u32`, so it fits one.
            self.shorten_to(len as u32);
        }
    }

    /// Counts no byte as written any more: all of the capacity is to spare again, and all of the headroom free. The
    /// bytes are not wiped before the guard is dropped.
    #[inline]
    pub fn clear(&mut self) {
        self.shorten_to(0);
        self.rewind();
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
        unsafe { self.data().add(self.len()).write_bytes(value, more) };
        self.grow_to(end);
        Ok(())
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
        // Below `len`, a `u32`.
        let less = bytes as u32;
        let head = self.place.head().wrapping_add(less);
        // SAFETY: below `len`, so the guard's own.
        unsafe { self.begin_at(self.data().add(bytes), head, self.lengths.len() - less) };
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
        let consumed = self.place.consumed() as usize;
        if consumed > 0 {
            // SAFETY: so many bytes before the data are the guard's own, and so are the data.
            unsafe { self.data().copy_to(self.data().sub(consumed), self.len()) };
            self.rewind();
        }
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
    /// assert_eq!(error.to_string(), "1 byte does not fit in front: there is room for 0");
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
            let data = self.data().sub(bytes.len());
            data.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            // No more than the guard's bytes in all, which a `u32` counts.
            let more = bytes.len() as u32;
            let head = self.place.head().wrapping_sub(more);
            self.begin_at(data, head, self.lengths.len() + more);
        }
        Ok(())
    }

    /// Bytes that can be [prepended](PooledBuf::prepend): the pool's [headroom](crate::PoolConfig::headroom), less what
    /// was prepended, and with what was [consumed](PooledBuf::consume).
    #[inline]
    #[must_use]
    pub fn headroom(&self) -> usize {
        // SAFETY: `from_parts` was promised that the lender lives until the release.
        let before = unsafe { self.header.as_ref() }.headroom;
        before.wrapping_add(self.place.head()) as usize
    }

    /// Whether requests wait that this buffer could serve if it came back: for a buffer of its pool (on a
    /// [`MultiSizePool`](crate::MultiSizePool), of its tier), or for bytes of a budget that it is charged to. Never for
    /// memory that is of no pool and no budget.
    ///
    /// For who holds a buffer for a client that does not read: while nobody waits, it may as well keep it; when
    /// somebody does, it copies the rest to the [heap](crate::Heap) and lets go. It may be out of date when it returns.
    /// Costs a load or two, and a lock where requests do wait.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Heap, Pool, PooledBuf};
    ///
    /// let pool = BufferPool::new(1024, 0, 1)?;
    /// let mut answer = pool.acquire()?;
    /// answer.extend_from_slice(b"what is not read")?;
    /// assert!(!answer.is_wanted());
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let waiting = pool.clone();
    /// let other = tokio::spawn(async move { waiting.acquire_async(1024).await.map(drop) });
    /// tokio::task::yield_now().await;
    /// assert!(answer.is_wanted());
    /// let mut rest = Heap.acquire_for(answer.len())?;
    /// rest.extend_from_slice(&answer)?;
    /// answer = rest; // the pool's buffer goes back
    /// other.await??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// assert_eq!((&answer[..], answer.is_wanted()), (&b"what is not read"[..], false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        // SAFETY: `from_parts` was promised that the lender lives until the release, which has not been.
        unsafe { ReleaseHeader::is_wanted(self.header) }
    }

    /// Which of its pool's buffers it is, from 0 on: see [`MemoryRegion`](crate::MemoryRegion). `None` for memory that
    /// was lent by a [`Recycler`](crate::Recycler), or is of no pool.
    #[inline]
    #[must_use]
    pub fn slot(&self) -> Option<usize> {
        let index = Slot::from_word(self.slot).index();
        (index != NO_SLOT).then_some(index as usize)
    }
}
