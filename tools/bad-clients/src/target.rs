//! The server that is attacked, seen from outside: a process, its socket, and what it says.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use poolbuf_support::process::{Process, Said, StartError};
use poolbuf_support::usage;

use crate::figures::Figures;
use crate::servers::Kind;

/// How long a server has to say where it listens.
const START: Duration = Duration::from_secs(10);
/// How often what has no event is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Target {
    process: Process,
    address: SocketAddr,
    control: Control,
    heard: Arc<Mutex<Heard>>,
}

/// How a server is asked for its figures, and told to stop.
enum Control {
    /// It answers a line on its standard input with its figures, and stops when that ends.
    Input,
    /// It serves its metrics there, and stops when it is interrupted.
    Metrics(SocketAddr),
}

/// What a server wrote to its log.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub lines: u64,
    /// The first line that tells of a panic: a server's runtime catches those of connections.
    pub panic: Option<String>,
    pub last: Option<String>,
}

/// Why there is no server to attack.
#[derive(Debug)]
pub enum TargetError {
    Process(StartError),
    /// It did not say where it listens; this was its last line.
    Silent(String),
}

impl Target {
    /// Starts the server of `command`, which is of that kind.
    pub(crate) fn start(kind: Kind, command: Command) -> Result<Target, TargetError> {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let log = Arc::clone(&heard);
        let process = Process::start_and_hear(command, move |line| log.lock().hear(line));
        let process = process.map_err(TargetError::Process)?;
        let silent = || TargetError::Silent(heard.lock().last.clone().unwrap_or_default());
        let address = address_after(&process, "serving on ").ok_or_else(silent)?;
        let control = match kind {
            Kind::Tokio => Control::Input,
            Kind::Game => {
                let metrics = address_after(&process, "metrics at http://");
                Control::Metrics(metrics.ok_or_else(silent)?)
            }
        };
        Ok(Target {
            process,
            address,
            control,
            heard,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its pools say, if it answers within `limit`.
    pub(crate) fn figures(&mut self, limit: Duration) -> Option<Figures> {
        match self.control {
            Control::Input => {
                // A server that has ended says nothing.
                self.process.tell("figures").ok()?;
                line(&self.process, limit, |line| line.parse().ok())
            }
            Control::Metrics(address) => Figures::from_metrics(&metrics(address, limit).ok()?).ok(),
        }
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

    /// Tells it to stop, and returns how it ended, if it does within `limit`.
    pub(crate) fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        match self.control {
            Control::Input => self.process.close_input(),
            Control::Metrics(_) => interrupt(&self.process),
        }
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        self.ended()
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

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TargetError::Process(error) => error.fmt(f),
            TargetError::Silent(last) => {
                write!(f, "the server does not say where it listens; it said last: {last}")
            }
        }
    }
}

impl std::error::Error for TargetError {}

/// The first value that `parse` finds in a line, if one comes within `limit`.
fn line<T>(process: &Process, limit: Duration, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match process.line(left) {
            Said::Line(line) => {
                if let Some(value) = parse(&line) {
                    return Some(value);
                }
            }
            Said::Nothing | Said::End => return None,
        }
    }
}

/// The address in the next line that begins with `start`.
pub fn address_after(process: &Process, start: &str) -> Option<SocketAddr> {
    line(process, START, |line| {
        let rest = line.strip_prefix(start)?;
        let end = rest.find([',', '/']).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

/// What `GET /metrics` brings.
fn metrics(address: SocketAddr, limit: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    // The server closes the connection after its answer.
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn interrupt(process: &Process) {
    use rustix::process::{Pid, Signal, kill_process};

    let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    if let Some(id) = id {
        // An error means that it has ended.
        let _ = kill_process(id, Signal::INT);
    }
}

/// Elsewhere there is no such way: a server that does not stop is reported.
#[cfg(not(unix))]
fn interrupt(_process: &Process) {}
