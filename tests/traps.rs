//! Uses that have broken pools before, on every pool: cycles, panics in a user's code, and drops in strange places.
//! tests/contract.rs, tests/threads.rs and tests/waiting.rs hold more of them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;
use std::{panic, thread};

use parking_lot::Mutex;
use poolbuf::{
    Acquire, AcquireError, AlignedPool, Budget, BufferPool, LockFreePool, MultiSizeConfig, MultiSizePool, Overflow,
    Pool, PoolConfig, PooledBuf, Recycle, Recycler,
};

/// Bytes a buffer of every pool under test.
const SIZE: usize = 100;
/// Buffers of every pool under test.
const MAX: usize = 3;

/// Every pool, with magazines and without, with a budget and with holders tracked.
fn pools() -> Vec<Arc<dyn Pool>> {
    let mut pools: Vec<Arc<dyn Pool>> = vec![Arc::new(LockFreePool::<MAX>::new(SIZE).unwrap())];
    for magazine in [0, usize::MAX] {
        let config = PoolConfig::new(SIZE).max(MAX).magazine(magazine);
        let tiers = MultiSizeConfig::new().tier(config.clone());
        let budget = Budget::new(MAX * SIZE);
        for config in [
            config.clone(),
            config.clone().budget(&budget),
            config.track_holders(true),
        ] {
            pools.push(Arc::new(BufferPool::with_config(config.clone()).unwrap()));
            pools.push(Arc::new(AlignedPool::with_config(config).unwrap()));
        }
        pools.push(Arc::new(MultiSizePool::with_config(tiers).unwrap()));
    }
    pools
}

fn take_all(pool: &dyn Pool) -> Vec<PooledBuf> {
    let held = (0..MAX).map(|_| pool.acquire().unwrap()).collect();
    assert!(pool.acquire().is_err());
    held
}

/// Nothing is lost, and nobody waits.
fn assert_whole(pool: &dyn Pool) {
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats}");
    drop(take_all(pool));
}

fn poll(waiting: &mut Acquire<'_>, waker: &Waker) -> Poll<Result<PooledBuf, AcquireError>> {
    pin!(waiting).poll(&mut Context::from_waker(waker))
}

/// Panics that are meant print nothing.
const MEANT: &str = "a panic that is meant";

fn silence_what_is_meant() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&MEANT) {
                print(info);
            }
        }));
    });
}

/// Where a waker panics.
const AT_WAKE: usize = 1;
const AT_CLONE: usize = 2;
const AT_DROP: usize = 3;

/// A waker that panics at `place`.
fn panicking_waker(place: usize) -> Waker {
    fn panic_at(place: usize, data: *const ()) {
        if data as usize == place {
            panic::panic_any(MEANT);
        }
    }
    fn raw(data: *const ()) -> RawWaker {
        static VTABLE: RawWakerVTable = RawWakerVTable::new(
            |data| {
                panic_at(AT_CLONE, data);
                raw(data)
            },
            |data| panic_at(AT_WAKE, data),
            |data| panic_at(AT_WAKE, data),
            |data| panic_at(AT_DROP, data),
        );
        RawWaker::new(data, &VTABLE)
    }
    // SAFETY: the functions share nothing, so they may be called as often and on whatever thread one likes.
    unsafe { Waker::from_raw(raw(std::ptr::without_provenance(place))) }
}

#[test]
fn a_waker_that_panics_reaches_neither_who_releases_nor_who_waits_next() {
    silence_what_is_meant();
    for place in [AT_WAKE, AT_DROP] {
        for pool in pools() {
            let mut held = take_all(&*pool);
            let waker = ManuallyDrop::new(panicking_waker(place));
            let mut first = pool.acquire_async(1);
            let mut second = pool.acquire_async(1);
            let mut third = pool.acquire_async(1);
            assert!(poll(&mut first, &waker).is_pending());
            assert!(poll(&mut second, &waker).is_pending());
            assert!(poll(&mut third, Waker::noop()).is_pending());
            // Leaves the queue, where his waker is dropped.
            drop(second);
            drop(held.pop());
            drop(held.pop());
            assert!(matches!(poll(&mut first, Waker::noop()), Poll::Ready(Ok(_))));
            assert!(matches!(poll(&mut third, Waker::noop()), Poll::Ready(Ok(_))));
            drop(held);
            assert_whole(&*pool);
        }
    }
}

