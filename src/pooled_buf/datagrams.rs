//! Receiving datagrams.

use std::io;
use std::net::{SocketAddr, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::{self, UnixDatagram};

use crate::pooled_buf::PooledBuf;

/// A datagram socket that writes what it reports and nothing else: what [`TrustedRead`](crate::TrustedRead) is for
/// streams, and files.
///
/// Implemented for std's [`UdpSocket`], and its Unix datagram sockets. Those of tokio are received from with
/// `try_recv_buf_from`, by the feature `bytes`, and those of socket2, and several datagrams at once, with
/// [`fill_with`](PooledBuf::fill_with).
///
/// # Safety
///
/// Each of its methods does with the bytes that it is given what [`TrustedRead`](crate::TrustedRead) asks of `read`;
/// for `recv_from`, the number is the first of the two.
///
/// ```
/// use poolbuf::{BufferPool, Pool, PooledBuf, TrustedRecv};
/// use std::net::UdpSocket;
///
/// fn answer<S: TrustedRecv>(
///     socket: &S,
///     send: impl Fn(&S, &[u8], &S::Address) -> std::io::Result<usize>,
///     mut buf: PooledBuf,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let (_, from) = buf.recv_from(socket)?;
///     buf.prepend(b"re: ")?;
///     send(socket, &buf, &from)?;
///     Ok(())
/// }
///
/// let pool = BufferPool::with_config(poolbuf::PoolConfig::new(65_536).max(16).headroom(4))?;
/// let (server, client) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// client.send_to(b"hello", server.local_addr()?)?;
/// answer(&server, |socket, bytes, to| socket.send_to(bytes, to), pool.acquire()?)?;
/// let mut buf = pool.acquire()?;
/// buf.recv(&client)?;
/// assert_eq!(buf, b"re: hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to write only what it reports as received",
    label = "is not a `TrustedRecv`",
    note = "sockets of tokio are received from with `try_recv_buf_from`, of other crates with the unsafe `fill_with`"
)]
pub unsafe trait TrustedRecv {
    /// Where a datagram comes from.
    type Address;

    /// Receives one datagram into `buf`.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Receives one datagram into `buf`, and says from where.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, Self::Address)>;
}

// SAFETY: hands the bytes to a system call, which writes what it returns.
unsafe impl TrustedRecv for UdpSocket {
    type Address = SocketAddr;

    #[inline]
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Self::recv(self, buf)
    }

    #[inline]
    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::recv_from(self, buf)
    }
}

// SAFETY: hands the bytes to a system call, which writes what it returns.
#[cfg(unix)]
unsafe impl TrustedRecv for UnixDatagram {
    type Address = net::SocketAddr;

    #[inline]
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Self::recv(self, buf)
    }

    #[inline]
    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, net::SocketAddr)> {
        Self::recv_from(self, buf)
    }
}

/// Datagrams. Each call receives one, behind the bytes written so far, and returns how many bytes it has: 0 is a
/// datagram that is empty, since a full buffer is an error instead. Of one that is longer than what is [to
/// spare](PooledBuf::spare_len), the rest is lost: in silence on Unix, and with an error on Windows.
///
/// *Cost.* What was received, whatever the capacity: see [`read_from`](PooledBuf::read_from). An interrupted call is
/// tried again.
impl PooledBuf {
    /// Receives one datagram.
    ///
    /// # Errors
    ///
    /// What the socket returns; a [`CapacityError`](crate::CapacityError), as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), when nothing more fits. In each case nothing counts as written.
    #[inline]
    pub fn recv(&mut self, socket: &impl TrustedRecv) -> io::Result<usize> {
        // SAFETY: the socket does what is asked of it, or else it would not be marked.
        let received = unsafe { self.receive_bytes(|spare| Ok((socket.recv(spare)?, ()))) };
        Ok(received?.0)
    }

    /// Receives one datagram, and says from where.
    ///
    /// # Errors
    ///
    /// As for [`recv`](PooledBuf::recv).
    #[inline]
    pub fn recv_from<S: TrustedRecv>(&mut self, socket: &S) -> io::Result<(usize, S::Address)> {
        // SAFETY: the socket does what is asked of it, or else it would not be marked.
        unsafe { self.receive_bytes(|spare| socket.recv_from(spare)) }
    }

    /// Copies the next datagram, which the socket keeps.
    ///
    /// # Errors
    ///
    /// As for [`recv`](PooledBuf::recv).
    #[inline]
    pub fn peek(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // SAFETY: hands the bytes to a system call, which writes what it returns.
        let received = unsafe { self.receive_bytes(|spare| Ok((socket.peek(spare)?, ()))) };
        Ok(received?.0)
    }

    /// Copies the next datagram, which the socket keeps, and says from where it is.
    ///
    /// # Errors
    ///
    /// As for [`recv`](PooledBuf::recv).
    #[inline]
    pub fn peek_from(&mut self, socket: &UdpSocket) -> io::Result<(usize, SocketAddr)> {
        // SAFETY: hands the bytes to a system call, which writes what it returns.
        unsafe { self.receive_bytes(|spare| socket.peek_from(spare)) }
    }
}
