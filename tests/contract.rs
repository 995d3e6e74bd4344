//! What all pools promise, checked on every one of them through `dyn Pool`; then what each adds.

use std::io::{self, ErrorKind, Read, Write};
use std::marker::PhantomPinned;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use poolbuf::{
    Acquire, AcquireError, AlignedPool, Budget, BudgetStats, BufferPool, CapacityError, ConfigError, ConfigProblem,
    Health, Heap, LockFreePool, MultiSizeConfig, MultiSizePool, Name, Overflow, POISON, Pool, PoolConfig, PoolStats,
    PooledBuf, PooledChain, Recycle, Recycler, ResizeError, Share, Wipe, Within,
};

#[path = "shared/pools.rs"]
mod pools;

use pools::every_pool;

/// Bytes a buffer of every pool under test.
const SIZE: usize = 1000;
/// Buffers of every pool under test.
const MAX: usize = 4;

/// Those with magazines without them, with such small ones that they are always empty or full, and with what the pool
/// decides.
fn pools_with(wipe: Wipe) -> Vec<Arc<dyn Pool>> {
    let config = PoolConfig::new(SIZE).initial(1).wipe(wipe);
    every_pool::<MAX>(&config, &[0, 1, 2, usize::MAX])
}

fn pools() -> Vec<Arc<dyn Pool>> {
    pools_with(Wipe::default())
}

/// A configuration of `max` buffers of `size` bytes, `initial` of them at first.
fn tier(size: usize, initial: usize, max: usize) -> PoolConfig {
    PoolConfig::new(size).initial(initial).max(max)
}

/// All that a pool can lend, and proof that it lends no more.
fn take_all(pool: &dyn Pool) -> Vec<PooledBuf> {
    let held: Vec<_> = (0..MAX).map(|_| pool.acquire().unwrap()).collect();
    let error = pool.acquire().unwrap_err();
    assert!(error.pool().starts_with(pool.name()));
    let exhausted = AcquireError::Exhausted {
        pool: error.pool().into(),
        in_use: MAX,
        max: MAX,
        first_wants: 0,
        held_by: None,
    };
    assert_eq!(error, exhausted);
    held
}

fn assert_closed(pool: &dyn Pool) {
    let error = pool.acquire().unwrap_err();
    let closed = AcquireError::Closed {
        pool: pool.name().into(),
    };
    assert_eq!(error, closed);
    assert_eq!(pool.acquire_many(1, 1).unwrap_err(), closed);
    let waited = pool.acquire_timeout(1, Duration::MAX);
    assert_eq!(waited.unwrap_err(), closed, "the whole, not a tier");
    let message = error.to_string();
    assert!(message.starts_with(pool.name()) && message.contains("is closed"));
}

#[test]
fn a_guard_starts_empty_and_holds_what_was_asked_for() {
    for pool in pools() {
        for len in [0, 1, 2, SIZE - 1, SIZE] {
            let buf = pool.acquire_for(len).unwrap();
            assert!(buf.is_empty());
            assert_eq!(buf.len(), 0);
            assert_eq!(&buf[..], b"");
            assert!(buf.capacity() >= len);
            assert_eq!(buf.spare_len(), buf.capacity());
        }
    }
}

#[test]
fn exactly_max_buffers_are_lent_all_different_and_again_after_release() {
    for pool in pools() {
        for _ in 0..3 {
            let mut held = take_all(&*pool);
            for (stamp, buf) in (0_u8..).zip(&mut held) {
                buf.extend_from_slice(&[stamp; SIZE]).unwrap();
            }
            for (stamp, buf) in (0_u8..).zip(&held) {
                assert_eq!(buf[..], [stamp; SIZE]);
            }
            held.pop();
            held.push(pool.acquire().unwrap());
            assert!(pool.acquire().is_err());
        }
        assert_eq!(pool.stats().in_use, 0);
    }
}

#[test]
fn a_request_too_large_is_refused_with_the_numbers_and_costs_nothing() {
    for pool in pools() {
        assert_eq!(pool.max_len(), SIZE);
        for len in [SIZE + 1, usize::MAX] {
            let error = pool.acquire_for(len).unwrap_err();
            assert_eq!(
                error,
                AcquireError::TooLarge {
                    pool: pool.name().into(),
                    requested: len,
                    max: SIZE
                }
            );
            assert!(error.to_string().contains(&len.to_string()));
            assert!(error.to_string().contains("1000"));
        }
        drop(take_all(&*pool));
        assert_eq!(pool.stats().refused, 1, "only `take_all` was refused");
    }
}

#[test]
fn a_closed_pool_lends_nothing_and_its_guards_live_on() {
    for pool in pools() {
        let mut held = pool.acquire().unwrap();
        held.extend_from_slice(b"before").unwrap();
        assert!(!pool.stats().closed);
        assert_eq!(pool.close().outstanding(), 1);
        assert_eq!(pool.close().outstanding(), 1);
        assert_closed(&*pool);
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.closed), (1, true));
        assert!(stats.to_string().contains(": closed, 1 still out"));
        held.extend_from_slice(b" and after").unwrap();
        assert_eq!(&held[..], b"before and after");
        drop(held);
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.acquired, stats.refused), (0, 1, 0));
        assert_closed(&*pool);
        assert_eq!((pool.close().outstanding(), pool.trim()), (0, 0));
    }
}

