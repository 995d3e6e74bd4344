//! Lines for the user.
#![forbid(unsafe_code)]

use std::io::Write;

/// A line on standard output. That it may be closed, as by `| head`, is no reason to stop.
pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
