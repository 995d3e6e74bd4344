//! A budget over two pools: exact, and every request that waits for bytes is served or told why not.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::ptr;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use loom::thread;
use poolbuf::{Acquire, AcquireError, Budget, BufferPool, Pool, PoolConfig};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::pools::SIZE;
use crate::requests::{FOR_EVER, joined, kept_elsewhere, poll, wait_and_leave, wait_for};

fn pool(budget: &Budget, size: usize, max: usize) -> BufferPool {
    let config = PoolConfig::new(size).max(max).magazine(0);
    BufferPool::with_config(config.budget(budget)).unwrap()
}

/// A budget for one buffer, two pools, a thread on each: never both have one, and each refusal is true.
#[test]
fn two_pools_share_one_buffers_worth() {
    every_schedule(|| {
        let budget = Budget::new(SIZE);
        let acquire = |pool: BufferPool, budget: Budget| match pool.acquire() {
            Ok(buf) => {
                assert_eq!(budget.lent(), SIZE);
                thread::yield_now();
                assert_eq!(budget.lent(), SIZE);
                drop(buf);
                true
            }
            Err(AcquireError::OverBudget { lent, .. }) => {
                assert_eq!(lent, SIZE);
                false
            }
            Err(other) => panic!("{other}"),
        };
        let (one, other) = (pool(&budget, SIZE, 1), pool(&budget, SIZE, 1));
        let shared = budget.clone();
        let thread = thread::spawn(move || acquire(one, shared));
        let mine = acquire(other, budget.clone());
        let theirs = thread.join().unwrap();
        assert!(mine || theirs);
        assert_eq!(budget.lent(), 0);
    });
}

/// As above, but each waits; so both are served.
#[test]
fn two_pools_wait_for_one_buffers_worth() {
    schedules_within(3, || {
        let budget = Budget::new(SIZE);
        let wait = |pool: BufferPool, budget: &Budget| {
            let buf = pool.acquire_timeout(SIZE, FOR_EVER).unwrap();
            assert_eq!(budget.lent(), SIZE);
            drop(buf);
        };
        let (one, other) = (pool(&budget, SIZE, 1), pool(&budget, SIZE, 1));
        let shared = budget.clone();
        let thread = thread::spawn(move || wait(one, &shared));
        wait(other, &budget);
        thread.join().unwrap();
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    });
}

/// One releases, one begins to wait and leaves, one waits to the end.
#[test]
fn bytes_granted_to_a_waiter_that_leaves_go_to_the_next() {
    schedules_within(2, || {
        let budget = Budget::new(SIZE);
        let (one, other) = (pool(&budget, SIZE, 2), pool(&budget, SIZE, 1));
        let held = one.acquire().unwrap();
        let fickle = spawn_with(one.clone(), |one| wait_and_leave(&one, 1));
        let patient = thread::spawn(move || {
            drop(other.acquire_timeout(SIZE, FOR_EVER).unwrap());
        });
        drop(held);
        let abandoned = fickle.join().unwrap();
        patient.join().unwrap();
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
        let (stats, all) = (one.stats(), budget.stats());
        assert_eq!((stats.in_use, stats.waiting), (0, 0));
        assert_eq!((stats.abandoned, stats.over_budget), (abandoned, abandoned));
        assert_eq!((all.abandoned, all.high_water), (abandoned, SIZE));
        assert_eq!(all.waits, all.granted + abandoned);
    });
}

/// One waits for bytes that another pool keeps, while its own pool is closed: it is told so.
#[test]
fn close_against_a_waiter_for_bytes() {
    schedules_within(3, || {
        let budget = Budget::new(SIZE);
        let (one, other) = (pool(&budget, SIZE, 1), pool(&budget, SIZE, 1));
        let held = other.acquire().unwrap();
        let waiter = spawn_with(one.clone(), |one| one.acquire_timeout(SIZE, FOR_EVER).unwrap_err());
        one.close();
        assert!(matches!(waiter.join().unwrap(), AcquireError::Closed { .. }));
        assert_eq!((budget.lent(), budget.stats().waiting), (SIZE, 0));
        assert_eq!(one.stats().in_use, 0);
        drop(held);
    });
}

/// Bytes come back while two ask a pool of one buffer, one of them maybe too early. The one that lacks the bytes never
/// has the buffer, so the other is not told that it is in use.
#[test]
fn a_request_that_lacks_bytes_keeps_no_buffer_from_another() {
    every_schedule(|| {
        let budget = Budget::new(SIZE);
        let (one, other) = (pool(&budget, SIZE, 1), pool(&budget, SIZE, 1));
        let held = other.acquire().unwrap();
        let thread = spawn_with(one.clone(), |one| one.acquire());
        drop(held);
        let answers = [one.acquire(), thread.join().unwrap()];
        let served = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(served, 1, "{answers:?}");
        let refused = answers.iter().find_map(|answer| answer.as_ref().err());
        assert!(matches!(refused, Some(AcquireError::OverBudget { .. })));
    });
}

