//! Lock-free shards that are frozen: for a moment in which many are taken or memory is given back, or while requests
//! wait. None is refused unless at one moment all were lent, or owed to requests that came before.
//!
//! In models there are two shards, each of half the buffers; the main thread's own is the second one.

use loom::thread;
use poolbuf::{AcquireError, LockFreePool, Pool, PoolConfig, PooledBuf};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::{Ledger, assert_whole, one_round};
use crate::pools::{SIZE, lock_free_pool};
use crate::requests::{FOR_EVER, joined, kept_elsewhere, many_elsewhere, poll, wait_and_leave, wait_for};

/// Of four, all lent: those of the main thread's shard, and those of the other one.
fn all_of(pool: &LockFreePool<4>) -> [[PooledBuf; 2]; 2] {
    [(); 2].map(|()| [(); 2].map(|()| pool.acquire().unwrap()))
}

/// Two threads ask for one each, as for many.
#[test]
fn two_ask_for_one_each_as_for_many() {
    every_schedule(|| {
        let pool = lock_free_pool::<2>();
        let other = spawn_with(pool.clone(), |pool| pool.acquire_many(1, SIZE).unwrap());
        let own = pool.acquire_many(1, SIZE).unwrap();
        drop((own, other.join().unwrap()));
        assert_whole(&pool, 2);
    });
}

/// As above, in a pool that is not made to be waited for, where none that asks for one waits for a lock.
#[test]
fn two_ask_for_one_each_as_for_many_where_none_waits() {
    every_schedule(|| {
        let config = PoolConfig::new(SIZE).waiting(false);
        let pool = LockFreePool::<2>::with_config(config).unwrap();
        let other = spawn_with(pool.clone(), |pool| pool.acquire_many(1, SIZE).unwrap());
        let own = pool.acquire_many(1, SIZE).unwrap();
        drop((own, other.join().unwrap()));
        assert_whole(&pool, 2);
    });
}

/// Two of three in one shard are free all the time, and one is put back and taken.
#[test]
fn many_of_one_shard_beside_one_that_comes_and_goes() {
    schedules_within(4, || {
        let (pool, ledger) = (lock_free_pool::<3>(), Ledger::default());
        let held = pool.acquire().unwrap();
        let many = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
            ledger.use_up_many(pool.acquire_many(2, SIZE).unwrap(), 1);
        });
        drop(held);
        one_round(&pool, &ledger, 2);
        many.join().unwrap();
        assert_whole(&pool, 3);
    });
}

/// One is free, or two, now in this shard and now in the other, and three are asked for in vain meanwhile: those that
/// ask for one find it.
#[test]
fn one_is_always_free_beside_many_in_vain() {
    schedules_within(3, || {
        let pool = lock_free_pool::<4>();
        let [[moving, own], [first, second]] = all_of(&pool);
        drop(second);
        let mover = spawn_with(pool.clone(), |pool| {
            drop(moving);
            pool.acquire().unwrap()
        });
        let vain = spawn_with(pool.clone(), |pool| {
            assert!(pool.acquire_many(3, SIZE).is_err());
        });
        let found = pool.acquire().unwrap();
        let others = mover.join().unwrap();
        vain.join().unwrap();
        drop((found, others, own, first));
        assert_whole(&pool, 4);
    });
}

/// One is put back while many are counted and taken, which then come back: all links are right.
#[test]
fn release_beside_many() {
    schedules_within(4, || {
        let (pool, ledger) = (lock_free_pool::<4>(), Ledger::default());
        let [[own, back], [first, second]] = all_of(&pool);
        drop((first, second));
        let many = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
            match pool.acquire_many(3, SIZE) {
                Ok(bufs) => ledger.use_up_many(bufs, 1),
                Err(error) => assert!(matches!(error, AcquireError::Exhausted { .. })),
            }
        });
        drop(back);
        one_round(&pool, &ledger, 2);
        many.join().unwrap();
        drop(own);
        assert_whole(&pool, 4);
    });
}

