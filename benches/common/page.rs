//! The sections of README.md and docs/BENCHMARKS.md that benches write: what stands between the lines
//! `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{fs, io};

/// Replaces section `name` of `page`, a path from the top of the repository.
pub(crate) fn write(page: &str, name: &str, section: &str) -> io::Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|directory| directory.join(page).exists())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no {page}")))?;
    let path = top.join(page);
    let text = replaced(&fs::read_to_string(&path)?, name, section)
        .ok_or_else(|| io::Error::other(format!("{page} has no section {name}")))?;
    fs::write(path, text)?;
    println!("wrote section {name} of {page}");
    Ok(())
}

/// `text` with another section `name`; `None` where it has none.
fn replaced(text: &str, name: &str, section: &str) -> Option<String> {
    let begin = format!("<!-- {name}: begin -->");
    let end = format!("<!-- {name}: end -->");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    let section = section.trim();
    Some(format!("{before}{begin}\n\n{section}\n\n{end}{after}"))
}
