//! Frames that begin with their length.
#![forbid(unsafe_code)]

use super::error::FrameError;
use super::framing::{Extent, Framing};

/// Frames that begin with their length, a number of one, two or four bytes. It is not part of what is given out.
///
/// Set a [`max`](LengthPrefix::max): else a frame may be as long as the number can say, and is refused only when no
/// buffer of the pool is large enough.
///
/// ```
/// use poolbuf::frames::{Frames, LengthPrefix};
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(1024, 1, 16)?;
/// let mut frames = Frames::new(LengthPrefix::u32_le().max(1000));
/// frames.acquire(&pool)?.extend_from_slice(b"\x05\0\0\0hello\x02\0\0\0ok")?;
/// assert_eq!(frames.next_frame()?, Some(&b"hello"[..]));
/// assert_eq!(frames.next_frame()?, Some(&b"ok"[..]));
/// assert_eq!(frames.next_frame()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefix {
    number: Number,
    max: usize,
    refuses_empty: bool,
    counts_itself: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    U8,
    U16Be,
    U16Le,
    U32Be,
    U32Le,
}

impl LengthPrefix {
    /// A length of one byte.
    #[must_use]
    pub const fn u8() -> Self {
        Self::new(Number::U8)
    }

    /// A length of two bytes, big-endian: the network's order.
    #[must_use]
    pub const fn u16_be() -> Self {
        Self::new(Number::U16Be)
    }

    /// A length of two bytes, little-endian.
    #[must_use]
    pub const fn u16_le() -> Self {
        Self::new(Number::U16Le)
    }

    /// A length of four bytes, big-endian: the network's order.
    #[must_use]
    pub const fn u32_be() -> Self {
        Self::new(Number::U32Be)
    }

    /// A length of four bytes, little-endian.
    #[must_use]
    pub const fn u32_le() -> Self {
        Self::new(Number::U32Le)
    }

    const fn new(number: Number) -> Self {
        LengthPrefix {
            number,
            max: usize::MAX,
            refuses_empty: false,
            counts_itself: false,
        }
    }

    /// At most so many bytes behind the length: more are a [`FrameError::TooLong`], as soon as the length is there.
    #[must_use]
    pub const fn max(mut self, payload: usize) -> Self {
        self.max = payload;
        self
    }

    /// A frame with nothing behind its length is a [`FrameError::Empty`]. Otherwise it is a frame of 0 bytes.
    #[must_use]
    pub const fn refuse_empty(mut self) -> Self {
        self.refuses_empty = true;
        self
    }

    /// The number counts its own bytes too: 6, in two bytes, is said of a frame with 4 behind it. A smaller number than
    /// that of its bytes is a [`FrameError::ShorterThanHeader`].
    ///
    /// ```
    /// use poolbuf::frames::{FrameError, Framing, LengthPrefix};
    ///
    /// let framing = LengthPrefix::u16_be().including_itself();
    /// let extent = framing.locate(&[0, 6], 0)?.unwrap();
    /// assert_eq!((extent.payload, extent.total()), (4, 6));
    /// let error = framing.locate(&[0, 1], 0).unwrap_err();
    /// assert_eq!(error, FrameError::ShorterThanHeader { length: 1, header: 2 });
    /// # Ok::<(), FrameError>(())
    /// ```
    #[must_use]
    pub const fn including_itself(mut self) -> Self {
        self.counts_itself = true;
        self
    }

    /// Bytes of the length.
    const fn header(&self) -> usize {
        match self.number {
            Number::U8 => 1,
            Number::U16Be | Number::U16Le => 2,
            Number::U32Be | Number::U32Le => 4,
        }
    }

    /// The length that `received` begins with, if it is all there.
    fn length(&self, received: &[u8]) -> Option<usize> {
        Some(match self.number {
            Number::U8 => usize::from(*received.first()?),
            Number::U16Be => u16::from_be_bytes(*received.first_chunk()?).into(),
            Number::U16Le => u16::from_le_bytes(*received.first_chunk()?).into(),
            Number::U32Be => as_usize(u32::from_be_bytes(*received.first_chunk()?)),
            Number::U32Le => as_usize(u32::from_le_bytes(*received.first_chunk()?)),
        })
    }
}

/// Where a `usize` is smaller, no frame could be as long.
fn as_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

impl Framing for LengthPrefix {
    type Error = FrameError;

    fn locate(&self, received: &[u8], _: usize) -> Result<Option<Extent>, FrameError> {
        let header = self.header();
        let Some(length) = self.length(received) else {
            return Ok(None);
        };
        let payload = match length.checked_sub(header) {
            _ if !self.counts_itself => length,
            Some(payload) => payload,
            None => return Err(FrameError::ShorterThanHeader { length, header }),
        };
        match payload {
            0 if self.refuses_empty => Err(FrameError::Empty),
            payload if payload > self.max => Err(FrameError::TooLong { payload, max: self.max }),
            payload => Ok(Some(Extent::new(header, payload, 0))),
        }
    }
}
