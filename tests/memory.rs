//! What the pools do to the process's memory, seen by an allocator that keeps a ledger and, on Linux, by the
//! resident size. A single test in a binary of its own, since both are the whole process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;
use std::{ptr, thread};

use poolbuf::{
    AcquireError, AlignedPool, BufferPool, ConfigError, ConfigProblem, LockFreePool, MultiSizeConfig, MultiSizePool,
    Pool, PoolConfig,
};

#[path = "shared/poll.rs"]
mod poll;

use poll::poll;

/// The system's allocator, with a count of its calls and of the bytes that are out, and with failures on demand.
struct Ledger {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// So many large allocations succeed before one fails.
    large_until_failure: AtomicUsize,
}

/// Bytes of an allocation that may be told to fail: smaller ones do not depend on what a user asks for.
const LARGE: usize = 1024;

impl Ledger {
    fn fails(&self, layout: Layout) -> bool {
        // At the default it never gets to 0.
        layout.size() >= LARGE && self.large_until_failure.fetch_sub(1, Ordering::Relaxed) == 0
    }

    fn count(&self, layout: Layout, memory: *mut u8) -> *mut u8 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !memory.is_null() {
            self.bytes.fetch_add(layout.size(), Ordering::Relaxed);
        }
        memory
    }
}

// SAFETY: passes every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Ledger {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        self.count(layout, unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        self.count(layout, unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static LEDGER: Ledger = Ledger {
    calls: AtomicUsize::new(0),
    bytes: AtomicUsize::new(0),
    large_until_failure: AtomicUsize::new(usize::MAX),
};

#[test]
fn memory_is_taken_when_it_is_used_and_given_back_at_the_end() {
    // Whatever the first thread of a process allocates once is allocated, and the table in which this
    // thread finds its magazines, which it keeps.
    thread::spawn(|| ()).join().unwrap();
    pools().iter().for_each(|pool| drop(pool.acquire()));
    every_byte_is_freed_when_the_last_handle_and_the_last_guard_are_gone();
    acquire_and_release_never_call_the_allocator();
    a_wait_for_one_buffer_never_calls_the_allocator();
    many_for_whose_guards_there_is_no_memory_are_refused();
    threads_and_pools_that_come_and_go_leave_nothing_behind();
    a_pool_that_could_not_be_made_leaves_nothing_behind();
    wherever_memory_runs_out_there_is_an_error_and_nothing_left_behind();
    #[cfg(target_os = "linux")]
    buffers_beyond_initial_take_no_memory_before_they_are_written();
    #[cfg(target_os = "linux")]
    trimming_gives_memory_back_to_the_system();
}

fn pools() -> Vec<Box<dyn Pool>> {
    vec![
        Box::new(BufferPool::new(10_000, 1, 8).unwrap()),
        Box::new(AlignedPool::with_alignment(10_000, 8, 4096).unwrap()),
        Box::new(LockFreePool::<8>::new(10_000).unwrap()),
        Box::new(MultiSizePool::new().unwrap()),
    ]
}

fn every_byte_is_freed_when_the_last_handle_and_the_last_guard_are_gone() {
    // Guards first, handles first, and guards on another thread after the handles.
    for order in 0..3 {
        let before = LEDGER.bytes.load(Ordering::Relaxed);
        for pool in pools() {
            let held: [_; 8] = std::array::from_fn(|_| pool.acquire().unwrap());
            match order {
                0 => drop((held, pool)),
                1 => drop((pool, held)),
                _ => {
                    drop(pool);
                    // Joined, and not scoped: a scope does not wait for the end of its threads' locals.
                    let threads = held.map(|buf| thread::spawn(move || drop(buf)));
                    threads.into_iter().for_each(|thread| thread.join().unwrap());
                }
            }
        }
        assert_eq!(LEDGER.bytes.load(Ordering::Relaxed), before, "order {order}");
    }
}

