//! What a budget promises, over several pools and tiers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use poolbuf::{
    AcquireError, AlignedPool, Budget, BudgetStats, BufferPool, ConfigProblem, Health, LockFreePool, MultiSizeConfig,
    MultiSizePool, Overflow, Pool, PoolConfig, PoolStats, PooledBuf,
};

#[path = "shared/bell.rs"]
mod bell;
#[path = "shared/poll.rs"]
mod poll;

use bell::Bell;
use poll::poll;

const FOR_EVER: Duration = Duration::MAX;

fn pool(buffer_size: usize, max: usize, budget: &Budget) -> BufferPool {
    BufferPool::with_config(PoolConfig::new(buffer_size).max(max).budget(budget)).unwrap()
}

/// Pools of every kind with one budget.
fn pools_with(budget: &Budget) -> [Arc<dyn Pool>; 4] {
    let config = || PoolConfig::new(100).budget(budget);
    let tiers = MultiSizeConfig::new()
        .tier(config().buffer_size(50).max(50))
        .tier(config().buffer_size(200).max(50));
    [
        Arc::new(BufferPool::with_config(config().max(50)).unwrap()),
        Arc::new(AlignedPool::with_config(config().max(50).magazine(0)).unwrap()),
        Arc::new(LockFreePool::<50>::with_config(config()).unwrap()),
        Arc::new(MultiSizePool::with_config(tiers).unwrap()),
    ]
}

fn is_over_budget(result: Result<PooledBuf, AcquireError>) -> bool {
    matches!(result, Err(AcquireError::OverBudget { .. }))
}

