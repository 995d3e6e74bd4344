//! What a holder writes over its bytes, so that it sees when another has written there.
#![forbid(unsafe_code)]

use poolbuf::POISON;

use poolbuf_support::random::mix;

/// A pattern without end that no other stamp has. None of its bytes is 0 or [`POISON`], which is what a fresh buffer
/// may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// Of a random number, which no other stamp has.
    pub fn new(random: u64) -> Self {
        Stamp(random)
    }

    fn byte(self, position: usize) -> u8 {
        // From a `usize`, which is no larger.
        let word = mix(self.0.wrapping_add(position as u64 / 8));
        let byte = word.to_le_bytes()[position % 8];
        byte % (POISON - 1) + 1
    }

    /// Writes over `bytes` what the pattern has from position `from` on.
    pub fn fill(self, from: usize, bytes: &mut [u8]) {
        for (position, byte) in (from..).zip(bytes) {
            *byte = self.byte(position);
        }
    }

    pub fn bytes(self, from: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(from, &mut bytes);
        bytes
    }

    /// Fails if `bytes` are not what the pattern has from position `from` on. `where_from` names their pool.
    pub fn verify(self, from: usize, bytes: &[u8], where_from: &str) {
        let differs = (from..)
            .zip(bytes)
            .find(|(position, byte)| **byte != self.byte(*position));
        if let Some((position, byte)) = differs {
            panic!(
                "another holder wrote {byte:#04x} at byte {} of {} of a buffer of {where_from}",
                position - from,
                bytes.len(),
            );
        }
    }
}

/// Fails if a fresh buffer shows what may be an earlier holder's: anything but 0, and [`POISON`] where the pool
/// writes that.
pub fn verify_clean(bytes: &[u8], poisoned: bool, where_from: &str) {
    let stale = |byte: &u8| *byte != 0 && !(poisoned && *byte == POISON);
    if let Some(position) = bytes.iter().position(stale) {
        panic!(
            "a fresh buffer of {where_from} shows {:#04x}, which an earlier holder wrote, at byte {position} of {}",
            bytes[position],
            bytes.len(),
        );
    }
}
