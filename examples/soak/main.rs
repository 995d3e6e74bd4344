//! A soak: threads that do everything that can be done with every pool, at random and all at once, and check what must
//! hold:
//!
//! ```text
//! cargo run --release --example soak -- --help
//! ```
//!
//! Where to read first: `worker.rs` is what a thread does, `held.rs` and `ledger.rs` are what is checked while they all
//! do it, `balance.rs` what is checked when they have come to rest. A check that fails is a panic.
#![forbid(unsafe_code)]

mod balance;
mod gate;
mod held;
mod ledger;
mod memory;
// The game server uses more of it.
#[allow(dead_code)]
#[path = "../game_server/numbers.rs"]
mod numbers;
mod options;
mod output;
mod partings;
mod pools;
mod program;
#[path = "../game_server/random.rs"]
mod random;
mod recycled;
mod requests;
mod resizing;
mod shelf;
mod signal;
mod stamp;
mod tally;
// So does the one with ten thousand players.
#[allow(dead_code)]
#[path = "../ten_thousand_players/usage.rs"]
mod usage;
mod watchdog;
mod worker;

use std::panic;
use std::process::{self, ExitCode};

use options::Options;
use output::{complain, print};

/// A check failed.
const FAILED: u8 = 1;
/// There was no run.
const COULD_NOT_START: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print(options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&error);
            return ExitCode::from(COULD_NOT_START);
        }
    };
    end_with_a_panic(options.seed);
    match program::run(&options, FAILED.into()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    }
}

/// Lets a panic on any thread end the program, however much else is going on.
fn end_with_a_panic(seed: u64) {
    let print_panic = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print_panic(info);
        complain(&format!("a check failed (seed {seed})"));
        process::exit(FAILED.into());
    }));
}
