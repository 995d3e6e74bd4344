//! A stream of bytes, received into pooled buffers, as the frames that it is made of.
//!
//! A network cuts a stream where it likes: a receive brings half a frame, or three and a half. [`Frames`] holds what a
//! connection has received and not yet taken. It gives out the frames that are whole, and carries the rest over to the
//! next receive; while there is nothing to carry it holds no buffer. How frames are told apart is a [`Framing`]:
//! [`Lines`], [`LengthPrefix`], or one of your own, of one function.
//!
//! ```
//! use poolbuf::frames::{Frames, LengthPrefix};
//! use poolbuf::{BufferPool, Pool};
//!
//! let pool = BufferPool::new(1024, 1, 16)?;
//! let mut frames = Frames::new(LengthPrefix::u8());
//! let mut got = Vec::new();
//! // As the network has cut them.
//! for mut piece in [&b"\x03one\x03two\x05th"[..], b"ree"] {
//!     frames.acquire(&pool)?.read_from(&mut piece)?;
//!     while let Some(frame) = frames.next_frame()? {
//!         got.push(frame.to_vec());
//!     }
//!     assert_eq!(pool.stats().in_use, 0);
//! }
//! frames.end()?; // fails if the stream has ended in the middle of a frame
//! assert_eq!(got, [&b"one"[..], b"two", b"three"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No runtime is needed, and none is named here. [`Frames::receive`] awaits frames with whatever can say that a socket
//! is readable, and waits for a buffer when all are lent, which is the back-pressure: meanwhile nothing is read, so the
//! client has to wait too. [`Frames::take`] and [`Frames::put`] are for completion-based I/O, which wants to own the
//! buffer.
//!
//! A frame has to fit a buffer: a longer one is refused, with the numbers, when room for it is acquired
//! ([`TooLarge`](crate::AcquireError::TooLarge)).
#![forbid(unsafe_code)]

mod carry;
mod error;
mod framing;
mod held;
mod length_prefix;
mod lines;
mod receive;
mod stream;

pub use carry::CARRIED;
pub use error::{Cut, FrameError, ReceiveError};
pub use framing::{Extent, Framing};
pub use length_prefix::LengthPrefix;
pub use lines::Lines;
pub use stream::Frames;
