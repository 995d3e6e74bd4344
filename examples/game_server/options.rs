//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::numbers::thousands;
use crate::pools::PoolKind;

pub(crate) const HELP: &str = "\
A game server on completion-based I/O, every receive and send on a buffer of a pool, and its players.

cargo run --release --example game_server -- [OPTIONS]

  --players N        players, and the size of the pools [1000]
  --seconds S        how long they play [10]
  --pool KIND        buffer, aligned, lock-free or multi-size [buffer]
  --serve IP:PORT    the server alone, until Ctrl-C
  --connect IP:PORT  the players alone, with a server that runs elsewhere
  --timeout S        seconds that a client has to send a whole frame, and to take its answer [5]
  --watch            a live view on the terminal instead of lines; q or Ctrl-C ends the run
  --metrics IP:PORT  serves the figures in Prometheus' text format, at /metrics
  --history FILE.csv writes the figures, a line a second, and charts of them to FILE.svg beside it
  --help             this text

Exit status: 0 all well; 1 a byte differed, a buffer did not come back, or a connection failed;
2 could not start.";

/// More would need more ports than one address has.
const MAX_PLAYERS: usize = 25_000;
const DAY: f64 = 86_400.0;

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) players: usize,
    pub(crate) duration: Duration,
    pub(crate) pool: PoolKind,
    pub(crate) time_limit: Duration,
    /// Whether to draw a screen instead of printing lines.
    pub(crate) watch: bool,
    /// Where to serve the metrics.
    pub(crate) metrics: Option<SocketAddr>,
    /// The CSV file of the history.
    pub(crate) history: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Server and players in this process.
    Both,
    Serve(SocketAddr),
    Connect(SocketAddr),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            mode: Mode::Both,
            players: 1000,
            duration: Duration::from_secs(10),
            pool: PoolKind::Buffer,
            time_limit: Duration::from_secs(5),
            watch: false,
            metrics: None,
            history: None,
        }
    }
}

impl Options {
    /// Parses the arguments behind the program's name; `None` when help is asked for. The error is a line
    /// for the user.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Options>, String> {
        let mut options = Options::default();
        let mut seen: Vec<String> = Vec::new();
        let mut arguments = arguments.into_iter().map(|argument| {
            let lossy = |argument: OsString| format!("{argument:?} is not Unicode");
            argument.into_string().map_err(lossy)
        });
        while let Some(argument) = arguments.next() {
            let argument = argument?;
            // `--name value` or `--name=value`.
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            match name.as_str() {
                "--help" | "-h" => return Ok(None),
                "--watch" => {
                    if value.is_some() {
                        return Err("--watch takes no value: see --help".to_owned());
                    }
                    if options.watch {
                        return Err("--watch is given twice".to_owned());
                    }
                    options.watch = true;
                    seen.push(name);
                    continue;
                }
                "--players" | "--seconds" | "--pool" | "--serve" | "--connect" | "--timeout"
                | "--metrics" | "--history" => {}
                _ => return Err(format!("unknown option {name:?}: see --help")),
            }
            let value = match value {
                Some(value) => value,
                None => arguments
                    .next()
                    .ok_or_else(|| format!("{name} needs a value: see --help"))??,
            };
            if seen.contains(&name) {
                return Err(format!("{name} is given twice"));
            }
            match name.as_str() {
                "--players" => options.players = players(&value)?,
                "--seconds" => options.duration = seconds(&name, &value)?,
                "--pool" => options.pool = pool(&value)?,
                "--serve" => options.mode = Mode::Serve(address(&name, &value)?),
                "--connect" => options.mode = Mode::Connect(address(&name, &value)?),
                "--metrics" => options.metrics = Some(address(&name, &value)?),
                "--history" => options.history = Some(csv_file(&value)?),
                _ => options.time_limit = seconds(&name, &value)?,
            }
            seen.push(name);
        }

        let given = |name: &str| seen.iter().any(|seen| seen == name);
        // What only the other side has a use for is a mistake.
        for (mode, strangers) in [
            ("--serve", &["--connect", "--seconds"][..]),
            (
                "--connect",
                &["--pool", "--timeout", "--watch", "--metrics", "--history"][..],
            ),
        ] {
            for stranger in strangers {
                if given(mode) && given(stranger) {
                    return Err(format!("{stranger} does not go with {mode}: see --help"));
                }
            }
        }
        Ok(Some(options))
    }
}

fn players(value: &str) -> Result<usize, String> {
    let players = value.parse().ok();
    players
        .filter(|players| (1..=MAX_PLAYERS).contains(players))
        .ok_or_else(|| {
            let max = thousands(MAX_PLAYERS as u64);
            format!("--players {value:?}: a whole number from 1 to {max} is allowed")
        })
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = value.parse().ok();
    seconds
        .filter(|seconds| (0.001..=DAY).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{name} {value:?}: seconds from 0.001 to 86400 are allowed"))
}

fn pool(value: &str) -> Result<PoolKind, String> {
    let named = |kind: &PoolKind| kind.name() == value;
    PoolKind::ALL.into_iter().find(named).ok_or_else(|| {
        let names = PoolKind::ALL.map(PoolKind::name).join(", ");
        format!("--pool {value:?}: one of {names} is allowed")
    })
}

/// A file of that extension: its charts are in another beside it, which only the extension tells apart.
fn csv_file(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.extension().is_some_and(|extension| extension == "csv") {
        return Ok(path);
    }
    Err(format!(
        "--history {value:?}: a file whose name ends in .csv is needed"
    ))
}

fn address(name: &str, value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| {
        format!("{name} {value:?}: an address and a port are needed, such as 127.0.0.1:7000")
    })
}
