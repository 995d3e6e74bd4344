//! The command line: the user's, and the one on which this program starts itself as server and players.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use poolbuf_support::options::{Known, OptionError};

use crate::players::PlayersConfig;
use crate::servers::ServerConfig;
use crate::strategy::{BUFFER, Runtime, Strategy};

pub const HELP: &str = "\
A server with up to 10,000 players, by how its connections come by their buffers: throughput, response times
and resident memory, on tokio and on compio. Server and players are processes of their own.

cargo run --release -p poolbuf-ten-thousand-players -- [OPTIONS]

  --connections N,N  numbers of players [100,1000,10000]
  --rounds N         runs of each kind, of which the median counts [7]
  --seconds S        how long each run counts [1]
  --quick            100 players, 1 round, 0.5 seconds: whether it all works
  --write            put the tables into docs/BENCHMARKS.md
  --help             this text

Exit status: 0 all well; 1 a byte differed or a request failed; 2 could not run.";

const KNOWN: Known = Known {
    valued: &["--connections", "--rounds", "--seconds"],
    flags: &["--quick", "--write", "--help"],
};

/// More would need more ports than one address has.
const MAX_CONNECTIONS: usize = 25_000;

/// How this program is told to be the server.
const SERVER: &str = "as-server";
/// How this program is told to be the players.
const PLAYERS: &str = "as-players";

/// What this process is.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    Help,
    Table(Options),
    Server(ServerConfig),
    Players(PlayersConfig),
}

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// In ascending order.
    pub connections: Vec<usize>,
    pub rounds: usize,
    pub duration: Duration,
    pub write: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connections: vec![100, 1000, 10_000],
            rounds: 7,
            duration: Duration::from_secs(1),
            write: false,
        }
    }
}

impl Options {
    /// What `--quick` stands for.
    pub fn quick() -> Self {
        Options {
            connections: vec![100],
            rounds: 1,
            duration: Duration::from_millis(500),
            write: false,
        }
    }

    /// The most players at once.
    pub fn most_connections(&self) -> usize {
        self.connections.last().copied().unwrap_or(1)
    }
}

impl Role {
    /// Parses the arguments behind the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Role, OptionError> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
        match words.split_first() {
            Some((&SERVER, rest)) => internal(SERVER, rest, server(rest)).map(Role::Server),
            Some((&PLAYERS, rest)) => internal(PLAYERS, rest, players(rest)).map(Role::Players),
            _ => table(arguments),
        }
    }
}

fn table(arguments: Vec<OsString>) -> Result<Role, OptionError> {
    let mut parsed = match arguments.iter().any(|argument| argument == "--quick") {
        true => Options::quick(),
        false => Options::default(),
    };
    let mut options = poolbuf_support::options::Options::new(KNOWN, arguments);
    while let Some(name) = options.next_name()? {
        match name {
            "--connections" => {
                let allowed = "whole numbers from 1 to 25,000, such as 100,1000";
                parsed.connections = options.value(allowed, connections)?;
            }
            "--rounds" => parsed.rounds = options.number(1..=99)?,
            "--seconds" => parsed.duration = options.seconds(0.01..=3600.0)?,
            "--write" => parsed.write = true,
            "--quick" => {}
            _ => return Ok(Role::Help),
        }
    }
    // A reader would take the tables for those of the command as it is documented.
    options.alone("--write")?;
    Ok(Role::Table(parsed))
}

fn connections(value: &str) -> Option<Vec<usize>> {
    let numbers: Option<Vec<usize>> = value.split(',').map(|word| word.parse().ok()).collect();
    let allowed = |number: &usize| (1..=MAX_CONNECTIONS).contains(number);
    let mut numbers = numbers.filter(|numbers| numbers.iter().all(allowed))?;
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

/// What was parsed of a command line on which this program starts itself.
fn internal<T>(name: &'static str, rest: &[&str], parsed: Option<T>) -> Result<T, OptionError> {
    parsed.ok_or_else(|| OptionError::NotAllowed {
        name,
        value: rest.join(" "),
        allowed: "what this program starts itself with".to_owned(),
    })
}

impl ServerConfig {
    /// The command line of such a server.
    pub fn arguments(&self) -> Vec<String> {
        vec![
            SERVER.to_owned(),
            self.runtime.name().to_owned(),
            self.strategy.name().to_owned(),
            self.message.to_string(),
            self.connections.to_string(),
            self.buffers.to_string(),
            self.pause.to_string(),
        ]
    }
}

fn server(arguments: &[&str]) -> Option<ServerConfig> {
    let [runtime, strategy, message, connections, buffers, pause] = arguments else {
        return None;
    };
    let config = ServerConfig {
        runtime: Runtime::ALL.into_iter().find(|it| it.name() == *runtime)?,
        strategy: Strategy::ALL.into_iter().find(|it| it.name() == *strategy)?,
        message: value(message)?,
        connections: value(connections)?,
        buffers: value(buffers)?,
        pause: value(pause)?,
    };
    (1..=BUFFER).contains(&config.message).then_some(config)
}

impl PlayersConfig {
    /// The command line of such players.
    pub fn arguments(&self) -> Vec<String> {
        vec![
            PLAYERS.to_owned(),
            self.server.to_string(),
            self.connections.to_string(),
            self.in_flight.to_string(),
            self.message.to_string(),
            self.warm_up.as_millis().to_string(),
            self.duration.as_millis().to_string(),
        ]
    }
}

fn players(arguments: &[&str]) -> Option<PlayersConfig> {
    let [server, connections, in_flight, message, warm_up, duration] = arguments else {
        return None;
    };
    Some(PlayersConfig {
        server: value(server)?,
        connections: value(connections)?,
        in_flight: value(in_flight)?,
        message: value(message)?,
        warm_up: Duration::from_millis(value(warm_up)?),
        duration: Duration::from_millis(value(duration)?),
    })
}

fn value<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}
