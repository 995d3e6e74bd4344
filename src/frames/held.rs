//! What was received and not yet taken: in a buffer, or carried without one.
#![forbid(unsafe_code)]

use super::carry::Carry;
use crate::PooledBuf;

pub(super) enum HeldBytes {
    Carried(Carry),
    InBuffer(PooledBuf),
}

impl HeldBytes {
    pub(super) const NOTHING: HeldBytes = HeldBytes::Carried(Carry::EMPTY);

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            HeldBytes::Carried(carry) => carry.bytes(),
            HeldBytes::InBuffer(buf) => buf,
        }
    }

    /// Removes the first `bytes` bytes, or all when there are no more. Moves nothing.
    pub(super) fn consume(&mut self, bytes: usize) {
        match self {
            HeldBytes::Carried(carry) => carry.consume(bytes),
            HeldBytes::InBuffer(buf) => buf.consume(bytes),
        }
    }
}