/// A request in the lines of two tiers, that wakes by a waker which can't be cloned.
#[test]
fn a_waker_that_panics_when_it_is_cloned_costs_no_place_in_a_queue() {
    silence_what_is_meant();
    let budget = Budget::new(3 * SIZE);
    let tier = |size| PoolConfig::new(size).max(1).budget(&budget);
    let tiers = MultiSizeConfig::new()
        .tier(tier(SIZE))
        .tier(tier(2 * SIZE))
        .overflow(Overflow::NextTier);
    let pool = MultiSizePool::with_config(tiers).unwrap();
    let other = BufferPool::with_config(tier(SIZE)).unwrap();
    let large = pool.acquire_for(2 * SIZE).unwrap();
    let full = other.acquire().unwrap();
    // Its buffer is free, and it lacks the bytes.
    let mut waiting = pool.acquire_async(1);
    assert!(poll(&mut waiting, Waker::noop()).is_pending());
    let waker = ManuallyDrop::new(panicking_waker(AT_CLONE));
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut waiting, &waker)));
    assert!(polled.is_err());
    assert_eq!((pool.stats().waiting, budget.stats().waiting), (1, 1));
    drop(full);
    let served = poll(&mut waiting, Waker::noop());
    assert!(matches!(served, Poll::Ready(Ok(buf)) if buf.capacity() == SIZE));
    drop(large);
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    assert_eq!((pool.stats().waits, budget.lent()), (1, 0));
}

#[test]
fn a_waker_that_panics_when_it_is_cloned_costs_no_buffer() {
    silence_what_is_meant();
    for pool in pools() {
        let held = take_all(&*pool);
        let waker = panicking_waker(AT_CLONE);
        let mut waiting = pool.acquire_async(1);
        let refused = catch_unwind(AssertUnwindSafe(|| poll(&mut waiting, &waker)));
        assert!(refused.is_err(), "the panic is the caller's to see");
        // And again when it already waits with another.
        assert!(poll(&mut waiting, Waker::noop()).is_pending());
        let refused = catch_unwind(AssertUnwindSafe(|| poll(&mut waiting, &waker)));
        assert!(refused.is_err());
        drop(held);
        assert!(matches!(poll(&mut waiting, Waker::noop()), Poll::Ready(Ok(_))));
        assert_whole(&*pool);
    }
}

/// A request for which a buffer is free, and that is to wait for the budget's bytes.
#[test]
fn a_waker_that_panics_when_it_waits_for_bytes_costs_no_buffer() {
    silence_what_is_meant();
    let budget = Budget::new(SIZE);
    let pool = || BufferPool::with_config(PoolConfig::new(SIZE).max(MAX).budget(&budget)).unwrap();
    let (pool, other) = (pool(), pool());
    let held = other.acquire().unwrap();
    let mut waiting = pool.acquire_async(1);
    let waker = panicking_waker(AT_CLONE);
    let refused = catch_unwind(AssertUnwindSafe(|| poll(&mut waiting, &waker)));
    assert!(refused.is_err());
    assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    drop(held);
    assert!(matches!(poll(&mut waiting, Waker::noop()), Poll::Ready(Ok(_))));
    assert_eq!(budget.lent(), 0);
}

#[test]
fn a_waker_that_panics_does_not_keep_the_others_from_learning_that_the_pool_is_closed() {
    silence_what_is_meant();
    for pool in pools() {
        let held = take_all(&*pool);
        let waker = panicking_waker(AT_WAKE);
        let mut first = pool.acquire_async(1);
        let mut second = pool.acquire_async(1);
        assert!(poll(&mut first, &waker).is_pending());
        assert!(poll(&mut second, Waker::noop()).is_pending());
        pool.close();
        for waiting in [&mut first, &mut second] {
            let answer = poll(waiting, Waker::noop());
            assert!(matches!(answer, Poll::Ready(Err(AcquireError::Closed { .. }))));
        }
        drop(held);
        assert_eq!(pool.stats().in_use, 0);
    }
}

thread_local! {
    /// What the next clone of the waker drops.
    static AT_NEXT_CLONE: RefCell<Option<PooledBuf>> = const { RefCell::new(None) };
    /// Whether the drop of the next clone panics.
    static NEXT_DROP_PANICS: Cell<bool> = const { Cell::new(false) };
}

