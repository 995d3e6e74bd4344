//! The section of docs/BENCHMARKS.md that this program writes.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{env, fmt, fs, io};

const PAGE: &str = "docs/BENCHMARKS.md";
const BEGIN: &str = "<!-- ten-thousand-players: begin -->";
const END: &str = "<!-- ten-thousand-players: end -->";

/// Why the page was not written.
#[derive(Debug)]
pub enum PageError {
    Read(io::Error),
    Write(io::Error),
    /// A mark between which the section stands is missing.
    NoMarks,
}

/// Puts `section` between the marks in the project's page.
pub fn write(section: &str) -> Result<(), PageError> {
    // Under cargo that is where the package is now; it may have been built elsewhere.
    let package = env::var_os("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = Path::new(&package).join("../..").join(PAGE);
    let text = fs::read_to_string(&path).map_err(PageError::Read)?;
    let text = replaced(&text, section).ok_or(PageError::NoMarks)?;
    fs::write(&path, text).map_err(PageError::Write)
}

/// `text` with `section` between the marks; `None` where it lacks them.
pub fn replaced(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let section = section.trim();
    Some(format!("{before}{BEGIN}\n\n{section}\n\n{END}{after}"))
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::Read(error) => write!(f, "cannot read {PAGE}: {error}"),
            PageError::Write(error) => write!(f, "cannot write {PAGE}: {error}"),
            PageError::NoMarks => write!(f, "{PAGE} has no {BEGIN:?} before {END:?}"),
        }
    }
}

impl std::error::Error for PageError {}
