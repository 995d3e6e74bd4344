//! The servers that are attacked: how each is started, and what it must answer to whatever it is sent.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fmt, io};

use serde_json::Value;

use crate::inputs::expected;

/// Descriptors that a server may have: fewer than there are clients in a flood, so that it runs out of them.
const DESCRIPTORS: u64 = 400;

/// Why there is no server to start.
#[derive(Debug)]
pub enum BuildError {
    /// There is no cargo to build it.
    NoCargo(io::Error),
    /// Cargo, which has said why, did not build it.
    Failed(ExitStatus),
}

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

    /// Builds the example, with the profile of this program, and returns what starts it.
    pub fn command(self) -> Result<Command, BuildError> {
        let (package, what, name, arguments) = match self {
            // For 21 players it has 63 buffers in each of its pools, fewer than there are clients. Its time limit is so
            // short that slow clients run into it.
            Kind::Game => (
                "poolbuf-game-server",
                "--bin",
                "poolbuf-game-server",
                "--serve 127.0.0.1:0 --metrics 127.0.0.1:0 --players 21 --timeout 1",
            ),
            Kind::Tokio => ("poolbuf", "--example", "tokio_server", "127.0.0.1:0"),
        };
        let program = build(["--package", package, what, name], name)?;
        let mut command = with_few_descriptors(&program);
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

/// Builds the program that cargo knows by `target`, and returns where it is. Cargo tells on standard error how far it
/// is.
fn build(target: [&str; 4], name: &str) -> Result<PathBuf, BuildError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Under cargo that is where the package is now; it may have been built elsewhere.
    let package = env::var_os("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut build = Command::new(cargo);
    build
        .arg("build")
        .args(target)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(package)
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let output = build.output().map_err(BuildError::NoCargo)?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let path = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == name).then(|| PathBuf::from(path))
    });
    path.filter(|_| output.status.success())
        .ok_or(BuildError::Failed(output.status))
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NoCargo(error) => write!(f, "cannot start cargo: {error}"),
            BuildError::Failed(status) => {
                write!(f, "cargo did not build the server's example ({status})")
            }
        }
    }
}

impl std::error::Error for BuildError {}

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
