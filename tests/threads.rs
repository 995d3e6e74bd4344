//! Threads that share pools, come and go: what a pool keeps for each of them is never in the way.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use poolbuf::{AcquireError, BufferPool, MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig, PooledBuf};

#[path = "shared/pools.rs"]
mod pools;

use pools::every_pool;

const SIZE: usize = 64;
/// Buffers of every pool.
const MAX: usize = 16;

/// Those with magazines with all kinds of them.
fn pools() -> Vec<Arc<dyn Pool>> {
    every_pool::<MAX>(&PoolConfig::new(SIZE), &[0, 1, 2, usize::MAX])
}

/// Runs `work` on `threads` threads that start together, with the number of each.
fn on_threads(threads: usize, work: impl Fn(usize) + Sync) {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let start = |number| {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                barrier.wait();
                work(number);
            })
        };
        // Joined one by one, which the thread sanitizer follows, unlike the end of the scope.
        let threads: Vec<_> = (0..threads).map(start).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn stamp(buf: &mut PooledBuf, stamp: usize) {
    buf.extend_from_slice(&stamp.to_ne_bytes()).unwrap();
}

fn assert_stamped(buf: &PooledBuf, stamp: usize) {
    assert_eq!(buf[..], stamp.to_ne_bytes(), "another holder wrote here");
}

/// All of `MAX` can be had, and no more.
fn assert_whole(pool: &dyn Pool) {
    assert_eq!(pool.stats().in_use, 0);
    let held: Vec<_> = (0..MAX).map(|_| pool.acquire().unwrap()).collect();
    let error = pool.acquire().unwrap_err();
    let refused = AcquireError::Exhausted {
        pool: error.pool().into(),
        in_use: MAX,
        max: MAX,
        first_wants: 0,
        held_by: None,
    };
    assert_eq!(error, refused);
    drop(held);
}

/// Eight threads with two each are sixteen: nobody may be refused, wherever the free buffers rest.
#[test]
fn nobody_is_refused_while_there_is_a_buffer_for_everybody() {
    for pool in pools() {
        on_threads(8, |number| {
            for round in 0..2000 {
                let mut first = pool.acquire().unwrap();
                stamp(&mut first, number);
                let mut second = pool.acquire().unwrap();
                stamp(&mut second, number);
                assert_stamped(&first, number);
                if round % 3 == 0 {
                    thread::yield_now();
                }
                assert_stamped(&second, number);
                drop(if round % 2 == 0 { first } else { second });
            }
        });
        assert_eq!(pool.stats().acquired, 8 * 2000 * 2);
        assert_eq!(pool.stats().refused, 0);
        assert_whole(&*pool);
    }
}

/// More threads than buffers: who is refused is refused rightly, nobody finds another's bytes, and nothing is
/// lost.
#[test]
fn threads_that_are_refused_lose_nothing() {
    for pool in pools() {
        on_threads(4, |number| {
            let mut held = Vec::new();
            for round in 0..4000 {
                match pool.acquire() {
                    Ok(mut buf) => {
                        stamp(&mut buf, number);
                        held.push(buf);
                    }
                    Err(error) => {
                        assert!(matches!(error, AcquireError::Exhausted { max: MAX, .. }));
                        held.clear();
                    }
                }
                held.iter().for_each(|buf| assert_stamped(buf, number));
                if held.len() > (number + round) % 7 {
                    held.swap_remove(round % held.len());
                }
            }
        });
        assert_whole(&*pool);
    }
}

/// One thread only acquires and another only releases: the one's magazine is always empty, the other's full.
#[test]
fn buffers_that_are_handed_over_come_back() {
    for pool in pools() {
        let (sender, receiver) = mpsc::sync_channel(MAX / 4);
        thread::scope(|scope| {
            let receiving = scope.spawn(|| {
                for (number, buf) in receiver.into_iter().enumerate() {
                    assert_stamped(&buf, number);
                }
            });
            for number in 0..5000 {
                // Of sixteen, four are in the channel, one is here and one there.
                let mut buf = pool.acquire().unwrap();
                stamp(&mut buf, number);
                sender.send(buf).unwrap();
            }
            drop(sender);
            receiving.join().unwrap();
        });
        assert_eq!(pool.stats().acquired, 5000);
        assert_whole(&*pool);
    }
}

/// What a thread had at hand when it ended is lent to others.
#[test]
fn threads_that_end_leave_nothing_behind() {
    for pool in pools() {
        for _ in 0..100 {
            on_threads(4, |_| {
                let held: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
                drop(held);
            });
        }
        assert_eq!(pool.stats().acquired, 1200);
        assert_whole(&*pool);
    }
}

thread_local! {
    static EARLY: RefCell<Vec<PooledBuf>> = const { RefCell::new(Vec::new()) };
    static LATE: RefCell<Vec<PooledBuf>> = const { RefCell::new(Vec::new()) };
}

