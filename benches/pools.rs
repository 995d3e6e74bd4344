//! Each pool against `Vec::with_capacity(n)` and `vec![0; n]`, for buffers of 64 B to 32 KiB: one at a time,
//! 64 held at once, 1 to 8 threads on one pool, and acquired on one thread and released on another.
//!
//! Only the first byte of a buffer is written, so what is measured is acquire and release, and not what a
//! server does in between, beside which either may vanish (see `chapter.rs`, where all is filled). Nor does
//! it measure exhausted pools, wiping, memory use, or other allocators than the default one.
//!
//! `cargo bench --bench pools`

mod common;

use std::hint::{self, black_box};
use std::process::Command;
use std::sync::mpsc::{self, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use poolbuf::{AlignedPool, BufferPool, LockFreePool, MultiSizePool, PooledBuf};

use common::report::{Report, Table};
use common::{BUFFERS, SIZES, Strategy, WithCapacity, acquire_and_fill, threads};

const HELD: usize = 64;
/// The groups for two states of glibc's heap, between which 64 `Vec`s differ by a factor of 40.
const HELD_WARM: &str = "held";
const HELD_FRESH: &str = "held-fresh-heap";
/// Set in the environment of the process that runs the second.
const FRESH_HEAP: &str = "POOLBUF_BENCH_FRESH_HEAP";
const THREADS: [u64; 4] = [1, 2, 4, 8];
/// Operations in one iteration of what runs on several threads: so many that, however few iterations
/// criterion decides on, the threads' start is no large part of them.
const SHARED_OUT: u64 = 100_000;
const HANDED_OVER: u64 = 20_000;
/// Buffers on their way from one thread to another at most. With those in the two threads' hands they are
/// fewer than a pool has.
const IN_FLIGHT: usize = 128;
const MESSAGE: &[u8] = &[7];
/// The row that shows what the channel alone costs.
const CHANNEL: (&str, &str) = ("channel-alone", "channel alone");

/// A fresh `vec![0; n]` each time: what `Vec<u8>` needs to hand out bytes for reading into.
struct Zeroed;

impl Strategy for Zeroed {
    type Buf = Vec<u8>;

    const ID: &'static str = "vec-zeroed";
    const LABEL: &'static str = "`vec![0; n]`";

    fn new(_size: usize) -> Self {
        Zeroed
    }

    #[inline]
    fn acquire(&self, size: usize) -> Vec<u8> {
        vec![0; size]
    }

    #[inline]
    fn write(buf: &mut Vec<u8>, message: &[u8]) {
        buf[..message.len()].copy_from_slice(message);
    }

    #[inline]
    fn bytes(buf: &Vec<u8>) -> &[u8] {
        buf
    }
}

/// Calls a function once for each strategy, one right after another.
macro_rules! each_strategy {
    ($function:ident($($argument:expr),*)) => {
        $function::<WithCapacity>($($argument),*);
        $function::<Zeroed>($($argument),*);
        $function::<BufferPool>($($argument),*);
        $function::<AlignedPool>($($argument),*);
        $function::<LockFreePool<BUFFERS>>($($argument),*);
        $function::<MultiSizePool>($($argument),*);
    };
}

fn one_at_a_time<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, size: usize) {
    let strategy = S::new(size);
    group.bench_function(S::ID, |bencher| {
        bencher.iter(|| drop(acquire_and_fill(&strategy, size, MESSAGE)));
    });
}

/// The oldest is dropped first.
fn held<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, size: usize) {
    let strategy = S::new(size);
    let mut held = Vec::with_capacity(HELD);
    group.bench_function(S::ID, |bencher| {
        bencher.iter(|| {
            for _ in 0..HELD {
                held.push(acquire_and_fill(&strategy, size, MESSAGE));
            }
            held.clear();
        });
    });
}

fn on_threads<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, size: usize, threads: u64) {
    let strategy = S::new(size);
    group.bench_function(S::ID, |bencher| {
        bencher.iter_custom(|iterations| {
            threads::shared_out(threads, iterations * SHARED_OUT, || {
                drop(acquire_and_fill(&strategy, size, MESSAGE));
            })
        });
    });
}

fn handed_over<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, size: usize) {
    let strategy = S::new(size);
    group.bench_function(S::ID, |bencher| {
        bencher.iter_custom(|iterations| {
            through_channel(
                iterations * HANDED_OVER,
                || acquire_and_fill(&strategy, size, MESSAGE),
                |buf| {
                    black_box(S::bytes(&buf)[0]);
                },
            )
        });
    });
}

/// The wall time from the first of `count` values made here to the last one used on another thread.
///
/// Neither thread sleeps, since what that costs would hide all else: who finds the channel full or empty
/// tries again, and lets others run now and then.
fn through_channel<T: Send>(count: u64, make: impl Fn() -> T, take: impl Fn(T) + Send) -> Duration {
    let (sender, receiver) = mpsc::sync_channel(IN_FLIGHT);
    thread::scope(move |scope| {
        let other = scope.spawn(move || {
            for _ in 0..count {
                take(insist(|| match receiver.try_recv() {
                    Err(TryRecvError::Empty) => None,
                    received => Some(received.expect("as many are sent")),
                }));
            }
        });
        let start = Instant::now();
        for _ in 0..count {
            let mut unsent = Some(make());
            insist(|| match sender.try_send(unsent.take()?) {
                Err(TrySendError::Full(value)) => {
                    unsent = Some(value);
                    None
                }
                sent => {
                    assert!(sent.is_ok(), "as many are received");
                    Some(())
                }
            });
        }
        other.join().expect("the other thread does not panic");
        start.elapsed()
    })
}

