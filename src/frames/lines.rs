//! Frames that end with a line feed.
#![forbid(unsafe_code)]

use std::io::BufRead;

use super::error::FrameError;
use super::framing::{Extent, Framing};

/// Lines: frames that end with `\n`, or with `\r\n`, which is not part of what is given out. They may be empty.
///
/// The last line of a stream need not have an end: it is what [`Frames::rest`](super::Frames::rest) then says.
///
/// ```
/// use poolbuf::frames::{Frames, Lines};
/// use poolbuf::{BufferPool, Pool};
///
/// let pool = BufferPool::new(1024, 1, 16)?;
/// let mut frames = Frames::new(Lines::new(80));
/// frames.acquire(&pool)?.extend_from_slice(b"HELO here\r\n\nQU")?;
/// assert_eq!(frames.next_frame()?, Some(&b"HELO here"[..]));
/// assert_eq!(frames.next_frame()?, Some(&b""[..]));
/// assert_eq!(frames.next_frame()?, None);
/// assert_eq!(frames.rest(), b"QU");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    max: usize,
}

impl Lines {
    /// Lines of at most `max` bytes, their end not counted: one that has not ended by then is a
    /// [`FrameError::LineTooLong`].
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Lines { max }
    }
}

impl Framing for Lines {
    type Error = FrameError;

    fn locate(&self, received: &[u8], seen: usize) -> Result<Option<Extent>, FrameError> {
        let mut unseen = received.get(seen..).unwrap_or_default();
        // A search by vectors, as `position` is not. Reading from memory does not fail.
        let skipped = unseen.skip_until(b'\n').unwrap_or(0);
        let (line, trailer) = match &received[..received.len() - unseen.len()] {
            [line @ .., b'\r', b'\n'] if skipped > 0 => (line, 2),
            [line @ .., b'\n'] if skipped > 0 => (line, 1),
            // It has not ended: a carriage return may be the first half of its end.
            [line @ .., b'\r'] => (line, 0),
            line => (line, 0),
        };
        if line.len() > self.max {
            return Err(FrameError::LineTooLong { max: self.max });
        }
        Ok((trailer > 0).then_some(Extent::new(0, line.len(), trailer)))
    }
}