#[test]
fn guards_outlive_every_handle_of_their_pool() {
    for pool in pools() {
        let mut held = take_all(&*pool);
        drop(pool);
        for (stamp, buf) in (0_u8..).zip(&mut held) {
            buf.extend_from_slice(&[stamp; SIZE]).unwrap();
        }
        thread::spawn(move || {
            for (stamp, buf) in (0_u8..).zip(held) {
                assert_eq!(buf[..], [stamp; SIZE]);
            }
        })
        .join()
        .unwrap();
    }
}

#[test]
fn references_boxes_and_arcs_of_pools_are_pools() {
    fn lent(pool: impl Pool) -> (usize, usize, usize) {
        let held = (pool.acquire().unwrap(), pool.acquire_for(1).unwrap());
        let stats = pool.stats();
        assert_eq!(pool.name(), &*stats.name);
        assert_eq!(pool.holders().outstanding(), 2);
        (pool.max_len(), stats.in_use, held.0.capacity())
    }
    fn closed(pool: impl Pool) {
        let held = pool.acquire().unwrap();
        assert_eq!(pool.close().outstanding(), 1);
        assert_closed(&pool);
        drop(held);
    }
    fn trimmed(pool: impl Pool) -> usize {
        let held: Vec<_> = (0..64).map(|_| pool.acquire().unwrap()).collect();
        drop(held);
        pool.trim()
    }
    for pool in pools() {
        closed(&pool);
        assert_closed(&*pool);
    }
    closed(Box::new(pools().swap_remove(0)));
    // Whatever the system gives back, it is the same through whatever points there.
    let large = || BufferPool::new(1 << 16, 0, 64).unwrap();
    let given_back = trimmed(large());
    let pool = large();
    assert_eq!(trimmed(&pool), given_back);
    assert_eq!(trimmed(Box::new(large())), given_back);
    assert_eq!(trimmed(Arc::new(large()) as Arc<dyn Pool>), given_back);
    // One of the faults is that it gives back nothing.
    if !cfg!(poolbuf_faults) {
        let gives_back = cfg!(all(any(target_os = "linux", windows), not(miri)));
        assert_eq!(given_back > 0, gives_back);
    }
    for pool in pools() {
        assert_eq!(lent(&*pool), (SIZE, 2, SIZE));
        assert_eq!(lent(&pool), (SIZE, 2, SIZE));
        assert_eq!(lent(Box::new(&pool)), (SIZE, 2, SIZE));
        assert_eq!(lent(Arc::clone(&pool)), (SIZE, 2, SIZE));
    }
}

#[test]
fn clones_are_handles_of_the_same_pool() {
    let pool = BufferPool::new(SIZE, 0, 2).unwrap();
    let other = pool.clone();
    let _held = (pool.acquire().unwrap(), other.acquire().unwrap());
    assert!(pool.acquire().is_err() && other.acquire().is_err());
    let pool = MultiSizePool::new().unwrap();
    let _held = pool.clone().acquire().unwrap();
    assert_eq!(pool.stats().in_use, 1);
}

