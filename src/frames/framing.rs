//! How frames are told apart.
#![forbid(unsafe_code)]

/// How a stream is cut into frames: where the first of them ends.
///
/// It has no state, so all connections can share one; `&F` is a framing too. [`Lines`](super::Lines) and
/// [`LengthPrefix`](super::LengthPrefix) are there; another one is a function:
///
/// ```
/// use poolbuf::frames::{Extent, Frames, Framing};
/// use poolbuf::{BufferPool, Pool};
///
/// /// A type, a length of two bytes, so many bytes, and a checksum of one.
/// struct Records;
///
/// impl Framing for Records {
///     type Error = String;
///
///     fn locate(&self, received: &[u8], _: usize) -> Result<Option<Extent>, String> {
///         let Some(&[kind, high, low]) = received.first_chunk() else {
///             return Ok(None); // the header is not there yet
///         };
///         match kind {
///             b'A'..=b'C' => Ok(Some(Extent::new(3, u16::from_be_bytes([high, low]).into(), 1))),
///             _ => Err(format!("a record of type {kind}")),
///         }
///     }
/// }
///
/// let pool = BufferPool::new(1024, 1, 16)?;
/// let mut frames = Frames::new(Records);
/// frames.acquire(&pool)?.extend_from_slice(b"B\0\x05hello!X")?;
/// assert_eq!(frames.next_frame()?, Some(&b"hello"[..]));
/// assert_eq!(frames.next_frame()?, None);
/// frames.acquire(&pool)?.extend_from_slice(b"\0\0")?;
/// assert_eq!(frames.next_frame().unwrap_err(), "a record of type 88");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Framing {
    /// Why the bytes are no frame. The stream can't be read on then.
    type Error;

    /// How long the first frame of `received` is, as soon as its bytes say so: it may reach beyond them, and is then
    /// given out once it is whole. `None` if it takes more bytes to tell.
    ///
    /// Of `received`, which has at least one byte, the first `seen` were there when it was asked last, and held no
    /// whole frame: what searches for an end can go on from there, and anything else can leave it unheeded.
    ///
    /// # Errors
    ///
    /// When the bytes are no frame, such as for a length that is not allowed.
    fn locate(&self, received: &[u8], seen: usize) -> Result<Option<Extent>, Self::Error>;
}

impl<F: Framing + ?Sized> Framing for &F {
    type Error = F::Error;

    fn locate(&self, received: &[u8], seen: usize) -> Result<Option<Extent>, F::Error> {
        (**self).locate(received, seen)
    }
}

/// How many bytes a frame has, and which of them are what it is sent for: see [`Framing`].
///
/// One of 0 bytes in all would be found for ever: it counts as one of which nothing is known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// Bytes before the payload, to be skipped.
    pub header: usize,
    /// Bytes of the payload.
    pub payload: usize,
    /// Bytes behind the payload, to be skipped.
    pub trailer: usize,
}

impl Extent {
    /// So many bytes of each, in the order in which they come.
    #[must_use]
    pub const fn new(header: usize, payload: usize, trailer: usize) -> Self {
        Extent {
            header,
            payload,
            trailer,
        }
    }

    /// Bytes in all: no buffer has as many as do not fit a `usize`.
    ///
    /// ```
    /// use poolbuf::frames::Extent;
    ///
    /// let line = Extent::new(0, 5, 2);
    /// assert_eq!(line.total(), 7);
    /// ```
    #[must_use]
    pub const fn total(&self) -> usize {
        self.header.saturating_add(self.payload).saturating_add(self.trailer)
    }
}
