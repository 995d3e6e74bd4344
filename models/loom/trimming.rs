//! Memory given back while other threads use the pool.
//!
//! Under loom every byte is a page, and what is given back is overwritten: a buffer that is trimmed and lent at the
//! same time is seen by its cell and by its bytes.

use poolbuf::{BufferPool, LockFreePool, Pool};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::{Ledger, assert_whole, one_round};
use crate::pools::{SIZE, buffer_pool, lock_free_pool, magazine_pool};

/// One thread trims while another goes two rounds.
fn trim_against_the_rest<P: Pool + Clone + 'static>(pool: P, buffers: usize, trim: fn(&P) -> usize) {
    let ledger = Ledger::default();
    let held: Vec<_> = (0..buffers).map(|_| pool.acquire().unwrap()).collect();
    drop(held);
    let other = spawn_with(pool.clone(), move |pool| trim(&pool));
    one_round(&pool, &ledger, 1);
    one_round(&pool, &ledger, 2);
    let given_back = other.join().unwrap();
    assert!(given_back <= buffers * SIZE);
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.high_water), (0, buffers));
    assert_whole(&pool, buffers);
}

#[test]
fn trim_against_acquire_and_release() {
    every_schedule(|| trim_against_the_rest(buffer_pool(2), 2, BufferPool::trim));
}

#[test]
fn trim_against_the_owner_of_a_magazine() {
    schedules_within(3, || {
        trim_against_the_rest(magazine_pool(2, 2), 2, BufferPool::trim);
    });
}

#[test]
fn lock_free_pool_trim_against_acquire_and_release() {
    schedules_within(3, || {
        trim_against_the_rest(lock_free_pool::<2>(), 2, LockFreePool::trim);
    });
}

#[test]
fn shards_trim_against_acquire_and_release() {
    schedules_within(2, || {
        trim_against_the_rest(lock_free_pool::<4>(), 4, LockFreePool::trim);
    });
}

/// Where there is a lock, a trim is never a reason to refuse.
#[test]
fn trim_refuses_no_request() {
    every_schedule(|| {
        let pool = buffer_pool(1);
        drop(pool.acquire());
        let other = spawn_with(pool.clone(), |pool| pool.trim());
        let held = pool.acquire().unwrap();
        other.join().unwrap();
        drop(held);
    });
}

#[test]
fn trim_against_trim() {
    every_schedule(|| {
        let pool = buffer_pool(2);
        drop([pool.acquire().unwrap(), pool.acquire().unwrap()]);
        let other = spawn_with(pool.clone(), |pool| pool.trim());
        let given_back = pool.trim() + other.join().unwrap();
        assert_eq!(given_back, 2 * SIZE, "once, and all");
        assert_eq!(pool.stats().resident_bytes, 0);
        assert_whole(&pool, 2);
    });
}

#[test]
fn trim_against_close() {
    every_schedule(|| {
        let pool = buffer_pool(2);
        let held = pool.acquire().unwrap();
        drop(pool.acquire());
        let other = spawn_with(pool.clone(), |pool| pool.trim());
        pool.close();
        drop(held);
        other.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}

/// A trim of the lock-free pool holds buffers, but no guards, when the pool is closed.
#[test]
fn lock_free_pool_trim_against_close() {
    schedules_within(4, || {
        let pool = lock_free_pool::<2>();
        let held = pool.acquire().unwrap();
        let other = spawn_with(pool.clone(), |pool| pool.trim());
        pool.close();
        drop(held);
        other.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}
