//! The ways to ask a pool for a buffer.
#![forbid(unsafe_code)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use poolbuf::Acquire;

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
        How::Within(limit) => entry.pool.acquire_timeout(len, limit),
        How::Polled => {
            let (signal, waker) = Signal::new();
            let mut future = pin!(entry.pool.acquire_async(len));
            loop {
                match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(result) => break result,
                    Poll::Pending => signal.wait(),
                }
            }
        }
    };
    Guard::of_request(&entry.ledger, &request, result, random)
}

/// Begins to wait, calls `meanwhile` between a few polls, and leaves unless it was served until then.
pub(crate) fn cancel(
    entry: &Entry,
    len: usize,
    random: &mut Random,
    mut meanwhile: impl FnMut(&mut Random),
) -> Option<Guard> {
    let request = entry.ledger.begin(len, How::Polled)?;
    let mut future = pin!(entry.pool.acquire_async(len));
    // A pool that does not wait has answered already, and how must be counted.
    let least = usize::from(!entry.ledger.features.waits);
    for _ in 0..random.between(least, 4) {
        // Another one each time, which the pool is to use from then on.
        let waker = match random.once_in(4) {
            true => panicking_waker(Place::ALL[random.below(Place::ALL.len())]),
            false => Signal::new().1,
        };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            future.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
        // The panic of a clone is its user's to see; the request then waits as before, or not yet.
        if let Ok(Poll::Ready(result)) = polled {
            return Guard::of_request(&entry.ledger, &request, result, random);
        }
        match random.once_in(2) {
            true => thread::yield_now(),
            false => meanwhile(random),
        }
    }
    entry.ledger.cancel(&request);
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
            waiting.push((entry, request, Box::pin(entry.pool.acquire_async(len))));
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
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}
