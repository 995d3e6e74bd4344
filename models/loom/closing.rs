//! Pools that are closed, or whose last handle goes, while other threads use them: each is freed once, and not before
//! its last guard is gone.

use loom::thread;
use poolbuf::{AcquireError, Pool, PooledBuf};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::pools::{SIZE, aligned_pool, buffer_pool, full_magazine, lock_free_pool, magazine_pool, multi_size_pool};
use crate::requests::{FOR_EVER, joined, wait_and_leave, wait_for};

/// The last handle goes while two guards are dropped on other threads. loom reports a pool that is not
/// freed; one freed twice, or under a guard that is left, is an access to a cell that is gone.
fn last_handle_against_release<P: Pool + 'static>(pool: P) {
    let drop_there = |mut buf: PooledBuf| {
        buf.extend_from_slice(&[1; SIZE]).unwrap();
        thread::spawn(move || drop(buf))
    };
    let first = drop_there(pool.acquire_for(SIZE).unwrap());
    let second = drop_there(pool.acquire_for(SIZE).unwrap());
    drop(pool);
    first.join().unwrap();
    second.join().unwrap();
}

#[test]
fn buffer_pool_last_handle_against_release() {
    schedules_within(4, || last_handle_against_release(buffer_pool(2)));
}

#[test]
fn aligned_pool_last_handle_against_release() {
    schedules_within(3, || last_handle_against_release(aligned_pool(2)));
}

#[test]
fn lock_free_pool_last_handle_against_release() {
    schedules_within(3, || last_handle_against_release(lock_free_pool::<2>()));
}

#[test]
fn lock_free_pool_last_handle_against_release_with_buffers_left() {
    schedules_within(3, || last_handle_against_release(lock_free_pool::<3>()));
}

#[test]
fn shards_last_handle_against_release() {
    schedules_within(3, || last_handle_against_release(lock_free_pool::<4>()));
}

#[test]
fn multi_size_pool_last_handle_against_release() {
    every_schedule(|| last_handle_against_release(multi_size_pool(1)));
}

/// Two handles go at the same time, one of them right after its thread released a buffer.
fn handles_against_each_other<P: Pool + Clone + 'static>(pool: P) {
    let other = spawn_with(pool.clone(), |pool| drop(pool.acquire()));
    let held = pool.acquire();
    drop(pool);
    drop(held);
    other.join().unwrap();
}

#[test]
fn buffer_pool_handles_against_each_other() {
    every_schedule(|| handles_against_each_other(buffer_pool(1)));
}

#[test]
fn lock_free_pool_handles_against_each_other() {
    every_schedule(|| handles_against_each_other(lock_free_pool::<1>()));
}

/// `close` on one thread while another acquires and releases, and a third drops a guard.
fn close_against_the_rest<P: Pool + Clone + 'static>(pool: P, close: fn(&P)) {
    let held = pool.acquire().unwrap();
    let releasing = thread::spawn(move || drop(held));
    let acquiring = spawn_with(pool.clone(), |pool| match pool.acquire() {
        Ok(mut buf) => buf.extend_from_slice(&[3; SIZE]).unwrap(),
        Err(error) => assert!(matches!(error, AcquireError::Closed { .. })),
    });
    close(&pool);
    assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
    releasing.join().unwrap();
    acquiring.join().unwrap();
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn buffer_pool_close_against_the_rest() {
    schedules_within(3, || {
        close_against_the_rest(buffer_pool(2), |pool| drop(pool.close()));
    });
}

#[test]
fn lock_free_pool_close_against_the_rest() {
    schedules_within(3, || {
        close_against_the_rest(lock_free_pool::<2>(), |pool| drop(pool.close()));
    });
}

#[test]
fn shards_close_against_the_rest() {
    schedules_within(3, || {
        close_against_the_rest(lock_free_pool::<4>(), |pool| drop(pool.close()));
    });
}

/// A request to a pool that has a buffer and is being closed is served, or told that the pool is closed: never that all
/// buffers are in use.
fn close_against_a_request<P: Pool + Clone + 'static>(pool: P, close: fn(&P)) {
    let other = spawn_with(pool.clone(), move |pool| close(&pool));
    let answer = pool.acquire();
    assert!(matches!(answer, Ok(_) | Err(AcquireError::Closed { .. })));
    other.join().unwrap();
}

