//! Which readers get a buffer's bytes as they are.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Chain, Cursor, Empty, Read, Repeat, Stdin, StdinLock, Take};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, ChildStdout};
use std::sync::Arc;

/// A reader that writes what it reports and nothing else, and looks at none of the bytes that it is given.
///
/// [`PooledBuf::read_from`](crate::PooledBuf::read_from) gives such a reader the spare bytes of a buffer as earlier
/// holders left them, and zeroes nothing: so a receive costs what was received, whatever the capacity.
///
/// The readers of std are marked that are system calls (files, sockets, pipes, standard input) or copy from memory
/// (slices, [`Cursor`], [`VecDeque`]), and what std wraps them in: references, [`Box`], [`Take`], [`Chain`],
/// [`BufReader`]. A wrapper is marked only if what it wraps is, since it may pass the bytes on. A
/// `Box<dyn TrustedRead>` is one of any kind. (Not marked is std's `PipeReader`, which is newer than the Rust that this
/// crate supports: convert it into a [`File`].)
///
/// A socket or file is what its type says. Who converts a datagram socket into a [`TcpStream`] or a [`File`], or turns
/// on TLS in the kernel, has a reader that may write more than it reports, and gives it to
/// [`read_from_any`](crate::PooledBuf::read_from_any), or to [`recv_with`](crate::PooledBuf::recv_with). So does who
/// opens a file of a network file system with `O_DIRECT`: after an error in its middle, a read reports what came before
/// that, and what came behind stays in the buffer.
///
/// What is not marked goes into [`read_from_any`](crate::PooledBuf::read_from_any). A type of another crate that is
/// known to do what is asked for here is wrapped in one of yours that is marked, as below; or, if it takes bytes that
/// are not initialised, its call goes into [`fill_with`](crate::PooledBuf::fill_with).
///
/// # Safety
///
/// For each call of [`read`](Read::read) with the bytes `buf`, and for each of [`read_vectored`](Read::read_vectored)
/// with several slices, whose bytes in turn are `buf`:
///
/// - If it returns `Ok(n)`, then `n` is at most `buf.len()`, and it has written each of the first `n` bytes of `buf`,
///   and behind them nothing but zeros.
/// - If it returns an error of the kind [`WouldBlock`], [`Interrupted`] or [`ConnectionReset`], it has written none, or
///   zeros. With other errors, and when it panics, it may have written any.
/// - It reads no byte of `buf` that it has not written in this call, and keeps no pointer to one.
///
/// Otherwise safe code could be shown what other holders of the buffer wrote.
///
/// [`WouldBlock`]: std::io::ErrorKind::WouldBlock
/// [`Interrupted`]: std::io::ErrorKind::Interrupted
/// [`ConnectionReset`]: std::io::ErrorKind::ConnectionReset
///
/// ```
/// use poolbuf::{BufferPool, Pool, TrustedRead};
/// use std::io::{self, Read};
/// use std::net::TcpStream;
///
/// /// Counts what came.
/// struct Counted {
///     socket: TcpStream,
///     bytes: u64,
/// }
///
/// impl Read for Counted {
///     fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
///         let bytes = self.socket.read(buf)?;
///         self.bytes += bytes as u64;
///         Ok(bytes)
///     }
/// }
///
/// // SAFETY: hands on the bytes, and what the socket returns.
/// unsafe impl TrustedRead for Counted {}
///
/// # use std::{io::Write, net::TcpListener};
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let mut client = TcpStream::connect(listener.local_addr()?)?;
/// # client.write_all(b"hello")?;
/// # drop(client);
/// # let mut counted = Counted { socket: listener.accept()?.0, bytes: 0 };
/// let mut buf = BufferPool::new(1024, 1, 16)?.acquire()?;
/// while buf.read_from(&mut counted)? > 0 {}
/// assert_eq!((&buf[..], counted.bytes), (&b"hello"[..], 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to write only what it reports as read",
    label = "is not a `TrustedRead`",
    note = "`read_from_any` takes any reader: it zeroes what earlier holders left in the buffer before the reader sees it",
    note = "a type of yours that writes what it reports and nothing else can be marked: `unsafe impl TrustedRead for …`; \
            wrap one of another crate in a type of yours"
)]
pub unsafe trait TrustedRead: Read {}

/// Marks types for one and the same reason. An attribute is that of the one type behind it.
macro_rules! trusted {
    ($reason:literal; $($(#[$attribute:meta])* $($reader:ty)+;)+) => {
        $($(#[$attribute])* $(
            // SAFETY: as said where the macro is used.
            #[doc = $reason]
            unsafe impl TrustedRead for $reader {}
        )+)+
    };
}

// SAFETY: each of these hands the bytes to a system call, which writes what it returns, in Linux too:
//
// - TCP (`tcp_recvmsg`) and Unix streams (`unix_stream_read_generic`) copy as much as they return, and fail only when
//   they have copied nothing. TCP has verified the checksum before a segment can be read. (Before 4.14, it could copy
//   one while it verified that, as UDP still does: see `TrustedRecv`.)
// - Pipes, and files by the page cache, copy as much as they return.
// - A file that was opened with `O_DIRECT` is read in whole blocks, so the last one is written behind the end that is
//   returned: with what a file system keeps there, zeros. What fails in the middle returns an error of another kind
//   than those named, on a local disk.
//
// (On Windows, standard input that is a console converts into them what it has read, which may fail on the way, with an
// error of another kind than those named.) `StdinLock` is a `BufReader` over such calls, for which see below.
trusted! {
    "Reads by a system call.";
    File &File Arc<File>;
    TcpStream &TcpStream;
    #[cfg(unix)] UnixStream;
    #[cfg(unix)] &UnixStream;
    ChildStdout ChildStderr;
    Stdin &Stdin StdinLock<'_>;
}

// SAFETY: each of these writes as many bytes as it returns, copied or all the same, and reads none.
trusted! {
    "Copies from memory.";
    &[u8] VecDeque<u8>;
    Empty Repeat;
}

// SAFETY: copies from the slice, whatever slice it is given by the type inside, which sees nothing of the bytes.
unsafe impl<T: AsRef<[u8]>> TrustedRead for Cursor<T> {}

// SAFETY: hands on the bytes, and what the reader returns.
unsafe impl<R: TrustedRead + ?Sized> TrustedRead for &mut R {}

// SAFETY: hands on the bytes, and what the reader returns.
unsafe impl<R: TrustedRead + ?Sized> TrustedRead for Box<R> {}

// SAFETY: hands on the first of the bytes, and what the reader returns, or returns 0.
unsafe impl<R: TrustedRead> TrustedRead for Take<R> {}

// SAFETY: hands on the bytes to the first reader, or, if that returned 0 and so wrote nothing but zeros, to the second;
// and returns what that one does.
unsafe impl<R: TrustedRead, S: TrustedRead> TrustedRead for Chain<R, S> {}

// SAFETY: copies from its own buffer, and returns how many bytes that was; or, where there is room for more than its
// own buffer holds, and that is empty, hands on the bytes, and what the reader returns.
unsafe impl<R: TrustedRead + ?Sized> TrustedRead for BufReader<R> {}
