//! A request that waits has a place in the line, and nothing else: no buffer, no byte of a budget.
#![cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use poolbuf::{
    Acquire, AcquireError, Budget, BufferPool, Health, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig,
};

#[path = "shared/poll.rs"]
mod poll;
#[path = "shared/pools.rs"]
mod pools;

use poll::poll;
use pools::every_pool;

const SIZE: usize = 64;
const MAX: usize = 64;

/// No buffer was touched before.
fn config() -> PoolConfig {
    PoolConfig::new(SIZE).initial(0).max(MAX)
}

fn pools_with(config: &PoolConfig) -> Vec<Arc<dyn Pool>> {
    every_pool::<MAX>(config, &[0, usize::MAX])
}

fn pools() -> Vec<Arc<dyn Pool>> {
    pools_with(&config())
}

/// Two tiers, of `SIZE` and of twice that, where the second may serve for the first.
fn two_tiers(small: PoolConfig, large: PoolConfig) -> MultiSizePool {
    let tiers = MultiSizeConfig::new().tier(small).tier(large);
    MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap()
}

/// Otherwise a buffer that was never touched would be lent next, and memory grow for ever.
#[test]
fn what_waited_in_vain_or_was_lent_at_once_leaves_the_order_of_the_free_buffers() {
    for pool in pools() {
        let held = pool.acquire().unwrap();
        let next_four = || {
            let mut four: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
            let places: Vec<_> = four.iter().map(|buf| buf.as_ptr()).collect();
            four.drain(..).rev().for_each(drop);
            places
        };
        let before = next_four();
        for _ in 0..3 {
            let late = pool.acquire_many_async(MAX, SIZE).wait_timeout(Duration::ZERO);
            assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
            assert_eq!(next_four(), before, "{}", pool.name());
            drop(pool.acquire_many(3, SIZE).unwrap());
            assert_eq!(next_four(), before, "{}", pool.name());
        }
        assert_eq!(pool.stats().high_water, 5);
        drop(held);
    }
}

#[test]
fn a_request_that_waits_touches_no_buffer() {
    for pool in pools() {
        let held = pool.acquire().unwrap();
        for _ in 0..10 {
            let mut many = pool.acquire_many_async(MAX, SIZE);
            assert!(poll(&mut many).is_pending());
            assert_eq!(pool.stats().in_use, 1);
            drop(many);
        }
        let stats = pool.stats();
        assert_eq!((stats.high_water, stats.resident_bytes / SIZE), (1, 1));
        assert_eq!(stats.acquired, 1);
        drop(held);
    }
}

#[test]
fn many_that_wait_for_bytes_touch_no_buffer() {
    let budget = Budget::new(10 * SIZE);
    for pool in pools_with(&config().budget(&budget)) {
        let held = pool.acquire_many(6, SIZE).unwrap();
        let mut waiting: Vec<_> = (0..20).map(|_| pool.acquire_many_async(5, SIZE)).collect();
        for waits in &mut waiting {
            assert!(poll(waits).is_pending());
        }
        assert_eq!((budget.lent(), pool.stats().waiting), (6 * SIZE, 20));
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.high_water), (6, 6));
        drop(held);
        for mut waits in waiting {
            assert!(matches!(poll(&mut waits), Poll::Ready(Ok(bufs)) if bufs.len() == 5));
        }
        assert!(pool.stats().high_water <= 10, "what the budget allows");
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    }
}

#[test]
fn that_one_wants_many_and_others_wait_for_it_is_said() {
    for pool in pools() {
        let held = pool.acquire().unwrap();
        let mut many = pool.acquire_many_async(MAX, SIZE);
        let mut behind = pool.acquire_async(SIZE);
        assert!(poll(&mut many).is_pending());
        assert!(!matches!(pool.stats().health(), Health::FirstWantsMany { .. }));
        assert!(poll(&mut behind).is_pending());
        let stats = pool.stats();
        assert_eq!((stats.first_wants, stats.waiting), (MAX, 2));
        let said = stats.to_string();
        assert!(
            said.contains("the first of 2 that wait wants 64 buffers, and 63 are free"),
            "{said}"
        );
        drop(many);
        assert!(poll(&mut behind).is_ready());
        assert_eq!(pool.stats().first_wants, 0);
        drop(held);
    }
}