#[test]
fn what_all_pools_lend_together_stays_within_the_budget() {
    let budget = Budget::new(1000);
    let pools = pools_with(&budget);
    let mut held: Vec<PooledBuf> = Vec::new();
    for pool in pools.iter().cycle() {
        let sum: usize = held.iter().map(PooledBuf::capacity).sum();
        assert_eq!(budget.lent(), sum);
        match pool.acquire_for(80) {
            Ok(buf) => held.push(buf),
            Err(AcquireError::OverBudget {
                requested,
                lent,
                budget: limit,
                ..
            }) => {
                assert!(lent == sum && lent + requested > limit && limit == 1000);
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(budget.lent() <= 1000);
    drop(held);
    assert_eq!(budget.lent(), 0);
    for pool in &pools {
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn a_refusal_costs_nothing_and_is_counted() {
    let budget = Budget::new(250);
    for pool in pools_with(&budget) {
        let held: Vec<_> = std::iter::from_fn(|| pool.acquire_for(100).ok()).collect();
        let (in_use, lent) = (pool.stats().in_use, budget.lent());
        assert!(is_over_budget(pool.acquire_for(100)));
        assert_eq!((pool.stats().in_use, budget.lent()), (in_use, lent));
        drop(held);
        assert_eq!((budget.lent(), pool.stats().in_use), (0, 0));
    }
    let budget = Budget::new(150);
    let pool = pool(100, 10, &budget);
    let _held = pool.acquire().unwrap();
    let error = pool.acquire().unwrap_err();
    assert!(error.to_string().contains("150"), "{error}");
    let stats = pool.stats();
    assert_eq!((stats.refused, stats.over_budget), (1, 1));
    assert_eq!(stats.acquired, 1);
    assert!(stats.to_string().contains("refused 50.00%"), "{stats}");
    // Nor is a request lent anything that has its buffer, and leaves or is closed while it waits for the bytes.
    let mut waiting = [pool.acquire_async(100), pool.acquire_async(100)];
    waiting.iter_mut().for_each(|one| assert!(poll(one).is_pending()));
    let [first, mut second] = waiting;
    drop(first);
    pool.close();
    assert!(poll(&mut second).is_ready());
    assert_eq!((pool.stats().acquired, pool.stats().in_use), (1, 1));
}

/// All of what waited for bytes, in this way or that, is in the pool's figures and in the budget's.
#[test]
fn waits_for_bytes_count_in_the_pool_and_in_the_budget() {
    let budget = Budget::with_name(300, "all");
    for pool in pools_with(&budget) {
        let before = (pool.stats(), budget.stats());
        let held: Vec<_> = std::iter::from_fn(|| pool.acquire_for(100).ok()).collect();
        let refusals = 1;
        for _ in 0..4 {
            let late = pool.acquire_timeout(100, Duration::ZERO);
            assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
        }
        let limit = std::future::ready(());
        let late = Pin::new(&mut pool.acquire_async(100).into_owned().within(limit))
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(late, Poll::Ready(Err(AcquireError::TimedOut { .. }))));
        let [abandoned, mut granted] = [pool.acquire_async(100), pool.acquire_async(100).into_owned()];
        let mut abandoned = abandoned;
        assert!(poll(&mut abandoned).is_pending() && poll(&mut granted).is_pending());
        // Only the first in line asks the budget.
        assert_eq!((pool.stats().waiting, budget.stats().waiting), (2, 1));
        drop(abandoned);
        assert_eq!((pool.stats().waiting, budget.stats().waiting), (1, 1));
        drop(held);
        assert!(matches!(poll(&mut granted), Poll::Ready(Ok(_))));
        let stats = pool.stats().since(&before.0);
        assert_eq!((stats.waits, stats.waits_for_bytes), (7, 7));
        assert_eq!((stats.timed_out, stats.abandoned), (5, 1));
        assert_eq!((stats.refused, stats.over_budget), (refusals, refusals + 6));
        assert_eq!((stats.waiting, stats.budget), (0, 300));
        let stats = budget.stats().since(&before.1);
        assert_eq!((stats.waits, stats.granted, stats.waiting), (7, 1, 0));
        assert_eq!((stats.timed_out, stats.abandoned), (5, 1));
        assert_eq!((stats.refused, stats.lent), (refusals, 0));
    }
}

/// What is free is kept for the one that lacks bytes alone, and so it is bytes that those behind it lack.
#[test]
fn waits_behind_those_for_bytes_lack_bytes() {
    let budget = Budget::new(100);
    let pool = pool(100, 2, &budget);
    let _held = pool.acquire().unwrap();
    let mut for_bytes = pool.acquire_async(100);
    let mut behind = pool.acquire_async(100);
    assert!(poll(&mut for_bytes).is_pending() && poll(&mut behind).is_pending());
    assert_eq!((pool.stats().waiting, budget.stats().waiting), (2, 1));
    drop(behind);
    let late = pool.acquire_timeout(100, Duration::ZERO);
    let text = late.unwrap_err().to_string();
    assert!(text.contains("raise the budget"), "{text}");
    let (stats, all) = (pool.stats(), budget.stats());
    assert_eq!((stats.waits, stats.over_budget), (2, 2));
    assert_eq!((all.waits, all.timed_out, all.abandoned), (2, 1, 1));
    drop(for_bytes);
    assert_eq!((pool.stats().over_budget, budget.stats().waits), (3, 3));
    assert!(matches!(
        pool.stats().health(),
        Health::OverBudget {
            refused_basis_points: 7_500,
            raise_budget_to: 150
        }
    ));
}

/// A hundred failures of any kind: the advice is about what lacks.
#[test]
fn advice_says_whether_buffers_or_bytes_are_lacking() {
    let ask = |pool: &BufferPool| {
        for _ in 0..50 {
            assert!(pool.acquire_timeout(100, Duration::ZERO).is_err());
            let mut waiting = pool.acquire_async(100);
            assert!(poll(&mut waiting).is_pending());
        }
        pool.stats().health()
    };
    let budget = Budget::new(1000);
    let few_buffers = pool(100, 1, &budget);
    let many_buffers = pool(100, 1000, &budget);
    let held = few_buffers.acquire().unwrap();
    assert!(matches!(ask(&few_buffers), Health::Refusing { raise_max_to: 2, .. }));
    let held = [held].into_iter();
    let _held: Vec<_> = held.chain(std::iter::from_fn(|| many_buffers.acquire().ok())).collect();
    let health = ask(&many_buffers);
    assert!(matches!(
        health,
        Health::OverBudget {
            raise_budget_to: 1500,
            ..
        }
    ));
    assert!(health.to_string().contains("raise the budget to 1500"));
    let report = many_buffers.stats().report();
    assert!(report.contains("budget of 1000 bytes: 101 refused or in vain"));
}

#[test]
fn advice_about_long_waits_says_what_they_were_for() {
    let waits = |waits_for_bytes| {
        let mut stats = PoolStats::default();
        (stats.acquired, stats.waits, stats.budget) = (100, 100, 1000);
        (stats.waits_for_bytes, stats.waited) = (waits_for_bytes, Duration::from_secs(1));
        stats.health()
    };
    assert!(matches!(waits(50), Health::Waiting { .. }));
    let average = Duration::from_millis(10);
    let raise_budget_to = 1500;
    assert_eq!(
        waits(51),
        Health::WaitingForBytes {
            average,
            raise_budget_to
        }
    );
}

/// Each has one and waits for another, and the budget has bytes for no more: told as it would be of buffers.
#[test]
fn those_that_hold_and_wait_for_bytes_are_told_so() {
    let budget = Budget::new(200);
    let pools = [pool(100, 10, &budget), pool(100, 10, &budget)];
    let health = |pool: &BufferPool| {
        let mut stats = pool.stats();
        assert_eq!(stats.waiting, 1);
        // As if it had been so for long.
        stats.stalled = stats.stalled.saturating_mul(u32::MAX).saturating_mul(u32::MAX);
        stats.health()
    };
    let stalls = |health: &Health| matches!(health, Health::HoldAndWait { waiting: 1, .. });
    let mut held: Vec<_> = pools.iter().map(|pool| pool.acquire().unwrap()).collect();
    let mut waiting: Vec<_> = pools.iter().map(|pool| pool.acquire_async(100)).collect();
    assert!(waiting.iter_mut().all(|waiting| poll(waiting).is_pending()));
    for pool in &pools {
        // The first reading notes which request is the first; by the next, time has passed.
        assert!((0..1_000_000).any(|_| stalls(&health(pool))));
    }
    // Another is the first now, and then none waits.
    held.pop();
    let served = poll(&mut waiting[0]);
    assert!(matches!(served, Poll::Ready(Ok(_))));
    assert!(!stalls(&health(&pools[1])));
    drop(served);
    assert!(matches!(poll(&mut waiting[1]), Poll::Ready(Ok(_))));
    for pool in &pools {
        assert_eq!((pool.stats().waiting, pool.stats().stalled), (0, Duration::ZERO));
    }
}

#[test]
fn a_budgets_high_water_is_the_most_that_was_lent_at_once() {
    let budget = Budget::new(1000);
    let (one, other) = (pool(100, 2, &budget), pool(300, 3, &budget));
    assert_eq!(budget.stats().high_water, 0);
    let held = [one.acquire().unwrap(), one.acquire().unwrap()];
    // Charged and given back.
    assert!(matches!(one.acquire(), Err(AcquireError::Exhausted { .. })));
    assert_eq!(budget.stats().high_water, 200);
    drop(held);
    assert_eq!((budget.stats().lent, budget.stats().high_water), (0, 200));
    let held: Vec<_> = std::iter::from_fn(|| other.acquire().ok()).collect();
    assert_eq!(budget.stats().high_water, 900);
    let mut waiting = one.acquire_async(100);
    assert!(matches!(poll(&mut waiting), Poll::Ready(Ok(_))));
    let last = one.acquire().unwrap();
    let mut waiting = one.acquire_async(100);
    assert!(poll(&mut waiting).is_pending());
    drop(last);
    assert_eq!(budget.stats().high_water, 1000);
    drop((held, waiting));
    assert_eq!(budget.lent(), 0);
}

#[test]
fn a_budgets_line_has_its_figures() {
    let mut stats = BudgetStats::default();
    assert_eq!(stats.to_string(), ": 0% of 0 bytes lent | high water 0 | refused 0");
    stats.name = "all".into();
    (stats.limit, stats.lent, stats.high_water) = (1000, 855, 900);
    assert_eq!(
        stats.to_string(),
        "all: 85% of 1000 bytes lent | high water 900 | refused 0"
    );
    (stats.refused, stats.waits, stats.granted) = (7, 10, 5);
    (stats.timed_out, stats.abandoned, stats.waited) = (3, 2, Duration::from_millis(15));
    assert_eq!(
        stats.to_string(),
        "all: 85% of 1000 bytes lent | high water 900 | refused 7 | \
         waits 10, 1.5ms avg, 3 timed out, 2 abandoned"
    );
    let mut earlier = stats.clone();
    (earlier.refused, earlier.waits, earlier.granted) = (1, 4, 3);
    (earlier.timed_out, earlier.abandoned, earlier.lent) = (2, 1, 0);
    let since = stats.since(&earlier);
    assert_eq!((since.refused, since.waits, since.granted), (6, 6, 2));
    assert_eq!((since.timed_out, since.abandoned), (1, 1));
    assert_eq!((since.waited, since.lent), (Duration::ZERO, 855));
}

#[test]
fn a_budget_that_can_cover_no_buffer_makes_no_pool() {
    let config = PoolConfig::new(101).budget(&Budget::new(100));
    assert_eq!(
        BufferPool::with_config(config).unwrap_err().problem,
        ConfigProblem::BudgetTooSmall {
            buffer_size: 101,
            budget: 100
        }
    );
    let whole = Budget::new(usize::MAX);
    assert!(pool(100, 1, &whole).acquire().is_ok());
}

#[test]
fn a_request_waits_for_the_bytes_of_another_pool() {
    let budget = Budget::new(1000);
    let (large, small) = (pool(1000, 2, &budget), pool(100, 20, &budget));
    let held = large.acquire().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| small.acquire_timeout(100, FOR_EVER).map(drop));
        while budget.stats().waiting == 0 {
            thread::yield_now();
        }
        drop(held);
        waiter.join().unwrap().unwrap();
    });
    assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
}

#[test]
fn small_requests_do_not_overtake_a_large_one() {
    let budget = Budget::new(1000);
    let (large, small) = (pool(1000, 2, &budget), pool(100, 20, &budget));
    let mut held: Vec<_> = (0..10).map(|_| small.acquire().unwrap()).collect();
    let mut first = large.acquire_async(1000);
    assert!(poll(&mut first).is_pending());
    let mut second = small.acquire_async(100);
    assert!(poll(&mut second).is_pending());
    // Nine tenths are free, but the first wants ten.
    held.truncate(1);
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert!(is_over_budget(small.acquire()));
    held.clear();
    let Poll::Ready(Ok(whole)) = poll(&mut first) else {
        panic!("everything is free");
    };
    assert!(poll(&mut second).is_pending());
    drop(whole);
    assert!(poll(&mut second).is_ready());
    assert_eq!(budget.lent(), 0);
}

#[test]
fn who_leaves_makes_way() {
    let budget = Budget::new(1000);
    let (large, small) = (pool(1000, 2, &budget), pool(100, 20, &budget));
    let mut held: Vec<_> = (0..10).map(|_| small.acquire().unwrap()).collect();
    let mut first = large.acquire_async(1000);
    assert!(poll(&mut first).is_pending());
    let mut second = small.acquire_async(100);
    assert!(poll(&mut second).is_pending());
    held.truncate(5);
    drop(first);
    assert!(poll(&mut second).is_ready());
    // What was granted to one who leaves goes back too.
    let mut third = large.acquire_async(1000);
    assert!(poll(&mut third).is_pending());
    held.clear();
    assert_eq!(budget.lent(), 1000);
    drop(third);
    assert_eq!((budget.lent(), large.stats().in_use), (0, 0));
}

#[test]
fn time_runs_out_and_nothing_is_kept() {
    let budget = Budget::new(100);
    let (one, other) = (pool(100, 2, &budget), pool(100, 2, &budget));
    let held = one.acquire().unwrap();
    let error = other.acquire_timeout(100, Duration::from_millis(1));
    let Err(AcquireError::TimedOut { why: Some(why), .. }) = &error else {
        panic!("{error:?}");
    };
    let lacks_bytes = AcquireError::OverBudget {
        pool: other.name().into(),
        requested: 100,
        lent: 100,
        budget: 100,
        waiting: 0,
    };
    assert_eq!(**why, lacks_bytes);
    let stats = other.stats();
    assert_eq!((stats.in_use, budget.stats().waiting), (0, 0));
    assert_eq!(stats.high_water, 0, "it had nothing while it waited");
    drop(held);
    assert!(other.acquire().is_ok());
}

#[test]
fn closing_a_pool_wakes_those_of_its_requests_that_wait_for_the_budget() {
    let budget = Budget::new(100);
    let (one, other) = (pool(100, 2, &budget), pool(100, 2, &budget));
    let held = one.acquire().unwrap();
    let mut of_one = one.acquire_async(100);
    let bell = Arc::new(Bell::default());
    let mut of_other = other.acquire_async(100);
    assert!(poll(&mut of_one).is_pending());
    let waker = Waker::from(Arc::clone(&bell));
    let pinned = Pin::new(&mut of_other).poll(&mut Context::from_waker(&waker));
    assert!(pinned.is_pending());
    other.close();
    assert_eq!(bell.rung(), 1);
    assert!(matches!(
        poll(&mut of_other),
        Poll::Ready(Err(AcquireError::Closed { .. }))
    ));
    assert!(poll(&mut of_one).is_pending());
    drop(held);
    assert!(matches!(poll(&mut of_one), Poll::Ready(Ok(_))));
    assert_eq!((other.stats().in_use, budget.lent()), (0, 0));
}

#[test]
fn overflow_to_a_larger_tier_counts_with_the_larger_size() {
    let budget = Budget::new(600);
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(100).max(1).budget(&budget))
        .tier(PoolConfig::new(500).max(2).budget(&budget));
    let tiers = tiers.overflow(Overflow::NextTier);
    let pool = MultiSizePool::with_config(tiers).unwrap();
    let small = pool.acquire_for(100).unwrap();
    let large = pool.acquire_for(100).unwrap();
    assert_eq!((large.capacity(), budget.lent()), (500, 600));
    assert!(pool.acquire_for(100).is_err());
    drop((small, large));
    assert_eq!(budget.lent(), 0);
}

