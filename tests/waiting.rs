//! What all pools promise to those who wait for a buffer.

use std::future::{self, Future};
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use poolbuf::{
    Acquire, AcquireError, AlignedPool, Budget, BufferPool, Health, LockFreePool, MultiSizeConfig, MultiSizePool,
    Overflow, Pool, PoolConfig, PooledBuf, Share,
};

#[path = "shared/bell.rs"]
mod bell;

use bell::Bell;

/// Bytes a buffer of every pool under test.
const SIZE: usize = 100;
/// Buffers of every pool under test.
const MAX: usize = 2;
const FOR_EVER: Duration = Duration::MAX;

/// Every pool, and as many again through a share that has room for all.
fn pools() -> Vec<Arc<dyn Pool>> {
    let mut pools = bare_pools();
    for pool in bare_pools() {
        pools.push(Arc::new(Share::new(pool, &Budget::new(usize::MAX))));
    }
    pools
}

/// Every pool, with magazines and without.
fn bare_pools() -> Vec<Arc<dyn Pool>> {
    let mut pools: Vec<Arc<dyn Pool>> = vec![Arc::new(LockFreePool::<MAX>::new(SIZE).unwrap())];
    for magazine in [0, 1, usize::MAX] {
        let config = PoolConfig::new(SIZE).max(MAX).magazine(magazine);
        let one = MultiSizeConfig::new().tier(config.clone());
        // Half of its buffers in one tier, half in the next.
        let half = config.clone().max(MAX / 2);
        let both = MultiSizeConfig::new()
            .tier(half.clone().buffer_size(SIZE / 2))
            .tier(half)
            .overflow(Overflow::NextTier);
        pools.push(Arc::new(BufferPool::with_config(config.clone()).unwrap()));
        pools.push(Arc::new(AlignedPool::with_config(config).unwrap()));
        pools.push(Arc::new(MultiSizePool::with_config(one).unwrap()));
        pools.push(Arc::new(MultiSizePool::with_config(both).unwrap()));
    }
    pools
}

/// A request that every buffer of the pools can serve.
const LEN: usize = SIZE / 2;

fn take_all(pool: &dyn Pool) -> Vec<PooledBuf> {
    let held = (0..MAX).map(|_| pool.acquire_for(LEN).unwrap()).collect();
    assert!(pool.acquire_for(LEN).is_err());
    held
}

fn poll<F: Future + Unpin>(waiting: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(bell));
    Pin::new(waiting).poll(&mut Context::from_waker(&waker))
}

/// A request that stands in the queue, and what is rung when it should ask again.
fn queued(pool: &dyn Pool) -> (Acquire<'_>, Arc<Bell>) {
    let (mut waiting, bell) = (pool.acquire_async(LEN), Arc::default());
    assert!(poll(&mut waiting, &bell).is_pending());
    (waiting, bell)
}

#[test]
fn a_free_buffer_needs_no_waiting() {
    for pool in pools() {
        let bell = Arc::default();
        let first = match poll(&mut pool.acquire_async(LEN), &bell) {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => panic!("a buffer is free"),
        };
        assert!(first.capacity() >= LEN && first.is_empty());
        let second = pool.acquire_timeout(LEN, Duration::ZERO).unwrap();
        assert!(pool.acquire_for(LEN).is_err());
        drop((first, second));
        let stats = pool.stats();
        assert_eq!((stats.waits, stats.acquired, stats.in_use), (0, 2, 0));
    }
}

#[test]
fn a_request_too_large_is_refused_without_waiting() {
    for pool in pools() {
        let _held = take_all(&*pool);
        let error = pool.acquire_timeout(SIZE + 1, FOR_EVER).unwrap_err();
        assert_eq!(
            error,
            AcquireError::TooLarge {
                pool: pool.name().into(),
                requested: SIZE + 1,
                max: SIZE
            }
        );
    }
}

