//! Several guards, written and read as one buffer.

// In the order in which their methods stand on the chain's page.
mod content;

mod transfer;

mod fill;

pub(crate) mod into_buffers;
mod traits;

use std::collections::VecDeque;
use std::mem;

use crate::buf::guard::PooledBuf;
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

    /// Counts `bytes` more, which came into the buffers from the tail on.
    fn grew_at_once(&mut self, bytes: usize) {
        self.len += bytes;
        self.spare -= bytes;
        let has_bytes = |buf: &PooledBuf| !buf.is_empty();
        while self.bufs.get(self.tail + 1).is_some_and(has_bytes) {
            self.tail += 1;
        }
    }

    #[cold]
    fn no_room(&self, bytes: usize) -> CapacityError {
        CapacityError::behind(bytes, self.spare, 0, self.capacity())
    }
}
