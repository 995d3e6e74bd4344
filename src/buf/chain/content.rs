//! What a chain holds: how much, and how that is added to, read, cut off and taken away.
#![forbid(unsafe_code)]

use std::mem;

use crate::buf::chain::PooledChain;
use crate::buf::guard::PooledBuf;
use crate::report::error::capacity::CapacityError;

impl PooledChain {
    /// Bytes written so far.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len - self.read
    }

    /// Whether nothing has been written, or all of it was consumed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that its buffers hold in all, each its [`capacity`](PooledBuf::capacity): at least what was asked for, and
    /// less once some have gone back. Never less than `len()` and `spare_len()` together; more, where some were
    /// consumed, or can't be written since a later buffer has bytes. Looks at each of them.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let mut read = self.read;
        let whole = self.bufs.iter().map(|buf| buf.capacity_after(mem::take(&mut read)));
        whole.sum()
    }

    /// Bytes that can still be added.
    #[inline]
    #[must_use]
    pub fn spare_len(&self) -> usize {
        self.spare
    }

    /// Copies `bytes` behind those written so far.
    ///
    /// # Errors
    ///
    /// [`CapacityError`](crate::CapacityError) when they do not all fit; then nothing is written.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), CapacityError> {
        if bytes.len() > self.spare {
            return Err(self.no_room(bytes.len()));
        }
        self.put_some(bytes);
        Ok(())
    }

    /// Copies `bytes` before those written so far, into the room that the first buffer has in front: what the pool
    /// [keeps before each buffer](crate::PoolConfig::headroom), and what was consumed of it. All else stays where it
    /// is. See [`PooledBuf::prepend`].
    ///
    /// # Errors
    ///
    /// [`CapacityError`](crate::CapacityError) when they do not all fit; then nothing is written.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool, PoolConfig};
    ///
    /// let pool = BufferPool::with_config(PoolConfig::new(8).max(2).headroom(4))?;
    /// let mut frame = pool.acquire_chain(12)?;
    /// frame.extend_from_slice(b"hello, world")?;
    /// let length = frame.len() as u32;
    /// frame.prepend(&length.to_be_bytes())?;
    /// assert_eq!(frame, b"\0\0\0\x0chello, world");
    /// assert!(frame.prepend(b"!").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prepend(&mut self, bytes: &[u8]) -> Result<(), CapacityError> {
        self.settle();
        match self.bufs.front_mut() {
            // As much as before is to spare behind them.
            Some(front) => front.prepend(bytes)?,
            None if bytes.is_empty() => {}
            None => return Err(CapacityError::in_front(bytes.len(), 0, 0)),
        }
        self.len += bytes.len();
        Ok(())
    }

    /// The bytes written so far, in pieces: none is empty.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut chain = BufferPool::new(8, 0, 2)?.acquire_chain(16)?;
    /// chain.extend_from_slice(b"hello, world")?;
    /// let chunks: Vec<_> = chain.chunks().collect();
    /// assert_eq!(chunks, [b"hello, w", &b"orld"[..]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        // None behind the tail has any, and the tail has none if there are none at all.
        let behind = if self.is_empty() { 0..0 } else { 1..self.tail + 1 };
        let behind = self.bufs.range(behind).map(|buf| &**buf);
        let first = (!self.is_empty()).then(|| self.first_chunk());
        first.into_iter().chain(behind)
    }

    /// The [`chunks`](PooledChain::chunks), for change: to unmask or decrypt what was received.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut chain = BufferPool::new(3, 0, 2)?.acquire_chain(6)?;
    /// chain.extend_from_slice(b"HELLO")?;
    /// chain.chunks_mut().flatten().for_each(|byte| *byte ^= 0x20);
    /// assert_eq!(chain, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn chunks_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.settle();
        let with_bytes = if self.is_empty() { 0..0 } else { 0..self.tail + 1 };
        self.bufs.range_mut(with_bytes).map(PooledBuf::as_mut_slice)
    }

    /// All bytes in a vector, for what needs them in one piece. Costs an allocation and a copy.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.chunks().for_each(|chunk| all.extend_from_slice(chunk));
        all
    }

    /// Copies as many of the first bytes as `target` takes, without consuming them, and returns how
    /// many that were: a header that may lie across two buffers.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let mut chain = BufferPool::new(3, 0, 4)?.acquire_chain(12)?;
    /// chain.extend_from_slice(&[0, 0, 0, 5, b'h', b'e', b'l', b'l', b'o'])?;
    /// let mut length = [0; 4];
    /// assert_eq!(chain.copy_to(&mut length), 4);
    /// assert_eq!(u32::from_be_bytes(length), 5);
    /// chain.consume(4);
    /// assert_eq!(chain, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_to(&self, target: &mut [u8]) -> usize {
        let mut copied = 0;
        for chunk in self.chunks() {
            let left = &mut target[copied..];
            let here = chunk.len().min(left.len());
            left[..here].copy_from_slice(&chunk[..here]);
            copied += here;
        }
        copied
    }

    /// Removes the first `bytes` bytes, or all when there are no more. Nothing is copied. A buffer
    /// all of whose bytes are removed goes back to its pool, unless it is the one that is
    /// written to.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        // The most frequent: some bytes of the first buffer.
        if bytes < self.first_chunk().len() {
            self.read += bytes;
        } else {
            self.consume_buffers(bytes);
        }
    }

    /// Keeps the first `len` bytes; nothing changes when there are no more than that. The buffers
    /// stay.
    pub fn truncate(&mut self, len: usize) {
        self.settle();
        while self.len > len {
            let Some(buf) = self.bufs.get_mut(self.tail) else {
                break;
            };
            let less = buf.len().min(self.len - len);
            let before = buf.spare_len();
            buf.truncate(buf.len() - less);
            // Not always more: an empty one no longer begins in its headroom.
            self.spare = self.spare + buf.spare_len() - before;
            self.len -= less;
            if buf.is_empty() && self.tail > 0 {
                self.tail -= 1;
                self.spare += self.bufs[self.tail].spare_len();
            }
        }
    }

    /// Counts no byte as written any more. The buffers stay.
    pub fn clear(&mut self) {
        self.truncate(0);
    }
}
