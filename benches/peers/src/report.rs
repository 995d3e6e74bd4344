//! Where the report goes: to the terminal, and after a run of everything into the pages.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{fs, io};

use crate::comparison::Comparison;
use crate::figures::{self, Figures};
use crate::targets::{self, Targets};
use crate::{charts, overview, page, results, summary};

/// Prints what a part of a run measured; nothing is kept.
pub(crate) fn print(figures: Figures) {
    if figures.workloads.is_empty() {
        return;
    }
    let busy = figures.busy;
    let comparison = Comparison::new(vec![figures]);
    let targets = Targets::new(&comparison, busy);
    println!("{}", results::render(&comparison, &targets));
}

/// Writes docs/peers.md and the charts from what all binaries have stored, and the sections of docs/BENCHMARKS.md and
/// README.md when all have.
pub(crate) fn write() -> io::Result<()> {
    let [comparison, busy] = [false, true].map(|busy| Comparison::new(figures::stored(busy)));
    for own in comparison.figures().iter().chain(busy.figures()) {
        let state = if own.busy { ", with a busy neighbour" } else { "" };
        println!("{}{state}: measured {} minutes ago", own.binary, own.minutes_ago());
    }
    let targets = Targets {
        quiet: targets::all(&comparison),
        busy: targets::all(&busy),
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let charts = charts::write(&comparison, &docs.join("charts"))?;
    fs::write(docs.join("peers.md"), results::render(&comparison, &targets))?;
    println!("wrote docs/peers.md and {} charts", charts.len());
    println!("{}", targets.summary());
    if !comparison.is_complete() {
        return Ok(());
    }
    let summary = summary::render(&comparison, &targets, &charts);
    page::write("docs/BENCHMARKS.md", "peers", &summary)?;
    page::write("README.md", "peers", &overview::render(&comparison))
}
