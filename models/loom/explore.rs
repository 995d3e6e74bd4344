//! Runs a model under every schedule, or every one up to a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loom::model::Builder;
use loom::thread::{self, JoinHandle};

/// Explores all schedules.
pub(crate) fn every_schedule(model: impl Fn() + Send + Sync + 'static) {
    explore(Builder::new(), model);
}

/// Explores the schedules with up to `preemptions` preemptions.
pub(crate) fn schedules_within(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    explore(builder, model);
}

/// Runs the model under every schedule that `builder` allows, and prints how many those were; a test's output is
/// shown with `-- --show-output`.
fn explore(builder: Builder, model: impl Fn() + Send + Sync + 'static) {
    // Outside loom: it counts over all schedules.
    let schedules = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&schedules);
    let bound = builder.preemption_bound;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let schedules = schedules.load(Ordering::Relaxed);
    let current = std::thread::current();
    let name = current.name().unwrap_or_default();
    match bound {
        None => println!("schedules: {schedules}, all of {name}"),
        Some(bound) => println!("schedules: {schedules}, up to {bound} preemptions of {name}"),
    }
}

/// Starts a thread with what it shares with others: handles, cloned by the caller.
pub(crate) fn spawn_with<S: 'static, T: 'static>(shared: S, run: impl FnOnce(S) -> T + 'static) -> JoinHandle<T> {
    thread::spawn(move || run(shared))
}
