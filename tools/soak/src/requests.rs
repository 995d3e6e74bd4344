//! The ways to ask a pool for a buffer.
#![forbid(unsafe_code)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use poolbuf::{Acquire, AcquireError, PooledBuf, PooledChain};

use crate::held::Guard;
use crate::ledger::{How, Request};
use crate::panicking_waker::{Place, panicking_waker};
use crate::pools::Entry;
use poolbuf_support::random::Random;

/// A length that some buffer of the pool holds.
pub(crate) fn length(entry: &Entry, random: &mut Random) -> usize {
    let size = entry.ledger.tiers[random.below(entry.ledger.tiers.len())].size;
    match random.once_in(2) {
        true => size,
        false => random.between(0, size),
    }
}

/// A time limit that is soon over.
pub(crate) fn moment(random: &mut Random) -> Duration {
    match random.below(4) {
        0 => Duration::ZERO,
        _ => Duration::from_micros(random.next() % 500),
    }
}

/// Asks, as `how` says, and waits if that means to. A thread that waits for ever must hold nothing meanwhile.
pub(crate) fn request(entry: &Entry, len: usize, how: How, random: &mut Random) -> Option<Guard> {
    let request = entry.ledger.begin(len, how)?;
    let result = match how {
        How::Now => entry.pool.acquire_for(len),
        How::Within(limit) if random.once_in(2) => entry.pool.acquire_timeout(len, limit),
        How::Within(limit) => drive_within(limit, |until| acquire(entry, len, random).within(until)),
        How::Polled => drive(acquire(entry, len, random), Signal::wait),
    };
    Guard::of_request(&entry.ledger, &request, result, random)
}

/// As many as some pools have, or more.
pub(crate) fn count(entry: &Entry, random: &mut Random) -> usize {
    let most = entry.ledger.tiers.iter().map(|tier| tier.reserve).max();
    random.between(1, most.unwrap_or(1).min(12) + 1)
}

/// As `request`, for `count` at once, all or none; now and then as a chain, where that is of the same buffers.
pub(crate) fn request_many(entry: &Entry, len: usize, count: usize, how: How, random: &mut Random) -> Vec<Guard> {
    let (pool, ledger) = (&entry.pool, &entry.ledger);
    // A pool that says nothing of many lends one after the other, and counts those that it lent in vain.
    if !ledger.features.waits {
        return Vec::new();
    }
    let Some(request) = ledger.begin_many(len, count, how) else {
        return Vec::new();
    };
    // So many bytes take so many buffers.
    let bytes = (count - 1) * ledger.max_len() + 1;
    let is_of_largest = count > 1 && len == ledger.max_len();
    let may_be_chain = is_of_largest || ledger.tiers.len() == 1 && len <= ledger.max_len();
    let result = if may_be_chain && random.once_in(3) {
        let chain = match how {
            How::Now => pool.acquire_chain(bytes),
            How::Within(limit) if random.once_in(2) => pool.acquire_chain_async(bytes).wait_timeout(limit),
            How::Within(limit) => drive_within(limit, |until| acquire_chain(entry, bytes, random).within(until)),
            How::Polled => drive(acquire_chain(entry, bytes, random), Signal::wait),
        };
        chain.map(|chain| chain.into_iter().collect())
    } else {
        match how {
            How::Now => pool.acquire_many(count, len),
            How::Within(limit) if random.once_in(2) => pool.acquire_many_async(count, len).wait_timeout(limit),
            How::Within(limit) => drive_within(limit, |until| acquire_many(entry, count, len, random).within(until)),
            How::Polled => drive(acquire_many(entry, count, len, random), Signal::wait),
        }
    };
    Guard::of_many(ledger, &request, result, random)
}

/// Polls what `begin` makes until it is ready, which it is when `limit` is over.
fn drive_within<F: Future>(limit: Duration, begin: impl FnOnce(Until) -> F) -> F::Output {
    let until = Until::new(limit);
    let started = Arc::clone(&until.started);
    drive(begin(until), |signal| {
        let left = started.get().map(|start| limit.saturating_sub(start.elapsed()));
        signal.wait_for(left.unwrap_or_default());
    })
}

/// A request that may wait, by either of the two ways.
fn acquire<'a>(entry: &'a Entry, len: usize, random: &mut Random) -> Acquire<'a> {
    match random.once_in(2) {
        true => entry.pool.acquire_async(len),
        false => entry.pool.acquire_async(len).into_owned(),
    }
}

/// As `acquire`, for many.
fn acquire_many<'a>(entry: &'a Entry, count: usize, len: usize, random: &mut Random) -> Acquire<'a, Vec<PooledBuf>> {
    match random.once_in(2) {
        true => entry.pool.acquire_many_async(count, len),
        false => entry.pool.acquire_many_async(count, len).into_owned(),
    }
}

/// As `acquire`, for a chain.
fn acquire_chain<'a>(entry: &'a Entry, bytes: usize, random: &mut Random) -> Acquire<'a, PooledChain> {
    match random.once_in(2) {
        true => entry.pool.acquire_chain_async(bytes),
        false => entry.pool.acquire_chain_async(bytes).into_owned(),
    }
}