/// A place while it waits, and what it is granted once it has been.
#[test]
fn a_request_that_is_forgotten_costs_its_place_and_then_its_grant() {
    for pool in pools() {
        let held = pool.acquire_many(2, SIZE).unwrap();
        let mut many = ManuallyDrop::new(pool.acquire_many_async(MAX - 1, SIZE));
        assert!(poll(&mut *many).is_pending());
        assert_eq!(pool.stats().in_use, 2);
        drop(held);
        assert_eq!(pool.stats().in_use, MAX - 1);
        assert!(pool.acquire().is_ok(), "there is one more");
        // Only for the leak detector.
        drop(ManuallyDrop::into_inner(many));
        assert_eq!(pool.stats().in_use, 0);
    }
}

/// Its own tier has a buffer again, and there are bytes for that; the larger one, for which it lacks bytes, is not
/// needed.
#[test]
fn a_request_that_lacks_bytes_in_one_tier_is_served_by_the_other() {
    let budget = Budget::new(3 * SIZE);
    let tier = |size| PoolConfig::new(size).max(1).budget(&budget);
    let pool = two_tiers(tier(SIZE), tier(2 * SIZE));
    let other = BufferPool::with_config(tier(2 * SIZE)).unwrap();
    let _for_long = other.acquire().unwrap();
    let small = pool.acquire_for(SIZE).unwrap();
    let mut waiting = pool.acquire_async(SIZE);
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(budget.stats().waiting, 1, "for the bytes of the large one");
    drop(small);
    let served = poll(&mut waiting);
    assert!(matches!(&served, Poll::Ready(Ok(buf)) if buf.capacity() == SIZE));
    assert_eq!((budget.stats().waiting, budget.lent()), (0, 3 * SIZE));
    drop(served);
    assert!(pool.acquire_for(SIZE).is_ok(), "nothing is owed any more");
}

#[test]
fn a_request_is_in_the_queue_of_a_budget_once_whichever_tiers_ask() {
    let budget = Budget::new(4 * SIZE);
    let tier = |size| PoolConfig::new(size).max(2).budget(&budget);
    let pool = two_tiers(tier(SIZE), tier(2 * SIZE));
    let other = BufferPool::with_config(tier(SIZE)).unwrap();
    let held = BufferPool::with_config(tier(4 * SIZE)).unwrap();
    let all = held.acquire().unwrap();
    let mut first = pool.acquire_async(SIZE);
    let mut second = other.acquire_async(SIZE);
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!(budget.stats().waiting, 2);
    drop(first);
    assert_eq!(budget.stats().waiting, 1);
    drop(all);
    assert!(poll(&mut second).is_ready());
    assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
}

#[test]
fn want_of_bytes_in_one_tier_is_none_in_another_with_its_own_budget() {
    let budget = Budget::new(2 * SIZE);
    let pool = two_tiers(
        PoolConfig::new(SIZE).max(4).budget(&budget),
        PoolConfig::new(2 * SIZE).max(4),
    );
    let _spent = pool.acquire_many(2, SIZE).unwrap();
    let large = |capacity| assert_eq!(capacity, 2 * SIZE);
    large(pool.acquire_for(SIZE).unwrap().capacity());
    large(pool.acquire_many(2, SIZE).unwrap()[0].capacity());
    let waited = pool.acquire_timeout(SIZE, Duration::ZERO);
    large(waited.unwrap().capacity());
    let many = pool.acquire_many_async(2, SIZE).wait_timeout(Duration::ZERO);
    large(many.unwrap()[0].capacity());
    // With neither, it is served by that which can first.
    let rest = pool.acquire_many(4, 2 * SIZE).unwrap();
    assert!(matches!(pool.acquire_for(SIZE), Err(AcquireError::OverBudget { .. })));
    let mut waiting = pool.acquire_async(SIZE);
    assert!(poll(&mut waiting).is_pending());
    drop(rest);
    assert!(poll(&mut waiting).is_ready());
    assert_eq!((budget.stats().waiting, pool.stats().waiting), (0, 0));
}

