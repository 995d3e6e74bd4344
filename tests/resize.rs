//! Changing how many buffers a pool lends, with and without magazines, and while other threads use it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

use poolbuf::{
    AcquireError, AlignedPool, BufferPool, ConfigProblem, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow, Pool,
    PoolConfig, PooledBuf, ResizeError,
};
use proptest::prelude::*;

const SIZE: usize = 64;

/// The pools whose max can be changed.
trait Resizes: Pool {
    fn max(&self) -> usize;
    fn set_max(&self, max: usize) -> Result<usize, ResizeError>;
}

macro_rules! resizes {
    ($($pool:ident),*) => {$(
        impl Resizes for $pool {
            fn max(&self) -> usize {
                $pool::max(self)
            }
            fn set_max(&self, max: usize) -> Result<usize, ResizeError> {
                $pool::set_max(self, max)
            }
        }
    )*};
}

resizes!(BufferPool, AlignedPool);

/// Each of them, with magazines of every kind.
fn pools(max: usize, reserve: usize) -> Vec<Box<dyn Resizes>> {
    let mut pools: Vec<Box<dyn Resizes>> = Vec::new();
    for magazine in [0, 1, 2, usize::MAX] {
        let config = PoolConfig::new(SIZE).max(max).reserve(reserve);
        let config = config.magazine(magazine);
        pools.push(Box::new(BufferPool::with_config(config.clone()).unwrap()));
        pools.push(Box::new(AlignedPool::with_config(config).unwrap()));
    }
    pools
}

fn take(pool: &(impl Pool + ?Sized), count: usize) -> Vec<PooledBuf> {
    (0..count).map(|_| pool.acquire().unwrap()).collect()
}

fn assert_refuses(pool: &(impl Pool + ?Sized), in_use: usize, max: usize) {
    let refused = AcquireError::Exhausted {
        pool: pool.name().into(),
        in_use,
        max,
        first_wants: 0,
        held_by: None,
    };
    assert_eq!(pool.acquire().unwrap_err(), refused);
    assert_eq!((pool.stats().in_use, pool.stats().max), (in_use, max));
}

#[test]
fn a_pool_lends_as_many_as_its_max_is_now() {
    for pool in pools(4, 10) {
        for max in [10, 1, 7, 3, 10] {
            pool.set_max(max).unwrap();
            let held = take(&*pool, max);
            assert_refuses(&*pool, max, max);
            drop(held);
        }
        assert_eq!(pool.stats().high_water, 10);
    }
}

#[test]
fn lowering_below_what_is_lent_refuses_until_enough_came_back() {
    for pool in pools(10, 10) {
        let mut held = take(&*pool, 10);
        for buf in &mut held {
            buf.extend_from_slice(b"mine").unwrap();
        }
        assert_eq!(pool.set_max(4), Ok(10));
        for left in (4..=10).rev() {
            held.truncate(left);
            // More often than it takes to open a magazine again.
            (0..1500).for_each(|_| assert!(pool.acquire().is_err()));
            assert_refuses(&*pool, left, 4);
            assert!(held.iter().all(|buf| buf[..] == *b"mine"));
        }
        held.truncate(3);
        held.extend(take(&*pool, 1));
        assert_refuses(&*pool, 4, 4);
        // As often as it takes to open a magazine that was shut.
        for _ in 0..3000 {
            held.pop();
            held.extend(take(&*pool, 1));
        }
        assert_refuses(&*pool, 4, 4);
    }
}

#[test]
fn raising_serves_at_once() {
    for pool in pools(2, 100) {
        let mut held = take(&*pool, 2);
        assert_refuses(&*pool, 2, 2);
        assert_eq!(pool.set_max(100), Ok(2));
        held.extend(take(&*pool, 98));
        assert_refuses(&*pool, 100, 100);
    }
}