/// What a thread keeps for a pool is freed when the thread ends, or uses another pool after that one was
/// closed: neither threads nor pools that come and go leave anything behind.
fn threads_and_pools_that_come_and_go_leave_nothing_behind() {
    let bytes = || LEDGER.bytes.load(Ordering::Relaxed);
    let before = bytes();
    let pool = BufferPool::new(10_000, 1, 8).unwrap();
    drop(pool.acquire());
    let with_pool = bytes();
    for _ in 0..2000 {
        let use_it = || drop(pool.acquire().unwrap());
        thread::scope(|scope| scope.spawn(use_it).join().unwrap());
        assert_eq!(bytes(), with_pool);
    }
    drop(pool);
    assert_eq!(bytes(), before);
    let (to_user, pools) = mpsc::channel::<BufferPool>();
    let (done, was_used) = mpsc::sync_channel(0);
    let user = thread::spawn(move || {
        for pool in pools {
            drop(pool.acquire().unwrap());
            drop(pool);
            done.send(()).unwrap();
        }
    });
    let mut grown_to = 0;
    for round in 0..2000 {
        let pool = BufferPool::new(10_000, 1, 8).unwrap();
        to_user.send(pool.clone()).unwrap();
        was_used.recv().unwrap();
        drop(pool);
        // What the user keeps for the last pool, and what its first rounds and the channels allocated; these, a
        // little more when a thread comes to wait for the first time.
        if round < 64 {
            grown_to = grown_to.max(bytes() + 2000);
        }
        assert!(bytes() <= grown_to, "round {round}");
    }
    drop(to_user);
    user.join().unwrap();
}

fn acquire_and_release_never_call_the_allocator() {
    for pool in pools() {
        // A thread's first acquire gives it a magazine.
        drop(pool.acquire());
        let before = LEDGER.calls.load(Ordering::Relaxed);
        for _ in 0..100 {
            let held: [_; 8] = std::array::from_fn(|_| pool.acquire().unwrap());
            drop(held);
            let _ = pool.acquire_for(usize::MAX);
        }
        assert_eq!(LEDGER.calls.load(Ordering::Relaxed), before);
    }
}

/// But for the first, which makes room for the line.
fn a_wait_for_one_buffer_never_calls_the_allocator() {
    for pool in pools() {
        let wait = |served: bool| {
            let mut held: Vec<_> = std::iter::from_fn(|| pool.acquire().ok()).collect();
            let before = LEDGER.calls.load(Ordering::Relaxed);
            let mut first = pool.acquire_async(10_000);
            let mut second = pool.acquire_async(10_000);
            assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
            if served {
                drop(held.pop());
                assert!(poll(&mut first).is_ready());
                assert!(poll(&mut second).is_ready());
            }
            drop((first, second));
            LEDGER.calls.load(Ordering::Relaxed) - before
        };
        wait(true);
        for served in [true, false, true] {
            assert_eq!(wait(served), 0, "{}", pool.name());
        }
    }
}

/// Whether they are to be lent at once, waited for, or are there at once after all.
fn many_for_whose_guards_there_is_no_memory_are_refused() {
    const MANY: usize = 100;
    for pool in [
        Box::new(BufferPool::new(64, 0, MANY).unwrap()) as Box<dyn Pool>,
        Box::new(BufferPool::with_config(PoolConfig::new(64).max(MANY).magazine(0)).unwrap()),
        Box::new(LockFreePool::<MANY>::new(64).unwrap()),
    ] {
        let mut held = Some(pool.acquire().unwrap());
        drop(poll(&mut pool.acquire_many_async(MANY, 64)));
        for round in 0..3 {
            if round == 1 {
                held = None;
            }
            LEDGER.large_until_failure.store(0, Ordering::Relaxed);
            let refused = match round {
                0 => poll(&mut pool.acquire_many_async(MANY, 64)),
                1 => poll(&mut pool.acquire_many_async(MANY, 64)),
                _ => Poll::Ready(pool.acquire_many(MANY, 64)),
            };
            LEDGER.large_until_failure.store(usize::MAX, Ordering::Relaxed);
            let Poll::Ready(Err(error)) = refused else {
                panic!("{}: round {round}", pool.name());
            };
            assert!(
                matches!(error, AcquireError::OutOfMemory { bytes: 4000, .. }),
                "{error}"
            );
            assert_eq!(error.pool(), pool.name());
        }
        drop(held);
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
        assert_eq!(pool.acquire_many(MANY, 64).unwrap().len(), MANY);
    }
}

fn a_pool_that_could_not_be_made_leaves_nothing_behind() {
    let before = LEDGER.bytes.load(Ordering::Relaxed);
    let huge = PoolConfig::new(u32::MAX as usize).max(2_000_000_000);
    assert!(BufferPool::with_config(huge.clone()).is_err());
    assert!(AlignedPool::with_config(huge).is_err());
    assert_eq!(LEDGER.bytes.load(Ordering::Relaxed), before);
}