#[test]
fn types_have_the_size_and_the_bounds_that_are_promised() {
    fn everywhere<T: Send + Sync + Unpin + 'static>() {}
    fn whatever_panics<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}
    whatever_panics::<PooledBuf>();
    whatever_panics::<BufferPool>();
    whatever_panics::<AlignedPool>();
    whatever_panics::<LockFreePool<1>>();
    whatever_panics::<MultiSizePool>();
    whatever_panics::<Share<Heap>>();
    everywhere::<Arc<dyn Pool>>();
    everywhere::<AcquireError>();
    everywhere::<ConfigError>();
    everywhere::<ConfigProblem>();
    everywhere::<CapacityError>();
    everywhere::<PoolStats>();
    everywhere::<BudgetStats>();
    everywhere::<ResizeError>();
    assert!(size_of::<PooledBuf>() <= 40);
    // What every acquire returns.
    assert!(size_of::<Result<PooledBuf, AcquireError>>() <= 48);
    assert_eq!(size_of::<Option<PooledBuf>>(), size_of::<PooledBuf>());
    // Of those that are kept while they wait, on 64 bits. What a limit adds is the timer, or a pointer to it, and a
    // time.
    everywhere::<Acquire<'static>>();
    everywhere::<Acquire<'static, Vec<PooledBuf>>>();
    everywhere::<Acquire<'static, PooledChain>>();
    everywhere::<Within<'static, PhantomPinned>>();
    everywhere::<Within<'static, PhantomPinned, PooledChain>>();
    assert!(size_of::<Acquire<'_>>() <= 80);
    type Waits<T> = Within<'static, T>;
    assert!(size_of::<Waits<()>>() <= size_of::<Acquire<'_>>() + 24);
    assert!(size_of::<Waits<[u64; 32]>>() <= size_of::<Acquire<'_>>() + 32 * 8 + 8);
}

#[test]
fn what_does_not_fit_is_refused_whole_with_the_numbers() {
    for pool in pools() {
        let mut buf = pool.acquire().unwrap();
        buf.extend_from_slice(&[1; SIZE - 1]).unwrap();
        let error = buf.extend_from_slice(b"ab").unwrap_err();
        assert_eq!((error.requested, error.spare, error.capacity), (2, 1, SIZE));
        assert_eq!(
            error.to_string(),
            "2 bytes do not fit: the buffer has room for 1 of its 1000"
        );
        assert_eq!(buf.resize(SIZE + 1, 0), Err(error));
        assert!(buf.commit(2).is_err());
        assert!(buf.commit(usize::MAX).is_err());
        assert!(buf.spare_mut_for(2).is_err());
        assert_eq!(buf[..], [1; SIZE - 1], "nothing was written");
        buf.extend_from_slice(b"z").unwrap();
        assert_eq!((buf.len(), buf.spare_len()), (SIZE, 0));
        let error = buf.extend_from_slice(b"z").unwrap_err();
        assert_eq!((error.requested, error.spare, error.capacity), (1, 0, SIZE));
        assert_eq!(error.to_string(), "the buffer is full: it holds 1000 bytes");
        buf.extend_from_slice(b"").unwrap();
        buf.commit(0).unwrap();
        assert!(buf.spare_mut().is_empty());
    }
}

#[test]
fn writing_truncating_and_clearing_show_the_holders_own_bytes() {
    for pool in pools() {
        let mut buf = pool.acquire().unwrap();
        write!(buf, "{}-ab", 3 * 4).unwrap();
        buf.flush().unwrap();
        assert_eq!(&buf[..], b"12-ab");
        assert!(!buf.is_empty());
        buf.as_mut_slice().reverse();
        assert_eq!(buf.as_ref(), b"ba-21");
        buf.truncate(100);
        assert_eq!(buf.len(), 5);
        buf.truncate(2);
        assert_eq!(&buf[..], b"ba");
        buf.spare_mut()[..3].copy_from_slice(b"xyz");
        buf.commit(2).unwrap();
        assert_eq!(&buf[..], b"baxy");
        buf.commit(1).unwrap();
        assert_eq!(&buf[..], b"baxyz");
        buf.consume(2);
        assert_eq!(&buf[..], b"xyz");
        buf.consume(0);
        buf.extend_from_slice(b"!").unwrap();
        assert_eq!(&buf[..], b"xyz!");
        buf.consume(usize::MAX);
        assert!(buf.is_empty());
        buf.extend_from_slice(b"baxyz").unwrap();
        buf.clear();
        assert!(buf.is_empty());
        assert_eq!(buf.spare_len(), SIZE);
        buf.commit(5).unwrap();
        assert_eq!(&buf[..], b"baxyz", "a holder's own bytes stay its own");
        assert_eq!(format!("{buf:?}"), "PooledBuf { len: 5, capacity: 1000, .. }");
    }
}

/// A reader that does what it is told to, which may be what no reader should do.
struct Scripted(Vec<io::Result<usize>>);

impl Read for Scripted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        assert!(!into.is_empty(), "an empty read says nothing");
        self.0.pop().unwrap_or(Ok(0))
    }
}

