//! Many buffers at once: all or none, first come first served, and nothing lost.
#![cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]

use std::future::{self, Future};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use poolbuf::{
    AcquireError, Budget, BufferPool, Holders, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow, Pool,
    PoolConfig, PooledBuf, Wipe,
};

#[path = "shared/bell.rs"]
mod bell;
#[path = "shared/poll.rs"]
mod poll;
#[path = "shared/pools.rs"]
mod pools;

use bell::Bell;
use poll::poll;
use pools::every_pool;

const SIZE: usize = 64;
/// Buffers of each pool; more than a lock-free pool has in one of its stacks.
const MAX: usize = 64;
const FOR_EVER: Duration = Duration::MAX;

fn config() -> PoolConfig {
    PoolConfig::new(SIZE).max(MAX)
}

fn pools_with(config: &PoolConfig) -> Vec<Arc<dyn Pool>> {
    every_pool::<MAX>(config, &[0, usize::MAX])
}

fn pools() -> Vec<Arc<dyn Pool>> {
    pools_with(&config())
}

fn is_exhausted<T>(result: Result<T, AcquireError>) -> bool {
    matches!(result, Err(AcquireError::Exhausted { .. }))
}

/// Refused though some are free, as these are owed to a request that came before.
fn assert_owed<T>(result: Result<T, AcquireError>, lent: usize, wanted: u32) {
    match result.map(drop).unwrap_err() {
        error @ AcquireError::Exhausted { .. } => {
            let text = error.to_string();
            assert!(text.contains("are owed to requests that wait"), "{text}");
            let AcquireError::Exhausted {
                in_use, first_wants, ..
            } = error
            else {
                unreachable!()
            };
            assert_eq!((in_use, first_wants), (lent, wanted));
        }
        error => panic!("{error}"),
    }
}

/// The lines of this file that hold buffers, and how many.
fn lines(holders: &Holders) -> Vec<(u32, usize)> {
    let lines = holders.lines().iter();
    let lines = lines.map(|holder| (holder.location().line(), holder.buffers()));
    lines.collect()
}

fn assert_all_different(bufs: &[PooledBuf]) {
    let mut places: Vec<_> = bufs.iter().map(|buf| buf.as_ptr()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), bufs.len());
    assert!(bufs.iter().all(|buf| buf.is_empty() && buf.capacity() == SIZE));
}

/// `MAX` can be lent, and no more.
fn assert_whole(pool: &dyn Pool) {
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    let all = pool.acquire_many(MAX, SIZE).unwrap();
    assert_all_different(&all);
    assert!(is_exhausted(pool.acquire()));
}

#[test]
fn all_are_lent_or_none_whatever_is_free() {
    for pool in pools() {
        for held in 0..=MAX {
            let held = pool.acquire_many(held, SIZE).unwrap();
            let free = MAX - held.len();
            for count in [free.min(1), free / 2, free.saturating_sub(1), free] {
                assert_eq!(pool.acquire_many(count, SIZE).unwrap().len(), count);
            }
            if free < MAX {
                let refused = pool.acquire_many(free + 1, SIZE).unwrap_err();
                match refused {
                    AcquireError::Exhausted { in_use, max, .. } => {
                        assert_eq!((in_use, max), (held.len(), MAX));
                    }
                    error => panic!("{error}"),
                }
            }
            assert_eq!(pool.stats().in_use, held.len());
            let rest: Vec<_> = (0..free).map(|_| pool.acquire().unwrap()).collect();
            let all: Vec<_> = held.into_iter().chain(rest).collect();
            assert_all_different(&all);
        }
        assert_whole(&*pool);
    }
}

#[test]
fn they_count_as_so_many_that_were_acquired_and_one_that_was_refused() {
    for pool in pools() {
        let seven = pool.acquire_many(7, SIZE).unwrap();
        assert!(is_exhausted(pool.acquire_many(MAX, SIZE)));
        let stats = pool.stats();
        assert_eq!((stats.acquired, stats.in_use, stats.refused), (7, 7, 1));
        assert_eq!(stats.high_water, 7, "{stats:?}");
        drop(seven);
        let all = pool.acquire_many(MAX, SIZE).unwrap();
        let stats = pool.stats();
        assert_eq!((stats.acquired, stats.high_water), (7 + MAX as u64, MAX));
        drop(all);
    }
}

