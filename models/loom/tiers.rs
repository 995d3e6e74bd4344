//! Requests that either of two tiers may serve: each is served once, wherever it is first, and is in nobody's way
//! afterwards.

use std::task::Poll;

use loom::thread;
use poolbuf::{AcquireError, Budget, BufferPool, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::assert_whole;
use crate::pools::{SIZE, multi_size_pool, multi_size_pool_with_magazines};
use crate::requests::{FOR_EVER, joined, poll};

const LARGE: usize = 2 * SIZE;

/// One waits for either of two tiers, whose only buffers are given back at the same time.
#[test]
fn one_waits_for_both_tiers() {
    schedules_within(2, || {
        let pool = multi_size_pool(1);
        let small = pool.acquire_for(SIZE).unwrap();
        let large = pool.acquire_for(2 * SIZE).unwrap();
        let waiter = spawn_with(pool.clone(), |pool| drop(pool.acquire_timeout(SIZE, FOR_EVER).unwrap()));
        let holder = thread::spawn(move || drop(small));
        drop(large);
        holder.join().unwrap();
        waiter.join().unwrap();
        assert_whole(&pool, 2);
    });
}

/// One waits for either of two tiers, whose only buffers are given back at the same time: before it comes for the one
/// that it was handed, another may have the other.
#[test]
fn one_request_in_two_lists_is_granted_one_buffer() {
    every_schedule(|| {
        let pool = multi_size_pool(1);
        let small = pool.acquire_for(SIZE).unwrap();
        let large = pool.acquire_for(2 * SIZE).unwrap();
        let mut waiting = pool.acquire_async(SIZE);
        assert!(poll(&mut waiting).is_pending());
        let holder = thread::spawn(move || drop(small));
        drop(large);
        holder.join().unwrap();
        let others: Vec<_> = (pool.tiers().iter()).filter_map(|tier| tier.acquire().ok()).collect();
        assert_eq!(others.len(), 1);
        drop(others);
        let polled = poll(&mut waiting);
        assert!(matches!(polled, Poll::Ready(Ok(_))));
        drop(polled);
        assert_whole(&pool, 2);
    });
}

/// Two tiers of two buffers each, of which the larger one serves in the other's place.
fn two_of_two(magazine: usize) -> MultiSizePool {
    let tier = |size| PoolConfig::new(size).max(2).magazine(magazine);
    let tiers = MultiSizeConfig::new().tier(tier(SIZE)).tier(tier(LARGE));
    MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap()
}

fn assert_all_there(pool: &MultiSizePool) {
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0));
    let whole = |tier: &BufferPool| tier.acquire_many(2, SIZE).is_ok();
    assert!(pool.tiers().iter().all(whole));
}

/// One of each is lent. A request for two may have either tier's when the others come back, at the same time: it has
/// two of one tier, and the other tier's are there for the next.
fn either_serves_a_request_for_both(magazine: usize) {
    let pool = two_of_two(magazine);
    let small = pool.acquire_for(SIZE).unwrap();
    let large = pool.acquire_for(LARGE).unwrap();
    let many = spawn_with(pool.clone(), |pool| {
        let bufs = pool.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER).unwrap();
        assert_eq!(bufs[0].capacity(), bufs[1].capacity());
    });
    let holder = thread::spawn(move || drop(small));
    drop(large);
    drop(pool.acquire_many_async(2, LARGE).wait_timeout(FOR_EVER).unwrap());
    holder.join().unwrap();
    many.join().unwrap();
    assert_all_there(&pool);
}

#[test]
fn either_serves_a_request_for_both_without_magazines() {
    schedules_within(3, || either_serves_a_request_for_both(0));
}

#[test]
fn either_serves_a_request_for_both_with_magazines() {
    schedules_within(1, || either_serves_a_request_for_both(2));
}

/// The first wants two of either tier, and the second one large buffer, which is free all the time. When the small tier
/// serves the first, the second is served at once: nothing else comes back.
#[test]
fn served_by_one_tier_it_stands_in_nobodys_way_in_the_other() {
    every_schedule(|| {
        let pool = two_of_two(0);
        let small = pool.acquire_for(SIZE).unwrap();
        let _large = pool.acquire_for(LARGE).unwrap();
        let first = joined(&pool, 2);
        let second = spawn_with(pool.clone(), |pool| {
            drop(pool.acquire_timeout(LARGE, FOR_EVER).unwrap());
        });
        drop(small);
        second.join().unwrap();
        assert_eq!(first.wait_timeout(FOR_EVER).unwrap()[0].capacity(), SIZE);
    });
}

