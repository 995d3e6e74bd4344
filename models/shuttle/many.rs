//! Many at once, in more threads than loom can follow: all are served, or told why not, and nothing is lost.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use poolbuf::{AcquireError, Pool, PooledBuf};
use shuttle::thread::{self, JoinHandle};

use crate::explore::{choose, join, pause};
use crate::ledger::{Ledger, assert_whole};
use crate::pools::{AnyPool, SIZE, on_each_pool};
use crate::waiting::{barging, fickle, hasty, patient};

/// For ever: shuttle reports a deadlock if a thread that waits is never woken.
const FOR_EVER: Duration = Duration::MAX;

/// Uses what was acquired, if anything, and gives it back one by one.
fn use_up(ledger: &Ledger, id: u8, result: Result<Vec<PooledBuf>, AcquireError>) {
    let mut held = ledger.enter_many(result);
    held.iter_mut().for_each(|held| held.write(id));
}

/// Begins to wait, polls a few times, and leaves, whatever has happened by then.
fn fickle_for_many(pool: &impl Pool, ledger: &Ledger, id: u8, count: usize) {
    let polls = 1 + choose(3);
    let mut waiting = pin!(pool.acquire_many_async(count, SIZE));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(result) = waiting.as_mut().poll(&mut context) {
            return use_up(ledger, id, result);
        }
        pause(4);
    }
    ledger.abandon(count);
}

/// Four threads that want two or three of four buffers, to the end or not, and others that want one.
fn those_who_want_many(pool: &impl AnyPool, ledger: &Ledger) -> Vec<JoinHandle<()>> {
    let threads = (0..8).map(|id| {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        thread::spawn(move || {
            let wait = |count, limit| pool.acquire_many_async(count, SIZE).wait_timeout(limit);
            match id {
                0 => use_up(&ledger, id, wait(3, FOR_EVER)),
                1 => use_up(&ledger, id, wait(2, FOR_EVER)),
                2 => fickle_for_many(&pool, &ledger, id, 3),
                3 => {
                    let limit = Duration::from_micros(choose(60).into());
                    use_up(&ledger, id, wait(2, limit));
                }
                4 => use_up(&ledger, id, pool.acquire_many(3, SIZE)),
                5 => patient(&pool, &ledger, id, SIZE),
                6 => {
                    hasty(&pool, &ledger, id, SIZE);
                    fickle(&pool, &ledger, id, SIZE);
                }
                _ => barging(&pool, &ledger, id, SIZE),
            }
        })
    });
    threads.collect()
}

fn many_and_single_requests<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    let held: Vec<_> = (0..4).map(|_| ledger.enter(pool.acquire_for(SIZE))).collect();
    let threads = those_who_want_many(&pool, &ledger);
    for held in held {
        pause(10);
        drop(held);
    }
    join(threads);
    // The four held, five for many, and one.
    assert!(ledger.served() >= 10);
    assert_whole(&pool, &ledger, 4);
}
on_each_pool!(many_and_single_requests, 4);

/// As above, while the pool is closed at some time.
fn close_against_many<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    let held: Vec<_> = (0..4).map(|_| ledger.enter(pool.acquire_for(SIZE))).collect();
    let threads = those_who_want_many(&pool, &ledger);
    for held in held {
        pause(10);
        drop(held);
    }
    pool.close();
    join(threads);
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
}
on_each_pool!(close_against_many, 4);
