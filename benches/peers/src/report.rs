//! Where the report goes: to the terminal, and after a run of everything into this package's folder and the
//! README.

use std::path::Path;
use std::{fs, io};

use crate::comparison::Comparison;
use crate::figures::{self, Figures};
use crate::{charts, results, summary, targets};

/// Prints what a part of a run measured; nothing is kept.
pub(crate) fn print(figures: Figures) {
    if figures.workloads.is_empty() {
        return;
    }
    let comparison = Comparison::new(vec![figures]);
    println!(
        "{}",
        results::render(&comparison, &targets::all(&comparison))
    );
}

/// Writes `results.md` and the charts from what all binaries have stored, and the README's part when all have.
pub(crate) fn write() -> io::Result<()> {
    let comparison = Comparison::new(figures::stored());
    for own in comparison.figures() {
        println!("{}: measured {} minutes ago", own.binary, own.minutes_ago());
    }
    let targets = targets::all(&comparison);
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let charts = charts::write(&comparison, &package.join("charts"))?;
    fs::write(
        package.join("results.md"),
        results::render(&comparison, &targets),
    )?;
    println!("wrote benches/peers/results.md and {} charts", charts.len());
    println!("{}", targets::summary(&targets));
    if !comparison.is_complete() {
        return Ok(());
    }
    let readme = package.join("../../README.md");
    let summary = summary::render(&comparison, &targets, &charts);
    match summary::replaced(&fs::read_to_string(&readme)?, &summary) {
        Some(text) => fs::write(readme, text),
        None => {
            println!("the README has no place for this:\n\n{summary}");
            Ok(())
        }
    }
}