/// Though its task does not look.
#[test]
fn what_one_tier_has_granted_nothing_is_owed_in_the_other() {
    let tier = |size| PoolConfig::new(size).max(4);
    let pool = two_tiers(tier(SIZE), tier(2 * SIZE));
    let small = pool.acquire_many(2, SIZE).unwrap();
    let large = pool.acquire_many(2, 2 * SIZE).unwrap();
    let mut three = pool.acquire_many_async(3, SIZE);
    assert!(poll(&mut three).is_pending());
    assert!(pool.acquire_for(2 * SIZE).is_err(), "owed");
    drop(small);
    assert!(pool.acquire_for(2 * SIZE).is_ok());
    assert!(pool.acquire_timeout(2 * SIZE, Duration::ZERO).is_ok());
    assert_eq!(pool.stats().waiting, 0);
    drop(large);
    assert!(matches!(poll(&mut three), Poll::Ready(Ok(bufs)) if bufs.len() == 3));
}

#[test]
fn a_request_counts_as_waiting_where_it_waits_still() {
    for closes in [false, true] {
        let tier = |size| PoolConfig::new(size).max(4);
        let pool = two_tiers(tier(SIZE), tier(2 * SIZE));
        let _small = pool.acquire_many(4, SIZE).unwrap();
        let large = pool.acquire_many(4, 2 * SIZE).unwrap();
        let waiting = || {
            let stats = pool.stats();
            (stats.tiers[0].waiting, stats.tiers[1].waiting)
        };
        let mut three = pool.acquire_many_async(3, SIZE);
        assert!(poll(&mut three).is_pending());
        assert_eq!(waiting(), (1, 0));
        match closes {
            true => drop(pool.tiers()[0].close()),
            false => drop(pool.tiers()[0].set_max(2).unwrap()),
        }
        assert!(poll(&mut three).is_pending());
        assert_eq!(waiting(), (0, 1));
        drop(large);
        assert!(poll(&mut three).is_ready());
        assert_eq!(waiting(), (0, 0));
    }
}

/// Not before: a max that was raised in between helps, and one that was lowered does not surprise.
#[test]
fn whether_a_request_can_be_served_is_asked_when_it_is_polled() {
    let pool = BufferPool::with_config(PoolConfig::new(SIZE).max(2).reserve(4)).unwrap();
    let mut three = pool.acquire_many_async(3, SIZE);
    let mut two = pool.acquire_many_async(2, SIZE);
    pool.set_max(3).unwrap();
    assert!(poll(&mut three).is_ready());
    pool.set_max(1).unwrap();
    assert!(matches!(
        poll(&mut two),
        Poll::Ready(Err(AcquireError::TooMany {
            requested: 2,
            max: 1,
            ..
        }))
    ));
}

#[test]
fn a_request_that_waits_for_more_than_a_lowered_max_is_told() {
    let pool = BufferPool::with_config(PoolConfig::new(SIZE).max(4)).unwrap();
    let held = pool.acquire().unwrap();
    let mut four = pool.acquire_many_async(4, SIZE);
    let mut two = pool.acquire_many_async(2, SIZE);
    assert!(poll(&mut four).is_pending() && poll(&mut two).is_pending());
    pool.set_max(3).unwrap();
    assert!(matches!(poll(&mut two), Poll::Ready(Ok(bufs)) if bufs.len() == 2));
    let told = poll(&mut four);
    assert!(matches!(
        told,
        Poll::Ready(Err(AcquireError::TooMany {
            requested: 4,
            max: 3,
            ..
        }))
    ));
    drop(held);
    assert_eq!(pool.stats().waits, 2);
}

