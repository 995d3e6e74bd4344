//! Writing behind what is there: what is built on `extend_from_slice`.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Write};

use crate::buf::guard::PooledBuf;
use crate::report::error::CapacityError;

impl PooledBuf {
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
    pub fn try_append<T, E>(&mut self, append: impl FnOnce(&mut PooledBuf) -> Result<T, E>) -> Result<T, E> {
        let mut attempt = Attempt {
            len: self.len(),
            buf: self,
        };
        let done = append(attempt.buf)?;
        // What it wrote stays.
        attempt.len = attempt.buf.len();
        Ok(done)
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
        self.extend_from_slice(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
