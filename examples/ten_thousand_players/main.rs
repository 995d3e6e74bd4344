//! A server with 10,000 players, by how its connections come by their buffers:
//!
//! ```text
//! cargo run --release --example ten_thousand_players -- --help
//! ```
//!
//! Where to read first: `servers/tokio.rs` and `servers/compio.rs` are the four ways on each runtime, `pooled`
//! the one to take. The rest is what it takes to measure them.
#![forbid(unsafe_code)]

mod cores;
mod figures;
mod measure;
// The game server uses more of it.
#[allow(dead_code)]
#[path = "../game_server/numbers.rs"]
mod numbers;
mod options;
mod players;
// The bad clients use more of it.
#[allow(dead_code)]
mod process;
mod program;
mod readme;
mod report;
mod results;
mod servers;
mod strategy;
mod targets;
// The bad clients use more of it.
#[allow(dead_code)]
mod usage;

use std::io::Write;
use std::process::ExitCode;

use cores::Side;
use options::{Options, Role};
use players::PlayersConfig;

/// A request failed, or a byte differed.
const FAILED: u8 = 1;
/// There are no results.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let done = Role::parse(std::env::args_os().skip(1)).and_then(|role| match role {
        Role::Help => {
            print(options::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Role::Table(options) => table(&options),
        Role::Server(config) => {
            program::raise_descriptors(config.connections)?;
            cores::keep_to(Side::Server);
            servers::serve_as_process(config)?;
            Ok(ExitCode::SUCCESS)
        }
        Role::Players(config) => play(&config),
    });
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(COULD_NOT_RUN)
    })
}

fn table(options: &Options) -> Result<ExitCode, String> {
    // The server and the players are processes of their own, with this one's limits.
    program::raise_descriptors(options.most_connections())?;
    let report = program::measure(options, &complain)?;
    let text = report.markdown();
    print(&text);
    if options.write {
        readme::write(&text)?;
    }
    match report.faults() {
        0 => Ok(ExitCode::SUCCESS),
        faults => {
            complain(&format!("{faults} connections failed or answers differed"));
            Ok(ExitCode::from(FAILED))
        }
    }
}

fn play(config: &PlayersConfig) -> Result<ExitCode, String> {
    program::raise_descriptors(config.connections)?;
    cores::keep_to(Side::Players);
    let figures = players::play(config, |moment| print(measure::moment_line(moment)))?;
    print(&figures.to_string());
    Ok(ExitCode::SUCCESS)
}

/// A line on standard output. That it may be closed, as by `| head`, is no reason to stop.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