#[test]
fn who_came_first_is_served_first() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let (mut first, first_bell) = queued(&*pool);
        let (mut second, second_bell) = queued(&*pool);
        assert_eq!(pool.stats().waiting, 2);
        assert_eq!(poll_state(&mut second, &second_bell), "waiting");

        // The buffer that is released goes to him, and to nobody who asks later.
        drop(held.pop());
        assert!((first_bell.rung(), second_bell.rung()) == (1, 0));
        assert!(pool.acquire_for(LEN).is_err());
        assert_eq!(poll_state(&mut second, &second_bell), "waiting");
        assert_eq!(poll_state(&mut first, &first_bell), "served");
        // … and was given back at once.
        assert_eq!(poll_state(&mut second, &second_bell), "served");
        drop(held);
        let stats = pool.stats();
        assert_eq!((stats.waiting, stats.in_use), (0, 0));
        assert_eq!(stats.acquired, (MAX + 2) as u64);
        assert_eq!(take_all(&*pool).len(), MAX);
    }
}

/// Polls; a buffer that comes is given back.
fn poll_state(waiting: &mut Acquire<'_>, bell: &Arc<Bell>) -> &'static str {
    match poll(waiting, bell) {
        Poll::Pending => "waiting",
        Poll::Ready(Ok(_)) => "served",
        Poll::Ready(Err(_)) => "failed",
    }
}

#[test]
fn a_buffer_handed_to_one_who_left_goes_to_the_next() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let (first, first_bell) = queued(&*pool);
        let (second, _) = queued(&*pool);
        let (mut third, third_bell) = queued(&*pool);
        // He leaves before anything has come …
        drop(second);
        drop(held.pop());
        assert_eq!((first_bell.rung(), third_bell.rung()), (1, 0));
        // … and he after, without having looked.
        drop(first);
        assert_eq!(third_bell.rung(), 1);
        assert_eq!(poll_state(&mut third, &third_bell), "served");
        let stats = pool.stats();
        assert_eq!((stats.waits, stats.handed_over), (3, 1));
        assert_eq!((stats.abandoned, stats.timed_out), (2, 0));
        // It was granted to the first, though that never came for it.
        assert_eq!(stats.acquired, (MAX + 2) as u64);
        drop(held);
        assert_eq!(take_all(&*pool).len(), MAX);
    }
}

#[test]
fn when_all_who_waited_have_left_the_pool_is_as_before() {
    for pool in pools() {
        let held = take_all(&*pool);
        for _ in 0..3 {
            drop([queued(&*pool), queued(&*pool)]);
        }
        drop(held);
        for _ in 0..5000 {
            drop(take_all(&*pool));
        }
        let stats = pool.stats();
        assert_eq!((stats.waiting, stats.in_use), (0, 0));
        assert_eq!((stats.waits, stats.abandoned), (6, 6));
    }
}

/// What was not in the queue when it was dropped did not wait: not polled, or told already how it ended.
#[test]
fn only_a_wait_is_abandoned() {
    for pool in pools() {
        drop(pool.acquire_async(LEN));
        drop(pool.acquire_async(LEN).within(future::pending::<()>()));
        let held = take_all(&*pool);
        drop(pool.acquire_async(LEN));
        let late = pool.acquire_timeout(LEN, Duration::ZERO);
        assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
        let (mut waiting, bell) = queued(&*pool);
        pool.close();
        assert!(poll(&mut waiting, &bell).is_ready());
        drop((waiting, held));
        let stats = pool.stats();
        assert_eq!((stats.waits, stats.timed_out, stats.abandoned), (2, 1, 0));
    }
}

/// A server whose runtime's `timeout` drops the requests, and answers nothing but "unavailable".
#[test]
fn waits_that_are_dropped_are_told_and_give_advice() {
    for pool in pools() {
        let _held = take_all(&*pool);
        let before = pool.stats();
        for _ in 0..100 {
            drop(queued(&*pool));
        }
        let stats = pool.stats().since(&before);
        assert_eq!((stats.waits, stats.abandoned), (100, 100));
        let part = stats.tiers.first().unwrap_or(&stats);
        assert!(matches!(
            part.health(),
            Health::Refusing {
                refused_basis_points: 10_000,
                ..
            }
        ));
        assert!(stats.to_string().contains("100 abandoned"), "{stats}");
        assert!(stats.report().contains("100 abandoned"));
    }
}

