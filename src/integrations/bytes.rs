//! The buffer traits of the crate bytes, and guards as `Bytes`.

use std::io::IoSlice;

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::buf::chain::PooledChain;
use crate::buf::guard::PooledBuf;

impl PooledBuf {
    /// With the feature `bytes`: the bytes written so far as [`Bytes`], without a copy. The buffer goes back to its
    /// pool when the last clone and the last slice of them is dropped, on whatever thread. Costs one allocation of
    /// some ten bytes, and what `Bytes` does: an atomic count for each clone.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(1024, 1, 16)?;
    /// let mut page = pool.acquire()?;
    /// page.extend_from_slice(b"<h1>hello</h1>")?;
    ///
    /// let body = page.freeze();
    /// let title = body.slice(4..9);
    /// drop(body);
    /// assert_eq!((&title[..], pool.stats().in_use), (&b"hello"[..], 1));
    /// drop(title);
    /// assert_eq!(pool.stats().in_use, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn freeze(self) -> Bytes {
        if self.is_empty() {
            // Or else an empty `Bytes` would keep a whole buffer.
            return Bytes::new();
        }
        Bytes::from_owner(self)
    }
}

impl PooledBuf {
    /// Panics unless `count` bytes fit behind those written so far, as the trait has it.
    #[inline]
    fn assert_room(&self, count: usize) {
        assert!(
            count <= self.spare_len(),
            "{count} bytes do not fit: {} of the buffer's {} are free",
            self.spare_len(),
            self.capacity()
        );
    }
}

/// With the feature `bytes`; see [`PooledBuf::freeze`].
impl From<PooledBuf> for Bytes {
    fn from(buf: PooledBuf) -> Bytes {
        buf.freeze()
    }
}

/// With the feature `bytes`: writes behind the bytes written so far, and never reallocates.
///
/// `put_slice` and the like panic when there is no room, as the trait has it;
/// [`extend_from_slice`](PooledBuf::extend_from_slice) returns an error instead.
///
/// With it a guard goes into `tokio::io::AsyncReadExt::read_buf` and `tokio::net::TcpStream::try_read_buf`. Into a full
/// guard these read 0 bytes, which looks like the end: call [`compact`](PooledBuf::compact) if some of it was consumed,
/// and ask [`spare_len`](PooledBuf::spare_len) first.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
/// use tokio::io::AsyncReadExt;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let pool = BufferPool::new(1024, 1, 16)?;
/// let mut socket: &[u8] = b"hello";
/// let mut buf = pool.acquire()?;
/// socket.read_buf(&mut buf).await?;
/// assert_eq!(&buf[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// *Cost.* What was received, whatever the capacity: `chunk_mut` gives out the spare bytes as they are, and zeroes
/// nothing. All of them are wiped when the guard is dropped, until `advance_mut` says how many were written: then so
/// many. (`Wipe::Secure` wipes all.) So a guard that is dropped after a receive that failed is wiped to its end.
///
/// Safe code can write into `chunk_mut` and *not* report it, as a reader does that uses the buffer as scratch space;
/// and so does a datagram socket, see [`TrustedRecv`](crate::TrustedRecv). No later holder is shown that: whatever is
/// reported, all bytes that `chunk_mut` gave out count as [dirty](crate::Wipe), and who asks for
/// [`spare_mut`](PooledBuf::spare_mut) next has them zeroed first. (So in a pool whose buffers are used in both ways,
/// `spare_mut` costs its length, and not what was received; [`spare_mut_for`](PooledBuf::spare_mut_for) costs what is
/// asked for.) But they stay in memory until then. Where that matters, use `Wipe::Secure`.
// SAFETY: `chunk_mut` is what of the guard's own memory is not yet written, and `remaining_mut` its length.
unsafe impl BufMut for PooledBuf {
    #[inline]
    fn remaining_mut(&self) -> usize {
        self.spare_len()
    }

    /// # Panics
    ///
    /// If there are fewer bytes than that, as the trait has it.
    #[inline]
    unsafe fn advance_mut(&mut self, count: usize) {
        self.assert_room(count);
        // SAFETY: within the buffer; our caller has written these bytes, as the trait asks. If it has written others,
        // they are hidden from later holders by `chunk_mut`.
        unsafe { self.set_len(self.len() + count) };
    }

    #[inline]
    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.hide();
        // SAFETY: nothing but bytes can be written through an `UninitSlice` but by unsafe code, which is told so.
        UninitSlice::uninit(unsafe { self.spare_capacity_mut() })
    }

    // These hand nothing out, and so report nothing of what was handed out before.

    fn put<B: Buf>(&mut self, mut bytes: B) {
        self.assert_room(bytes.remaining());
        while bytes.has_remaining() {
            let chunk = bytes.chunk();
            let len = chunk.len();
            self.put_slice(chunk);
            bytes.advance(len);
        }
    }

    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.assert_room(bytes.len());
        // There is room.
        let _ = self.extend_from_slice(bytes);
    }

    fn put_bytes(&mut self, value: u8, count: usize) {
        self.assert_room(count);
        // There is room.
        let _ = self.resize(self.len() + count, value);
    }
}

