//! Receiving into a chain by calls of a user's own.

use std::io::{self, IoSliceMut};

use crate::buf::chain::PooledChain;
use crate::buf::guard::vectored;

impl PooledChain {
    /// Lets `fill` write into the bytes that are to spare, as they are, of the first 16 buffers that have some, and
    /// counts as many as it returns as written: for `recvmsg` and other system calls that take several slices, for a
    /// runtime's `try_io`. Returns that number too. Else as [`PooledBuf::fill_with`](crate::PooledBuf::fill_with).
    ///
    /// # Errors
    ///
    /// The error of `fill`; [`InvalidData`](io::ErrorKind::InvalidData) when it returns more bytes than it was given;
    /// and a [`CapacityError`](crate::CapacityError), as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), without a call of `fill`, when nothing more fits.
    ///
    /// # Safety
    ///
    /// When `fill` returns a number, it has written so many of the first bytes that it was given, slice after slice,
    /// and of the others none, or 0 to them; when it fails, it has done what a failing
    /// [`TrustedRead`](crate::TrustedRead) may. It reads none that it has not written.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::{Read, Write};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// TcpStream::connect(listener.local_addr()?)?.write_all(b"hello, world")?;
    /// let mut stream = listener.accept()?.0;
    ///
    /// let mut chain = BufferPool::new(5, 0, 4)?.acquire_chain(20)?;
    /// // SAFETY: `readv` of a TCP stream writes what it reports.
    /// while unsafe { chain.fill_with(|spare| stream.read_vectored(spare)) }? > 0 {}
    /// assert_eq!(chain, "hello, world");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub unsafe fn fill_with(
        &mut self,
        mut fill: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.spare == 0 {
            return Err(self.no_room(1).into());
        }
        // SAFETY: `fill` does what is asked of it, as our caller says.
        let bytes = unsafe { vectored::fill_with(self.bufs.range_mut(self.tail..), &mut fill, usize::MAX) }?;
        self.grew_at_once(bytes);
        Ok(bytes)
    }
}
