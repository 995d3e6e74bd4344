//! The server that is attacked, seen from outside: a process, its socket, and what it says.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::figures::Figures;
use crate::process::{Process, Said};
use crate::usage;

/// How long a server has for its first line.
const START: Duration = Duration::from_secs(10);
/// How often what has no event is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Target {
    process: Process,
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

/// What a server wrote to its log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) lines: u64,
    /// The first line that tells of a panic: a server's runtime catches those of connections.
    pub(crate) panic: Option<String>,
    /// What it said last.
    pub(crate) last: Option<String>,
}

impl Target {
    /// Starts the server of `command`; the error is a line for the user.
    pub(crate) fn start(command: Command) -> Result<Target, String> {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let its = Arc::clone(&heard);
        let process = Process::start_and_hear(command, move |line| its.lock().hear(line))?;
        let mut target = Target {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            heard,
        };
        match target.line(START) {
            Some(address) => target.address = address,
            None => {
                let last = target.heard().last.unwrap_or_default();
                return Err(format!("the server does not start: {last}"));
            }
        }
        Ok(target)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its pools say, if it answers within `limit`.
    pub(crate) fn figures(&mut self, limit: Duration) -> Option<Figures> {
        // A server that is gone says nothing.
        self.process.tell("figures").ok()?;
        self.line(limit)
    }

    pub(crate) fn heard(&self) -> Heard {
        self.heard.lock().clone()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    pub(crate) fn resident(&self) -> Option<u64> {
        usage::resident_bytes(self.process.id())
    }

    pub(crate) fn descriptors(&self) -> Option<usize> {
        usage::open_descriptors(self.process.id())
    }

    /// Tells it to stop, and returns its last figures and how it ended, if it does both within `limit`.
    pub(crate) fn stop(&mut self, limit: Duration) -> (Option<Figures>, Option<ExitStatus>) {
        let deadline = Instant::now() + limit;
        self.process.close_input();
        let figures = self.line(limit);
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        (figures, self.ended())
    }

    /// The next line that can be read as a `T`, if one comes within `limit`.
    fn line<T: FromStr>(&self, limit: Duration) -> Option<T> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.process.line(left) {
                Said::Line(line) => {
                    if let Ok(value) = line.parse() {
                        return Some(value);
                    }
                }
                Said::Nothing | Said::End => return None,
            }
        }
    }
}

impl Heard {
    fn hear(&mut self, line: String) {
        self.lines += 1;
        if self.panic.is_none() && line.contains("panicked at") {
            self.panic = Some(line.clone());
        }
        self.last = Some(line);
    }
}
