//! shuttle models of the public pools: four to eight threads that do a little of everything, in schedules chosen at
//! random. Where loom runs every schedule of two or three threads, these run some of the many schedules of
//! compositions that are too large for that. They know no weak memory; that is loom's part.
//!
//! Each model runs under three schedulers: at random; by priorities that change a few times in a run (S. Burckhardt
//! and others, *A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs*, 2010); and at random with the
//! threads weighted by how much each has left to do. A run that fails prints its schedule, for `shuttle::replay`.
//!
//! Each model checks that no buffer is lent twice, that what a holder wrote stays, that everybody who waits is
//! served or told why not (shuttle reports a deadlock), and that in the end all buffers are there and all figures
//! are exact, where the crate's are.
//!
//! `POOLBUF_SHUTTLE_ITERATIONS` is how many schedules each scheduler runs of each model; each model prints how many
//! it ran.

mod budget;
mod lending;
mod opening;
mod resizing;
mod waiting;

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use poolbuf_shuttle::{
    AcquireError, AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow,
    Pool, PoolConfig, PoolStats, PooledBuf,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, Runner, UngracefulShutdownConfig};

/// Bytes a buffer.
const SIZE: usize = 16;

/// For ever: shuttle reports a deadlock when nobody wakes a thread that waits.
const FOR_EVER: Duration = Duration::MAX;

/// Schedules that each scheduler runs of each model, unless the environment says otherwise.
const ITERATIONS: usize = 200;

/// How often the scheduler by priorities changes them in a run.
const PRIORITY_CHANGES: usize = 4;

/// Runs the model in many schedules, and prints in how many.
fn explore(model: fn()) {
    let iterations = match std::env::var("POOLBUF_SHUTTLE_ITERATIONS") {
        Ok(number) => number
            .parse()
            .expect("POOLBUF_SHUTTLE_ITERATIONS is no number"),
        Err(_) => ITERATIONS,
    };
    assert!(
        iterations > 0,
        "a model that runs no schedule shows nothing"
    );
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

/// Any pool, of which there can be several handles.
trait AnyPool: Pool + Clone + 'static {}
impl<P: Pool + Clone + 'static> AnyPool for P {}

/// A pool of `max` buffers, none of which is made before it is needed, with magazines of so many.
fn buffer_pool(max: usize, magazine: usize) -> BufferPool {
    BufferPool::with_config(PoolConfig::new(SIZE).max(max).magazine(magazine)).unwrap()
}

fn aligned_pool(max: usize) -> AlignedPool {
    AlignedPool::with_config(PoolConfig::new(SIZE).max(max).magazine(2)).unwrap()
}

fn lock_free_pool<const N: usize>() -> LockFreePool<N> {
    LockFreePool::new(SIZE).unwrap()
}

/// One buffer fewer than `max` of `SIZE` bytes, and one of twice that, which serves when those are out.
fn multi_size_pool(max: usize) -> MultiSizePool {
    MultiSizePool::with_config(
        MultiSizeConfig::new()
            .tier(PoolConfig::new(SIZE).max(max - 1).magazine(2))
            .tier(PoolConfig::new(2 * SIZE).max(1).magazine(2))
            .overflow(Overflow::NextTier),
    )
    .unwrap()
}

/// Makes a test for each pool, of `max` buffers, from a model that is generic.
macro_rules! on_each_pool {
    ($model:ident, $max:literal) => {
        pub(crate) mod $model {
            use crate::*;

            #[test]
            fn buffer_pool_without_magazines() {
                explore(|| super::$model(buffer_pool($max, 0)));
            }

            #[test]
            fn buffer_pool_with_magazines() {
                explore(|| super::$model(buffer_pool($max, 3)));
            }

            #[test]
            fn aligned() {
                explore(|| super::$model(aligned_pool($max)));
            }

            #[test]
            fn lock_free() {
                explore(|| super::$model(lock_free_pool::<$max>()));
            }

            #[test]
            fn multi_size() {
                explore(|| super::$model(multi_size_pool($max)));
            }
        }
    };
}
pub(crate) use on_each_pool;

/// Who holds what, and what was asked for and how it ended. Kept outside the pools and outside shuttle.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// The capacity of each buffer that is lent, by its address.
    lent: HashMap<usize, usize>,
    served: u64,
    refused: u64,
    over_budget: u64,
    timed_out: u64,
}

