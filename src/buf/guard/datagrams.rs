//! Receiving datagrams.

use std::io;
use std::net::{SocketAddr, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::{self, UnixDatagram};

use crate::buf::guard::PooledBuf;

/// A datagram socket that has written what it reports, and looks at none of the bytes that it is given: what
/// [`TrustedRead`](crate::TrustedRead) is for streams, and files.
///
/// It may write more than it reports, also when it fails. Linux copies a UDP datagram into the receiver's memory while
/// it verifies its checksum; if that is wrong, the datagram is dropped, and the call goes on to the next one, which may
/// be shorter, or says [`WouldBlock`](io::ErrorKind::WouldBlock). So all bytes that a socket is given count as
/// [dirty](crate::Wipe), and it is given no more than the [largest datagram](TrustedRecv::LARGEST) has.
///
/// Implemented for std's [`UdpSocket`], and its Unix datagram sockets. Those of tokio are received from with
/// `try_recv_buf_from`, by the feature `bytes`, and those of socket2, and several datagrams at once, with
/// [`recv_with`](PooledBuf::recv_with).
///
/// # Safety
///
/// For each call of its methods with the bytes `buf`:
///
/// - If it returns `Ok(n)`, or `Ok((n, _))`, then it has written each of the first `n` bytes of `buf`, if there are so
///   many.
/// - It reads no byte of `buf` that it has not written in this call, and keeps no pointer to one.
///
/// Otherwise safe code could be shown what other holders of the buffer wrote.
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
    message = "`{Self}` is not known to have written what it reports as received",
    label = "is not a `TrustedRecv`",
    note = "sockets of tokio are received from with `try_recv_buf_from`, of other crates with the unsafe `recv_with`"
)]
pub unsafe trait TrustedRecv {
    /// Where a datagram comes from.
    type Address;

    /// Most bytes that a datagram of such a socket has: it is given no more of a buffer, however large that is.
    const LARGEST: usize;

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

// SAFETY: hands the bytes to a system call, which has written what it returns.
unsafe impl TrustedRecv for UdpSocket {
    type Address = SocketAddr;

    /// 65,535 bytes: UDP counts a datagram's length, with its header, in 16 bits.
    const LARGEST: usize = u16::MAX as usize;

    #[inline]
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Self::recv(self, buf)
    }

    #[inline]
    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::recv_from(self, buf)
    }
}

// SAFETY: hands the bytes to a system call, which has written what it returns.
#[cfg(unix)]
unsafe impl TrustedRecv for UnixDatagram {
    type Address = net::SocketAddr;

    /// No limit: that is the sender's, who can set it.
    const LARGEST: usize = usize::MAX;

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
/// *Cost.* That of the system call: nothing is zeroed. But all bytes that the socket was given count as
/// [dirty](crate::Wipe), however few came, since it may have [written more of them](TrustedRecv) than it reports:
/// 65,535 at most, of a UDP socket. Without wiping that costs nothing; with it, a release overwrites as many. So let
/// the pool's buffers be as large as the datagrams that you expect. An interrupted call is tried again.
impl PooledBuf {
    /// Receives one datagram.
    ///
    /// # Errors
    ///
    /// What the socket returns; a [`CapacityError`](crate::CapacityError), as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), when nothing more fits. In each case nothing counts as written.
    #[inline]
    pub fn recv<S: TrustedRecv>(&mut self, socket: &S) -> io::Result<usize> {
        // SAFETY: the socket does what is asked of it, or else it would not be marked.
        unsafe { self.receive_datagram(S::LARGEST, |spare| socket.recv(spare)) }
    }

    /// Receives one datagram, and says from where.
    ///
    /// # Errors
    ///
    /// As for [`recv`](PooledBuf::recv).
    #[inline]
    pub fn recv_from<S: TrustedRecv>(&mut self, socket: &S) -> io::Result<(usize, S::Address)> {
        // SAFETY: the socket does what is asked of it, or else it would not be marked.
        unsafe { self.receive_datagram(S::LARGEST, |spare| socket.recv_from(spare)) }
    }
}
