//! The buffer traits of compio-buf 0.8 (compio 0.19).

use std::mem::MaybeUninit;

use compio_buf_08::{IoBuf, IoBufMut, ReserveError, SetLen};

use crate::buf::guard::PooledBuf;

/// With the feature `compio-buf-08`: what a write sends are the bytes written so far.
impl IoBuf for PooledBuf {
    #[inline]
    fn as_init(&self) -> &[u8] {
        self
    }
}

impl SetLen for PooledBuf {
    #[inline]
    unsafe fn set_len(&mut self, len: usize) {
        if len > self.len() {
            // SAFETY: the trait asks the same of its caller, but for what was written behind: see `IoBufMut`, below.
            unsafe { PooledBuf::set_len(self, len) };
        } else {
            // Says nothing of what was written. It comes by the safe `clear`, too.
            self.shorten(len);
        }
    }

    /// What a driver calls when a read has written `len` bytes from the first byte of the data on: where nothing came,
    /// or no more than was there, too.
    #[inline]
    unsafe fn advance_to(&mut self, len: usize) {
        // SAFETY: as above.
        unsafe { PooledBuf::set_len(self, len.max(self.len())) };
    }
}

/// With the feature `compio-buf-08`: a guard goes into a completion-based read by value and comes back with
/// the result.
///
/// ```
/// use compio::{BufResult, io::AsyncReadExt};
/// use poolbuf::{BufferPool, Pool};
///
/// # compio::runtime::Runtime::new()?.block_on(async {
/// let pool = BufferPool::new(1024, 1, 16)?;
/// let mut socket: &[u8] = b"hello";
/// let BufResult(result, buf) = socket.append(pool.acquire()?).await;
/// result?;
/// assert_eq!(&buf[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `read` overwrites from the first byte of the data, `append` adds behind the bytes written so far. Appending to a
/// full guard reads 0 bytes, which looks like the end: call [`compact`](PooledBuf::compact) if some of it was consumed,
/// and ask [`spare_len`](PooledBuf::spare_len) first.
///
/// *What is written and not reported* can be shown to a later holder, except with [`Wipe::Secure`](crate::Wipe). Reads
/// of streams and files write no such bytes. A [datagram socket](crate::TrustedRecv) may; so does who calls `as_uninit`
/// and writes there, which compio lets safe code do, and reads into the guard afterwards. Ask for
/// [`spare_mut`](PooledBuf::spare_mut) after such a read, and all bytes count as [dirty](crate::Wipe). (They do not
/// always, since the next holder's first read would then have to zero the whole buffer, however little it receives.)
///
/// ```
/// use compio::{BufResult, net::UdpSocket};
/// use poolbuf::{BufferPool, Pool};
///
/// # compio::runtime::Runtime::new()?.block_on(async {
/// let pool = BufferPool::new(1500, 1, 16)?; // the largest datagram that is expected
/// let (server, client) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
/// client.send_to("hello", server.local_addr()?).await.0?;
/// let BufResult(received, mut buf) = server.recv_from(pool.acquire()?).await;
/// buf.spare_mut(); // a datagram with a wrong checksum may have come before
/// received?;
/// assert_eq!(buf, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A read that is dropped before it has completed gives its buffer back when the driver has seen the
/// cancellation through; where a runtime is dropped in mid-read, whether and when the buffer comes back is
/// up to compio. Don't wait for it.
impl IoBufMut for PooledBuf {
    /// The data and what can be added behind them, for the operating system to write to; the whole buffer, where
    /// nothing was consumed. All of it counts as dirty when the guard is wiped, until it is said how many bytes were
    /// written, as a read does when it is done: then so many. (An `append` that brought nothing does not say so.)
    ///
    /// *Cost.* Zeroes what earlier holders have received into the buffer, if it was not [wiped](crate::Wipe), however
    /// little is received now: a `MaybeUninit<u8>` can be copied, and so be brought where this holder reads it, by safe
    /// code. What no holder has written since is not zeroed again.
    #[inline]
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        self.zero_dirty();
        // SAFETY: that its user writes bytes only, never `MaybeUninit::uninit`, is what compio relies on
        // for every buffer that implements this trait, `Vec<u8>` included.
        unsafe { self.uninit_mut() }
    }

    // These hand nothing out, and so report nothing of what was handed out before.

    #[inline]
    fn buf_capacity(&mut self) -> usize {
        self.len() + self.spare_len()
    }

    #[inline]
    fn as_mut_slice(&mut self) -> &mut [u8] {
        PooledBuf::as_mut_slice(self)
    }

    #[inline]
    fn extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), ReserveError> {
        PooledBuf::extend_from_slice(self, bytes).map_err(|_| ReserveError::NotSupported)
    }
}