/// Threads on several pools, some of which wait: never more than the budget, and nothing is left of it at the end.
#[test]
fn many_threads_on_several_pools() {
    let budget = Budget::new(500);
    let pools = pools_with(&budget);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, pool) in pools.iter().enumerate() {
            let budget = &budget;
            for waits in [false, true] {
                threads.push(scope.spawn(move || {
                    for round in 0..2000 {
                        let len = (number + round) % 100;
                        let result = match (waits, round % 3) {
                            (true, 0) => pool.acquire_timeout(len, Duration::from_nanos(1)),
                            (true, _) => pool.acquire_timeout(len, FOR_EVER),
                            (false, _) => pool.acquire_for(len),
                        };
                        assert!(budget.lent() <= 500);
                        match result {
                            Ok(_)
                            | Err(
                                AcquireError::OverBudget { .. }
                                | AcquireError::TimedOut { .. }
                                | AcquireError::Exhausted { .. },
                            ) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }));
            }
        }
        // One by one, which the thread sanitizer follows, unlike the end of the scope.
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    for pool in &pools {
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    }
}

/// Two tiers with one buffer each, of 64 and of 128 bytes.
fn two_tiers(budget: &Budget) -> MultiSizePool {
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(1).budget(budget))
        .tier(PoolConfig::new(128).max(1).budget(budget))
        .overflow(Overflow::NextTier);
    MultiSizePool::with_config(tiers).unwrap()
}