/// A waker whose clone drops a guard, and the drop of whose clone panics; both only once.
fn armed_waker(buf: Option<PooledBuf>) -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            drop(AT_NEXT_CLONE.take());
            RawWaker::new(std::ptr::null(), &CLONED)
        },
        |_| (),
        |_| (),
        |_| (),
    );
    static CLONED: RawWakerVTable = RawWakerVTable::new(
        |_| RawWaker::new(std::ptr::null(), &CLONED),
        |_| (),
        |_| (),
        |_| {
            if NEXT_DROP_PANICS.take() {
                panic::panic_any(MEANT);
            }
        },
    );
    AT_NEXT_CLONE.set(buf);
    NEXT_DROP_PANICS.set(true);
    // SAFETY: the functions share nothing but what is the thread's own, so they may be called as often and on whatever
    // thread one likes.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

/// Polls with a waker that lets go of `buf` in the middle, and is dropped with a panic.
fn poll_and_drop_waker(waiting: &mut Acquire<'_>, buf: Option<PooledBuf>) -> PooledBuf {
    let waker = armed_waker(buf);
    let Poll::Ready(Ok(buf)) = poll(waiting, &waker) else {
        panic!("a buffer has come back");
    };
    assert!(!NEXT_DROP_PANICS.get(), "it has panicked");
    buf
}

#[test]
fn a_waker_dropped_with_a_panic_costs_neither_buffer_nor_bytes_nor_place() {
    silence_what_is_meant();
    for pool in pools() {
        let mut held = take_all(&*pool);
        // The buffer comes when the request is about to join the queue …
        let last = held.pop();
        held.push(poll_and_drop_waker(&mut pool.acquire_async(1), last));
        // … and when it is in the queue, and changes its waker.
        let mut waiting = pool.acquire_async(1);
        assert!(poll(&mut waiting, Waker::noop()).is_pending());
        let last = held.pop();
        held.push(poll_and_drop_waker(&mut waiting, last));
        drop(waiting);
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (MAX, 0));
        // Each request has a place of its own, and the queue an end.
        let mut first = pool.acquire_async(1);
        let mut second = pool.acquire_async(1);
        let mut third = pool.acquire_async(1);
        for waits in [&mut first, &mut second, &mut third] {
            assert!(poll(waits, Waker::noop()).is_pending());
        }
        drop(held.pop());
        assert!(poll(&mut second, Waker::noop()).is_pending());
        let Poll::Ready(Ok(buf)) = poll(&mut first, Waker::noop()) else {
            panic!("it came first");
        };
        drop(buf);
        assert!(poll(&mut second, Waker::noop()).is_ready());
        // To the third, which leaves.
        drop(third);
        drop(held);
        assert_whole(&*pool);
    }
}

#[test]
fn a_waker_dropped_with_a_panic_costs_no_bytes() {
    silence_what_is_meant();
    let budget = Budget::new(SIZE);
    let config = PoolConfig::new(SIZE).max(2).budget(&budget);
    let pool = BufferPool::with_config(config).unwrap();
    let held = pool.acquire().unwrap();
    // The bytes come when the request is about to wait for them.
    let buf = poll_and_drop_waker(&mut pool.acquire_async(1), Some(held));
    assert_eq!((budget.lent(), pool.stats().in_use), (SIZE, 1));
    drop(buf);
    assert_eq!((budget.lent(), pool.stats().in_use), (0, 0));
    drop(pool.acquire().unwrap());
}

#[test]
fn a_pool_closes_after_a_waker_was_dropped_with_a_panic() {
    silence_what_is_meant();
    for pool in pools() {
        let mut held = take_all(&*pool);
        let mut waiting = pool.acquire_async(1);
        assert!(poll(&mut waiting, Waker::noop()).is_pending());
        let last = held.pop();
        held.push(poll_and_drop_waker(&mut waiting, last));
        let mut queued = [pool.acquire_async(1), pool.acquire_async(1)];
        for waits in &mut queued {
            assert!(poll(waits, Waker::noop()).is_pending());
        }
        assert_eq!(pool.close().outstanding(), MAX);
        for waits in &mut queued {
            let answer = poll(waits, Waker::noop());
            assert!(matches!(answer, Poll::Ready(Err(AcquireError::Closed { .. }))));
        }
        drop(held);
        assert_eq!(pool.stats().in_use, 0);
    }
}

