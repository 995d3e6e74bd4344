//! A chain that grows as bytes come: past those that wait, so that whoever holds something can finish.

use std::sync::Arc;
use std::task::Poll;

use poolbuf::{
    Acquire, AcquireError, AlignedPool, Budget, BufferPool, Heap, Lent, LockFreePool, MultiSizeConfig, MultiSizePool,
    Pool, PoolConfig, PooledChain, Share,
};

#[path = "shared/poll.rs"]
mod poll;

use poll::poll;

const SIZE: usize = 256;
const MAX: usize = 4;

/// Every pool, with and without magazines, with `MAX` buffers of `SIZE` bytes.
fn pools(configure: impl Fn(PoolConfig) -> PoolConfig) -> Vec<Arc<dyn Pool>> {
    let lock_free = LockFreePool::<MAX>::with_config(configure(PoolConfig::new(SIZE)));
    let mut pools: Vec<Arc<dyn Pool>> = vec![Arc::new(lock_free.unwrap())];
    for magazine in [0, usize::MAX] {
        let config = || configure(PoolConfig::new(SIZE).max(MAX).magazine(magazine));
        let tiers = MultiSizeConfig::new().tier(config());
        pools.push(Arc::new(BufferPool::with_config(config()).unwrap()));
        pools.push(Arc::new(AlignedPool::with_config(config()).unwrap()));
        pools.push(Arc::new(MultiSizePool::with_config(tiers).unwrap()));
    }
    pools
}

fn is_waiting<T: Lent>(request: &mut Acquire<'_, T>) -> bool {
    matches!(poll(request), Poll::Pending)
}

#[test]
fn who_holds_grows_past_those_that_wait_and_these_are_served_afterwards() {
    for pool in pools(|config| config) {
        let mut chain = PooledChain::default();
        chain.try_grow(&*pool, 1).unwrap();
        let mut all = pool.acquire_many_async(MAX, 1);
        let mut one = pool.acquire_async(1);
        assert!(is_waiting(&mut all) && is_waiting(&mut one));
        // What is free is owed to the first.
        assert!(matches!(pool.acquire(), Err(AcquireError::Exhausted { .. })));
        chain.try_grow(&*pool, 2 * SIZE).unwrap();
        assert_eq!((chain.buffers(), chain.spare_len()), (2, 2 * SIZE));
        chain.try_grow(&*pool, MAX * SIZE).unwrap();
        assert_eq!((chain.buffers(), pool.stats().in_use), (MAX, MAX));
        // All are lent, and what is asked for is more than there ever is.
        chain.extend_from_slice(&[7; MAX * SIZE]).unwrap();
        let refused = pool.stats().refused;
        assert!(matches!(
            chain.try_grow(&*pool, 1),
            Err(AcquireError::Exhausted { in_use: MAX, .. })
        ));
        assert!(matches!(
            chain.try_grow(&*pool, 5 * SIZE),
            Err(AcquireError::TooMany { .. })
        ));
        assert_eq!((chain.len(), pool.stats().refused), (MAX * SIZE, refused + 1));
        assert!(is_waiting(&mut all) && is_waiting(&mut one));
        drop(chain);
        let Poll::Ready(Ok(bufs)) = poll(&mut all) else {
            panic!("all are free")
        };
        assert!(is_waiting(&mut one));
        drop(bufs);
        assert!(matches!(poll(&mut one), Poll::Ready(Ok(_))));
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    }
}

#[test]
fn growth_takes_what_is_left_of_what_the_first_wants() {
    for pool in pools(|config| config) {
        let held = pool.acquire().unwrap();
        let mut three = pool.acquire_many_async(MAX, 1);
        assert!(is_waiting(&mut three));
        let mut chain = PooledChain::default();
        chain.try_grow(&*pool, SIZE).unwrap();
        // Too few are free for the first, even when the other is back; and then enough.
        drop(held);
        assert!(is_waiting(&mut three));
        drop(chain);
        assert!(matches!(poll(&mut three), Poll::Ready(Ok(_))));
    }
}

