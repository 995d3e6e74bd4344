//! Waiting for a buffer: a future for any runtime, and a thread that parks until it is ready.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::error::AcquireError;
use crate::faults::{Fault, injected};
use crate::free_list::Slot;
use crate::holders::Caller;
use crate::pooled_buf::PooledBuf;
use crate::sync::{Instant, Thread, current_thread, lazy_thread_local, park};
use crate::waiting::queue::{Ending, Ticket};

/// A request that waits for its buffer: what [`Pool::acquire_async`](crate::Pool::acquire_async) returns.
///
/// A future for any runtime. It stands in the queue from its first poll on; who came first is served first. Dropping
/// it, at whatever moment, leaves the queue, and a buffer that was already handed to it goes to the next one: so
/// it can be raced against a timer or a shutdown. (`std::mem::forget` on one that waits is safe, but a
/// buffer that is then handed to it is lost to the pool.)
///
/// *Cost.* Nothing but an ordinary acquire when a buffer is free. Who waits pays for a lock when he joins and when he
/// is served, and so does who hands him the buffer; nobody else pays anything.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let pool = BufferPool::new(1024, 1, 1)?;
/// let only = pool.acquire()?;
/// let waiting = pool.clone();
/// let other = tokio::spawn(async move {
///     let mut buf = waiting.acquire_async(5).await?;
///     buf.extend_from_slice(b"hello")?;
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(buf.len())
/// });
/// tokio::task::yield_now().await; // the other task waits now …
/// drop(only); // … and is handed this buffer
/// assert_eq!(other.await?.unwrap(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct Acquire<'a> {
    state: State<'a>,
    caller: Caller,
}

enum State<'a> {
    Done(Option<Result<PooledBuf, AcquireError>>),
    /// Whoever can lend first does.
    Asking(Asked<'a>),
}

type Asked<'a> = [Option<(&'a dyn Lender, Turn)>; 2];

/// What a lender answers.
pub(crate) type Lent = Result<PooledBuf, AcquireError>;

/// Who has a queue for its buffers.
pub(crate) trait Lender: Send + Sync {
    /// What the pool is called.
    fn name(&self) -> &Arc<str>;

    /// Lends a buffer, or queues for one: the waker is woken when it is worth asking again.
    fn poll_turn(&self, turn: &mut Turn, request: &Request<'_>) -> Poll<Lent>;

    /// Leaves the queue, and returns the buffer that has been handed over already.
    fn leave(&self, turn: &mut Turn, request: &Request<'_>, ending: Ending) -> Option<PooledBuf>;
}

/// Who asks.
pub(crate) struct Request<'a> {
    pub(crate) waker: &'a Waker,
    pub(crate) caller: Caller,
    /// Whether the request counts here, and not with another lender that is asked too.
    pub(crate) counted: bool,
}

/// How far a request has got with a [`Lender`]. Belongs to that lender: it is given up by `leave`.
#[derive(Debug, Default)]
pub(crate) enum Turn {
    #[default]
    New,
    ForBuffer(Ticket),
    /// Has this buffer, and waits for the bytes of a budget.
    ForBytes(Slot, Ticket),
}

impl<'a> Acquire<'a> {
    /// A request with its result, for pools that don't wait.
    #[track_caller]
    pub fn ready(result: Result<PooledBuf, AcquireError>) -> Self {
        Acquire {
            state: State::Done(Some(result)),
            caller: Location::caller(),
        }
    }

    /// A request to `first`, or to `second` if that can lend earlier.
    #[track_caller]
    pub(crate) fn new(first: &'a dyn Lender, second: Option<&'a dyn Lender>) -> Self {
        let ask = |lender| (lender, Turn::New);
        Acquire {
            state: State::Asking([Some(ask(first)), second.map(ask)]),
            caller: Location::caller(),
        }
    }

