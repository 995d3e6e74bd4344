//! A share of a pool: what one peer may hold of it, and that nobody else notices.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use poolbuf::{
    AcquireError, AlignedPool, Budget, BufferPool, ConfigProblem, Heap, Holders, LockFreePool, MultiSizeConfig,
    MultiSizePool, Overflow, Pool, PoolConfig, PoolStats, PooledBuf, Recycle, Recycler, Share, Wipe,
};

/// Every kind of pool, with two buffers of 512 bytes at least.
fn pools(configure: impl Fn(PoolConfig) -> PoolConfig) -> Vec<Arc<dyn Pool>> {
    let config = || configure(PoolConfig::new(512).max(4));
    let tiers = || MultiSizeConfig::new().tier(config());
    vec![
        Arc::new(BufferPool::with_config(config()).unwrap()),
        Arc::new(AlignedPool::with_config(config()).unwrap()),
        Arc::new(LockFreePool::<4>::with_config(config()).unwrap()),
        Arc::new(MultiSizePool::with_config(tiers()).unwrap()),
    ]
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_peer_beyond_its_share_is_refused_and_nobody_else() {
    for pool in pools(|config| config) {
        let budget = Budget::with_name(1024, "peer 7");
        let share = Share::new(Arc::clone(&pool), &budget);
        let held = [share.acquire().unwrap(), share.acquire_for(1).unwrap()];
        let refused = share.acquire().unwrap_err();
        assert!(
            matches!(
                refused,
                AcquireError::OverBudget {
                    requested: 512,
                    lent: 1024,
                    budget: 1024,
                    waiting: 0,
                    ..
                }
            ),
            "{refused:?}"
        );
        assert!(refused.to_string().contains("share of peer 7"), "{refused}");
        assert_eq!((budget.stats().refused, budget.stats().high_water), (1, 1024));
        assert_eq!(pool.stats().refused, 0);
        let others = [pool.acquire().unwrap(), pool.acquire().unwrap()];
        drop(held);
        assert_eq!((budget.lent(), pool.stats().in_use), (0, 2));
        drop(others);
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn who_waits_for_its_share_keeps_nobody_from_the_pool() {
    for pool in pools(|config| config) {
        let budget = Budget::new(512);
        let share = Share::new(Arc::clone(&pool), &budget);
        let held = share.acquire().unwrap();
        let mut waiting = share.acquire_async(512);
        assert!(poll(&mut waiting).is_pending());
        assert_eq!((budget.stats().waiting, pool.stats().waiting), (1, 0));
        assert!(matches!(
            share.acquire(),
            Err(AcquireError::OverBudget { waiting: 1, .. }) | Err(_)
        ));
        assert_eq!(pool.acquire_many(3, 512).unwrap().len(), 3);
        drop(held);
        let Poll::Ready(Ok(buf)) = poll(&mut waiting) else {
            panic!("the share is free")
        };
        assert_eq!((buf.capacity(), budget.lent()), (512, 512));
        assert_eq!(budget.stats().granted, 1);
        drop(buf);
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    }
}

#[test]
fn a_request_with_its_share_waits_for_the_pool_in_turn() {
    for pool in pools(|config| config) {
        let budget = Budget::new(1024);
        let share = Share::new(Arc::clone(&pool), &budget);
        let all = pool.acquire_many(4, 512).unwrap();
        let mut first = pool.acquire_async(512);
        let mut second = share.acquire_many_async(2, 1).into_owned();
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        assert_eq!((budget.lent(), pool.stats().waiting), (1024, 2));
        drop(all);
        assert!(matches!(poll(&mut first), Poll::Ready(Ok(_))));
        let Poll::Ready(Ok(bufs)) = poll(&mut second) else {
            panic!("two are free")
        };
        assert_eq!(bufs.len(), 2);
        drop(bufs);
        assert_eq!((budget.lent(), pool.stats().in_use), (0, 0));
    }
}

#[test]
fn a_wait_that_ends_in_vain_says_what_it_lacked_and_keeps_nothing() {
    for pool in pools(|config| config) {
        let budget = Budget::new(512);
        let share = Share::new(Arc::clone(&pool), &budget);
        // For the share.
        let held = share.acquire().unwrap();
        let late = share.acquire_timeout(512, Duration::from_millis(1)).unwrap_err();
        let AcquireError::TimedOut { why: Some(why), .. } = &late else {
            panic!("{late:?}")
        };
        assert!(matches!(**why, AcquireError::OverBudget { budget: 512, .. }), "{why:?}");
        assert_eq!((budget.stats().timed_out, pool.stats().timed_out), (1, 0));
        let mut dropped = share.acquire_async(512);
        assert!(poll(&mut dropped).is_pending());
        drop(dropped);
        assert_eq!((budget.stats().abandoned, budget.stats().waiting), (1, 0));
        drop(held);
        // For the pool.
        let all = pool.acquire_many(4, 512).unwrap();
        let late = share.acquire_timeout(512, Duration::from_millis(1)).unwrap_err();
        let AcquireError::TimedOut { why: Some(why), .. } = &late else {
            panic!("{late:?}")
        };
        assert!(matches!(**why, AcquireError::Exhausted { in_use: 4, .. }), "{why:?}");
        assert_eq!((budget.lent(), pool.stats().timed_out, pool.stats().waiting), (0, 1, 0));
        let mut dropped = share.acquire_async(512);
        assert!(poll(&mut dropped).is_pending());
        drop(dropped);
        assert_eq!((budget.lent(), pool.stats().abandoned), (0, 1));
        drop(all);
        assert!(share.acquire().is_ok());
    }
}

#[test]
fn what_a_share_can_never_serve_is_said_at_once() {
    for pool in pools(|config| config) {
        let share = Share::new(Arc::clone(&pool), &Budget::new(1000));
        let limit = Duration::MAX;
        assert!(matches!(
            share.acquire_many_async(2, 512).wait_timeout(limit),
            Err(AcquireError::OverBudget {
                requested: 1024,
                budget: 1000,
                ..
            })
        ));
        assert!(matches!(share.acquire_for(513), Err(AcquireError::TooLarge { .. })));
        assert!(matches!(
            share.acquire_timeout(513, limit),
            Err(AcquireError::TooLarge { .. })
        ));
        assert!(matches!(share.acquire_many(5, 1), Err(AcquireError::OverBudget { .. })));
        let held = share.acquire().unwrap();
        for count in [2, usize::MAX / 512, usize::MAX] {
            assert!(matches!(
                share.acquire_many(count, 512),
                Err(AcquireError::OverBudget { lent: 512, .. })
            ));
            assert!(matches!(
                share.acquire_more(count, 512),
                Err(AcquireError::OverBudget { lent: 512, .. })
            ));
            assert!(share.acquire_many_async(count, 512).wait_timeout(limit).is_err());
        }
        drop(held);
        assert_eq!(share.acquire_many(0, 1).unwrap().len(), 0);
        assert!(share.acquire_chain(1).is_ok());
        pool.close();
        assert!(matches!(share.acquire(), Err(AcquireError::Closed { .. })));
        assert!(matches!(
            share.acquire_timeout(1, limit),
            Err(AcquireError::Closed { .. })
        ));
        assert_eq!(share.budget().lent(), 0);
    }
}

#[test]
fn closing_a_share_closes_it_alone() {
    for pool in pools(|config| config) {
        let budget = Budget::new(1024);
        let (share, other) = (
            Share::new(Arc::clone(&pool), &budget),
            Share::new(Arc::clone(&pool), &budget),
        );
        let held = pool.acquire_many(4, 512).unwrap();
        let mut in_pool = share.acquire_async(512);
        assert!(poll(&mut in_pool).is_pending());
        let mut others = other.acquire_async(512);
        assert!(poll(&mut others).is_pending());
        let mut for_share = share.clone().acquire_async(512).into_owned();
        assert!(poll(&mut for_share).is_pending());
        assert_eq!((budget.lent(), budget.stats().waiting), (1024, 1));

        assert_eq!(share.close().outstanding(), 0);
        for waiting in [&mut in_pool, &mut for_share] {
            let Poll::Ready(Err(closed)) = poll(waiting) else {
                panic!("it is closed")
            };
            assert!(matches!(closed, AcquireError::Closed { .. }));
            assert!(closed.to_string().contains("share of"), "{closed}");
        }
        assert!(matches!(share.acquire(), Err(AcquireError::Closed { .. })));
        assert_eq!(
            (budget.lent(), budget.stats().waiting, pool.stats().waiting),
            (512, 0, 1)
        );
        drop(held);
        assert!(matches!(poll(&mut others), Poll::Ready(Ok(_))));
        assert!(pool.acquire().is_ok());
        assert_eq!(budget.lent(), 0);
    }
}

#[test]
fn a_closed_share_says_what_it_has_lent() {
    let pool = BufferPool::new(512, 0, 4).unwrap();
    let share = Share::new(pool.clone(), &Budget::new(4096));
    let held = share.acquire_many(3, 512).unwrap();
    let _not_its_own = pool.acquire().unwrap();
    assert_eq!(share.close().outstanding(), 3);
    drop(held);
    assert_eq!(share.close().outstanding(), 0);
}

#[test]
fn a_share_wakes_those_that_wait_when_it_is_closed() {
    let pool = BufferPool::new(512, 0, 1).unwrap();
    let share = Share::new(pool.clone(), &Budget::new(512));
    let held = share.acquire().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| share.acquire_timeout(512, Duration::MAX));
        while share.budget().stats().waiting == 0 {
            std::thread::yield_now();
        }
        share.close();
        assert!(matches!(waiting.join().unwrap(), Err(AcquireError::Closed { .. })));
    });
    drop(held);
    assert_eq!(share.budget().lent(), 0);
}