/// A time limit that is over when the test says so. It may not be moved once it is polled.
#[derive(Default)]
struct Limit {
    over: Arc<AtomicUsize>,
    polls: Arc<AtomicUsize>,
    _pinned: PhantomPinned,
}

impl Future for Limit {
    /// Of no interest.
    type Output = &'static str;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        match self.over.load(Ordering::SeqCst) {
            0 => Poll::Pending,
            _ => Poll::Ready("over"),
        }
    }
}

#[test]
fn a_limit_ends_a_wait_as_timed_out() {
    for pool in pools() {
        let held = take_all(&*pool);
        let (limit, bell) = (Limit::default(), Arc::default());
        let over = Arc::clone(&limit.over);
        let mut waiting = pool.acquire_async(LEN).within(limit);
        assert!(poll(&mut waiting, &bell).is_pending());
        // Whatever the limit is, the request may be moved.
        let mut waiting = Box::new(waiting);
        assert!(poll(&mut *waiting, &bell).is_pending());
        assert_eq!((pool.stats().waiting, pool.stats().waits), (1, 0));
        over.store(1, Ordering::SeqCst);
        match poll(&mut *waiting, &bell) {
            Poll::Ready(Err(AcquireError::TimedOut { pool: name, .. })) => {
                assert!(name.starts_with(pool.name()));
            }
            other => panic!("{other:?}"),
        }
        drop(waiting);
        let stats = pool.stats();
        assert_eq!((stats.waiting, stats.waits), (0, 1));
        assert_eq!((stats.timed_out, stats.abandoned), (1, 0));
        drop(held);
        assert_eq!(take_all(&*pool).len(), MAX);
    }
}

/// As std's futures do; whatever the pool, and whether the result was there from the start.
#[test]
fn to_poll_what_was_ready_panics_and_says_so() {
    let panics = |poll: &mut dyn FnMut() -> bool| {
        let panicked = catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
        let said = panicked.downcast_ref::<&str>();
        assert_eq!(said, Some(&"`Acquire` polled after completion"));
    };
    for pool in pools() {
        let bell = Arc::default();
        let mut requests = [
            pool.acquire_async(LEN),
            pool.acquire_async(SIZE + 1),
            Acquire::ready(pool.acquire_for(LEN)),
        ];
        for request in &mut requests {
            assert!(poll(request, &bell).is_ready());
            panics(&mut || poll(request, &bell).is_ready());
        }
        for request in requests {
            let mut request = Some(request.within(future::ready(())));
            panics(&mut || poll(request.as_mut().unwrap(), &bell).is_ready());
        }
        let mut many = pool.acquire_many_async(2, LEN);
        assert!(poll(&mut many, &bell).is_ready());
        let mut many = Some(many);
        panics(&mut || many.take().unwrap().wait_timeout(Duration::ZERO).is_ok());
        let mut limited = pool.acquire_chain_async(LEN).within(future::pending::<()>());
        assert!(poll(&mut limited, &bell).is_ready());
        panics(&mut || poll(&mut limited, &bell).is_ready());
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn a_limit_is_polled_only_while_its_request_waits() {
    for pool in pools() {
        let (limit, bell) = (Limit::default(), Arc::default());
        let (over, polls) = (Arc::clone(&limit.over), Arc::clone(&limit.polls));
        over.store(1, Ordering::SeqCst);
        let mut free = pool.acquire_async(LEN).within(limit);
        let Poll::Ready(Ok(buf)) = poll(&mut free, &bell) else {
            panic!("a buffer is free");
        };
        assert_eq!((polls.load(Ordering::SeqCst), pool.stats().waits), (0, 0));
        assert_eq!(Arc::strong_count(&polls), 1, "the limit is gone");
        drop(buf);
        let mut held = take_all(&*pool);
        let limit = Limit::default();
        let (over, polls) = (Arc::clone(&limit.over), Arc::clone(&limit.polls));
        let mut waiting = pool.acquire_async(LEN).within(limit);
        assert!(poll(&mut waiting, &bell).is_pending());
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        // It is over, but the buffer was there before.
        drop(held.pop());
        over.store(1, Ordering::SeqCst);
        assert!(matches!(poll(&mut waiting, &bell), Poll::Ready(Ok(_))));
        assert_eq!(polls.load(Ordering::SeqCst), 1);
        let stats = pool.stats();
        assert_eq!((stats.waits, stats.handed_over), (1, 1));
    }
}

/// A limit that gives a buffer back when it is polled, and is over then.
struct LateRelease(Option<PooledBuf>);

impl Future for LateRelease {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0 = None;
        Poll::Ready(())
    }
}

#[test]
fn a_buffer_that_comes_just_before_the_limit_is_over_is_lent() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let limit = LateRelease(held.pop());
        let mut waiting = pool.acquire_async(LEN).within(limit);
        let polled = poll(&mut waiting, &Arc::default());
        assert!(matches!(polled, Poll::Ready(Ok(_))), "{polled:?}");
        let stats = pool.stats();
        assert_eq!((stats.handed_over, stats.timed_out), (1, 0));
    }
}

