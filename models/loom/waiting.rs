//! Waiting: every waiter is served or told why not, and nothing that was handed over is lost.

use std::time::Duration;

use loom::thread::{self, JoinHandle};
use poolbuf::{AcquireError, Pool};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::{Ledger, assert_whole, one_round};
use crate::pools::{SIZE, buffer_pool, lock_free_pool, magazine_pool};
use crate::requests::{FOR_EVER, joined, kept_elsewhere, many_elsewhere, wait_and_leave, wait_for};

/// Waits, uses the buffer up, and gives it back.
fn wait_and_use(pool: &impl Pool, ledger: &Ledger, id: u8) {
    let buf = pool.acquire_timeout(SIZE, FOR_EVER).unwrap();
    ledger.use_up(buf, id);
}

/// `wait_and_use` on a thread of its own.
fn wait_elsewhere<P: Pool + Clone + 'static>(pool: &P, ledger: &Ledger, id: u8) -> JoinHandle<()> {
    spawn_with((pool.clone(), ledger.clone()), move |(pool, ledger)| {
        wait_and_use(&pool, &ledger, id);
    })
}

/// `waiters` threads wait for the only buffer, each after the other.
fn waiters_and_one_buffer<P: Pool + Clone + 'static>(pool: P, waiters: u8, whole: usize) {
    let ledger = Ledger::default();
    let others: Vec<_> = (1..waiters).map(|id| wait_elsewhere(&pool, &ledger, id)).collect();
    wait_and_use(&pool, &ledger, 0);
    for other in others {
        other.join().unwrap();
    }
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.acquired), (0, u64::from(waiters)));
    assert_whole(&pool, whole);
}

#[test]
fn buffer_pool_two_wait_for_one_buffer() {
    every_schedule(|| waiters_and_one_buffer(buffer_pool(1), 2, 1));
}

#[test]
fn buffer_pool_three_wait_for_one_buffer() {
    schedules_within(2, || waiters_and_one_buffer(buffer_pool(1), 3, 1));
}

#[test]
fn magazine_two_wait_for_one_buffer() {
    schedules_within(3, || waiters_and_one_buffer(magazine_pool(1, 1), 2, 1));
}

#[test]
fn lock_free_pool_two_wait_for_one_buffer() {
    schedules_within(4, || waiters_and_one_buffer(lock_free_pool::<1>(), 2, 1));
}

#[test]
fn lock_free_pool_three_wait_for_one_buffer() {
    schedules_within(2, || waiters_and_one_buffer(lock_free_pool::<1>(), 3, 1));
}

/// A thread acquires and gives back for a few rounds, in its magazine if it has one, while another waits.
fn owner_against_waiter<P: Pool + Clone + 'static>(pool: &P, rounds: usize) {
    let ledger = Ledger::default();
    let waiter = wait_elsewhere(pool, &ledger, 1);
    for _ in 0..rounds {
        one_round(pool, &ledger, 0);
    }
    waiter.join().unwrap();
}

#[test]
fn magazine_owner_against_waiter() {
    schedules_within(3, || {
        let pool = magazine_pool(1, 1);
        owner_against_waiter(&pool, 2);
        assert_whole(&pool, 1);
    });
}

#[test]
fn lock_free_pool_user_against_waiter() {
    schedules_within(4, || {
        let pool = lock_free_pool::<1>();
        owner_against_waiter(&pool, 2);
        assert_whole(&pool, 1);
    });
}

#[test]
fn shards_user_against_waiter() {
    schedules_within(2, || {
        let pool = lock_free_pool::<4>();
        let held: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
        owner_against_waiter(&pool, 1);
        drop(held);
        assert_whole(&pool, 4);
    });
}

/// One holds the only buffer and gives it back; one begins to wait and leaves, whatever has happened by then, and
/// counts once; one waits to the end.
fn hand_over_against_cancellation<P: Pool + Clone + 'static>(pool: P, third: bool) {
    let ledger = Ledger::default();
    let held = pool.acquire().unwrap();
    let fickle = spawn_with(pool.clone(), |pool| wait_and_leave(&pool, 1));
    let patient = third.then(|| wait_elsewhere(&pool, &ledger, 1));
    drop(held);
    if !third {
        wait_and_use(&pool, &ledger, 0);
    }
    let abandoned = fickle.join().unwrap();
    if let Some(patient) = patient {
        patient.join().unwrap();
    }
    let stats = pool.stats();
    assert_eq!((stats.abandoned, stats.waiting), (abandoned, 0));
    assert_eq!(stats.waits, stats.handed_over + abandoned);
    assert_whole(&pool, 1);
}

#[test]
fn buffer_pool_hand_over_against_cancellation() {
    every_schedule(|| hand_over_against_cancellation(buffer_pool(1), false));
    schedules_within(2, || hand_over_against_cancellation(buffer_pool(1), true));
}