#[test]
fn a_max_of_0_or_above_the_reserve_is_refused_and_changes_nothing() {
    for pool in pools(4, 10) {
        for requested in [0, 11, u32::MAX as usize, usize::MAX] {
            let error = pool.set_max(requested).unwrap_err();
            assert_eq!(&*error.pool, pool.name());
            assert_eq!((error.requested, error.reserve), (requested, 10));
            assert_eq!((pool.max(), pool.stats().max), (4, 4));
        }
        assert_eq!(pool.set_max(4), Ok(4));
        assert_eq!((pool.set_max(10), pool.set_max(1)), (Ok(4), Ok(10)));
    }
    let config = PoolConfig::new(SIZE).max(4).reserve(10).name("recv");
    let error = BufferPool::with_config(config).unwrap().set_max(11).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a max of 11 buffers requested, but that of recv can be 1 to 10: \
         ask for that, or make it with a larger reserve"
    );
    let none = BufferPool::new(SIZE, 0, 4).unwrap().set_max(0);
    assert_eq!(
        none.unwrap_err().to_string(),
        "a max of 0 buffers requested, but that of buffer pool can be 1 to 4: \
         lower it to 1, or close the pool"
    );
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn the_reserve_is_checked() {
    let config = PoolConfig::new(SIZE).max(10);
    let too_few = BufferPool::with_config(config.clone().reserve(9)).unwrap_err();
    assert_eq!(too_few.problem, ConfigProblem::ReserveBelowMax { reserve: 9, max: 10 });
    assert_eq!(
        too_few.to_string(),
        "buffer pool: the reserve is 9 buffers, fewer than the max of 10"
    );
    let too_many = BufferPool::with_config(config.clone().reserve(usize::MAX)).unwrap_err();
    assert!(matches!(
        too_many.problem,
        ConfigProblem::ReserveTooLarge {
            reserve: usize::MAX,
            ..
        }
    ));
    assert!(too_many.to_string().contains("the reserve is"), "{too_many}");
    assert_eq!(BufferPool::with_config(config).unwrap().region().buffers(), 10);
    let fixed = PoolConfig::new(SIZE).reserve(9);
    assert_eq!(
        LockFreePool::<8>::with_config(fixed).unwrap_err().problem,
        ConfigProblem::FixedReserve { requested: 9, fixed: 8 }
    );
    assert!(LockFreePool::<8>::with_config(PoolConfig::new(SIZE).reserve(8)).is_ok());
}

#[test]
fn tiers_are_resized_one_by_one() {
    let config = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(2).reserve(5))
        .tier(PoolConfig::new(512).max(50))
        .overflow(Overflow::NextTier);
    let pool = MultiSizePool::with_config(config).unwrap();
    assert_eq!(pool.tiers()[1].region().buffers(), 50);
    assert_eq!(pool.tiers()[0].set_max(5), Ok(2));
    assert_eq!(pool.tiers()[1].set_max(1), Ok(50));
    let held: Vec<_> = (0..6).map(|_| pool.acquire_for(64).unwrap()).collect();
    assert_eq!(held.iter().filter(|buf| buf.capacity() == 64).count(), 5);
    let refused = AcquireError::Exhausted {
        pool: format!("{} and {}", pool.tiers()[0].name(), pool.tiers()[1].name()).into(),
        in_use: 6,
        max: 6,
        first_wants: 0,
        held_by: None,
    };
    assert_eq!(pool.acquire_for(64).unwrap_err(), refused);
    assert_eq!(pool.stats().max, 6);
}

#[test]
fn a_closed_pool_can_be_resized_and_lends_nothing() {
    for magazine in [0, usize::MAX] {
        let config = PoolConfig::new(SIZE).max(4).reserve(8).magazine(magazine);
        let pool = BufferPool::with_config(config).unwrap();
        let held = take(&pool, 3);
        pool.close();
        assert_eq!((pool.set_max(1), pool.set_max(8)), (Ok(4), Ok(1)));
        assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
        assert_eq!(pool.stats().in_use, 3);
        drop(held);
        assert_eq!(pool.stats().in_use, 0);
    }
}