#[test]
fn a_limited_wait_that_is_dropped_is_abandoned() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let bell = Arc::default();
        let mut waiting = pool.acquire_async(LEN).within(future::pending::<()>());
        assert!(poll(&mut waiting, &bell).is_pending());
        drop(held.pop());
        drop(waiting);
        let stats = pool.stats();
        assert_eq!((stats.waits, stats.abandoned), (1, 1));
        assert!(pool.acquire_for(LEN).is_ok());
    }
}

/// What keeps its wait, as a `Stream` or a `Service` does.
struct Keeps(Option<Acquire<'static>>);

#[test]
fn an_owned_request_waits_like_any_other_and_keeps_the_pool() {
    for pool in pools() {
        let bell = Arc::default();
        let mut held = take_all(&*pool);
        let mut first = Keeps(Some(pool.acquire_async(LEN).into_owned()));
        let (mut second, second_bell) = (pool.acquire_async(LEN), Arc::default());
        let third = pool.acquire_async(LEN).into_owned();
        assert!(poll(first.0.as_mut().unwrap(), &bell).is_pending());
        assert!(poll(&mut second, &second_bell).is_pending());
        // In the middle of its wait, it keeps its place.
        let mut second = second.into_owned();
        assert_eq!(pool.stats().waiting, 2);
        drop(first);
        drop(third);
        assert_eq!((pool.stats().waits, pool.stats().abandoned), (1, 1));
        // No other handle is left: the request is one.
        drop(pool);
        drop(held.pop());
        assert_eq!(second_bell.rung(), 1);
        let served = thread::spawn(move || poll(&mut second, &bell));
        let Poll::Ready(Ok(mut buf)) = served.join().unwrap() else {
            panic!("it was handed one");
        };
        buf.extend_from_slice(&[1; LEN]).unwrap();
    }
}

#[test]
fn an_owned_request_that_can_never_be_served_says_so() {
    for pool in pools() {
        let too_large = poll(&mut pool.acquire_async(SIZE + 1).into_owned(), &Arc::default());
        assert!(matches!(too_large, Poll::Ready(Err(AcquireError::TooLarge { .. }))));
        pool.close();
        let closed = poll(&mut pool.acquire_async(LEN).into_owned(), &Arc::default());
        assert!(matches!(closed, Poll::Ready(Err(AcquireError::Closed { .. }))));
    }
}

/// The only handles that are left are those of requests: the pool is closed when they are gone, and not before.
#[test]
fn an_owned_request_is_the_last_handle() {
    let pool = BufferPool::new(SIZE, 1, 1).unwrap();
    let held = pool.acquire().unwrap();
    let [mut one, mut other] = [
        pool.acquire_async(LEN).into_owned(),
        pool.acquire_async(LEN).into_owned(),
    ];
    drop(pool);
    let bell = Arc::default();
    assert!(poll(&mut one, &bell).is_pending() && poll(&mut other, &bell).is_pending());
    drop(one);
    drop(held);
    let Poll::Ready(Ok(mut buf)) = poll(&mut other, &bell) else {
        panic!("it is free");
    };
    drop(other);
    buf.extend_from_slice(&[1; LEN]).unwrap();
}

#[test]
fn time_runs_out_with_an_error_that_says_how_long() {
    for pool in pools() {
        let held = take_all(&*pool);
        for timeout in [Duration::ZERO, Duration::from_millis(2)] {
            match pool.acquire_timeout(LEN, timeout) {
                Err(AcquireError::TimedOut {
                    pool: name,
                    waited,
                    why,
                }) => {
                    assert!(name.starts_with(pool.name()));
                    assert!(waited >= timeout);
                    let Some(AcquireError::Exhausted { in_use, max, .. }) = why.as_deref() else {
                        panic!("{why:?}");
                    };
                    // Of both tiers, where there are two.
                    assert_eq!((*in_use, *max), (MAX, MAX));
                }
                other => panic!("{other:?}"),
            }
        }
        let stats = pool.stats();
        assert_eq!(stats.timed_out, 2);
        assert!(stats.waits >= 2 && stats.waited >= Duration::from_millis(2));
        assert_eq!(stats.waiting, 0);
        drop(held);
        assert_eq!(take_all(&*pool).len(), MAX);
    }
}

#[test]
fn a_thread_that_waits_is_woken_by_a_release_on_another() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let waiting = Arc::clone(&pool);
        let waiter = thread::spawn(move || waiting.acquire_timeout(LEN, FOR_EVER).unwrap());
        while pool.stats().waiting == 0 {
            thread::yield_now();
        }
        drop(held.pop());
        held.push(waiter.join().unwrap());
        assert!(pool.acquire_for(LEN).is_err());
    }
}

