//! A wait with a time limit that is a future of the user's.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::base::sync::Instant;
use crate::buf::guard::PooledBuf;
use crate::waiting::acquire::Acquire;
use crate::waiting::loan::Lent;

/// A request that waits until a timer is ready: what [`Acquire::within`] returns.
///
/// The timer is any future, of any runtime, and what it returns does not matter. When it is ready first, the request
/// ends with [`TimedOut`](crate::AcquireError::TimedOut) and counts as [that](crate::PoolStats::timed_out); a buffer
/// that was handed to it just before is lent all the same. A `timeout` of the runtime's around the request would drop
/// it instead: it would count as [abandoned](crate::PoolStats::abandoned), and its error would not know the pool.
///
/// It may be moved while it waits, whatever the timer is; so it can be kept in a struct and polled by hand. Dropped, it
/// leaves the queue as [`Acquire`] does.
///
/// *Cost.* The timer is not polled while a buffer is free. Before its first poll it is moved to the heap: a request
/// that has to wait pays for an allocation of the timer's size, and for a look at the clock.
///
/// ```
/// use poolbuf::{AcquireError, BufferPool, Pool};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let pool = BufferPool::new(1024, 1, 1)?;
/// let limit = Duration::from_millis(5);
/// let only = pool.acquire_async(1024).within(sleep(limit)).await?;
///
/// let late = pool.acquire_async(1024).within(sleep(limit)).await;
/// assert!(matches!(late, Err(AcquireError::TimedOut { .. }))); // answer 503, say
/// assert_eq!(pool.stats().timed_out, 1);
/// # drop(only);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct Within<'a, S, T = PooledBuf> {
    request: Acquire<'a, T>,
    timer: Timer<S>,
}

enum Timer<S> {
    /// Not polled yet.
    Set(S),
    /// The request has to wait.
    Running {
        timer: Pin<Box<S>>,
        since: Instant,
    },
    Over,
}

impl<'a, T: Lent> Acquire<'a, T> {
    /// This request with a time limit: any future that is ready when the time is up, such as a sleep of the runtime's.
    /// See [`Within`].
    pub fn within<S: Future>(self, timer: S) -> Within<'a, S, T> {
        Within {
            request: self,
            timer: Timer::Set(timer),
        }
    }
}

impl<S: Future> Timer<S> {
    fn run(&mut self) {
        *self = match std::mem::replace(self, Timer::Over) {
            Timer::Set(timer) => Timer::Running {
                timer: Box::pin(timer),
                since: Instant::now(),
            },
            running => running,
        };
    }
}

// What is pinned is on the heap.
impl<S, T> Unpin for Within<'_, S, T> {}

/// Panics as [`Acquire`] does when it is polled after it was ready.
impl<S: Future, T: Lent> Future for Within<'_, S, T> {
    type Output = <Acquire<'static, T> as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Within { request, timer } = &mut *self;
        let output = match Pin::new(&mut *request).poll(context) {
            Poll::Ready(output) => output,
            Poll::Pending => {
                timer.run();
                let Timer::Running { timer, since } = timer else {
                    return Poll::Pending;
                };
                ready!(timer.as_mut().poll(context));
                request.late(since.elapsed())
            }
        };
        *timer = Timer::Over;
        Poll::Ready(output)
    }
}

impl<S, T> fmt::Debug for Within<'_, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Within").field(&self.request).finish()
    }
}
