//! Does arbitrary operations on two to four threads at once. What a thread is lent depends on the others, so there is
//! no model here: bytes must stay what their holder made them, errors must be such as can be, counters must not go
//! down, and in the end everything must be back, and counted as the threads counted it.
//!
//! Nothing waits for ever: a wait has a time limit, and futures are polled and never waited for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use parking_lot::Mutex;
use poolbuf::{AcquireError, Budget, BudgetStats, POISON, PoolStats, PooledBuf};

use crate::any_pool::AnyPool;
use crate::operation::{Count, Length, Max, Seldom, choose};
use crate::request::Request;
use crate::setup::Setup;

/// Most threads.
const THREADS: usize = 4;
/// Most operations of all threads together.
const OPERATIONS: usize = 200;
/// Most requests of a thread that wait at a time.
const REQUESTS: usize = 4;

/// One thing that a thread does.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Operation {
    Acquire {
        pool: u8,
        len: Length,
    },
    AcquireTimeout {
        pool: u8,
        len: Length,
        micros: u8,
    },
    /// Begins to wait.
    Request {
        pool: u8,
        len: Length,
    },
    Poll {
        which: u8,
    },
    Cancel {
        which: u8,
    },
    Release {
        which: u8,
    },
    Write {
        which: u8,
        len: Length,
    },
    LookAtSpare {
        which: u8,
    },
    Freeze {
        which: u8,
    },
    Share {
        which: u8,
    },
    /// Gives what it holds to another thread.
    HandOver {
        which: u8,
        to: u8,
    },
    /// Takes what others gave it.
    Receive,
    SetMax {
        pool: u8,
        tier: u8,
        max: Max,
    },
    Trim {
        pool: u8,
    },
    Close {
        pool: u8,
        really: Seldom,
    },
    AnotherHandle {
        pool: u8,
    },
    Stats {
        pool: u8,
    },
    Yield,
    AcquireMany {
        pool: u8,
        count: Count,
        len: Length,
    },
    AcquireManyTimeout {
        pool: u8,
        count: Count,
        len: Length,
        micros: u8,
    },
    /// Begins to wait.
    RequestMany {
        pool: u8,
        count: Count,
        len: Length,
    },
    // What was added later comes last, so that what the fuzzer kept changes its meaning least.
    /// Two guards over one buffer, if the guard has room behind what is written.
    Split {
        which: u8,
        at: Length,
    },
    Reclaim {
        which: u8,
    },
    /// As `AcquireManyTimeout`, but through the thread's share of the pool.
    AcquireShared {
        pool: u8,
        count: Count,
        len: Length,
        micros: u8,
    },
}

/// What all threads share.
struct Shared {
    budgets: Vec<Budget>,
    /// That all threads' shares are charged to.
    share: Budget,
    /// Whether a thread has closed the pool, or is about to.
    closed: Vec<AtomicBool>,
    /// How requests to the pool ended.
    counts: Vec<Counts>,
    /// For each thread, what others gave it.
    inboxes: Vec<Mutex<Vec<Held>>>,
    /// Threads that are ready.
    ready: AtomicUsize,
}

#[derive(Default)]
struct Counts {
    /// Buffers; and those that may have been granted to a request that was dropped.
    lent: AtomicU64,
    perhaps_lent: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    abandoned: AtomicU64,
    /// Requests through a share that failed: of its budget, which the pool does not count, or of the pool.
    perhaps_failed: AtomicU64,
}

/// A request that was polled, and waits.
struct Waiting<'p> {
    request: Request<'p>,
    pool: usize,
    /// Buffers that it asks for.
    count: usize,
}

/// A buffer, all of whose bytes are its stamp.
struct Held {
    bytes: Owned,
    stamp: u8,
    len: usize,
}

enum Owned {
    Guard(PooledBuf),
    Frozen(Bytes),
}