#[test]
fn closing_wakes_everybody() {
    for pool in pools() {
        let held = take_all(&*pool);
        let waiting = Arc::clone(&pool);
        let waiter = thread::spawn(move || waiting.acquire_timeout(LEN, FOR_EVER).unwrap_err());
        while pool.stats().waiting == 0 {
            thread::yield_now();
        }
        let (mut other, bell) = queued(&*pool);
        pool.close();
        assert!(matches!(waiter.join().unwrap(), AcquireError::Closed { .. }));
        assert!(bell.rung() >= 1);
        match poll(&mut other, &bell) {
            Poll::Ready(Err(AcquireError::Closed { .. })) => {}
            other => panic!("{other:?}"),
        }
        let late = pool.acquire_timeout(LEN, FOR_EVER);
        assert!(matches!(late, Err(AcquireError::Closed { .. })));
        drop(held);
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn the_latest_waker_is_the_one_that_is_woken() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let (mut waiting, stale) = queued(&*pool);
        let fresh = Arc::default();
        assert!(poll(&mut waiting, &fresh).is_pending());
        assert_eq!(Arc::strong_count(&stale), 1, "the stale one is let go");
        drop(held.pop());
        assert_eq!((stale.rung(), fresh.rung()), (0, 1));
        assert_eq!(poll_state(&mut waiting, &fresh), "served");
    }
}

/// Uses the pool whenever it is woken, cloned or dropped.
struct Meddler(Arc<dyn Pool>);

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        let _ = self.0.acquire_for(LEN);
        let _ = self.0.stats();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        let _ = self.0.acquire_for(LEN);
    }
}