/// Polls until it is ready; waits in between as `wait` does.
fn drive<F: Future>(future: F, wait: impl Fn(&Signal)) -> F::Output {
    let (signal, waker) = Signal::new();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => wait(&signal),
        }
    }
}

/// A time limit that begins when it is first polled. It wakes nothing: what drives it looks at the clock.
struct Until {
    started: Arc<OnceLock<Instant>>,
    limit: Duration,
}

impl Until {
    fn new(limit: Duration) -> Until {
        Until {
            started: Arc::default(),
            limit,
        }
    }
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let start = self.started.get_or_init(Instant::now);
        match start.elapsed() < self.limit {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }
}

/// Begins to wait, calls `meanwhile` between a few polls, and leaves unless it was served until then.
pub(crate) fn cancel(
    entry: &Entry,
    len: usize,
    random: &mut Random,
    meanwhile: impl FnMut(&mut Random),
) -> Option<Guard> {
    let request = entry.ledger.begin(len, How::Polled)?;
    let future = acquire(entry, len, random);
    let result = poll_and_leave(entry, &request, future, random, meanwhile)?;
    Guard::of_request(&entry.ledger, &request, result, random)
}

/// As `cancel`, of a request for `count` at once.
pub(crate) fn cancel_many(
    entry: &Entry,
    len: usize,
    count: usize,
    random: &mut Random,
    meanwhile: impl FnMut(&mut Random),
) -> Vec<Guard> {
    if !entry.ledger.features.waits {
        return Vec::new();
    }
    let Some(request) = entry.ledger.begin_many(len, count, How::Polled) else {
        return Vec::new();
    };
    let future = acquire_many(entry, count, len, random);
    match poll_and_leave(entry, &request, future, random, meanwhile) {
        Some(result) => Guard::of_many(&entry.ledger, &request, result, random),
        None => Vec::new(),
    }
}

/// Does what `cancel` says. Returns what the request ended with if it was ready in time.
fn poll_and_leave<T>(
    entry: &Entry,
    request: &Request,
    mut future: impl Future<Output = Result<T, AcquireError>> + Unpin,
    random: &mut Random,
    mut meanwhile: impl FnMut(&mut Random),
) -> Option<Result<T, AcquireError>> {
    let (mut waits, mut panicked) = (false, false);
    // A pool that does not wait has answered already, and how must be counted.
    let least = usize::from(!entry.ledger.features.waits);
    for _ in 0..random.between(least, 4) {
        // Another one each time, which the pool is to use from then on.
        let waker = match random.once_in(4) {
            true => panicking_waker(Place::ALL[random.below(Place::ALL.len())]),
            false => Signal::new().1,
        };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            Pin::new(&mut future).poll(&mut Context::from_waker(&waker))
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
        match polled {
            Ok(Poll::Ready(result)) => return Some(result),
            Ok(Poll::Pending) => waits = true,
            // The panic of a clone is its user's to see; the request then waits as before, or not yet.
            Err(_) => panicked = true,
        }
        match random.once_in(2) {
            true => thread::yield_now(),
            false => meanwhile(random),
        }
    }
    drop(future);
    if waits || panicked {
        entry.ledger.count_dropped(request, !panicked);
    }
    entry.ledger.cancel(request);
    None
}

/// Waits for a buffer of each of the pools at the same time, on one thread. Each goes back as soon as it is there, or
/// else two threads could wait for each other.
pub(crate) fn request_from_all(entries: &[Arc<Entry>], random: &mut Random) {
    type Waiting<'a> = (&'a Entry, Request, Pin<Box<Acquire<'a>>>);
    let (signal, waker) = Signal::new();
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    for entry in entries {
        let len = length(entry, random);
        if let Some(request) = entry.ledger.begin(len, How::Polled) {
            waiting.push((entry, request, Box::pin(acquire(entry, len, random))));
        }
    }
    loop {
        waiting.retain_mut(|(entry, request, future)| {
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            let Poll::Ready(result) = polled else {
                return true;
            };
            drop(Guard::of_request(&entry.ledger, request, result, random));
            false
        });
        if waiting.is_empty() {
            return;
        }
        signal.wait();
    }
}

/// A waker on which a thread waits that polls by hand.
#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn new() -> (Arc<Signal>, Waker) {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        (signal, waker)
    }

    /// Waits until it has been woken since the last time.
    fn wait(&self) {
        let mut woken = self.woken.lock();
        while !*woken {
            self.changed.wait(&mut woken);
        }
        *woken = false;
    }

    /// As `wait`, but for so long at most.
    fn wait_for(&self, limit: Duration) {
        let mut woken = self.woken.lock();
        match Instant::now().checked_add(limit) {
            Some(until) => {
                self.changed.wait_while_until(&mut woken, |woken| !*woken, until);
            }
            None => self.changed.wait_while(&mut woken, |woken| !*woken),
        }
        *woken = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}