/// What rests at another thread's hand when the max is lowered is not lent from there.
#[test]
fn a_lowered_max_holds_for_what_other_threads_have_at_hand() {
    for pool in pools(8, 8) {
        let (rests, is_resting) = mpsc::channel();
        let (lower, is_lowered) = mpsc::channel::<()>();
        let inside = &pool;
        thread::scope(|scope| {
            let other = scope.spawn(move || {
                // Four are lent, and the rest is at hand or in the depot.
                let mut held = take(&**inside, 8);
                held.truncate(4);
                rests.send(()).unwrap();
                is_lowered.recv().unwrap();
                assert_refuses(&**inside, 4, 3);
                held.pop();
                assert_refuses(&**inside, 3, 3);
                held.pop();
                held.extend(take(&**inside, 1));
                assert_refuses(&**inside, 3, 3);
            });
            is_resting.recv().unwrap();
            pool.set_max(3).unwrap();
            assert_refuses(&*pool, 4, 3);
            lower.send(()).unwrap();
            // The thread sanitizer does not follow the end of the scope.
            other.join().unwrap();
        });
        assert_eq!(pool.stats().in_use, 0);
    }
}

/// Writes into a buffer that was just acquired what no other holder writes.
fn enter(lent: &AtomicUsize, buf: &mut PooledBuf, stamp: usize) {
    lent.fetch_add(1, Ordering::SeqCst);
    buf.extend_from_slice(&stamp.to_ne_bytes()).unwrap();
}

/// Gives it back, if nobody else has written there.
fn leave(lent: &AtomicUsize, (buf, stamp): (PooledBuf, usize)) {
    assert_eq!(buf[..], stamp.to_ne_bytes(), "another holder wrote here");
    lent.fetch_sub(1, Ordering::SeqCst);
    drop(buf);
}

/// Threads that acquire and release while another resizes and trims without end.
#[test]
fn threads_go_on_while_another_resizes_and_trims() {
    const THREADS: usize = 4;
    const LARGEST: usize = 32;
    for pool in pools(16, LARGEST) {
        let (lent, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let start = Barrier::new(THREADS + 1);
        let work = |thread: usize| {
            start.wait();
            let mut held = Vec::new();
            for round in 0..3000 {
                match pool.acquire() {
                    Ok(mut buf) => {
                        let stamp = thread * 10_000 + round;
                        enter(&lent, &mut buf, stamp);
                        held.push((buf, stamp));
                    }
                    Err(AcquireError::Exhausted { max, .. }) => {
                        assert!(max <= LARGEST);
                        held.drain(..).for_each(|one| leave(&lent, one));
                    }
                    Err(error) => panic!("{error}"),
                }
                if held.len() > (round + thread) % 11 {
                    leave(&lent, held.swap_remove(round % held.len()));
                }
            }
            held.into_iter().for_each(|one| leave(&lent, one));
        };
        thread::scope(|scope| {
            let work = &work;
            let workers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
            let resizer = scope.spawn(|| {
                start.wait();
                for round in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match round % 5 {
                        0 => drop(pool.set_max(1 + round % LARGEST)),
                        1 => drop(pool.set_max(pool.max() + round % 7)),
                        2 => drop(pool.set_max(pool.max().saturating_sub(round % 5))),
                        3 => drop(pool.trim()),
                        _ => assert!(pool.stats().in_use <= LARGEST),
                    }
                    assert!(lent.load(Ordering::SeqCst) <= LARGEST);
                }
            });
            let ends: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            stop.store(true, Ordering::Relaxed);
            resizer.join().unwrap();
            assert!(ends.iter().all(Result::is_ok));
        });
        assert_eq!(pool.stats().in_use, 0);
        pool.set_max(LARGEST).unwrap();
        let held = take(&*pool, LARGEST);
        assert_refuses(&*pool, LARGEST, LARGEST);
        drop(held);
        pool.set_max(3).unwrap();
        let _held = take(&*pool, 3);
        assert_refuses(&*pool, 3, 3);
    }
}