#[test]
fn a_waker_may_use_the_pool() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let meddler = || Waker::from(Arc::new(Meddler(Arc::clone(&pool))));
        let poll_with = |waiting: &mut Acquire<'_>, waker: &Waker| {
            Pin::new(waiting).poll(&mut Context::from_waker(waker)).is_pending()
        };
        let mut waiting = pool.acquire_async(LEN);
        assert!(poll_with(&mut waiting, &meddler()));
        // Replaced, woken, and dropped in the queue.
        assert!(poll_with(&mut waiting, &meddler()));
        let mut fickle = pool.acquire_async(LEN);
        assert!(poll_with(&mut fickle, &meddler()));
        drop(fickle);
        drop(held.pop());
        assert!(!poll_with(&mut waiting, &meddler()));
    }
}

/// Threads that wait, threads that leave, a thread that never waits: nothing is lost, nothing is lent twice.
#[test]
fn many_wait_for_few_buffers() {
    const ROUNDS: usize = 300;
    for pool in pools() {
        let lent: Arc<Mutex<Vec<usize>>> = Arc::default();
        let use_up = |pool_buf: PooledBuf, lent: &Mutex<Vec<usize>>| {
            let address = pool_buf.as_ptr() as usize;
            let mut all = lent.lock();
            assert!(!all.contains(&address), "lent twice");
            all.push(address);
            drop(all);
            thread::yield_now();
            lent.lock().retain(|other| *other != address);
            drop(pool_buf);
        };
        thread::scope(|scope| {
            let (pool, lent) = (&*pool, &*lent);
            let waits = || {
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        use_up(pool.acquire_timeout(LEN, FOR_EVER).unwrap(), lent);
                    }
                })
            };
            let mut threads: Vec<_> = (0..4).map(|_| waits()).collect();
            threads.push(scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let mut fickle = pool.acquire_async(LEN);
                    let _ = poll(&mut fickle, &Arc::default());
                    thread::yield_now();
                }
            }));
            threads.push(scope.spawn(move || {
                for _ in 0..ROUNDS {
                    if let Ok(buf) = pool.acquire_for(LEN) {
                        use_up(buf, lent);
                    }
                }
            }));
            // One by one, which the thread sanitizer follows, unlike the end of the scope.
            for thread in threads {
                thread.join().unwrap();
            }
        });
        let stats = pool.stats();
        assert_eq!((stats.waiting, stats.in_use), (0, 0));
        assert_eq!(take_all(&*pool).len(), MAX);
    }
}

#[test]
fn a_request_waits_for_each_tier_that_may_serve_it() {
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(1))
        .tier(PoolConfig::new(512).max(1));
    let refusing = MultiSizePool::with_config(tiers.clone()).unwrap();
    let overflowing = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap();
    for (pool, other_tier_serves) in [(refusing, false), (overflowing, true)] {
        let small = pool.tiers()[0].acquire().unwrap();
        let large = pool.tiers()[1].acquire().unwrap();
        let mut waiting = pool.acquire_async(64);
        let bell = Arc::default();
        assert!(poll(&mut waiting, &bell).is_pending());
        drop(large);
        assert_eq!(poll(&mut waiting, &bell).is_ready(), other_tier_serves);
        drop(small);
        if !other_tier_serves {
            assert!(poll(&mut waiting, &bell).is_ready());
        }
        // The queue that did not serve him has let him go.
        let stats = pool.stats();
        assert_eq!((stats.waits, stats.handed_over, stats.acquired), (1, 1, 3));
        assert_eq!(pool.stats().waiting, 0);
        assert_eq!(pool.tiers()[0].acquire().unwrap().capacity(), 64);
        assert_eq!(pool.tiers()[1].acquire().unwrap().capacity(), 512);
    }
}

#[test]
fn a_request_may_cross_threads() {
    fn crosses<T: Send + Sync>(value: T) -> T {
        value
    }
    for pool in pools() {
        let mut held = take_all(&*pool);
        let (waiting, bell) = queued(&*pool);
        let mut waiting = crosses(waiting);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            let other = scope.spawn(move || {
                receiver.recv().unwrap();
                assert_eq!(poll_state(&mut waiting, &bell), "served");
            });
            drop(held.pop());
            sender.send(()).unwrap();
            other.join().unwrap();
        });
    }
}

