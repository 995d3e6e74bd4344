//! 64 buffers held at once: 64 acquired, then all released, the oldest first.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};

use super::{Candidate, Measure, Workload, shared_candidates};
use crate::Set;
use crate::candidates::floor::LocalVector;
use crate::strategy::{BUFFERS, Body, MESSAGE, Strategy};

pub(crate) const HELD: &str = "held-64";
const COUNT: usize = 64;

fn measure<S: Strategy, B: Body>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, _: usize) {
    let strategy = S::new(BUFFERS);
    let mut held = Vec::with_capacity(COUNT);
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            for _ in 0..COUNT {
                held.push(B::acquire_and_write(&strategy, MESSAGE));
            }
            held.clear();
        });
    });
}

pub(super) fn workload<B: Body>(set: Set) -> Workload {
    let mut candidates = shared_candidates!(set, measure, B as Measure);
    candidates.push(Candidate::of::<LocalVector>(measure::<LocalVector, B>));
    Workload {
        id: HELD.into(),
        operations: COUNT as u64,
        threads: 1,
        candidates,
    }
}