/// Runs what `data` says. Panics if something is wrong.
pub fn run(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let Ok((setup, threads)) = <(Setup, u8)>::arbitrary(&mut unstructured) else {
        return;
    };
    let threads = 2 + usize::from(threads) % (THREADS - 1);
    let mut operations = vec![Vec::new(); threads];
    for _ in 0..OPERATIONS {
        if unstructured.is_empty() {
            break;
        }
        let Ok((thread, operation)) = <(u8, Operation)>::arbitrary(&mut unstructured) else {
            break;
        };
        operations[usize::from(thread) % threads].push(operation);
    }
    let budgets = setup.budgets();
    let pools = setup.build(&budgets);
    let largest = pools.iter().map(|pool| pool.max_len()).max().unwrap();
    let shared = Shared {
        budgets,
        share: Budget::new(2 * largest),
        closed: pools.iter().map(|_| AtomicBool::new(false)).collect(),
        counts: pools.iter().map(|_| Counts::default()).collect(),
        inboxes: (0..threads).map(|_| Mutex::new(Vec::new())).collect(),
        ready: AtomicUsize::new(0),
    };
    let work: Vec<_> = operations
        .iter()
        .enumerate()
        .map(|(number, operations)| {
            let handles = pools.iter().map(|pool| pool.another_handle()).collect();
            Thread::new(number, &shared, handles, operations)
        })
        .collect();
    // Then the last thread that ends closes them.
    let pools = (!setup.handles_go_first).then_some(pools);
    thread::scope(|scope| {
        let spawned: Vec<_> = work.into_iter().map(|thread| scope.spawn(|| thread.work())).collect();
        // One by one, which the thread sanitizer follows, unlike the end of the scope.
        for thread in spawned {
            thread.join().unwrap();
        }
    });
    for inbox in &shared.inboxes {
        for held in std::mem::take(&mut *inbox.lock()) {
            held.check();
        }
    }
    for budget in shared.budgets.iter().chain([&shared.share]) {
        assert_eq!((budget.lent(), budget.stats().waiting), (0, 0));
    }
    if let Some(pools) = &pools {
        assert_budgets_agree(&shared, pools);
    }
    for (number, pool) in pools.iter().flatten().enumerate() {
        shared.counts[number].assert_exact(&pool.stats());
        let closed = shared.closed[number].load(Ordering::Relaxed);
        assert_whole(pool.as_ref(), closed || !shared.budgets.is_empty());
    }
}

impl Counts {
    /// Counts how a request ended.
    fn count(&self, result: &Result<Vec<PooledBuf>, AcquireError>) {
        let (counter, count) = match result {
            Ok(bufs) => (&self.lent, bufs.len() as u64),
            Err(
                AcquireError::Exhausted { .. } | AcquireError::OverBudget { .. } | AcquireError::TooManyWaiting { .. },
            ) => (&self.refused, 1),
            Err(AcquireError::TimedOut { .. }) => (&self.timed_out, 1),
            Err(_) => return,
        };
        counter.fetch_add(count, Ordering::Relaxed);
    }

    fn assert_exact(&self, stats: &PoolStats) {
        let Counts {
            lent,
            perhaps_lent,
            refused,
            timed_out,
            abandoned,
            perhaps_failed,
        } = self;
        let counters = [lent, perhaps_lent, refused, timed_out, abandoned];
        let [lent, perhaps_lent, refused, timed_out, abandoned] =
            counters.map(|counter| counter.load(Ordering::Relaxed));
        let acquired = lent..=lent + perhaps_lent;
        assert!(acquired.contains(&stats.acquired), "{acquired:?}: {stats:?}");
        let more = perhaps_failed.load(Ordering::Relaxed);
        assert!(
            (refused..=refused + more).contains(&stats.refused),
            "refused: {stats:?}"
        );
        let (before, timed_out) = (timed_out, stats.timed_out);
        assert!((before..=before + more).contains(&timed_out), "timed out: {stats:?}");
        assert_eq!(stats.abandoned, abandoned, "abandoned: {stats:?}");
        // The others were served, each with one or many, or told that the pool is closed, or never lends so many.
        let served = stats.waits.saturating_sub(timed_out + abandoned);
        assert!(timed_out + abandoned <= stats.waits, "{stats:?}");
        assert!(stats.handed_over == 0 || served > 0, "{stats:?}");
    }
}

