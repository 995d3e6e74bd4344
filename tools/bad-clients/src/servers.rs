//! The servers that are attacked: how each is started, and what it must answer to whatever it is sent.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

use escargot::CargoBuild;
use escargot::error::CargoError;

use crate::inputs::expected;

/// Descriptors that a server may have: fewer than there are clients in a flood, so that it runs out of them.
const DESCRIPTORS: u64 = 400;

/// One of the examples' servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The example `game_server`, which sends whole frames back.
    Game,
    /// The example `tokio_server`, which sends all bytes back.
    Tokio,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Game, Kind::Tokio];

    /// What the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Game => "game",
            Kind::Tokio => "tokio",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Kind::Game => "game server",
            Kind::Tokio => "tokio server",
        }
    }

    /// Builds the example, as this program was built, and returns what starts it.
    pub fn command(self) -> Result<Command, CargoError> {
        let (example, arguments) = match self {
            // For 21 players it has 63 buffers in each of its pools, fewer than there are clients. Its time limit is so
            // short that slow clients run into it.
            Kind::Game => (
                "game_server",
                "--serve 127.0.0.1:0 --metrics 127.0.0.1:0 --players 21 --timeout 1",
            ),
            Kind::Tokio => ("tokio_server", "127.0.0.1:0"),
        };
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let built = CargoBuild::new()
            .manifest_path(manifest)
            .package("poolbuf")
            .example(example)
            .current_release()
            .run()?;
        let mut command = with_few_descriptors(built.path());
        command.args(arguments.split(' '));
        Ok(command)
    }

    /// What a client that sends `sent` and no more must get, byte for byte; less of it when the connection ends
    /// early, and never anything else.
    pub fn answer(self, sent: &[u8]) -> &[u8] {
        match self {
            Kind::Game => &sent[..expected::answered(sent).0],
            Kind::Tokio => sent,
        }
    }
}

/// Starts `program` with a limit of descriptors that makes a flood one. Without such a limit where the system has no
/// shell.
pub fn with_few_descriptors(program: &Path) -> Command {
    if !cfg!(unix) {
        return Command::new(program);
    }
    let mut command = Command::new("sh");
    // If the limit is lower already, that is fine too.
    let script = format!("ulimit -S -n {DESCRIPTORS} 2>/dev/null; exec \"$0\" \"$@\"");
    command.arg("-c").arg(script).arg(program);
    command
}