#[test]
fn read_from_never_reads_nothing_in_silence() {
    for pool in pools() {
        let mut buf = pool.acquire().unwrap();
        let mut socket: &[u8] = b"hello";
        assert_eq!(buf.read_from(&mut socket).unwrap(), 5);
        assert_eq!(&buf[..], b"hello");
        assert_eq!(buf.read_from(&mut socket).unwrap(), 0, "the end");

        let interrupted = || Err(io::Error::from(ErrorKind::Interrupted));
        let mut reader = Scripted(vec![Ok(3), interrupted(), interrupted()]);
        assert_eq!(buf.read_from_any(&mut reader).unwrap(), 3);
        assert_eq!(buf.len(), 8);

        let mut broken = Scripted(vec![Err(ErrorKind::ConnectionReset.into())]);
        let error = buf.read_from_any(&mut broken).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let error = buf.read_from_any(&mut Scripted(vec![Ok(usize::MAX)])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(buf.len(), 8);

        assert_eq!(buf.read_from(&mut io::repeat(7)).unwrap(), SIZE - 8);
        let error = buf.read_from(&mut io::repeat(7)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero, "full is not the end");
        assert!(error.to_string().contains("the buffer is full"), "{error}");
    }
}

fn every_wipe() -> Vec<Wipe> {
    vec![
        Wipe::Never,
        Wipe::OnRelease,
        Wipe::Poison,
        #[cfg(feature = "zeroize")]
        Wipe::Secure,
    ]
}

/// No byte of the secret.
fn assert_no_secret(bytes: &[u8]) {
    assert!(
        bytes.iter().all(|&byte| byte == 0 || byte == POISON),
        "an earlier holder's bytes: {bytes:?}"
    );
}

#[test]
fn no_safe_read_shows_an_earlier_holders_bytes() {
    const SECRET: [u8; SIZE] = [0x5E; SIZE];
    type Leave = fn(&mut PooledBuf);
    let ways_to_leave: [Leave; 4] = [
        |buf| buf.extend_from_slice(&SECRET).unwrap(),
        |buf| buf.spare_mut().fill(0x5E),
        |buf| {
            buf.read_from(&mut io::repeat(0x5E)).unwrap();
            buf.clear();
        },
        |buf| {
            // SAFETY: bytes only.
            let spare = unsafe { buf.spare_capacity_mut() };
            spare.iter_mut().for_each(|byte| {
                byte.write(0x5E);
            });
        },
    ];
    let ways_to_look: [Leave; 6] = [
        |buf| assert_no_secret(buf.spare_mut()),
        |buf| assert_no_secret(buf.spare_mut_for(SIZE / 2).unwrap()),
        |buf| {
            buf.commit(SIZE).unwrap();
            assert_no_secret(buf);
        },
        |buf| {
            buf.extend_from_slice(&[0; 10]).unwrap();
            buf.truncate(3);
            buf.commit(500).unwrap();
            assert_no_secret(buf);
        },
        |buf| {
            buf.read_from_any(&mut Scripted(vec![Ok(SIZE)])).unwrap();
            assert_no_secret(buf);
        },
        |buf| {
            // SAFETY: nothing is written.
            let _ = unsafe { buf.spare_capacity_mut() };
            assert_no_secret(buf.spare_mut());
        },
    ];
    for wipe in every_wipe() {
        for leave in ways_to_leave {
            for look in ways_to_look {
                for pool in pools_with(wipe) {
                    let mut held = take_all(&*pool);
                    held.iter_mut().for_each(leave);
                    drop(held);
                    // Holders in between, who see nothing, hide nothing.
                    drop(take_all(&*pool));
                    take_all(&*pool).iter_mut().for_each(look);
                }
            }
        }
    }
}

#[test]
fn a_wipe_overwrites_what_was_dirty_as_it_says() {
    for (wipe, left) in [
        (Wipe::OnRelease, 0),
        (Wipe::Poison, POISON),
        (Wipe::Never, 0x5E),
        #[cfg(feature = "zeroize")]
        (Wipe::Secure, 0),
    ] {
        for pool in pools_with(wipe) {
            let mut held = take_all(&*pool);
            for buf in &mut held {
                buf.extend_from_slice(&[0x5E; 40]).unwrap();
                buf.clear();
            }
            drop(held);
            for mut buf in take_all(&*pool) {
                // SAFETY: nothing is written.
                let memory = unsafe { buf.spare_capacity_mut() };
                // SAFETY: a pool's bytes are always initialised.
                let memory = memory.iter().map(|byte| unsafe { byte.assume_init() });
                let expected = (0..SIZE).map(|at| if at < 40 { left } else { 0 });
                assert!(memory.eq(expected), "{wipe:?}");
            }
        }
    }
}

/// Keeps how much of each buffer counted as dirty.
#[derive(Default)]
struct Exposures(Mutex<Vec<usize>>);

impl Recycle for Exposures {
    fn recycle(&self, memory: Box<[u8]>, dirty: usize) {
        assert_eq!(memory.len(), SIZE);
        self.0.lock().push(dirty);
    }
}

#[test]
fn what_counts_as_dirty_is_what_was_written_or_handed_out() {
    let recycler = Recycler::new(Exposures::default());
    let dirty_after = |stale: usize, by: &dyn Fn(&mut PooledBuf)| {
        let mut buf = recycler.lend(vec![0; SIZE].into(), stale).unwrap();
        by(&mut buf);
        drop(buf);
        recycler.get_ref().0.lock().pop().unwrap()
    };
    assert_eq!(dirty_after(0, &|_| ()), 0);
    assert_eq!(dirty_after(70, &|_| ()), 70);
    assert_eq!(dirty_after(usize::MAX, &|_| ()), SIZE);
    let forty = |buf: &mut PooledBuf| buf.extend_from_slice(&[1; 40]).unwrap();
    assert_eq!(dirty_after(0, &forty), 40);
    assert_eq!(dirty_after(70, &forty), 70);
    let cleared = |buf: &mut PooledBuf| {
        forty(buf);
        buf.clear();
        buf.extend_from_slice(b"short").unwrap();
    };
    assert_eq!(dirty_after(0, &cleared), 40);
    let nine = |buf: &mut PooledBuf| assert_eq!(buf.spare_mut_for(9).unwrap(), [0; 9]);
    assert_eq!(dirty_after(0, &nine), 9);
    let length_then_frame = |buf: &mut PooledBuf| {
        buf.spare_mut_for(4).unwrap();
        buf.commit(4).unwrap();
        buf.spare_mut_for(60).unwrap();
    };
    assert_eq!(dirty_after(0, &length_then_frame), 64);
    let all = |buf: &mut PooledBuf| assert_eq!(buf.spare_mut(), [0; SIZE]);
    assert_eq!(dirty_after(0, &all), SIZE);
}

#[test]
fn a_recycler_gives_back_memory_that_a_guard_cant_count() {
    struct Freed;
    impl Recycle for Freed {
        fn recycle(&self, _: Box<[u8]>, _: usize) {}
    }
    let recycler = Recycler::new(Freed);
    assert_eq!(format!("{recycler:?}"), "Recycler { .. }");
    let empty = recycler.lend(Box::default(), 0).unwrap();
    assert_eq!((empty.capacity(), empty.len()), (0, 0));
    #[cfg(target_pointer_width = "64")]
    {
        // Address space only: nothing touches it.
        let largest = vec![0_u8; u32::MAX as usize].into_boxed_slice();
        let largest = recycler.lend(largest, 0).unwrap();
        assert_eq!(largest.capacity(), u32::MAX as usize);
        drop(largest);
        let huge = vec![0_u8; u32::MAX as usize + 1].into_boxed_slice();
        let huge = recycler.clone().lend(huge, 0).unwrap_err();
        assert_eq!(huge.len(), u32::MAX as usize + 1);
    }
}

#[test]
fn a_guard_dropped_in_unwinding_gives_its_buffer_back() {
    for pool in pools() {
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _held = take_all(&*pool);
            panic!("a handler failed");
        }));
        assert!(unwound.is_err());
        drop(take_all(&*pool));
    }
}

