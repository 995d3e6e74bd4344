//! Requests that wait and that two tiers may serve: by which, and what counts them.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use poolbuf::{
    Acquire, AcquireError, Budget, BufferPool, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig, PooledBuf,
};

#[path = "shared/poll.rs"]
mod poll;

use poll::poll;

/// Of two tiers, of which the larger may serve in the smaller one's place.
fn pool(small: PoolConfig, large: PoolConfig) -> MultiSizePool {
    let tiers = MultiSizeConfig::new().tier(small).tier(large);
    MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap()
}

/// A request that waits.
fn queued(pool: &MultiSizePool, len: usize) -> Acquire<'_> {
    let mut request = pool.acquire_async(len);
    assert!(poll(&mut request).is_pending());
    request
}

fn ready(request: &mut Acquire<'_>) -> PooledBuf {
    match poll(request) {
        Poll::Ready(lent) => lent.unwrap(),
        Poll::Pending => panic!("nothing was lent to it"),
    }
}

#[test]
fn bytes_that_come_back_buy_the_smaller_buffer() {
    let budget = Budget::new(100);
    let of = |size| PoolConfig::new(size).max(1).budget(&budget);
    let pool = pool(of(10), of(90));
    let others = BufferPool::with_config(of(100)).unwrap();
    let all = others.acquire().unwrap();
    let mut request = queued(&pool, 10);
    drop(all);
    assert_eq!(ready(&mut request).capacity(), 10);
}

#[test]
fn who_has_left_makes_room_in_the_smaller_tier_first() {
    let of = |size| PoolConfig::new(size).max(2);
    let pool = pool(of(10), of(90));
    let _held = [pool.tiers()[0].acquire().unwrap(), pool.tiers()[1].acquire().unwrap()];
    let mut many = pool.acquire_many_async(2, 10);
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut many).poll(&mut context).is_pending());
    let mut behind = queued(&pool, 10);
    drop(many);
    assert_eq!(ready(&mut behind).capacity(), 10);
}

#[test]
fn a_wait_counts_as_one_for_bytes_however_it_ends() {
    let budget = Budget::new(100);
    let pool = BufferPool::with_config(PoolConfig::new(100).max(2).budget(&budget)).unwrap();
    for round in 1..=3 {
        let all = pool.acquire().unwrap();
        let mut request = pool.acquire_async(100);
        assert!(poll(&mut request).is_pending());
        drop(all);
        // It was granted the bytes: and comes for them; or is dropped; or its time is up first.
        match round {
            1 => drop(ready(&mut request)),
            2 => drop(request),
            _ => drop(request.wait_timeout(Duration::ZERO)),
        }
        let (in_pool, in_budget) = (pool.stats(), budget.stats());
        assert_eq!((in_pool.waits_for_bytes, in_budget.waits), (round, round));
    }
    let stats = budget.stats();
    assert_eq!((stats.granted, stats.abandoned), (2, 1), "{stats:?}");
    assert_eq!(pool.stats().over_budget, 1);
}

#[test]
fn a_wait_counts_for_the_bytes_of_the_budget_that_it_lacked() {
    let (first, second) = (Budget::new(10), Budget::new(180));
    let small = PoolConfig::new(10).max(2).budget(&first);
    let large = PoolConfig::new(90).max(1).budget(&second);
    let pool = pool(small, large);
    let _held = pool.tiers()[0].acquire().unwrap();
    let other = pool.tiers()[1].acquire().unwrap();
    // It lacks the bytes of the first, and a buffer where it has those of the second.
    let mut request = queued(&pool, 10);
    drop(other);
    assert_eq!(ready(&mut request).capacity(), 90);
    assert_eq!(second.stats().waits, 0);
    assert_eq!(pool.stats().waits_for_bytes, 0);
}

#[test]
fn a_wait_that_was_refused_counts_in_the_last_tier_that_could_have_served_it() {
    let pool = pool(PoolConfig::new(10).max(1), PoolConfig::new(90).max(1));
    let _held = [pool.acquire_for(10).unwrap(), pool.acquire_for(90).unwrap()];
    let request = queued(&pool, 10);
    pool.tiers()[0].close();
    pool.tiers()[1].close();
    drop(request);
    let stats = pool.stats();
    let abandoned: Vec<_> = stats.tiers.iter().map(|tier| tier.abandoned).collect();
    assert_eq!(abandoned, [0, 1]);
}

#[test]
fn a_request_that_one_line_has_no_place_for_waits_in_the_other_and_is_not_refused() {
    let small = PoolConfig::new(10).max(1).max_waiting(0);
    let pool = pool(small, PoolConfig::new(90).max(1).max_waiting(1));
    let _held = [pool.acquire_for(10).unwrap(), pool.acquire_for(90).unwrap()];
    let request = queued(&pool, 10);
    assert_eq!(pool.stats().refused, 0);
    // Now both are full: that is one request refused.
    let error = pool.acquire_timeout(10, Duration::MAX).unwrap_err();
    assert!(matches!(error, AcquireError::TooManyWaiting { waiting: 0, .. }));
    assert_eq!(pool.stats().refused, 1);
    drop(request);
}

#[test]
fn a_request_that_can_be_served_later_is_not_told_that_it_never_can() {
    let small = PoolConfig::new(10).max(2).max_waiting(0);
    let pool = pool(small, PoolConfig::new(90).max(1));
    let _held = pool.acquire_for(10).unwrap();
    let error = pool.acquire_many_async(2, 10).wait_timeout(Duration::MAX).unwrap_err();
    assert!(matches!(error, AcquireError::TooManyWaiting { .. }));
}

#[test]
fn a_raised_max_serves_who_is_next_in_the_other_tier_too() {
    let small = PoolConfig::new(10).max(2).reserve(3);
    let pool = pool(small, PoolConfig::new(90).max(2));
    let _held = [pool.tiers()[0].acquire(), pool.tiers()[1].acquire()].map(Result::unwrap);
    let mut many = pool.acquire_many_async(2, 10);
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut many).poll(&mut context).is_pending());
    // One is free, and owed to the other.
    let mut next = queued(&pool, 90);
    pool.tiers()[0].set_max(3).unwrap();
    assert_eq!(ready(&mut next).capacity(), 90);
    assert!(Pin::new(&mut many).poll(&mut context).is_ready());
}