#[test]
fn magazine_hand_over_against_cancellation() {
    schedules_within(2, || hand_over_against_cancellation(magazine_pool(1, 1), true));
}

#[test]
fn lock_free_pool_hand_over_against_cancellation() {
    schedules_within(2, || hand_over_against_cancellation(lock_free_pool::<1>(), true));
}

/// Of all `max`, which are lent, one gives two back and asks for one, while another begins to wait and leaves: it has
/// one of them at most, so nobody is refused.
fn joining_against_a_request<P: Pool + Clone + 'static>(pool: P, max: usize) {
    let mut held: Vec<_> = (0..max).map(|_| pool.acquire().unwrap()).collect();
    let joining = spawn_with(pool.clone(), |pool| wait_and_leave(&pool, 1));
    drop((held.pop(), held.pop()));
    drop(pool.acquire().unwrap());
    let abandoned = joining.join().unwrap();
    assert_eq!(pool.stats().abandoned, abandoned);
    drop(held);
    assert_whole(&pool, max);
}

#[test]
fn buffer_pool_joining_against_a_request() {
    every_schedule(|| joining_against_a_request(buffer_pool(2), 2));
}

#[test]
fn magazine_joining_against_a_request() {
    schedules_within(3, || joining_against_a_request(magazine_pool(2, 2), 2));
}

#[test]
fn lock_free_pool_joining_against_a_request() {
    schedules_within(3, || joining_against_a_request(lock_free_pool::<2>(), 2));
}

#[test]
fn shards_joining_against_a_request() {
    schedules_within(3, || joining_against_a_request(lock_free_pool::<4>(), 4));
}

/// The first wants two, of which one is free, and leaves while another asks: with the one that is left, that is served,
/// whether it was refused at first or not.
fn the_first_leaves<P: Pool + Clone + 'static>(pool: P, max: usize) {
    let held = pool.acquire_many(max - 1, SIZE).unwrap();
    let first = joined(&pool, 2);
    let second = kept_elsewhere(&pool, 1);
    drop(first);
    drop(second.join().unwrap());
    drop(held);
    assert_eq!(pool.stats().abandoned, 1);
    assert_whole(&pool, max);
}

#[test]
fn buffer_pool_the_first_leaves() {
    every_schedule(|| the_first_leaves(buffer_pool(2), 2));
}

#[test]
fn magazine_the_first_leaves() {
    schedules_within(4, || the_first_leaves(magazine_pool(2, 2), 2));
}

#[test]
fn lock_free_pool_the_first_leaves() {
    schedules_within(4, || the_first_leaves(lock_free_pool::<2>(), 2));
}

#[test]
fn shards_the_first_leaves() {
    schedules_within(4, || the_first_leaves(lock_free_pool::<4>(), 4));
}

/// A request for both leaves at any moment, also when it was granted both, and nobody comes for them: another, which
/// wants one, is served.
fn leaving_at_any_moment<P: Pool + Clone + 'static>(pool: P) {
    let held = pool.acquire_many(2, SIZE).unwrap();
    let leaver = spawn_with(pool.clone(), |pool| wait_and_leave(&pool, 2));
    let stayer = kept_elsewhere(&pool, 1);
    held.into_iter().for_each(drop);
    leaver.join().unwrap();
    drop(stayer.join().unwrap());
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_leaving_at_any_moment() {
    schedules_within(3, || leaving_at_any_moment(buffer_pool(2)));
}

#[test]
fn magazine_leaving_at_any_moment() {
    schedules_within(2, || leaving_at_any_moment(magazine_pool(2, 2)));
}

#[test]
fn lock_free_pool_leaving_at_any_moment() {
    schedules_within(1, || leaving_at_any_moment(lock_free_pool::<2>()));
}

/// A request waits for both buffers, one of which is free, and has not come for them yet when the other is back:
/// another, which does not wait, is lent neither.
fn what_is_owed_is_lent_to_none<P: Pool + Clone + 'static>(pool: P) {
    let held = pool.acquire().unwrap();
    let both = joined(&pool, 2);
    let hasty = spawn_with(pool.clone(), |pool| pool.acquire().is_ok());
    drop(held);
    assert!(!hasty.join().unwrap(), "lent out of turn");
    assert_eq!(both.wait_timeout(FOR_EVER).unwrap().len(), 2);
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_what_is_owed_is_lent_to_none() {
    every_schedule(|| what_is_owed_is_lent_to_none(buffer_pool(2)));
}

#[test]
fn magazine_what_is_owed_is_lent_to_none() {
    every_schedule(|| what_is_owed_is_lent_to_none(magazine_pool(2, 2)));
}

