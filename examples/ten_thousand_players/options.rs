//! The command line: the user's, and the one on which this program starts itself as server and players.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use crate::players::PlayersConfig;
use crate::servers::ServerConfig;
use crate::strategy::{BUFFER, Runtime, Strategy};

pub(crate) const HELP: &str = "\
A server with up to 10,000 players, by how its connections come by their buffers: throughput, response times
and resident memory, on tokio and on compio. Server and players are processes of their own.

cargo run --release --example ten_thousand_players -- [OPTIONS]

  --connections N,N  numbers of players [100,1000,10000]
  --rounds N         runs of each kind, of which the median counts [7]
  --seconds S        how long each run counts [1]
  --quick            100 players, 1 round, 0.5 seconds: whether it all works
  --write            put the tables into README.md
  --help             this text

Exit status: 0 all well; 1 a byte differed or a request failed; 2 could not run.";

/// More would need more ports than one address has.
const MAX_CONNECTIONS: usize = 25_000;

/// How this program is told to be the server.
const SERVER: &str = "as-server";
/// How this program is told to be the players.
const PLAYERS: &str = "as-players";

/// What this process is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Role {
    Help,
    Table(Options),
    Server(ServerConfig),
    Players(PlayersConfig),
}

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// In ascending order.
    pub(crate) connections: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) write: bool,
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
    pub(crate) fn quick() -> Self {
        Options {
            connections: vec![100],
            rounds: 1,
            duration: Duration::from_millis(500),
            write: false,
        }
    }

    /// The most players at once.
    pub(crate) fn most_connections(&self) -> usize {
        self.connections.last().copied().unwrap_or(1)
    }
}

impl Role {
    /// Parses the arguments behind the program's name. The error is a line for the user.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Role, String> {
        let lossy = |argument: OsString| format!("{argument:?} is not Unicode");
        let arguments: Result<Vec<String>, String> = arguments
            .into_iter()
            .map(|argument| argument.into_string().map_err(lossy))
            .collect();
        let arguments = arguments?;
        match arguments.split_first() {
            Some((role, rest)) if role == SERVER => server(rest).map(Role::Server),
            Some((role, rest)) if role == PLAYERS => players(rest).map(Role::Players),
            _ => table(&arguments),
        }
    }
}

fn table(arguments: &[String]) -> Result<Role, String> {
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let mut options = if given("--quick") {
        Options::quick()
    } else {
        Options::default()
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        // `--name value` or `--name=value`.
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        match (name, value) {
            ("--help" | "-h", None) => return Ok(Role::Help),
            ("--quick", None) => {}
            ("--write", None) => options.write = true,
            ("--connections" | "--rounds" | "--seconds", _) => {
                let value = match value {
                    Some(value) => value,
                    None => arguments
                        .next()
                        .ok_or_else(|| format!("{name} needs a value: see --help"))?,
                };
                match name {
                    "--connections" => options.connections = connections(value)?,
                    "--rounds" => options.rounds = rounds(value)?,
                    _ => options.duration = seconds(value)?,
                }
            }
            _ => return Err(format!("unknown option {argument:?}: see --help")),
        }
        if seen.contains(&name) {
            return Err(format!("{name} is given twice"));
        }
        seen.push(name);
    }
    // What others would take for the result of the command as it is documented.
    if options.write && seen.len() > 1 {
        return Err("--write goes with no other option: see --help".to_owned());
    }
    Ok(Role::Table(options))
}

fn connections(value: &str) -> Result<Vec<usize>, String> {
    let numbers: Option<Vec<usize>> = value.split(',').map(|word| word.parse().ok()).collect();
    let allowed = |numbers: &Vec<usize>| {
        numbers
            .iter()
            .all(|number| (1..=MAX_CONNECTIONS).contains(number))
    };
    let mut numbers = numbers.filter(allowed).ok_or_else(|| {
        format!(
            "--connections {value:?}: whole numbers from 1 to 25,000 are allowed, such as 100,1000"
        )
    })?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

fn rounds(value: &str) -> Result<usize, String> {
    let rounds = value.parse().ok();
    rounds
        .filter(|rounds| (1..=99).contains(rounds))
        .ok_or_else(|| format!("--rounds {value:?}: a whole number from 1 to 99 is allowed"))
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = value.parse().ok();
    seconds
        .filter(|seconds| (0.01..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("--seconds {value:?}: seconds from 0.01 to 3600 are allowed"))
}

impl ServerConfig {
    /// The command line of such a server.
    pub(crate) fn arguments(&self) -> Vec<String> {
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

fn server(arguments: &[String]) -> Result<ServerConfig, String> {
    let [runtime, strategy, message, connections, buffers, pause] = arguments else {
        return Err(format!("{SERVER} is for this program itself: see --help"));
    };
    let runtimes = Runtime::ALL.into_iter();
    let strategies = Strategy::ALL.into_iter();
    let config = ServerConfig {
        runtime: known(runtime, runtimes.map(|it| (it.name(), it)))?,
        strategy: known(strategy, strategies.map(|it| (it.name(), it)))?,
        message: value(message)?,
        connections: value(connections)?,
        buffers: value(buffers)?,
        pause: value(pause)?,
    };
    if !(1..=BUFFER).contains(&config.message) {
        return Err(format!("messages have 1 to {BUFFER} bytes"));
    }
    Ok(config)
}

impl PlayersConfig {
    /// The command line of such players.
    pub(crate) fn arguments(&self) -> Vec<String> {
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

fn players(arguments: &[String]) -> Result<PlayersConfig, String> {
    let [server, connections, in_flight, message, warm_up, duration] = arguments else {
        return Err(format!("{PLAYERS} is for this program itself: see --help"));
    };
    Ok(PlayersConfig {
        server: value(server)?,
        connections: value(connections)?,
        in_flight: value(in_flight)?,
        message: value(message)?,
        warm_up: Duration::from_millis(value(warm_up)?),
        duration: Duration::from_millis(value(duration)?),
    })
}

fn known<T>(name: &str, all: impl Iterator<Item = (&'static str, T)>) -> Result<T, String> {
    let mut named = all.filter(|(its, _)| *its == name);
    let (_, it) = named
        .next()
        .ok_or_else(|| format!("{name:?} is not known: see --help"))?;
    Ok(it)
}

fn value<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse()
        .map_err(|_| format!("{word:?} is not valid here: see --help"))
}