/// A waker whose clone panics.
fn not_to_be_cloned() -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(|_| resume_unwind(Box::new("cloned")), |_| {}, |_| {}, |_| {});
    // SAFETY: the functions use no data, and may be called on any thread.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &VTABLE)) }
}

/// A waker panics when its request would wait for bytes, which another thread gives back meanwhile: neither a place nor
/// a buffer is lost.
#[test]
fn a_panic_of_a_waker_costs_no_buffer() {
    every_schedule(|| {
        let budget = Budget::new(SIZE);
        let (one, other) = (pool(&budget, SIZE, 1), pool(&budget, SIZE, 1));
        let held = other.acquire().unwrap();
        let holder = thread::spawn(move || drop(held));
        let waker = not_to_be_cloned();
        let mut context = Context::from_waker(&waker);
        let mut waiting = pin!(one.acquire_async(SIZE));
        let polled = catch_unwind(AssertUnwindSafe(|| waiting.as_mut().poll(&mut context)));
        assert!(matches!(polled, Err(_) | Ok(Poll::Ready(Ok(_)))));
        drop(polled);
        holder.join().unwrap();
        assert_eq!((one.stats().in_use, budget.stats().waiting), (0, 0));
        assert!(one.acquire().is_ok());
        assert_eq!(budget.lent(), 0);
    });
}

/// Two pools on a budget of so many small buffers' worth: one of large buffers, of twice that, and one of small ones.
fn two_pools(limit: usize, large: usize, small: usize) -> (Budget, BufferPool, BufferPool) {
    let budget = Budget::new(limit * SIZE);
    let large = pool(&budget, 2 * SIZE, large);
    let small = pool(&budget, SIZE, small);
    (budget, large, small)
}

/// Nothing is lent or waited for, by the budget's figures and by the pools', and nothing is owed.
fn assert_quiet(budget: &Budget, pools: &[&BufferPool]) {
    assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    for pool in pools {
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.waiting), (0, 0));
        assert!(stats.closed || pool.acquire().is_ok());
    }
}

