//! What a chain is beside its methods: made of guards and taken apart, read from and written to, compared and shown.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Write};
use std::iter;

use crate::buf::chain::PooledChain;
use crate::buf::chain::into_buffers::IntoBuffers;
use crate::buf::equality::equal_to_bytes;
use crate::buf::guard::PooledBuf;

/// A chain of one.
impl From<PooledBuf> for PooledChain {
    fn from(buf: PooledBuf) -> PooledChain {
        let mut chain = PooledChain::default();
        chain.push(buf);
        chain
    }
}

/// As [`push`](PooledChain::push) for each.
impl FromIterator<PooledBuf> for PooledChain {
    fn from_iter<I: IntoIterator<Item = PooledBuf>>(bufs: I) -> PooledChain {
        let mut chain = PooledChain::default();
        chain.extend(bufs);
        chain
    }
}

/// As [`push`](PooledChain::push) for each.
impl Extend<PooledBuf> for PooledChain {
    fn extend<I: IntoIterator<Item = PooledBuf>>(&mut self, bufs: I) {
        let bufs = bufs.into_iter();
        self.bufs.reserve(bufs.size_hint().0);
        bufs.for_each(|buf| self.push(buf));
    }
}

/// Its buffers, from the first to the last.
impl IntoIterator for PooledChain {
    type Item = PooledBuf;
    type IntoIter = IntoBuffers;

    fn into_iter(mut self) -> IntoBuffers {
        self.settle();
        IntoBuffers(self.bufs.into_iter())
    }
}

/// Copies the bytes out, and consumes them.
impl Read for PooledChain {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let copied = self.copy_to(target);
        PooledChain::consume(self, copied);
        Ok(copied)
    }

    /// Fills all slices, as far as there are bytes.
    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let filled = slices.iter_mut().map(|slice| self.read(slice));
        filled.sum()
    }
}

/// Its pieces, one after the other.
impl BufRead for PooledChain {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.first_chunk())
    }

    fn consume(&mut self, bytes: usize) {
        PooledChain::consume(self, bytes);
    }
}

/// Writes behind the bytes written so far what fits, as the [guard](PooledBuf) does: `write` says
/// how much that was, and 0 for a full chain. `write_all`, and so `write!` and [`io::copy`], writes
/// what fits and then fails with a [`CapacityError`](crate::CapacityError), as an [`io::Error`] of the kind
/// [`WriteZero`](io::ErrorKind::WriteZero), if that is not all. For all or nothing there is
/// [`extend_from_slice`](PooledChain::extend_from_slice).
impl Write for PooledChain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.put_some(bytes))
    }

    /// Takes all slices, as far as they fit.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| self.put_some(slice)).sum())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let whole = self.extend_from_slice(bytes);
        if whole.is_err() {
            self.put_some(bytes);
        }
        Ok(whole?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Of the bytes, however each is cut into pieces. Nothing is copied.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let mut request = BufferPool::new(3, 0, 4)?.acquire_chain(12)?;
/// let mut echo = BufferPool::new(8, 0, 2)?.acquire_chain(12)?;
/// request.extend_from_slice(b"hello, world")?;
/// echo.extend_from_slice(b"hello, world")?;
/// assert_eq!(request, echo);
/// assert_eq!(request, b"hello, world".to_vec());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl PartialEq for PooledChain {
    fn eq(&self, other: &PooledChain) -> bool {
        self.len() == other.len() && self.begins_with(other.chunks())
    }
}

impl Eq for PooledChain {}

impl PooledChain {
    /// Whether its first bytes are those of `pieces`, which have no more than it has.
    fn begins_with<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut own = self.chunks();
        let mut rest: &[u8] = &[];
        for mut piece in pieces {
            while !piece.is_empty() {
                if rest.is_empty() {
                    let Some(next) = own.next() else { return false };
                    rest = next;
                }
                let both = piece.len().min(rest.len());
                let (here, behind) = piece.split_at(both);
                if here != &rest[..both] {
                    return false;
                }
                (piece, rest) = (behind, &rest[both..]);
            }
        }
        true
    }
}

equal_to_bytes!(PooledChain, |own, bytes| own.len() == bytes.len()
    && own.begins_with(iter::once(bytes)));

/// The numbers; never the bytes, which may be secret.
impl fmt::Debug for PooledChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledChain")
            .field("len", &self.len())
            .field("buffers", &self.bufs.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
