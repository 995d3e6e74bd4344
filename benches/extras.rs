//! What the extras of a pool cost, each beside the same pool without it: a budget, and keeping track of who holds
//! what; and a share.
//!
//! `cargo bench --bench extras`

// Each bench uses its part of what they share.
#[allow(dead_code)]
mod common;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use poolbuf::{Budget, BufferPool, Pool, PoolConfig, Share, Wipe};

use common::report::{Report, Table};
use common::{BUFFERS, threads};

const SIZE: usize = 8192;
const THREADS: [u64; 3] = [1, 2, 4];
/// Operations in one iteration.
const SHARED_OUT: u64 = 100_000;

type Configure = fn(PoolConfig) -> PoolConfig;

/// What each pool has: its name in criterion's directories and in the table, and how it is configured.
const VARIANTS: [(&str, &str, Configure); 4] = [
    ("plain", "`BufferPool`", |config| config),
    ("budget", "with a `Budget`", |config| {
        config.budget(&Budget::new(usize::MAX))
    }),
    ("holders", "with `track_holders`", |config| config.track_holders(true)),
    ("both", "with both", |config| {
        config.budget(&Budget::new(usize::MAX)).track_holders(true)
    }),
];

fn group_of(threads: u64) -> String {
    format!("extras-{threads}")
}

/// A handle of the plain pool that is charged to a budget.
const SHARE: (&str, &str) = ("share", "through a `Share`");

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, id: &str, threads: u64, pool: &impl Pool) {
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            threads::shared_out(threads, iterations * SHARED_OUT, || {
                let mut buf = pool.acquire().expect("a buffer is free");
                buf.extend_from_slice(&[7]).expect("one byte fits");
                black_box(buf.as_ptr());
            })
        });
    });
}

fn measure(criterion: &mut Criterion) {
    for threads in THREADS {
        let mut group = criterion.benchmark_group(group_of(threads));
        for (id, _, configure) in VARIANTS {
            let config = PoolConfig::new(SIZE).initial(BUFFERS).max(BUFFERS);
            let pool = BufferPool::with_config(configure(config.wipe(Wipe::Never)));
            let pool = pool.expect("the pool's memory can be reserved");
            bench(&mut group, id, threads, &pool);
            if id == "plain" {
                bench(
                    &mut group,
                    SHARE.0,
                    threads,
                    &Share::new(pool, &Budget::new(usize::MAX)),
                );
            }
        }
        group.finish();
    }
}

fn tables(report: &Report) -> String {
    let columns = THREADS.map(|threads| match threads {
        1 => "1 thread".to_owned(),
        _ => format!("{threads} threads"),
    });
    let mut table = Table::new(
        "Acquire and release of 8 KiB with extras: time as a multiple of the plain pool's (lower is faster)",
        columns,
    );
    let variants = VARIANTS.map(|(id, label, _)| (id, label));
    for (id, label) in variants.into_iter().chain([SHARE]) {
        let ratio = |threads| report.ratio(&group_of(threads), id, "plain");
        table.row(label, THREADS.map(ratio));
    }
    let absolute = |threads| {
        let nanos = report.median(&group_of(threads), "plain")? / SHARED_OUT as f64;
        Some(format!("{nanos:.1} ns"))
    };
    table.row("1.00× on this machine", THREADS.map(absolute));
    table.render()
}

fn main() {
    let (report, mut criterion) = Report::begin();
    measure(&mut criterion);
    criterion.final_summary();
    report.publish("extras", &tables(&report));
}
