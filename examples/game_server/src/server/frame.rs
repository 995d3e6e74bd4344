//! The wire format: a little-endian `u32` length, 1 to 32,768, and as many bytes of payload.

use std::fmt;

use poolbuf::frames::{Extent, Framing};
use poolbuf_support::numbers::thousands;

/// Bytes in front of the payload.
pub(crate) const HEADER: usize = 4;
/// Bytes of the largest payload.
pub(crate) const MAX_PAYLOAD: usize = 32_768;
/// Bytes of the largest frame.
pub(crate) const MAX_FRAME: usize = HEADER + MAX_PAYLOAD;
/// The payloads that players send, in bytes: control, game, chat, map and file.
pub(crate) const PAYLOADS: [usize; 5] = [64, 512, 2048, 8192, MAX_PAYLOAD];

/// A header says that its payload has so many bytes, which no frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameError {
    pub(crate) payload: u32,
}

/// The header of a frame with a payload of that many bytes, at most [`MAX_PAYLOAD`].
pub(crate) fn header(payload: usize) -> [u8; HEADER] {
    debug_assert!((1..=MAX_PAYLOAD).contains(&payload));
    (payload as u32).to_le_bytes()
}

/// How many bytes the frame that starts with `received` has, header included; `None` when the header is
/// not there yet.
pub(crate) fn frame_len(received: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(header) = received.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    match u32::from_le_bytes(*header) {
        payload if (1..=MAX_PAYLOAD as u32).contains(&payload) => Ok(Some(HEADER + payload as usize)),
        payload => Err(FrameError { payload }),
    }
}

/// How the server tells frames apart: the library's [`LengthPrefix`](poolbuf::frames::LengthPrefix) with the error
/// above.
#[derive(Clone, Copy)]
pub(super) struct Wire;

impl Framing for Wire {
    type Error = FrameError;

    fn locate(&self, received: &[u8], _seen: usize) -> Result<Option<Extent>, FrameError> {
        let len = frame_len(received)?;
        Ok(len.map(|len| Extent::new(HEADER, len - HEADER, 0)))
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (payload, max) = (thousands(self.payload.into()), thousands(MAX_PAYLOAD as u64));
        write!(f, "frame of length {payload} (1 to {max} is allowed)")
    }
}

impl std::error::Error for FrameError {}