/// With the feature `bytes`: reads the bytes written so far, and takes away what was read.
///
/// Taking away costs a few instructions, however long the rest is, as [`consume`](PooledBuf::consume) does: the rest
/// stays where it is. `frame.advance(n)` does the same; it panics where there are fewer bytes, and `consume` takes what
/// there is.
///
/// ```
/// use bytes::Buf;
/// use poolbuf::{BufferPool, Pool};
///
/// let mut frame = BufferPool::new(64, 1, 1)?.acquire()?;
/// frame.extend_from_slice(b"\0\x05hello, and the next")?;
/// let length = usize::from(frame.get_u16());
/// assert_eq!(&frame[..length], b"hello");
/// frame.advance(length);
/// assert_eq!(frame, b", and the next");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Buf for PooledBuf {
    #[inline]
    fn remaining(&self) -> usize {
        self.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self
    }

    /// # Panics
    ///
    /// If there are fewer bytes than that, as the trait has it.
    #[inline]
    fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes are not there: {} are", self.len());
        self.consume(count);
    }
}

impl PooledChain {
    /// With the feature `bytes`: its pieces as [`Bytes`], one for each buffer that has any, without a copy. See
    /// [`PooledBuf::freeze`]: each buffer goes back when the last clone of its piece is dropped. So one message goes to
    /// many receivers, each of which has clones of the pieces.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(8, 0, 2)?;
    /// let mut message = pool.acquire_chain(12)?;
    /// message.extend_from_slice(b"hello, world")?;
    /// let pieces = message.freeze();
    /// let subscribers = vec![pieces.clone(); 3];
    /// drop(pieces);
    /// assert_eq!(subscribers[2][1], &b"orld"[..]);
    /// drop(subscribers);
    /// assert_eq!(pool.stats().in_use, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn freeze(self) -> Vec<Bytes> {
        let with_bytes = self.into_iter().filter(|buf| !buf.is_empty());
        with_bytes.map(PooledBuf::freeze).collect()
    }

    /// Panics unless `count` bytes fit behind those written so far, as the trait has it.
    #[inline]
    fn assert_room(&self, count: usize) {
        assert!(
            count <= self.spare_len(),
            "{count} bytes do not fit: {} of the chain's {} are free",
            self.spare_len(),
            self.capacity()
        );
    }
}

/// With the feature `bytes`: reads the bytes written so far, and takes away what was read; a buffer goes back as soon
/// as all of it was. `chunks_vectored` fills as many slices as it is given.
///
/// `copy_to_bytes` of exactly the first piece copies nothing, where that fills half of its buffer or more and is not
/// the one that is written to: the buffer goes back with the last clone, as after [`freeze`](PooledBuf::freeze). All
/// else is copied, so that a few bytes keep no buffer.
///
/// ```
/// use bytes::Buf;
/// use poolbuf::{BufferPool, Pool};
///
/// let mut chain = BufferPool::new(3, 0, 4)?.acquire_chain(12)?;
/// chain.extend_from_slice(b"\0\0\0\x05hello")?;
/// // Whatever lies across two buffers is put together.
/// let length = chain.get_u32() as usize;
/// assert_eq!((length, chain.remaining()), (5, 5));
/// assert_eq!(chain.copy_to_bytes(length), &b"hello"[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Buf for PooledChain {
    #[inline]
    fn remaining(&self) -> usize {
        self.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.first_chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.io_slices(slices)
    }

    /// # Panics
    ///
    /// If there are fewer bytes than that, as the trait has it.
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        assert!(len <= self.len(), "{len} bytes are not there: {} are", self.len());
        if let Some(first) = self.take_first_of(len) {
            return first.freeze();
        }
        let mut copy = BytesMut::with_capacity(len);
        copy.put(self.take(len));
        copy.freeze()
    }

    /// # Panics
    ///
    /// If there are fewer bytes than that, as the trait has it.
    #[inline]
    fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes are not there: {} are", self.len());
        self.consume(count);
    }
}

/// With the feature `bytes`: writes behind the bytes written so far, from buffer to buffer, as far as there is room.
// SAFETY: `chunk_mut` is what of the next buffer's own memory is not yet written; `remaining_mut` counts what all have.
unsafe impl BufMut for PooledChain {
    #[inline]
    fn remaining_mut(&self) -> usize {
        self.spare_len()
    }

    /// # Panics
    ///
    /// If there are fewer bytes than that, as the trait has it.
    unsafe fn advance_mut(&mut self, count: usize) {
        self.assert_room(count);
        let mut left = count;
        while left > 0 {
            let next = self.next();
            let Some(buf) = self.buf_mut(next) else { break };
            let here = left.min(buf.spare_len());
            // SAFETY: our caller has written the next `count` bytes, and so the next `here` of this buffer.
            unsafe { buf.advance_mut(here) };
            self.grew(next, here);
            left -= here;
        }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        let next = self.next();
        match self.buf_mut(next) {
            Some(buf) => buf.chunk_mut(),
            None => UninitSlice::new(&mut []),
        }
    }

    // As in the guard, these hand nothing out.

    fn put<B: Buf>(&mut self, mut bytes: B) {
        self.assert_room(bytes.remaining());
        while bytes.has_remaining() {
            let written = self.put_some(bytes.chunk());
            bytes.advance(written);
        }
    }

    fn put_slice(&mut self, bytes: &[u8]) {
        self.assert_room(bytes.len());
        // There is room.
        self.put_some(bytes);
    }

    fn put_bytes(&mut self, value: u8, count: usize) {
        self.assert_room(count);
        let values = [value; 256];
        let mut left = count;
        while left > 0 {
            left -= self.put_some(&values[..left.min(values.len())]);
        }
    }
}