/// One waits for more than a shard has, while one of each shard is put back.
#[test]
fn release_beside_one_that_waits() {
    schedules_within(3, || {
        let (pool, ledger) = (lock_free_pool::<4>(), Ledger::default());
        let [[own, one], [first, other]] = all_of(&pool);
        drop(first);
        let waiter = many_elsewhere(&pool, &ledger, 1, 3);
        let holder = thread::spawn(move || drop(one));
        drop(other);
        holder.join().unwrap();
        waiter.join().unwrap();
        drop(own);
        assert_whole(&pool, 4);
    });
}

/// One waits for two and one for one, while two of different shards are put back.
#[test]
fn two_wait_for_what_lies_in_two_shards() {
    schedules_within(1, || {
        let (pool, ledger) = (lock_free_pool::<4>(), Ledger::default());
        let [[own, one], [first, other]] = all_of(&pool);
        let waiters = [2, 1].map(|count| many_elsewhere(&pool, &ledger, count as u8, count));
        drop(one);
        drop(other);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        drop((own, first));
        assert_whole(&pool, 4);
    });
}

/// The first wants two and leaves, the second wants one; a third does not wait, and one is put back.
#[test]
fn the_first_leaves_beside_one_that_does_not_wait() {
    schedules_within(2, || {
        let (pool, ledger) = (lock_free_pool::<4>(), Ledger::default());
        let [[own, one], [first, other]] = all_of(&pool);
        drop(other);
        let many = joined(&pool, 2);
        let waiter = many_elsewhere(&pool, &ledger, 1, 1);
        let hasty = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
            one_round(&pool, &ledger, 2);
        });
        drop(many);
        waiter.join().unwrap();
        hasty.join().unwrap();
        drop((own, one, first));
        assert_whole(&pool, 4);
    });
}

/// A request for more than a shard has leaves at any moment, while one is put back and one that does not wait asks.
#[test]
fn leaving_at_any_moment_beside_one_that_does_not_wait() {
    schedules_within(3, || {
        let (pool, ledger) = (lock_free_pool::<4>(), Ledger::default());
        let [[own, one], [first, other]] = all_of(&pool);
        drop(other);
        let leaver = spawn_with(pool.clone(), |pool| wait_and_leave(&pool, 2));
        drop(one);
        one_round(&pool, &ledger, 1);
        leaver.join().unwrap();
        drop((own, first));
        assert_whole(&pool, 4);
    });
}

/// One is put back while the shards are frozen for a request that then leaves, and another thread takes it afterwards
/// without a lock.
#[test]
fn released_while_frozen_and_taken_after_the_thaw() {
    schedules_within(5, || {
        let (pool, ledger) = (lock_free_pool::<2>(), Ledger::default());
        let mut back = pool.acquire().unwrap();
        ledger.enter(&back);
        back.extend_from_slice(&[7; SIZE]).unwrap();
        let many = joined(&pool, 2);
        let hasty = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
            one_round(&pool, &ledger, 1);
        });
        ledger.give_back(back);
        drop(many);
        hasty.join().unwrap();
        assert_whole(&pool, 2);
    });
}

/// All that wait for the second of two have left by then: what asks after that finds it, and never a shard that is
/// frozen still.
#[test]
fn thawed_when_the_last_has_left() {
    every_schedule(|| {
        let pool = lock_free_pool::<2>();
        let held = pool.acquire().unwrap();
        let many = joined(&pool, 2);
        let other = spawn_with(pool.clone(), |pool| drop(pool.acquire()));
        drop(many);
        other.join().unwrap();
        drop(pool.acquire().unwrap());
        drop(held);
        assert_whole(&pool, 2);
    });
}

/// Many are taken from both shards: what reads statistics meanwhile sees none of them taken, or all.
#[test]
fn statistics_see_many_as_taken_at_one_moment() {
    schedules_within(4, || {
        let pool = lock_free_pool::<4>();
        let many = spawn_with(pool.clone(), |pool| pool.acquire_many(3, SIZE).unwrap());
        let in_use = pool.stats().in_use;
        assert!([0, 3].contains(&in_use), "{in_use} of 3");
        drop(many.join().unwrap());
        assert_whole(&pool, 4);
    });
}

