//! The command: `cargo run --release -p poolbuf-soak -- --help`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::panic;
use std::process::{self, ExitCode};

use poolbuf_soak::options::{HELP, Options};
use poolbuf_soak::program;
use poolbuf_support::output::{FAILED, complain, exit_code, print};

fn main() -> ExitCode {
    exit_code(run())
}

fn run() -> Result<bool, Box<dyn Error>> {
    let Some(options) = Options::parse(std::env::args_os().skip(1))? else {
        print(HELP);
        return Ok(true);
    };
    end_with_a_panic(options.seed);
    Ok(program::run(&options, FAILED.into()))
}

/// Lets a panic on any thread end the program, whatever the other threads do.
fn end_with_a_panic(seed: u64) {
    let print_panic = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print_panic(info);
        complain(&format!("a check failed (seed {seed})"));
        process::exit(FAILED.into());
    }));
}
