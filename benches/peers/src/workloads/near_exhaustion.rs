//! A pool that is nearly exhausted: 8 threads on 16 buffers, of which each wants two at once. Who is refused
//! the second gives the first back, lets others run, and tries again. Only for candidates that can refuse.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};
use poolbuf::{BufferPool, LockFreePool};

use super::{Measure, Workload, candidates};
use crate::Set;
use crate::candidates::array_queue::QueuePool;
use crate::candidates::heapless::{Heapless, NearlyExhausted};
use crate::candidates::mutex::MutexPool;
use crate::candidates::object_pool::ObjectPool;
use crate::candidates::opool::Opool;
use crate::strategy::{Body, Bounded, MESSAGE};
use crate::threads::wall_time;

pub(crate) const NEAR_EXHAUSTION: &str = "near-exhaustion";
const BUFFERS: usize = 16;
const THREADS: usize = 8;
const PAIRS: u64 = 40_000;
const WARM_UP: u64 = 100;

/// Two buffers at once, however many attempts that takes.
fn pair<S: Bounded, B: Body>(strategy: &S) {
    let both = loop {
        let first = B::try_acquire(strategy);
        let second = first.as_ref().and_then(|_| B::try_acquire(strategy));
        match (first, second) {
            (Some(first), Some(second)) => break [first, second],
            (first, _) => drop(first),
        }
        thread::yield_now();
    };
    for mut guard in both {
        B::write::<S>(&mut guard, MESSAGE);
    }
}

fn work<S: Bounded, B: Body>(strategy: &S, pairs: u64, barrier: &Barrier) -> (Instant, Instant) {
    for _ in 0..WARM_UP {
        pair::<S, B>(strategy);
    }
    barrier.wait();
    let start = Instant::now();
    for _ in 0..pairs {
        pair::<S, B>(strategy);
    }
    (start, Instant::now())
}

fn measure<S: Bounded + Sync, B: Body>(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, threads: usize) {
    let strategy = S::new(BUFFERS);
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let share = iterations * PAIRS / threads as u64;
            wall_time(threads, |barrier| work::<S, B>(&strategy, share, barrier))
        });
    });
}

/// Nothing for an allocator, which does not refuse.
pub(super) fn workload<B: Body>(set: Set) -> Option<Workload> {
    (set == Set::Peers).then(|| Workload {
        id: NEAR_EXHAUSTION.into(),
        operations: PAIRS,
        threads: THREADS,
        candidates: candidates!(
            measure, B as Measure:
            BufferPool,
            LockFreePool<BUFFERS>,
            Opool,
            ObjectPool,
            Heapless<NearlyExhausted>,
            QueuePool,
            MutexPool,
        ),
    })
}
