//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};
use poolbuf_support::numbers::thousands;

use crate::server::pools::PoolKind;

pub(crate) const HELP: &str = "\
A game server on completion-based I/O, every receive and send on a buffer of a pool, and its players.

cargo run --release -p poolbuf-game-server -- [OPTIONS]

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

/// Each with what is of no use beside it: given together, they are a mistake.
const CONFLICTS: [(&str, &[&str]); 2] = [
    ("serve", &["connect", "seconds"]),
    ("connect", &["pool", "timeout", "watch", "metrics", "history"]),
];

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
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, String> {
        let mut parser = Parser::from_args(arguments);
        parse(&mut parser).map_err(|error| match error {
            lexopt::Error::Custom(error) => error.to_string(),
            error => format!("{error}: see --help"),
        })
    }
}

fn parse(parser: &mut Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    let mut given: Vec<String> = Vec::new();
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long(name) => name.to_owned(),
            other => return Err(other.unexpected()),
        };
        match name.as_str() {
            "players" => options.players = players(&value(parser)?)?,
            "seconds" => options.duration = seconds(&name, &value(parser)?)?,
            "pool" => options.pool = pool(&value(parser)?)?,
            "serve" => options.mode = Mode::Serve(address(&name, &value(parser)?)?),
            "connect" => options.mode = Mode::Connect(address(&name, &value(parser)?)?),
            "timeout" => options.time_limit = seconds(&name, &value(parser)?)?,
            "watch" => options.watch = true,
            "metrics" => options.metrics = Some(address(&name, &value(parser)?)?),
            "history" => options.history = Some(csv_file(parser.value()?.into())?),
            _ => return Err(Arg::Long(&name).unexpected()),
        }
        if given.contains(&name) {
            return Err(format!("--{name} is given twice").into());
        }
        given.push(name);
    }

    let is_given = |name: &str| given.iter().any(|given| given == name);
    for (one, others) in CONFLICTS {
        let other = others.iter().find(|other| is_given(other));
        if let (true, Some(other)) = (is_given(one), other) {
            return Err(format!("--{other} does not go with --{one}: see --help").into());
        }
    }
    Ok(Some(options))
}

fn value(parser: &mut Parser) -> Result<String, lexopt::Error> {
    parser.value()?.string()
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
        .ok_or_else(|| format!("--{name} {value:?}: seconds from 0.001 to 86400 are allowed"))
}

fn pool(value: &str) -> Result<PoolKind, String> {
    let named = |kind: &PoolKind| kind.name() == value;
    PoolKind::ALL.into_iter().find(named).ok_or_else(|| {
        let names = PoolKind::ALL.map(PoolKind::name).join(", ");
        format!("--pool {value:?}: one of {names} is allowed")
    })
}

/// A file of that extension: its charts are in another beside it, which only the extension tells apart.
fn csv_file(path: PathBuf) -> Result<PathBuf, String> {
    if path.extension().is_some_and(|extension| extension == "csv") {
        return Ok(path);
    }
    Err(format!("--history {path:?}: a file whose name ends in .csv is needed"))
}

fn address(name: &str, value: &str) -> Result<SocketAddr, String> {
    value
        .parse()
        .map_err(|_| format!("--{name} {value:?}: an address and a port are needed, such as 127.0.0.1:7000"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use super::{HELP, Mode, Options};
    use crate::server::pools::PoolKind;

    fn parse(arguments: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_are_understood() {
        assert_eq!(parse(&[]), Ok(Some(Options::default())));
        assert_eq!(parse(&["--pool", "aligned", "--help"]), Ok(None));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
        assert_eq!(
            parse(&["--players=7", "--timeout", "0.25", "--serve=127.0.0.1:7000"]),
            Ok(Some(Options {
                players: 7,
                time_limit: Duration::from_millis(250),
                mode: Mode::Serve(address),
                ..Options::default()
            }))
        );
        assert_eq!(
            parse(&["--watch", "--metrics=127.0.0.1:7000", "--history", "a.csv"]),
            Ok(Some(Options {
                watch: true,
                metrics: Some(address),
                history: Some("a.csv".into()),
                ..Options::default()
            }))
        );
        for kind in PoolKind::ALL {
            let options = parse(&["--pool", kind.name(), "--seconds", "3"]);
            let options = options.expect("valid").expect("no help");
            let seconds = Duration::from_secs(3);
            assert_eq!((options.pool, options.duration), (kind, seconds));
        }
    }

    #[test]
    fn every_option_of_the_help_is_known() {
        let lines = HELP.lines().map(str::trim_start);
        let names: Vec<_> = lines
            .filter(|line| line.starts_with("--"))
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(names.len(), 10);
        for name in names {
            let unknown = parse(&[name]).is_err_and(|error| error.contains("invalid option"));
            assert!(!unknown, "{name}");
        }
        assert!(parse(&["--unknown"]).is_err_and(|error| error.contains("invalid option")));
    }

    #[test]
    fn wrong_options_are_named_with_what_is_allowed() {
        let whole = "a whole number from 1 to 25,000 is allowed";
        let seconds = "seconds from 0.001 to 86400 are allowed";
        let address = "such as 127.0.0.1:7000";
        let cases: [(&[&str], &str, &str); 23] = [
            (&["--player", "3"], "invalid option '--player'", "--help"),
            (&["-p", "3"], "invalid option '-p'", "--help"),
            (&["3"], "unexpected argument \"3\"", "--help"),
            (&["--players"], "missing argument", "option '--players'"),
            (&["--players", "many"], "--players \"many\"", whole),
            (&["--players", "0"], "\"0\"", whole),
            (&["--players", "-1"], "\"-1\"", whole),
            (&["--players", "25001"], "\"25001\"", whole),
            (&["--seconds", "0"], "--seconds \"0\"", seconds),
            (&["--seconds", "NaN"], "--seconds \"NaN\"", seconds),
            (&["--timeout=inf"], "--timeout \"inf\"", seconds),
            (&["--pool", "big"], "\"big\"", "lock-free, multi-size is"),
            (&["--serve", "7000"], "--serve \"7000\"", address),
            (&["--connect", "a:b"], "--connect \"a:b\"", address),
            (&["--metrics", "9090"], "--metrics \"9090\"", address),
            (&["--history", "x.svg"], "\"x.svg\"", "ends in .csv"),
            (&["--watch=yes"], "unexpected argument", "option '--watch'"),
            (&["--watch", "--watch"], "--watch", "is given twice"),
            (
                &["--watch", "--connect", "127.0.0.1:1"],
                "--watch",
                "does not go with --connect",
            ),
            (
                &["--connect", "127.0.0.1:1", "--metrics", "127.0.0.1:0"],
                "--metrics",
                "does not go with --connect",
            ),
            (
                &["--connect=127.0.0.1:1", "--history=x.csv"],
                "--history",
                "does not go with --connect",
            ),
            (&["--players", "1", "--players", "2"], "--players", "is given twice"),
            (
                &["--serve", "127.0.0.1:1", "--connect", "127.0.0.1:1"],
                "--connect",
                "does not go with --serve",
            ),
        ];
        for (arguments, named, allowed) in cases {
            let error = parse(arguments).expect_err("a wrong option");
            assert!(error.contains(named), "{error}");
            assert!(error.contains(allowed), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
}