#[test]
fn lock_free_pool_what_is_owed_is_lent_to_none() {
    every_schedule(|| what_is_owed_is_lent_to_none(lock_free_pool::<2>()));
}

/// The owner of a magazine gives back and asks, again and again, until it may open the magazine anew, while another
/// begins to wait for all that there is: what goes back to the magazine is not missed.
#[test]
fn magazine_opened_against_a_request_for_all() {
    schedules_within(2, || {
        let (pool, ledger) = (magazine_pool(2, 2), Ledger::default());
        let held = pool.acquire().unwrap();
        let waiter = many_elsewhere(&pool, &ledger, 1, 2);
        for _ in 0..3 {
            one_round(&pool, &ledger, 0);
        }
        drop(held);
        waiter.join().unwrap();
        assert_whole(&pool, 2);
    });
}

/// A thread ends with a buffer in its magazine while another waits for all that there is.
#[test]
fn magazine_of_a_thread_that_ends_against_a_request_for_all() {
    schedules_within(3, || {
        let (pool, ledger) = (magazine_pool(2, 2), Ledger::default());
        let other = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
            one_round(&pool, &ledger, 1);
        });
        ledger.use_up_many(wait_for(&pool, 2), 2);
        other.join().unwrap();
        assert_whole(&pool, 2);
    });
}

/// One waits for no longer than others take to run; afterwards the buffer is its own, or free.
fn hand_over_against_timeout<P: Pool + Clone + 'static>(pool: P) {
    let held = pool.acquire().unwrap();
    let hasty = {
        let pool = pool.clone();
        thread::spawn(move || match pool.acquire_timeout(SIZE, Duration::from_nanos(1)) {
            Ok(_) | Err(AcquireError::TimedOut { .. }) => {}
            Err(error) => panic!("{error}"),
        })
    };
    drop(held);
    hasty.join().unwrap();
    let stats = pool.stats();
    assert_eq!(stats.waiting, 0);
    assert!(stats.timed_out <= stats.waits);
    assert_whole(&pool, 1);
}

#[test]
fn buffer_pool_hand_over_against_timeout() {
    every_schedule(|| hand_over_against_timeout(buffer_pool(1)));
}

#[test]
fn magazine_hand_over_against_timeout() {
    schedules_within(3, || hand_over_against_timeout(magazine_pool(1, 1)));
}

#[test]
fn lock_free_pool_hand_over_against_timeout() {
    schedules_within(4, || hand_over_against_timeout(lock_free_pool::<1>()));
}

/// One waits while another closes and a third gives back: it gets the buffer, or is told that the pool is closed.
fn close_against_waiter<P: Pool + Clone + 'static>(pool: P, close: fn(&P)) {
    let held = pool.acquire().unwrap();
    let waiter = spawn_with(pool.clone(), |pool| match pool.acquire_timeout(SIZE, FOR_EVER) {
        Ok(_) | Err(AcquireError::Closed { .. }) => {}
        Err(error) => panic!("{error}"),
    });
    let holder = thread::spawn(move || drop(held));
    close(&pool);
    waiter.join().unwrap();
    holder.join().unwrap();
    assert_eq!(pool.stats().in_use, 0);
    assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
    let late = pool.acquire_timeout(SIZE, FOR_EVER);
    assert!(matches!(late, Err(AcquireError::Closed { .. })));
}

#[test]
fn buffer_pool_close_against_waiter() {
    schedules_within(3, || close_against_waiter(buffer_pool(1), |pool| drop(pool.close())));
}

#[test]
fn magazine_close_against_waiter() {
    schedules_within(2, || {
        close_against_waiter(magazine_pool(1, 1), |pool| drop(pool.close()))
    });
}

#[test]
fn lock_free_pool_close_against_waiter() {
    schedules_within(2, || {
        close_against_waiter(lock_free_pool::<1>(), |pool| drop(pool.close()))
    });
}

/// One waits for no longer than it takes another to close: a request that is told that it is late counts as that.
fn close_against_timeout<P: Pool + Clone + 'static>(pool: P, close: fn(&P)) {
    let held = pool.acquire().unwrap();
    let hasty = spawn_with(pool.clone(), |pool| {
        let ended = pool.acquire_timeout(SIZE, Duration::from_nanos(1));
        matches!(ended, Err(AcquireError::TimedOut { .. }))
    });
    close(&pool);
    let late = hasty.join().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.timed_out), (0, u64::from(late)));
    drop(held);
}

#[test]
fn buffer_pool_close_against_timeout() {
    every_schedule(|| close_against_timeout(buffer_pool(1), |pool| drop(pool.close())));
}

#[test]
fn lock_free_pool_close_against_timeout() {
    schedules_within(3, || {
        close_against_timeout(lock_free_pool::<1>(), |pool| drop(pool.close()))
    });
}