/// A trim is never a reason to refuse.
#[test]
fn trim_refuses_no_request() {
    schedules_within(3, || {
        let pool = lock_free_pool::<2>();
        drop(wait_for(&pool, 2));
        let other = spawn_with(pool.clone(), |pool| pool.trim());
        let held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        other.join().unwrap();
        drop(held);
        assert_whole(&pool, 2);
    });
}

/// Nor to refuse many.
#[test]
fn trim_refuses_no_request_for_many() {
    schedules_within(1, || {
        let pool = lock_free_pool::<4>();
        drop(wait_for(&pool, 4));
        let other = spawn_with(pool.clone(), |pool| pool.trim());
        drop(pool.acquire_many(3, SIZE).unwrap());
        other.join().unwrap();
        assert_whole(&pool, 4);
    });
}

/// A request waits for what a shard lacks while another thread trims, and one comes back.
#[test]
fn trim_against_one_that_waits() {
    schedules_within(1, || {
        let pool = lock_free_pool::<4>();
        let mut held = wait_for(&pool, 4);
        drop(held.pop());
        let waiter = kept_elsewhere(&pool, 2);
        let trim = spawn_with(pool.clone(), |pool| pool.trim());
        drop(held.pop());
        drop(waiter.join().unwrap());
        trim.join().unwrap();
        drop(held);
        assert_whole(&pool, 4);
    });
}

/// Closed while all shards are frozen for a moment, to take many, and one is put back: each of them is told so, or has
/// what it asked for; and the pool is freed.
#[test]
fn close_against_many_and_a_release() {
    schedules_within(3, || {
        let pool = lock_free_pool::<4>();
        let held = pool.acquire().unwrap();
        let many = spawn_with(pool.clone(), |pool| match pool.acquire_many(3, SIZE) {
            Ok(bufs) => drop(bufs),
            Err(error) => assert!(matches!(error, AcquireError::Closed { .. })),
        });
        let holder = thread::spawn(move || drop(held));
        pool.close();
        many.join().unwrap();
        holder.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}

/// As above, and one asks for one: never is it told that all are in use.
#[test]
fn close_against_many_and_one() {
    schedules_within(2, || {
        let pool = lock_free_pool::<4>();
        let many = spawn_with(pool.clone(), |pool| match pool.acquire_many(3, SIZE) {
            Ok(bufs) => drop(bufs),
            Err(error) => assert!(matches!(error, AcquireError::Closed { .. })),
        });
        let one = spawn_with(pool.clone(), |pool| match pool.acquire() {
            Ok(buf) => drop(buf),
            Err(error) => assert!(matches!(error, AcquireError::Closed { .. })),
        });
        pool.close();
        many.join().unwrap();
        one.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}

/// Closed while two requests wait, one of which leaves, and one is put back.
#[test]
fn close_against_two_that_wait() {
    schedules_within(3, || {
        let pool = lock_free_pool::<4>();
        let mut held = wait_for(&pool, 4);
        let (first, second) = (joined(&pool, 3), joined(&pool, 1));
        let leaver = thread::spawn(move || drop(first));
        let back = held.pop();
        let holder = thread::spawn(move || drop(back));
        pool.close();
        let end = second.wait_timeout(FOR_EVER);
        assert!(matches!(end, Ok(_) | Err(AcquireError::Closed { .. })));
        drop(end);
        leaver.join().unwrap();
        holder.join().unwrap();
        drop(held);
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    });
}

/// The last handle goes while a guard does, and a request that was forgotten still waits: for more than comes back.
#[test]
fn last_handle_against_release_after_a_request_was_forgotten() {
    schedules_within(4, || {
        let pool = lock_free_pool::<2>();
        let [first, second] = [(); 2].map(|()| pool.acquire().unwrap());
        let mut request = pool.acquire_many_async(2, SIZE);
        assert!(poll(&mut request).is_pending());
        std::mem::forget(request);
        let holder = thread::spawn(move || drop(first));
        drop(pool);
        drop(second);
        holder.join().unwrap();
    });
}
