//! How long single operations take: 4 threads on one pool, each acquire and release timed on its own.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Candidate, shared_candidates};
use crate::Set;
use crate::strategy::{BUFFERS, Body, ByReference, MESSAGE, Strategy};

const THREADS: usize = 4;
const WARM_UP: u64 = 1_000;
/// The row that shows what reading the clock costs, which is part of every other row.
pub(crate) const CLOCK: &str = "clock-alone";
/// The name of each figure, and how much of all operations it leaves out.
pub(crate) const PERCENTILES: [(&str, f64); 4] = [
    ("latency-p50", 0.5),
    ("latency-p99", 0.99),
    ("latency-p99.9", 0.999),
    ("latency-max", 1.0),
];

/// Of so many operations by each thread.
pub(crate) type Measure = fn(u64) -> Histogram<u64>;

fn measure_operation(operations: u64, operation: impl Fn() + Sync) -> Histogram<u64> {
    let barrier = Barrier::new(THREADS);
    let work = || {
        let mut histogram = Histogram::new(3).expect("3 digits are allowed");
        for _ in 0..WARM_UP {
            operation();
        }
        barrier.wait();
        for _ in 0..operations {
            let start = Instant::now();
            operation();
            histogram += nanoseconds(start.elapsed());
        }
        histogram
    };
    let histograms: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|histogram| histogram.expect("no operation panics"))
            .collect()
    });
    let mut all = Histogram::new(3).expect("3 digits are allowed");
    for histogram in histograms {
        all += histogram;
    }
    all
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn measure<S: Strategy + Sync>(operations: u64) -> Histogram<u64> {
    let strategy = S::new(BUFFERS);
    measure_operation(operations, || ByReference::acquire_write_release(&strategy, MESSAGE))
}

fn measure_clock(operations: u64) -> Histogram<u64> {
    measure_operation(operations, || {})
}

pub(crate) fn candidates(set: Set) -> Vec<Candidate<Measure>> {
    let mut candidates: Vec<Candidate<Measure>> = shared_candidates!(set, measure as Measure);
    candidates.push(Candidate {
        id: CLOCK,
        label: "the clock alone",
        measure: measure_clock,
    });
    candidates
}
