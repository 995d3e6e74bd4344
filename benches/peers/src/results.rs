//! The whole report, one table for each workload, in Markdown.

use std::thread;

use crate::comparison::{Comparison, Entrant, Kind};
use crate::figures::BINARIES;
use crate::strategy::{Body, ByReference, InRegisters, ThroughResult};
use crate::table::{Table, multiple};
use crate::targets::{Targets, per_core};
use crate::workloads::CHAPTER_THREADS;
use crate::workloads::burst::MOMENTS;
use crate::workloads::latency::PERCENTILES;
use crate::workloads::one_at_a_time::{CHAPTER, ONE_AT_A_TIME};
use crate::workloads::{
    THREADS,
    alternating::ALTERNATING,
    handed_over::{HANDED_OVER, HANDED_OVER_MANY},
    held::HELD,
    kept,
    near_exhaustion::NEAR_EXHAUSTION,
    ring, threaded,
};

/// What was left out, and how to read some rows.
const NOTES: &str = "\
- Every buffer is 8 KiB, of which one byte is written, unless a table says otherwise: the more a program does \
with its buffers, the closer to 1 all ratios come.
- Each pool is used as its documentation says, in the fastest way that makes sense, filled beforehand, and with \
nothing zeroed where that can be avoided. zeropool keeps 64 buffers for each thread here, not the 2 that it \
keeps by default on two cores. A thread keeps them for one pool at a time: with two in turn it drops them each \
time. It has no size between 4 and 16 KiB, and so takes 16 for 8; so does bytesbuf.
- A channel and two threads overlap: a pool that costs less than the channel cannot be told from one that costs \
nothing.
- A guard *in registers*: the compiler keeps all of it there, as it can in a loop of a few lines. *By reference*: it is \
passed to a function that writes, and so lies in memory. *Through a `Result`*: it is returned in one by a function of \
the program's, with an error that holds a string, and then passed by reference. Overviews and charts show *by reference*.
- The floor is `pop` and `push` on a vector of buffers that one thread has for itself; where several threads \
run, each has its own.
- sharded-slab's plain guards cannot leave their thread; in the table for another thread it is used by its \
owned guards, which count references.
- heapless's and Cloudflare's pools are `static`, so they keep their memory when they are dropped.
- Guards that borrow their pool (opool, object-pool, lockfree-object-pool, zeropool, `ArrayQueue`) need no \
count of references; ours borrow nothing either and can be sent anywhere.
- Left out: commonware-runtime's buffer pool, which is a part of its runtime and needs some 350 crates.
";

/// Nanoseconds or MiB.
fn number(figure: f64) -> String {
    if figure < 1000.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.0}")
    }
}

