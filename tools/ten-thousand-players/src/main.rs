//! The command: `cargo run --release -p poolbuf-ten-thousand-players -- --help`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

use poolbuf_support::output::{complain, exit_code, print};
use poolbuf_ten_thousand_players::cores::{self, Side};
use poolbuf_ten_thousand_players::options::{HELP, Options, Role};
use poolbuf_ten_thousand_players::players::{self, PlayersConfig};
use poolbuf_ten_thousand_players::{measure, page, program, servers};

fn main() -> ExitCode {
    exit_code(run())
}

/// Returns whether all answers were right.
fn run() -> Result<bool, Box<dyn Error>> {
    match Role::parse(std::env::args_os().skip(1))? {
        Role::Help => {
            print(HELP);
            Ok(true)
        }
        Role::Table(options) => table(&options),
        Role::Server(config) => {
            program::raise_descriptors(config.connections)?;
            cores::keep_to(Side::Server);
            servers::serve_as_process(config)?;
            Ok(true)
        }
        Role::Players(config) => play(&config),
    }
}

fn table(options: &Options) -> Result<bool, Box<dyn Error>> {
    // The server and the players are processes of their own, with this one's limits.
    program::raise_descriptors(options.most_connections())?;
    let report = program::measure(options, &complain)?;
    let text = report.markdown();
    print(&text);
    if options.write {
        page::write(&text)?;
    }
    let faults = report.faults();
    if faults > 0 {
        complain(&format!("{faults} connections failed or answers differed"));
    }
    Ok(faults == 0)
}

fn play(config: &PlayersConfig) -> Result<bool, Box<dyn Error>> {
    program::raise_descriptors(config.connections)?;
    cores::keep_to(Side::Players);
    let figures = players::play(config, |moment| print(measure::moment_line(moment)))?;
    print(&figures.to_string());
    // That some answers were wrong is for the program to say that started this one.
    Ok(true)
}
