//! Several threads that start together, and the wall time until the last of them is done.
//!
//! Neither spawning nor joining is measured. Threads beyond the machine's cores take turns, so from there on
//! a thread meets others where the scheduler stops it, more than where two run at the same instant.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// The wall time of `operations` calls of `operation`, shared out among `threads` threads, all on the same
/// things.
pub(crate) fn shared_out(threads: u64, operations: u64, operation: impl Fn() + Sync) -> Duration {
    let share = operations.div_ceil(threads);
    let barrier = Barrier::new(threads as usize);
    let work = || {
        barrier.wait();
        let start = Instant::now();
        for _ in 0..share {
            operation();
        }
        (start, Instant::now())
    };
    let times: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|times| times.expect("no operation panics")).collect()
    });
    // The first start, not one taken by whoever spawned the threads: that thread may be stopped while
    // they run.
    let start = times.iter().map(|times| times.0).min();
    let end = times.iter().map(|times| times.1).max();
    let wall = end.zip(start).map_or(Duration::ZERO, |(end, start)| end - start);
    // The shares were rounded up.
    wall.mul_f64(operations as f64 / (share * threads) as f64)
}