/// Drops what it holds when it is woken.
struct LetsGo(Mutex<Vec<PooledBuf>>);

impl Wake for LetsGo {
    fn wake(self: Arc<Self>) {
        // Not under the lock.
        let held = std::mem::take(&mut *self.0.lock());
        drop(held);
    }
}

#[test]
fn a_guard_may_be_dropped_inside_the_wake_up_that_another_ones_drop_makes() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let last = held.pop().unwrap();
        let lets_go = Waker::from(Arc::new(LetsGo(Mutex::new(held))));
        let mut first = pool.acquire_async(1);
        let mut second = pool.acquire_async(1);
        assert!(poll(&mut first, &lets_go).is_pending());
        assert!(poll(&mut second, Waker::noop()).is_pending());
        // Wakes the first, who lets go of the others, of which the second gets one.
        drop(last);
        assert!(matches!(poll(&mut first, Waker::noop()), Poll::Ready(Ok(_))));
        assert!(matches!(poll(&mut second, Waker::noop()), Poll::Ready(Ok(_))));
        assert_whole(&*pool);
    }
}

/// Drops a guard of another pool in the drop of its own.
struct Nested(Mutex<Vec<PooledBuf>>);

impl Recycle for Nested {
    fn recycle(&self, memory: Box<[u8]>, _dirty: usize) {
        let held = self.0.lock().pop();
        drop(held);
        drop(memory);
    }
}

#[test]
fn a_guard_may_be_dropped_inside_another_ones_drop() {
    for pool in pools() {
        let nested = Recycler::new(Nested(Mutex::new(take_all(&*pool))));
        for _ in 0..MAX {
            drop(nested.lend(vec![0; 1].into(), 0).unwrap());
        }
        assert_whole(&*pool);
    }
}

/// A guard that keeps itself: nobody will ever drop it.
struct Cycle {
    itself: RefCell<Option<Rc<Cycle>>>,
    _buf: PooledBuf,
    _pool: Arc<dyn Pool>,
}

#[test]
fn a_guard_in_a_cycle_costs_its_buffer_and_keeps_nobody_waiting() {
    for pool in pools() {
        let cycle = Rc::new(Cycle {
            itself: RefCell::default(),
            _buf: pool.acquire().unwrap(),
            _pool: Arc::clone(&pool),
        });
        cycle.itself.replace(Some(Rc::clone(&cycle)));
        let held: Vec<_> = (1..MAX).map(|_| pool.acquire().unwrap()).collect();
        assert!(pool.acquire().is_err());
        drop(held);
        assert_eq!(pool.stats().in_use, 1);
        // Waits for nobody, though this buffer never comes back.
        pool.close();
        assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
        assert_eq!(pool.stats().in_use, 1);
        // Broken in the end only for the leak detector.
        cycle.itself.take();
    }
}

#[test]
fn a_forgotten_request_costs_at_most_the_buffer_that_it_is_handed() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        let mut forgotten = ManuallyDrop::new(pool.acquire_async(1));
        assert!(poll(&mut forgotten, Waker::noop()).is_pending());
        drop(held.pop());
        assert_eq!((pool.stats().waiting, pool.stats().in_use), (0, MAX));
        // The next buffer serves the next request.
        drop(held.pop());
        assert_eq!(pool.acquire().unwrap().capacity(), SIZE);
        drop(held);
        assert_eq!(pool.stats().in_use, 1);
        // Only for the leak detector.
        drop(ManuallyDrop::into_inner(forgotten));
        assert_whole(&*pool);
    }
}

#[test]
fn a_panic_of_one_who_holds_buffers_serves_those_who_wait() {
    silence_what_is_meant();
    for pool in pools() {
        let held = take_all(&*pool);
        let mut waiting = pool.acquire_async(1);
        assert!(poll(&mut waiting, Waker::noop()).is_pending());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = held;
            panic::panic_any(MEANT);
        }));
        assert!(panicked.is_err());
        assert!(matches!(poll(&mut waiting, Waker::noop()), Poll::Ready(Ok(_))));
        assert_whole(&*pool);
    }
}

