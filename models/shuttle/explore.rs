//! Runs a model in many schedules, and what its threads leave to the schedule.

use std::io::Write;

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, Runner, UngracefulShutdownConfig};

/// Schedules that each scheduler runs of each model, unless the environment says otherwise.
const ITERATIONS: usize = 200;

/// How often the scheduler by priorities changes them in a run.
const PRIORITY_CHANGES: usize = 4;

/// Runs the model in many schedules, and prints in how many.
pub(crate) fn explore(model: fn()) {
    let iterations = match std::env::var("POOLBUF_SHUTTLE_ITERATIONS") {
        Ok(number) => number.parse().expect("POOLBUF_SHUTTLE_ITERATIONS is no number"),
        Err(_) => ITERATIONS,
    };
    assert!(iterations > 0, "a model that runs no schedule shows nothing");
    let schedules = run(RandomScheduler::new(iterations), model)
        + run(PctScheduler::new(PRIORITY_CHANGES + 1, iterations), model)
        + run(UrwRandomScheduler::new(iterations), model);
    assert_eq!(schedules, 3 * iterations);
    let test = std::thread::current();
    let name = test.name().unwrap_or("a model");
    // Not `eprintln!`, which the test harness keeps for itself.
    let mut printed = std::io::stderr();
    writeln!(printed, "{name}: {schedules} schedules").unwrap();
}

fn run(scheduler: impl Scheduler + 'static, model: fn()) -> usize {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.silence_warnings = true;
    let mut shutdown = UngracefulShutdownConfig::new();
    shutdown.immediately_return_on_panic = true;
    config.ungraceful_shutdown_config = shutdown;
    Runner::new(scheduler, config).run(model)
}

/// A number below `end`, of the schedule's choice.
pub(crate) fn choose(end: u8) -> u8 {
    thread_rng().gen_range(0..end)
}

/// Lets others run, up to so many times.
pub(crate) fn pause(most: u8) {
    (0..choose(most + 1)).for_each(|_| thread::yield_now());
}

pub(crate) fn join<T>(threads: Vec<JoinHandle<T>>) {
    for thread in threads {
        assert!(thread.join().is_ok());
    }
}
