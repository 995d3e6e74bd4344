//! What can be wrong with a stream of frames, with the numbers.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io;

use crate::AcquireError;

/// Why bytes are no frame of [`Lines`](super::Lines) or [`LengthPrefix`](super::LengthPrefix). Where the next frame
/// begins is not known then: the connection has to be closed.
///
/// ```
/// use poolbuf::frames::{FrameError, Framing, LengthPrefix};
///
/// let framing = LengthPrefix::u16_be().max(1000).refuse_empty();
/// let error = framing.locate(&[0, 0], 0).unwrap_err();
/// assert_eq!(error, FrameError::Empty);
/// let error = framing.locate(&[4, 0], 0).unwrap_err();
/// assert_eq!(error, FrameError::TooLong { payload: 1024, max: 1000 });
/// assert_eq!(error.to_string(), "a frame of 1024 bytes, more than the limit of 1000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame has no byte beside its header, and that is not allowed.
    Empty,
    /// The frame is longer than is allowed.
    TooLong {
        /// Bytes of its payload.
        payload: usize,
        /// Bytes that are allowed.
        max: usize,
    },
    /// A length that counts its own bytes too says fewer than those.
    ShorterThanHeader {
        /// Bytes that it says.
        length: usize,
        /// Bytes of the header.
        header: usize,
    },
    /// A line has not ended within the bytes that are allowed.
    LineTooLong {
        /// Bytes that are allowed.
        max: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Empty => write!(f, "a frame of 0 bytes: at least 1 is needed"),
            FrameError::TooLong { payload, max } => {
                write!(f, "a frame of {}, more than the limit of {max}", Bytes(*payload))
            }
            FrameError::ShorterThanHeader { length, header } => write!(
                f,
                "a frame of {}, its header of {header} included: fewer than the header has",
                Bytes(*length)
            ),
            FrameError::LineTooLong { max } => {
                write!(f, "a line of more than {}", Bytes(*max))
            }
        }
    }
}

impl Error for FrameError {}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// The stream has ended in the middle of a frame: what [`Frames::end`](super::Frames::end) says.
///
/// ```
/// use poolbuf::frames::{Frames, LengthPrefix};
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(1024, 1, 16)?;
/// let mut frames = Frames::new(LengthPrefix::u8());
/// frames.acquire(&pool)?.extend_from_slice(b"\x05he")?;
/// assert_eq!(frames.next_frame()?, None);
/// let cut = frames.end().unwrap_err();
/// assert_eq!((cut.received, cut.expected), (3, Some(6)));
/// assert_eq!(cut.to_string(), "the stream ended in mid-frame, after 3 of 6 bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Bytes of the frame that have come.
    pub received: usize,
    /// Bytes that it has in all, if those that have come say so.
    pub expected: Option<usize>,
}

impl Cut {
    pub(super) fn new(received: usize, expected: Option<usize>) -> Self {
        Cut { received, expected }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream ended in mid-frame, after ")?;
        match self.expected {
            Some(expected) => write!(f, "{} of {}", self.received, Bytes(expected)),
            None => write!(f, "{}", Bytes(self.received)),
        }
    }
}

impl Error for Cut {}

impl From<Cut> for io::Error {
    fn from(error: Cut) -> Self {
        io::Error::new(io::ErrorKind::UnexpectedEof, error)
    }
}

/// Why a frame was not received: `E` is the [framing's](super::Framing) own error.
///
/// Converts to [`std::io::Error`], with the kind [`InvalidData`](io::ErrorKind::InvalidData) for what is no frame.
///
/// It only says of which kind the error in it is: its message is that error's, and its [`source`](Error::source) is
/// that error's source. (`E` need not be an [`Error`], so there is none of [`Frame`](ReceiveError::Frame).)
///
/// ```
/// use poolbuf::frames::{Frames, LengthPrefix, ReceiveError};
/// use poolbuf::{AcquireError, BufferPool, Pool};
///
/// let pool = BufferPool::new(1024, 1, 1)?;
/// let mut frames = Frames::new(LengthPrefix::u8());
/// frames.acquire(&pool)?.extend_from_slice(b"\x05hello\x05world")?;
/// // Handed on, each frame needs a buffer of its own.
/// let first = frames.next_owned(&pool)?;
/// let error = frames.next_owned(&pool).unwrap_err();
/// assert!(matches!(error, ReceiveError::Acquire(AcquireError::Exhausted { .. })));
/// // Nothing is lost: the frame is still there when there is a buffer again.
/// drop(first);
/// assert_eq!(frames.next_owned(&pool)?.unwrap(), b"world");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ReceiveError<E> {
    /// What came is no frame.
    Frame(E),
    /// There is no buffer for it.
    Acquire(AcquireError),
    /// The stream failed.
    Io(io::Error),
    /// The stream ended in mid-frame.
    Cut(Cut),
}

impl<E: fmt::Display> fmt::Display for ReceiveError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiveError::Frame(error) => error.fmt(f),
            ReceiveError::Acquire(error) => error.fmt(f),
            ReceiveError::Io(error) => error.fmt(f),
            ReceiveError::Cut(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for ReceiveError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReceiveError::Frame(_) => None,
            ReceiveError::Acquire(error) => error.source(),
            ReceiveError::Io(error) => error.source(),
            ReceiveError::Cut(error) => error.source(),
        }
    }
}

impl<E> From<AcquireError> for ReceiveError<E> {
    fn from(error: AcquireError) -> Self {
        ReceiveError::Acquire(error)
    }
}

impl<E> From<io::Error> for ReceiveError<E> {
    fn from(error: io::Error) -> Self {
        ReceiveError::Io(error)
    }
}

impl<E> From<Cut> for ReceiveError<E> {
    fn from(error: Cut) -> Self {
        ReceiveError::Cut(error)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<ReceiveError<E>> for io::Error {
    fn from(error: ReceiveError<E>) -> Self {
        match error {
            ReceiveError::Frame(error) => io::Error::new(io::ErrorKind::InvalidData, error),
            ReceiveError::Acquire(error) => error.into(),
            ReceiveError::Io(error) => error,
            ReceiveError::Cut(error) => error.into(),
        }
    }
}

/// So many bytes: "1 byte", "2 bytes".
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} byte{plural}", self.0)
    }
}
