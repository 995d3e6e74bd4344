//! What does not fit a buffer.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io;

use crate::base::units::Bytes;

/// More bytes than the rest of a buffer holds. Nothing was written, but by
/// [`write_all`](io::Write::write_all), which writes what fits.
///
/// Converts to [`std::io::Error`] with the kind [`WriteZero`](io::ErrorKind::WriteZero), as writing to a
/// full slice does.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(8, 1, 1)?;
/// let mut buf = pool.acquire()?;
/// buf.extend_from_slice(b"hello")?;
/// let error = buf.extend_from_slice(b" world").unwrap_err();
/// assert_eq!((error.requested, error.spare, error.capacity), (6, 3, 8));
/// assert_eq!(&buf[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapacityError {
    /// Bytes that were to be added.
    pub requested: usize,
    /// Bytes that could still be added there.
    pub spare: usize,
    /// Bytes that could be added beside `spare` after [`PooledBuf::compact`](crate::PooledBuf::compact), since they
    /// were consumed. 0 for what was to be prepended.
    pub consumed: usize,
    /// Bytes that the buffer holds in all: its [`capacity`](crate::PooledBuf::capacity).
    pub capacity: usize,
    side: Side,
}

/// Where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Behind,
    InFront,
}

impl CapacityError {
    pub(crate) fn behind(requested: usize, spare: usize, consumed: usize, capacity: usize) -> Self {
        CapacityError {
            requested,
            spare,
            consumed,
            capacity,
            side: Side::Behind,
        }
    }

    pub(crate) fn in_front(requested: usize, spare: usize, capacity: usize) -> Self {
        CapacityError {
            requested,
            spare,
            consumed: 0,
            capacity,
            side: Side::InFront,
        }
    }
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CapacityError {
            requested,
            spare,
            consumed,
            capacity,
            side,
        } = self;
        if let (Side::Behind, 0, 0) = (side, spare, consumed) {
            return write!(f, "the buffer is full: it holds {}", Bytes(*capacity));
        }
        let do_not = if *requested == 1 { "does not" } else { "do not" };
        write!(f, "{} {do_not} fit", Bytes(*requested))?;
        match (side, consumed) {
            (Side::InFront, _) => write!(f, " in front: there is room for {spare}"),
            (Side::Behind, 0) => write!(f, ": the buffer has room for {spare} of its {capacity}"),
            (Side::Behind, consumed) => write!(
                f,
                ": the buffer has room for {spare} of its {capacity} behind its data, \
                 and for {consumed} before them: compact it"
            ),
        }
    }
}

impl Error for CapacityError {}

impl From<CapacityError> for io::Error {
    fn from(error: CapacityError) -> Self {
        io::Error::new(io::ErrorKind::WriteZero, error)
    }
}
