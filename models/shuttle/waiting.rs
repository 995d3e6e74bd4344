//! Waiting: every waiter is served or told why not, and nothing that was handed over is lost.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use poolbuf::{AcquireError, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig, PooledBuf};
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use crate::explore::{choose, explore, join, pause};
use crate::ledger::{Ledger, assert_whole};
use crate::pools::{AnyPool, SIZE, on_each_pool};

/// For ever: shuttle reports a deadlock if a thread that waits is never woken.
const FOR_EVER: Duration = Duration::MAX;

/// Uses what was acquired, if anything, and gives it back.
pub(crate) fn use_up(ledger: &Ledger, id: u8, result: Result<PooledBuf, AcquireError>) {
    if let Some(mut held) = ledger.enter(result) {
        held.write(id);
    }
}

/// Waits to the end; in a pool that is not closed, for a buffer.
pub(crate) fn patient(pool: &impl Pool, ledger: &Ledger, id: u8, len: usize) {
    use_up(ledger, id, pool.acquire_timeout(len, FOR_EVER));
}

/// Waits for a few dozen steps, or as a task does, for a few polls.
pub(crate) fn hasty(pool: &impl Pool, ledger: &Ledger, id: u8, len: usize) {
    let limit = choose(60);
    let result = match choose(2) {
        0 => pool.acquire_timeout(len, Duration::from_micros(u64::from(limit))),
        _ => {
            let polls = limit % 4;
            block_on(pool.acquire_async(len).into_owned().within(Polls(polls)))
        }
    };
    use_up(ledger, id, result);
}

/// A time limit of so many polls.
struct Polls(u8);

impl Future for Polls {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                self.0 = left;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Begins to wait, polls a few times whether it was woken or not, and leaves, whatever has happened by then.
pub(crate) fn fickle(pool: &impl Pool, ledger: &Ledger, id: u8, len: usize) {
    // Drawn before the future is made.
    let polls = 1 + choose(3);
    let waiting = pool.acquire_async(len);
    let mut waiting = pin!(waiting);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(result) = waiting.as_mut().poll(&mut context) {
            return use_up(ledger, id, result);
        }
        pause(4);
    }
    ledger.abandon(1);
}

/// Waits as a task of an executor does.
pub(crate) fn awaiting(pool: &impl Pool, ledger: &Ledger, id: u8, len: usize) {
    use_up(ledger, id, block_on(pool.acquire_async(len)));
}

/// Does not wait, and comes again.
pub(crate) fn barging(pool: &impl Pool, ledger: &Ledger, id: u8, len: usize) {
    for _ in 0..3 {
        use_up(ledger, id, pool.acquire_for(len));
    }
}

/// One thread of each kind, and a second one that waits to the end.
pub(crate) fn one_of_each(pool: &impl AnyPool, ledger: &Ledger) -> Vec<JoinHandle<()>> {
    (0..6)
        .map(|id| {
            let (pool, ledger) = (pool.clone(), ledger.clone());
            thread::spawn(move || match id {
                0 => hasty(&pool, &ledger, id, SIZE),
                1 => fickle(&pool, &ledger, id, SIZE),
                2 => awaiting(&pool, &ledger, id, SIZE),
                3 => barging(&pool, &ledger, id, SIZE),
                _ => patient(&pool, &ledger, id, SIZE),
            })
        })
        .collect()
}

/// Two buffers, both lent at first, and six threads.
fn all_kinds_of_requests<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    let held = [(); 2].map(|()| ledger.enter(pool.acquire_for(SIZE)));
    let threads = one_of_each(&pool, &ledger);
    for held in held {
        pause(10);
        drop(held);
    }
    join(threads);
    // At least the two held, and the three threads that wait to the end.
    assert!(ledger.served() >= 5);
    assert_whole(&pool, &ledger, 2);
}
on_each_pool!(all_kinds_of_requests, 2);

/// As above, while the pool is closed at some time: every request is served, or told so.
fn close_against_all_kinds<P: AnyPool>(pool: P) {
    let ledger = Ledger::default();
    let held = [(); 2].map(|()| ledger.enter(pool.acquire_for(SIZE)));
    let threads = one_of_each(&pool, &ledger);
    let closing = {
        let pool = pool.clone();
        thread::spawn(move || {
            pause(30);
            pool.close();
        })
    };
    for held in held {
        pause(10);
        drop(held);
    }
    join(threads);
    join(vec![closing]);
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
    ledger.assert_closed(&stats);
    let late = pool.acquire_timeout(SIZE, FOR_EVER);
    assert!(matches!(late, Err(AcquireError::Closed { .. })));
}
on_each_pool!(close_against_all_kinds, 2);

/// Three tiers of one buffer each, and threads that wait for one or for either of two of them.
fn waiting_on_several_tiers(close: bool) {
    let tiers = [SIZE, 2 * SIZE, 4 * SIZE];
    let config = tiers.into_iter().fold(MultiSizeConfig::new(), |config, size| {
        config.tier(PoolConfig::new(size).max(1).magazine(1))
    });
    let config = config.overflow(Overflow::NextTier);
    let pool = MultiSizePool::with_config(config).unwrap();
    let ledger = Ledger::default();
    let held = tiers.map(|size| ledger.enter(pool.acquire_for(size)));
    let threads: Vec<_> = (0..7)
        .map(|id| {
            let (pool, ledger) = (pool.clone(), ledger.clone());
            thread::spawn(move || match id {
                0 => patient(&pool, &ledger, id, SIZE),
                1 => patient(&pool, &ledger, id, 2 * SIZE),
                2 => patient(&pool, &ledger, id, 4 * SIZE),
                3 => hasty(&pool, &ledger, id, 2 * SIZE),
                4 => fickle(&pool, &ledger, id, SIZE),
                5 => awaiting(&pool, &ledger, id, SIZE),
                _ => barging(&pool, &ledger, id, 2 * SIZE),
            })
        })
        .collect();
    for held in held {
        pause(8);
        drop(held);
    }
    if close {
        pool.close();
    }
    join(threads);
    let stats = pool.stats();
    for tier in &stats.tiers {
        assert_eq!((tier.in_use, tier.waiting), (0, 0), "{tier:?}");
    }
    if close {
        ledger.assert_closed(&stats);
        return;
    }
    assert!(ledger.served() >= 7);
    ledger.assert_exact(&stats);
    // Each tier has its own buffer again.
    let all = tiers.map(|size| ledger.enter(pool.acquire_for(size)).unwrap());
    assert_eq!(ledger.bytes(), tiers.iter().sum());
    drop(all);
    ledger.assert_exact(&pool.stats());
}

#[test]
fn several_tiers() {
    explore(|| waiting_on_several_tiers(false));
}

#[test]
fn several_tiers_that_are_closed() {
    explore(|| waiting_on_several_tiers(true));
}
