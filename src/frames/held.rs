//! What was received and not yet taken: in a buffer, or carried without one.
#![forbid(unsafe_code)]

use super::carry::Carry;
use crate::pooled_buf::PooledBuf;

pub(super) enum Held {
    Carried(Carry),
    InBuffer(PooledBuf),
}

impl Held {
    pub(super) const NOTHING: Held = Held::Carried(Carry::EMPTY);

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Held::Carried(carry) => carry.bytes(),
            Held::InBuffer(buf) => buf,
        }
    }

    /// Removes the first `bytes` bytes, or all when there are no more. Moves nothing.
    pub(super) fn consume(&mut self, bytes: usize) {
        match self {
            Held::Carried(carry) => carry.consume(bytes),
            Held::InBuffer(buf) => buf.consume(bytes),
        }
    }
}
