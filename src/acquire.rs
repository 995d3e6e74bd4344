//! Waiting for a buffer: a future for any runtime, and a thread that parks until it is ready.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::error::AcquireError;
use crate::pooled_buf::PooledBuf;
use crate::sync::{Thread, current_thread, lazy_thread_local, park};
use crate::waiters::{Ending, Ticket};

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
}

enum State<'a> {
    Done(Option<Result<PooledBuf, AcquireError>>),
    /// Whoever can lend first does.
    Asking([Option<(&'a dyn Lender, Turn)>; 2]),
}

/// Who has a queue for its buffers.
pub(crate) trait Lender: Send + Sync {
    /// Lends a buffer, or queues for one: `waker` is woken when it is worth asking again.
    /// `counted` says whether the request counts here and not with another lender that is asked too.
    fn poll_turn(
        &self,
        turn: &mut Turn,
        waker: &Waker,
        counted: bool,
    ) -> Poll<Result<PooledBuf, AcquireError>>;

    /// Leaves the queue, and returns the buffer that has been handed over already.
    fn leave(&self, turn: &mut Turn, ending: Ending) -> Option<PooledBuf>;
}

/// How far a request has got with a [`Lender`]. Belongs to that lender: it is given up by `leave`.
#[derive(Debug, Default)]
pub(crate) enum Turn {
    #[default]
    New,
    ForBuffer(Ticket),
}

impl<'a> Acquire<'a> {
    /// A request with its result, for pools that don't wait.
    pub fn ready(result: Result<PooledBuf, AcquireError>) -> Self {
        Acquire {
            state: State::Done(Some(result)),
        }
    }

    /// A request to `first`, or to `second` if that can lend earlier.
    pub(crate) fn new(first: &'a dyn Lender, second: Option<&'a dyn Lender>) -> Self {
        let ask = |lender| (lender, Turn::New);
        Acquire {
            state: State::Asking([Some(ask(first)), second.map(ask)]),
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
        let waker = UNPARKER
            .try_with(Waker::clone)
            .unwrap_or_else(|_| unparker());
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
                    let late = self.leave(Ending::TimedOut);
                    return late.ok_or(AcquireError::TimedOut { waited });
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
        for (number, place) in asked.iter_mut().enumerate() {
            let Some((lender, turn)) = place else {
                continue;
            };
            match lender.poll_turn(turn, waker, number == 0) {
                Poll::Pending => {}
                Poll::Ready(Ok(buf)) => {
                    *place = None;
                    // The others may have been handed one too; it goes to the next in their queue.
                    drop(self.leave(Ending::ServedElsewhere));
                    return Poll::Ready(Ok(buf));
                }
                Poll::Ready(Err(error)) => {
                    *place = None;
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

    /// Leaves all queues. Returns a buffer that has been handed over already.
    fn leave(&mut self, ending: Ending) -> Option<PooledBuf> {
        match std::mem::replace(&mut self.state, State::Done(None)) {
            State::Done(result) => result?.ok(),
            State::Asking(asked) => {
                let mut handed = None;
                for (lender, mut turn) in asked.into_iter().flatten() {
                    let late = lender.leave(&mut turn, ending);
                    handed = handed.or(late);
                }
                handed
            }
        }
    }
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
