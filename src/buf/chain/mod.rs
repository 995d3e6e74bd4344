//! Several guards, written and read as one buffer.
#![forbid(unsafe_code)]

pub(crate) mod into_buffers;
mod traits;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem;

use crate::base::units::Bytes;
use crate::buf::guard::PooledBuf;
use crate::buf::guard::trusted_read::TrustedRead;
use crate::buf::guard::vectored;
use crate::report::error::capacity::CapacityError;
use crate::report::error::split::SplitError;

/// Several buffers of a pool, written and read as one: for a message that is larger than any buffer
/// of the pool.
///
/// A pool of 16 KiB serves a message of 1 MiB by 64 of its buffers, from the same memory that
/// serves the small ones, instead of a tier of 1 MiB that is idle most of the time.
/// [`Pool::acquire_chain`](crate::Pool::acquire_chain) lends all of them at once or none.
///
/// The bytes lie in pieces: [`chunks`](PooledChain::chunks) are the pieces;
/// [`read_from`](PooledChain::read_from) and [`write_to`](PooledChain::write_to) give a system call
/// many of them at once; [`copy_to`](PooledChain::copy_to) and [`to_vec`](PooledChain::to_vec) copy
/// them together. It reads and writes by std's traits, and with the feature `bytes` by `Buf` and
/// `BufMut`.
///
/// What is read is consumed, and each buffer goes back to its pool as soon as all of it has been
/// read, without waiting for the rest.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(16 * 1024, 0, 100)?;
/// let mut message = pool.acquire_chain(1 << 20)?;
/// assert_eq!((message.buffers(), message.capacity()), (64, 1 << 20));
///
/// let mut socket: &[u8] = &vec![7; 100_000]; // or a `TcpStream`
/// while message.read_from(&mut socket)? > 0 {}
/// assert_eq!(message.len(), 100_000);
///
/// let mut answer = Vec::new(); // anything that implements `std::io::Write`
/// message.write_to(&mut answer)?;
/// assert_eq!(answer, vec![7; 100_000]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct PooledChain {
    /// The bytes are those of all of these, in this order. Each can hold some.
    bufs: VecDeque<PooledBuf>,
    /// Up to this buffer each has bytes, and none behind it has. 0 if there are no bytes at all.
    tail: usize,
    /// Bytes of all buffers together.
    len: usize,
    /// Bytes that can be added: the spare bytes of `tail`, and what those behind it hold.
    spare: usize,
    /// Bytes of the first buffer that are consumed here, but not yet there: not all of them, or
    /// none. So taking a number off the front changes this alone, which is several times
    /// faster than to consume it there.
    read: usize,
}

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
    /// [`CapacityError`] when they do not all fit; then nothing is written.
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
    /// [`CapacityError`] when they do not all fit; then nothing is written.
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

    /// Reads once from `reader`, behind the bytes written so far, into as many buffers at once as
    /// it can fill: the first 16 that have bytes to spare, at most. Returns how many bytes
    /// came; 0 means that the reader is at its end, since a full chain is an error instead. An
    /// interrupted read is tried again.
    ///
    /// For readers that write what they report and nothing else, as sockets, files, pipes and
    /// slices do: see [`TrustedRead`]. Any other goes into
    /// [`read_from_any`](PooledChain::read_from_any).
    ///
    /// *Cost.* What the read costs, whatever earlier holders left: see [`PooledBuf::read_from`].
    ///
    /// # Errors
    ///
    /// What the reader returns; a [`CapacityError`], as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), when nothing more fits. In each case nothing counts
    /// as written.
    pub fn read_from(&mut self, reader: &mut (impl TrustedRead + ?Sized)) -> io::Result<usize> {
        self.read_at_most(reader, usize::MAX)
    }

    /// As [`read_from`](PooledChain::read_from), but no more than `most` bytes: for a message whose
    /// last buffer has room for what comes behind it. (std's `take` would read into one buffer
    /// at a time.) 0 bytes come if `most` is 0, too.
    ///
    /// # Errors
    ///
    /// As for `read_from`.
    pub fn read_at_most(&mut self, reader: &mut (impl TrustedRead + ?Sized), most: usize) -> io::Result<usize> {
        if self.spare == 0 {
            return Err(self.no_room(1).into());
        }
        let bytes = vectored::read_from(self.bufs.range_mut(self.tail..), reader, most)?;
        self.len += bytes;
        self.spare -= bytes;
        let has_bytes = |buf: &PooledBuf| !buf.is_empty();
        while self.bufs.get(self.tail + 1).is_some_and(has_bytes) {
            self.tail += 1;
        }
        Ok(bytes)
    }

    /// As [`read_from`](PooledChain::read_from), from any reader. Reads into one buffer: the first
    /// that has bytes to spare.
    ///
    /// What earlier holders left there is zeroed first, and all of it counts as dirty: see
    /// [`PooledBuf::read_from_any`].
    ///
    /// # Errors
    ///
    /// As for `read_from`; and [`InvalidData`](io::ErrorKind::InvalidData) when the reader claims
    /// more bytes than it was given room for.
    pub fn read_from_any(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<usize> {
        let next = self.next();
        let Some(buf) = self.bufs.get_mut(next) else {
            return Err(self.no_room(1).into());
        };
        let bytes = buf.read_from_any(reader)?;
        self.grew(next, bytes);
        Ok(bytes)
    }

    /// Reads once from `file`, from byte `offset` on, behind the bytes written so far, into one buffer: the first that
    /// has bytes to spare. All else is as for [`PooledBuf::read_at`].
    ///
    /// # Errors
    ///
    /// As for that.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::fs::File;
    ///
    /// let manifest = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))?;
    /// let mut chain = BufferPool::new(4, 0, 2)?.acquire_chain(8)?;
    /// while chain.spare_len() > 0 {
    ///     let offset = 1 + chain.len() as u64;
    ///     assert!(chain.read_at(&manifest, offset)? > 0);
    /// }
    /// assert_eq!(chain, b"package]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_at(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        let next = self.next();
        let Some(buf) = self.bufs.get_mut(next) else {
            return Err(self.no_room(1).into());
        };
        let bytes = buf.read_at(file, offset)?;
        self.grew(next, bytes);
        Ok(bytes)
    }

    /// Writes all bytes to `writer`, many buffers at once, and consumes what was written. An
    /// interrupted write is tried again.
    ///
    /// # Errors
    ///
    /// What the writer returns; [`WriteZero`](io::ErrorKind::WriteZero) when it takes nothing more; and
    /// [`InvalidData`](io::ErrorKind::InvalidData) when it claims to have written more than it was given, of which then
    /// nothing counts as written. What was not written is left: on [`WouldBlock`](io::ErrorKind::WouldBlock), call
    /// it again when the socket is writable.
    pub fn write_to(&mut self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); vectored::AT_ONCE];
            let filled = self.io_slices(&mut slices);
            let given: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            match writer.write_vectored(&slices[..filled]) {
                Ok(0) => {
                    let message = format!("the writer takes no more; left are {}", Bytes(self.len()));
                    return Err(io::Error::new(io::ErrorKind::WriteZero, message));
                }
                Ok(written) if written > given => {
                    let message = format!(
                        "the writer claims to have written {}, but was given {given}",
                        Bytes(written)
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                Ok(written) => self.consume(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `slices` with the first pieces, for a `write_vectored` of your own, and returns how
    /// many there are; what that has written is then [consumed](PooledChain::consume).
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::{IoSlice, Write};
    ///
    /// let mut chain = BufferPool::new(8, 0, 2)?.acquire_chain(16)?;
    /// chain.extend_from_slice(b"hello, world")?;
    /// let mut socket = Vec::new();
    /// let mut slices = [IoSlice::new(&[]); 16];
    /// let filled = chain.io_slices(&mut slices);
    /// let written = socket.write_vectored(&slices[..filled])?;
    /// chain.consume(written);
    /// assert_eq!((&socket[..], chain.buffers()), (&b"hello, world"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.io_slices_at_most(usize::MAX, slices)
    }

    /// As [`io_slices`](PooledChain::io_slices), but of no more than the first `most` bytes: a frame at the front, or
    /// what a window of flow control lets through.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::{IoSlice, Write};
    ///
    /// let mut chain = BufferPool::new(8, 0, 2)?.acquire_chain(16)?;
    /// chain.extend_from_slice(b"hello, world")?;
    /// let mut socket = Vec::new();
    /// let mut slices = [IoSlice::new(&[]); 16];
    /// let filled = chain.io_slices_at_most(10, &mut slices);
    /// let written = socket.write_vectored(&slices[..filled])?;
    /// chain.consume(written);
    /// assert_eq!(socket, b"hello, wor");
    /// assert_eq!(chain, b"ld");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn io_slices_at_most<'a>(&'a self, most: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut filled, mut left) = (0, most);
        for (slice, chunk) in slices.iter_mut().zip(self.chunks()) {
            if left == 0 {
                break;
            }
            let chunk = &chunk[..chunk.len().min(left)];
            *slice = IoSlice::new(chunk);
            left -= chunk.len();
            filled += 1;
        }
        filled
    }

    /// How many buffers it has.
    #[must_use]
    pub fn buffers(&self) -> usize {
        self.bufs.len()
    }

    /// Adds a buffer: what it has been written comes behind all bytes so far, and what it has to
    /// spare can be written. What the buffer before it had to spare can't be written any more,
    /// if the new one is not empty.
    ///
    /// So a chain can grow while a message comes, and be made of buffers that were acquired one by
    /// one. (Don't wait for a buffer while you hold others: see [the
    /// guide](crate::guide::waiting).)
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool, PooledChain};
    ///
    /// let pool = BufferPool::new(8, 0, 3)?;
    /// let mut first = pool.acquire()?;
    /// first.extend_from_slice(b"hello")?;
    /// let mut chain = PooledChain::from(first);
    /// chain.push(pool.acquire()?);
    /// assert_eq!((chain.len(), chain.spare_len()), (5, 3 + 8));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn push(&mut self, buf: PooledBuf) {
        if buf.is_empty() {
            self.spare += buf.spare_len();
            // What can hold nothing would be in the way, and go back to no pool.
            if buf.capacity() > 0 {
                self.bufs.push_back(buf);
            }
            return;
        }
        self.len += buf.len();
        let tail_is_empty = self.bufs.get(self.tail).is_none_or(PooledBuf::is_empty);
        let spare = buf.spare_len();
        if tail_is_empty {
            // There are no bytes: those in front of all that are empty.
            self.spare += spare;
        } else {
            self.spare = self.spare - self.bufs[self.tail].spare_len() + spare;
            self.tail += 1;
        }
        self.bufs.insert(self.tail, buf);
    }

    /// Takes the first buffer out, with its bytes.
    pub fn pop_front(&mut self) -> Option<PooledBuf> {
        self.settle();
        let buf = self.bufs.pop_front()?;
        self.len -= buf.len();
        if self.tail == 0 {
            self.spare -= buf.spare_len();
        } else {
            self.tail -= 1;
        }
        Some(buf)
    }

    /// Splits the first `at` bytes off, and returns them as a chain of their own: a message at the front of a receive,
    /// for another thread. Nothing is copied. Whole buffers move; the one in which byte `at` lies is
    /// [split](PooledBuf::split_to), and goes back with the last of its two parts.
    ///
    /// The chain keeps what is behind these bytes, and all that it had to spare: so a buffer all of whose bytes are
    /// asked for is split too, if it is the one that is written to.
    ///
    /// *Cost.* An allocation of the list of the buffers that move; and what the split of a guard costs.
    ///
    /// # Errors
    ///
    /// [`SplitError`] when there are fewer bytes, or no memory; then nothing changes.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(8, 0, 2)?;
    /// let mut received = pool.acquire_chain(16)?;
    /// received.extend_from_slice(b"first frame|2nd ")?;
    /// let first = received.split_to(12)?;
    /// assert_eq!(first, b"first frame|");
    /// assert_eq!(received, b"2nd ");
    /// drop(first);
    /// // The second buffer is that of both.
    /// assert_eq!(pool.stats().in_use, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split_to(&mut self, at: usize) -> Result<PooledChain, SplitError> {
        let len = self.len();
        if at > len {
            return Err(SplitError::TooShort { at, len });
        }
        self.settle();
        // Buffers that move, and bytes of the one behind them that do.
        let (mut whole, mut left) = (0, at);
        while let (1.., Some(buf)) = (left, self.bufs.get(whole)) {
            let is_written_to = whole == self.tail && buf.spare_len() > 0;
            if left < buf.len() || is_written_to {
                break;
            }
            left -= buf.len();
            whole += 1;
        }
        let part = match self.bufs.get_mut(whole) {
            Some(buf) if left > 0 => Some(buf.split_to(left)?),
            _ => None,
        };
        let first = self.bufs.drain(..whole).chain(part).collect();
        // One behind the tail if that had nothing to spare, and moved.
        self.tail = self.tail.saturating_sub(whole);
        self.len -= at;
        Ok(first)
    }

    /// Keeps the first `buffers` buffers, and returns a chain of all others; an empty one when
    /// there are no more. Nothing is copied. At a byte, there is [`split_to`](PooledChain::split_to).
    #[must_use = "what is split off goes back to the pool when it is dropped"]
    pub fn split_off_buffers(&mut self, buffers: usize) -> PooledChain {
        self.settle();
        let rest = self.bufs.split_off(buffers.min(self.bufs.len()));
        let rest: PooledChain = rest.into_iter().collect();
        *self = mem::take(&mut self.bufs).into_iter().collect();
        rest
    }

    /// Takes the first buffer out if it has so many bytes, half of its capacity or more, and is not the one that is
    /// written to.
    #[cfg(feature = "bytes")]
    pub(crate) fn take_first_of(&mut self, len: usize) -> Option<PooledBuf> {
        let front = self.bufs.front()?;
        let fits = self.tail > 0 && len == self.first_chunk().len() && len >= front.capacity().div_ceil(2);
        if fits { self.pop_front() } else { None }
    }

    /// The first piece; empty if there is none.
    #[inline]
    pub(crate) fn first_chunk(&self) -> &[u8] {
        // If there are bytes, the first buffer has some.
        self.bufs.front().map_or(&[], |front| &front[self.read..])
    }

    /// Copies as many of `bytes` as fit behind those written so far, and returns how many that
    /// were.
    pub(crate) fn put_some(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            let next = self.next();
            let Some(buf) = self.buf_mut(next) else {
                break;
            };
            let more = buf.put_some(&bytes[written..]);
            self.grew(next, more);
            written += more;
        }
        written
    }

    /// Consumes all of the first buffer's bytes, and perhaps more.
    fn consume_buffers(&mut self, bytes: usize) {
        self.settle();
        let mut left = bytes.min(self.len);
        self.len -= left;
        // Buffers all of whose bytes are consumed, but for the tail.
        let mut done = 0;
        while done < self.tail && self.bufs[done].len() <= left {
            left -= self.bufs[done].len();
            done += 1;
        }
        self.tail -= done;
        if let (1.., Some(front)) = (left, self.bufs.get_mut(done)) {
            let before = front.spare_len();
            front.consume(left);
            // Another number only if it is empty now, and so the tail.
            self.spare = self.spare + front.spare_len() - before;
        }
        // Last, since what takes them back may panic: `Recycle::recycle`.
        match done {
            // The most frequent, for which `drain` is slow.
            1 => drop(self.bufs.pop_front()),
            _ => drop(self.bufs.drain(..done)),
        }
    }

    /// Consumes in the first buffer what is consumed here: before anything is done to that buffer
    /// but adding to it.
    #[inline]
    fn settle(&mut self) {
        let read = mem::take(&mut self.read);
        if let (1.., Some(front)) = (read, self.bufs.front_mut()) {
            // Not all of it, so it has as many bytes to spare as before.
            front.consume(read);
            self.len -= read;
        }
    }

    /// Which buffer is written to next: none if there are not so many.
    pub(crate) fn next(&self) -> usize {
        // Those behind the tail are empty, and each holds something.
        let full = self.bufs.get(self.tail).is_some_and(|tail| tail.spare_len() == 0);
        self.tail + usize::from(full)
    }

    /// A buffer, for adding to the one that is the [`next`](PooledChain::next), which then is told
    /// to `grew`.
    pub(crate) fn buf_mut(&mut self, number: usize) -> Option<&mut PooledBuf> {
        self.bufs.get_mut(number)
    }

    /// The buffer that was the next has `bytes` bytes more.
    pub(crate) fn grew(&mut self, next: usize, bytes: usize) {
        if bytes > 0 {
            self.tail = next;
            self.len += bytes;
            self.spare -= bytes;
        }
    }

    #[cold]
    fn no_room(&self, bytes: usize) -> CapacityError {
        CapacityError::behind(bytes, self.spare, 0, self.capacity())
    }
}
