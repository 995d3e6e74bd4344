//! Receiving: handing out the bytes behind the data, for being written to.
//!
//! What a writer may find there, and how much of it counts as dirty afterwards, is a matter of what is known of it:
//!
//! - Of safe code, nothing is known. It gets bytes that are zeroed where they would show an earlier holder's, and all
//!   of them count as dirty: `spare_mut`, `read_from_any`.
//! - Streams, files, and what else is marked as [`TrustedRead`], write what they report and nothing else. They get the
//!   bytes as they are, and what they report is what counts, or all of them, if they break off: `read_from`, `receive`,
//!   `fill_with`.
//! - Datagram sockets write what they report, and other bytes too: Linux copies a datagram while it verifies its
//!   checksum, and if that is wrong, goes on to the next one, or says that none came. They get no more bytes than the
//!   largest datagram has, as they are, and all of these count: `recv`, `receive_datagram`, `recv_with`.
//! - `spare_capacity_mut` gives out the bytes as they are, and is told by `set_len` how many were written. Until then,
//!   all of them count.
//!
//! To count for good, whatever is reported later, is `mark_dirty`.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::slice;

use crate::base::wipe::Wipe;
use crate::buf::guard::handed_out::{HandedOut, Report, claims_too_much, uninterrupted};
use crate::buf::guard::header::ReleaseHeader;
use crate::buf::guard::trusted_read::TrustedRead;
use crate::buf::guard::words::Lengths;
use crate::buf::guard::{PooledBuf, no_room_behind};
use crate::report::error::capacity::CapacityError;

