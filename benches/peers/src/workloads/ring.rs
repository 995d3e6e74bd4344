//! Several threads on one pool, each of which holds 16 buffers and, at each step, acquires one and releases
//! the oldest.

use std::sync::Barrier;
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};

use super::{Candidate, Measure, Workload, shared_candidates};
use crate::Set;
use crate::candidates::floor::LocalVector;
use crate::strategy::{BUFFERS, Body, MESSAGE, Strategy};
use crate::threads::wall_time;

const HELD: usize = 16;
/// About as in `threaded`, and whole turns of the ring for each thread.
const OPERATIONS: u64 = 102_400;
/// Times around the ring before the barrier.
const WARM_UP: u64 = 64;
/// Buffers of the floor's pool of each thread.
const OWN: usize = 64;

pub(crate) fn id(threads: usize) -> String {
    format!("ring-{threads}")
}

fn work<S: Strategy, B: Body>(strategy: &S, operations: u64, barrier: &Barrier) -> (Instant, Instant) {
    let mut ring: [S::Guard<'_>; HELD] = std::array::from_fn(|_| B::acquire_and_write(strategy, MESSAGE));
    let mut turn = |times: u64| {
        for _ in 0..times {
            for oldest in &mut ring {
                *oldest = B::acquire_and_write(strategy, MESSAGE);
            }
        }
    };
    turn(WARM_UP);
    barrier.wait();
    let start = Instant::now();
    turn(operations / HELD as u64);
    (start, Instant::now())
}

fn share(iterations: u64, threads: usize) -> u64 {
    iterations * OPERATIONS / threads as u64
}

fn measure<S: Strategy + Sync, B: Body>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, threads: usize) {
    let strategy = S::new(BUFFERS);
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let share = share(iterations, threads);
            wall_time(threads, |barrier| work::<_, B>(&strategy, share, barrier))
        });
    });
}

fn measure_own<B: Body>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, threads: usize) {
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let share = share(iterations, threads);
            wall_time(threads, |barrier| work::<_, B>(&LocalVector::new(OWN), share, barrier))
        });
    });
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
