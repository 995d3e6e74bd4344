//! New pools opened and old ones closed while threads that used them go on, and end.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread;

use crate::explore::{choose, explore, join, pause};
use crate::ledger::{Ledger, assert_whole};
use crate::pools::{AnyPool, SIZE, aligned_pool, buffer_pool, lock_free_pool, multi_size_pool};
use crate::waiting::{hasty, patient, use_up};

/// Pools opened one after the other.
const POOLS: usize = 4;
const THREADS: u8 = 5;

/// The pool of the day and its ledger.
type Current<P> = Arc<Mutex<(P, Ledger)>>;

/// Threads use whatever pool is current, and end at some time, while one thread replaces it.
fn replace_meanwhile<P: AnyPool>(open: fn() -> P) {
    let current: Current<P> = Arc::new(Mutex::new((open(), Ledger::default())));
    let threads: Vec<_> = (0..THREADS)
        .map(|id| {
            let current = Arc::clone(&current);
            thread::spawn(move || {
                for _ in 0..1 + choose(5) {
                    let (pool, ledger) = current.lock().unwrap().clone();
                    match choose(3) {
                        0 => patient(&pool, &ledger, id, SIZE),
                        1 => hasty(&pool, &ledger, id, SIZE),
                        _ => use_up(&ledger, id, pool.acquire_for(SIZE)),
                    }
                }
            })
        })
        .collect();
    let mut left_open = Vec::new();
    for number in 1..POOLS {
        pause(12);
        let next = (open(), Ledger::default());
        // A statement of its own: the lock is let go before the old pool is used.
        let (old, ledger) = std::mem::replace(&mut *current.lock().unwrap(), next.clone());
        use_up(&ledger, THREADS, old.acquire_for(SIZE));
        // Every other pool is closed, and forgotten: what a thread has of it must not be in the way of the next.
        if number % 2 == 1 {
            old.close();
        } else {
            left_open.push((old, ledger));
        }
    }
    join(threads);
    left_open.push(current.lock().unwrap().clone());
    for (pool, ledger) in left_open {
        assert_whole(&pool, &ledger, 2);
    }
}

#[test]
fn buffer_pool_without_magazines() {
    explore(|| replace_meanwhile(|| buffer_pool(2, 0)));
}

#[test]
fn buffer_pool_with_magazines() {
    explore(|| replace_meanwhile(|| buffer_pool(2, 2)));
}

#[test]
fn aligned() {
    explore(|| replace_meanwhile(|| aligned_pool(2)));
}

#[test]
fn lock_free() {
    explore(|| replace_meanwhile(lock_free_pool::<2>));
}

#[test]
fn multi_size() {
    explore(|| replace_meanwhile(|| multi_size_pool(2)));
}
