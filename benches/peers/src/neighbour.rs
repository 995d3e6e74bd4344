//! The busy state of the machine: one process beside that spins.
#![forbid(unsafe_code)]

use std::hint;
use std::io::{self, Read};
use std::process::{self, Child, Command, Stdio};
use std::thread;

/// Set in the environment of the process that spins.
const SPINS: &str = "POOLBUF_PEERS_SPINS";

/// Spins for as long as the process that made it lives, if this is such a process.
pub(crate) fn spin_if_it_is_one() {
    if std::env::var_os(SPINS).is_none() {
        return;
    }
    // The other end of the pipe is closed when that process ends, however it does.
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    loop {
        hint::spin_loop();
    }
}

/// A process that spins until this is dropped.
pub(crate) struct Neighbour(Child);

impl Neighbour {
    pub(crate) fn start() -> io::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .env(SPINS, "1")
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Neighbour(child))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has ended, or will.
        let _ = self.0.wait();
    }
}