pub(crate) fn render(comparison: &Comparison, targets: &Targets) -> String {
    let mut text = header(comparison);
    let mut section = |title: &str, explanation: &str, table: Option<String>| {
        if let Some(table) = table {
            text.push_str(&format!("\n## {title}\n\n{explanation}\n\n{table}"));
        }
    };
    section(
        "Targets",
        "Each ratio within one binary's run, on a quiet machine and with one process beside that spins \
         (`POOLBUF_PEERS_BUSY=1 cargo bench -p poolbuf-peers --bench peers`).",
        targets.table(),
    );
    section(
        "One at a time",
        "Acquire, write a byte, release; one thread. Nanoseconds (× ours).",
        bodies(comparison, ONE_AT_A_TIME),
    );
    section(
        "64 held at once",
        "64 acquired, then all released, the oldest first; for each buffer. Nanoseconds (× ours).",
        bodies(comparison, HELD),
    );
    section(
        "Where a program keeps it",
        "One thread; the guard is passed by reference to what writes. Behind a `dyn`: ours by `Arc<dyn Pool>`, the \
         others by a trait of the bench's own. In the state of a future that is polled twice; in a field of a struct, \
         set and emptied by functions; 16 in a `Vec`, for each buffer; through a channel, with the channel. \
         Nanoseconds (× ours).",
        columns(comparison, &kept()),
    );
    for (head, suffix) in BODIES {
        section(
            &format!("Threads on one pool, guards {head}"),
            "One at a time in each thread. Nanoseconds of wall time an operation, all threads together (× ours).",
            columns(comparison, &of_threads(|threads| threaded::id(threads) + suffix)),
        );
    }
    section(
        "Threads on one pool, for each core",
        "The same, guards by reference, as time of one core an operation (× the floor).",
        cores(comparison, threaded::id),
    );
    for (head, suffix) in BODIES {
        section(
            &format!("Threads that hold 16, guards {head}"),
            "Each thread holds 16 and, at each step, acquires one and releases the oldest. Nanoseconds of wall time \
             an operation, all threads together (× ours).",
            columns(comparison, &of_threads(|threads| ring::id(threads) + suffix)),
        );
    }
    section(
        "Threads that hold 16, for each core",
        "The same, guards by reference, as time of one core an operation (× the floor).",
        cores(comparison, ring::id),
    );
    section(
        "Released on another thread",
        "Acquired on one thread, released on another; each with the channel between them. Nanoseconds (× ours).",
        bodies(comparison, HANDED_OVER),
    );
    section(
        "Released on another thread, 32 at once",
        "The same, 32 acquired, sent in one step, and released; for each buffer. Nanoseconds (× ours).",
        bodies(comparison, HANDED_OVER_MANY),
    );
    section(
        "Latency",
        "4 threads on one pool; each operation timed on its own, with the clock's own cost. Nanoseconds (× ours); \
         the median of the rounds.",
        columns(
            comparison,
            &PERCENTILES.map(|(id, _)| (id.trim_start_matches("latency-").into(), id.into())),
        ),
    );
    section(
        "The chapter's two",
        "With 64 bytes filled, as in `benches/chapter.rs`. Nanoseconds of wall time an operation (× ours).",
        columns(
            comparison,
            &[
                ("1 thread".into(), CHAPTER.into()),
                ("8 threads".into(), CHAPTER_THREADS.into()),
            ],
        ),
    );
    section(
        "Two pools in turn",
        "One thread: a buffer of the one, then a buffer of the other; for each buffer. Nanoseconds (× ours).",
        bodies(comparison, ALTERNATING),
    );
    section(
        "Memory after a burst",
        "4,096 buffers (32 MiB) acquired, every byte written, all released. Resident memory in MiB, each in a \
         process of its own.",
        memory(comparison),
    );
    section(
        "Near exhaustion",
        "8 threads on 16 buffers, each wants two at once; for each pair. Only those that can refuse. \
         Nanoseconds (× ours).",
        bodies(comparison, NEAR_EXHAUSTION),
    );
    text.push_str("\n## Notes\n\n");
    text.push_str(NOTES);
    text
}

fn header(comparison: &Comparison) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let mut text = format!(
        "# The pools beside what else there is\n\nWritten by `cargo bench -p poolbuf-peers` ({os}, {arch}, {cores} \
         cores). A ratio above 1 is a candidate that is slower than our `BufferPool`, or than the floor.\n\n"
    );
    for binary in BINARIES {
        let figures = comparison.figures().iter().find(|own| own.binary == binary);
        let state = figures.map_or("not measured".into(), |own| {
            format!("{} rounds in {} s", own.rounds, own.seconds)
        });
        text.push_str(&format!("- `{binary}`: {state}\n"));
    }
    if let Some((typical, worst)) = comparison.spread(|_| true) {
        let (typical, worst) = (typical * 100.0, worst * 100.0);
        text.push_str(&format!(
            "\nEach figure is the median over rounds in which all candidates take turns. The rounds lay \
             ±{typical:.0} % apart in the typical figure and ±{worst:.0} % in the worst (median absolute \
             deviation); where they lie far apart, something else ran on the machine.\n"
        ));
    }
    text
}

/// What heads the columns of the bodies, and what they add to a workload's name.
const BODIES: [(&str, &str); 3] = [
    (InRegisters::HEAD, InRegisters::SUFFIX),
    (ByReference::HEAD, ByReference::SUFFIX),
    (ThroughResult::HEAD, ThroughResult::SUFFIX),
];