/// Tries until there is something. Between two attempts it waits for about a microsecond: asking without a
/// pause would take the channel's cache lines from the other thread all the time, in some runs and not in
/// others.
fn insist<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        for _ in 0..64 {
            if let Some(value) = attempt() {
                return value;
            }
            for _ in 0..32 {
                hint::spin_loop();
            }
        }
        thread::yield_now();
    }
}

fn channel_alone(group: &mut BenchmarkGroup<'_, WallTime>) {
    const GUARD: [u8; size_of::<PooledBuf>()] = [0; size_of::<PooledBuf>()];
    group.bench_function(CHANNEL.0, |bencher| {
        bencher.iter_custom(|iterations| {
            through_channel(
                iterations * HANDED_OVER,
                || black_box(GUARD),
                |guard| {
                    black_box(guard);
                },
            )
        });
    });
}

fn run_held(criterion: &mut Criterion, heap: &str) {
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("{heap}-{size}"));
        each_strategy!(held(&mut group, black_box(size)));
    }
}

fn run(criterion: &mut Criterion) {
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("one-at-a-time-{size}"));
        each_strategy!(one_at_a_time(&mut group, black_box(size)));
    }
    run_held(criterion, HELD_WARM);
    for size in SIZES {
        for threads in THREADS {
            let mut group = criterion.benchmark_group(format!("threads-{threads}-{size}"));
            // As many operations in each sample: with few of them threads hardly overlap.
            group.sampling_mode(SamplingMode::Flat);
            each_strategy!(on_threads(&mut group, black_box(size), threads));
        }
    }
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("handed-over-{size}"));
        group.sampling_mode(SamplingMode::Flat);
        each_strategy!(handed_over(&mut group, black_box(size)));
        channel_alone(&mut group);
    }
}

/// Columns are criterion groups: what heads each, and its name.
fn table(report: &Report, title: &str, columns: &[(String, String)], operations: f64) -> String {
    fn row<S: Strategy>(report: &Report, table: &mut Table, columns: &[(String, String)]) {
        ratios(report, table, columns, (S::ID, S::LABEL));
    }
    fn ratios(report: &Report, table: &mut Table, columns: &[(String, String)], (id, label): (&str, &str)) {
        let ratio = |(_, group): &(_, String)| report.ratio(group, id, WithCapacity::ID);
        table.row(label, columns.iter().map(ratio));
    }
    let mut table = Table::new(title, columns.iter().map(|(head, _)| head.clone()));
    each_strategy!(row(report, &mut table, columns));
    ratios(report, &mut table, columns, CHANNEL);
    let absolute = |(_, group): &(_, String)| {
        let nanos = report.median(group, WithCapacity::ID)? / operations;
        Some(format!("{nanos:.0} ns"))
    };
    table.row("1.00× on this machine", columns.iter().map(absolute));
    table.render()
}

fn tables(report: &Report) -> String {
    let mut text = String::new();
    let bytes = |size: usize| match size {
        0..1024 => format!("{size} B"),
        _ => format!("{} KiB", size / 1024),
    };
    let by_size = |workload: &str| -> Vec<_> { SIZES.map(|size| (bytes(size), format!("{workload}-{size}"))).into() };
    let mut add = |title: &str, columns: &[(String, String)], operations: u64| {
        text.push_str(&table(report, title, columns, operations as f64));
    };
    add("One at a time", &by_size("one-at-a-time"), 1);
    let warm = "64 held at once, by a process that has freed a large block before";
    add(warm, &by_size(HELD_WARM), HELD as u64);
    let fresh = "64 held at once, by a process that has not";
    add(fresh, &by_size(HELD_FRESH), HELD as u64);
    for size in SIZES {
        let columns = THREADS.map(|threads| {
            (
                format!("{threads} {}", if threads == 1 { "thread" } else { "threads" }),
                format!("threads-{threads}-{size}"),
            )
        });
        let title = format!("Threads on one pool, {}", bytes(size));
        add(&title, &columns, SHARED_OUT);
    }
    let title = "Acquired on one thread, released on another (each with the channel between them)";
    add(title, &by_size("handed-over"), HANDED_OVER);
    text
}

/// Brings glibc's heap into the state that it reaches sooner or later in most processes, now, so that it
/// does not depend on which benches ran before: the first free of a large mapped block (such as the memory
/// of a pool) raises, for good, how much free memory the heap keeps before it gives any back. Thereafter it
/// hardly gives any back, which makes `Vec` faster.
fn warm_heap() {
    drop(black_box(vec![1_u8; 31 << 20]));
}

/// Runs 64 held at once in a process of its own whose heap stays in the state that it has when a process
/// starts: 128 KiB of free memory at its end are given back, and faulted in again when they are needed.
fn run_held_in_fresh_heap() {
    let status = std::env::current_exe().and_then(|exe| {
        Command::new(exe)
            .args(std::env::args_os().skip(1))
            .env(FRESH_HEAP, "1")
            // The default value; naming it keeps it from being raised.
            .env("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")
            .status()
    });
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("no figures for a fresh heap: this program could not run itself again");
    }
}

fn main() {
    let (report, mut criterion) = Report::begin();
    if std::env::var_os(FRESH_HEAP).is_some() {
        run_held(&mut criterion, HELD_FRESH);
        return;
    }
    warm_heap();
    run(&mut criterion);
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        run_held_in_fresh_heap();
    }
    criterion.final_summary();
    report.publish("pools", &tables(&report));
}