#[test]
fn none_at_once_fails_where_one_always_would() {
    for pool in pools() {
        assert_eq!(pool.acquire_many(0, SIZE).unwrap().len(), 0);
        let mut none = pool.acquire_many_async(0, SIZE);
        assert!(matches!(poll(&mut none), Poll::Ready(Ok(bufs)) if bufs.is_empty()));
        let too_large = pool.acquire_many(0, SIZE + 1);
        assert!(matches!(too_large, Err(AcquireError::TooLarge { .. })));
        pool.close();
        let closed = pool.acquire_many(0, SIZE);
        assert!(matches!(closed, Err(AcquireError::Closed { .. })));
    }
}

#[test]
fn what_was_granted_before_the_pool_was_closed_is_lent() {
    for pool in pools() {
        let held = pool.acquire_many(MAX, SIZE).unwrap();
        let mut granted = pool.acquire_many_async(2, SIZE);
        let mut too_late = pool.acquire_many_async(MAX, SIZE);
        assert!(poll(&mut granted).is_pending() && poll(&mut too_late).is_pending());
        drop(held);
        pool.close();
        assert!(matches!(poll(&mut granted), Poll::Ready(Ok(bufs)) if bufs.len() == 2));
        assert!(matches!(
            poll(&mut too_late),
            Poll::Ready(Err(AcquireError::Closed { .. }))
        ));
    }
}

#[test]
fn as_many_wait_as_may_and_the_next_is_told() {
    for pool in pools_with(&config().max_waiting(3)) {
        let held = pool.acquire_many(MAX, SIZE).unwrap();
        let mut waiting: Vec<Acquire<'_>> = (0..3).map(|_| pool.acquire_async(SIZE)).collect();
        for waits in &mut waiting {
            assert!(poll(waits).is_pending());
        }
        for _ in 0..2 {
            let error = pool.acquire_timeout(SIZE, Duration::MAX).unwrap_err();
            assert!(matches!(error, AcquireError::TooManyWaiting { waiting: 3, .. }));
            assert!(error.to_string().contains("3 requests wait"), "{error}");
        }
        assert_eq!((pool.stats().waiting, pool.stats().refused), (3, 2));
        waiting.pop();
        let mut next = pool.acquire_async(SIZE).into_owned();
        assert!(poll(&mut next).is_pending());
        // Those that have been granted theirs wait no more.
        drop(held);
        assert_eq!(pool.stats().waiting, 0);
        assert!(poll(&mut next).is_ready());
    }
}

#[test]
fn requests_that_borrow_nothing_outlive_every_handle() {
    for pool in pools() {
        let held = pool.acquire_many(MAX - 1, SIZE).unwrap();
        let mut many = pool.acquire_many_async(2, SIZE).into_owned();
        let mut chain = pool.acquire_chain_async(3 * SIZE).into_owned();
        assert!(poll(&mut many).is_pending() && poll(&mut chain).is_pending());
        drop(pool);
        drop(held);
        assert!(matches!(poll(&mut many), Poll::Ready(Ok(bufs)) if bufs.len() == 2));
        assert!(matches!(poll(&mut chain), Poll::Ready(Ok(chain)) if chain.buffers() == 3));
    }
}

/// So many that the guards alone would take 4 GB; as address space the pool has them.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_request_for_more_than_are_free_reserves_no_memory_for_them() {
    const MANY: usize = 100_000_000;
    let pool = BufferPool::new(16, 0, MANY).unwrap();
    let _one = pool.acquire().unwrap();
    let refused = pool.acquire_many(MANY, 16).unwrap_err();
    assert!(matches!(
        refused,
        AcquireError::Exhausted {
            in_use: 1,
            max: MANY,
            ..
        }
    ));
    let mut waiting = pool.acquire_many_async(usize::MAX, 16);
    assert!(matches!(
        poll(&mut waiting),
        Poll::Ready(Err(AcquireError::TooMany { .. }))
    ));
    drop(waiting);
    assert_eq!(pool.stats().high_water, 1);
}
