//! What is special about the lock-free pool: tags against ABA, and requests that walk along several stacks, called
//! shards.

use loom::thread;
use poolbuf::{AcquireError, Pool};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::{Ledger, assert_whole};
use crate::lending::threads_on_fewer_buffers;
use crate::pools::{buffer_pool, lock_free_pool};

/// The ABA schedule, among all others: A has read that 0 is on top and 1 below it; B takes 0 and 1 and puts
/// 0 back; A goes on. Without the tag, A would make 1 the top of the stack while B holds it.
fn aba<P: Pool + Clone + 'static>(pool: P) {
    let ledger = Ledger::default();
    let b = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
        let Ok(first) = pool.acquire() else { return };
        ledger.enter(&first);
        let second = pool.acquire();
        if let Ok(second) = &second {
            ledger.enter(second);
        }
        ledger.give_back(first);
        if let Ok(second) = second {
            thread::yield_now();
            ledger.give_back(second);
        }
    });
    let held: Vec<_> = (0..2).filter_map(|_| pool.acquire().ok()).collect();
    held.iter().for_each(|buf| ledger.enter(buf));
    held.into_iter().for_each(|buf| ledger.give_back(buf));
    b.join().unwrap();
    assert_whole(&pool, 2);
}

#[test]
fn lock_free_pool_aba() {
    schedules_within(4, || aba(lock_free_pool::<2>()));
}

#[test]
fn buffer_pool_aba() {
    every_schedule(|| aba(buffer_pool(2)));
}

/// There is always a free buffer, but not always in the same shard: B puts one back into the shard where A
/// looks first, and takes the one where A looks next. Neither may be refused.
#[test]
fn shards_serve_every_request_while_a_buffer_moves() {
    every_schedule(|| {
        let pool = lock_free_pool::<4>();
        // The first two from A's own shard, the others from B's.
        let mut held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
        let in_own_shard = held.remove(0);
        drop(held.pop());
        let b = spawn_with(pool.clone(), |pool| {
            drop(in_own_shard);
            pool.acquire().unwrap()
        });
        held.push(pool.acquire().unwrap());
        held.push(b.join().unwrap());
        assert!(matches!(pool.acquire(), Err(AcquireError::Exhausted { .. })));
        drop(held);
        assert_whole(&pool, 4);
    });
}

#[test]
fn shards_two_threads_four_buffers() {
    schedules_within(3, || {
        threads_on_fewer_buffers(lock_free_pool::<4>(), 2, 2, 4);
    });
}