#[test]
fn a_request_in_place_of_a_smaller_tier_is_charged_with_what_it_gets() {
    let one_of = |size| PoolConfig::new(size).max(1);
    let tiers = MultiSizeConfig::new().tier(one_of(64)).tier(one_of(512));
    let pool = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap();
    let share = Share::new(pool, &Budget::new(600));
    let small = share.acquire_for(40).unwrap();
    assert_eq!((small.capacity(), share.budget().lent()), (64, 64));
    let large = share.acquire_for(40).unwrap();
    assert_eq!((large.capacity(), share.budget().lent()), (512, 576));
    drop(small);
    assert_eq!(share.budget().lent(), 512);
    assert!(matches!(
        share.acquire_for(40),
        Err(AcquireError::OverBudget { requested: 512, .. })
    ));
    drop(large);
    assert_eq!(
        (share.acquire_for(40).unwrap().capacity(), share.budget().lent()),
        (64, 64)
    );
    assert_eq!(share.budget().lent(), 0);
}

#[test]
fn the_pools_own_budget_holds_too() {
    let whole = Budget::new(512);
    let pool = BufferPool::with_config(PoolConfig::new(512).max(4).budget(&whole)).unwrap();
    let share = Share::new(pool.clone(), &Budget::new(1024));
    let held = share.acquire().unwrap();
    assert_eq!((whole.lent(), share.budget().lent()), (512, 512));
    let refused = share.acquire().unwrap_err();
    assert_eq!(refused.pool(), "buffer pool");
    assert!(matches!(refused, AcquireError::OverBudget { budget: 512, .. }));
    assert_eq!(share.budget().lent(), 512);
    drop(held);
    assert_eq!((whole.lent(), share.budget().lent()), (0, 0));
}

