//! What the game server must make of any bytes: a decoder of its own, as the server has another. Two that agree on
//! every input are hardly both wrong.
#![forbid(unsafe_code)]

/// The largest payload that the protocol allows.
const LARGEST: u32 = 32_768;

/// How the connection of a client ends that sends some bytes and then no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Between two frames, as it should.
    Whole,
    /// A frame is of a length that is not allowed.
    Refused { length: u32 },
    /// In the middle of a frame.
    Cut,
}

/// How many of the bytes are sent back, which are whole frames from the start on, and how it ends.
pub fn answered(sent: &[u8]) -> (usize, Ending) {
    let mut answered = 0;
    loop {
        let rest = &sent[answered..];
        let [a, b, c, d, payload @ ..] = rest else {
            let ending = if rest.is_empty() { Ending::Whole } else { Ending::Cut };
            return (answered, ending);
        };
        let length = u32::from_le_bytes([*a, *b, *c, *d]);
        if length == 0 || length > LARGEST {
            return (answered, Ending::Refused { length });
        }
        if payload.len() < length as usize {
            return (answered, Ending::Cut);
        }
        answered += 4 + length as usize;
    }
}