impl Ledger {
    /// Enters how a request ended. Fails if a buffer is lent already, or not empty. Nothing if it was refused.
    fn enter(&self, result: Result<PooledBuf, AcquireError>) -> Option<Held> {
        let mut entries = self.0.lock().unwrap();
        match result {
            Ok(buf) => {
                entries.served += 1;
                assert!(buf.is_empty());
                let before = entries.lent.insert(buf.as_ptr() as usize, buf.capacity());
                assert_eq!(before, None, "a buffer is lent twice");
                return Some(Held {
                    buf: Some(buf),
                    ledger: self.clone(),
                });
            }
            Err(AcquireError::Exhausted { .. }) => entries.refused += 1,
            Err(AcquireError::OverBudget { .. }) => {
                entries.refused += 1;
                entries.over_budget += 1;
            }
            Err(AcquireError::TimedOut { .. }) => entries.timed_out += 1,
            Err(AcquireError::Closed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        None
    }

    /// Bytes of the buffers that are lent.
    fn bytes(&self) -> usize {
        self.0.lock().unwrap().lent.values().sum()
    }

    fn assert_refused(&self, refused: u64, over_budget: u64) {
        let entries = self.0.lock().unwrap();
        assert_eq!(
            (refused, over_budget),
            (entries.refused, entries.over_budget)
        );
    }

    /// No more than what was lent counts as acquired, but see `assert_exact`.
    fn assert_acquired(&self, stats: &PoolStats) {
        let served = self.served();
        let exact = stats.acquired == served;
        assert!(
            exact || stats.acquired > served && !stats.tiers.is_empty(),
            "{stats:?}"
        );
    }

    fn served(&self) -> u64 {
        self.0.lock().unwrap().served
    }

    /// The figures of the pool, or pools, are what was entered, and nothing is out any more.
    fn assert_exact(&self, stats: &PoolStats) {
        let entries = self.0.lock().unwrap();
        assert!(entries.lent.is_empty());
        assert_eq!(stats.in_use, 0, "{stats:?}");
        assert_eq!(stats.available, stats.total, "{stats:?}");
        assert_eq!(stats.waiting, 0, "{stats:?}");
        assert_eq!(stats.refused, entries.refused, "{stats:?}");
        assert_eq!(stats.over_budget, entries.over_budget, "{stats:?}");
        // In a pool of several sizes who stands in two queues can be handed two buffers, or be late in one and served in
        // the other.
        if !stats.tiers.is_empty() {
            assert!(stats.acquired >= entries.served, "{stats:?}");
            assert!(stats.timed_out >= entries.timed_out, "{stats:?}");
        } else {
            assert_eq!(stats.acquired, entries.served, "{stats:?}");
            assert_eq!(stats.timed_out, entries.timed_out, "{stats:?}");
            let ended = stats.handed_over + stats.timed_out;
            assert!(ended <= stats.waits, "{stats:?}");
        }
    }
}

/// A buffer that the ledger knows of.
struct Held {
    buf: Option<PooledBuf>,
    ledger: Ledger,
}

impl Held {
    /// Fills the buffer, lets others run, and finds what it wrote.
    fn write(&mut self, id: u8) {
        let buf = self.buf.as_mut().unwrap();
        buf.clear();
        buf.extend_from_slice(&[id; SIZE]).unwrap();
        thread::yield_now();
        assert_eq!(buf[..], [id; SIZE], "another holder wrote here");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(buf) = self.buf.take() {
            let mut entries = self
                .ledger
                .0
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            entries.lent.remove(&(buf.as_ptr() as usize));
            drop(entries);
            drop(buf);
        }
    }
}

/// A number below `end`, of the schedule's choice.
fn choose(end: u8) -> u8 {
    thread_rng().gen_range(0..end)
}

/// Lets others run, up to so many times.
fn pause(most: u8) {
    (0..choose(most + 1)).for_each(|_| thread::yield_now());
}

fn join<T>(threads: Vec<JoinHandle<T>>) {
    for thread in threads {
        assert!(thread.join().is_ok());
    }
}

/// All `max` buffers are free and all different, and there is no other; and the figures are exact before and after.
fn assert_whole(pool: &impl Pool, ledger: &Ledger, max: usize) {
    ledger.assert_exact(&pool.stats());
    let held: Vec<_> = (0..max)
        .map(|_| ledger.enter(pool.acquire_for(SIZE)))
        .collect();
    assert!(held.iter().all(Option::is_some));
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.total), (max, max), "{stats:?}");
    assert!(ledger.enter(pool.acquire_for(SIZE)).is_none());
    drop(held);
    ledger.assert_exact(&pool.stats());
}