#[test]
fn none_are_an_empty_result_of_every_pool_at_any_time() {
    for pool in pools() {
        let all = pool.acquire_many(MAX, SIZE).unwrap();
        assert!(pool.acquire_many(0, SIZE).unwrap().is_empty());
        let waited = pool.acquire_many_async(0, SIZE).wait_timeout(Duration::ZERO);
        assert!(waited.unwrap().is_empty());
        let polled = poll(&mut pool.acquire_many_async(0, SIZE));
        assert!(matches!(polled, Poll::Ready(Ok(bufs)) if bufs.is_empty()));
        drop(all);
    }
}

#[test]
fn what_can_never_be_lent_is_refused_at_once_with_the_numbers() {
    for pool in pools_with(&config().name("recv")) {
        let errors = [
            pool.acquire_many(MAX + 1, SIZE).unwrap_err(),
            pool.acquire_many_async(MAX + 1, SIZE)
                .wait_timeout(FOR_EVER)
                .unwrap_err(),
        ];
        for error in errors {
            match &error {
                AcquireError::TooMany { requested, max, .. } => {
                    assert_eq!((*requested, *max), (MAX + 1, MAX))
                }
                error => panic!("{error}"),
            }
            assert_eq!(error.pool(), "recv");
            assert_eq!(
                error.to_string(),
                "65 buffers requested at once, but by its max recv lends 64 at most: ask for fewer, or raise its max"
            );
        }
        assert!(pool.acquire_many(usize::MAX, SIZE).is_err());
        let error = pool.acquire_many(2, SIZE + 1).unwrap_err();
        assert!(matches!(error, AcquireError::TooLarge { .. }));
        assert_eq!(pool.stats().refused, 0);
        pool.close();
        let error = pool.acquire_many(2, SIZE).unwrap_err();
        assert!(matches!(error, AcquireError::Closed { .. }));
    }
}

#[test]
fn a_result_is_no_larger_than_that_of_a_single_request() {
    assert!(size_of::<Result<PooledBuf, AcquireError>>() <= 48);
    assert!(size_of::<Result<Vec<PooledBuf>, AcquireError>>() <= 48);
}

#[test]
fn what_other_threads_keep_at_hand_is_lent_before_a_request_is_refused() {
    let pool = BufferPool::with_config(config()).unwrap();
    let mut others: Vec<_> = Vec::new();
    let (send, receive) = std::sync::mpsc::channel();
    for _ in 0..3 {
        let (pool, send) = (pool.clone(), send.clone());
        let (end, until) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            drop(pool.acquire_many(10, SIZE).unwrap());
            send.send(()).unwrap();
            let _ = until.recv();
        });
        receive.recv().unwrap();
        others.push((end, thread));
    }
    assert_eq!(pool.acquire_many(MAX, SIZE).unwrap().len(), MAX);
    for (end, thread) in others {
        drop(end);
        thread.join().unwrap();
    }
}

/// What is free is owed to the first, and to the second after it; it is not in use until the first has all.
#[test]
fn requests_for_many_are_served_in_the_order_in_which_they_came() {
    for pool in pools() {
        let mut held = pool.acquire_many(MAX, SIZE).unwrap();
        let mut first = pool.acquire_many_async(3, SIZE);
        let mut single = pool.acquire_async(SIZE);
        let mut last = pool.acquire_many_async(2, SIZE);
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut single).is_pending());
        assert!(poll(&mut last).is_pending());
        assert_eq!(pool.stats().waiting, 3);
        for free in 1..=2 {
            held.pop();
            assert!(poll(&mut first).is_pending());
            assert!(poll(&mut single).is_pending(), "it came later");
            assert_owed(pool.acquire(), MAX - free, 3);
            assert_eq!(pool.stats().in_use, MAX - free);
        }
        held.pop();
        held.pop();
        held.pop();
        let Poll::Ready(Ok(three)) = poll(&mut first) else {
            panic!("three were released");
        };
        assert_all_different(&three);
        let Poll::Ready(Ok(one)) = poll(&mut single) else {
            panic!("a fourth was");
        };
        assert!(poll(&mut last).is_pending());
        drop(one);
        let Poll::Ready(Ok(two)) = poll(&mut last) else {
            panic!("the fifth and the first of them were");
        };
        let stats = pool.stats();
        assert_eq!((three.len(), two.len()), (3, 2));
        assert_eq!((stats.waits, stats.handed_over, stats.waiting), (3, 6, 0));
        assert_eq!(stats.acquired, MAX as u64 + 6);
        drop((held, three, two));
        assert_whole(&*pool);
    }
}