fn wherever_memory_runs_out_there_is_an_error_and_nothing_left_behind() {
    type Made = Result<Box<dyn Pool>, ConfigError>;
    fn boxed(made: Result<impl Pool + 'static, ConfigError>) -> Made {
        made.map(|pool| Box::new(pool) as Box<dyn Pool>)
    }
    fn config(magazine: usize) -> PoolConfig {
        let config = PoolConfig::new(4096).max(2000).reserve(4000);
        config
            .magazine(magazine)
            .track_holders(true)
            .decay(Duration::from_secs(1))
    }
    let constructors: [fn() -> Made; 6] = [
        || boxed(BufferPool::with_config(config(0))),
        || boxed(BufferPool::with_config(config(64))),
        || boxed(AlignedPool::with_config(config(64).alignment(1 << 16))),
        || boxed(LockFreePool::<2000>::with_config(PoolConfig::new(4096).max(2000))),
        || boxed(MultiSizePool::new()),
        || {
            boxed(MultiSizePool::with_config(
                MultiSizeConfig::new()
                    .tier(PoolConfig::new(64).max(500))
                    .tier(PoolConfig::new(512).max(500)),
            ))
        },
    ];
    let mut failures = 0;
    for (number, make) in constructors.iter().enumerate() {
        let before = LEDGER.bytes.load(Ordering::Relaxed);
        for succeed in 0.. {
            LEDGER.large_until_failure.store(succeed, Ordering::Relaxed);
            let made = make();
            LEDGER.large_until_failure.store(usize::MAX, Ordering::Relaxed);
            match made {
                Ok(pool) => {
                    assert!(succeed > 0, "constructor {number} allocates something large");
                    drop(pool);
                    break;
                }
                Err(error) => match error.problem {
                    ConfigProblem::OutOfMemory { bytes } => assert!(bytes >= LARGE),
                    _ => panic!("constructor {number}: {error}"),
                },
            }
            failures += 1;
            assert_eq!(LEDGER.bytes.load(Ordering::Relaxed), before);
        }
    }
    println!("faults survived: {failures} failed allocations");
}

/// Bytes of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<usize>().ok()).unwrap() * 1024
}

#[cfg(target_os = "linux")]
fn buffers_beyond_initial_take_no_memory_before_they_are_written() {
    const MIB: usize = 1 << 20;
    for alignment in [16, 64, 1 << 21] {
        // 4 GiB of address space or more, and less where there are only 4; of which 32 MiB are to be touched.
        let max = if usize::BITS > 32 { 4096 } else { 512 };
        let config = PoolConfig::new(MIB).max(max).initial(32).alignment(alignment);
        let before = resident();
        let pool = AlignedPool::with_config(config).unwrap();
        let made = resident() - before;
        assert!(made >= 32 * MIB, "the initial buffers are touched: {made}");
        assert!(made < 128 * MIB, "the others are not: {made}");
        assert!(pool.stats().resident_bytes >= 32 * MIB);

        // How much a first write commits is up to the system: a page, or 2 MiB where it has huge ones.
        let held: Vec<_> = (0..256).map(|_| pool.acquire().unwrap()).collect();
        drop(held);
        let lent = resident() - before;
        assert!(lent < 128 * MIB, "nor are they by being lent: {lent}");
    }
}

#[cfg(target_os = "linux")]
fn trimming_gives_memory_back_to_the_system() {
    const MIB: usize = 1 << 20;
    for decay in [false, true] {
        let config = PoolConfig::new(MIB).max(128).magazine(0);
        let config = if decay {
            // A generation is over whenever anybody looks.
            config.decay(Duration::ZERO)
        } else {
            config
        };
        let pool = BufferPool::with_config(config).unwrap();
        let before = resident();
        let mut held: Vec<_> = (0..128).map(|_| pool.acquire().unwrap()).collect();
        held.iter_mut().for_each(|buf| buf.spare_mut().fill(1));
        assert!(resident() - before >= 120 * MIB);
        held.truncate(32);
        if decay {
            let decayed = (0..1_000_000).any(|_| pool.stats().resident_bytes <= 40 * MIB);
            assert!(decayed, "{:?}", pool.stats());
        } else {
            assert!(pool.trim() >= 95 * MIB);
        }
        let after = resident() - before;
        assert!((30 * MIB..=48 * MIB).contains(&after), "{after}");
        assert!(pool.stats().resident_bytes <= 40 * MIB);
    }
}
