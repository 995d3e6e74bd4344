//! Why a guard was not split.
#![forbid(unsafe_code)]

use std::error::Error;
use std::{fmt, io};

use crate::base::units::Bytes;

/// Why a guard was not split: it is as it was.
///
/// Converts to [`std::io::Error`] with the kind [`InvalidInput`](io::ErrorKind::InvalidInput) for
/// [`TooShort`](SplitError::TooShort) and [`OutOfMemory`](io::ErrorKind::OutOfMemory) for
/// [`OutOfMemory`](SplitError::OutOfMemory).
///
/// ```
/// use poolbuf::{BufferPool, Pool, SplitError};
///
/// let mut buf = BufferPool::new(8, 1, 1)?.acquire()?;
/// buf.extend_from_slice(b"hello")?;
/// let error = buf.split_to(6).unwrap_err();
/// assert_eq!(error, SplitError::TooShort { at: 6, len: 5 });
/// assert_eq!(error.to_string(), "a split at byte 6 requested, but there are 5 bytes: ask for that at most");
/// assert_eq!((&buf[..], buf.spare_len()), (&b"hello"[..], 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitError {
    /// There are fewer bytes.
    TooShort {
        /// How many bytes were to come before the split.
        at: usize,
        /// Bytes that there are.
        len: usize,
    },
    /// The allocator has no memory for what the parts share.
    OutOfMemory {
        /// Bytes that were asked for.
        bytes: usize,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitError::TooShort { at, len } => {
                let are = if *len == 1 { "is" } else { "are" };
                let len = Bytes(*len);
                write!(
                    f,
                    "a split at byte {at} requested, but there {are} {len}: ask for that at most"
                )
            }
            SplitError::OutOfMemory { bytes } => write!(
                f,
                "no memory for the {} that the parts of a buffer share",
                Bytes(*bytes)
            ),
        }
    }
}

impl Error for SplitError {}

impl From<SplitError> for io::Error {
    fn from(error: SplitError) -> Self {
        let kind = match error {
            SplitError::TooShort { .. } => io::ErrorKind::InvalidInput,
            SplitError::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
        };
        io::Error::new(kind, error)
    }
}
