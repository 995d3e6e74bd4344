//! The two benchmarks of the chapter that this crate goes back to, with its 8 KiB buffers: 100,000 times
//! acquire, fill, release on one thread, and 8 threads on one pool; each against allocating every buffer,
//! which is what its `new char[8192]` and `delete[]` do.
//!
//! It does not measure the chapter's code, compiler, allocator or machine: its figures stand beside ours as
//! ratios. Nor does it measure what a server does besides.
//!
//! `cargo bench --bench chapter`

mod common;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizePool};

use common::report::{Report, Table};
use common::{BUFFERS, Strategy, WithCapacity, acquire_and_fill, threads};

const BUFFER_SIZE: usize = 8192;
const OPERATIONS: u64 = 100_000;
const THREADS: u64 = 8;
/// Microseconds in which the chapter allocates, fills and frees 100,000 buffers.
const CHAPTER_DYNAMIC: f64 = 15_000.0;

/// How much of each buffer is filled: a message, or everything. The second hides all other costs, and so
/// shows how little they matter to who fills his buffers.
const FILLS: [(&str, usize); 2] = [("message", 64), ("whole", BUFFER_SIZE)];

/// Calls a function once for each row of the chapter's table, and `MultiSizePool`, which it does not time.
macro_rules! each_strategy {
    ($function:ident($($argument:expr),*)) => {
        $function::<WithCapacity>($($argument),*);
        $function::<BufferPool>($($argument),*);
        $function::<AlignedPool>($($argument),*);
        $function::<LockFreePool<BUFFERS>>($($argument),*);
        $function::<MultiSizePool>($($argument),*);
    };
}

fn single<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, message: &[u8]) {
    let strategy = S::new(BUFFER_SIZE);
    group.bench_function(S::ID, |bencher| {
        bencher.iter(|| {
            for _ in 0..OPERATIONS {
                drop(acquire_and_fill(&strategy, BUFFER_SIZE, message));
            }
        });
    });
}

fn shared<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, message: &[u8]) {
    let strategy = S::new(BUFFER_SIZE);
    group.bench_function(S::ID, |bencher| {
        bencher.iter_custom(|iterations| {
            threads::shared_out(THREADS, iterations * OPERATIONS, || {
                drop(acquire_and_fill(&strategy, BUFFER_SIZE, message));
            })
        });
    });
}

fn run(criterion: &mut Criterion) {
    for (fill, bytes) in FILLS {
        // Opaque, so that its length is not known where it is copied.
        let message = black_box(vec![7; bytes]);
        let mut group = criterion.benchmark_group(format!("chapter-1-thread-{fill}"));
        each_strategy!(single(&mut group, &message));
        group.finish();
        let mut group = criterion.benchmark_group(format!("chapter-{THREADS}-threads-{fill}"));
        each_strategy!(shared(&mut group, &message));
        group.finish();
    }
}

/// A row, with the chapter's microseconds for 100,000 operations where it names any.
fn row<S: Strategy>(report: &Report, table: &mut Table, name: &str, chapter: Option<f64>) {
    let ours = ["1-thread", "8-threads"].into_iter().flat_map(|threads| {
        FILLS.map(|(fill, _)| report.ratio(&format!("chapter-{threads}-{fill}"), S::ID, WithCapacity::ID))
    });
    let ours: Vec<_> = ours.collect();
    if ours.iter().all(Option::is_none) {
        return;
    }
    let chapter = [
        chapter.map(|micros| format!("{micros:.0} µs")),
        chapter.map(|micros| format!("{:.2}×", micros / CHAPTER_DYNAMIC)),
    ];
    table.row(format!("{name}: {}", S::LABEL), chapter.into_iter().chain(ours));
}

fn tables(report: &Report) -> String {
    let header = [
        "chapter",
        "chapter, ratio",
        "ours, 64 B filled",
        "ours, all 8 KiB filled",
        "ours, 8 threads, 64 B",
        "ours, 8 threads, 8 KiB",
    ];
    let mut table = Table::new(
        "100,000 × acquire, fill, release of 8 KiB: time as a multiple of allocating each (lower is faster)",
        header.map(String::from),
    );
    row::<WithCapacity>(report, &mut table, "dynamic", Some(CHAPTER_DYNAMIC));
    row::<BufferPool>(report, &mut table, "pool", Some(4500.0));
    row::<AlignedPool>(report, &mut table, "aligned", Some(3800.0));
    row::<LockFreePool<BUFFERS>>(report, &mut table, "lock-free", Some(2900.0));
    row::<MultiSizePool>(report, &mut table, "multi-size", None);
    let dynamic = ["1-thread", "8-threads"].into_iter().flat_map(|threads| {
        FILLS.map(|(fill, _)| {
            let median = report.median(&format!("chapter-{threads}-{fill}"), WithCapacity::ID)?;
            Some(format!("{:.0} µs", median / 1000.0))
        })
    });
    table.row("1.00× on this machine", [None, None].into_iter().chain(dynamic));
    table.render()
}

fn main() {
    let (report, mut criterion) = Report::begin();
    run(&mut criterion);
    criterion.final_summary();
    report.publish("chapter", &tables(&report));
}
