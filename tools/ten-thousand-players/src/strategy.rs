//! What is compared: how a connection comes by the buffer that it receives into, and on which runtime.
#![forbid(unsafe_code)]

/// Bytes of every buffer, of any strategy.
pub const BUFFER: usize = 8192;

/// How a connection comes by its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// It holds one for as long as it lives.
    Held,
    /// It allocates a `Vec` for each message, before it waits for it.
    PerRead,
    /// It allocates a `Vec` when the socket is readable.
    WhenReadable,
    /// It rents one from a pool when the socket is readable, and waits for it where all are lent.
    Pooled,
}

impl Strategy {
    /// As the tables list them: what the others are compared with, first.
    pub const ALL: [Strategy; 4] = [
        Strategy::Held,
        Strategy::PerRead,
        Strategy::WhenReadable,
        Strategy::Pooled,
    ];

    /// On a command line.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Held => "held",
            Strategy::PerRead => "per-read",
            Strategy::WhenReadable => "when-readable",
            Strategy::Pooled => "pooled",
        }
    }

    /// In a table.
    pub fn title(self) -> &'static str {
        match self {
            Strategy::Held => "(a) held by every connection",
            Strategy::PerRead => "(b) `Vec` for each read",
            Strategy::WhenReadable => "(c) `Vec` when readable",
            Strategy::Pooled => "**rented when readable**",
        }
    }
}

/// What runs the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Tokio,
    Compio,
}

impl Runtime {
    pub const ALL: [Runtime; 2] = [Runtime::Tokio, Runtime::Compio];

    pub fn name(self) -> &'static str {
        match self {
            Runtime::Tokio => "tokio",
            Runtime::Compio => "compio",
        }
    }
}