/// What is free lies in one shard.
#[test]
fn shards_close_against_a_request() {
    for free in [0..2, 2..4] {
        every_schedule(move || {
            let pool = lock_free_pool::<4>();
            let mut held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
            held.drain(free.clone());
            close_against_a_request(pool, |pool| drop(pool.close()));
        });
    }
}

#[test]
fn magazine_close_against_a_request() {
    every_schedule(|| close_against_a_request(full_magazine(1), |pool| drop(pool.close())));
}

#[test]
fn magazine_owner_against_close() {
    schedules_within(4, || {
        let pool = full_magazine(1);
        let other = spawn_with(pool.clone(), |pool| pool.close());
        match pool.acquire() {
            Ok(mut buf) => buf.extend_from_slice(&[3; SIZE]).unwrap(),
            Err(error) => assert!(matches!(error, AcquireError::Closed { .. })),
        }
        other.join().unwrap();
        assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
        assert_eq!(pool.stats().in_use, 0);
    });
}

#[test]
fn magazine_owner_against_last_handle() {
    every_schedule(|| {
        let pool = full_magazine(1);
        let held = pool.acquire().unwrap();
        let other = thread::spawn(move || drop(pool));
        drop(held);
        other.join().unwrap();
    });
}

/// The last guard goes, its buffer is waited for on a thread that has the last handle, and whoever of the two is last
/// frees the pool; also if that thread waits no more by then.
fn last_handle_is_that_of_one_that_waits<P: Pool + Clone + 'static>(pool: P, leaves: bool) {
    let held = pool.acquire().unwrap();
    let waiter = thread::spawn(move || {
        match leaves {
            true => drop(wait_and_leave(&pool, 1)),
            false => drop(wait_for(&pool, 1)),
        }
        drop(pool);
    });
    drop(held);
    waiter.join().unwrap();
}

#[test]
fn buffer_pool_last_handle_is_that_of_one_that_waits() {
    for leaves in [false, true] {
        every_schedule(move || last_handle_is_that_of_one_that_waits(buffer_pool(1), leaves));
    }
}

#[test]
fn magazine_last_handle_is_that_of_one_that_waits() {
    for leaves in [false, true] {
        let model = move || last_handle_is_that_of_one_that_waits(magazine_pool(1, 1), leaves);
        schedules_within(4, model);
    }
}

#[test]
fn lock_free_pool_last_handle_is_that_of_one_that_waits() {
    for leaves in [false, true] {
        every_schedule(move || last_handle_is_that_of_one_that_waits(lock_free_pool::<1>(), leaves));
    }
}

#[test]
fn shards_last_handle_is_that_of_one_that_waits() {
    for leaves in [false, true] {
        schedules_within(4, move || {
            let pool = lock_free_pool::<4>();
            let held = pool.acquire_many(3, SIZE).unwrap();
            last_handle_is_that_of_one_that_waits(pool, leaves);
            drop(held);
        });
    }
}

/// Closed while two wait, of whom one was granted its buffer just before and does not know: it gets that, or the buffer
/// is counted as out once.
fn close_against_two_that_wait<P: Pool + Clone + 'static>(pool: P, close: fn(&P)) {
    let held = pool.acquire().unwrap();
    let requests = [joined(&pool, 1), joined(&pool, 1)];
    let holder = thread::spawn(move || drop(held));
    close(&pool);
    for request in requests {
        match request.wait_timeout(FOR_EVER) {
            Ok(bufs) => drop(bufs),
            Err(error) => assert!(matches!(error, AcquireError::Closed { .. })),
        }
    }
    holder.join().unwrap();
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
}

#[test]
fn buffer_pool_close_against_two_that_wait() {
    every_schedule(|| close_against_two_that_wait(buffer_pool(1), |pool| drop(pool.close())));
}

#[test]
fn lock_free_pool_close_against_two_that_wait() {
    every_schedule(|| {
        close_against_two_that_wait(lock_free_pool::<1>(), |pool| drop(pool.close()));
    });
}