#[test]
fn what_is_free_while_a_request_waits_is_owed_to_it_and_lent_to_no_other() {
    for pool in pools() {
        let mut held = pool.acquire_many(MAX - 3, SIZE).unwrap();
        let mut many = pool.acquire_many_async(5, SIZE);
        assert!(poll(&mut many).is_pending());
        assert_owed(pool.acquire(), MAX - 3, 5);
        assert_owed(pool.acquire_many(2, SIZE), MAX - 3, 5);
        assert_eq!((pool.stats().in_use, pool.stats().high_water), (MAX - 3, MAX - 3));
        held.pop();
        assert!(poll(&mut many).is_pending());
        held.pop();
        assert!(matches!(poll(&mut many), Poll::Ready(Ok(bufs)) if bufs.len() == 5));
        drop((many, held));
        assert_whole(&*pool);
    }
}

#[test]
fn what_was_owed_to_a_request_that_is_dropped_goes_to_those_behind_it() {
    for pool in pools() {
        let held = pool.acquire_many(MAX - 3, SIZE).unwrap();
        let mut many = pool.acquire_many_async(5, SIZE);
        let mut two = pool.acquire_many_async(2, SIZE);
        let mut single = pool.acquire_async(SIZE);
        assert!(poll(&mut many).is_pending());
        assert!(poll(&mut two).is_pending());
        assert!(poll(&mut single).is_pending());
        drop(many);
        assert!(matches!(poll(&mut two), Poll::Ready(Ok(bufs)) if bufs.len() == 2));
        assert!(matches!(poll(&mut single), Poll::Ready(Ok(_))));
        assert_eq!((pool.stats().waits, pool.stats().waiting), (3, 0));
        drop(held);
        assert_whole(&*pool);
    }
}

#[test]
fn what_was_handed_to_a_request_that_never_looked_comes_back() {
    for pool in pools() {
        let held = pool.acquire_many(MAX, SIZE).unwrap();
        let mut many = pool.acquire_many_async(MAX, SIZE);
        assert!(poll(&mut many).is_pending());
        drop(held);
        assert!(is_exhausted(pool.acquire()));
        drop(many);
        assert_whole(&*pool);
    }
}

#[test]
fn a_task_is_woken_once_when_all_are_there() {
    for pool in pools() {
        let mut held = pool.acquire_many(MAX, SIZE).unwrap();
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut many = pin!(pool.acquire_many_async(4, SIZE));
        let mut context = Context::from_waker(&waker);
        assert!(many.as_mut().poll(&mut context).is_pending());
        for released in 1..=4 {
            held.pop();
            let woken = bell.rung();
            assert_eq!(woken, usize::from(released == 4));
        }
        assert!(many.as_mut().poll(&mut context).is_ready());
    }
}

#[test]
fn a_time_limit_ends_what_was_owed() {
    for pool in pools() {
        let held = pool.acquire_many(MAX - 2, SIZE).unwrap();
        let late = pool.acquire_many_async(3, SIZE).wait_timeout(Duration::from_millis(1));
        assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.timed_out), (MAX - 2, 1));
        assert_eq!(pool.acquire_many(2, SIZE).unwrap().len(), 2);
        drop(held);
        assert_whole(&*pool);
    }
}

