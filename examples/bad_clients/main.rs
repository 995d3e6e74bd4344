//! Clients that no server wants, and whether two of the examples' servers withstand them:
//!
//! ```text
//! cargo run --release --example bad_clients -- --help
//! ```
//!
//! Where to read first: `strategy.rs` says what they do, `corpus.rs` what they send, and `checks.rs` what must
//! hold of the server when they have gone. The servers are those of the examples `game_server` and
//! `tokio_server`, each in a process of its own; the rest is what it takes to attack them and to look at them.
#![forbid(unsafe_code)]

mod aborts;
mod attacker;
mod checks;
// The tests use more of it.
#[allow(dead_code)]
mod corpus;
mod figures;
mod floods;
mod good_player;
mod kind;
mod malformed;
mod mutation;
// The game server uses more of it.
#[allow(dead_code)]
#[path = "../game_server/numbers.rs"]
mod numbers;
mod options;
// The ten thousand players use more of it.
#[allow(dead_code)]
#[path = "../ten_thousand_players/process.rs"]
mod process;
mod program;
// The soak uses more of it.
#[allow(dead_code)]
#[path = "../game_server/random.rs"]
mod random;
mod report;
// The game server uses more of it.
#[allow(dead_code)]
#[path = "../game_server/server/mod.rs"]
mod server;
mod serving;
mod siege;
mod slow;
mod strategy;
mod tally;
// The game server uses more of it.
mod target;
#[allow(dead_code)]
#[path = "../game_server/times.rs"]
mod times;
// The example has clients of its own.
#[allow(dead_code)]
#[path = "../tokio_server.rs"]
mod tokio_server;
// The ten thousand players use more of it.
#[allow(dead_code)]
#[path = "../ten_thousand_players/usage.rs"]
mod usage;

use std::io::Write;
use std::process::{Command, ExitCode};

use options::{Options, Role};
use program::Attack;

/// The servers were attacked, and a check failed.
const FAILED: u8 = 1;
/// There was no attack.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let done = Role::parse(std::env::args_os().skip(1)).and_then(|role| match role {
        Role::Help => {
            print(options::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Role::Server(kind) => {
            let figures = serving::serve_as_process(kind)?;
            print(&figures.to_string());
            Ok(match figures.lost() {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(FAILED),
            })
        }
        Role::Attack(options) => attack(&options),
    });
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(COULD_NOT_RUN)
    })
}

fn attack(options: &Options) -> Result<ExitCode, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("cannot start this program once more: {error}"))?;
    let mut attack = Attack::for_seconds(options.duration / options.kinds.len() as u32);
    attack.seed = options.seed;
    program::raise_descriptors(&attack)?;

    let mut faults = 0;
    for &kind in &options.kinds {
        let mut command = Command::new(&program);
        command.args(kind.arguments());
        let report = program::run(&attack, kind, command, &|line| print(line))?;
        print(&format!("\n{report}\n"));
        for fault in &report.faults {
            complain(&format!(
                "{}: {fault} (--seed {})",
                kind.title(),
                options.seed
            ));
        }
        faults += report.faults.len();
    }
    Ok(match faults {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    })
}

/// A line on standard output. That it may be closed, as by `| head`, is no reason to stop.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
