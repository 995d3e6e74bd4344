//! The start of a frame, carried along without a buffer.
#![forbid(unsafe_code)]

/// Up to how many bytes of a frame that has begun [`Frames`](super::Frames) carries along itself, so that a connection
/// that waits for the rest of them holds no buffer: enough for any header, and for a short message.
pub const CARRIED: usize = 96;

/// A few bytes.
pub(super) struct Carry {
    bytes: [u8; CARRIED],
    /// Of `bytes`, those from `start` up to `end` are carried.
    start: u8,
    end: u8,
}

impl Carry {
    pub(super) const EMPTY: Carry = Carry {
        bytes: [0; CARRIED],
        start: 0,
        end: 0,
    };

    /// `bytes`, if they are so few.
    pub(super) fn of(bytes: &[u8]) -> Option<Carry> {
        let mut carry = Carry::EMPTY;
        carry.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        // At most `CARRIED`.
        carry.end = bytes.len() as u8;
        Some(carry)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start.into()..self.end.into()]
    }

    /// Removes the first `bytes` bytes, or all when there are no more.
    pub(super) fn consume(&mut self, bytes: usize) {
        let len = usize::from(self.end - self.start);
        // At most `CARRIED`.
        self.start += bytes.min(len) as u8;
    }
}
