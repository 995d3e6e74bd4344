//! What a whole run writes into docs/BENCHMARKS.md.

use std::thread;

use crate::comparison::{Comparison, Entrant, Kind};
use crate::strategy::{Body, InRegisters, ThroughResult};
use crate::table::{Table, multiple};
use crate::targets::Targets;
use crate::workloads::{
    alternating::ALTERNATING, handed_over::HANDED_OVER, held::HELD, kept, one_at_a_time::ONE_AT_A_TIME, ring, threaded,
};

/// One table, what came of the targets, and the charts.
pub(crate) fn render(comparison: &Comparison, targets: &Targets, charts: &[(&str, String)]) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let columns = [
        ("one at a time", ONE_AT_A_TIME.to_owned()),
        ("in registers", format!("{ONE_AT_A_TIME}{}", InRegisters::SUFFIX)),
        (
            "through a `Result`",
            format!("{ONE_AT_A_TIME}{}", ThroughResult::SUFFIX),
        ),
        ("`dyn`", kept::DYNAMIC.to_owned()),
        ("in a future", kept::FUTURE.to_owned()),
        ("64 held", HELD.to_owned()),
        ("2 threads", threaded::id(2)),
        ("8 threads", threaded::id(8)),
        ("2 threads that hold 16", ring::id(2)),
        ("released on another thread", HANDED_OVER.to_owned()),
        ("two pools in turn", ALTERNATING.to_owned()),
    ];
    let mut header = vec![""];
    header.extend(columns.iter().map(|(head, _)| *head));
    let mut table = Table::new(&header);
    for entrant in comparison.ranked(ONE_AT_A_TIME) {
        let cells = columns.iter().map(|(_, workload)| {
            let ratio = comparison.to_ours(entrant, workload)?;
            Some(multiple(ratio))
        });
        table.row(&name(entrant), cells);
    }
    let absolute = columns.iter().map(|(_, workload)| {
        let nanoseconds = comparison.ours(workload)?;
        Some(format!("{nanoseconds:.1} ns"))
    });
    table.row("1.00× on this machine", absolute);
    let mut text = format!(
        "Time as a multiple of `BufferPool`'s (lower is faster; above 1 ours is faster), 8 KiB buffers, one byte \
         written, guards passed by reference unless a column says otherwise, {os}, {arch}, {cores} cores; all tables are in [peers.md](peers.md).\n\n"
    );
    text.push_str(&table.render().unwrap_or_default());
    text.push_str(&format!("\n{}\n", targets.summary()));
    for (title, file) in charts {
        text.push_str(&format!("\n![{title}](charts/{file})\n"));
    }
    text
}

/// Ours in bold.
fn name(entrant: &Entrant) -> String {
    match entrant.kind {
        Kind::Ours | Kind::LockFree | Kind::MultiSize => format!("**{}**", entrant.label),
        Kind::Peer | Kind::Reference => entrant.label.clone(),
    }
}
