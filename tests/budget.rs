//! What a budget promises, over several pools and tiers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use poolbuf::{
    Acquire, AcquireError, AlignedPool, Budget, BufferPool, ConfigError, LockFreePool,
    MultiSizeConfig, MultiSizePool, Overflow, Pool, PoolConfig, PooledBuf,
};

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

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(waiting: &mut Acquire<'_>) -> Poll<Result<PooledBuf, AcquireError>> {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
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
    assert_eq!((stats.acquired, stats.refused_basis_points()), (1, 5_000));
    // Nor is a request lent anything that has its buffer, and leaves or is closed while it waits for the bytes.
    let mut waiting = [pool.acquire_async(100), pool.acquire_async(100)];
    waiting
        .iter_mut()
        .for_each(|one| assert!(poll(one).is_pending()));
    let [first, mut second] = waiting;
    drop(first);
    pool.close();
    assert!(poll(&mut second).is_ready());
    assert_eq!((pool.stats().acquired, pool.stats().in_use), (1, 1));
}

#[test]
fn a_budget_that_can_cover_no_buffer_makes_no_pool() {
    let config = PoolConfig::new(101).budget(&Budget::new(100));
    assert_eq!(
        BufferPool::with_config(config).unwrap_err(),
        ConfigError::BudgetTooSmall {
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
        while budget.waiting() == 0 {
            thread::yield_now();
        }
        drop(held);
        waiter.join().unwrap().unwrap();
    });
    assert_eq!((budget.lent(), budget.waiting()), (0, 0));
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
    assert!(matches!(error, Err(AcquireError::TimedOut { .. })));
    assert_eq!((other.stats().in_use, budget.waiting()), (0, 0));
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
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
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
    assert_eq!((budget.lent(), budget.waiting()), (0, 0));
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

/// A request that was handed a buffer of one tier, of whose bytes another pool was quicker, when its pool closes. The
/// other tier has passed it over, and would never have told it.
#[test]
fn a_request_that_one_tier_has_served_learns_that_its_pool_was_closed() {
    for large_comes_back in [false, true] {
        let budget = Budget::new(192);
        let (pool, other) = (two_tiers(&budget), pool(64, 3, &budget));
        let (small, large) = (
            pool.acquire_for(64).unwrap(),
            pool.acquire_for(128).unwrap(),
        );
        let mut waiting = pool.acquire_async(64);
        assert!(poll(&mut waiting).is_pending());
        drop(small);
        let _quicker = other.acquire().unwrap();
        let large = (!large_comes_back).then_some(large);
        let _rest = large_comes_back.then(|| [other.acquire().unwrap(), other.acquire().unwrap()]);
        pool.close();
        assert!(matches!(
            poll(&mut waiting),
            Poll::Ready(Err(AcquireError::Closed { .. }))
        ));
        drop(large);
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.waiting, budget.waiting()), (0, 0, 0));
        assert_eq!((stats.waits, stats.handed_over), (1, 0));
    }
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