/// Thread-locals are dropped in an order that nobody promises: one of these two is made before the thread
/// first uses the pool and one after, so that one of them goes after the thread's magazine, whatever the order.
#[test]
fn guards_in_thread_locals_come_back_when_the_thread_ends() {
    for close_first in [false, true] {
        for pool in pools() {
            let (held, is_held) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            let inside = Arc::clone(&pool);
            let thread = thread::spawn(move || {
                EARLY.with_borrow_mut(|early| early.reserve(1));
                let (first, second) = (inside.acquire().unwrap(), inside.acquire().unwrap());
                EARLY.with_borrow_mut(|early| early.push(first));
                LATE.with_borrow_mut(|late| late.push(second));
                drop(inside.acquire().unwrap());
                drop(inside);
                held.send(()).unwrap();
                may_go_on.recv().unwrap();
            });
            is_held.recv().unwrap();
            assert_eq!(pool.stats().in_use, 2);
            // The last handle may go while the thread holds its guards.
            let pool = (!close_first).then_some(pool);
            go_on.send(()).unwrap();
            thread.join().unwrap();
            pool.inspect(|pool| assert_whole(&**pool));
        }
    }
}

/// A pool used for the first time by a destructor that runs when its thread ends.
#[test]
fn a_pool_can_be_used_while_the_thread_ends() {
    type PoolAndAnswer = (Arc<dyn Pool>, mpsc::Sender<usize>);
    struct UsesAtEnd(RefCell<Option<PoolAndAnswer>>);
    impl Drop for UsesAtEnd {
        fn drop(&mut self) {
            let (pool, result) = self.0.take().unwrap();
            let held: Vec<_> = (0..MAX).map_while(|_| pool.acquire().ok()).collect();
            result.send(held.len()).unwrap();
        }
    }
    thread_local! {
        static AT_END: UsesAtEnd = const { UsesAtEnd(RefCell::new(None)) };
    }
    for pool in pools() {
        for use_before in [false, true] {
            let (result, got) = mpsc::channel();
            let inside = Arc::clone(&pool);
            let thread = thread::spawn(move || {
                AT_END.with(|at_end| *at_end.0.borrow_mut() = Some((Arc::clone(&inside), result)));
                if use_before {
                    drop(inside.acquire().unwrap());
                }
            });
            thread.join().unwrap();
            assert_eq!(got.recv().unwrap(), MAX);
            assert_whole(&*pool);
        }
    }
}

/// More pools than a thread has quick places for: each keeps its own buffers, and none is lost.
#[test]
fn hundreds_of_pools_on_one_thread_do_not_mix() {
    let pools: Vec<_> = (0..200).map(|_| BufferPool::new(SIZE, 0, MAX).unwrap()).collect();
    for _ in 0..3 {
        let mut held: Vec<_> = pools.iter().map(|pool| pool.acquire().unwrap()).collect();
        for (number, buf) in held.iter_mut().enumerate() {
            stamp(buf, number);
        }
        for (number, buf) in held.iter().enumerate() {
            assert_stamped(buf, number);
        }
        for pool in &pools {
            assert_eq!(pool.stats().in_use, 1);
        }
    }
    pools.iter().for_each(|pool| assert_whole(pool));
    // In the place of those that go come new ones.
    for pool in pools {
        drop(pool);
        assert_whole(&BufferPool::new(SIZE, 0, MAX).unwrap());
    }
}

/// A closed pool lends nothing, though the thread that asks has buffers of it at hand.
#[test]
fn close_takes_away_what_threads_have_at_hand() {
    let pool = BufferPool::new(SIZE, 0, 1000).unwrap();
    let step = Barrier::new(5);
    on_threads(5, |number| {
        if number == 0 {
            step.wait();
            pool.close();
            assert_eq!(pool.stats().in_use, 4);
            step.wait();
            return;
        }
        let held: Vec<_> = (0..20).map(|_| pool.acquire().unwrap()).collect();
        drop(held);
        let out = pool.acquire().unwrap();
        step.wait();
        step.wait();
        assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
        drop(out);
        assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
    });
    assert_eq!((pool.stats().in_use, pool.stats().acquired), (0, 84));
}

/// A request looks at one tier after the other, while what is free moves from one to the other.
#[test]
fn a_request_is_refused_only_if_both_tiers_that_may_serve_it_were_in_use() {
    const REQUESTS: usize = 500_000;
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(1))
        .tier(PoolConfig::new(512).max(1))
        .overflow(Overflow::NextTier);
    let pool = MultiSizePool::with_config(tiers).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            // Never has more than one.
            while !is_over.load(Ordering::Relaxed) {
                for tier in pool.tiers() {
                    drop(tier.acquire());
                }
            }
        });
        let refused = (0..REQUESTS).find_map(|_| pool.acquire_for(40).err());
        is_over.store(true, Ordering::Relaxed);
        other.join().unwrap();
        assert_eq!(refused, None);
    });
}