#[test]
fn a_share_of_a_share_is_charged_to_both() {
    let pool = BufferPool::new(512, 0, 4).unwrap();
    let (route, peer) = (Budget::new(1024), Budget::new(512));
    let of_route = Share::new(pool.clone(), &route);
    let of_peer = Share::new(of_route.clone(), &peer);
    let held = of_peer.acquire().unwrap();
    assert_eq!((route.lent(), peer.lent(), pool.stats().in_use), (512, 512, 1));
    assert!(of_peer.acquire().is_err() && of_route.acquire().is_ok());
    drop(held);
    assert_eq!((route.lent(), peer.lent(), pool.stats().in_use), (0, 0, 0));
}

#[test]
fn a_buffer_of_a_share_is_wiped_hidden_and_freed_as_any_other() {
    for wipe in [Wipe::Never, Wipe::OnRelease, Wipe::Poison] {
        for pool in pools(|config| config.wipe(wipe).headroom(8)) {
            let share = Share::new(Arc::clone(&pool), &Budget::new(512));
            let mut first = share.acquire().unwrap();
            first.extend_from_slice(&[7; 300]).unwrap();
            first.prepend(&[7; 8]).unwrap();
            // SAFETY: nothing is written.
            unsafe { first.spare_capacity_mut() };
            drop(first);
            for _ in 0..4 {
                let mut next = pool.acquire().unwrap();
                assert!(next.spare_mut().iter().all(|byte| [0, poolbuf::POISON].contains(byte)));
            }
        }
    }
}

