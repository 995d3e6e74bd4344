//! The command line: the user's, and the one on which this program starts itself as a server.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use crate::kind::Kind;

pub(crate) const HELP: &str = "\
Bad clients against two of the examples' servers: malformed frames, slow readers and writers, floods, resets.
A good player is served meanwhile; afterwards every buffer, descriptor and byte of memory must be back.

cargo run --release --example bad_clients -- [OPTIONS]

  --seconds N      how long to attack, all servers together: 1 to 86400 [20]
  --server NAME    game, tokio or all [all]
  --seed N         where the random choices start, a whole number [the time of day]
  --help           this text

The servers are processes of their own on 127.0.0.1.
Exit status: 0 all well; 1 a check failed; 2 could not run.";

/// How this program is told to be a server.
const SERVER: &str = "as-server";

/// What this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Help,
    Attack(Options),
    Server(Kind),
}

/// What to attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) duration: Duration,
    /// At least one.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) seed: u64,
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
            Some((role, rest)) if role == SERVER => as_server(rest),
            _ => attack(&arguments),
        }
    }
}

impl Kind {
    /// The command line of such a server.
    pub(crate) fn arguments(self) -> [String; 2] {
        [SERVER.to_owned(), self.name().to_owned()]
    }
}

fn as_server(arguments: &[String]) -> Result<Role, String> {
    match arguments {
        [name] => Ok(Role::Server(kind(name)?)),
        _ => Err(format!("{SERVER} is for this program itself: see --help")),
    }
}

fn attack(arguments: &[String]) -> Result<Role, String> {
    let mut options = Options {
        duration: Duration::from_secs(20),
        kinds: Kind::ALL.to_vec(),
        seed: seed_of_now(),
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
            ("--seconds" | "--server" | "--seed", _) => {}
            _ => return Err(format!("unknown option {argument:?}: see --help")),
        }
        let value = match value {
            Some(value) => value,
            None => arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value: see --help"))?,
        };
        if seen.contains(&name) {
            return Err(format!("{name} is given twice"));
        }
        match name {
            "--seconds" => options.duration = seconds(value)?,
            "--server" => options.kinds = kinds(value)?,
            _ => options.seed = seed(value)?,
        }
        seen.push(name);
    }
    Ok(Role::Attack(options))
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = value.parse().ok();
    seconds
        .filter(|seconds| (1.0..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("--seconds {value:?}: seconds from 1 to 86400 are allowed"))
}

fn kinds(value: &str) -> Result<Vec<Kind>, String> {
    match value {
        "all" => Ok(Kind::ALL.to_vec()),
        name => Ok(vec![kind(name)?]),
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let mut named = Kind::ALL.into_iter().filter(|kind| kind.name() == name);
    named
        .next()
        .ok_or_else(|| format!("--server {name:?}: game, tokio or all is allowed"))
}

fn seed(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| {
        format!(
            "--seed {value:?}: a whole number from 0 to {} is allowed",
            u64::MAX
        )
    })
}

/// Another one in every run; the report names it.
fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| since.as_millis() as u64)
}