/// What is granted is charged in the same step: no other pool is quicker, and closing takes it away no more.
#[test]
fn a_request_that_was_granted_its_buffer_has_its_bytes_and_keeps_both() {
    let budget = Budget::new(192);
    let (pool, other) = (two_tiers(&budget), pool(64, 3, &budget));
    let small = pool.acquire_for(64).unwrap();
    let _large = pool.acquire_for(128).unwrap();
    let mut waiting = pool.acquire_async(64);
    assert!(poll(&mut waiting).is_pending());
    drop(small);
    assert!(is_over_budget(other.acquire()));
    pool.close();
    let served = poll(&mut waiting);
    assert!(matches!(served, Poll::Ready(Ok(buf)) if buf.capacity() == 64));
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting, budget.stats().waiting), (1, 0, 0));
    assert_eq!((stats.waits, stats.handed_over), (1, 1));
}

#[test]
fn a_closed_pool_says_so_even_if_the_budget_is_used_up() {
    let budget = Budget::new(128);
    let (one, tiers) = (pool(64, 2, &budget), two_tiers(&budget));
    let _held = [one.acquire().unwrap(), one.acquire().unwrap()];
    tiers.tiers()[0].close();
    // The tier that is open speaks.
    assert!(matches!(
        tiers.acquire_for(64),
        Err(AcquireError::OverBudget { requested: 128, .. })
    ));
    tiers.close();
    one.close();
    for result in [one.acquire(), tiers.acquire_for(64)] {
        assert!(matches!(result, Err(AcquireError::Closed { .. })));
    }
    assert_eq!((one.stats().refused, tiers.stats().refused), (0, 1));
}

