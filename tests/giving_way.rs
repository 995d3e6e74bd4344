//! A guard knows whether requests wait that its buffer could serve.

use std::sync::Arc;
use std::task::Poll;

use poolbuf::{
    AlignedPool, Budget, BufferPool, Heap, LockFreePool, MultiSizeConfig, MultiSizePool, Pool, PoolConfig, PooledBuf,
    Share,
};

#[path = "shared/poll.rs"]
mod poll;

use poll::poll;

const SIZE: usize = 256;

/// Every pool, with and without magazines, with two buffers of `SIZE` bytes.
fn pools(configure: impl Fn(PoolConfig) -> PoolConfig) -> Vec<Arc<dyn Pool>> {
    let lock_free = LockFreePool::<2>::with_config(configure(PoolConfig::new(SIZE)));
    let mut pools: Vec<Arc<dyn Pool>> = vec![Arc::new(lock_free.unwrap())];
    for magazine in [0, usize::MAX] {
        let config = || configure(PoolConfig::new(SIZE).max(2).magazine(magazine));
        let tiers = MultiSizeConfig::new().tier(config());
        pools.push(Arc::new(BufferPool::with_config(config()).unwrap()));
        pools.push(Arc::new(AlignedPool::with_config(config()).unwrap()));
        pools.push(Arc::new(MultiSizePool::with_config(tiers).unwrap()));
    }
    pools
}

#[test]
fn a_buffer_is_wanted_while_a_request_waits_for_its_pool() {
    for pool in pools(|config| config) {
        for _ in 0..2 {
            let (first, second) = (pool.acquire().unwrap(), pool.acquire().unwrap());
            assert!(!first.is_wanted(), "all are lent, and nobody waits");
            let mut waiting = pool.acquire_async(1);
            assert!(poll(&mut waiting).is_pending());
            assert!(first.is_wanted() && second.is_wanted());
            drop(first);
            // Granted, it waits no more.
            assert!(!second.is_wanted());
            let Poll::Ready(Ok(third)) = poll(&mut waiting) else {
                panic!("one is free")
            };
            assert!(!second.is_wanted() && !third.is_wanted());
            let mut leaves = pool.acquire_many_async(2, 1);
            assert!(poll(&mut leaves).is_pending() && third.is_wanted());
            drop(leaves);
            assert!(!third.is_wanted());
        }
        let held = pool.acquire_many(2, 1).unwrap();
        let mut waiting = pool.acquire_async(1);
        assert!(poll(&mut waiting).is_pending());
        pool.close();
        assert!(!held[0].is_wanted());
    }
}

#[test]
fn a_buffer_is_wanted_for_its_bytes_by_whoever_waits_for_the_budget() {
    let budget = Budget::new(SIZE);
    for (pool, other) in pools(|config| config.budget(&budget))
        .into_iter()
        .zip(pools(|config| config.budget(&budget)))
    {
        let held = pool.acquire().unwrap();
        let mut waiting = other.acquire_async(1);
        assert!(poll(&mut waiting).is_pending() && held.is_wanted());
        drop(held);
        assert!(matches!(poll(&mut waiting), Poll::Ready(Ok(buf)) if !buf.is_wanted()));
    }
}

#[test]
fn a_share_and_a_part_want_what_the_whole_does() {
    for pool in pools(|config| config) {
        let share = Share::new(Arc::clone(&pool), &Budget::new(SIZE));
        let mut held = share.acquire().unwrap();
        held.extend_from_slice(b"two parts").unwrap();
        let front = held.split_to(4).unwrap();
        // SAFETY: nothing is written.
        unsafe { held.spare_capacity_mut() };
        assert!(!held.is_wanted() && !front.is_wanted());
        let mut for_share = share.acquire_async(1);
        assert!(poll(&mut for_share).is_pending());
        assert!(held.is_wanted() && front.is_wanted());
        drop(for_share);
        let _other = pool.acquire().unwrap();
        let mut for_pool = pool.acquire_async(1);
        assert!(poll(&mut for_pool).is_pending());
        assert!(held.is_wanted() && front.is_wanted());
        drop(for_pool);
        assert!(!held.is_wanted() && !front.is_wanted());
    }
}

#[test]
fn only_what_a_budget_counts_of_the_heap_is_wanted() {
    let pool = BufferPool::new(SIZE, 0, 1).unwrap();
    let _held = pool.acquire().unwrap();
    let mut waiting = pool.acquire_async(1);
    assert!(poll(&mut waiting).is_pending());
    assert!(!PooledBuf::try_from(vec![7]).unwrap().is_wanted());
    assert!(!Heap.acquire_for(10).unwrap().is_wanted());
    let heap = Share::new(Heap, &Budget::new(100));
    let rest = heap.acquire_for(100).unwrap();
    assert!(!rest.is_wanted());
    let mut waits_too = heap.acquire_async(1);
    assert!(poll(&mut waits_too).is_pending() && rest.is_wanted());
}
