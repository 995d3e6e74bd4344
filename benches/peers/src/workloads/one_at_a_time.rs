//! One buffer at a time on one thread; and the same as the chapter has it that this crate goes back to: with
//! 64 bytes filled, and on 8 threads.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};

use super::{CHAPTER_MESSAGE, Candidate, Measure, Workload, shared_candidates, threaded};
use crate::Set;
use crate::candidates::floor::LocalVector;
use crate::strategy::{BUFFERS, Body, InRegisters, MESSAGE, Strategy};

pub(crate) const ONE_AT_A_TIME: &str = "one-at-a-time";
pub(crate) const CHAPTER: &str = "chapter-1-thread";

/// `message` is a function, so that its length is known where it is copied if it is a constant.
fn measure_with<S: Strategy, B: Body>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    message: impl Fn() -> &'static [u8],
) {
    let strategy = S::new(BUFFERS);
    group.bench_function(id, |bencher| {
        bencher.iter(|| B::acquire_write_release(&strategy, message()));
    });
}

fn measure<S: Strategy, B: Body>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _: usize) {
    measure_with::<S, B>(group, id, || MESSAGE);
}

fn measure_chapter<S: Strategy>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _: usize) {
    let message = black_box(CHAPTER_MESSAGE);
    measure_with::<S, InRegisters>(group, id, move || message);
}

pub(super) fn workload<B: Body>(set: Set) -> Workload {
    let mut candidates = shared_candidates!(set, measure, B as Measure);
    candidates.push(Candidate::of::<LocalVector>(measure::<LocalVector, B>));
    Workload {
        id: ONE_AT_A_TIME.into(),
        operations: 1,
        threads: 1,
        candidates,
    }
}

pub(super) fn chapter(set: Set) -> [Workload; 2] {
    let mut candidates = shared_candidates!(set, measure_chapter as Measure);
    candidates.push(Candidate::of::<LocalVector>(measure_chapter::<LocalVector>));
    let one = Workload {
        id: CHAPTER.into(),
        operations: 1,
        threads: 1,
        candidates,
    };
    [one, threaded::chapter(set)]
}
