//! The inputs that the fuzzer kept. Those of a target are a text file: how many there are, then one a line, in
//! hexadecimal.
//!
//! ```text
//! 2 inputs
//! 00ff07
//! 31
//! ```

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The targets' files, `TARGET.txt`, and where cargo-fuzz reads and adds to them, the folders `TARGET`.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The file of `target`.
#[must_use]
pub fn file(target: &str) -> PathBuf {
    folder().join(target).with_extension("txt")
}

/// What the file of `target` has.
///
/// # Errors
/// There is no such file, or [`parse`] finds something wrong with it.
pub fn read(target: &str) -> Result<Vec<Vec<u8>>, String> {
    let path = file(target);
    let inputs = match fs::read_to_string(&path) {
        Ok(text) => parse(&text),
        Err(error) => Err(error.to_string()),
    };
    inputs.map_err(|error| format!("{}: {error}", path.display()))
}

/// The inputs that `text` has.
///
/// # Errors
/// It has none, is cut off, or is something else.
pub fn parse(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let (head, rest) = text.split_once('\n').ok_or("there is no first line")?;
    let count = head.strip_suffix(" inputs").and_then(|count| count.parse().ok());
    let count: usize = count.ok_or("the first line does not say how many inputs there are")?;
    let lines: Vec<_> = rest.split_terminator('\n').collect();
    if count == 0 || lines.len() != count || !rest.ends_with('\n') {
        return Err(format!(
            "{} lines, the last of them whole or not, for {count} inputs",
            lines.len()
        ));
    }
    let inputs = lines.iter().map(|line| bytes(line));
    inputs
        .collect::<Option<_>>()
        .ok_or_else(|| "a line is not hexadecimal".to_owned())
}

/// What [`parse`] reads: each input once, the short ones first.
#[must_use]
pub fn print(mut inputs: Vec<Vec<u8>>) -> String {
    inputs.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    inputs.dedup();
    let mut text = format!("{} inputs\n", inputs.len());
    for input in inputs {
        for byte in input {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        text.push('\n');
    }
    text
}

fn bytes(line: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = line.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let pairs = pairs.chunks(2).map(|pair| match *pair {
        [high, low] => Some((high << 4 | low) as u8),
        _ => None,
    });
    pairs.collect()
}
