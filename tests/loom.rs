//! loom models of the public pools: every schedule of two or three threads (three: up to a bound on
//! preemptions) is run, and memory orderings are checked as the C11 model has them.
//!
//! What makes a model fail, beside its own assertions: each pool keeps a cell for each buffer that its holder
//! reads and writes, and loom reports two accesses that nothing orders, so a buffer lent twice or handed on
//! without a happens-before edge is seen even where the bytes happen to be right; and a pool that is never
//! freed is reported as a leak.
//!
//! Plain `cargo test` runs them, as the member tests/loom-models, and so does
//! `RUSTFLAGS="--cfg poolbuf_loom" cargo test --release --test loom`.
#![cfg(poolbuf_loom)]

#[path = "loom/budget.rs"]
mod budget;
#[path = "loom/waiting.rs"]
mod waiting;

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use loom::model::Builder;
use loom::thread;
use poolbuf::{
    AcquireError, AlignedPool, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow,
    Pool, PoolConfig, PooledBuf, Wipe,
};

/// Bytes a buffer.
const SIZE: usize = 16;

/// A pool of `max` buffers, none of which is made before it is needed, without magazines.
fn buffer_pool(max: usize) -> BufferPool {
    magazine_pool(max, 0)
}

fn magazine_pool(max: usize, magazine: usize) -> BufferPool {
    BufferPool::with_config(PoolConfig::new(SIZE).max(max).magazine(magazine)).unwrap()
}

fn aligned_pool(max: usize) -> AlignedPool {
    AlignedPool::with_config(PoolConfig::new(SIZE).max(max).magazine(0)).unwrap()
}

fn lock_free_pool<const N: usize>() -> LockFreePool<N> {
    LockFreePool::new(SIZE).unwrap()
}

/// `small` buffers of `SIZE` bytes and one of twice that, which serves when those are out.
fn multi_size_pool(small: usize) -> MultiSizePool {
    MultiSizePool::with_config(
        MultiSizeConfig::new()
            .tier(PoolConfig::new(SIZE).max(small).magazine(0))
            .tier(PoolConfig::new(2 * SIZE).max(1).magazine(0))
            .overflow(Overflow::NextTier),
    )
    .unwrap()
}

/// Explores all schedules.
fn every_schedule(model: impl Fn() + Send + Sync + 'static) {
    explore(Builder::new(), model);
}

/// Explores the schedules with up to `preemptions` preemptions.
fn schedules_within(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    explore(builder, model);
}

/// Runs the model under every schedule that `builder` allows, and prints how many those were; a test's output is
/// shown with `-- --show-output`.
fn explore(builder: Builder, model: impl Fn() + Send + Sync + 'static) {
    // Outside loom: it counts over all schedules.
    let schedules = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&schedules);
    let bound = builder.preemption_bound;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let schedules = schedules.load(Ordering::Relaxed);
    let current = std::thread::current();
    let name = current.name().unwrap_or_default();
    match bound {
        None => println!("schedules: {schedules}, all of {name}"),
        Some(bound) => println!("schedules: {schedules}, up to {bound} preemptions of {name}"),
    }
}

/// Who holds what, kept outside the pool and outside loom.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<HashSet<usize>>>);

impl Ledger {
    /// Enters a buffer; fails if it is lent already, or not empty.
    fn enter(&self, buf: &PooledBuf) {
        assert!(buf.is_empty());
        let lent_once = self.0.lock().unwrap().insert(buf.as_ptr() as usize);
        assert!(lent_once, "a buffer is lent twice");
    }

    /// Enters a buffer, fills it, lets others run, finds what it wrote, and gives it back.
    fn use_up(&self, mut buf: PooledBuf, id: u8) {
        self.enter(&buf);
        buf.extend_from_slice(&[id; SIZE]).unwrap();
        thread::yield_now();
        assert_eq!(buf[..], [id; SIZE], "another holder wrote here");
        self.give_back(buf);
    }

    fn give_back(&self, buf: PooledBuf) {
        self.0.lock().unwrap().remove(&(buf.as_ptr() as usize));
        drop(buf);
    }
}