#[test]
fn a_guard_outlives_its_share_and_its_pool() {
    let budget = Budget::new(512);
    let pool = BufferPool::new(512, 0, 4).unwrap();
    let share = Share::new(pool, &budget);
    let mut held = share.acquire().unwrap();
    drop(share);
    held.extend_from_slice(b"still here").unwrap();
    assert_eq!((&*held, budget.lent()), (&b"still here"[..], 512));
    std::thread::spawn(move || drop(held)).join().unwrap();
    assert_eq!(budget.lent(), 0);
}

/// Lends new memory each time, of twice what it says.
#[derive(Debug)]
struct Generous(usize);

struct Freed;

impl Recycle for Freed {
    fn recycle(&self, _: Box<[u8]>, _: usize) {}
}

impl Pool for Generous {
    fn acquire_for(&self, _: usize) -> Result<PooledBuf, AcquireError> {
        Ok(Recycler::new(Freed).lend(vec![0; self.0].into(), 0).unwrap())
    }
    fn max_len(&self) -> usize {
        self.0 / 2
    }
    fn stats(&self) -> PoolStats {
        PoolStats::default()
    }
    fn name(&self) -> &str {
        "generous"
    }
    fn close(&self) -> Holders {
        self.holders()
    }
}

#[test]
fn a_pool_of_the_users_is_charged_with_what_it_lends() {
    let share = Share::new(Arc::new(Generous(400)), &Budget::new(1000));
    let held = [share.acquire().unwrap(), share.acquire().unwrap()];
    assert_eq!(share.budget().lent(), 800);
    // For what it says there would be enough.
    assert!(matches!(share.acquire_for(1), Err(AcquireError::OverBudget { .. })));
    assert_eq!((share.budget().lent(), share.close().outstanding()), (800, 2));
    drop(held);
    assert_eq!((share.budget().lent(), share.close().outstanding()), (0, 0));
}

#[test]
fn threads_on_one_share_never_hold_more_than_it_has() {
    for pool in pools(|config| config) {
        let budget = Budget::new(1024);
        let share = Share::new(Arc::clone(&pool), &budget);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (share, budget, pool) = (&share, &budget, &pool);
                scope.spawn(move || {
                    for round in 0..500 {
                        let result = match (thread + round) % 4 {
                            0 => share.acquire().map(drop),
                            1 => share.acquire_many_async(2, 512).wait_timeout(Duration::MAX).map(drop),
                            2 => share.acquire_timeout(512, Duration::MAX).map(drop),
                            _ => pool.acquire_timeout(512, Duration::MAX).map(drop),
                        };
                        assert!(matches!(
                            result,
                            Ok(()) | Err(AcquireError::OverBudget { .. } | AcquireError::Exhausted { .. })
                        ));
                        assert!(budget.lent() <= 1024);
                    }
                });
            }
        });
        assert_eq!((budget.lent(), budget.stats().waiting, pool.stats().in_use), (0, 0, 0));
        assert!(budget.stats().high_water <= 1024);
    }
}

