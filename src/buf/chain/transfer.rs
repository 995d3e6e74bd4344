//! Receiving into a chain, and sending from it.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};

use crate::base::units::Bytes;
use crate::buf::chain::PooledChain;
use crate::buf::guard::trusted_read::TrustedRead;
use crate::buf::guard::vectored;

impl PooledChain {
    /// Reads once from `reader`, behind the bytes written so far, into as many buffers at once as
    /// it can fill: the first 16 that have bytes to spare, at most. Returns how many bytes
    /// came; 0 means that the reader is at its end, since a full chain is an error instead. An
    /// interrupted read is tried again.
    ///
    /// For readers that write what they report and nothing else, as sockets, files, pipes and
    /// slices do: see [`TrustedRead`]. Any other goes into
    /// [`read_from_any`](PooledChain::read_from_any).
    ///
    /// *Cost.* What the read costs, whatever earlier holders left: see
    /// [`PooledBuf::read_from`](crate::PooledBuf::read_from).
    ///
    /// # Errors
    ///
    /// What the reader returns; a [`CapacityError`](crate::CapacityError), as an [`io::Error`] of the kind
    /// [`WriteZero`](io::ErrorKind::WriteZero), when nothing more fits. In each case nothing counts
    /// as written.
    pub fn read_from(&mut self, reader: &mut (impl TrustedRead + ?Sized)) -> io::Result<usize> {
        self.read_at_most(reader, usize::MAX)
    }

    /// As [`read_from`](PooledChain::read_from), but no more than `most` bytes: for a message whose
    /// last buffer has room for what comes behind it. (std's `take` would read into one buffer
    /// at a time.) 0 bytes come if `most` is 0, too.
    ///
    /// # Errors
    ///
    /// As for `read_from`.
    pub fn read_at_most(&mut self, reader: &mut (impl TrustedRead + ?Sized), most: usize) -> io::Result<usize> {
        if self.spare == 0 {
            return Err(self.no_room(1).into());
        }
        let bytes = vectored::read_from(self.bufs.range_mut(self.tail..), reader, most)?;
        self.grew_at_once(bytes);
        Ok(bytes)
    }

    /// As [`read_from`](PooledChain::read_from), from any reader. Reads into one buffer: the first
    /// that has bytes to spare.
    ///
    /// What earlier holders left there is zeroed first, and all of it counts as dirty: see
    /// [`PooledBuf::read_from_any`](crate::PooledBuf::read_from_any).
    ///
    /// # Errors
    ///
    /// As for `read_from`; and [`InvalidData`](io::ErrorKind::InvalidData) when the reader claims
    /// more bytes than it was given room for.
    pub fn read_from_any(&mut self, reader: &mut (impl Read + ?Sized)) -> io::Result<usize> {
        let next = self.next();
        let Some(buf) = self.bufs.get_mut(next) else {
            return Err(self.no_room(1).into());
        };
        let bytes = buf.read_from_any(reader)?;
        self.grew(next, bytes);
        Ok(bytes)
    }

    /// Reads once from `file`, from byte `offset` on, behind the bytes written so far, into one buffer: the first that
    /// has bytes to spare. All else is as for [`PooledBuf::read_at`](crate::PooledBuf::read_at).
    ///
    /// # Errors
    ///
    /// As for that.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::fs::File;
    ///
    /// let manifest = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))?;
    /// let mut chain = BufferPool::new(4, 0, 2)?.acquire_chain(8)?;
    /// while chain.spare_len() > 0 {
    ///     let offset = 1 + chain.len() as u64;
    ///     assert!(chain.read_at(&manifest, offset)? > 0);
    /// }
    /// assert_eq!(chain, b"package]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_at(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        let next = self.next();
        let Some(buf) = self.bufs.get_mut(next) else {
            return Err(self.no_room(1).into());
        };
        let bytes = buf.read_at(file, offset)?;
        self.grew(next, bytes);
        Ok(bytes)
    }

    /// Writes all bytes to `writer`, many buffers at once, and consumes what was written. An
    /// interrupted write is tried again.
    ///
    /// # Errors
    ///
    /// What the writer returns; [`WriteZero`](io::ErrorKind::WriteZero) when it takes nothing more; and
    /// [`InvalidData`](io::ErrorKind::InvalidData) when it claims to have written more than it was given, of which then
    /// nothing counts as written. What was not written is left: on [`WouldBlock`](io::ErrorKind::WouldBlock), call
    /// it again when the socket is writable.
    pub fn write_to(&mut self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); vectored::AT_ONCE];
            let filled = self.io_slices(&mut slices);
            let given: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            match writer.write_vectored(&slices[..filled]) {
                Ok(0) => {
                    let message = format!("the writer takes no more; left are {}", Bytes(self.len()));
                    return Err(io::Error::new(io::ErrorKind::WriteZero, message));
                }
                Ok(written) if written > given => {
                    let message = format!(
                        "the writer claims to have written {}, but was given {given}",
                        Bytes(written)
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                Ok(written) => self.consume(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `slices` with the first pieces, for a `write_vectored` of your own, and returns how
    /// many there are; what that has written is then [consumed](PooledChain::consume).
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::{IoSlice, Write};
    ///
    /// let mut chain = BufferPool::new(8, 0, 2)?.acquire_chain(16)?;
    /// chain.extend_from_slice(b"hello, world")?;
    /// let mut socket = Vec::new();
    /// let mut slices = [IoSlice::new(&[]); 16];
    /// let filled = chain.io_slices(&mut slices);
    /// let written = socket.write_vectored(&slices[..filled])?;
    /// chain.consume(written);
    /// assert_eq!((&socket[..], chain.buffers()), (&b"hello, world"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.io_slices_at_most(usize::MAX, slices)
    }

    /// As [`io_slices`](PooledChain::io_slices), but of no more than the first `most` bytes: a frame at the front, or
    /// what a window of flow control lets through.
    ///
    /// ```
    /// use poolbuf::{BufferPool, Pool};
    /// use std::io::{IoSlice, Write};
    ///
    /// let mut chain = BufferPool::new(8, 0, 2)?.acquire_chain(16)?;
    /// chain.extend_from_slice(b"hello, world")?;
    /// let mut socket = Vec::new();
    /// let mut slices = [IoSlice::new(&[]); 16];
    /// let filled = chain.io_slices_at_most(10, &mut slices);
    /// let written = socket.write_vectored(&slices[..filled])?;
    /// chain.consume(written);
    /// assert_eq!(socket, b"hello, wor");
    /// assert_eq!(chain, b"ld");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn io_slices_at_most<'a>(&'a self, most: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut filled, mut left) = (0, most);
        for (slice, chunk) in slices.iter_mut().zip(self.chunks()) {
            if left == 0 {
                break;
            }
            let chunk = &chunk[..chunk.len().min(left)];
            *slice = IoSlice::new(chunk);
            left -= chunk.len();
            filled += 1;
        }
        filled
    }
}
