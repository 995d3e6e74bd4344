//! A budget over two pools: exact, and every request that waits for bytes is served or told why not.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::ptr;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use loom::thread;
use poolbuf::{AcquireError, Budget, BufferPool, Pool, PoolConfig};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::pools::SIZE;
use crate::waiting::{FOR_EVER, wait_and_leave};

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
        assert_eq!((budget.lent(), budget.waiting()), (0, 0));
    });
}

/// One releases, one begins to wait and leaves, one waits to the end.
#[test]
fn bytes_granted_to_a_waiter_that_leaves_go_to_the_next() {
    schedules_within(2, || {
        let budget = Budget::new(SIZE);
        let (one, other) = (pool(&budget, SIZE, 2), pool(&budget, SIZE, 1));
        let held = one.acquire().unwrap();
        let fickle = spawn_with(one.clone(), |one| wait_and_leave(&one));
        let patient = thread::spawn(move || {
            drop(other.acquire_timeout(SIZE, FOR_EVER).unwrap());
        });
        drop(held);
        let abandoned = fickle.join().unwrap();
        patient.join().unwrap();
        assert_eq!((budget.lent(), budget.waiting()), (0, 0));
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
        let waiter = spawn_with(one.clone(), |one| {
            one.acquire_timeout(SIZE, FOR_EVER).unwrap_err()
        });
        one.close();
        assert!(matches!(
            waiter.join().unwrap(),
            AcquireError::Closed { .. }
        ));
        assert_eq!((budget.lent(), budget.waiting()), (SIZE, 0));
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
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| resume_unwind(Box::new("cloned")),
        |_| {},
        |_| {},
        |_| {},
    );
    // SAFETY: the functions use no data, and may be called on any thread.
    unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &VTABLE)) }
}

/// A request has its buffer, and its waker panics when it would wait for the bytes, which another thread gives back
/// meanwhile: the buffer is in the pool again.
#[test]
fn a_panic_between_taking_and_lending_costs_no_buffer() {
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
        assert_eq!((one.stats().in_use, budget.waiting()), (0, 0));
        assert!(one.acquire().is_ok());
        assert_eq!(budget.lent(), 0);
    });
}
