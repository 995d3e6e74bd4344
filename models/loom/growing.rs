//! Lending to who holds some already, past those that wait.

use loom::thread;
use poolbuf::{AcquireError, Budget, BufferPool, Pool, PoolConfig};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::pools::{SIZE, buffer_pool, full_magazine, lock_free_pool};
use crate::requests::{kept_elsewhere, wait_and_leave};

/// Of two one is held, and another begins to wait for both: it can't have them, so whoever holds one gets the other,
/// whatever the other's wait has come to. In the end that is served.
fn grows_past_a_request_for_both<P: Pool + Clone + 'static>(pool: P) {
    let held = pool.acquire().unwrap();
    let waits = kept_elsewhere(&pool, 2);
    let more = pool.acquire_more(1, SIZE).unwrap();
    drop((held, more));
    drop(waits.join().unwrap());
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
}

#[test]
fn who_holds_one_grows_past_a_request_for_both() {
    every_schedule(|| grows_past_a_request_for_both(buffer_pool(2)));
}

#[test]
fn who_holds_one_grows_past_a_request_for_both_with_magazines() {
    schedules_within(3, || grows_past_a_request_for_both(full_magazine(2)));
}

#[test]
fn who_holds_one_grows_past_a_request_for_both_lock_free() {
    schedules_within(3, || grows_past_a_request_for_both(lock_free_pool::<2>()));
}

/// The same, of bytes of a budget, while a third begins to wait and leaves.
#[test]
fn who_holds_bytes_grows_past_a_request_for_all() {
    schedules_within(2, || {
        let budget = Budget::new(2 * SIZE);
        let config = PoolConfig::new(SIZE).max(3).magazine(0).budget(&budget);
        let pool = BufferPool::with_config(config).unwrap();
        let held = pool.acquire().unwrap();
        let waits = kept_elsewhere(&pool, 2);
        let fickle = spawn_with(pool.clone(), |pool| wait_and_leave(&pool, 2));
        let more = pool.acquire_more(1, SIZE).unwrap();
        drop((held, more));
        drop(waits.join().unwrap());
        fickle.join().unwrap();
        assert_eq!((budget.lent(), budget.stats().waiting, pool.stats().waiting), (0, 0, 0));
    });
}

/// A pool is closed while a holder grows past a request: it has one more, or is told.
#[test]
fn a_pool_is_closed_while_a_holder_grows() {
    schedules_within(2, || {
        let pool = buffer_pool(2);
        let held = pool.acquire().unwrap();
        let waits = spawn_with(pool.clone(), |pool| wait_closed(&pool));
        let closes = spawn_with(pool.clone(), |pool| drop(pool.close()));
        let more = pool.acquire_more(1, SIZE);
        assert!(matches!(more, Ok(_) | Err(AcquireError::Closed { .. })));
        let gives_back = thread::spawn(move || drop((held, more)));
        waits.join().unwrap();
        closes.join().unwrap();
        gives_back.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}

fn wait_closed(pool: &BufferPool) {
    let waited = pool.acquire_many_async(2, SIZE).wait_timeout(crate::requests::FOR_EVER);
    assert!(matches!(waited, Ok(_) | Err(AcquireError::Closed { .. })));
}
