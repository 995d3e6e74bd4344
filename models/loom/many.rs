//! Many buffers at once: all or none, and none is refused for what another asks in vain.

use loom::thread;
use poolbuf::{AcquireError, Budget, BufferPool, Pool, PoolConfig};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::{Ledger, assert_whole};
use crate::pools::{SIZE, buffer_pool, full_magazine, lock_free_pool, magazine_pool, resizable_pool};
use crate::requests::{FOR_EVER, joined, many_elsewhere, wait_and_leave, wait_for};

/// Two want both buffers, which are lent at first, and one wants one of them. Each who held one and waited for the
/// other would wait for ever.
fn two_want_both_and_one_wants_one<P: Pool + Clone + 'static>(pool: P) {
    let ledger = Ledger::default();
    let held = wait_for(&pool, 2);
    let first = joined(&pool, 2);
    let others = [
        many_elsewhere(&pool, &ledger, 1, 2),
        many_elsewhere(&pool, &ledger, 2, 1),
    ];
    held.into_iter().for_each(drop);
    ledger.use_up_many(first.wait_timeout(FOR_EVER).unwrap(), 0);
    for other in others {
        other.join().unwrap();
    }
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.acquired), (0, 7));
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_two_want_both_and_one_wants_one() {
    schedules_within(2, || two_want_both_and_one_wants_one(buffer_pool(2)));
}

#[test]
fn magazine_two_want_both_and_one_wants_one() {
    schedules_within(1, || two_want_both_and_one_wants_one(magazine_pool(2, 2)));
}

/// Two want both buffers, each of which another holds first.
fn two_want_both<P: Pool + Clone + 'static>(pool: P) {
    let ledger = Ledger::default();
    let held = pool.acquire_many(2, SIZE).unwrap();
    let other = many_elsewhere(&pool, &ledger, 1, 2);
    drop(held);
    ledger.use_up_many(wait_for(&pool, 2), 0);
    other.join().unwrap();
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_two_want_both() {
    schedules_within(4, || two_want_both(buffer_pool(2)));
}

#[test]
fn magazine_two_want_both() {
    schedules_within(3, || two_want_both(magazine_pool(2, 2)));
}

#[test]
fn lock_free_pool_two_want_both() {
    schedules_within(2, || two_want_both(lock_free_pool::<2>()));
}

#[test]
fn shards_two_want_more_than_one_has() {
    schedules_within(1, || {
        let (pool, ledger) = (lock_free_pool::<4>(), Ledger::default());
        let other = many_elsewhere(&pool, &ledger, 1, 3);
        ledger.use_up_many(wait_for(&pool, 3), 0);
        other.join().unwrap();
        assert_whole(&pool, 4);
    });
}

/// One is free and one is lent. A request for both leaves while the other comes back: both are there for one that waits
/// to the end.
fn cancellation_of_a_request_for_both<P: Pool + Clone + 'static>(pool: P, patient: usize) {
    let ledger = Ledger::default();
    let held = pool.acquire().unwrap();
    let fickle = spawn_with(pool.clone(), |pool| wait_and_leave(&pool, 2));
    let holder = thread::spawn(move || drop(held));
    ledger.use_up_many(wait_for(&pool, patient), 0);
    fickle.join().unwrap();
    holder.join().unwrap();
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_cancellation_of_a_request_for_both() {
    schedules_within(2, || cancellation_of_a_request_for_both(buffer_pool(2), 1));
    schedules_within(2, || cancellation_of_a_request_for_both(buffer_pool(2), 2));
}

#[test]
fn magazine_cancellation_of_a_request_for_both() {
    schedules_within(2, || cancellation_of_a_request_for_both(magazine_pool(2, 2), 2));
}

/// As above, with a thread fewer, or it would take minutes.
#[test]
fn lock_free_pool_cancellation_of_a_request_for_both() {
    schedules_within(2, || {
        let pool = lock_free_pool::<2>();
        let held = pool.acquire().unwrap();
        let fickle = spawn_with(pool.clone(), |pool| wait_and_leave(&pool, 2));
        drop(held);
        drop(wait_for(&pool, 2));
        fickle.join().unwrap();
        assert_whole(&pool, 2);
    });
}

/// One waits for both buffers, of which one is lent, and the max is lowered to one: it gets both, or is told that it
/// can't, and then the one that was free is there for the next.
fn shrink_against_a_request_for_both(magazine: usize) {
    let (pool, ledger) = (resizable_pool(2, 2, magazine), Ledger::default());
    let held = pool.acquire().unwrap();
    let many = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
        match pool.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER) {
            Ok(bufs) => ledger.use_up_many(bufs, 1),
            Err(AcquireError::TooMany { requested, max, .. }) => {
                assert_eq!((requested, max), (2, 1));
            }
            Err(error) => panic!("{error}"),
        }
    });
    let holder = thread::spawn(move || drop(held));
    assert_eq!(pool.set_max(1), Ok(2));
    ledger.use_up_many(wait_for(&pool, 1), 0);
    many.join().unwrap();
    holder.join().unwrap();
    assert_eq!(pool.set_max(2), Ok(1));
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_shrink_against_a_request_for_both() {
    schedules_within(3, || shrink_against_a_request_for_both(0));
}

#[test]
fn magazine_shrink_against_a_request_for_both() {
    schedules_within(2, || shrink_against_a_request_for_both(2));
}