/// What the pools count as for want of bytes is what the budgets count.
fn assert_budgets_agree(shared: &Shared, pools: &[Box<dyn AnyPool>]) {
    let pools: Vec<_> = pools.iter().map(|pool| pool.stats()).collect();
    let budgets: Vec<_> = shared.budgets.iter().map(Budget::stats).collect();
    let in_pools = |figure: fn(&PoolStats) -> u64| pools.iter().map(figure).sum::<u64>();
    let in_budgets = |figure: fn(&BudgetStats) -> u64| budgets.iter().map(figure).sum::<u64>();
    let over_budget = in_budgets(|it| it.refused + it.timed_out + it.abandoned);
    let waits = in_budgets(|it| it.waits);
    assert_eq!(in_pools(|it| it.over_budget), over_budget, "{budgets:?}");
    assert_eq!(in_pools(|it| it.waits_for_bytes), waits, "{budgets:?}");
}

/// What never goes down.
fn counters(stats: &PoolStats) -> [u64; 9] {
    let waited = stats.waited.as_nanos() as u64;
    [
        stats.acquired,
        stats.refused,
        stats.over_budget,
        stats.waits,
        stats.handed_over,
        stats.timed_out,
        stats.abandoned,
        stats.waits_for_bytes,
        waited,
    ]
}

/// What never goes down.
fn counters_of_budget(stats: &BudgetStats) -> [u64; 7] {
    let (high_water, waited) = (stats.high_water as u64, stats.waited.as_nanos() as u64);
    [
        high_water,
        stats.refused,
        stats.waits,
        stats.granted,
        stats.timed_out,
        stats.abandoned,
        waited,
    ]
}

fn assert_not_less<const N: usize>(before: &mut [u64; N], now: [u64; N]) {
    let rise = |(before, now): (&u64, &u64)| before <= now;
    assert!(before.iter().zip(&now).all(rise), "{before:?}, and then {now:?}");
    *before = now;
}

/// Everything is back, and can be lent again unless that is `limited` otherwise.
fn assert_whole(pool: &dyn AnyPool, limited: bool) {
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
    assert_eq!(stats.available, stats.total, "{stats:?}");
    if limited {
        return;
    }
    let parts = match &stats.tiers[..] {
        [] => std::slice::from_ref(&stats),
        parts => parts,
    };
    let mut held: Vec<PooledBuf> = Vec::new();
    // The largest first, so that none is served by a larger one.
    for tier in parts.iter().rev() {
        held.extend((0..tier.max).map(|_| pool.acquire_for(tier.buffer_size).unwrap()));
        assert!(pool.acquire_for(tier.buffer_size).is_err());
    }
    let mut places: Vec<_> = held.iter().map(|buf| buf.as_ptr()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), held.len(), "lent twice");
    drop(held);
    for tier in parts {
        let all = pool.acquire_many(tier.max, tier.buffer_size).unwrap();
        assert!(all.iter().all(|buf| buf.capacity() == tier.buffer_size));
    }
}

/// A thread, and what it has.
struct Thread<'a> {
    number: usize,
    shared: &'a Shared,
    operations: &'a [Operation],
    /// One for each pool, of its own.
    handles: Vec<Box<dyn AnyPool>>,
    more_handles: Vec<Box<dyn AnyPool>>,
    held: Vec<Held>,
    stamps: u8,
    /// The counters of each pool, and those of each budget, when it last looked.
    seen: Vec<[u64; 9]>,
    seen_of_budgets: Vec<[u64; 7]>,
}

impl<'a> Thread<'a> {
    fn new(number: usize, shared: &'a Shared, handles: Vec<Box<dyn AnyPool>>, operations: &'a [Operation]) -> Self {
        Thread {
            number,
            shared,
            operations,
            seen: handles.iter().map(|_| [0; 9]).collect(),
            seen_of_budgets: shared.budgets.iter().map(|_| [0; 7]).collect(),
            handles,
            more_handles: Vec::new(),
            held: Vec::new(),
            stamps: 0,
        }
    }

