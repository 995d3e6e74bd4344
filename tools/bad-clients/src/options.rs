//! The command line.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::time::Duration;

use poolbuf_support::options::{Known, OptionError};
use poolbuf_support::random::seed_of_now;

use crate::servers::Kind;

pub const HELP: &str = "\
Bad clients against two of the examples' servers: malformed frames, slow readers and writers, floods, resets.
A good player is served meanwhile; afterwards every buffer, descriptor and byte of memory must be back.

cargo run --release -p poolbuf-bad-clients -- [OPTIONS]

  --seconds N      how long to attack, all servers together: 1 to 86400 [20]
  --server NAME    game, tokio or all [all]
  --seed N         where the random choices start, a whole number [from the clock]
  --help           this text

The servers are processes of their own on 127.0.0.1, which cargo builds first.
Exit status: 0 all well; 1 a check failed; 2 could not run.";

const KNOWN: Known = Known {
    valued: &["--seconds", "--server", "--seed"],
    flags: &["--help"],
};

/// What to attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub duration: Duration,
    /// At least one.
    pub kinds: Vec<Kind>,
    pub seed: u64,
}

impl Options {
    /// Parses the arguments behind the program's name; `None` when help is asked for.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, OptionError> {
        let mut parsed = Options {
            duration: Duration::from_secs(20),
            kinds: Kind::ALL.to_vec(),
            seed: seed_of_now(),
        };
        let mut options = poolbuf_support::options::Options::new(KNOWN, arguments);
        while let Some(name) = options.next_name()? {
            match name {
                "--seconds" => parsed.duration = options.seconds(1.0..=86_400.0)?,
                "--server" => {
                    parsed.kinds = options.one_of(&[
                        (Kind::Game.name(), vec![Kind::Game]),
                        (Kind::Tokio.name(), vec![Kind::Tokio]),
                        ("all", Kind::ALL.to_vec()),
                    ])?;
                }
                "--seed" => parsed.seed = options.number(0..=u64::MAX)?,
                _ => return Ok(None),
            }
        }
        Ok(Some(parsed))
    }
}
