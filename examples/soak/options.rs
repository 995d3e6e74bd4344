//! The command line.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const HELP: &str = "\
Threads that do everything that can be done with every pool, at random and all at once, and check what must hold.

cargo run --release --example soak -- [OPTIONS]

  --seconds N  how long [10]
  --threads N  threads that go on all the time [twice as many as cores, 4 to 16]
  --seed N     makes every thread choose the same again, though not the scheduler [from the clock]
  --help       this text

Exit status: 0 all well; 1 a check failed, or somebody waited whom nobody woke; 2 the command line was wrong.";

/// A week.
const SECONDS: RangeInclusive<u64> = 1..=604_800;
const THREADS: RangeInclusive<usize> = 1..=64;
const SEEDS: RangeInclusive<u64> = 0..=u64::MAX;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) duration: Duration,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Options {
            duration: Duration::from_secs(10),
            threads: (2 * cores).clamp(4, 16),
            // Its last digits are what differs.
            seed: since.map_or(0, |since| since.as_nanos() as u64),
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
            match (name.as_str(), &value) {
                ("--help" | "-h", None) => return Ok(None),
                ("--help" | "-h", Some(_)) => {
                    return Err(format!("{name} takes no value: see --help"));
                }
                ("--seconds" | "--threads" | "--seed", _) => {}
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
                "--seconds" => {
                    options.duration = Duration::from_secs(whole(&name, &value, SECONDS)?);
                }
                "--threads" => options.threads = whole(&name, &value, THREADS)?,
                _ => options.seed = whole(&name, &value, SEEDS)?,
            }
            seen.push(name);
        }
        Ok(Some(options))
    }
}

fn whole<T: FromStr + PartialOrd + std::fmt::Display>(
    name: &str,
    value: &str,
    allowed: RangeInclusive<T>,
) -> Result<T, String> {
    let number: Option<T> = value.parse().ok();
    number
        .filter(|number| allowed.contains(number))
        .ok_or_else(|| {
            let (least, most) = (allowed.start(), allowed.end());
            format!("{name} {value:?}: a whole number from {least} to {most} is allowed")
        })
}