#[test]
fn raising_the_max_serves_those_who_wait_and_lowering_it_does_not() {
    for magazine in [0, 1, usize::MAX] {
        let config = PoolConfig::new(SIZE).max(1).reserve(3).magazine(magazine);
        let pool = BufferPool::with_config(config).unwrap();
        let first = pool.acquire().unwrap();
        let (mut one, one_bell) = queued(&pool);
        let (mut other, other_bell) = queued(&pool);
        pool.set_max(2).unwrap();
        assert_eq!((one_bell.rung(), other_bell.rung()), (1, 0));
        let Poll::Ready(Ok(second)) = poll(&mut one, &one_bell) else {
            panic!("there are two now");
        };
        // Two are in use; of one, which is one too many, nobody is to have the use.
        pool.set_max(1).unwrap();
        drop(second);
        assert!(poll(&mut other, &other_bell).is_pending());
        drop(first);
        assert_eq!(poll_state(&mut other, &other_bell), "served");
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
        assert_eq!((pool.stats().acquired, pool.stats().handed_over), (3, 2));
    }
}

#[test]
fn a_request_that_two_tiers_serve_at_once_takes_one_and_counts_once() {
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(1))
        .tier(PoolConfig::new(512).max(1));
    let pool = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap();
    let small = pool.tiers()[0].acquire().unwrap();
    let large = pool.tiers()[1].acquire().unwrap();
    let mut waiting = pool.acquire_async(64);
    let bell = Arc::default();
    assert!(poll(&mut waiting, &bell).is_pending());
    drop((small, large));
    let Poll::Ready(Ok(buf)) = poll(&mut waiting, &bell) else {
        panic!("both are free");
    };
    assert_eq!(buf.capacity(), 64);
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (1, 0));
    assert_eq!((stats.waits, stats.handed_over, stats.acquired), (1, 1, 3));
}

/// Found by `soak`: it counted nowhere.
#[test]
fn a_request_whose_first_tier_is_closed_counts_at_the_next() {
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(1))
        .tier(PoolConfig::new(512).max(1));
    let pool = MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap();
    let _large = pool.tiers()[1].acquire().unwrap();
    pool.tiers()[0].close();
    let mut waiting = pool.acquire_async(64);
    assert!(poll(&mut waiting, &Arc::default()).is_pending());
    assert_eq!(pool.stats().waiting, 1);
    drop(waiting);
    let late = pool.acquire_timeout(64, Duration::from_millis(1));
    assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
    let stats = pool.stats();
    assert_eq!((stats.waiting, stats.waits), (0, 2));
    assert_eq!((stats.timed_out, stats.abandoned), (1, 1));
}

/// Two tiers with one buffer each, of 64 and of 512 bytes.
fn two_tiers() -> MultiSizePool {
    let tiers = MultiSizeConfig::new()
        .tier(PoolConfig::new(64).max(1))
        .tier(PoolConfig::new(512).max(1));
    MultiSizePool::with_config(tiers.overflow(Overflow::NextTier)).unwrap()
}

#[test]
fn a_request_in_the_queues_of_two_tiers_is_handed_one_buffer() {
    let pool = two_tiers();
    let take_both = || [64, 512].map(|len| pool.acquire_for(len).unwrap());
    // The other one stays free …
    let [small, large] = take_both();
    let (waiting, bell) = queued(&pool);
    drop((small, large));
    assert_eq!((bell.rung(), pool.stats().in_use), (1, 1));
    let large = pool.acquire_for(512).unwrap();
    drop(waiting);
    // … or is handed to the next request.
    let small = pool.acquire_for(64).unwrap();
    let (mut waiting, _) = queued(&pool);
    let mut next = pool.acquire_async(512);
    assert!(poll(&mut next, &Arc::default()).is_pending());
    drop((small, large));
    assert_eq!(poll_state(&mut next, &Arc::default()), "served");
    assert_eq!(poll_state(&mut waiting, &bell), "served");
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0));
    assert_eq!((stats.waits, stats.handed_over), (3, 2));
    drop(take_both());
}