#[test]
fn heap_memory_has_the_length_that_was_asked_for_and_a_bound() {
    let budget = Budget::with_name(1000, "rests");
    let heap = Share::new(Heap, &budget);
    let mut small = heap.acquire_for(10).unwrap();
    let large = heap.acquire_for(990).unwrap();
    assert_eq!((small.capacity(), large.capacity(), budget.lent()), (10, 990, 1000));
    assert!(small.extend_from_slice(&[1; 11]).is_err());
    assert!(small.spare_mut().iter().all(|byte| *byte == 0));
    let refused = heap.acquire_for(1).unwrap_err();
    assert!(matches!(
        refused,
        AcquireError::OverBudget {
            requested: 1,
            lent: 1000,
            budget: 1000,
            ..
        }
    ));
    let mut waiting = heap.acquire_async(500).into_owned();
    assert!(poll(&mut waiting).is_pending());
    drop(small);
    assert!(poll(&mut waiting).is_pending(), "990 bytes are lent still");
    drop(large);
    assert!(matches!(poll(&mut waiting), Poll::Ready(Ok(buf)) if buf.capacity() == 500));
    assert!(heap.acquire_for(0).is_ok());
    assert_eq!((budget.lent(), budget.stats().high_water), (0, 1000));
    // More than there is, and more than a guard counts.
    let far = Share::new(Heap, &Budget::new(usize::MAX));
    assert!(matches!(
        far.acquire_for(usize::MAX),
        Err(AcquireError::TooLarge { .. })
    ));
    assert_eq!(far.budget().lent(), 0);
}

#[test]
fn what_no_tier_holds_is_of_the_heap_if_a_budget_allows_it() {
    let budget = Budget::new(4000);
    let tiers = || {
        MultiSizeConfig::new()
            .tier(PoolConfig::new(64).max(2))
            .tier(PoolConfig::new(512).max(2))
    };
    let pool = MultiSizePool::with_config(tiers().heap(&budget)).unwrap();
    assert_eq!((pool.acquire_for(512).unwrap().capacity(), budget.lent()), (512, 0));
    let large = pool.acquire_for(3000).unwrap();
    assert_eq!((large.capacity(), budget.lent(), pool.stats().in_use), (3000, 3000, 0));
    let mut waiting = pool.acquire_async(2000);
    assert!(poll(&mut waiting).is_pending());
    assert!(
        pool.acquire_for(512).is_ok(),
        "those that wait for the heap keep nobody from the tiers"
    );
    drop(large);
    assert!(matches!(poll(&mut waiting), Poll::Ready(Ok(buf)) if buf.capacity() == 2000));
    assert_eq!(pool.acquire_many(2, 600).unwrap().len(), 2);
    assert!(pool.acquire_many_async(3, 600).wait_timeout(Duration::MAX).is_ok());
    assert_eq!(pool.acquire_chain(1000).unwrap().buffers(), 2);
    assert_eq!((pool.acquire().unwrap().capacity(), budget.lent()), (512, 0));
    // A share of the whole is charged for both.
    let share = Share::new(pool.clone(), &Budget::new(3000));
    let held = share.acquire_for(2500).unwrap();
    assert_eq!((share.budget().lent(), budget.lent()), (2500, 2500));
    drop(held);
    pool.close();
    assert!(matches!(pool.acquire_for(513), Err(AcquireError::Closed { .. })));
    // Without a budget for it, or with one that has no name.
    let pool = MultiSizePool::with_config(tiers()).unwrap();
    assert!(matches!(
        pool.acquire_for(513),
        Err(AcquireError::TooLarge {
            requested: 513,
            max: 512,
            ..
        })
    ));
    assert!(matches!(
        pool.acquire_timeout(513, Duration::MAX),
        Err(AcquireError::TooLarge { .. })
    ));
    let nameless = MultiSizePool::with_config(tiers().heap(&Budget::with_name(1, "")));
    assert!(matches!(
        nameless.unwrap_err().problem,
        ConfigProblem::InvalidBudgetName
    ));
}
