//! What a tool prints, and the status that it ends with.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

/// The status of a run in which a check failed.
pub const FAILED: u8 = 1;
/// The status when there was no run: an option is wrong, or the system lacks something.
pub const COULD_NOT_RUN: u8 = 2;

/// Prints a line on standard output. That it may be closed, as by `| head`, is no reason to stop.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line on standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The status of a run: `Ok` says whether all checks held. Complains of an error.
#[must_use]
pub fn exit_code(result: Result<bool, Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}