/// Whoever is served after the max was lowered below what is lent is served when so many came back that it holds.
#[test]
fn a_lowered_max_holds_while_threads_acquire() {
    const THREADS: usize = 3;
    const LOWERED: usize = 4;
    for pool in pools(4 * THREADS, 4 * THREADS) {
        let (step, lent) = (Barrier::new(THREADS + 1), AtomicUsize::new(0));
        // Nobody may panic between two steps, or else the others would wait for ever.
        let failures = AtomicUsize::new(0);
        let expect = |right: bool| {
            failures.fetch_add(usize::from(!right), Ordering::Relaxed);
        };
        // Counts each buffer later than it is lent, and as back before it is: never more than there are.
        let acquire = |held: &mut Vec<PooledBuf>| {
            pool.acquire().ok().map(|buf| {
                held.push(buf);
                lent.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        let release = |held: &mut Vec<PooledBuf>| {
            if !held.is_empty() {
                lent.fetch_sub(1, Ordering::SeqCst);
                held.pop();
            }
        };
        thread::scope(|scope| {
            let work = || {
                for _ in 0..30 {
                    let mut held = Vec::new();
                    (0..4).for_each(|_| expect(acquire(&mut held).is_some()));
                    step.wait();
                    step.wait();
                    for round in 0..100 {
                        if round % 3 != 0 {
                            release(&mut held);
                        }
                        expect(acquire(&mut held).is_none_or(|lent| lent <= LOWERED));
                    }
                    while !held.is_empty() {
                        release(&mut held);
                    }
                    step.wait();
                    step.wait();
                }
            };
            let others: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
            for _ in 0..30 {
                step.wait();
                expect(pool.set_max(LOWERED) == Ok(4 * THREADS));
                let stats = pool.stats();
                expect((stats.in_use, stats.max) == (4 * THREADS, LOWERED));
                step.wait();
                step.wait();
                expect(pool.set_max(4 * THREADS) == Ok(LOWERED));
                step.wait();
            }
            for other in others {
                other.join().unwrap();
            }
        });
        assert_eq!(failures.into_inner(), 0);
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Release(usize),
    SetMax(usize),
    Trim,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Acquire),
        4 => (0..12_usize).prop_map(Step::Release),
        3 => (0..14_usize).prop_map(Step::SetMax),
        1 => Just(Step::Trim),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence of operations does what counting them says.
    #[test]
    fn a_pool_does_what_a_model_of_it_does(steps in steps()) {
        for pool in pools(5, 12) {
            let mut max = 5;
            let mut held: Vec<(PooledBuf, u8)> = Vec::new();
            let mut lent = 0_u8;
            for step in &steps {
                match *step {
                    Step::Acquire if held.len() < max => {
                        let mut buf = pool.acquire().unwrap();
                        lent = lent.wrapping_add(1);
                        buf.extend_from_slice(&[lent; SIZE]).unwrap();
                        held.push((buf, lent));
                    }
                    Step::Acquire => assert_refuses(&*pool, held.len(), max),
                    Step::Release(which) => {
                        if !held.is_empty() {
                            held.swap_remove(which % held.len());
                        }
                    }
                    Step::SetMax(to) => match pool.set_max(to) {
                        Ok(before) => {
                            prop_assert!((1..=12).contains(&to));
                            prop_assert_eq!(before, max);
                            max = to;
                        }
                        Err(_) => prop_assert!(to == 0 || to > 12),
                    },
                    Step::Trim => drop(pool.trim()),
                }
                prop_assert!(held.iter().all(|(buf, byte)| buf[..] == [*byte; SIZE]));
                let stats = pool.stats();
                prop_assert_eq!((stats.in_use, stats.max), (held.len(), max));
                prop_assert_eq!(stats.available, stats.total - stats.in_use);
            }
        }
    }
}
