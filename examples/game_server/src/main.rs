//! A game server whose every receive and send is on a buffer of a pool, with its players:
//!
//! ```text
//! cargo run --release -p poolbuf-game-server -- --help
//! ```
//!
//! The server is in `server/`, to be read in this order: `mod.rs` (accepting, spreading over the cores,
//! stopping), `connection.rs` (how a server uses the pools), `pools.rs` (how they are made), `frame.rs` (the
//! wire format). The rest is what it takes to watch it work: `players.rs` is its load, `report/` is what is
//! seen of it, and `program.rs` puts the three together as `options.rs` says.
#![forbid(unsafe_code)]

mod options;
mod program;

mod players;
mod report;
mod server;

#[path = "../../shared/accept.rs"]
mod accept;
#[path = "../../shared/give_way.rs"]
mod give_way;
mod times;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use compio::runtime::Runtime;

use options::Options;
use program::Event;
use report::summary::Report;
use report::watch;
use server::Log;

fn main() -> ExitCode {
    match run() {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        // The run is over, and something was wrong.
        Ok(problems) => {
            problems.iter().for_each(|problem| complain(problem));
            ExitCode::from(1)
        }
        // There was no run.
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Does what the command line says; returns what went wrong in the end, or why there was no run, as lines
/// for the user.
fn run() -> Result<Vec<String>, String> {
    let Some(options) = Options::parse(std::env::args_os().skip(1))? else {
        print(options::HELP.to_owned());
        return Ok(Vec::new());
    };
    if options.watch {
        watch::check_terminal(io::stdout().is_terminal())?;
    }
    let (sender, events) = mpsc::channel();
    let interrupts = sender.clone();
    thread::spawn(move || {
        if let Err(error) = forward_interrupts(&interrupts) {
            complain(&format!("cannot catch Ctrl-C: {error}"));
        }
    });
    let log: Log = Arc::new(|line| complain(&line));
    let report: Report = program::run(&options, (sender, events), &log, &mut print)?;
    print(format!("\n{report}"));
    Ok(report.problems())
}

/// Tells of every Ctrl-C, from a thread of its own.
fn forward_interrupts(events: &mpsc::Sender<Event>) -> io::Result<()> {
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
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line on standard error.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