/// As above, and the first leaves.
#[test]
fn gone_it_stands_in_nobodys_way_in_either() {
    schedules_within(3, || {
        let pool = two_of_two(0);
        let held = [pool.acquire_for(SIZE).unwrap(), pool.acquire_for(LARGE).unwrap()];
        let first = joined(&pool, 2);
        let others = [SIZE, LARGE].map(|len| {
            spawn_with(pool.clone(), move |pool| {
                drop(pool.acquire_timeout(len, FOR_EVER).unwrap());
            })
        });
        drop(first);
        others.into_iter().for_each(|other| other.join().unwrap());
        drop(held);
        assert_all_there(&pool);
    });
}

/// A request in two tiers leaves at any moment, while both of its tiers' buffers come back: both are there afterwards.
fn leaving_while_both_come_back(magazine: usize) {
    let pool = multi_size_pool_with_magazines(1, magazine);
    let small = pool.acquire_for(SIZE).unwrap();
    let large = pool.acquire_for(LARGE).unwrap();
    let leaver = spawn_with(pool.clone(), |pool| {
        drop(poll(&mut pool.acquire_async(SIZE)));
    });
    let holder = thread::spawn(move || drop(small));
    drop(large);
    drop(pool.acquire_timeout(LARGE, FOR_EVER).unwrap());
    leaver.join().unwrap();
    holder.join().unwrap();
    assert_eq!(pool.stats().waiting, 0);
    assert_whole(&pool, 2);
}

#[test]
fn leaving_while_both_come_back_without_magazines() {
    schedules_within(3, || leaving_while_both_come_back(0));
}

#[test]
fn leaving_while_both_come_back_with_magazines() {
    schedules_within(2, || leaving_while_both_come_back(1));
}

/// One of its tiers is closed while a request waits, and the other's buffer comes back: that serves it.
fn one_tier_closes(closed: usize) {
    let pool = multi_size_pool(1);
    let small = pool.acquire_for(SIZE).unwrap();
    let large = pool.acquire_for(LARGE).unwrap();
    let waiter = spawn_with(pool.clone(), move |pool| {
        let buf = pool.acquire_timeout(SIZE, FOR_EVER).unwrap();
        assert!(buf.capacity() == [LARGE, SIZE][closed]);
    });
    let closing = spawn_with(pool.clone(), move |pool| drop(pool.tiers()[closed].close()));
    let [back, _held] = if closed == 0 { [large, small] } else { [small, large] };
    drop(back);
    closing.join().unwrap();
    waiter.join().unwrap();
    assert_eq!((pool.stats().waiting, pool.stats().in_use), (0, 1));
}

#[test]
fn the_small_tier_closes_and_the_large_one_serves() {
    schedules_within(3, || one_tier_closes(0));
}

#[test]
fn the_large_tier_closes_and_the_small_one_serves() {
    schedules_within(3, || one_tier_closes(1));
}

/// Both tiers are closed by different threads while a request waits, and a buffer comes back: it is served, or told
/// that they are closed.
#[test]
fn both_tiers_close() {
    schedules_within(3, || {
        let pool = multi_size_pool(1);
        let small = pool.acquire_for(SIZE).unwrap();
        let _large = pool.acquire_for(LARGE).unwrap();
        let mut request = pool.acquire_async(SIZE);
        assert!(poll(&mut request).is_pending());
        let closing = spawn_with(pool.clone(), |pool| drop(pool.tiers()[1].close()));
        let holder = thread::spawn(move || drop(small));
        pool.tiers()[0].close();
        closing.join().unwrap();
        let end = request.wait_timeout(FOR_EVER);
        assert!(matches!(end, Ok(_) | Err(AcquireError::Closed { .. })));
        drop(end);
        holder.join().unwrap();
        assert_eq!((pool.stats().waiting, pool.stats().in_use), (0, 1));
    });
}

/// A request lacks a small buffer, and the bytes of a large one, which is free. When the small one comes back it has
/// what it wants, and the next that asks for bytes, of another pool, may have those that are there.
#[test]
fn served_by_one_tier_it_asks_for_no_bytes_in_the_other() {
    every_schedule(|| {
        let budget = Budget::new(2 * SIZE);
        let tiers = MultiSizeConfig::new()
            .tier(PoolConfig::new(SIZE).max(1).magazine(0))
            .tier(PoolConfig::new(LARGE).max(1).magazine(0).budget(&budget));
        let pool = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap();
        let other = BufferPool::with_config(PoolConfig::new(SIZE).max(2).budget(&budget)).unwrap();
        let small = pool.acquire_for(SIZE).unwrap();
        let _bytes = other.acquire().unwrap();
        let mut first = pool.acquire_async(SIZE);
        assert!(poll(&mut first).is_pending());
        assert_eq!(budget.stats().waiting, 1);
        let second = spawn_with(other.clone(), |other| {
            drop(other.acquire_timeout(SIZE, FOR_EVER).unwrap());
        });
        drop(small);
        second.join().unwrap();
        let polled = poll(&mut first);
        assert!(matches!(polled, Poll::Ready(Ok(buf)) if buf.capacity() == SIZE));
        assert_eq!((budget.lent(), budget.stats().waiting), (SIZE, 0));
    });
}