    fn work(mut self) {
        self.shared.ready.fetch_add(1, Ordering::SeqCst);
        while self.shared.ready.load(Ordering::SeqCst) < self.shared.inboxes.len() {
            thread::yield_now();
        }
        let handles = std::mem::take(&mut self.handles);
        let mut waiting = Vec::new();
        for &operation in self.operations {
            self.apply(operation, &handles, &mut waiting);
            self.held.iter().for_each(Held::check);
            for budget in self.shared.budgets.iter().chain([&self.shared.share]) {
                assert!(budget.lent() <= budget.stats().limit);
            }
        }
        for one in waiting {
            self.abandon(one);
        }
        drop(handles);
        self.held.iter().for_each(Held::check);
    }

    fn apply<'p>(
        &mut self,
        operation: Operation,
        handles: &'p [Box<dyn AnyPool>],
        waiting: &mut Vec<Waiting<'p>>,
    ) -> Option<()> {
        let find = |which: u8| {
            let pool = usize::from(which) % handles.len();
            (pool, handles[pool].as_ref())
        };
        match operation {
            Operation::Acquire { pool, len } => {
                let (pool, handle) = find(pool);
                let len = len.of(handle.max_len());
                let result = handle.acquire_for(len).map(|buf| vec![buf]);
                self.lent(pool, 1, len, handle, result);
            }
            Operation::AcquireTimeout { pool, len, micros } => {
                let (pool, handle) = find(pool);
                let len = len.of(handle.max_len());
                let timeout = Duration::from_micros(micros.into());
                let result = handle.acquire_timeout(len, timeout);
                self.lent(pool, 1, len, handle, result.map(|buf| vec![buf]));
            }
            Operation::AcquireMany { pool, count, len } => {
                let (pool, handle) = find(pool);
                let (count, len) = (count.buffers(), len.of(handle.max_len()));
                let result = handle.acquire_many(count, len);
                self.lent(pool, count, len, handle, result);
            }
            Operation::AcquireManyTimeout {
                pool,
                count,
                len,
                micros,
            } => {
                let (pool, handle) = find(pool);
                let (count, len) = (count.buffers(), len.of(handle.max_len()));
                let timeout = Duration::from_micros(micros.into());
                let result = handle.acquire_many_async(count, len).wait_timeout(timeout);
                self.lent(pool, count, len, handle, result);
            }
            Operation::Request { pool, len } if waiting.len() < REQUESTS => {
                let (pool, handle) = find(pool);
                // What is too large is tried without waiting.
                let len = len.of(handle.max_len()).min(handle.max_len());
                let request = Request::one(handle, len, waiting.len() % 2 == 0);
                let count = 1;
                waiting.push(Waiting { request, pool, count });
                self.poll(handles, waiting, waiting.len() - 1);
            }
            Operation::RequestMany { pool, count, len } if waiting.len() < REQUESTS => {
                let (pool, handle) = find(pool);
                let len = len.of(handle.max_len()).min(handle.max_len());
                let count = count.buffers();
                let request = match count {
                    0 => Request::Many(handle.acquire_many_async(count, len)),
                    _ => Request::many(handle, count, len, waiting.len() % 2 == 0),
                };
                waiting.push(Waiting { request, pool, count });
                self.poll(handles, waiting, waiting.len() - 1);
            }
            Operation::Poll { which } => {
                let which = choose(which, waiting.len())?;
                self.poll(handles, waiting, which);
            }
            Operation::Cancel { which } => {
                let which = choose(which, waiting.len())?;
                self.abandon(waiting.swap_remove(which));
            }
            Operation::Release { which } => {
                let which = choose(which, self.held.len())?;
                drop(self.held.swap_remove(which));
            }
            Operation::Write { which, len } => {
                let which = choose(which, self.held.len())?;
                self.held[which].write(len);
            }
            Operation::LookAtSpare { which } => {
                let which = choose(which, self.held.len())?;
                self.held[which].look_at_spare();
            }
            Operation::Freeze { which } => {
                let which = choose(which, self.held.len())?;
                let held = self.held.swap_remove(which);
                self.held.extend(held.freeze());
            }
            Operation::Share { which } => {
                let which = choose(which, self.held.len())?;
                let shared = self.held[which].share();
                self.held.extend(shared);
            }
            Operation::HandOver { which, to } => {
                let which = choose(which, self.held.len())?;
                let to = choose(to, self.shared.inboxes.len())?;
                let held = self.held.swap_remove(which);
                self.shared.inboxes[to].lock().push(held);
            }
            Operation::Receive => {
                let received = std::mem::take(&mut *self.shared.inboxes[self.number].lock());
                self.held.extend(received);
            }
            Operation::SetMax { pool, tier, max } => {
                let (_, handle) = find(pool);
                let tiers = handle.stats().tiers.len().max(1);
                let _ = handle.set_max(usize::from(tier) % tiers, max.buffers());
            }
            Operation::Trim { pool } => drop(find(pool).1.trim()),
            Operation::Close { pool, really } if really.is_now() => {
                let (pool, handle) = find(pool);
                self.shared.closed[pool].store(true, Ordering::Relaxed);
                match really.part() {
                    None => drop(handle.close()),
                    Some(part) => {
                        let tiers = handle.stats().tiers.len().max(1);
                        drop(handle.close_tier(part % tiers));
                    }
                }
            }
            Operation::AnotherHandle { pool } => {
                self.more_handles.truncate(2);
                self.more_handles.push(find(pool).1.another_handle());
            }
            Operation::Stats { pool } => {
                let (pool, handle) = find(pool);
                let stats = handle.stats();
                assert!(stats.available <= stats.total, "{stats:?}");
                assert_not_less(&mut self.seen[pool], counters(&stats));
                for (seen, budget) in self.seen_of_budgets.iter_mut().zip(&self.shared.budgets) {
                    assert_not_less(seen, counters_of_budget(&budget.stats()));
                }
                drop(handle.holders());
            }
            Operation::Split { which, at } => {
                let which = choose(which, self.held.len())?;
                let part = self.held[which].split(at);
                self.held.extend(part);
            }
            Operation::Reclaim { which } => {
                let which = choose(which, self.held.len())?;
                if let Owned::Guard(buf) = &mut self.held[which].bytes {
                    let before = buf.capacity();
                    let whole = buf.try_reclaim();
                    assert!(buf.capacity() == before || whole && buf.capacity() > before);
                }
            }
            Operation::AcquireShared {
                pool,
                count,
                len,
                micros,
            } => {
                let (pool, handle) = find(pool);
                let share = handle.share(&self.shared.share);
                let len = len.of(handle.max_len()).min(handle.max_len());
                let count = count.buffers().min(8);
                let timeout = Duration::from_micros(micros.into());
                let result = match micros % 2 {
                    0 => share.acquire_many_async(count, len).wait_timeout(timeout),
                    _ => share.acquire_many(count, len),
                };
                self.lent_by_share(pool, count, result);
            }
            Operation::Yield => thread::yield_now(),
            Operation::Request { .. } | Operation::RequestMany { .. } | Operation::Close { .. } => {}
        }
        Some(())
    }

    fn poll<'p>(&mut self, handles: &'p [Box<dyn AnyPool>], waiting: &mut Vec<Waiting<'p>>, which: usize) {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = waiting[which].request.poll(&mut context) {
            let Waiting { pool, count, .. } = waiting.swap_remove(which);
            self.lent(pool, count, 0, handles[pool].as_ref(), result);
        }
    }

    /// The request is dropped.
    fn abandon(&self, one: Waiting<'_>) {
        let counts = &self.shared.counts[one.pool];
        let count = one.count as u64;
        drop(one);
        counts.abandoned.fetch_add(1, Ordering::Relaxed);
        counts.perhaps_lent.fetch_add(count, Ordering::Relaxed);
    }

    /// Keeps `count` buffers, which must be empty and show nothing of others; or sees whether the error is one that can
    /// be.
    fn lent(
        &mut self,
        pool: usize,
        count: usize,
        len: usize,
        handle: &dyn AnyPool,
        result: Result<Vec<PooledBuf>, AcquireError>,
    ) {
        self.shared.counts[pool].count(&result);
        match result {
            Ok(bufs) => {
                assert_eq!(bufs.len(), count);
                for buf in bufs {
                    assert!(buf.is_empty() && buf.capacity() >= len);
                    let stamp = self.stamp();
                    self.held.push(Held {
                        bytes: Owned::Guard(buf),
                        stamp,
                        len: 0,
                    });
                }
            }
            Err(AcquireError::TooMany { requested, .. }) => {
                // The max may have been another a moment ago, but never less than 1.
                assert!(requested == count && count > 1);
            }
            Err(AcquireError::TooLarge { requested, max, .. }) => {
                assert_eq!((requested, max), (len, handle.max_len()));
                assert!(len > max);
            }
            Err(AcquireError::Closed { .. }) => {
                assert!(self.shared.closed[pool].load(Ordering::Relaxed));
            }
            Err(AcquireError::OverBudget { requested, budget, .. }) => {
                let mut limits = self.shared.budgets.iter().map(|budget| budget.stats().limit);
                assert!(requested <= budget && limits.any(|limit| limit == budget));
            }
            Err(_) => {}
        }
    }

    /// As `lent`, through a share: the buffers are charged to its budget.
    fn lent_by_share(&mut self, pool: usize, count: usize, result: Result<Vec<PooledBuf>, AcquireError>) {
        let counts = &self.shared.counts[pool];
        let Ok(bufs) = result else {
            counts.perhaps_failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        assert_eq!(bufs.len(), count);
        counts.lent.fetch_add(count as u64, Ordering::Relaxed);
        let bytes: usize = bufs.iter().map(PooledBuf::capacity).sum();
        assert!(self.shared.share.lent() >= bytes);
        for buf in bufs {
            let stamp = self.stamp();
            self.held.push(Held {
                bytes: Owned::Guard(buf),
                stamp,
                len: 0,
            });
        }
    }

    /// A byte that no other thread writes, and this one not again for long.
    fn stamp(&mut self) -> u8 {
        self.stamps = (self.stamps + 1) % 50;
        1 + self.stamps + 50 * self.number as u8
    }
}