/// A large buffer and a small one are waited for, and the bytes of both are lent.
#[test]
fn both_pools_wait_for_bytes() {
    schedules_within(2, || {
        let (budget, large, small) = two_pools(2, 1, 2);
        let held = wait_for(&small, 2);
        let others = [large.clone(), small.clone()];
        let others = others.map(|pool| spawn_with(pool, |pool| drop(wait_for(&pool, 1))));
        drop(held);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// One large buffer comes back, with bytes for two small ones, which two other pools wait for: both are served, before
/// anything else comes back.
#[test]
fn one_refund_serves_two_pools() {
    schedules_within(3, || {
        let (budget, large, small) = two_pools(2, 1, 1);
        let other = pool(&budget, SIZE, 1);
        let held = large.acquire().unwrap();
        let waiters = [kept_elsewhere(&small, 1), kept_elsewhere(&other, 1)];
        drop(held);
        let bufs = waiters.map(|waiter| waiter.join().unwrap());
        drop(bufs);
        assert_quiet(&budget, &[&large, &small, &other]);
    });
}

/// The first lacks bytes, and leaves; what is there is enough for the next, in another pool.
#[test]
fn the_first_leaves() {
    schedules_within(4, || {
        let (budget, large, small) = two_pools(2, 1, 2);
        let held = small.acquire().unwrap();
        let first = joined(&large, 1);
        let next = kept_elsewhere(&small, 1);
        drop(first);
        drop(next.join().unwrap());
        drop(held);
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// Two that lack bytes, each the first of its pool, leave at the same time: the third is served.
#[test]
fn the_first_two_leave_at_once() {
    schedules_within(4, || {
        let (budget, large, small) = two_pools(2, 1, 2);
        let other = pool(&budget, 2 * SIZE, 1);
        let held = small.acquire().unwrap();
        let (first, second, third) = (joined(&large, 1), joined(&other, 1), joined(&small, 1));
        let leaver = thread::spawn(move || drop(first));
        drop(second);
        drop(third.wait_timeout(FOR_EVER).unwrap());
        leaver.join().unwrap();
        drop(held);
        assert_quiet(&budget, &[&large, &small, &other]);
    });
}

/// As above, and the next is of the pool of the one that leaves first, so that each of the two looks at the other's
/// pool.
#[test]
fn the_first_two_leave_at_once_and_the_next_is_of_the_firsts_pool() {
    schedules_within(4, || {
        let (budget, large, small) = two_pools(2, 2, 2);
        let other = pool(&budget, 2 * SIZE, 1);
        let held = small.acquire().unwrap();
        let (first, second, third) = (joined(&large, 1), joined(&other, 1), joined(&large, 1));
        let leaver = thread::spawn(move || drop(first));
        drop(second);
        leaver.join().unwrap();
        drop(held);
        drop(third.wait_timeout(FOR_EVER).unwrap());
        assert_quiet(&budget, &[&large, &small, &other]);
    });
}

/// As above, but one leaves and the other's pool is closed, and bytes come back.
#[test]
fn one_leaves_and_ones_pool_is_closed_at_once() {
    schedules_within(3, || {
        let (budget, large, small) = two_pools(2, 1, 2);
        let other = pool(&budget, 2 * SIZE, 1);
        let held = small.acquire().unwrap();
        let (first, second, third) = (joined(&large, 1), joined(&other, 1), joined(&small, 1));
        let leaver = thread::spawn(move || drop(first));
        let closing = spawn_with(other.clone(), |other| drop(other.close()));
        let third = third.wait_timeout(FOR_EVER).unwrap();
        drop(held);
        drop(third);
        drop(second);
        leaver.join().unwrap();
        closing.join().unwrap();
        assert_quiet(&budget, &[&large, &small, &other]);
    });
}

/// Two pools are closed whose requests lack bytes: the third's is served.
#[test]
fn two_pools_are_closed_at_once() {
    schedules_within(3, || {
        let (budget, large, small) = two_pools(2, 1, 2);
        let other = pool(&budget, 2 * SIZE, 1);
        let held = small.acquire().unwrap();
        let (first, second, third) = (joined(&large, 1), joined(&other, 1), joined(&small, 1));
        let closing = spawn_with(other.clone(), |other| drop(other.close()));
        large.close();
        drop(third.wait_timeout(FOR_EVER).unwrap());
        closing.join().unwrap();
        for request in [first, second] {
            let end = request.wait_timeout(FOR_EVER);
            assert!(matches!(end, Err(AcquireError::Closed { .. })));
        }
        drop(held);
        assert_quiet(&budget, &[&large, &small, &other]);
    });
}

/// The first has its buffer until the max of its pool is lowered: then it leaves the budget's queue, and the next, of
/// another pool, finds its bytes there. Nothing comes back before that is served.
#[test]
fn the_first_lacks_its_buffer_from_now_on() {
    schedules_within(4, || {
        let budget = Budget::new(4 * SIZE);
        let config = PoolConfig::new(2 * SIZE).max(2).magazine(0);
        let large = BufferPool::with_config(config.budget(&budget)).unwrap();
        let small = pool(&budget, SIZE, 2);
        let held = (large.acquire().unwrap(), small.acquire().unwrap());
        let first = joined(&large, 1);
        let next = kept_elsewhere(&small, 1);
        large.set_max(1).unwrap();
        let next = next.join().unwrap();
        drop((next, held));
        drop(first.wait_timeout(FOR_EVER).unwrap());
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// The first lacks bytes, and a smaller request comes after it: when bytes come back, it is not served before the
/// first.
#[test]
fn a_small_one_comes_later() {
    schedules_within(4, || {
        let (budget, large, small) = two_pools(2, 1, 2);
        let held = wait_for(&small, 2);
        let first = joined(&large, 1);
        let later = spawn_with((small.clone(), large.clone()), |(small, large)| {
            let bufs = wait_for(&small, 1);
            assert_eq!(large.stats().acquired, 1, "served out of turn");
            drop(bufs);
        });
        held.into_iter().for_each(drop);
        drop(first.wait_timeout(FOR_EVER).unwrap());
        later.join().unwrap();
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// What does not wait is lent no bytes that are owed, and is refused no others.
#[test]
fn bytes_that_are_owed_are_lent_to_none() {
    every_schedule(|| {
        let (budget, large, small) = two_pools(2, 1, 2);
        let held = small.acquire().unwrap();
        let first = joined(&large, 1);
        let hasty = spawn_with(small.clone(), |small| small.acquire().is_ok());
        drop(held);
        assert!(!hasty.join().unwrap(), "lent out of turn");
        drop(first.wait_timeout(FOR_EVER).unwrap());
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// Bytes come back for the first, and some more, which are owed to the next, of another pool: they are lent to none.
#[test]
fn what_the_first_leaves_is_owed_to_the_next() {
    every_schedule(|| {
        let (budget, large, small) = two_pools(4, 2, 2);
        let other = pool(&budget, 2 * SIZE, 1);
        let (back, _held) = (large.acquire().unwrap(), small.acquire().unwrap());
        let (first, second) = (joined(&large, 1), joined(&other, 1));
        let hasty = spawn_with(small.clone(), |small| small.acquire().is_ok());
        drop(back);
        assert!(!hasty.join().unwrap(), "lent out of turn");
        drop(first.wait_timeout(FOR_EVER).unwrap());
        drop(second.wait_timeout(FOR_EVER).unwrap());
        assert_eq!((budget.lent(), budget.stats().waiting), (SIZE, 0));
    });
}

/// A request of one pool lacks a buffer, not bytes: one of the other pool has all that it wants, without and with
/// waiting.
#[test]
fn one_lacks_a_buffer() {
    schedules_within(4, || {
        let (budget, large, small) = two_pools(3, 1, 1);
        let held = large.acquire().unwrap();
        let other = kept_elsewhere(&large, 1);
        drop(small.acquire().unwrap());
        drop(wait_for(&small, 1));
        drop(held);
        drop(other.join().unwrap());
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// There are bytes and buffers for one that might have waited, whose buffer comes back as it joins, and for one that
/// does not wait: neither is refused.
#[test]
fn enough_for_both() {
    schedules_within(4, || {
        let (budget, large, small) = two_pools(3, 1, 1);
        let held = large.acquire().unwrap();
        let one = kept_elsewhere(&large, 1);
        drop(held);
        drop(small.acquire().unwrap());
        drop(one.join().unwrap());
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// A request waits for the bytes of another pool while one of the same pool is asked for without waiting.
#[test]
fn hasty_beside_one_that_waits() {
    schedules_within(3, || {
        let (budget, large, small) = two_pools(2, 1, 1);
        let held = small.acquire().unwrap();
        let waiter = kept_elsewhere(&large, 1);
        let hasty = spawn_with(large.clone(), |large| drop(large.acquire()));
        drop(held);
        drop(waiter.join().unwrap());
        hasty.join().unwrap();
        assert_quiet(&budget, &[&large, &small]);
    });
}

/// The first's pool goes with its last handle while bytes come back that it asked for, and whoever gives them back is
/// about to look at that pool.
#[test]
fn the_firsts_pool_goes() {
    every_schedule(|| {
        let (budget, large, small) = two_pools(2, 1, 1);
        let held = small.acquire().unwrap();
        let leaver = thread::spawn(move || {
            let first = joined_or_served(&large);
            drop(first);
            drop(large);
        });
        drop(held);
        leaver.join().unwrap();
        assert_quiet(&budget, &[&small]);
    });
}

/// A request for one, asked for once, whatever came of it.
fn joined_or_served(pool: &BufferPool) -> Acquire<'static> {
    let mut request = pool.acquire_async(SIZE).into_owned();
    drop(poll(&mut request));
    request
}

/// As above, but the request is forgotten, and so has no handle: its place is in the queue when the pool goes. The next
/// in line, of another pool, is served then.
#[test]
fn the_pool_of_one_that_was_forgotten_goes() {
    every_schedule(|| {
        let (budget, large, small) = two_pools(2, 1, 2);
        let mut held = wait_for(&small, 2);
        let mut first = large.acquire_async(SIZE);
        assert!(poll(&mut first).is_pending());
        std::mem::forget(first);
        let next = joined(&small, 1);
        let back = held.pop();
        let holder = thread::spawn(move || drop(back));
        // One small buffer's worth comes back, which is less than the first wants.
        drop(large);
        drop(next.wait_timeout(FOR_EVER).unwrap());
        holder.join().unwrap();
        drop(held);
        assert_quiet(&budget, &[&small]);
    });
}

/// Two pools go at the same time, whose requests were forgotten while they lacked bytes, as one gives bytes back.
#[test]
fn two_pools_of_those_that_were_forgotten_go_at_once() {
    schedules_within(3, || {
        let (budget, large, small) = two_pools(2, 1, 2);
        let other = pool(&budget, 2 * SIZE, 1);
        let mut held = wait_for(&small, 2);
        for pool in [&large, &other] {
            let mut request = pool.acquire_async(SIZE);
            assert!(poll(&mut request).is_pending());
            std::mem::forget(request);
        }
        let next = joined(&small, 1);
        let going = thread::spawn(move || drop(large));
        let back = held.pop();
        let holder = thread::spawn(move || drop(back));
        drop(other);
        drop(next.wait_timeout(FOR_EVER).unwrap());
        going.join().unwrap();
        holder.join().unwrap();
        drop(held);
        assert_quiet(&budget, &[&small]);
    });
}