#[test]
fn closing_a_pool_lets_others_have_the_bytes_that_its_requests_waited_for() {
    let budget = Budget::new(64);
    let (one, other) = (pool(64, 4, &budget), pool(64, 4, &budget));
    let held = one.acquire().unwrap();
    let mut waiting = [(); 3].map(|()| one.acquire_async(64));
    let mut next = other.acquire_async(64);
    for waits in waiting.iter_mut().chain([&mut next]) {
        assert!(poll(waits).is_pending());
    }
    assert_eq!(one.close().outstanding(), 1);
    drop(held);
    assert_eq!((one.stats().in_use, budget.stats().waiting), (0, 0));
    assert_eq!(other.stats().in_use, 1);
    for mut waits in waiting {
        let answer = poll(&mut waits);
        assert!(matches!(answer, Poll::Ready(Err(AcquireError::Closed { .. }))));
    }
    assert!(matches!(poll(&mut next), Poll::Ready(Ok(_))));
    assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    assert_eq!((one.stats().waits, one.stats().handed_over), (3, 0));
}

/// A thread that is refused for want of bytes never has a buffer, not even for a moment.
#[test]
fn all_buffers_are_in_use_only_when_they_were_lent() {
    const ROUNDS: usize = 400_000;
    let budget = Budget::new(64);
    let (contended, filler) = (pool(64, 1, &budget), pool(64, 1, &budget));
    let [begun, ended, lent] = [(); 3].map(|()| AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    let wait_for_attempts_begun = || {
        let begun = begun.load(Ordering::SeqCst);
        while ended.load(Ordering::SeqCst) < begun {
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        let attempts = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                begun.fetch_add(1, Ordering::SeqCst);
                if contended.acquire().is_ok() {
                    lent.fetch_add(1, Ordering::SeqCst);
                }
                ended.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut wrong = None;
        for _ in 0..ROUNDS {
            let Ok(full) = filler.acquire() else {
                continue;
            };
            // From here on all attempts are over the budget, until this one is back.
            wait_for_attempts_begun();
            let before = lent.load(Ordering::SeqCst);
            drop(full);
            let mine = contended.acquire();
            wait_for_attempts_begun();
            if let Err(error @ AcquireError::Exhausted { .. }) = mine {
                if lent.load(Ordering::SeqCst) == before {
                    wrong = Some(error);
                    break;
                }
            }
        }
        is_over.store(true, Ordering::SeqCst);
        attempts.join().unwrap();
        assert_eq!(wrong, None, "the only buffer was lent to no thread");
    });
}

/// A buffer that is taken, and then not lent, is not counted for a moment either.
#[test]
fn the_number_of_buffers_lent_never_goes_down() {
    const ROUNDS: usize = 5000;
    let budget = Budget::new(128);
    let pool = pool(64, 6, &budget);
    let running = AtomicUsize::new(3);
    thread::scope(|scope| {
        let work = |waits: bool| {
            for _ in 0..ROUNDS {
                let mut waiting = pool.acquire_async(64);
                // Takes its buffer, and most often leaves without it.
                let polled = waits.then(|| poll(&mut waiting));
                drop((pool.acquire(), pool.acquire(), polled));
            }
            running.fetch_sub(1, Ordering::SeqCst);
        };
        let threads = [false, true, true].map(|waits| scope.spawn(move || work(waits)));
        let mut before = 0;
        while running.load(Ordering::SeqCst) > 0 {
            let now = pool.stats().acquired;
            assert!(before <= now, "{before}, and then {now}");
            before = now;
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
