//! A program that is started as another process, this one mostly, and the lines that it says and is told.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// A process. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// What a process says next.
pub(crate) enum Said {
    Line(String),
    /// Nothing so far.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Process {
    /// Starts this program with `arguments`; the error is a line for the user.
    pub(crate) fn start(arguments: &[String]) -> Result<Process, String> {
        let program = std::env::current_exe().map_err(cannot_start)?;
        let mut command = Command::new(program);
        command.args(arguments);
        Process::spawn(command)
    }

    /// Starts what `command` says, and gives `hear` each line of its standard error.
    pub(crate) fn start_and_hear(
        mut command: Command,
        hear: impl FnMut(String) + Send + 'static,
    ) -> Result<Process, String> {
        command.stderr(Stdio::piped());
        let mut process = Process::spawn(command)?;
        if let Some(stderr) = process.child.stderr.take() {
            forward_lines(stderr, hear);
        }
        Ok(process)
    }

    fn spawn(mut command: Command) -> Result<Process, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(cannot_start)?;
        let (sender, lines) = channel();
        let stdin = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            // Nobody listens any more only when the process is ended.
            forward_lines(stdout, move |line| drop(sender.send(line)));
        }
        Ok(Process {
            child,
            stdin,
            lines,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line, if one comes within `limit`.
    pub(crate) fn line(&self, limit: Duration) -> Said {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Said::Line(line),
            Err(RecvTimeoutError::Timeout) => Said::Nothing,
            Err(RecvTimeoutError::Disconnected) => Said::End,
        }
    }

    /// Tells it a line.
    pub(crate) fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut();
        writeln!(stdin.ok_or(io::ErrorKind::BrokenPipe)?, "{line}")
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok()?
    }

    /// Closes its standard input, which tells it to end.
    pub(crate) fn close_input(&mut self) {
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

fn cannot_start(error: io::Error) -> String {
    format!("cannot start this program once more: {error}")
}

/// Reads lines, from a thread of its own, until there are no more.
fn forward_lines(from: impl Read + Send + 'static, mut to: impl FnMut(String) + Send + 'static) {
    thread::spawn(move || {
        let lines = BufReader::new(from).lines();
        lines.map_while(Result::ok).for_each(&mut to);
    });
}