impl Held {
    fn check(&self) {
        let bytes: &[u8] = match &self.bytes {
            Owned::Guard(buf) => buf,
            Owned::Frozen(bytes) => bytes,
        };
        assert_eq!(bytes.len(), self.len);
        assert!(
            bytes.iter().all(|byte| *byte == self.stamp),
            "another holder wrote here"
        );
    }

    /// Fills the start of the buffer with its stamp.
    fn write(&mut self, len: Length) {
        if let Owned::Guard(buf) = &mut self.bytes {
            let len = len.of(buf.capacity()).min(buf.capacity());
            buf.clear();
            buf.extend_from_slice(&vec![self.stamp; len]).unwrap();
            self.len = len;
        }
    }

    /// The part behind, where there are two.
    fn split(&mut self, at: Length) -> Option<Held> {
        let Owned::Guard(buf) = &mut self.bytes else {
            return None;
        };
        let at = at.of(self.len).min(self.len);
        if at == 0 || at == buf.capacity() {
            return None;
        }
        let behind = buf.split_off(at).unwrap();
        let len = std::mem::replace(&mut self.len, at) - at;
        Some(Held {
            bytes: Owned::Guard(behind),
            stamp: self.stamp,
            len,
        })
    }

    /// Behind the written bytes it shows what it wrote before, or no holder's bytes.
    fn look_at_spare(&mut self) {
        if let Owned::Guard(buf) = &mut self.bytes {
            let stamp = self.stamp;
            let may_be = |byte: &u8| *byte == 0 || *byte == POISON || *byte == stamp;
            assert!(buf.spare_mut().iter().all(may_be), "another holder's bytes");
        }
    }

    /// As `Bytes`; nothing if it is empty, for then it keeps no buffer.
    fn freeze(self) -> Option<Held> {
        let bytes = match self.bytes {
            Owned::Guard(buf) => buf.freeze(),
            Owned::Frozen(bytes) => bytes,
        };
        (!bytes.is_empty()).then_some(Held {
            bytes: Owned::Frozen(bytes),
            ..self
        })
    }

    /// The same bytes once more, if they are frozen.
    fn share(&self) -> Option<Held> {
        match &self.bytes {
            Owned::Guard(_) => None,
            Owned::Frozen(bytes) => Some(Held {
                bytes: Owned::Frozen(bytes.clone()),
                ..*self
            }),
        }
    }
}
