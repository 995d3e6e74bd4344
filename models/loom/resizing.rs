//! The max lowered and raised while other threads acquire, release and wait: never is more lent than it allows.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::thread;
use poolbuf::{AcquireError, Pool};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::{Ledger, assert_whole, one_round};
use crate::pools::{SIZE, full_magazine, resizable_pool};
use crate::requests::{FOR_EVER, joined, kept_elsewhere, many_elsewhere, wait_for};

/// The max is lowered to 1 while the owner of a magazine, in which both buffers rest, acquires and releases. Once
/// it is, and the two of them have one buffer, no second one is lent.
fn shrink_against_owner(magazine: usize) {
    let (pool, ledger) = (resizable_pool(2, 2, magazine), Ledger::default());
    let both = [pool.acquire().unwrap(), pool.acquire().unwrap()];
    drop(both);
    let other = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
        assert_eq!(pool.set_max(1), Ok(2));
        let buf = pool.acquire().ok()?;
        ledger.enter(&buf);
        Some(buf)
    });
    let first = pool.acquire();
    first.iter().for_each(|buf| ledger.enter(buf));
    first.into_iter().for_each(|buf| ledger.give_back(buf));
    let second = pool.acquire();
    second.iter().for_each(|buf| ledger.enter(buf));
    let others = other.join().unwrap();
    // Both, if this thread acquired before the max was lowered and the other after it released.
    let held = [second.ok(), others];
    let lent = held.iter().flatten().count();
    assert!(lent >= 1, "one was free, and both were refused");
    assert!(lent == 1, "two are lent, and the max was 1 when the second was");
    held.into_iter().flatten().for_each(|buf| ledger.give_back(buf));
    assert_eq!(pool.stats().in_use, 0);
    let _only = pool.acquire().unwrap();
    assert!(pool.acquire().is_err());
}

#[test]
fn shrink_against_the_owner_of_a_magazine() {
    schedules_within(3, || shrink_against_owner(2));
}

#[test]
fn shrink_against_acquire_and_release_without_magazines() {
    every_schedule(|| shrink_against_owner(0));
}

/// Lowered below what rests in the magazine of a thread that acquires and releases meanwhile.
#[test]
fn shrink_below_what_rests_in_a_magazine() {
    every_schedule(|| {
        let (pool, ledger) = (full_magazine(2), Ledger::default());
        let other = spawn_with(pool.clone(), |pool| pool.set_max(1));
        one_round(&pool, &ledger, 1);
        other.join().unwrap().unwrap();
        let _only = pool.acquire().unwrap();
        assert!(pool.acquire().is_err(), "one is lent, and the max is 1");
    });
}

/// Lowered below what is lent while its holder asks for more, long enough for its magazine to be opened again: a
/// buffer that comes back then is not lent on.
#[test]
fn shrink_against_a_holder_that_asks_for_more() {
    schedules_within(3, || {
        let (pool, ledger) = (resizable_pool(2, 2, 2), Ledger::default());
        let first = pool.acquire().unwrap();
        let second = pool.acquire().unwrap();
        ledger.enter(&first);
        let other = spawn_with(pool.clone(), |pool| pool.set_max(1));
        assert!(pool.acquire().is_err());
        other.join().unwrap().unwrap();
        for _ in 0..4 {
            assert!(pool.acquire().is_err());
        }
        drop(second);
        assert!(pool.acquire().is_err(), "one is lent, and the max is 1");
        ledger.give_back(first);
        drop(pool.acquire().unwrap());
    });
}

