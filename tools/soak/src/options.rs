//! The command line.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use poolbuf_support::options::{Known, OptionError};
use poolbuf_support::random::seed_of_now;

pub const HELP: &str = "\
Threads that do everything that can be done with every pool, at random and all at once, and check what must hold.

cargo run --release -p poolbuf-soak -- [OPTIONS]

  --seconds N  how long [10]
  --threads N  threads that go on all the time [twice as many as cores, 4 to 16]
  --seed N     makes every thread choose the same again, though not the scheduler [from the clock]
  --help       this text

Exit status: 0 all well; 1 a check failed, or a thread waited and was not woken; 2 the command line was wrong.";

const KNOWN: Known = Known {
    valued: &["--seconds", "--threads", "--seed"],
    flags: &["--help"],
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub duration: Duration,
    pub threads: usize,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Options {
            duration: Duration::from_secs(10),
            threads: (2 * cores).clamp(4, 16),
            seed: seed_of_now(),
        }
    }
}

impl Options {
    /// Parses the arguments behind the program's name; `None` when help is asked for.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, OptionError> {
        let mut parsed = Options::default();
        let mut options = poolbuf_support::options::Options::new(KNOWN, arguments);
        while let Some(name) = options.next_name()? {
            match name {
                // At most a week.
                "--seconds" => parsed.duration = Duration::from_secs(options.number(1..=604_800)?),
                "--threads" => parsed.threads = options.number(1..=64)?,
                "--seed" => parsed.seed = options.number(0..=u64::MAX)?,
                _ => return Ok(None),
            }
        }
        Ok(Some(parsed))
    }
}