#[test]
fn growth_is_charged_past_those_that_wait_for_bytes_and_never_beyond_the_budget() {
    let budget = Budget::new(3 * SIZE);
    for pool in pools(|config| config.budget(&budget)) {
        let mut chain = PooledChain::default();
        chain.try_grow(&*pool, SIZE).unwrap();
        let mut three = pool.acquire_many_async(3, 1);
        assert!(is_waiting(&mut three));
        assert_eq!(budget.stats().waiting, 1, "it lacks nothing but bytes");
        chain.try_grow(&*pool, 3 * SIZE).unwrap();
        assert_eq!((budget.lent(), chain.buffers()), (3 * SIZE, 3));
        chain.extend_from_slice(&[7; 3 * SIZE]).unwrap();
        assert!(matches!(
            chain.try_grow(&*pool, 1),
            Err(AcquireError::OverBudget { .. })
        ));
        assert_eq!(budget.lent(), 3 * SIZE);
        drop(chain);
        assert!(matches!(poll(&mut three), Poll::Ready(Ok(_))));
        assert_eq!((budget.lent(), budget.stats().waiting, pool.stats().in_use), (0, 0, 0));
    }
}

#[test]
fn a_share_bounds_growth_and_who_waits_for_it_does_not() {
    for pool in pools(|config| config) {
        let share = Share::new(Arc::clone(&pool), &Budget::new(2 * SIZE));
        let mut chain = PooledChain::default();
        chain.try_grow(&share, 1).unwrap();
        let mut two = share.acquire_many_async(2, 1);
        assert!(is_waiting(&mut two));
        chain.try_grow(&share, SIZE + 1).unwrap();
        chain.extend_from_slice(&[7; 2 * SIZE]).unwrap();
        assert!(matches!(
            chain.try_grow(&share, 1),
            Err(AcquireError::OverBudget { .. })
        ));
        assert_eq!(pool.acquire_many(2, 1).unwrap().len(), 2);
        drop(chain);
        assert!(matches!(poll(&mut two), Poll::Ready(Ok(_))));
    }
    let heap = Share::new(Heap, &Budget::new(100));
    assert_eq!(heap.acquire_more(2, 50).unwrap().len(), 2);
}

#[test]
fn a_closed_pool_lets_nothing_grow() {
    for pool in pools(|config| config) {
        let mut chain = PooledChain::default();
        chain.try_grow(&*pool, 1).unwrap();
        let mut all = pool.acquire_many_async(MAX, 1);
        assert!(is_waiting(&mut all));
        pool.close();
        assert!(matches!(
            chain.try_grow(&*pool, SIZE + 1),
            Err(AcquireError::Closed { .. })
        ));
        assert_eq!(chain.try_grow(&*pool, SIZE), Ok(()), "it has that");
        assert!(pool.acquire_more(0, 1).is_err());
    }
}

/// 64 clients upload 4 buffers' worth each to a pool of 64, in step; one that is refused ends. So all cannot be
/// served, but not none either, as it would be if each had to wait behind the others; and when they try again, all are.
#[test]
fn of_uploads_that_fill_the_pool_some_complete_and_in_the_end_all() {
    const CLIENTS: usize = 64;
    let pool = BufferPool::new(SIZE, 0, CLIENTS).unwrap();
    let mut waits_all_along = pool.acquire_many_async(CLIENTS, 1);
    let mut left = CLIENTS;
    let mut rounds = 0;
    while left > 0 {
        let mut uploads: Vec<PooledChain> = (0..left).map(|_| PooledChain::default()).collect();
        let mut completed = 0;
        while !uploads.is_empty() {
            uploads.retain_mut(|upload| match upload.try_grow(&pool, 1) {
                Ok(()) => {
                    upload.extend_from_slice(&[7; SIZE]).unwrap();
                    let done = upload.len() == 4 * SIZE;
                    completed += usize::from(done);
                    !done
                }
                Err(AcquireError::Exhausted { .. }) => false,
                Err(other) => panic!("{other}"),
            });
            if rounds == 0 && !uploads.is_empty() {
                assert!(is_waiting(&mut waits_all_along));
            }
        }
        assert!(completed > 0, "{left} are left");
        left -= completed;
        rounds += 1;
        if rounds == 1 {
            let Poll::Ready(Ok(all)) = poll(&mut waits_all_along) else {
                panic!("all are free")
            };
            drop(all);
        }
        assert_eq!(pool.stats().in_use, 0);
    }
    println!("in {rounds} rounds");
}