#[test]
fn a_panic_of_a_thread_that_holds_and_waits_costs_nothing() {
    silence_what_is_meant();
    for pool in pools() {
        let held = take_all(&*pool);
        let inside = Arc::clone(&pool);
        let panicked = thread::spawn(move || {
            let mut waiting = inside.acquire_async(1);
            let _ = poll(&mut waiting, Waker::noop());
            let _held = held;
            panic::panic_any(MEANT);
        });
        assert!(panicked.join().is_err());
        assert_whole(&*pool);
    }
}

#[test]
fn guards_may_be_dropped_on_another_thread_after_their_pool_is_closed_or_gone() {
    for gone in [false, true] {
        for pool in pools() {
            let mut held = take_all(&*pool);
            held[0].extend_from_slice(b"still here").unwrap();
            pool.close();
            let pool = (!gone).then_some(pool);
            let other = thread::spawn(move || {
                assert_eq!(held[0][..], *b"still here");
                drop(held);
            });
            other.join().unwrap();
            pool.inspect(|pool| assert_eq!(pool.stats().in_use, 0));
        }
    }
}

#[test]
fn lengths_of_every_size_are_served_or_refused_with_the_numbers() {
    for pool in pools() {
        assert_eq!(pool.acquire_for(0).unwrap().len(), 0);
        assert!(pool.acquire_for(SIZE).unwrap().capacity() >= SIZE);
        for requested in [
            SIZE + 1,
            u32::MAX as usize,
            (u32::MAX as usize).saturating_add(1),
            usize::MAX,
        ] {
            let max = SIZE;
            let error = AcquireError::TooLarge {
                pool: pool.name().into(),
                requested,
                max,
            };
            assert_eq!(pool.acquire_for(requested).unwrap_err(), error);
            let late = pool.acquire_timeout(requested, Duration::MAX);
            assert_eq!(late.unwrap_err(), error);
            let mut waiting = pool.acquire_async(requested);
            let answer = poll(&mut waiting, Waker::noop());
            assert!(matches!(answer, Poll::Ready(Err(AcquireError::TooLarge { .. }))));
        }
        assert_whole(&*pool);
    }
}

#[test]
fn buffers_are_aligned_beyond_the_page_too() {
    for alignment in [4096, 1 << 16, 1 << 21, 1 << 25] {
        let pool = AlignedPool::with_alignment(SIZE, MAX, alignment).unwrap();
        let held = take_all(&pool);
        for buf in &held {
            assert_eq!(buf.as_ptr() as usize % alignment, 0);
        }
        drop(held);
        assert_whole(&pool);
    }
}

#[test]
fn a_pool_of_as_many_buffers_as_there_are_numbers_lends_them_or_is_refused() {
    // Small machines, and sanitizers, may refuse the memory.
    let most = u32::MAX as usize - 1;
    match BufferPool::new(1, 0, most) {
        Ok(pool) => {
            assert_eq!(pool.stats().max, most);
            let held: Vec<_> = (0..1000).map(|_| pool.acquire().unwrap()).collect();
            let mut addresses: Vec<_> = held.iter().map(|buf| buf.as_ptr()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses.len(), 1000);
            drop(held);
            assert_eq!(pool.stats().in_use, 0);
        }
        Err(error) => assert!(error.to_string().contains("bytes"), "{error}"),
    }
}

/// The release that wakes comes from a destructor of a thread-local.
#[test]
fn a_pool_may_be_used_by_a_waker_on_a_thread_that_is_at_its_end() {
    struct AtEnd(RefCell<Option<PooledBuf>>);
    thread_local! {
        static AT_END: AtEnd = const { AtEnd(RefCell::new(None)) };
    }
    struct Counts(Arc<dyn Pool>, AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            drop(self.0.acquire());
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    for pool in pools() {
        let mut held = take_all(&*pool);
        let counts = Arc::new(Counts(Arc::clone(&pool), AtomicUsize::new(0)));
        let mut waiting = pool.acquire_async(1);
        assert!(poll(&mut waiting, &Waker::from(Arc::clone(&counts))).is_pending());
        let last = held.pop().unwrap();
        let ends = thread::spawn(move || AT_END.with(|at_end| at_end.0.replace(Some(last))));
        drop(ends.join().unwrap());
        assert_eq!(counts.1.load(Ordering::Relaxed), 1);
        assert!(matches!(poll(&mut waiting, Waker::noop()), Poll::Ready(Ok(_))));
        drop(held);
        assert_whole(&*pool);
    }
}