#[test]
fn a_forgotten_guard_costs_its_buffer_and_no_more() {
    for pool in pools() {
        // Not `forget`, so that the leak detector stays silent in the end; the pool can't tell.
        let forgotten = ManuallyDrop::new(pool.acquire().unwrap());
        let held: Vec<_> = (1..MAX).map(|_| pool.acquire().unwrap()).collect();
        assert!(pool.acquire().is_err());
        drop(held);
        assert_eq!(pool.stats().in_use, 1);
        drop(ManuallyDrop::into_inner(forgotten));
    }
}

#[test]
fn guards_dropped_by_dying_threads_come_back() {
    thread_local! {
        static KEPT: std::cell::RefCell<Vec<PooledBuf>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    for pool in pools() {
        let there = Arc::clone(&pool);
        thread::spawn(move || KEPT.with_borrow_mut(|kept| kept.extend(take_all(&*there))))
            .join()
            .unwrap();
        drop(take_all(&*pool));
    }
}

#[test]
fn threads_see_each_buffer_to_themselves_and_lose_none() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2_000;
    for pool in pools() {
        let start = Barrier::new(THREADS);
        let work = |stamp: u8| {
            start.wait();
            let mut lent = 0;
            for round in 0..ROUNDS {
                let Ok(mut buf) = pool.acquire_for(1 + round % SIZE) else {
                    thread::yield_now();
                    continue;
                };
                buf.extend_from_slice(&[stamp; SIZE]).unwrap();
                assert_eq!(buf[..], [stamp; SIZE]);
                lent += 1;
            }
            lent
        };
        let lent: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS as u8)
                .map(|stamp| scope.spawn(move || work(stamp)))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        let stats = pool.stats();
        assert_eq!(stats.acquired, lent);
        assert_eq!(stats.refused, (THREADS * ROUNDS) as u64 - lent);
        assert_eq!(stats.in_use, 0);
        assert!(stats.high_water <= MAX);
        drop(take_all(&*pool));
    }
}

#[test]
fn statistics_count_what_happened() {
    for pool in pools() {
        let held = take_all(&*pool);
        let mut held: Vec<_> = held.into_iter().take(2).collect();
        let stats = pool.stats();
        assert_eq!((stats.max, stats.total, stats.buffer_size), (MAX, MAX, SIZE));
        assert_eq!((stats.in_use, stats.available), (2, 2));
        assert_eq!((stats.high_water, stats.acquired, stats.refused), (4, 4, 1));
        assert!(stats.resident_bytes >= MAX * SIZE);
        assert_eq!(stats.used_percent(), 50);
        assert!(stats.to_string().contains("50% of 4 in use | refused 20.00%"));
        held.clear();
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.available, stats.high_water), (0, 4, 4));
    }
}

#[test]
fn a_buffer_pool_grows_from_initial_to_max() {
    let pool = BufferPool::new(SIZE, 1, 3).unwrap();
    let total = || (pool.stats().total, pool.stats().available);
    assert_eq!(total(), (1, 1));
    let first = pool.acquire().unwrap();
    assert_eq!(total(), (1, 0));
    let second = pool.acquire().unwrap();
    assert_eq!(total(), (2, 0));
    drop((first, second));
    assert_eq!(total(), (2, 2));
    let _both = (pool.acquire().unwrap(), pool.acquire().unwrap());
    assert_eq!(total(), (2, 0), "what there is, is lent before more is made");
}