    /// Parks the thread until the buffer is there, for at most `timeout`; `Duration::MAX` is for ever.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](AcquireError::TimedOut), and those of [`Pool::acquire_for`](crate::Pool::acquire_for) but for
    /// `Exhausted`.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<PooledBuf, AcquireError> {
        // Made anew where the thread is at its end.
        let waker = match injected(Fault::NoThreadLocals) {
            true => unparker(),
            false => UNPARKER
                .try_with(Waker::clone)
                .unwrap_or_else(|_| unparker()),
        };
        if let Poll::Ready(result) = self.poll_asked(&waker) {
            return result;
        }
        let start = Instant::now();
        loop {
            let waited = start.elapsed();
            // Saturating: longer than any clock runs.
            match timeout.checked_sub(waited) {
                Some(left) if !left.is_zero() => park((timeout != Duration::MAX).then_some(left)),
                _ => {
                    let pool = self.pool_name();
                    let late = self.leave(Ending::TimedOut);
                    return late.ok_or(AcquireError::TimedOut { pool, waited });
                }
            }
            if let Poll::Ready(result) = self.poll_asked(&waker) {
                return result;
            }
        }
    }

    fn poll_asked(&mut self, waker: &Waker) -> Poll<Result<PooledBuf, AcquireError>> {
        let asked = match &mut self.state {
            State::Done(result) => {
                return result.take().map_or(Poll::Pending, Poll::Ready);
            }
            State::Asking(asked) => asked,
        };
        let mut last = None;
        for number in 0..asked.len() {
            // With the first one that is not closed.
            let counted = asked[..number].iter().all(Option::is_none);
            let Some((lender, turn)) = &mut asked[number] else {
                continue;
            };
            let request = Request {
                waker,
                caller: self.caller,
                counted,
            };
            match lender.poll_turn(turn, &request) {
                Poll::Pending if matches!(turn, Turn::ForBytes(..)) => {
                    // Has its buffer: it needs none of the others'.
                    let chosen = asked[number].take();
                    drop(leave(asked, self.caller, Ending::ServedElsewhere));
                    asked[number] = chosen;
                    return Poll::Pending;
                }
                Poll::Pending => {}
                Poll::Ready(Ok(buf)) => {
                    asked[number] = None;
                    // The others may have been handed one too; it goes to the next in their queue.
                    drop(self.leave(Ending::ServedElsewhere));
                    return Poll::Ready(Ok(buf));
                }
                Poll::Ready(Err(error)) => {
                    asked[number] = None;
                    last = Some(error);
                }
            }
        }
        match last {
            Some(error) if asked.iter().all(Option::is_none) => {
                self.state = State::Done(None);
                Poll::Ready(Err(error))
            }
            _ => Poll::Pending,
        }
    }

    /// What the first of the pools that are asked is called; empty once there is none.
    fn pool_name(&self) -> Arc<str> {
        let asked = match &self.state {
            State::Asking(asked) => asked.iter().flatten().next(),
            State::Done(_) => None,
        };
        asked.map_or_else(|| Arc::from(""), |(lender, _)| Arc::clone(lender.name()))
    }

    /// Leaves all queues. Returns a buffer that has been handed over already.
    fn leave(&mut self, ending: Ending) -> Option<PooledBuf> {
        match std::mem::replace(&mut self.state, State::Done(None)) {
            State::Done(result) => result?.ok(),
            State::Asking(mut asked) => leave(&mut asked, self.caller, ending),
        }
    }
}

/// Leaves all queues. Returns a buffer that has been handed over already; further ones go to the next.
fn leave(asked: &mut Asked<'_>, caller: Caller, ending: Ending) -> Option<PooledBuf> {
    let mut handed = None;
    for (number, place) in asked.iter_mut().enumerate() {
        if let Some((lender, mut turn)) = place.take() {
            let request = Request {
                waker: Waker::noop(),
                caller,
                counted: number == 0,
            };
            let late = lender.leave(&mut turn, &request, ending);
            handed = handed.or(late);
        }
    }
    handed
}

/// Never ready again after it has been ready once.
impl Future for Acquire<'_> {
    type Output = Result<PooledBuf, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_asked(context.waker())
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        drop(self.leave(Ending::Left));
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Done(None) => "done",
            State::Done(Some(_)) => "ready",
            State::Asking(_) => "waiting",
        };
        f.debug_tuple("Acquire").field(&state).finish()
    }
}

/// Unparks the thread that made it.
struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

lazy_thread_local! {
    static UNPARKER: Waker = unparker();
}

fn unparker() -> Waker {
    Waker::from(Arc::new(Unparker(current_thread())))
}
