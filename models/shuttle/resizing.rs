//! The max changed, and memory given back, while other threads acquire and wait.

use poolbuf::{AlignedPool, BufferPool, Pool, PoolConfig};
use shuttle::thread;

use crate::explore::{choose, explore, join, pause};
use crate::ledger::{Ledger, assert_whole};
use crate::pools::{AnyPool, SIZE, on_each_pool};
use crate::waiting::{one_of_each, patient};

/// Buffers that the max can be raised to, and that it has in the end.
const RESERVE: usize = 4;

/// All kinds of requests while one thread sets the max, four times, and another trims.
fn resize_and_trim<P: AnyPool>(pool: P, set_max: fn(&P, usize)) {
    let ledger = Ledger::default();
    let mut threads = one_of_each(&pool, &ledger);
    let resized = pool.clone();
    threads.push(thread::spawn(move || {
        for _ in 0..3 {
            set_max(&resized, 1 + usize::from(choose(RESERVE as u8)));
            pause(4);
        }
        set_max(&resized, RESERVE);
    }));
    let trimmed = pool.clone();
    threads.push(thread::spawn(move || {
        for _ in 0..2 {
            pause(6);
            trimmed.trim();
        }
    }));
    join(threads);
    assert_whole(&pool, &ledger, RESERVE);
}

fn config(magazine: usize) -> PoolConfig {
    PoolConfig::new(SIZE).max(2).reserve(RESERVE).magazine(magazine)
}

fn resize_buffer_pool(magazine: usize) {
    let pool = BufferPool::with_config(config(magazine)).unwrap();
    resize_and_trim(pool, |pool, max| {
        pool.set_max(max).unwrap();
    });
}

#[test]
fn buffer_pool_without_magazines() {
    explore(|| resize_buffer_pool(0));
}

#[test]
fn buffer_pool_with_magazines() {
    explore(|| resize_buffer_pool(2));
}

#[test]
fn aligned() {
    explore(|| {
        let pool = AlignedPool::with_config(config(1)).unwrap();
        resize_and_trim(pool, |pool, max| {
            pool.set_max(max).unwrap();
        });
    });
}

/// Two threads trim while others acquire and wait: what a trim takes comes back, and goes to waiters first.
fn trim_meanwhile<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    let mut threads = one_of_each(&pool, &ledger);
    for _ in 0..2 {
        let trimmed = pool.clone();
        threads.push(thread::spawn(move || {
            for _ in 0..3 {
                pause(5);
                trimmed.trim();
            }
        }));
    }
    join(threads);
    assert_whole(&pool, &ledger, 3);
}
on_each_pool!(trim_meanwhile, 3);

/// The only buffer is not given back before all waiters are served: a raised max has to serve them.
fn raise_for_waiters(magazine: usize) {
    let config = PoolConfig::new(SIZE).max(1).reserve(RESERVE);
    let pool = BufferPool::with_config(config.magazine(magazine)).unwrap();
    let ledger = Ledger::default();
    let held = ledger.enter(pool.acquire());
    let waiting = (0..3).map(|id| {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        thread::spawn(move || patient(&pool, &ledger, id, SIZE))
    });
    let mut threads: Vec<_> = waiting.collect();
    let resized = pool.clone();
    threads.push(thread::spawn(move || {
        for max in [2, RESERVE] {
            pause(10);
            resized.set_max(max).unwrap();
        }
    }));
    join(threads);
    drop(held);
    assert_whole(&pool, &ledger, RESERVE);
}

#[test]
fn raised_without_magazines() {
    explore(|| raise_for_waiters(0));
}

#[test]
fn raised_with_magazines() {
    explore(|| raise_for_waiters(2));
}
