//! The section of README.md that this program writes.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- begin: cargo run --release --example ten_thousand_players -->";
const END: &str = "<!-- end: cargo run --release --example ten_thousand_players -->";

/// Puts `section` between the marks in the project's README.md; the error is a line for the user.
pub(crate) fn write(section: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let cannot = |what, error| format!("cannot {what} {}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| cannot("read", error))?;
    let text = replaced(&text, section)
        .ok_or_else(|| format!("{} has no line {BEGIN:?} before {END:?}", path.display()))?;
    fs::write(&path, text).map_err(|error| cannot("write", error))
}

/// `text` with `section` between the marks; `None` where it lacks them.
pub(crate) fn replaced(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let section = section.trim();
    Some(format!("{before}{BEGIN}\n\n{section}\n\n{END}{after}"))
}
