//! Shares of a pool: each request is served or told why not, and nothing stays charged, whatever ends at the same time.

use loom::thread;
use poolbuf::{AcquireError, Budget, BufferPool, Pool, Share};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::pools::{SIZE, buffer_pool, resizable_pool};
use crate::requests::{FOR_EVER, joined, kept_elsewhere, wait_and_leave};

/// A share of `buffers` buffers' worth.
fn share(pool: &BufferPool, buffers: usize) -> Share<BufferPool> {
    Share::new(pool.clone(), &Budget::new(buffers * SIZE))
}

fn all_is_back(pool: &BufferPool, share: &Share<BufferPool>) {
    let budget = share.budget();
    assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
}

/// Served, or told that it is closed.
fn served_or_closed<T>(result: Result<T, AcquireError>) -> Option<T> {
    match result {
        Ok(lent) => Some(lent),
        Err(AcquireError::Closed { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// A peer may hold one, and asks for it on two threads: each is served in the end, and another finds one free
/// throughout.
#[test]
fn two_of_one_share_and_one_beside_it_are_served() {
    schedules_within(2, || {
        let pool = buffer_pool(2);
        let share = share(&pool, 1);
        let waits = |share: Share<BufferPool>| {
            let buf = share.acquire_timeout(SIZE, FOR_EVER).unwrap();
            assert_eq!(share.budget().lent(), SIZE);
            drop(buf);
        };
        let other = spawn_with(share.clone(), waits);
        drop(pool.acquire().unwrap());
        waits(share.clone());
        other.join().unwrap();
        all_is_back(&pool, &share);
    });
}

/// One holds the share, one begins to wait for it and leaves, and one waits to the end.
#[test]
fn a_share_granted_to_a_waiter_that_leaves_goes_to_the_next() {
    schedules_within(2, || {
        let pool = buffer_pool(2);
        let share = share(&pool, 1);
        let held = share.acquire().unwrap();
        let fickle = spawn_with(share.clone(), |share| wait_and_leave(&share, 1));
        let patient = kept_elsewhere(&share, 1);
        drop(held);
        fickle.join().unwrap();
        drop(patient.join().unwrap());
        all_is_back(&pool, &share);
    });
}

/// A request that waits for its share is served by what comes back, or told that the share is closed, if both happen at
/// once.
#[test]
fn a_share_is_closed_while_it_is_waited_for_and_comes_back() {
    every_schedule(|| {
        let pool = buffer_pool(2);
        let share = share(&pool, 1);
        let held = share.acquire().unwrap();
        let waits = spawn_with(share.clone(), |share| share.acquire_timeout(SIZE, FOR_EVER));
        let closes = share.clone();
        drop(held);
        closes.close();
        drop(served_or_closed(waits.join().unwrap()));
        all_is_back(&pool, &share);
    });
}

/// As above, of a request that has its share, and waits for the pool.
#[test]
fn a_share_is_closed_while_the_pool_is_waited_for() {
    schedules_within(3, || {
        let pool = buffer_pool(1);
        let share = share(&pool, 1);
        let held = pool.acquire().unwrap();
        let waits = spawn_with(share.clone(), |share| share.acquire_timeout(SIZE, FOR_EVER));
        let closes = spawn_with(share.clone(), |share| drop(share.close()));
        drop(held);
        drop(served_or_closed(waits.join().unwrap()));
        closes.join().unwrap();
        all_is_back(&pool, &share);
    });
}

/// The pool is closed while a request waits for its share, or already for a buffer.
#[test]
fn a_pool_is_closed_while_a_request_of_a_share_waits() {
    schedules_within(3, || {
        let pool = buffer_pool(1);
        let share = share(&pool, 1);
        let held = share.acquire().unwrap();
        let waits = spawn_with(share.clone(), |share| share.acquire_timeout(SIZE, FOR_EVER));
        let gives_back = thread::spawn(move || drop(held));
        pool.close();
        drop(served_or_closed(waits.join().unwrap()));
        gives_back.join().unwrap();
        all_is_back(&pool, &share);
    });
}

/// A request for two that has its share is told so when the max is lowered below that, unless it was served before; its
/// share is there for the next.
#[test]
fn a_max_is_lowered_while_a_request_of_a_share_waits() {
    schedules_within(3, || {
        let pool = resizable_pool(2, 2, 0);
        let share = share(&pool, 2);
        let held = pool.acquire().unwrap();
        let waits = spawn_with(share.clone(), |share| {
            share.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER)
        });
        let lowers = spawn_with(pool.clone(), |pool| drop(pool.set_max(1)));
        drop(held);
        match waits.join().unwrap() {
            Ok(bufs) => assert_eq!(bufs.len(), 2),
            Err(AcquireError::TooMany {
                requested: 2, max: 1, ..
            }) => {}
            Err(other) => panic!("{other}"),
        }
        lowers.join().unwrap();
        drop(share.acquire().unwrap());
        all_is_back(&pool, &share);
    });
}

/// The handles of a pool go while a guard of a share is out, and that while they go: its memory is freed once.
#[test]
fn the_last_guard_of_a_share_goes_with_its_pool() {
    every_schedule(|| {
        let pool = buffer_pool(1);
        let share = share(&pool, 1);
        let held = share.acquire().unwrap();
        let forgotten = joined(&share, 1);
        let budget = share.budget().clone();
        let thread = thread::spawn(move || drop(held));
        drop(forgotten);
        drop((pool, share));
        thread.join().unwrap();
        assert_eq!(budget.lent(), 0);
    });
}
