//! Another process, the lines that it prints, and those that it is told.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// What comes next on a process's standard output.
#[derive(Debug)]
pub enum Said {
    /// A line.
    Line(String),
    /// Nothing within the time.
    Nothing,
    /// Nothing ever again: it has closed its output.
    End,
}

/// Why a process was not started.
#[derive(Debug)]
pub struct StartError {
    program: OsString,
    error: io::Error,
}

impl Process {
    /// Starts this program once more, with `arguments`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start_self(arguments: &[String]) -> Result<Process, StartError> {
        let program = std::env::current_exe().map_err(|error| StartError {
            program: "this program".into(),
            error,
        })?;
        let mut command = Command::new(program);
        command.args(arguments);
        Process::start(command)
    }

    /// Starts what `command` says.
    ///
    /// # Errors
    /// The system refuses, or there is no such program.
    pub fn start(mut command: Command) -> Result<Process, StartError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| StartError {
            program: command.get_program().to_owned(),
            error,
        })?;
        let (sender, lines) = channel();
        let stdin = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            // It fails only when this `Process` is dropped.
            forward_lines(stdout, move |line| drop(sender.send(line)));
        }
        Ok(Process { child, stdin, lines })
    }

    /// The same, and gives `hear` each line of its standard error.
    ///
    /// # Errors
    /// The system refuses, or there is no such program.
    pub fn start_and_hear(
        mut command: Command,
        hear: impl FnMut(String) + Send + 'static,
    ) -> Result<Process, StartError> {
        command.stderr(Stdio::piped());
        let mut process = Process::start(command)?;
        if let Some(stderr) = process.child.stderr.take() {
            forward_lines(stderr, hear);
        }
        Ok(process)
    }

    /// The system's number of it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output, if one comes within `limit`.
    #[must_use]
    pub fn line(&self, limit: Duration) -> Said {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Said::Line(line),
            Err(RecvTimeoutError::Timeout) => Said::Nothing,
            Err(RecvTimeoutError::Disconnected) => Said::End,
        }
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// It has closed that, or has ended.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut();
        writeln!(stdin.ok_or(io::ErrorKind::BrokenPipe)?, "{line}")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok()?
    }

    /// Closes its standard input, which tells it to end.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start {}: {}", self.program.to_string_lossy(), self.error)
    }
}

impl std::error::Error for StartError {}

/// Reads lines, from a thread of its own, until there are no more.
fn forward_lines(from: impl Read + Send + 'static, mut to: impl FnMut(String) + Send + 'static) {
    thread::spawn(move || {
        let lines = BufReader::new(from).lines();
        lines.map_while(Result::ok).for_each(&mut to);
    });
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{Process, Said};

    /// Ends a test that hangs; no test waits that long when it passes.
    const HANGS: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_process_is_told_lines_and_heard_until_it_ends() {
        let (sender, heard) = channel();
        let script = "read line; echo \"got $line\"; echo trouble >&2; read line; exit 3";
        let hear = move |line| drop(sender.send(line));
        let mut process = Process::start_and_hear(shell(script), hear).expect("a shell");
        assert!(process.ended().is_none());
        assert!(matches!(process.line(Duration::ZERO), Said::Nothing));
        process.tell("this").expect("it reads");
        assert!(matches!(process.line(HANGS), Said::Line(line) if line == "got this"));
        assert_eq!(heard.recv_timeout(HANGS).as_deref(), Ok("trouble"));
        process.close_input();
        assert!(matches!(process.line(HANGS), Said::End));
        // Its output is closed before it has ended.
        let status = std::iter::repeat_with(|| process.ended()).find_map(|status| status);
        assert_eq!(status.and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Process::start(Command::new("no-such-program")).expect_err("no program");
        let error = error.to_string();
        assert!(error.starts_with("cannot start no-such-program: "), "{error}");
    }
}
