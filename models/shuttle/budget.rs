//! A budget over two pools, with threads that wait for buffers and for bytes.

use poolbuf::{Budget, BufferPool, MultiSizeConfig, MultiSizePool, Overflow, PoolConfig};
use shuttle::thread::{self, JoinHandle};

use crate::explore::{explore, join, pause};
use crate::ledger::Ledger;
use crate::pools::{AnyPool, SIZE};
use crate::waiting::{awaiting, barging, fickle, hasty, patient};

/// Bytes that both pools may lend together: not enough for all that they have.
const LIMIT: usize = 4 * SIZE;

fn pool(budget: &Budget, size: usize, max: usize, magazine: usize) -> BufferPool {
    let config = PoolConfig::new(size).max(max).magazine(magazine);
    BufferPool::with_config(config.budget(budget)).unwrap()
}

/// Two pools that share the budget: their ledgers are one, which knows the bytes.
#[derive(Clone)]
struct Two<P> {
    small: P,
    large: P,
    budget: Budget,
    ledger: Ledger,
}

/// Small buffers of `SIZE` bytes and large ones of three times that, of which only one fits the budget at a time.
fn two_pools(magazine: usize) -> Two<BufferPool> {
    let budget = Budget::new(LIMIT);
    Two {
        small: pool(&budget, SIZE, 3, magazine),
        large: pool(&budget, 3 * SIZE, 2, magazine),
        budget,
        ledger: Ledger::default(),
    }
}

impl<P: AnyPool> Two<P> {
    fn requests(&self) -> Vec<JoinHandle<()>> {
        (0..7)
            .map(|id| {
                let two = self.clone();
                thread::spawn(move || {
                    let Two { small, large, .. } = &two;
                    match id {
                        0 => patient(large, &two.ledger, id, 3 * SIZE),
                        1 => patient(small, &two.ledger, id, SIZE),
                        2 => awaiting(large, &two.ledger, id, 3 * SIZE),
                        3 => hasty(small, &two.ledger, id, SIZE),
                        4 => fickle(large, &two.ledger, id, 3 * SIZE),
                        5 => fickle(small, &two.ledger, id, SIZE),
                        _ => barging(small, &two.ledger, id, SIZE),
                    }
                    assert!(two.ledger.bytes() <= LIMIT);
                    assert!(two.budget.lent() <= LIMIT);
                })
            })
            .collect()
    }

    fn assert_nothing_left(&self) {
        assert_eq!((self.budget.lent(), self.budget.stats().waiting), (0, 0));
        let (small, large) = (self.small.stats(), self.large.stats());
        assert_eq!((small.in_use, small.waiting), (0, 0), "{small:?}");
        assert_eq!((large.in_use, large.waiting), (0, 0), "{large:?}");
        self.ledger.assert_acquired(small.acquired + large.acquired);
        self.ledger.assert_budget([&small, &large], &self.budget.stats());
    }
}

/// No request is left waiting for bytes that are there.
fn share<P: AnyPool>(two: Two<P>) {
    let held = two.ledger.enter(two.large.acquire());
    let threads = two.requests();
    pause(20);
    drop(held);
    join(threads);
    assert!(two.ledger.served() >= 4);
    two.assert_nothing_left();
    // All of the budget can be lent again.
    let one = two.ledger.enter(two.large.acquire()).unwrap();
    let other = two.ledger.enter(two.small.acquire()).unwrap();
    assert_eq!((two.budget.lent(), two.ledger.bytes()), (LIMIT, LIMIT));
    assert!(two.ledger.enter(two.small.acquire()).is_none());
    drop((one, other));
    two.assert_nothing_left();
}

/// One of the pools is closed at some time: its requests end, and those of the other are served.
fn close_one<P: AnyPool>(two: Two<P>) {
    let held = two.ledger.enter(two.large.acquire());
    let mut threads = two.requests();
    let closing = two.large.clone();
    threads.push(thread::spawn(move || {
        pause(20);
        closing.close();
    }));
    pause(20);
    drop(held);
    join(threads);
    two.assert_nothing_left();
    let all: Vec<_> = (0..3).map(|_| two.ledger.enter(two.small.acquire())).collect();
    assert!(all.iter().all(Option::is_some));
}

#[test]
fn shared_without_magazines() {
    explore(|| share(two_pools(0)));
}

#[test]
fn shared_with_magazines() {
    explore(|| share(two_pools(1)));
}

#[test]
fn one_of_two_closed_without_magazines() {
    explore(|| close_one(two_pools(0)));
}

#[test]
fn one_of_two_closed_with_magazines() {
    explore(|| close_one(two_pools(1)));
}

/// As `shared`, but the small pool and the large one are pools of several sizes.
#[test]
fn shared_by_multi_size_pools() {
    explore(|| {
        let budget = Budget::new(LIMIT);
        let tier = |size, max| PoolConfig::new(size).max(max).magazine(1).budget(&budget);
        let tiers = |small, large| {
            let config = MultiSizeConfig::new().tier(small).tier(large);
            MultiSizePool::with_config(config.overflow(Overflow::NextTier)).unwrap()
        };
        share(Two {
            small: tiers(tier(SIZE / 2, 1), tier(SIZE, 3)),
            large: tiers(tier(SIZE, 1), tier(3 * SIZE, 2)),
            budget,
            ledger: Ledger::default(),
        });
    });
}