#[test]
fn a_request_whose_first_tier_is_closed_is_told_what_the_next_one_says() {
    let pool = two_tiers();
    pool.tiers()[0].close();
    let _large = pool.acquire_for(64).unwrap();
    assert!(matches!(
        pool.acquire_for(64),
        Err(AcquireError::Exhausted { in_use: 1, max: 1, .. })
    ));
    assert!(matches!(
        pool.acquire_timeout(64, Duration::ZERO),
        Err(AcquireError::TimedOut { .. })
    ));
    pool.tiers()[1].close();
    let late = pool.acquire_timeout(64, FOR_EVER);
    assert!(matches!(late, Err(AcquireError::Closed { .. })));
}

/// A user's own use of `std::thread::park`.
#[test]
fn waiting_leaves_what_a_thread_was_unparked_with() {
    for pool in pools() {
        let (sender, receiver) = mpsc::channel();
        let held = take_all(&*pool);
        let waiting = Arc::clone(&pool);
        let waiter = thread::spawn(move || {
            thread::current().unpark();
            waiting.acquire_timeout(LEN, Duration::from_millis(1)).unwrap_err();
            let buf = waiting.acquire_timeout(LEN, FOR_EVER);
            // Returns at once.
            thread::park();
            sender.send(()).unwrap();
            buf
        });
        while pool.stats().timed_out == 0 || pool.stats().waiting == 0 {
            thread::yield_now();
        }
        drop(held);
        let came_back = receiver.recv_timeout(Duration::from_secs(60));
        assert_eq!(came_back, Ok(()), "it still parks");
        waiter.join().unwrap().unwrap();
    }
}

/// Whether a buffer is free or not, and with its own error; acquiring without waiting is as ever.
#[test]
fn a_pool_that_is_not_waited_for_says_so() {
    let config = || PoolConfig::new(SIZE).max(1).name("audio").waiting(false);
    let tiers = MultiSizeConfig::new().tier(config()).name("audio");
    let pools: [Box<dyn Pool>; 4] = [
        Box::new(BufferPool::with_config(config()).unwrap()),
        Box::new(AlignedPool::with_config(config()).unwrap()),
        Box::new(LockFreePool::<1>::with_config(config()).unwrap()),
        Box::new(MultiSizePool::with_config(tiers).unwrap()),
    ];
    for pool in pools {
        for _ in 0..2 {
            let error = pool.acquire_timeout(1, Duration::MAX).unwrap_err();
            assert!(matches!(error, AcquireError::WaitingOff { .. }), "{error}");
            assert_eq!(error.pool(), "audio");
            let only = pool.acquire().unwrap();
            let error = pool.acquire_timeout(1, Duration::MAX).unwrap_err();
            assert!(matches!(error, AcquireError::WaitingOff { .. }), "{error}");
            let too_large = pool.acquire_timeout(SIZE + 1, Duration::MAX).unwrap_err();
            assert!(matches!(too_large, AcquireError::TooLarge { .. }));
            assert!(matches!(pool.acquire(), Err(AcquireError::Exhausted { .. })));
            drop(only);
        }
        assert_eq!((pool.stats().waits, pool.stats().in_use), (0, 0));
    }
}

/// A time limit that is over just when the pool is closed.
struct Closing<'a>(&'a dyn Pool);

impl Future for Closing<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.0.close();
        Poll::Ready(())
    }
}

#[test]
fn a_request_that_is_refused_just_before_its_time_is_up_is_told_that() {
    for pool in pools() {
        let held = take_all(&*pool);
        let mut waiting = pool.acquire_async(LEN).within(Closing(&*pool));
        assert!(matches!(
            poll(&mut waiting, &Arc::default()),
            Poll::Ready(Err(AcquireError::Closed { .. }))
        ));
        let stats = pool.stats();
        assert_eq!((stats.waits, stats.timed_out, stats.abandoned), (1, 0, 0));
        drop(held);
    }
}