/// Both tiers are charged to one budget, which has bytes for a small buffer. A request waits for that, and is in the
/// budget's queue once: when bytes and buffer come back at the same time, it is served, and its bytes are charged once.
#[test]
fn bytes_and_a_buffer_come_back_at_once() {
    schedules_within(3, || {
        let budget = Budget::new(3 * SIZE);
        let tier = |size| PoolConfig::new(size).max(1).magazine(0).budget(&budget);
        let tiers = MultiSizeConfig::new().tier(tier(SIZE)).tier(tier(LARGE));
        let pool = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap();
        let other = BufferPool::with_config(tier(LARGE)).unwrap();
        let bytes = other.acquire().unwrap();
        let small = pool.acquire_for(SIZE).unwrap();
        let waiter = spawn_with(pool.clone(), |pool| pool.acquire_timeout(SIZE, FOR_EVER).unwrap());
        let holder = thread::spawn(move || drop(bytes));
        drop(small);
        let buf = waiter.join().unwrap();
        holder.join().unwrap();
        assert_eq!((budget.lent(), budget.stats().waiting), (buf.capacity(), 0));
        drop(buf);
        assert_eq!((budget.lent(), pool.stats().in_use), (0, 0));
    });
}

/// Two in line, each of which wants two and may have those of either tier, and all come back but one small buffer: the
/// large tier serves both.
#[test]
fn two_in_both_lists() {
    schedules_within(2, || {
        let pool = two_of_two(0);
        let [_small, back] = [(); 2].map(|()| pool.acquire_for(SIZE).unwrap());
        let large = pool.acquire_many(2, LARGE).unwrap();
        let waiters = [(); 2].map(|()| {
            spawn_with(pool.clone(), |pool| {
                drop(pool.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER).unwrap());
            })
        });
        drop(large);
        drop(back);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (1, 0));
    });
}

/// The max of one tier is lowered below what a request wants, while the other's come back.
#[test]
fn one_tier_has_too_few_for_it_from_now_on() {
    schedules_within(3, || {
        let pool = two_of_two(0);
        let small = pool.acquire_many(2, SIZE).unwrap();
        let large = pool.acquire_many(2, LARGE).unwrap();
        let waiter = spawn_with(pool.clone(), |pool| {
            let bufs = pool.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER).unwrap();
            assert_eq!(bufs[0].capacity(), bufs[1].capacity());
        });
        let set_max = spawn_with(pool.clone(), |pool| pool.tiers()[0].set_max(1).unwrap());
        drop(large);
        set_max.join().unwrap();
        waiter.join().unwrap();
        drop(small);
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    });
}

/// A request lacks the bytes of either tier, both charged to one budget. One tier is closed as bytes come back for the
/// other's: that serves it.
fn one_tier_closes_and_the_request_asks_on_in_the_other(closed: usize) {
    let budget = Budget::new(2 * SIZE);
    let tier = |size| PoolConfig::new(size).max(1).magazine(0).budget(&budget);
    let tiers = MultiSizeConfig::new().tier(tier(SIZE)).tier(tier(LARGE));
    let pool = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap();
    let other = BufferPool::with_config(tier(LARGE)).unwrap();
    let bytes = other.acquire().unwrap();
    let mut request = pool.acquire_async(SIZE).into_owned();
    assert!(poll(&mut request).is_pending());
    assert_eq!(budget.stats().waiting, 1);
    let closing = spawn_with(pool.clone(), move |pool| drop(pool.tiers()[closed].close()));
    drop(bytes);
    drop(request.wait_timeout(FOR_EVER).unwrap());
    closing.join().unwrap();
    assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
}

#[test]
fn the_small_tier_closes_and_the_request_asks_on_in_the_large_one() {
    every_schedule(|| one_tier_closes_and_the_request_asks_on_in_the_other(0));
}

#[test]
fn the_large_tier_closes_and_the_request_asks_on_in_the_small_one() {
    schedules_within(3, || one_tier_closes_and_the_request_asks_on_in_the_other(1));
}