/// Each needs more than half of all. One buffer at a time they would hold a half each, and wait for ever.
#[test]
fn a_timer_as_the_limit_ends_what_was_owed_or_lends_what_was_granted() {
    for pool in pools() {
        let held = pool.acquire_many(MAX - 1, SIZE).unwrap();
        let timer = &AtomicBool::new(false);
        let limit = || {
            future::poll_fn(|_| match timer.load(Ordering::Relaxed) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
        };
        let mut late = pool.acquire_many_async(2, SIZE).within(limit());
        assert!(poll(&mut late).is_pending());
        timer.store(true, Ordering::Relaxed);
        let Poll::Ready(Err(error)) = poll(&mut late) else {
            panic!("the time is up");
        };
        assert!(matches!(error, AcquireError::TimedOut { .. }));
        let stats = pool.stats();
        assert_eq!((stats.timed_out, stats.abandoned), (1, 0), "{}", pool.name());
        assert_eq!(stats.in_use, MAX - 1);

        timer.store(false, Ordering::Relaxed);
        let mut served = pool.acquire_many_async(2, SIZE).within(limit());
        assert!(poll(&mut served).is_pending());
        drop(held);
        timer.store(true, Ordering::Relaxed);
        let Poll::Ready(Ok(bufs)) = poll(&mut served) else {
            panic!("both were handed over before");
        };
        assert_eq!(bufs.len(), 2);
        drop(bufs);
        drop(pool.acquire_many_async(0, SIZE).within(limit()));
        assert_whole(&*pool);
    }
}

#[test]
fn threads_that_each_want_more_than_half_are_all_served() {
    for pool in pools() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let many = pool.acquire_many_async(MAX / 2 + 1, SIZE).wait_timeout(FOR_EVER);
                        assert_all_different(&many.unwrap());
                        drop(pool.acquire_timeout(SIZE, FOR_EVER).unwrap());
                    }
                });
            }
        });
        assert_eq!(pool.stats().acquired, 4 * 50 * (MAX as u64 / 2 + 2));
        assert_whole(&*pool);
    }
}

/// However many come and go, a single buffer more than they want is always free for a request that does not wait.
#[test]
fn no_request_is_refused_for_what_another_takes_in_vain() {
    for pool in pools() {
        let held = pool.acquire_many(MAX - 4, SIZE).unwrap();
        thread::scope(|scope| {
            // Of four, a request for five takes none, so the other thread always finds its one.
            let vain = scope.spawn(|| {
                for _ in 0..2000 {
                    assert!(is_exhausted(pool.acquire_many(5, SIZE)));
                }
            });
            while !vain.is_finished() {
                drop(pool.acquire_many(4, SIZE).unwrap());
            }
            vain.join().unwrap();
        });
        drop(held);
        assert_whole(&*pool);
    }
}