#[test]
fn bad_configurations_are_refused_with_the_numbers() {
    let limit = u32::MAX as usize;
    let largest_power = 1 << (usize::BITS - 1);
    let digits = largest_power.to_string();
    let too_aligned = [&*digits, "8 bytes"];
    let cases: Vec<(Result<BufferPool, ConfigError>, &[&str])> = vec![
        (BufferPool::new(0, 1, 1), &["buffer size is 0"]),
        #[cfg(target_pointer_width = "64")]
        (BufferPool::new(limit + 1, 1, 1), &["4294967296", "4294967295"]),
        (BufferPool::new(1, 0, 0), &["max is 0"]),
        (BufferPool::new(1, 0, limit), &["4294967295", "4294967294"]),
        (BufferPool::new(8, 11, 10), &["11", "10"]),
        (
            BufferPool::new(limit, 0, limit - 1),
            &["4294967295", "4294967294", "aligned to 16"],
        ),
        (
            BufferPool::with_config(PoolConfig::new(8).alignment(48)),
            &["48", "power of two"],
        ),
        (
            BufferPool::with_config(PoolConfig::new(8).alignment(0)),
            &["0 bytes", "power of two"],
        ),
        (
            BufferPool::with_config(PoolConfig::new(8).alignment(largest_power)),
            &too_aligned,
        ),
    ];
    for (result, needles) in cases {
        let message = result.unwrap_err().to_string();
        for needle in needles {
            assert!(message.contains(needle), "{message:?} lacks {needle:?}");
        }
    }
    assert_eq!(AlignedPool::new(64, 0).unwrap_err().problem, ConfigProblem::ZeroBuffers);
    assert_eq!(
        AlignedPool::with_alignment(64, 1, 65).unwrap_err().problem,
        ConfigProblem::InvalidAlignment { alignment: 65 }
    );
    assert_eq!(
        LockFreePool::<0>::new(64).unwrap_err().problem,
        ConfigProblem::ZeroBuffers
    );
    assert_eq!(
        LockFreePool::<4>::new(0).unwrap_err().problem,
        ConfigProblem::ZeroBufferSize
    );
    assert!(matches!(
        LockFreePool::<{ u32::MAX as usize }>::new(1).unwrap_err().problem,
        ConfigProblem::TooManyBuffers { .. }
    ));
    assert_eq!(
        LockFreePool::<4>::with_config(PoolConfig::new(8).max(5))
            .unwrap_err()
            .problem,
        ConfigProblem::FixedMax { requested: 5, fixed: 4 }
    );
    assert_eq!(
        LockFreePool::<4>::with_config(PoolConfig::new(8).initial(5))
            .unwrap_err()
            .problem,
        ConfigProblem::InitialExceedsMax { initial: 5, max: 4 }
    );
    assert_eq!(
        BufferPool::with_config(PoolConfig::for_connections(usize::MAX))
            .unwrap_err()
            .problem,
        ConfigProblem::TooManyBuffers {
            max: usize::MAX,
            limit: limit - 1
        }
    );
    let multi = |config| MultiSizePool::with_config(config).unwrap_err().problem;
    assert_eq!(multi(MultiSizeConfig::new()), ConfigProblem::NoTiers);
    assert_eq!(
        multi(
            MultiSizeConfig::new()
                .tier(tier(512, 0, 1))
                .tier(tier(64, 0, 1))
                .tier(tier(512, 0, 2))
        ),
        ConfigProblem::DuplicateTier { buffer_size: 512 }
    );
    assert_eq!(
        multi(MultiSizeConfig::new().tier(tier(64, 2, 1))),
        ConfigProblem::InitialExceedsMax { initial: 2, max: 1 }
    );
}

#[test]
fn a_bad_configuration_is_told_by_the_name_of_the_pool_or_tier() {
    let named = |config: PoolConfig| BufferPool::with_config(config).unwrap_err();
    let error = named(PoolConfig::new(8).max(0).name("recv"));
    assert_eq!(
        (&*error.pool, &*error.to_string()),
        ("recv", "recv: the max is 0 buffers: such a pool could lend nothing")
    );
    assert_eq!(&*named(PoolConfig::new(0)).pool, "buffer pool");
    assert_eq!(&*AlignedPool::new(64, 0).unwrap_err().pool, "aligned pool");
    let multi = |config: MultiSizeConfig| MultiSizePool::with_config(config).unwrap_err().pool;
    let frames = || MultiSizeConfig::new().name("frames");
    assert_eq!(&*multi(frames()), "frames");
    assert_eq!(&*multi(frames().tier(tier(8, 0, 1)).tier(tier(8, 0, 1))), "frames");
    assert_eq!(&*multi(frames().tier(tier(64, 2, 1))), "frames (64 bytes)");
    assert_eq!(&*multi(frames().tier(tier(64, 2, 1).name("pages"))), "pages");
}