/// Lowered below what is lent while a holder, which has seen a waiter, gives its buffer back: a request that begins to
/// wait after that is not handed a buffer that may not be lent any more.
fn shrink_against_hand_over(magazine: usize) {
    let pool = resizable_pool(2, 2, magazine);
    let (first, second) = (pool.acquire().unwrap(), pool.acquire().unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let mut early = pool.acquire_async(SIZE);
    assert!(pin!(&mut early).poll(&mut context).is_pending());
    let other = thread::spawn(move || drop(second));
    drop(early);
    assert_eq!(pool.set_max(1), Ok(2));
    let mut late = pool.acquire_async(SIZE);
    assert!(pin!(&mut late).poll(&mut context).is_pending());
    other.join().unwrap();
    let polled = pin!(&mut late).poll(&mut context);
    assert!(polled.is_pending(), "one is lent, and the max is 1");
    drop(first);
    let polled = pin!(&mut late).poll(&mut context);
    assert!(matches!(polled, Poll::Ready(Ok(_))), "none is lent");
    drop(polled);
    assert_eq!(pool.set_max(2), Ok(1));
    assert_whole(&pool, 2);
}

#[test]
fn shrink_against_hand_over_without_magazines() {
    every_schedule(|| shrink_against_hand_over(0));
}

#[test]
fn shrink_against_hand_over_with_magazines() {
    schedules_within(3, || shrink_against_hand_over(2));
}

/// Lowered below what is lent, and raised again, while the holders give back and acquire.
#[test]
fn shrink_and_grow_against_holders() {
    schedules_within(3, || {
        let (pool, ledger) = (resizable_pool(3, 2, 2), Ledger::default());
        let held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        held.iter().for_each(|buf| ledger.enter(buf));
        let other = spawn_with(pool.clone(), |pool| {
            assert_eq!(pool.set_max(1), Ok(2));
            assert_eq!(pool.set_max(3), Ok(1));
        });
        held.into_iter().for_each(|buf| ledger.give_back(buf));
        one_round(&pool, &ledger, 1);
        other.join().unwrap();
        assert_whole(&pool, 3);
    });
}

/// Raised by two at once, for two that wait: both are served, before anything is released.
fn raise_serves_all_that_it_can(magazine: usize) {
    let pool = resizable_pool(3, 1, magazine);
    let held = pool.acquire().unwrap();
    let waiters = [kept_elsewhere(&pool, 1), kept_elsewhere(&pool, 1)];
    assert_eq!(pool.set_max(3), Ok(1));
    let bufs = waiters.map(|waiter| waiter.join().unwrap());
    drop((bufs, held));
    assert_whole(&pool, 3);
}

#[test]
fn raise_serves_all_that_it_can_without_magazines() {
    schedules_within(3, || raise_serves_all_that_it_can(0));
}

#[test]
fn raise_serves_all_that_it_can_with_magazines() {
    schedules_within(2, || raise_serves_all_that_it_can(2));
}

/// Raised by three, for one that waits, while one that does not wait asks:
/// what is left is lent to others.
fn raise_beside_one_that_does_not_wait(magazine: usize) {
    let (pool, ledger) = (resizable_pool(4, 1, magazine), Ledger::default());
    let held = pool.acquire().unwrap();
    let waiting = joined(&pool, 1);
    let hasty = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
        one_round(&pool, &ledger, 1);
    });
    assert_eq!(pool.set_max(4), Ok(1));
    drop(pool.acquire_many(1, SIZE).unwrap());
    drop(waiting.wait_timeout(FOR_EVER).unwrap());
    hasty.join().unwrap();
    drop(held);
    assert_whole(&pool, 4);
}

#[test]
fn raise_beside_one_that_does_not_wait_without_magazines() {
    every_schedule(|| raise_beside_one_that_does_not_wait(0));
}

#[test]
fn raise_beside_one_that_does_not_wait_with_magazines() {
    schedules_within(3, || raise_beside_one_that_does_not_wait(2));
}

/// Lowered to one while the first waits for two and the second for one, and both come back one after the other: the
/// first is served or told, the second is served.
fn lower_against_two_that_wait(magazine: usize) {
    let (pool, ledger) = (resizable_pool(2, 2, magazine), Ledger::default());
    let mut held = wait_for(&pool, 2);
    let first = joined(&pool, 2);
    let second = many_elsewhere(&pool, &ledger, 1, 1);
    drop(held.pop());
    assert_eq!(pool.set_max(1), Ok(2));
    drop(held.pop());
    second.join().unwrap();
    let told = first.wait_timeout(FOR_EVER).unwrap_err();
    assert!(matches!(told, AcquireError::TooMany { .. }));
    assert_eq!(pool.set_max(2), Ok(1));
    assert_whole(&pool, 2);
}

#[test]
fn lower_against_two_that_wait_without_magazines() {
    schedules_within(3, || lower_against_two_that_wait(0));
}

#[test]
fn lower_against_two_that_wait_with_magazines() {
    schedules_within(2, || lower_against_two_that_wait(2));
}

/// Raised while a request waits for both, and the one that is lent comes back: it is served, by whichever was last.
#[test]
fn raise_against_a_release_for_a_request_for_both() {
    every_schedule(|| {
        let (pool, ledger) = (resizable_pool(3, 2, 0), Ledger::default());
        let held = wait_for(&pool, 2);
        let first = joined(&pool, 2);
        let other = spawn_with(pool.clone(), |pool| pool.set_max(3).unwrap());
        let mut held = held.into_iter();
        drop(held.next());
        other.join().unwrap();
        ledger.use_up_many(first.wait_timeout(FOR_EVER).unwrap(), 1);
        drop(held);
        assert_whole(&pool, 3);
    });
}