#[test]
fn closing_ends_the_wait_and_what_was_owed_is_not_out() {
    for pool in pools() {
        let held = pool.acquire_many(MAX - 3, SIZE).unwrap();
        let mut many = pool.acquire_many_async(5, SIZE);
        assert!(poll(&mut many).is_pending());
        assert_eq!(pool.close().outstanding(), MAX - 3);
        let polled = poll(&mut many);
        assert!(matches!(polled, Poll::Ready(Err(AcquireError::Closed { .. }))));
        assert_eq!(pool.stats().in_use, MAX - 3);
        drop(held);
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn lowering_the_max_ends_waits_for_more_and_serves_those_behind() {
    let pool = BufferPool::with_config(config().name("recv")).unwrap();
    let held = pool.acquire_many(MAX - 3, SIZE).unwrap();
    let mut many = pool.acquire_many_async(MAX, SIZE);
    let mut fewer = pool.acquire_many_async(8, SIZE);
    assert!(poll(&mut many).is_pending());
    assert!(poll(&mut fewer).is_pending());
    pool.set_max(10).unwrap();
    match poll(&mut many) {
        Poll::Ready(Err(AcquireError::TooMany {
            pool, requested, max, ..
        })) => assert_eq!((&*pool, requested, max), ("recv", MAX, 10)),
        polled => panic!("{polled:?}"),
    }
    assert!(poll(&mut fewer).is_pending(), "as many are lent as before");
    drop(held);
    assert!(matches!(poll(&mut fewer), Poll::Ready(Ok(bufs)) if bufs.len() == 8));
    pool.set_max(MAX).unwrap();
    assert_eq!(pool.stats().in_use, 0);
    assert_whole(&pool);
}

#[test]
fn a_max_that_is_raised_serves_requests_for_many() {
    let pool = BufferPool::with_config(PoolConfig::new(SIZE).max(4).reserve(MAX)).unwrap();
    let held = pool.acquire_many(4, SIZE).unwrap();
    let mut many = pool.acquire_many_async(4, SIZE);
    let mut more = pool.acquire_many_async(4, SIZE);
    assert!(poll(&mut many).is_pending());
    assert!(poll(&mut more).is_pending());
    pool.set_max(9).unwrap();
    let Poll::Ready(Ok(four)) = poll(&mut many) else {
        panic!("five more may be lent");
    };
    assert!(poll(&mut more).is_pending());
    pool.set_max(MAX).unwrap();
    assert!(matches!(poll(&mut more), Poll::Ready(Ok(bufs)) if bufs.len() == 4));
    drop((four, held));
    assert_whole(&pool);
}

#[test]
fn a_budget_is_charged_for_all_or_for_none() {
    for number in 0..pools().len() {
        let budget = Budget::new(10 * SIZE);
        let pool = pools_with(&config().budget(&budget)).swap_remove(number);
        let six = pool.acquire_many(6, SIZE).unwrap();
        assert_eq!(budget.lent(), 6 * SIZE);
        match pool.acquire_many(5, SIZE).unwrap_err() {
            AcquireError::OverBudget {
                requested,
                lent,
                budget,
                ..
            } => assert_eq!((requested, lent, budget), (5 * SIZE, 6 * SIZE, 10 * SIZE)),
            error => panic!("{error}"),
        }
        assert_eq!((budget.lent(), pool.stats().in_use), (6 * SIZE, 6));
        let error = pool.acquire_many(11, SIZE).unwrap_err();
        match &error {
            AcquireError::TooMany {
                requested, max, budget, ..
            } => assert_eq!((*requested, *max, *budget), (11, 10, 10 * SIZE)),
            error => panic!("{error}"),
        }
        let covers = format!(
            "but its budget of {} bytes covers 10: ask for fewer, or raise the budget",
            10 * SIZE
        );
        assert!(error.to_string().ends_with(&covers), "{error}");
        // It waits for the bytes, and has nothing.
        let mut many = pool.acquire_many_async(5, SIZE);
        assert!(poll(&mut many).is_pending());
        assert_eq!((budget.stats().waiting, pool.stats().in_use), (1, 6));
        drop(six);
        assert!(matches!(poll(&mut many), Poll::Ready(Ok(bufs)) if bufs.len() == 5));
        drop(many);
        let six = pool.acquire_many(6, SIZE).unwrap();
        let mut many = pool.acquire_many_async(5, SIZE);
        assert!(poll(&mut many).is_pending());
        drop(many);
        assert_eq!((budget.lent(), pool.stats().in_use), (6 * SIZE, 6));
        drop(six);
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn the_line_that_acquires_holds_all_of_them() {
    for pool in pools_with(&config().track_holders(true)) {
        let line = line!() + 1;
        let mut _held = pool.acquire_many(MAX - 2, SIZE).unwrap();
        let mut many = pool.acquire_many_async(3, SIZE);
        assert!(poll(&mut many).is_pending());
        let holders = pool.holders();
        let held = lines(&holders);
        assert_eq!(held, [(line, MAX - 2)], "the other has nothing yet");
        drop(_held.pop());
        let _many = poll(&mut many);
        assert_eq!(lines(&pool.holders()), [(line, MAX - 3), (line + 1, 3)]);
    }
}

#[test]
fn each_is_wiped_as_any_other() {
    for pool in pools_with(&config().wipe(Wipe::OnRelease)) {
        for mut buf in pool.acquire_many(MAX, SIZE).unwrap() {
            buf.extend_from_slice(&[7; SIZE]).unwrap();
        }
        let mut held = pool.acquire_many(MAX, SIZE).unwrap();
        assert!(held.iter_mut().all(|buf| buf.spare_mut() == [0; SIZE]));
    }
}

/// Small and large buffers of two each; a request for small ones may have large ones instead.
fn two_tiers() -> MultiSizePool {
    MultiSizePool::with_config(
        MultiSizeConfig::new()
            .tier(PoolConfig::new(SIZE).max(2))
            .tier(PoolConfig::new(2 * SIZE).max(3))
            .overflow(Overflow::NextTier),
    )
    .unwrap()
}

fn capacities(bufs: Vec<PooledBuf>) -> Vec<usize> {
    bufs.iter().map(PooledBuf::capacity).collect()
}

#[test]
fn all_are_of_one_tier_the_first_that_can_lend_so_many() {
    let pool = two_tiers();
    assert_eq!(capacities(pool.acquire_many(2, SIZE).unwrap()), [SIZE; 2]);
    assert_eq!(capacities(pool.acquire_many(3, SIZE).unwrap()), [2 * SIZE; 3]);
    let small = pool.acquire_for(SIZE).unwrap();
    assert_eq!(capacities(pool.acquire_many(2, SIZE).unwrap()), [2 * SIZE; 2]);
    let _large = pool.acquire_many(2, 2 * SIZE).unwrap();
    assert!(is_exhausted(pool.acquire_many(2, SIZE)), "one of each is free");
    assert!(matches!(
        pool.acquire_many(4, SIZE),
        Err(AcquireError::TooMany { max: 2, .. })
    ));
    drop(small);
}

#[test]
fn of_two_tiers_the_first_that_has_all_serves_and_the_other_owes_nothing_any_more() {
    let pool = two_tiers();
    let mut small = pool.acquire_many(2, SIZE).unwrap();
    let mut large = pool.acquire_many(3, 2 * SIZE).unwrap();
    let mut many = pool.acquire_many_async(2, SIZE);
    assert!(poll(&mut many).is_pending());
    small.pop();
    large.pop();
    assert!(poll(&mut many).is_pending(), "one of each");
    large.pop();
    let Poll::Ready(Ok(two)) = poll(&mut many) else {
        panic!("two large ones were released");
    };
    assert_eq!(capacities(two), [2 * SIZE; 2]);
    assert_eq!(capacities(pool.acquire_many(1, SIZE).unwrap()), [SIZE]);
    // For more than the small tier has, a request waits in the other alone.
    let mut many = pool.acquire_many_async(3, SIZE);
    assert!(poll(&mut many).is_pending());
    drop(large);
    assert!(matches!(poll(&mut many), Poll::Ready(Ok(bufs)) if bufs.len() == 3));
}

/// A request that one tier has served leaves the line of the other in the same step.
#[test]
fn what_was_owed_to_a_request_that_another_tier_has_served_goes_to_those_behind_it() {
    let pool = two_tiers();
    let mut small = pool.acquire_many(2, SIZE).unwrap();
    let mut large = pool.acquire_many(3, 2 * SIZE).unwrap();
    let mut many = pool.acquire_many_async(2, SIZE);
    assert!(poll(&mut many).is_pending());
    let mut behind = pool.acquire_many_async(2, 2 * SIZE);
    assert!(poll(&mut behind).is_pending());
    large.pop();
    drop((small.pop(), small.pop()));
    // It does not look, but has its small ones: with the next large one there are two for the request behind it.
    large.pop();
    assert!(matches!(poll(&mut behind), Poll::Ready(Ok(bufs)) if bufs.len() == 2));
    assert!(matches!(poll(&mut many), Poll::Ready(Ok(bufs)) if bufs.len() == 2));
    drop((many, behind, large));
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
}

/// Also where those that were lent before lie in one part of a pool, and as many as are wanted in another.
#[test]
fn what_has_been_lent_before_is_lent_before_what_has_not() {
    for pool in pools() {
        for held in 1..=20 {
            let mut bufs: Vec<_> = (0..held).map(|_| pool.acquire().unwrap()).collect();
            bufs.pop();
            bufs.extend(pool.acquire_many(2, SIZE).unwrap());
            let stats = pool.stats();
            assert_eq!(stats.high_water, bufs.len(), "{stats:?}");
        }
    }
}

/// So that nobody who takes or puts back a buffer waits for a lock.
#[test]
fn a_lock_free_pool_that_is_not_waited_for_lends_many_of_a_single_stack() {
    let pool = LockFreePool::<MAX>::with_config(config().waiting(false)).unwrap();
    let most = match pool.acquire_many(MAX, SIZE) {
        Err(AcquireError::TooMany { max, .. }) => max,
        other => panic!("{other:?}"),
    };
    assert!((2..MAX).contains(&most));
    let mut held = pool.acquire_many(most, SIZE).unwrap();
    assert_all_different(&held);
    while let Ok(bufs) = pool.acquire_many(2, SIZE) {
        held.extend(bufs);
    }
    // One of each stack: none has two.
    let stacks = MAX / most;
    held.extend((held.len()..MAX).map(|_| pool.acquire().unwrap()));
    let apart = (0..MAX).step_by(most).take(stacks);
    let mut kept = Vec::new();
    for buf in held {
        let slot = buf.slot().unwrap();
        match apart.clone().any(|first| first == slot) {
            true => drop(buf),
            false => kept.push(buf),
        }
    }
    match pool.acquire_many(2, SIZE) {
        Err(AcquireError::Exhausted { in_use, max, .. }) => {
            assert_eq!((in_use, max), (MAX - stacks, MAX));
        }
        other => panic!("{other:?}"),
    }
    pool.close();
    let closed = pool.acquire_many(2, SIZE);
    assert!(matches!(closed, Err(AcquireError::Closed { .. })));
}

/// A pool outside the crate, with what the trait gives it.
#[test]
fn a_pool_that_says_nothing_of_many_lends_one_after_the_other() {
    #[derive(Debug)]
    struct Own(BufferPool);
    impl Pool for Own {
        fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
            self.0.acquire_for(len)
        }
        fn max_len(&self) -> usize {
            self.0.max_len()
        }
        fn stats(&self) -> poolbuf::PoolStats {
            self.0.stats()
        }
        fn name(&self) -> &str {
            self.0.name()
        }
        fn close(&self) -> poolbuf::Holders {
            self.0.close()
        }
    }
    let own = Own(BufferPool::new(SIZE, 0, 4).unwrap());
    assert_eq!(own.acquire_many(4, SIZE).unwrap().len(), 4);
    assert!(is_exhausted(own.acquire_many(5, SIZE)));
    assert_eq!(own.stats().in_use, 0);
    let waited = own.acquire_many_async(2, SIZE).wait_timeout(FOR_EVER).unwrap();
    assert_eq!(waited.len(), 2);
}

/// A request that its own tier might serve, and can't now, is not told how few the next tier has.
#[test]
fn a_next_tier_that_lends_fewer_is_no_reason() {
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(SIZE).max(2).max_waiting(1))
        .tier(PoolConfig::new(2 * SIZE).max(1))
        .overflow(Overflow::NextTier);
    let pool = MultiSizePool::with_config(tiers).unwrap();
    let held = pool.acquire_many(2, SIZE).unwrap();
    let mut first = pool.acquire_many_async(2, SIZE);
    assert!(poll(&mut first).is_pending());
    let second = poll(&mut pool.acquire_many_async(2, SIZE));
    let too_many_waiting = |result: &Result<_, _>| match result {
        Err(AcquireError::TooManyWaiting { pool, waiting: 1, .. }) => pool.contains("64 bytes"),
        _ => false,
    };
    assert!(
        matches!(&second, Poll::Ready(result) if too_many_waiting(result)),
        "{second:?}"
    );
    pool.close();
    let closed = poll(&mut pool.acquire_many_async(2, SIZE));
    assert!(
        matches!(closed, Poll::Ready(Err(AcquireError::Closed { .. }))),
        "{closed:?}"
    );
    drop(held);
}
