//! The command: `cargo run --release -p poolbuf-bad-clients -- --help`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

use poolbuf_bad_clients::options::{HELP, Options};
use poolbuf_bad_clients::program::{self, Attack};
use poolbuf_support::descriptors;
use poolbuf_support::output::{complain, exit_code, print};

fn main() -> ExitCode {
    exit_code(run())
}

fn run() -> Result<bool, Box<dyn Error>> {
    let Some(options) = Options::parse(std::env::args_os().skip(1))? else {
        print(HELP);
        return Ok(true);
    };
    let mut attack = Attack::for_seconds(options.duration / options.kinds.len() as u32);
    attack.seed = options.seed;
    descriptors::raise(attack.descriptors())?;

    let mut faults = 0;
    for kind in options.kinds {
        let command = kind.command()?;
        let report = program::run(&attack, kind, command, &|line| print(line))?;
        print(&format!("\n{report}\n"));
        for fault in &report.faults {
            let seed = options.seed;
            complain(&format!("{}: {fault} (--seed {seed})", kind.title()));
        }
        faults += report.faults.len();
    }
    Ok(faults == 0)
}
