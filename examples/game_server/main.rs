//! A game server whose every receive and send is on a buffer of a pool, with its players:
//!
//! ```text
//! cargo run --release --example game_server -- --help
//! ```
//!
//! Where to read first: `connection.rs` is how a server uses the pools, `pools.rs` how they are made, and
//! `server.rs` how completion-based I/O is spread over the cores and brought to a clean end. The rest is
//! what it takes to watch them work.

mod chart;
mod connection;
mod frame;
mod history;
mod metrics;
mod metrics_server;
mod numbers;
mod options;
mod players;
mod pools;
mod program;
// The soak uses more of it.
#[allow(dead_code)]
mod random;
mod report;
mod screen;
mod server;
mod snapshot;
mod watch;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use compio::runtime::Runtime;

use options::Options;
use program::Event;
use server::Log;

/// The run is over, and something was wrong.
const FAILED: u8 = 1;
/// There was no run.
const COULD_NOT_START: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print(options::HELP.to_owned());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&error);
            return ExitCode::from(COULD_NOT_START);
        }
    };
    if options.watch {
        if let Err(error) = watch::check_terminal(std::io::stdout().is_terminal()) {
            complain(&error);
            return ExitCode::from(COULD_NOT_START);
        }
    }
    let (sender, events) = mpsc::channel();
    let interrupts = sender.clone();
    thread::spawn(move || {
        if let Err(error) = forward_interrupts(&interrupts) {
            complain(&format!("cannot catch Ctrl-C: {error}"));
        }
    });
    let log: Log = Arc::new(|line| complain(&line));
    match program::run(&options, (sender, events), &log, &mut print) {
        Ok(report) => {
            print(format!("\n{report}"));
            let problems = report.problems();
            for problem in &problems {
                complain(problem);
            }
            if problems.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FAILED)
            }
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(COULD_NOT_START)
        }
    }
}

/// Tells of every Ctrl-C, from a thread of its own.
fn forward_interrupts(events: &mpsc::Sender<Event>) -> std::io::Result<()> {
    Runtime::new()?.block_on(async {
        loop {
            compio::signal::ctrl_c().await?;
            if events.send(Event::Interrupted).is_err() {
                return Ok(());
            }
        }
    })
}

/// A line on standard output. That it may be closed, as by `| head`, is no reason to stop.
fn print(line: String) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
