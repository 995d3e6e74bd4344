//! Where the report goes: to the terminal, and after a run of everything into the pages.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{fs, io};

use crate::comparison::Comparison;
use crate::figures::{self, Figures};
use crate::{charts, overview, page, results, summary, targets};

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

/// Writes docs/peers.md and the charts from what all binaries have stored, and the sections of docs/BENCHMARKS.md and
/// README.md when all have.
pub(crate) fn write() -> io::Result<()> {
    let comparison = Comparison::new(figures::stored());
    for own in comparison.figures() {
        println!("{}: measured {} minutes ago", own.binary, own.minutes_ago());
    }
    let targets = targets::all(&comparison);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let charts = charts::write(&comparison, &docs.join("charts"))?;
    fs::write(
        docs.join("peers.md"),
        results::render(&comparison, &targets),
    )?;
    println!("wrote docs/peers.md and {} charts", charts.len());
    println!("{}", targets::summary(&targets));
    if !comparison.is_complete() {
        return Ok(());
    }
    let summary = summary::render(&comparison, &targets, &charts);
    page::write("docs/BENCHMARKS.md", "peers", &summary)?;
    page::write("README.md", "peers", &overview::render(&comparison))
}