/// One waits for both buffers, of which one is lent, while another closes and a third gives back.
fn close_against_a_request_for_both<P: Pool + Clone + 'static>(pool: P, close: fn(&P)) {
    let held = pool.acquire().unwrap();
    let many = spawn_with(pool.clone(), |pool| {
        match pool.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER) {
            Ok(_) | Err(AcquireError::Closed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    });
    let holder = thread::spawn(move || drop(held));
    close(&pool);
    many.join().unwrap();
    holder.join().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0));
}

#[test]
fn buffer_pool_close_against_a_request_for_both() {
    schedules_within(3, || {
        close_against_a_request_for_both(buffer_pool(2), |pool| drop(pool.close()))
    });
}

#[test]
fn magazine_close_against_a_request_for_both() {
    schedules_within(2, || {
        close_against_a_request_for_both(magazine_pool(2, 2), |pool| drop(pool.close()))
    });
}

#[test]
fn lock_free_pool_close_against_a_request_for_both() {
    schedules_within(1, || {
        close_against_a_request_for_both(lock_free_pool::<2>(), |pool| drop(pool.close()))
    });
}

/// One asks for more than are free, and takes none; so another always finds the `free` that are.
fn in_vain_against_a_request<P: Pool + Clone + 'static>(pool: P, max: usize, free: usize) {
    let held = pool.acquire_many(max - free, SIZE).unwrap();
    let vain = spawn_with(pool.clone(), move |pool| {
        let refused = pool.acquire_many(free + 1, SIZE).unwrap_err();
        assert!(matches!(refused, AcquireError::Exhausted { .. }));
    });
    let found: Vec<_> = (0..free).map(|_| pool.acquire().unwrap()).collect();
    vain.join().unwrap();
    drop((held, found));
    assert_whole(&pool, max);
}

#[test]
fn buffer_pool_in_vain_against_a_request() {
    every_schedule(|| in_vain_against_a_request(buffer_pool(2), 2, 1));
}

#[test]
fn magazine_in_vain_against_a_request() {
    schedules_within(3, || in_vain_against_a_request(full_magazine(2), 2, 1));
}

#[test]
fn lock_free_pool_in_vain_against_a_request() {
    schedules_within(3, || in_vain_against_a_request(lock_free_pool::<2>(), 2, 1));
}

/// Of four in two shards: what is free may lie in either.
#[test]
fn shards_in_vain_against_a_request() {
    schedules_within(2, || in_vain_against_a_request(lock_free_pool::<4>(), 4, 1));
}

/// Two ask for more than half of what there is, at the same time, and don't wait: one at least is served, or each
/// could blame the other for what it took in vain.
fn two_ask_for_more_than_half<P: Pool + Clone + 'static>(pool: P, max: usize, count: usize) {
    let other = spawn_with(pool.clone(), move |pool| pool.acquire_many(count, SIZE).is_ok());
    let mine = pool.acquire_many(count, SIZE);
    let others = other.join().unwrap();
    assert!(mine.is_ok() || others);
    drop(mine);
    assert_whole(&pool, max);
}

#[test]
fn magazine_two_ask_for_more_than_half() {
    schedules_within(3, || two_ask_for_more_than_half(full_magazine(3), 3, 2));
}

#[test]
fn shards_two_ask_for_more_than_half() {
    schedules_within(2, || two_ask_for_more_than_half(lock_free_pool::<4>(), 4, 3));
}

/// The owner of a magazine acquires all at once and gives them back, while another does the same.
#[test]
fn magazine_owner_against_a_request_for_all() {
    schedules_within(3, || {
        let (pool, ledger) = (full_magazine(2), Ledger::default());
        let other = many_elsewhere(&pool, &ledger, 1, 2);
        match pool.acquire_many(2, SIZE) {
            Ok(bufs) => ledger.use_up_many(bufs, 0),
            Err(error) => assert!(matches!(error, AcquireError::Exhausted { .. })),
        }
        other.join().unwrap();
        assert_whole(&pool, 2);
    });
}

fn pool_with(budget: &Budget) -> BufferPool {
    let config = PoolConfig::new(SIZE).max(2).magazine(0);
    BufferPool::with_config(config.budget(budget)).unwrap()
}

/// A budget for two buffers, of which one pool has lent one, and a request for two leaves that lacks nothing but the
/// bytes: another, in another pool, gets them.
#[test]
fn bytes_for_both_against_cancellation() {
    schedules_within(2, || {
        let budget = Budget::new(2 * SIZE);
        let (one, other) = (pool_with(&budget), pool_with(&budget));
        let held = other.acquire().unwrap();
        let fickle = spawn_with(one.clone(), |one| wait_and_leave(&one, 2));
        let holder = thread::spawn(move || drop(held));
        drop(other.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER).unwrap());
        fickle.join().unwrap();
        holder.join().unwrap();
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
        assert_eq!((one.stats().in_use, one.stats().waiting), (0, 0));
    });
}

/// As above, and its pool is closed: it gets them, or is told so.
#[test]
fn bytes_for_both_against_closing() {
    schedules_within(2, || {
        let budget = Budget::new(2 * SIZE);
        let (one, other) = (pool_with(&budget), pool_with(&budget));
        let held = other.acquire().unwrap();
        let waiter = spawn_with(one.clone(), |one| {
            match one.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER) {
                Ok(bufs) => assert_eq!(bufs.len(), 2),
                Err(AcquireError::Closed { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
        let holder = thread::spawn(move || drop(held));
        one.close();
        waiter.join().unwrap();
        holder.join().unwrap();
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
        assert_eq!((one.stats().in_use, one.stats().waiting), (0, 0));
    });
}
