//! What bad clients do.
#![forbid(unsafe_code)]

/// One way to be a bad client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Frames of the corpus.
    Malformed,
    /// Good frames with bytes flipped, inserted and deleted, and random bytes.
    Mutated,
    /// Many requests, whose answers are never read, or a byte at a time.
    SlowReaders,
    /// A frame a byte at a time, and some that never end.
    SlowWriters,
    /// Hundreds of connections that say nothing.
    IdleFlood,
    /// Hundreds of connections that all say something.
    SendingFlood,
    /// Connections that are reset with an answer on its way.
    Resets,
    /// Clients that say that there is no more to come, before or in the middle of an answer.
    HalfCloses,
    /// Connections that are closed in the middle of a frame.
    CutFrames,
    /// Connections that are closed as soon as they are open.
    ConnectAndClose,
}

impl Strategy {
    pub const ALL: [Strategy; 10] = [
        Strategy::Malformed,
        Strategy::Mutated,
        Strategy::SlowReaders,
        Strategy::SlowWriters,
        Strategy::IdleFlood,
        Strategy::SendingFlood,
        Strategy::Resets,
        Strategy::HalfCloses,
        Strategy::CutFrames,
        Strategy::ConnectAndClose,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Strategy::Malformed => "malformed frames",
            Strategy::Mutated => "mutated frames",
            Strategy::SlowReaders => "slow readers",
            Strategy::SlowWriters => "slow writers",
            Strategy::IdleFlood => "idle flood",
            Strategy::SendingFlood => "sending flood",
            Strategy::Resets => "resets",
            Strategy::HalfCloses => "half-closes",
            Strategy::CutFrames => "cut frames",
            Strategy::ConnectAndClose => "connect and close",
        }
    }
}
