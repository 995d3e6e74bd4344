//! One run: a server process and its players, and what both say about it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use poolbuf_support::process::{Process, Said};
use poolbuf_support::usage::{cpu_nanos, resident_bytes};

use crate::figures::Figures;
use crate::players::{Moment, PlayersConfig};
use crate::servers::ServerConfig;
use crate::strategy::{Runtime, Strategy};

/// Messages that are out at any time, where not all players' are.
pub const IN_FLIGHT: usize = 64;

/// Buffers of every pool, where there are players enough to want that many.
pub const BUFFERS: usize = 256;

/// How long a process may take to start, or to answer at the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the server's memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub runtime: Runtime,
    pub strategy: Strategy,
    pub message: usize,
    pub connections: usize,
    pub load: Load,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// So many messages as [`IN_FLIGHT`] says are out.
    Usual,
    /// Every player's message is out, and each waits a turn before it is answered.
    AllAtOnce,
}

/// What was measured in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub per_second: f64,
    pub p50_nanos: f64,
    pub p99_nanos: f64,
    /// The server's own, for each message; where the system says it.
    pub cpu_nanos: Option<f64>,
    /// The server's most while it was counted; where the system says it.
    pub resident: Option<f64>,
    /// Requests that waited for a buffer.
    pub waits: u64,
    /// The most buffers that were lent at once.
    pub high_water: u64,
    pub failures: u64,
    pub differences: u64,
    /// What does the server's I/O.
    pub driver: String,
}

impl Cell {
    /// Buffers of the server's pool: fewer than players, where all of them send at once.
    pub fn buffers(&self) -> usize {
        match self.load {
            Load::Usual => BUFFERS,
            Load::AllAtOnce => BUFFERS.min(self.connections.div_ceil(8)),
        }
    }

    /// Runs it once; the error is a line for the user.
    pub fn run(&self, duration: Duration) -> Result<Run, String> {
        let server = ServerConfig {
            runtime: self.runtime,
            strategy: self.strategy,
            message: self.message,
            connections: self.connections,
            buffers: self.buffers(),
            pause: self.load == Load::AllAtOnce,
        };
        let mut server = start(&server.arguments())?;
        let line = expect_line(&server, "the server did not start")?;
        let malformed = || format!("the server says {line:?}");
        let (address, driver) = line.split_once(' ').ok_or_else(malformed)?;
        let players = PlayersConfig {
            server: address.parse().map_err(|_| malformed())?,
            connections: self.connections,
            in_flight: match self.load {
                Load::Usual => IN_FLIGHT.min(self.connections),
                Load::AllAtOnce => self.connections,
            },
            message: self.message,
            warm_up: (duration / 5).max(Duration::from_millis(100)),
            duration,
        };
        let watched = watch(&server, &start(&players.arguments())?, duration)?;
        server.close_input();
        let line = expect_line(&server, "the server did not end")?;
        let malformed = || format!("the server says {line:?}");
        let (waits, high_water) = line.split_once(' ').ok_or_else(malformed)?;
        let figures = watched.figures;
        Ok(Run {
            per_second: figures.messages as f64 / figures.seconds,
            p50_nanos: figures.p50_nanos as f64,
            p99_nanos: figures.p99_nanos as f64,
            cpu_nanos: watched
                .cpu_nanos
                .map(|nanos| nanos as f64 / figures.messages.max(1) as f64),
            resident: watched.resident.map(|bytes| bytes as f64),
            waits: waits.parse().map_err(|_| malformed())?,
            high_water: high_water.parse().map_err(|_| malformed())?,
            failures: figures.failures,
            differences: figures.differences,
            driver: driver.to_owned(),
        })
    }
}

/// How the players' process says what happens.
pub fn moment_line(moment: Moment) -> &'static str {
    match moment {
        Moment::Counting => "counting",
        Moment::Over => "over",
    }
}

/// What came of the players, and what the server took while it counted.
struct Watched {
    figures: Figures,
    cpu_nanos: Option<u64>,
    resident: Option<u64>,
}

/// Looks at the server until the players are through.
fn watch(server: &Process, players: &Process, duration: Duration) -> Result<Watched, String> {
    let mut deadline = Instant::now() + PATIENCE;
    let mut cpu_before = None;
    let mut cpu_nanos_meanwhile = None;
    let mut resident = None;
    let mut counting = false;
    loop {
        if Instant::now() >= deadline {
            return Err("the players did not come to an end".to_owned());
        }
        let said = players.line(LOOK);
        if counting {
            resident = resident.max(resident_bytes(server.id()));
        }
        match said {
            Said::Nothing => {}
            Said::End => return Err("the players did not play".to_owned()),
            Said::Line(line) if line == moment_line(Moment::Counting) => {
                deadline = Instant::now() + duration + PATIENCE;
                cpu_before = cpu_nanos(server.id());
                resident = resident_bytes(server.id());
                counting = true;
            }
            Said::Line(line) if line == moment_line(Moment::Over) => {
                let after = cpu_nanos(server.id());
                cpu_nanos_meanwhile = after
                    .zip(cpu_before)
                    .map(|(after, before)| after.saturating_sub(before));
                counting = false;
            }
            Said::Line(line) => {
                return Ok(Watched {
                    figures: line.parse()?,
                    cpu_nanos: cpu_nanos_meanwhile,
                    resident,
                });
            }
        }
    }
}

/// Starts this program once more; the error is a line for the user.
fn start(arguments: &[String]) -> Result<Process, String> {
    Process::start_self(arguments).map_err(|error| error.to_string())
}

fn expect_line(process: &Process, otherwise: &str) -> Result<String, String> {
    match process.line(PATIENCE) {
        Said::Line(line) => Ok(line),
        Said::Nothing | Said::End => Err(otherwise.to_owned()),
    }
}
