//! The README's table: ours beside the best of each kind that a user could take instead.
#![forbid(unsafe_code)]

use std::thread;

use crate::candidates::allocator::ALLOCATOR;
use crate::candidates::floor::FLOOR;
use crate::candidates::mutex::NAIVE;
use crate::comparison::{Comparison, Entrant, Kind};
use crate::strategy::{Body, InRegisters, ThroughResult};
use crate::table::{Table, multiple};
use crate::workloads::{handed_over::HANDED_OVER, held::HELD, one_at_a_time::ONE_AT_A_TIME, threaded};

/// A row, and whose best figure stands in it.
type Row = (&'static str, fn(&Entrant) -> bool);

const ROWS: [Row; 7] = [
    ("**`LockFreePool`**", |entrant| entrant.kind == Kind::LockFree),
    ("**`MultiSizePool`**", |entrant| entrant.kind == Kind::MultiSize),
    ("the fastest other crate", |entrant| {
        let by_hand = [ALLOCATOR, NAIVE].contains(&entrant.id.as_str());
        entrant.kind == Kind::Peer && !by_hand
    }),
    ("`parking_lot::Mutex<Vec<_>>`", |entrant| entrant.id == NAIVE),
    ("`Vec`, the fastest other allocator", |entrant| {
        entrant.id == ALLOCATOR && !entrant.of_system()
    }),
    ("`Vec`, the system's allocator", |entrant| {
        entrant.id == ALLOCATOR && entrant.of_system()
    }),
    ("a `Vec` of buffers, unshared: the floor", |entrant| entrant.id == FLOOR),
];

pub(crate) fn render(comparison: &Comparison) -> String {
    let columns = [
        ("one at a time", ONE_AT_A_TIME.to_owned()),
        (
            "through a `Result`",
            format!("{ONE_AT_A_TIME}{}", ThroughResult::SUFFIX),
        ),
        ("64 held", HELD.to_owned()),
        ("2 threads", threaded::id(2)),
        ("8 threads", threaded::id(8)),
        ("released on another thread", HANDED_OVER.to_owned()),
    ];
    let mut header = vec!["8 KiB, one byte written, guard by reference"];
    header.extend(columns.iter().map(|(head, _)| *head));
    let mut table = Table::new(&header);
    let ours = columns.iter().map(|(_, workload)| {
        let nanoseconds = comparison.ours(workload)?;
        Some(format!("{nanoseconds:.1} ns"))
    });
    table.row("**`BufferPool`**", ours);
    for (label, belongs) in ROWS {
        let best = columns.iter().map(|(_, workload)| {
            let mut ranked = comparison.ranked(workload).into_iter();
            let best = ranked.find(|entrant| belongs(entrant))?;
            Some(multiple(comparison.to_ours(best, workload)?))
        });
        table.row(label, best);
    }
    let in_registers = comparison.ours(&format!("{ONE_AT_A_TIME}{}", InRegisters::SUFFIX));
    let in_registers = in_registers.map_or("it was not measured".into(), |nanoseconds| {
        format!("`BufferPool` takes {nanoseconds:.1} ns")
    });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!(
        "{}\nWritten by `cargo bench -p poolbuf-peers` ({os}, {arch}, {cores} cores); × is the time as a multiple of \
         `BufferPool`'s. The guard is passed to the function that writes, as programs do; where the compiler can keep \
         it in registers, {in_registers}.\n",
        table.render().unwrap_or_default()
    )
}
