//! Several threads on one pool, each with one buffer at a time.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};

use super::{CHAPTER_MESSAGE, CHAPTER_THREADS};
use super::{Candidate, Measure, Workload, shared_candidates};
use crate::Set;
use crate::candidates::floor::LocalVector;
use crate::strategy::{BUFFERS, Body, InRegisters, MESSAGE, Strategy};
use crate::threads::wall_time;

/// Shared out among the threads: so many that, however few iterations criterion decides on, the threads'
/// start is no large part of them.
const OPERATIONS: u64 = 100_000;
/// Before the barrier, in each thread.
const WARM_UP: u64 = 1_000;
/// Buffers of the floor's pool of each thread.
const OWN: usize = 64;

pub(crate) fn id(threads: usize) -> String {
    format!("threads-{threads}")
}

fn work<S: Strategy, B: Body>(
    strategy: &S,
    operations: u64,
    message: impl Fn() -> &'static [u8],
    barrier: &Barrier,
) -> (Instant, Instant) {
    for _ in 0..WARM_UP {
        B::acquire_write_release(strategy, message());
    }
    barrier.wait();
    let start = Instant::now();
    for _ in 0..operations {
        B::acquire_write_release(strategy, message());
    }
    (start, Instant::now())
}

fn measure_with<S: Strategy + Sync, B: Body>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    threads: usize,
    message: impl Fn() -> &'static [u8] + Sync,
) {
    let strategy = S::new(BUFFERS);
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let share = iterations * OPERATIONS / threads as u64;
            wall_time(threads, |barrier| work::<_, B>(&strategy, share, &message, barrier))
        });
    });
}

fn measure_own_with<B: Body>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    threads: usize,
    message: impl Fn() -> &'static [u8] + Sync,
) {
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let share = iterations * OPERATIONS / threads as u64;
            wall_time(threads, |barrier| {
                work::<_, B>(&LocalVector::new(OWN), share, &message, barrier)
            })
        });
    });
}

fn measure<S: Strategy + Sync, B: Body>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, threads: usize) {
    measure_with::<S, B>(group, id, threads, || MESSAGE);
}

fn measure_own<B: Body>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, threads: usize) {
    measure_own_with::<B>(group, id, threads, || MESSAGE);
}

fn measure_chapter<S: Strategy + Sync>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, threads: usize) {
    let message = black_box(CHAPTER_MESSAGE);
    measure_with::<S, InRegisters>(group, id, threads, move || message);
}

fn measure_chapter_own(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, threads: usize) {
    let message = black_box(CHAPTER_MESSAGE);
    measure_own_with::<InRegisters>(group, id, threads, move || message);
}

pub(super) fn workload<B: Body>(set: Set, threads: usize) -> Workload {
    let mut candidates = shared_candidates!(set, measure, B as Measure);
    candidates.push(Candidate::of::<LocalVector>(measure_own::<B>));
    Workload {
        id: id(threads),
        operations: OPERATIONS,
        threads,
        candidates,
    }
}

pub(super) fn chapter(set: Set) -> Workload {
    let mut candidates = shared_candidates!(set, measure_chapter as Measure);
    candidates.push(Candidate::of::<LocalVector>(measure_chapter_own));
    Workload {
        id: CHAPTER_THREADS.into(),
        operations: OPERATIONS,
        threads: 8,
        candidates,
    }
}
