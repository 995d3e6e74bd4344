//! The servers that are attacked, and what each of them must answer to whatever it is sent.
#![forbid(unsafe_code)]

use crate::malformed;

/// One of the examples' servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// That of the example `game_server`, which sends whole frames back.
    Game,
    /// That of the example `tokio_server`, which sends all bytes back.
    Tokio,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Game, Kind::Tokio];

    /// What the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Game => "game",
            Kind::Tokio => "tokio",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::Game => "game server",
            Kind::Tokio => "tokio server",
        }
    }

    /// What a client that sends `sent` and no more must get, byte for byte; less of it when the connection ends
    /// early, and never anything else.
    pub(crate) fn answer(self, sent: &[u8]) -> &[u8] {
        match self {
            Kind::Game => &sent[..malformed::answered(sent).0],
            Kind::Tokio => sent,
        }
    }
}