impl PooledBuf {
    /// Reads once from `reader`, behind the bytes written so far, as much as comes and fits. Returns how
    /// many bytes came; 0 means that the reader is at its end, since a full buffer is an error instead.
    /// An interrupted read is tried again.
    ///
    /// For readers that write what they report and nothing else, as sockets, files, pipes and slices do: see
    /// [`TrustedRead`]. Any other goes into [`read_from_any`](PooledBuf::read_from_any).
    ///
    /// *Cost.* What the read costs, however large the buffer is, and however much of it earlier holders used: nothing
    /// is zeroed, and what counts as [dirty](crate::Wipe) is what came. (`Wipe::Secure` counts all that was handed
    /// out: the whole buffer. Memory of no pool, which may not be initialised, is zeroed once.)
    ///
    /// # Errors
    ///
    /// What the reader returns; a [`CapacityError`] ("the buffer is full"), as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), when nothing more fits, though it may after
    /// [`compact`](PooledBuf::compact). In each case nothing counts as written.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::Read;
    ///
    /// let pool = BufferPool::new(65_536, 4, 16)?;
    /// let mut socket: &[u8] = b"\x05hello, and the next frame";
    /// let mut buf = pool.acquire()?;
    /// // No more than the length …
    /// buf.read_from(&mut (&mut socket).take(1))?;
    /// // … and no more than the frame.
    /// let length = buf[0].into();
    /// buf.read_from(&mut (&mut socket).take(length))?;
    /// assert_eq!(buf, b"\x05hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn read_from(&mut self, reader: &mut (impl TrustedRead + ?Sized)) -> io::Result<usize> {
        // SAFETY: the reader does what is asked of it, or else it would not be marked.
        unsafe { self.receive_bytes(|spare| reader.read(spare)) }
    }

    /// As [`read_from`](PooledBuf::read_from), from any reader.
    ///
    /// A reader may look at the bytes that it is given, and may write more of them than it says. So those that would
    /// show an earlier holder's are zeroed first, and all of them count as dirty when the guard is wiped, as with
    /// [`spare_mut`](PooledBuf::spare_mut): on a large buffer, both can take longer than the read.
    ///
    /// # Errors
    ///
    /// As for `read_from`; and [`InvalidData`](io::ErrorKind::InvalidData) when the reader claims more bytes than it
    /// was given room for.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::{self, Read};
    ///
    /// struct Unmasked<R>(R, u8);
    ///
    /// impl<R: Read> Read for Unmasked<R> {
    ///     fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
    ///         let bytes = self.0.read(buf)?;
    ///         buf[..bytes].iter_mut().for_each(|byte| *byte ^= self.1);
    ///         Ok(bytes)
    ///     }
    /// }
    ///
    /// let pool = BufferPool::new(1024, 1, 16)?;
    /// let mut buf = pool.acquire()?;
    /// buf.read_from_any(&mut Unmasked(&b"HELLO"[..], 0x20))?;
    /// assert_eq!(buf, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_from_any(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<usize> {
        if self.spare_len() == 0 {
            return Err(no_room_behind(self.place, self.lengths, 1).into());
        }
        let bytes = uninterrupted(|| reader.read(self.spare_mut()))?;
        self.commit(bytes).map_err(claims_too_much)?;
        Ok(bytes)
    }

    /// Lets `fill` write into the bytes behind those written so far, as they are, and counts as many as it returns as
    /// written: for system calls of your own on a stream or a device, and for receives of other crates that take
    /// [`MaybeUninit`] bytes, such as socket2's. Returns that number too. If it panics, or fails, see [`TrustedRead`],
    /// nothing counts as written. For datagrams there is [`recv_with`](PooledBuf::recv_with).
    ///
    /// *Cost.* None but what `fill` costs: see [`read_from`](PooledBuf::read_from). Nothing is zeroed; a call that was
    /// interrupted is not tried again.
    ///
    /// # Errors
    ///
    /// The error of `fill`; [`InvalidData`](io::ErrorKind::InvalidData) when it returns more bytes than it was given,
    /// as `recv` with `MSG_TRUNC` does; and a [`CapacityError`] as for `read_from`, without a call of `fill`, when
    /// nothing more fits.
    ///
    /// # Safety
    ///
    /// `fill` writes bytes only, never [`MaybeUninit::uninit`]. When it returns a number, it has written so many of the
    /// first bytes that it was given, and of the others none, or 0 to them; when it fails, it has done what a failing
    /// [`TrustedRead`] may. It reads none that it has not written.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::Write;
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// TcpStream::connect(listener.local_addr()?)?.write_all(b"hello")?;
    /// let stream = socket2::Socket::from(listener.accept()?.0);
    ///
    /// let pool = BufferPool::new(65_536, 4, 16)?;
    /// let mut buf = pool.acquire()?;
    /// // SAFETY: `recv` of socket2 is that of the system, which writes of a TCP stream what it reports.
    /// while unsafe { buf.fill_with(|spare| stream.recv(spare)) }? > 0 {}
    /// assert_eq!(buf, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub unsafe fn fill_with(
        &mut self,
        fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut out = HandedOut::to_stream(self)?;
        // SAFETY: only `fill` gets them, of which our caller says that it writes bytes and reports how many.
        let report = fill(unsafe { out.uninit() });
        out.reported(report)
    }

    /// As [`fill_with`](PooledBuf::fill_with), for one datagram of at most `most` bytes: for `recvmsg`, `recvmmsg`, and
    /// the sockets of other crates. `recv` is given that many bytes, or what is [to spare](PooledBuf::spare_len), and
    /// may write more of them than it reports, as datagram sockets do: see [`TrustedRecv`](crate::TrustedRecv). For the
    /// sockets of std there are [`recv`](PooledBuf::recv) and its kind.
    ///
    /// *Cost.* Nothing is zeroed. All bytes that are handed out count as [dirty](crate::Wipe), however few came: so
    /// say no more than the largest datagram that you expect. A call that was interrupted is not tried again.
    ///
    /// # Errors
    ///
    /// As for `fill_with`.
    ///
    /// # Safety
    ///
    /// `recv` writes bytes only, never [`MaybeUninit::uninit`]. When it returns a number, it has written so many of the
    /// first bytes that it was given. It reads none that it has not written.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::net::UdpSocket;
    ///
    /// let receiver = socket2::Socket::from(UdpSocket::bind("127.0.0.1:0")?);
    /// let to = receiver.local_addr()?.as_socket().expect("an address of IPv4");
    /// UdpSocket::bind("127.0.0.1:0")?.send_to(b"hello", to)?;
    ///
    /// let pool = BufferPool::new(65_536, 4, 16)?;
    /// let mut buf = pool.acquire()?;
    /// let mut from = None;
    /// // SAFETY: `recv_from` of socket2 is that of the system, which has written what it reports.
    /// unsafe {
    ///     buf.recv_with(1500, |spare| {
    ///         let (bytes, address) = receiver.recv_from(spare)?;
    ///         from = Some(address);
    ///         Ok(bytes)
    ///     })?;
    /// }
    /// assert_eq!(buf, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub unsafe fn recv_with(
        &mut self,
        most: usize,
        recv: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut out = HandedOut::to_datagrams(self, most)?;
        // SAFETY: only `recv` gets them, of which our caller says that it writes bytes and reports how many.
        let report = recv(unsafe { out.uninit() });
        out.reported(report)
    }

    /// All the bytes that can still be added, for writing into; [`commit`](PooledBuf::commit) then says
    /// how many were. What they show is this holder's own, 0, or [`POISON`](crate::POISON), never an
    /// earlier holder's: such bytes are zeroed first, which costs a `memset` of as many of them as earlier
    /// holders made dirty. A guard all of whose bytes were handed out counts as dirty to its end when it is
    /// wiped; see [`spare_mut_for`](PooledBuf::spare_mut_for) where it is known how much will come.
    ///
    /// For receiving, [`read_from`](PooledBuf::read_from) and its kind cost neither.
    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.spare_up_to(self.room())
    }

    /// The first `bytes` bytes of [`spare_mut`](PooledBuf::spare_mut): so only these are zeroed, and
    /// later wiped.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when there are fewer.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    ///
    /// let pool = BufferPool::new(8192, 1, 1)?;
    /// let mut buf = pool.acquire()?;
    /// let mut socket: &[u8] = b"\x05hello, and the next frame";
    /// std::io::Read::read_exact(&mut socket, buf.spare_mut_for(1)?)?;
    /// buf.commit(1)?;
    /// let length = buf[0] as usize;
    /// std::io::Read::read_exact(&mut socket, buf.spare_mut_for(length)?)?;
    /// buf.commit(length)?;
    /// assert_eq!(&buf[1..], b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn spare_mut_for(&mut self, bytes: usize) -> Result<&mut [u8], CapacityError> {
        let end = self.end_after(bytes)?;
        Ok(self.spare_up_to(end))
    }

    /// Counts the next `bytes` bytes as written. Those that were not are 0 or
    /// [`POISON`](crate::POISON), or what this holder wrote there before, or what a receive of this holder's has left
    /// there; never an earlier holder's.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] when there are fewer; then nothing changes.
    #[inline]
    pub fn commit(&mut self, bytes: usize) -> Result<(), CapacityError> {
        let end = self.end_after(bytes)?;
        self.make_own(end);
        self.grow_to(end);
        Ok(())
    }

    /// All the bytes that can still be added, as they are: unlike [`spare_mut`](PooledBuf::spare_mut) nothing is zeroed
    /// first, so they may show an earlier holder's bytes, or, where the memory is of no pool, not be initialised. For
    /// handing to the operating system; [`set_len`](PooledBuf::set_len) then says how many were written, where the safe
    /// [`commit`](PooledBuf::commit) would zero some.
    ///
    /// All of them count as dirty when the guard is wiped, unless `set_len` says how many were written: then so many.
    ///
    /// # Safety
    ///
    /// Its caller writes bytes only, never [`MaybeUninit::uninit`].
    #[inline]
    pub unsafe fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let len = self.len();
        // SAFETY: our caller writes bytes only, which is what `uninit_mut` asks for.
        let whole = unsafe { self.uninit_mut() };
        &mut whole[len..]
    }

    /// Sets how many bytes count as written, after writing them through
    /// [`spare_capacity_mut`](PooledBuf::spare_capacity_mut).
    ///
    /// Of what was handed out until now, no more than these bytes count as dirty then (`Wipe::Secure` still counts
    /// all). Where more were written, say so by a larger `len` first, and then [`truncate`](PooledBuf::truncate):
    /// otherwise a later holder could be shown them. Datagram sockets write more than they report, see
    /// [`recv_with`](PooledBuf::recv_with).
    ///
    /// # Safety
    ///
    /// `len` is at most `len() + spare_len()`, and this holder has written all bytes from the present length up to
    /// it, and behind it none but zeros since they were handed out, or has counted them by a larger `len` before.
    #[inline]
    pub unsafe fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.room() as usize);
        // Its caller keeps it within the room, a `u32`.
        self.grow_to(len as u32);
        // SAFETY: `from_parts` was promised that the lender lives until the release.
        self.header = unsafe { ReleaseHeader::when_reported(self.header) };
    }

    /// The data and all that can be added behind them, as they are. All of it counts as dirty until it has been said
    /// how many bytes were written.
    ///
    /// # Safety
    ///
    /// Its caller writes bytes only, never [`MaybeUninit::uninit`].
    #[inline]
    pub(crate) unsafe fn uninit_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: `from_parts` was promised that the lender lives until the release. Up to the buffer's end the bytes
        // are the guard's own; those that are initialised stay so, as our caller promises.
        unsafe {
            self.header = ReleaseHeader::when_handed_out(self.header);
            slice::from_raw_parts_mut(self.data().cast().as_ptr(), self.room() as usize)
        }
    }

    /// Counts no more than the first `len` bytes as written. The data stay where they are, even if they are none.
    #[cfg(feature = "compio-buf-08")]
    #[inline]
    pub(crate) fn shorten(&mut self, len: usize) {
        if len < self.len() {
            // Below a `u32`, so it fits one.
            self.shorten_to(len as u32);
        }
    }

    /// Makes sure that no byte from the data on is an earlier holder's, or uninitialised. They do not count as written.
    #[cfg(feature = "compio-buf-08")]
    #[inline]
    pub(crate) fn zero_dirty(&mut self) {
        self.zero_dirty_below(self.room());
        if self.dirty() > self.written() {
            self.set_dirty(self.written());
        }
    }

    /// Counts the bytes below `end`, which is within the room, as dirty, whatever is reported later: they are wiped
    /// at the release, if the lender wipes, and the next holder is not shown them.
    ///
    /// Costs nothing where they are not wiped. Where they are, none is an earlier holder's, most often; those that are
    /// have to be zeroed to become this holder's, whose bytes are what is wiped.
    #[inline]
    pub(super) fn mark_dirty(&mut self, end: u32) {
        // SAFETY: `from_parts` was promised that the lender lives until the release.
        match unsafe { self.header.as_ref() }.wipe {
            Wipe::Never if end > self.dirty() => self.set_dirty(end),
            Wipe::Never => {}
            _ => self.make_own(end),
        }
    }

    /// Hides all bytes of the buffer from the next holder, unless this one overwrites them: for handing them out to
    /// safe code, which may write some and not say so.
    #[cfg(feature = "bytes")]
    #[inline]
    pub(crate) fn hide(&mut self) {
        self.set_dirty(self.room());
    }

    /// Makes sure that all bytes of the buffer are initialised: those of a pool are.
    #[inline]
    pub(super) fn initialise(&mut self) {
        // SAFETY: `from_parts` was promised that the lender lives until the release.
        if !unsafe { self.header.as_ref() }.initialised() {
            self.make_own(self.room());
        }
    }

    /// Hands out all bytes behind the data to what reports all that it writes. Again while it is interrupted.
    ///
    /// # Safety
    ///
    /// `read` does what [`TrustedRead`] asks for.
    #[inline]
    pub(super) unsafe fn receive_bytes(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        uninterrupted(|| {
            let mut out = HandedOut::to_stream(self)?;
            // SAFETY: only `read` gets them, which our caller says does what `TrustedRead` asks for.
            let report = read(unsafe { out.bytes() });
            out.reported(report)
        })
    }

    /// Hands out at most `most` bytes behind the data to a datagram socket. Again while it is interrupted.
    ///
    /// # Safety
    ///
    /// `recv` does what [`TrustedRecv`](crate::TrustedRecv) asks for.
    #[inline]
    pub(super) unsafe fn receive_datagram<R: Report>(
        &mut self,
        most: usize,
        mut recv: impl FnMut(&mut [u8]) -> io::Result<R>,
    ) -> io::Result<R> {
        uninterrupted(|| {
            let mut out = HandedOut::to_datagrams(self, most)?;
            // SAFETY: only `recv` gets them, which our caller says does what `TrustedRecv` asks for.
            let report = recv(unsafe { out.bytes() });
            out.reported(report)
        })
    }

    /// The bytes from `len` up to `end`, which is within the room and not below `len`.
    #[inline]
    fn spare_up_to(&mut self, end: u32) -> &mut [u8] {
        self.make_own(end);
        // SAFETY: between `len` and `end`, below which the bytes are initialised now; they are the guard's own.
        unsafe { slice::from_raw_parts_mut(self.data().add(self.len()).as_ptr(), end as usize - self.len()) }
    }

    /// Makes sure that each byte below `end`, which is within the room, is initialised and no earlier holder's.
    #[inline]
    fn make_own(&mut self, end: u32) {
        if end > self.written() {
            self.zero_dirty_below(end);
            self.set_lengths(Lengths::new(self.lengths.len(), end));
        }
    }

    /// Zeroes what of the bytes below `end`, which is within the room, may be an earlier holder's, or not initialised.
    #[inline]
    fn zero_dirty_below(&mut self, end: u32) {
        let (dirty, written) = (self.dirty().min(end) as usize, self.written() as usize);
        if dirty > written {
            // SAFETY: from `written` up to `dirty`, both within the room: the guard's own bytes.
            unsafe {
                self.data().add(written).write_bytes(0, dirty - written);
            }
        }
    }
}