/// Acquires and gives back, or is refused for the right reason.
fn one_round(pool: &impl Pool, ledger: &Ledger, id: u8) {
    match pool.acquire_for(SIZE) {
        Ok(buf) => ledger.use_up(buf, id),
        Err(AcquireError::Exhausted { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// All `max` buffers are free, all different, and there is no other.
fn assert_whole(pool: &impl Pool, max: usize) {
    let stats = pool.stats();
    assert_eq!(stats.in_use, 0);
    assert!(stats.high_water <= max && stats.total <= max);
    let ledger = Ledger::default();
    let held: Vec<_> = (0..max).map(|_| pool.acquire_for(SIZE).unwrap()).collect();
    held.iter().for_each(|buf| ledger.enter(buf));
    assert!(matches!(
        pool.acquire_for(SIZE),
        Err(AcquireError::Exhausted { .. })
    ));
}

/// `threads` threads, each `rounds` rounds on a pool of `max` buffers; at the end all are there.
fn threads_on_fewer_buffers<P: Pool + Clone + 'static>(
    pool: P,
    threads: u8,
    rounds: usize,
    max: usize,
) {
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

/// The ABA schedule, among all others: A has read that 0 is on top and 1 below it; B takes 0 and 1 and puts
/// 0 back; A goes on. Without the tag, A would make 1 the top of the stack while B holds it.
fn aba<P: Pool + Clone + 'static>(pool: P) {
    let ledger = Ledger::default();
    let b = {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        thread::spawn(move || {
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
        })
    };
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

/// As many buffers as threads: none is ever refused, although the pool has to grow for each.
fn nobody_is_refused<P: Pool + Clone + 'static>(pool: P) {
    let ledger = Ledger::default();
    let other = {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        thread::spawn(move || ledger.use_up(pool.acquire_for(SIZE).unwrap(), 1))
    };
    ledger.use_up(pool.acquire_for(SIZE).unwrap(), 2);
    other.join().unwrap();
    assert_whole(&pool, 2);
}

#[test]
fn buffer_pool_grows_while_others_acquire() {
    every_schedule(|| {
        let pool = buffer_pool(2);
        assert_eq!(pool.stats().total, 0);
        nobody_is_refused(pool);
    });
}

#[test]
fn buffer_pool_grows_from_initial_while_others_acquire() {
    every_schedule(|| {
        let config = PoolConfig::new(SIZE).initial(1).max(2).magazine(0);
        nobody_is_refused(BufferPool::with_config(config).unwrap());
    });
}

#[test]
fn lock_free_pool_refuses_nobody_while_there_is_a_buffer() {
    every_schedule(|| nobody_is_refused(lock_free_pool::<2>()));
}

#[test]
fn multi_size_pool_goes_up_while_others_acquire() {
    every_schedule(|| nobody_is_refused(multi_size_pool(1)));
}

/// The last handle goes while two guards are dropped on other threads. loom reports a pool that is not
/// freed; one freed twice, or under a guard's feet, is an access to a cell that is gone.
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
    every_schedule(|| last_handle_against_release(buffer_pool(2)));
}

#[test]
fn aligned_pool_last_handle_against_release() {
    every_schedule(|| last_handle_against_release(aligned_pool(2)));
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
fn multi_size_pool_last_handle_against_release() {
    every_schedule(|| last_handle_against_release(multi_size_pool(1)));
}

/// Two handles go at the same time, one of them right after its thread released a buffer.
fn handles_against_each_other<P: Pool + Clone + 'static>(pool: P) {
    let other = {
        let pool = pool.clone();
        thread::spawn(move || drop(pool.acquire()))
    };
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
    let acquiring = {
        let pool = pool.clone();
        thread::spawn(move || match pool.acquire() {
            Ok(mut buf) => buf.extend_from_slice(&[3; SIZE]).unwrap(),
            Err(error) => assert!(matches!(error, AcquireError::Closed { .. })),
        })
    };
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

/// Statistics read while two threads use the pool are possible ones, and exact afterwards.
fn stats_meanwhile<P: Pool + Clone + 'static>(pool: P) {
    let other = {
        let pool = pool.clone();
        thread::spawn(move || drop(pool.acquire().unwrap()))
    };
    let held = pool.acquire().unwrap();
    let stats = pool.stats();
    assert!((1..=2).contains(&stats.in_use), "{stats:?}");
    assert!((1..=2).contains(&stats.acquired), "{stats:?}");
    assert_eq!(stats.available, stats.total - stats.in_use, "{stats:?}");
    drop(held);
    other.join().unwrap();
    let stats = pool.stats();
    assert_eq!(
        (stats.in_use, stats.acquired, stats.refused),
        (0, 2, 0),
        "{stats:?}"
    );
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
    let other = {
        let pool = pool.clone();
        thread::spawn(move || {
            if let Ok(mut buf) = pool.acquire() {
                buf.extend_from_slice(&[9; SIZE]).unwrap();
            }
        })
    };
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

/// There is always a free buffer, but not always in the same shard: B puts one back into the shard where A
/// looks first, and takes the one where A looks next. Neither may be refused.
#[test]
fn shards_refuse_nobody_while_a_buffer_moves() {
    every_schedule(|| {
        let pool = lock_free_pool::<4>();
        // The first two from A's own shard, the others from B's.
        let mut held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
        let in_own_shard = held.remove(0);
        drop(held.pop());
        let b = {
            let pool = pool.clone();
            thread::spawn(move || {
                drop(in_own_shard);
                pool.acquire().unwrap()
            })
        };
        held.push(pool.acquire().unwrap());
        held.push(b.join().unwrap());
        assert!(matches!(
            pool.acquire(),
            Err(AcquireError::Exhausted { .. })
        ));
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

#[test]
fn shards_close_against_the_rest() {
    schedules_within(3, || {
        close_against_the_rest(lock_free_pool::<4>(), |pool| drop(pool.close()));
    });
}

/// Whoever asks while a pool that has a buffer is closed is served, or told so: never that all are in use.
fn close_against_one_who_asks<P: Pool + Clone + 'static>(pool: P, close: fn(&P)) {
    let other = {
        let pool = pool.clone();
        thread::spawn(move || close(&pool))
    };
    let answer = pool.acquire();
    assert!(matches!(answer, Ok(_) | Err(AcquireError::Closed { .. })));
    other.join().unwrap();
}

/// What is free lies in one shard.
#[test]
fn shards_close_against_one_who_asks() {
    for free in [0..2, 2..4] {
        every_schedule(move || {
            let pool = lock_free_pool::<4>();
            let mut held: Vec<_> = (0..4).map(|_| pool.acquire().unwrap()).collect();
            held.drain(free.clone());
            close_against_one_who_asks(pool, |pool| drop(pool.close()));
        });
    }
}

#[test]
fn magazine_close_against_one_who_asks() {
    every_schedule(|| close_against_one_who_asks(full_magazine(1), |pool| drop(pool.close())));
}

#[test]
fn shards_last_handle_against_release() {
    schedules_within(3, || last_handle_against_release(lock_free_pool::<4>()));
}

/// A pool all of whose buffers rest in the magazine of the calling thread.
fn full_magazine(buffers: usize) -> BufferPool {
    let pool = magazine_pool(buffers, buffers);
    let held: Vec<_> = (0..buffers).map(|_| pool.acquire().unwrap()).collect();
    drop(held);
    pool
}

#[test]
fn magazine_owner_against_revoker() {
    schedules_within(3, || threads_on_fewer_buffers(full_magazine(1), 2, 1, 1));
}

#[test]
fn magazine_owner_against_revoker_nobody_is_refused() {
    schedules_within(4, || nobody_is_refused(full_magazine(2)));
}

/// The owner's magazine holds one buffer: it has to move the other to the depot, and to fetch it there, while
/// the revoker is at work.
#[test]
fn magazine_owner_moving_buffers_against_revoker() {
    schedules_within(3, || {
        let (pool, ledger) = (magazine_pool(2, 1), Ledger::default());
        let held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        held.iter().for_each(|buf| ledger.enter(buf));
        let other = {
            let (pool, ledger) = (pool.clone(), ledger.clone());
            thread::spawn(move || one_round(&pool, &ledger, 1))
        };
        held.into_iter().for_each(|buf| ledger.give_back(buf));
        let again = [pool.acquire(), pool.acquire()];
        again.iter().flatten().for_each(|buf| ledger.enter(buf));
        again
            .into_iter()
            .flatten()
            .for_each(|buf| ledger.give_back(buf));
        other.join().unwrap();
        assert_whole(&pool, 2);
    });
}

/// The owner puts a third buffer into its magazine while the revoker takes the two that are there.
#[test]
fn magazine_owner_filling_against_revoker() {
    schedules_within(3, || {
        let (pool, ledger) = (magazine_pool(3, 3), Ledger::default());
        let mut held: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
        let last = held.pop().unwrap();
        ledger.enter(&last);
        drop(held);
        let other = {
            let (pool, ledger) = (pool.clone(), ledger.clone());
            thread::spawn(move || one_round(&pool, &ledger, 1))
        };
        ledger.give_back(last);
        one_round(&pool, &ledger, 2);
        other.join().unwrap();
        assert_whole(&pool, 3);
    });
}

#[test]
fn magazine_revoker_against_revoker() {
    schedules_within(3, || {
        let (pool, ledger) = (full_magazine(1), Ledger::default());
        let others: Vec<_> = (1..3)
            .map(|id| {
                let (pool, ledger) = (pool.clone(), ledger.clone());
                thread::spawn(move || one_round(&pool, &ledger, id))
            })
            .collect();
        for other in others {
            other.join().unwrap();
        }
        assert_whole(&pool, 1);
    });
}

/// A thread ends with all the buffers in its magazine while another wants one.
#[test]
fn magazine_owner_ending_against_revoker() {
    every_schedule(|| {
        let pool = magazine_pool(1, 1);
        let ledger = Ledger::default();
        let other = {
            let (pool, ledger) = (pool.clone(), ledger.clone());
            thread::spawn(move || one_round(&pool, &ledger, 1))
        };
        one_round(&pool, &ledger, 2);
        other.join().unwrap();
        assert_whole(&pool, 1);
    });
}

#[test]
fn magazine_owner_against_close() {
    every_schedule(|| {
        let pool = full_magazine(1);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.close())
        };
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

/// A pool of `buffers` of which `max` may be lent.
fn resizable_pool(buffers: usize, max: usize, magazine: usize) -> BufferPool {
    let config = PoolConfig::new(SIZE).max(max).reserve(buffers);
    BufferPool::with_config(config.magazine(magazine)).unwrap()
}

/// The max is lowered to 1 while the owner of a magazine, in which both buffers rest, acquires and releases. Once
/// it is, and the two of them have one buffer, nobody is lent a second.
fn shrink_against_owner(magazine: usize) {
    let (pool, ledger) = (resizable_pool(2, 2, magazine), Ledger::default());
    let both = [pool.acquire().unwrap(), pool.acquire().unwrap()];
    drop(both);
    let other = {
        let (pool, ledger) = (pool.clone(), ledger.clone());
        thread::spawn(move || {
            assert_eq!(pool.set_max(1), Ok(2));
            let buf = pool.acquire().ok()?;
            ledger.enter(&buf);
            Some(buf)
        })
    };
    let first = pool.acquire();
    first.iter().for_each(|buf| ledger.enter(buf));
    first.into_iter().for_each(|buf| ledger.give_back(buf));
    let second = pool.acquire();
    second.iter().for_each(|buf| ledger.enter(buf));
    let others = other.join().unwrap();
    // Both, if this thread acquired before the max was lowered and the other after it released.
    let held = [second.ok(), others];
    let lent = held.iter().flatten().count();
    assert!(lent >= 1, "one was free, and both were refused");
    assert!(
        lent == 1,
        "two are lent, and the max was 1 when the second was"
    );
    held.into_iter()
        .flatten()
        .for_each(|buf| ledger.give_back(buf));
    assert_eq!(pool.stats().in_use, 0);
    let _only = pool.acquire().unwrap();
    assert!(pool.acquire().is_err());
}

#[test]
fn shrink_against_the_owner_of_a_magazine() {
    schedules_within(3, || shrink_against_owner(2));
}

#[test]
fn shrink_against_acquire_and_release_without_magazines() {
    every_schedule(|| shrink_against_owner(0));
}

/// Lowered below what rests in the magazine of a thread that acquires and releases meanwhile.
#[test]
fn shrink_below_what_rests_in_a_magazine() {
    every_schedule(|| {
        let (pool, ledger) = (full_magazine(2), Ledger::default());
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.set_max(1))
        };
        one_round(&pool, &ledger, 1);
        other.join().unwrap().unwrap();
        let _only = pool.acquire().unwrap();
        assert!(pool.acquire().is_err(), "one is lent, and the max is 1");
    });
}

/// Lowered below what is lent while its holder asks for more, long enough for its magazine to be opened again: a
/// buffer that comes back then is not lent on.
#[test]
fn shrink_against_a_holder_who_asks_for_more() {
    schedules_within(3, || {
        let (pool, ledger) = (resizable_pool(2, 2, 2), Ledger::default());
        let first = pool.acquire().unwrap();
        let second = pool.acquire().unwrap();
        ledger.enter(&first);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.set_max(1))
        };
        assert!(pool.acquire().is_err());
        other.join().unwrap().unwrap();
        for _ in 0..4 {
            assert!(pool.acquire().is_err());
        }
        drop(second);
        assert!(pool.acquire().is_err(), "one is lent, and the max is 1");
        ledger.give_back(first);
        drop(pool.acquire().unwrap());
    });
}

/// Lowered below what is lent while one of the holders, who has seen somebody wait, gives back: whoever begins to wait
/// after that is not handed what nobody may have any more.
fn shrink_against_hand_over(magazine: usize) {
    let pool = resizable_pool(2, 2, magazine);
    let (first, second) = (pool.acquire().unwrap(), pool.acquire().unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let mut early = pool.acquire_async(SIZE);
    assert!(pin!(&mut early).poll(&mut context).is_pending());
    let other = thread::spawn(move || drop(second));
    drop(early);
    assert_eq!(pool.set_max(1), Ok(2));
    let mut late = pool.acquire_async(SIZE);
    assert!(pin!(&mut late).poll(&mut context).is_pending());
    other.join().unwrap();
    let polled = pin!(&mut late).poll(&mut context);
    assert!(polled.is_pending(), "one is lent, and the max is 1");
    drop(first);
    let polled = pin!(&mut late).poll(&mut context);
    assert!(matches!(polled, Poll::Ready(Ok(_))), "nobody has one");
    drop(polled);
    assert_eq!(pool.set_max(2), Ok(1));
    assert_whole(&pool, 2);
}

#[test]
fn shrink_against_hand_over_without_magazines() {
    every_schedule(|| shrink_against_hand_over(0));
}

#[test]
fn shrink_against_hand_over_with_magazines() {
    schedules_within(3, || shrink_against_hand_over(2));
}

/// Lowered below what is lent, and raised again, while the holders give back and acquire.
#[test]
fn shrink_and_grow_against_holders() {
    schedules_within(3, || {
        let (pool, ledger) = (resizable_pool(3, 2, 2), Ledger::default());
        let held = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        held.iter().for_each(|buf| ledger.enter(buf));
        let other = {
            let pool = pool.clone();
            thread::spawn(move || {
                assert_eq!(pool.set_max(1), Ok(2));
                assert_eq!(pool.set_max(3), Ok(1));
            })
        };
        held.into_iter().for_each(|buf| ledger.give_back(buf));
        one_round(&pool, &ledger, 1);
        other.join().unwrap();
        assert_whole(&pool, 3);
    });
}

/// Under loom every byte is a page, and what is given back is overwritten: a buffer that is trimmed and lent at the
/// same time is seen by its cell and by its bytes.
fn trim_against_the_rest<P: Pool + Clone + 'static>(
    pool: P,
    buffers: usize,
    trim: fn(&P) -> usize,
) {
    let ledger = Ledger::default();
    let held: Vec<_> = (0..buffers).map(|_| pool.acquire().unwrap()).collect();
    drop(held);
    let other = {
        let pool = pool.clone();
        thread::spawn(move || trim(&pool))
    };
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

/// Nobody is refused for a trim where there is a lock.
#[test]
fn trim_refuses_nobody() {
    every_schedule(|| {
        let pool = buffer_pool(1);
        drop(pool.acquire());
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.trim())
        };
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
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.trim())
        };
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
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.trim())
        };
        pool.close();
        drop(held);
        other.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}

/// Whoever trims the lock-free pool holds buffers when it is closed, and no guard of them.
#[test]
fn lock_free_pool_trim_against_close() {
    schedules_within(4, || {
        let pool = lock_free_pool::<2>();
        let held = pool.acquire().unwrap();
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.trim())
        };
        pool.close();
        drop(held);
        other.join().unwrap();
        assert_eq!(pool.stats().in_use, 0);
    });
}
