//! The owner of a magazine against threads that revoke it, and against its own end.

use poolbuf::Pool;

use crate::explore::{every_schedule, schedules_within};
use crate::ledger::{Ledger, assert_whole, one_round, round_elsewhere};
use crate::lending::{every_request_is_served, threads_on_fewer_buffers};
use crate::pools::{full_magazine, magazine_pool};

#[test]
fn owner_against_revoker() {
    schedules_within(3, || threads_on_fewer_buffers(full_magazine(1), 2, 1, 1));
}

#[test]
fn owner_and_revoker_are_both_served() {
    schedules_within(4, || every_request_is_served(full_magazine(2)));
}

/// The owner's magazine holds one buffer: it has to move the other to the depot, and to fetch it there, while
/// the revoker is at work.
#[test]
fn owner_moving_buffers_against_revoker() {
    schedules_within(3, || {
        let (pool, ledger) = (magazine_pool(2, 1), Ledger::default());
        let held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        held.iter().for_each(|buf| ledger.enter(buf));
        let other = round_elsewhere(&pool, &ledger, 1);
        held.into_iter().for_each(|buf| ledger.give_back(buf));
        let again = [pool.acquire(), pool.acquire()];
        again.iter().flatten().for_each(|buf| ledger.enter(buf));
        again.into_iter().flatten().for_each(|buf| ledger.give_back(buf));
        other.join().unwrap();
        assert_whole(&pool, 2);
    });
}

/// The owner puts a third buffer into its magazine while the revoker takes the two that are there.
#[test]
fn owner_filling_against_revoker() {
    schedules_within(3, || {
        let (pool, ledger) = (magazine_pool(3, 3), Ledger::default());
        let mut held: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
        let last = held.pop().unwrap();
        ledger.enter(&last);
        drop(held);
        let other = round_elsewhere(&pool, &ledger, 1);
        ledger.give_back(last);
        one_round(&pool, &ledger, 2);
        other.join().unwrap();
        assert_whole(&pool, 3);
    });
}

#[test]
fn revoker_against_revoker() {
    schedules_within(3, || {
        let (pool, ledger) = (full_magazine(1), Ledger::default());
        let others: Vec<_> = (1..3).map(|id| round_elsewhere(&pool, &ledger, id)).collect();
        for other in others {
            other.join().unwrap();
        }
        assert_whole(&pool, 1);
    });
}

/// A thread ends with all the buffers in its magazine while another wants one.
#[test]
fn owner_ending_against_revoker() {
    every_schedule(|| {
        let pool = magazine_pool(1, 1);
        let ledger = Ledger::default();
        let other = round_elsewhere(&pool, &ledger, 1);
        one_round(&pool, &ledger, 2);
        other.join().unwrap();
        assert_whole(&pool, 1);
    });
}
