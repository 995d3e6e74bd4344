//! Writing behind what is there: what is built on `extend_from_slice`.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, IoSlice, Write};

use crate::buf::guard::PooledBuf;

impl PooledBuf {
    /// Copies as many of `bytes` as fit behind those written so far, and returns how many that were.
    #[inline]
    pub(crate) fn put_some(&mut self, bytes: &[u8]) -> usize {
        let fits = bytes.len().min(self.spare_len());
        // As many as fit.
        let _ = self.extend_from_slice(&bytes[..fits]);
        fits
    }
}

/// Writes behind the bytes written so far what fits, as `&mut [u8]` does: `write` says how much that was, and 0 for a
/// full buffer. `write_all`, and so `write!` and [`io::copy`], writes what fits and then fails with a
/// [`CapacityError`](crate::CapacityError), as an [`io::Error`] of the kind [`WriteZero`](io::ErrorKind::WriteZero), if
/// that is not all. For all or nothing there is [`extend_from_slice`](PooledBuf::extend_from_slice), and what was
/// written in several steps is taken back with [`truncate`](PooledBuf::truncate).
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

    /// Takes all slices, as far as they fit.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| self.put_some(slice)).sum())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let whole = self.extend_from_slice(bytes);
        if whole.is_err() {
            self.put_some(bytes);
        }
        Ok(whole?)
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds a piece of text whole, or fails: for `write!`, and what is written against `fmt::Write`. The pieces before the
/// one that does not fit stay; [`truncate`](PooledBuf::truncate) takes them back.
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
        self.extend_from_slice(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
