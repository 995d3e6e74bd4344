//! The program: all runs of all rounds, so that what is compared follows each other.
#![forbid(unsafe_code)]

use std::thread;

use poolbuf_support::descriptors;
use poolbuf_support::numbers::thousands;

use crate::cores;
use crate::measure::{Load, Run};
use crate::options::Options;
use crate::report::Report;
use crate::results::Group;
use crate::strategy::{Runtime, Strategy};
use crate::targets::title;

/// Bytes of the messages.
const MESSAGES: [usize; 2] = [64, 2048];

/// Descriptors that a process needs beside one for each connection.
const DESCRIPTORS: u64 = 64;

/// Measures what `options` say; `tell` gets lines on how far it is. The error is a line for the user.
pub fn measure(options: &Options, tell: &dyn Fn(&str)) -> Result<Report, String> {
    measure_with(options, tell, &|group, row| group.cell(row).run(options.duration))
}

/// The same, with something else that runs a row of a group once.
pub fn measure_with(
    options: &Options,
    tell: &dyn Fn(&str),
    run: &dyn Fn(&Group, usize) -> Result<Run, String>,
) -> Result<Report, String> {
    let mut groups = groups(options);
    let runs: usize = groups.iter().map(|group| group.rows.len()).sum();
    for round in 0..options.rounds {
        let mut done = 0;
        for group in &mut groups {
            let rows = group.rows.len();
            tell(&format!(
                "round {} of {}, {done} of {runs}: {}",
                round + 1,
                options.rounds,
                title(group),
            ));
            // Another one first in every round.
            for row in (0..rows).map(|row| (row + round) % rows) {
                let its = run(group, row)?;
                group.rows[row].runs.push(its);
                done += 1;
            }
        }
    }
    Ok(Report {
        groups,
        rounds: options.rounds,
        duration: options.duration,
        cores: thread::available_parallelism().map_or(1, usize::from),
        apart: cores::apart(),
    })
}

/// What is compared, in the order of the tables.
fn groups(options: &Options) -> Vec<Group> {
    let mut groups = Vec::new();
    for message in MESSAGES {
        for &connections in &options.connections {
            for runtime in Runtime::ALL {
                groups.push(Group::new(runtime, message, connections, Load::Usual, &Strategy::ALL));
            }
        }
    }
    for message in MESSAGES {
        for runtime in Runtime::ALL {
            groups.push(Group::new(
                runtime,
                message,
                options.most_connections(),
                Load::AllAtOnce,
                &[Strategy::Held, Strategy::Pooled],
            ));
        }
    }
    groups
}

/// Makes sure that this process may have that many connections; the error is a line for the user.
pub fn raise_descriptors(connections: usize) -> Result<(), String> {
    let raised = descriptors::raise(connections as u64 + DESCRIPTORS);
    raised.map_err(|error| {
        let players = thousands(connections as u64);
        format!("{players} players: {error}; or choose fewer --connections")
    })
}
