//! Two or three threads acquire and release: no buffer is lent twice, none is lost, and no request is refused while a
//! buffer is free.

use loom::thread;
use poolbuf::{BufferPool, LockFreePool, Pool, PoolConfig, Wipe};

use crate::explore::{every_schedule, schedules_within, spawn_with};
use crate::ledger::{Ledger, assert_whole, one_round};
use crate::pools::{SIZE, aligned_pool, buffer_pool, lock_free_pool, multi_size_pool, multi_size_pool_with_magazines};

/// `threads` threads, each `rounds` rounds on a pool of `max` buffers; at the end all are there.
pub(crate) fn threads_on_fewer_buffers<P: Pool + Clone + 'static>(pool: P, threads: u8, rounds: usize, max: usize) {
    let ledger = Ledger::default();
    let run = |id: u8| {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        move || (0..rounds).for_each(|_| one_round(&pool, &ledger, id))
    };
    let others: Vec<_> = (1..threads).map(|id| thread::spawn(run(id))).collect();
    run(0)();
    for other in others {
        other.join().unwrap();
    }
    assert_whole(&pool, max);
}

#[test]
fn buffer_pool_two_threads_one_buffer() {
    every_schedule(|| threads_on_fewer_buffers(buffer_pool(1), 2, 2, 1));
}

#[test]
fn aligned_pool_two_threads_one_buffer() {
    every_schedule(|| threads_on_fewer_buffers(aligned_pool(1), 2, 2, 1));
}

#[test]
fn lock_free_pool_two_threads_one_buffer() {
    schedules_within(4, || {
        threads_on_fewer_buffers(lock_free_pool::<1>(), 2, 2, 1);
    });
}

#[test]
fn multi_size_pool_two_threads_one_buffer_a_tier() {
    every_schedule(|| threads_on_fewer_buffers(multi_size_pool(1), 2, 2, 2));
}

#[test]
fn buffer_pool_three_threads_two_buffers() {
    schedules_within(3, || threads_on_fewer_buffers(buffer_pool(2), 3, 1, 2));
}

#[test]
fn aligned_pool_three_threads_two_buffers() {
    schedules_within(3, || threads_on_fewer_buffers(aligned_pool(2), 3, 1, 2));
}

#[test]
fn lock_free_pool_three_threads_two_buffers() {
    schedules_within(2, || {
        threads_on_fewer_buffers(lock_free_pool::<2>(), 3, 1, 2);
    });
}

#[test]
fn multi_size_pool_three_threads_two_buffers() {
    schedules_within(3, || {
        threads_on_fewer_buffers(multi_size_pool(1), 3, 1, 2);
    });
}

/// As many buffers as threads: none is ever refused, although the pool has to grow for each.
pub(crate) fn every_request_is_served<P: Pool + Clone + 'static>(pool: P) {
    let ledger = Ledger::default();
    let other = spawn_with((pool.clone(), ledger.clone()), |(pool, ledger)| {
        ledger.use_up(pool.acquire_for(SIZE).unwrap(), 1)
    });
    ledger.use_up(pool.acquire_for(SIZE).unwrap(), 2);
    other.join().unwrap();
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_grows_while_others_acquire() {
    every_schedule(|| {
        let pool = buffer_pool(2);
        assert_eq!(pool.stats().total, 0);
        every_request_is_served(pool);
    });
}

#[test]
fn buffer_pool_grows_from_initial_while_others_acquire() {
    every_schedule(|| {
        let config = PoolConfig::new(SIZE).initial(1).max(2).magazine(0);
        every_request_is_served(BufferPool::with_config(config).unwrap());
    });
}

#[test]
fn lock_free_pool_serves_every_request_while_there_is_a_buffer() {
    every_schedule(|| every_request_is_served(lock_free_pool::<2>()));
}

#[test]
fn multi_size_pool_goes_up_while_others_acquire() {
    every_schedule(|| every_request_is_served(multi_size_pool(1)));
}

/// Two tiers of one buffer each. One thread gives the small one back before it takes the large one, so there is always
/// one for another, but not always in the tier where that looks.
fn tiers_in_turn(magazine: usize) {
    let pool = multi_size_pool_with_magazines(1, magazine);
    let small = pool.acquire_for(SIZE).unwrap();
    let other = spawn_with(pool.clone(), |pool| {
        drop(small);
        pool.tiers()[1].acquire().ok()
    });
    let held = pool.acquire_for(SIZE).unwrap();
    drop((held, other.join().unwrap()));
    assert_whole(&pool, 2);
}

#[test]
fn multi_size_pool_serves_every_request_while_a_buffer_is_exchanged() {
    every_schedule(|| tiers_in_turn(0));
}

#[test]
fn multi_size_pool_serves_every_request_while_a_magazine_opens() {
    schedules_within(4, || tiers_in_turn(1));
}

/// Statistics read while two threads use the pool are possible ones, and exact afterwards.
fn stats_meanwhile<P: Pool + Clone + 'static>(pool: P) {
    let other = spawn_with(pool.clone(), |pool| drop(pool.acquire().unwrap()));
    let held = pool.acquire().unwrap();
    let stats = pool.stats();
    assert!((1..=2).contains(&stats.in_use), "{stats:?}");
    assert!((1..=2).contains(&stats.acquired), "{stats:?}");
    assert_eq!(stats.available, stats.total - stats.in_use, "{stats:?}");
    drop(held);
    other.join().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.acquired, stats.refused), (0, 2, 0), "{stats:?}");
    assert!((1..=2).contains(&stats.high_water), "{stats:?}");
}

#[test]
fn buffer_pool_stats_meanwhile() {
    every_schedule(|| stats_meanwhile(buffer_pool(2)));
}

#[test]
fn lock_free_pool_stats_meanwhile() {
    every_schedule(|| stats_meanwhile(lock_free_pool::<2>()));
}

/// Unwiped bytes: what the next holder sees of them is ordered after the last holder's writes, and is 0.
fn stale_bytes_are_never_shown<P: Pool + Clone + 'static>(pool: P) {
    let other = spawn_with(pool.clone(), |pool| {
        if let Ok(mut buf) = pool.acquire() {
            buf.extend_from_slice(&[9; SIZE]).unwrap();
        }
    });
    if let Ok(mut buf) = pool.acquire() {
        assert_eq!(buf.spare_mut(), [0; SIZE]);
    }
    other.join().unwrap();
}

#[test]
fn buffer_pool_stale_bytes_are_never_shown() {
    every_schedule(|| {
        let config = PoolConfig::new(SIZE).max(1).magazine(0).wipe(Wipe::Never);
        stale_bytes_are_never_shown(BufferPool::with_config(config).unwrap());
    });
}

#[test]
fn lock_free_pool_stale_bytes_are_never_shown() {
    every_schedule(|| {
        let config = PoolConfig::new(SIZE).wipe(Wipe::Never);
        stale_bytes_are_never_shown(LockFreePool::<1>::with_config(config).unwrap());
    });
}