/// In all bodies, from the fastest to the slowest by reference.
fn bodies(comparison: &Comparison, workload: &str) -> Option<String> {
    columns(
        comparison,
        &BODIES.map(|(head, suffix)| (head.into(), format!("{workload}{suffix}"))),
    )
}

fn kept() -> [Column; 5] {
    [
        ("`dyn`", kept::DYNAMIC),
        ("future", kept::FUTURE),
        ("field", kept::FIELD),
        ("`Vec` of 16", kept::VECTOR),
        ("channel", kept::CHANNEL),
    ]
    .map(|(head, workload)| (head.into(), workload.into()))
}

/// How far the rounds behind a table lay apart: whether the machine was quiet meanwhile.
fn spread(comparison: &Comparison, workloads: &[&str]) -> String {
    let spread = comparison.spread(|workload| workloads.contains(&workload));
    spread.map_or(String::new(), |(typical, worst)| {
        let (typical, worst) = (typical * 100.0, worst * 100.0);
        format!("\nRounds: ±{typical:.0} % typically, ±{worst:.0} % at worst.\n")
    })
}

/// What heads a column, and the workload in it.
type Column = (String, String);

fn of_threads(id: impl Fn(usize) -> String) -> [Column; 4] {
    THREADS.map(|threads| {
        let head = if threads == 1 {
            "1 thread".into()
        } else {
            format!("{threads} threads")
        };
        (head, id(threads))
    })
}

/// A column for each workload: the time, and in brackets as a multiple of ours. The order is that of the
/// second column, which for threads is the one where as many run as this machine has cores.
fn columns(comparison: &Comparison, columns: &[Column]) -> Option<String> {
    cells(comparison, columns, |entrant, workload| {
        let figure = comparison.figure(entrant, workload)?;
        let ratio = comparison.to_ours(entrant, workload).map(multiple);
        Some(format!("{} ({})", number(figure), ratio.as_deref().unwrap_or("–")))
    })
}

fn cores(comparison: &Comparison, id: fn(usize) -> String) -> Option<String> {
    let columns = of_threads(id);
    let threads_of = |workload: &str| {
        THREADS
            .into_iter()
            .find(|&threads| id(threads) == workload)
            .unwrap_or(1)
    };
    cells(comparison, &columns, |entrant, workload| {
        let figure = per_core(comparison.figure(entrant, workload)?, threads_of(workload));
        let ratio = comparison.to_floor(entrant, workload).map(multiple);
        Some(format!("{} ({})", number(figure), ratio.as_deref().unwrap_or("–")))
    })
}

fn cells(
    comparison: &Comparison,
    columns: &[Column],
    cell: impl Fn(&Entrant, &str) -> Option<String>,
) -> Option<String> {
    let mut header = vec![""];
    header.extend(columns.iter().map(|(head, _)| head.as_str()));
    let mut table = Table::new(&header);
    let order = columns.get(1).or(columns.first())?;
    for entrant in comparison.ranked(&order.1) {
        let row = columns.iter().map(|(_, workload)| cell(entrant, workload));
        table.row(&name(comparison, entrant, &order.1), row);
    }
    let workloads: Vec<_> = columns.iter().map(|(_, workload)| workload.as_str()).collect();
    Some(table.render()? + &spread(comparison, &workloads))
}

fn memory(comparison: &Comparison) -> Option<String> {
    let mut table = Table::new(&["", "before", "all in use", "all released", "pool gone"]);
    for entrant in comparison.ranked(MOMENTS[2]) {
        let cells = MOMENTS.map(|moment| {
            let figure = comparison.figure(entrant, moment)?;
            Some(format!("{figure:.1}"))
        });
        table.row(&name(comparison, entrant, MOMENTS[2]), cells);
    }
    Some(table.render()? + &spread(comparison, &MOMENTS))
}

/// Ours in bold.
fn name(comparison: &Comparison, entrant: &Entrant, workload: &str) -> String {
    let label = comparison.label(entrant, workload);
    match entrant.kind {
        Kind::Ours | Kind::LockFree | Kind::MultiSize => format!("**{label}**"),
        Kind::Peer | Kind::Reference => label,
    }
}
