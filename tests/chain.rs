//! Chains: what is lent, what is refused, and what bad readers and writers can do. That they do what a vector would is
//! tested in `models/state-machine`.

use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use poolbuf::{
    AcquireError, Budget, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Pool,
    PoolConfig, PooledBuf, PooledChain,
};

/// Bytes a buffer.
const SIZE: usize = 8;

#[test]
fn a_chain_takes_all_of_its_buffers_or_none() {
    let pool = BufferPool::new(SIZE, 0, 4).unwrap();
    let held = pool.acquire().unwrap();
    let refused = pool.acquire_chain(4 * SIZE).unwrap_err();
    assert!(matches!(refused, AcquireError::Exhausted { max: 4, .. }));
    assert_eq!(pool.stats().in_use, 1);
    drop(held);
    let chain = pool.acquire_chain(4 * SIZE).unwrap();
    assert_eq!(pool.stats().in_use, 4);
    drop(chain);
    assert_eq!(pool.stats().in_use, 0);
}

#[test]
fn the_rest_takes_the_smallest_tier_that_holds_it() {
    let tier = |size| PoolConfig::new(size).max(4);
    let tiers = MultiSizeConfig::new().tier(tier(16)).tier(tier(100));
    let pool = MultiSizePool::with_config(tiers).unwrap();
    let capacities = |len| {
        let chain = pool.acquire_chain(len).unwrap();
        chain
            .into_iter()
            .map(|buf| buf.capacity())
            .collect::<Vec<_>>()
    };
    assert_eq!(capacities(0), [16]);
    assert_eq!(capacities(100), [100]);
    assert_eq!(capacities(210), [100, 100, 16]);
    assert_eq!(capacities(217), [100, 100, 100]);
    // Who waits gets the same if it is free, and else larger ones.
    let waits = |len| {
        let chain = pool.acquire_chain_timeout(len, Duration::MAX).unwrap();
        let bufs = chain.into_iter();
        bufs.map(|buf| buf.capacity()).collect::<Vec<_>>()
    };
    assert_eq!(waits(210), [100, 100, 16]);
    let _small = pool.acquire_many(4, 16).unwrap();
    assert_eq!(waits(210), [100, 100, 100]);
    let refused = pool.acquire_chain(210).unwrap_err();
    assert!(matches!(refused, AcquireError::Exhausted { max: 4, .. }));
    assert_eq!((pool.stats().in_use, pool.stats().waits), (4, 0));
    let never = pool.acquire_chain(501).unwrap_err();
    assert!(matches!(never, AcquireError::TooMany { .. }), "{never:?}");
}

/// Each wants more than half of what there is. One that held a part while it waits for the rest would wait for ever.
#[test]
fn threads_that_wait_for_chains_do_not_wait_for_each_other() {
    let budget = Budget::new(5 * 100 + 2 * 16);
    let tier = |size, max| PoolConfig::new(size).max(max).budget(&budget);
    let tiers = MultiSizeConfig::new().tier(tier(16, 2)).tier(tier(100, 5));
    let pools: [Box<dyn Pool>; 3] = [
        Box::new(BufferPool::new(100, 0, 5).unwrap()),
        Box::new(LockFreePool::<5>::new(100).unwrap()),
        Box::new(MultiSizePool::with_config(tiers).unwrap()),
    ];
    for pool in &pools {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let len = 201 + round % 150;
                        let mut chain = pool.acquire_chain_timeout(len, Duration::MAX).unwrap();
                        assert_eq!(chain.put_some(&vec![7; len]), len);
                    }
                });
            }
        });
        assert_eq!((pool.stats().in_use, pool.stats().timed_out), (0, 0));
    }
    assert_eq!(budget.lent(), 0);
}

#[test]
fn a_chain_that_is_waited_for_can_be_left_and_is_late() {
    let pool: Arc<dyn Pool> = Arc::new(BufferPool::new(SIZE, 0, 4).unwrap());
    let held = pool.acquire_chain(3 * SIZE).unwrap();
    let mut waiting = Box::pin(pool.acquire_chain_async(2 * SIZE));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(waiting);
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (3, 0));
    let late = pool.acquire_chain_timeout(2 * SIZE, Duration::ZERO);
    assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
    let mut waiting = Box::pin(pool.acquire_chain_async(2 * SIZE));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(held);
    let Poll::Ready(Ok(chain)) = waiting.as_mut().poll(&mut context) else {
        panic!("all buffers have come back");
    };
    assert_eq!(chain.buffers(), 2);
}

/// A reader that claims more than it was given room for, and one that fails, add nothing.
#[test]
fn readers_that_lie_or_fail_add_nothing() {
    struct Liar(io::Result<usize>);
    impl Read for Liar {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            target.fill(1);
            std::mem::replace(&mut self.0, Err(io::ErrorKind::BrokenPipe.into()))
        }
    }
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let mut chain = pool.acquire_chain(2 * SIZE).unwrap();
    chain.extend_from_slice(b"kept").unwrap();
    let mut liar = Liar(Ok(2 * SIZE - 3));
    let error = chain.read_from(&mut liar).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let error = chain.read_from(&mut liar).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(chain, b"kept");
    // What they wrote there is not what is read later.
    chain.put_some(&[9; 2 * SIZE]);
    assert_eq!(chain.to_vec()[..5], *b"kept\x09");
}

#[test]
fn buffers_that_can_hold_nothing_are_not_in_the_way() {
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let nothing = || PooledBuf::try_from(Vec::new()).unwrap();
    let mut chain = PooledChain::from(nothing());
    assert_eq!((chain.buffers(), chain.spare_len()), (0, 0));
    assert_eq!(chain.put_some(b"x"), 0);
    chain.push(pool.acquire().unwrap());
    chain.push(nothing());
    chain.push(pool.acquire().unwrap());
    chain.extend_from_slice(b"hello, world").unwrap();
    assert_eq!(chain, b"hello, world");
}

#[test]
fn errors_say_the_numbers() {
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let mut chain = pool.acquire_chain(2 * SIZE).unwrap();
    chain.extend_from_slice(b"hello").unwrap();
    let error = chain.extend_from_slice(&[0; 12]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "12 bytes do not fit: 11 of the buffer's 16 are free"
    );
    let error = chain.write_to(&mut &mut [0; 2][..]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_eq!(
        error.to_string(),
        "3 bytes are left that the writer does not take"
    );
    assert_eq!(chain, b"llo");
    assert_eq!(
        format!("{chain:?}"),
        "PooledChain { len: 3, buffers: 2, capacity: 16, .. }"
    );
}
