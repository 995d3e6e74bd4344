//! Waiting for a chain.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::AcquireError;
use crate::pooled_chain::PooledChain;
use crate::waiting::acquire::{AcquireMany, Waits};

/// A request that waits for a chain: what [`Pool::acquire_chain_async`](crate::Pool::acquire_chain_async) returns.
///
/// As [`AcquireMany`], in all that is said there.
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let pool = BufferPool::new(1024, 0, 4)?;
/// let held = pool.acquire_chain(3000)?;
/// let waiting = pool.clone();
/// let other = tokio::spawn(async move { waiting.acquire_chain_async(2000).await });
/// tokio::task::yield_now().await; // the other task waits now …
/// drop(held); // … and is handed two of these
/// assert_eq!(other.await?.unwrap().buffers(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct AcquireChain<'a>(AcquireMany<'a>);

impl<'a> AcquireChain<'a> {
    /// A request with its result, for pools that don't wait.
    pub fn ready(result: Result<PooledChain, AcquireError>) -> Self {
        AcquireChain(AcquireMany::ready(result.map(Vec::from_iter)))
    }

    /// A request for the buffers of the chain.
    pub(crate) fn of(bufs: AcquireMany<'a>) -> Self {
        AcquireChain(bufs)
    }

    /// Parks the thread until the chain is there, for at most `timeout`; `Duration::MAX` is for ever.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](AcquireError::TimedOut), and those of [`Pool::acquire_chain`](crate::Pool::acquire_chain) but for
    /// `Exhausted`.
    pub fn wait_timeout(self, timeout: Duration) -> Result<PooledChain, AcquireError> {
        self.0.wait_timeout(timeout).map(PooledChain::from_iter)
    }
}

/// Never ready again after it has been ready once.
impl Future for AcquireChain<'_> {
    type Output = Result<PooledChain, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.0).poll(context);
        polled.map_ok(PooledChain::from_iter)
    }
}

impl Waits for AcquireChain<'_> {
    fn is_done(&self) -> bool {
        self.0.is_done()
    }

    fn late(&mut self, waited: Duration) -> Self::Output {
        self.0.late(waited).map(PooledChain::from_iter)
    }
}

impl fmt::Debug for AcquireChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcquireChain").field(&self.0).finish()
    }
}
