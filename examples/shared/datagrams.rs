//! Datagrams into pooled buffers, on Linux several by one system call.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use poolbuf::PooledBuf;

/// Most datagrams that are taken at once.
pub(crate) const BATCH: usize = 32;

/// Waits for a datagram and takes as many more as are there, one for each buffer, and at most [`BATCH`]. Returns from
/// whom they are. Of a datagram that is too long for its buffer the rest is lost. Over IPv4 only.
#[cfg(target_os = "linux")]
pub(crate) fn receive(socket: &UdpSocket, bufs: &mut [PooledBuf]) -> io::Result<Vec<SocketAddr>> {
    use bytes::BufMut;
    use std::os::fd::AsRawFd;

    // SAFETY: numbers and pointers, for which zero is a value.
    let (mut peers, mut pieces, mut headers): (
        [libc::sockaddr_in; BATCH],
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
    ) = unsafe { std::mem::zeroed() };
    let count = bufs.len().min(BATCH);
    for (index, buf) in bufs.iter_mut().enumerate().take(count) {
        let room = buf.chunk_mut();
        pieces[index].iov_base = room.as_mut_ptr().cast();
        pieces[index].iov_len = room.len();
        let header = &mut headers[index].msg_hdr;
        (header.msg_iov, header.msg_iovlen) = (&raw mut pieces[index], 1);
        header.msg_name = (&raw mut peers[index]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in>() as _;
    }
    let (fd, start, flags) = (socket.as_raw_fd(), headers.as_mut_ptr(), libc::MSG_WAITFORONE);
    // SAFETY: so many headers are set, and what they point to is there, and not used otherwise, during the call.
    let received = unsafe { libc::recvmmsg(fd, start, count as _, flags as _, std::ptr::null_mut()) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for (header, buf) in headers.iter().zip(bufs) {
        // SAFETY: the kernel has written so many bytes of it: none, where none was received.
        unsafe { buf.advance_mut(header.msg_len as usize) };
    }
    let addresses = peers[..received].iter().map(|peer| {
        let ip = u32::from_be(peer.sin_addr.s_addr);
        SocketAddr::new(std::net::Ipv4Addr::from(ip).into(), u16::from_be(peer.sin_port))
    });
    Ok(addresses.collect())
}

/// Waits for a datagram, and takes it into the first buffer. Returns from whom it is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn receive(socket: &UdpSocket, bufs: &mut [PooledBuf]) -> io::Result<Vec<SocketAddr>> {
    /// Windows says so of a datagram that is too long, and gives no part of it.
    const WSAEMSGSIZE: i32 = 10040;
    match bufs[0].recv_from(socket) {
        Ok((_, peer)) => Ok(vec![peer]),
        Err(error) if error.raw_os_error() == Some(WSAEMSGSIZE) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