#[test]
fn a_name_that_would_break_a_line_makes_no_pool() {
    for (name, literal) in [("", r#""""#), ("a\nb", r#""a\nb""#), ("bell\u{7}", "")] {
        let error = BufferPool::with_config(PoolConfig::new(8).name(name)).unwrap_err();
        assert_eq!((&*error.pool, error.problem), (name, ConfigProblem::InvalidName));
        let text = error.to_string();
        assert!(text.starts_with(literal) && !text.contains(char::is_control), "{text}");
        let tiers = MultiSizeConfig::new().tier(tier(8, 0, 1));
        let error = MultiSizePool::with_config(tiers.name(name)).unwrap_err();
        assert_eq!((&*error.pool, error.problem), (name, ConfigProblem::InvalidName));
        let config = PoolConfig::new(8).budget(&Budget::with_name(100, name));
        let error = BufferPool::with_config(config).unwrap_err();
        assert_eq!(error.problem, ConfigProblem::InvalidBudgetName);
    }
    let name = "größe 接收 🦀";
    assert!(BufferPool::with_config(PoolConfig::new(8).name(name)).is_ok());
}

#[test]
fn memory_that_is_not_to_be_had_is_told_with_what_to_do() {
    let error = ConfigError::new("recv", ConfigProblem::OutOfMemory { bytes: 9 });
    let text = error.to_string();
    for part in ["recv", "9 bytes", "lower the max", "ulimit -v"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn errors_become_io_errors_and_keep_themselves() {
    let pool = Name::from("recv");
    let in_use = AcquireError::Exhausted {
        pool: pool.clone(),
        in_use: 256,
        max: 256,
        first_wants: 0,
        held_by: None,
    };
    let large = AcquireError::TooLarge {
        pool: pool.clone(),
        requested: 2,
        max: 1,
    };
    let over = AcquireError::OverBudget {
        pool: pool.clone(),
        requested: 3,
        lent: 2,
        budget: 4,
        waiting: 0,
    };
    let late = AcquireError::TimedOut {
        pool: pool.clone(),
        waited: Duration::from_millis(5),
        why: None,
    };
    let late_with = |why: &AcquireError| AcquireError::TimedOut {
        pool: pool.clone(),
        waited: Duration::from_millis(5),
        why: Some(Box::new(why.clone())),
    };
    let (late_for_buffer, late_for_bytes) = (late_with(&in_use), late_with(&over));
    for (error, kind, message) in [
        (
            in_use,
            ErrorKind::ResourceBusy,
            "all buffers of recv are in use (256 of 256): release some, shed load, or raise its max",
        ),
        (
            large,
            ErrorKind::InvalidInput,
            "2 bytes requested, but the largest buffer of recv has 1: \
             ask for less, or make it with larger buffers",
        ),
        (
            over,
            ErrorKind::ResourceBusy,
            "3 bytes of recv, beside 2 lent already, would exceed the budget of 4: \
             release some, shed load, or raise the budget",
        ),
        (
            late,
            ErrorKind::TimedOut,
            "waited 5.0ms in vain for recv: wait longer, shed load, or raise its max",
        ),
        (
            late_for_buffer,
            ErrorKind::TimedOut,
            "waited 5.0ms in vain for recv (256 of 256 in use): wait longer, shed load, or raise its max",
        ),
        (
            late_for_bytes,
            ErrorKind::TimedOut,
            "waited 5.0ms in vain for 3 bytes of recv, beside 2 lent already of a budget of 4: \
             wait longer, shed load, or raise the budget",
        ),
        (
            AcquireError::Closed { pool },
            ErrorKind::Other,
            "recv is closed: it lends no more buffers",
        ),
    ] {
        assert_eq!((error.pool(), error.to_string().as_str()), ("recv", message));
        let converted = io::Error::from(error.clone());
        assert_eq!(converted.kind(), kind);
        assert_eq!(converted.to_string(), error.to_string());
        let inner = converted.get_ref().unwrap().downcast_ref();
        assert_eq!(inner, Some(&error));
    }
    let converted = io::Error::from(ConfigError::new("recv", ConfigProblem::OutOfMemory { bytes: 9 }));
    assert_eq!(converted.kind(), ErrorKind::OutOfMemory);
    let converted = io::Error::from(ConfigError::new("recv", ConfigProblem::NoTiers));
    assert_eq!(converted.kind(), ErrorKind::InvalidInput);
}

#[test]
fn aligned_buffers_start_on_their_boundary() {
    for alignment in [1, 16, 64, 128, 4096, 8192, 1 << 21] {
        let pool = AlignedPool::with_alignment(100, 3, alignment).unwrap();
        let alignment = alignment.max(64);
        let mut held: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
        for buf in &mut held {
            assert_eq!(buf.capacity(), 100);
            assert_eq!(buf.spare_mut().as_ptr() as usize % alignment, 0);
            buf.extend_from_slice(&[1; 100]).unwrap();
        }
        assert!(pool.acquire().is_err());
    }
    assert_eq!(AlignedPool::new(8, 2).unwrap().region().stride(), 64);
}

#[test]
fn a_multi_size_request_gets_the_smallest_tier_that_holds_it() {
    let pool = MultiSizePool::new().unwrap();
    let sizes: Vec<_> = pool.tiers().iter().map(Pool::max_len).collect();
    assert_eq!(sizes, [64, 512, 2048, 8192, 32_768]);
    for tier in pool.stats().tiers {
        assert_eq!((tier.total, tier.max), (50, 500));
    }
    for len in 0..=pool.max_len() {
        let smallest = sizes.iter().copied().find(|&size| size >= len).unwrap();
        assert_eq!(pool.acquire_for(len).unwrap().capacity(), smallest);
    }
}

#[test]
fn an_empty_tier_refuses_or_goes_one_tier_up() {
    let pool = |overflow| {
        MultiSizePool::with_config(
            MultiSizeConfig::new()
                .tier(tier(300, 0, 1))
                .tier(tier(100, 0, 1))
                .tier(tier(200, 0, 1))
                .overflow(overflow),
        )
        .unwrap()
    };
    let full = |size| AcquireError::Exhausted {
        pool: format!("multi-size pool ({size} bytes)").into(),
        in_use: 1,
        max: 1,
        first_wants: 0,
        held_by: None,
    };

    let refusing = pool(Overflow::Refuse);
    let _held = refusing.acquire_for(100).unwrap();
    assert_eq!(refusing.acquire_for(100).unwrap_err(), full(100));
    assert_eq!(refusing.stats().refused, 1);
    assert_eq!(refusing.acquire_for(101).unwrap().capacity(), 200);

    let climbing = pool(Overflow::NextTier);
    let first = climbing.acquire_for(1).unwrap();
    let second = climbing.acquire_for(1).unwrap();
    assert_eq!((first.capacity(), second.capacity()), (100, 200));
    let both = AcquireError::Exhausted {
        pool: "multi-size pool (100 bytes) and multi-size pool (200 bytes)".into(),
        in_use: 2,
        max: 2,
        first_wants: 0,
        held_by: None,
    };
    assert_eq!(climbing.acquire_for(1).unwrap_err(), both, "not two up");
    let stats = climbing.stats();
    let refused: Vec<_> = stats.tiers.iter().map(|tier| tier.refused).collect();
    assert_eq!(refused, [1, 0, 0], "counted once, where it belongs");
    assert_eq!((stats.in_use, stats.max, stats.acquired), (2, 3, 2));
    assert!(matches!(stats.health(), Health::Tier { buffer_size: 100, .. }));
    let last = climbing.acquire_for(201).unwrap();
    assert_eq!(climbing.acquire_for(300).unwrap_err(), full(300), "no tier up");
    drop((first, second, last));
    assert_eq!(climbing.stats().in_use, 0);
}

#[test]
fn pools_have_the_names_that_they_are_given() {
    let named = BufferPool::with_config(PoolConfig::new(8).max(10).name("recv pool")).unwrap();
    assert_eq!(named.name(), "recv pool");
    assert_eq!(
        named.stats().to_string(),
        "recv pool: 0% of 10 in use | refused 0.00% | high water 0 | normal"
    );
    assert!(format!("{named:?}").contains("recv pool"));
    let frames = MultiSizeConfig::new()
        .tier(tier(64, 0, 1))
        .tier(tier(8, 0, 1))
        .tier(tier(512, 0, 1).name("pages"));
    let frames = MultiSizePool::with_config(frames.name("frames")).unwrap();
    assert_eq!(frames.name(), "frames");
    let tiers: Vec<_> = frames.tiers().iter().map(Pool::name).collect();
    assert_eq!(tiers, ["frames (8 bytes)", "frames (64 bytes)", "pages"]);
    // Whoever holds it as a pool of any kind sees the same, and can derive `Debug` over it.
    let any: Box<dyn Pool> = Box::new(Arc::new(&frames));
    assert_eq!(any.name(), "frames");
    assert!(format!("{any:?}").starts_with("MultiSizePool(PoolStats"));
    let lock_free = LockFreePool::<256>::new(8).unwrap();
    assert!(format!("{lock_free:?}").starts_with("LockFreePool<256>(PoolStats"));
    assert!(format!("{named:?}").starts_with("BufferPool(PoolStats"));
    for (pool, name) in pools()
        .into_iter()
        .zip(["lock-free", "buffer", "aligned", "multi-size"])
    {
        assert_eq!(&*pool.stats().name, format!("{name} pool"));
    }
}

#[cfg(feature = "compio-buf-08")]
#[test]
fn compio_sees_the_written_bytes_and_writes_behind_the_scenes() {
    use compio::buf::{IoBuf, IoBufMut, SetLen};
    for pool in pools_with(Wipe::Never) {
        let mut held = take_all(&*pool);
        held.iter_mut().for_each(|buf| buf.spare_mut().fill(0x5E));
        drop(held);
        let mut buf = pool.acquire().unwrap();
        assert_eq!((buf.buf_len(), buf.buf_capacity()), (0, SIZE));
        assert_eq!(buf.as_init(), b"");
        for (byte, value) in buf.as_uninit().iter_mut().zip(*b"pong") {
            byte.write(value);
        }
        // SAFETY: the first four bytes were written above.
        unsafe { SetLen::set_len(&mut buf, 4) };
        assert_eq!(buf.as_init(), b"pong");
        assert_no_secret(buf.spare_mut());
        assert_eq!(&buf[..], b"pong");
        let slice = buf.slice(1..3);
        assert_eq!(slice.as_init(), b"on");
    }
}
