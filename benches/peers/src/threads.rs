//! Several threads that start together, and the wall time until the last of them is done.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// The wall time of `work` on each of `threads` threads: from the first start to the last end. Spawning and
/// joining are not measured, nor is what `work` does before it waits at the barrier, where it warms up
/// whatever its candidate keeps for each thread.
pub(crate) fn wall_time(threads: usize, work: impl Fn(&Barrier) -> (Instant, Instant) + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    let times: Vec<_> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&barrier))).collect();
        let joined = spawned.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|times| times.expect("no operation panics")).collect()
    });
    let start = times.iter().map(|times| times.0).min();
    let end = times.iter().map(|times| times.1).max();
    end.zip(start).map_or(Duration::ZERO, |(end, start)| end - start)
}
