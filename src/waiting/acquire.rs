//! Waiting for buffers: a future for any runtime, and a thread that parks until it is ready.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::base::sync::{Instant, StaticMutex};
use crate::buf::guard::PooledBuf;
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Caller;
use crate::report::name::Name;
use crate::waiting::counts::Ending;
use crate::waiting::loan::{Lent, Loan};
use crate::waiting::places::Ticket;
use crate::waiting::thread_waker::ThreadWaker;

/// A request that waits: for a buffer, for many at once (`T` is a `Vec` of them), or for those of a
/// [`PooledChain`](crate::PooledChain). What [`Pool::acquire_async`](crate::Pool::acquire_async),
/// [`acquire_many_async`](crate::Pool::acquire_many_async) and
/// [`acquire_chain_async`](crate::Pool::acquire_chain_async) return.
///
/// A future for any runtime, and with [`wait_timeout`](Acquire::wait_timeout) a thread that parks. It is in the queue
/// from its first poll on, which also says what can never be served; first come, first served. *It holds nothing until
/// it has everything*: while it waits it has a place in the queue, no buffer and no byte of a
/// [`Budget`](crate::Budget). When all that it wants is free at once, it is granted that and woken, once.
///
/// Dropping it, at whatever moment, leaves the queue, and what was already granted to it goes to the next one: so
/// it can be raced against a timer or a shutdown. (`std::mem::forget` on one that waits is safe, but it keeps its
/// place, and then what it is granted, from all others, and with that its pool's memory from being freed.) A wait that
/// is dropped counts as [abandoned](crate::PoolStats::abandoned). For a time limit there is
/// [`within`](Acquire::within). One that was granted its buffers before its pool was closed gets them.
///
/// *Cost.* Nothing but an ordinary acquire when a buffer is free. A request that waits pays for a lock when it joins
/// and when it is served, and so does the release that completes what it wants; no other call pays anything. One for
/// many allocates the room for its guards, of 40 bytes each, when it joins.
///
/// # Panics
///
/// When it is polled after it was ready.
///
/// *It does not yield by itself:* while a buffer is free, it is ready at its first poll, always. A future that
/// sometimes were not would break those that poll once. So a task that only acquires and releases, in a loop, keeps its
/// thread from the others; see [`guide::waiting`](crate::guide::waiting).
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
///
/// Many at once:
///
/// ```
/// use poolbuf::{BufferPool, Pool};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let pool = BufferPool::new(1024, 0, 4)?;
/// let held = pool.acquire_many(3, 1024)?;
/// let waiting = pool.clone();
/// let other = tokio::spawn(async move { waiting.acquire_many_async(4, 1024).await });
/// tokio::task::yield_now().await; // the other task waits now; the fourth is free, and kept for it …
/// drop(held); // … and with these it has all
/// assert_eq!(other.await?.unwrap().len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct Acquire<'a, T = PooledBuf>(Stage<'a, T>);

enum Stage<'a, T> {
    /// Has its result from the start.
    Ready(Result<T, AcquireError>),
    Asking(Pending<'a>),
    /// Waits for a pool of the user's.
    Own(Own<T>),
    /// The result has been taken.
    Done,
}

/// A request to a lender. Dropped, it leaves the lender's queue, and what it was granted goes back.
struct Pending<'a> {
    /// `None` once it has been taken out.
    lender: Option<LenderRef<'a>>,
    request: Request,
    /// While it is in the queue.
    ticket: Option<Ticket>,
}

/// A future of the user's, and the pool's name.
struct Own<T> {
    pool: Name,
    /// Never locked: it makes a future that may not be shared one of which a reference may.
    future: StaticMutex<OwnFuture<T>>,
}

type OwnFuture<T> = Pin<Box<dyn Future<Output = Result<T, AcquireError>> + Send>>;

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Buffers, at least 1.
    pub(crate) count: usize,
    /// Bytes that each is to hold.
    pub(crate) len: usize,
    pub(crate) caller: Caller,
}

/// A lender, borrowed or kept.
enum LenderRef<'a> {
    Borrowed(&'a dyn Lender),
    Owned(Box<dyn Lender>),
}

impl<'a> Deref for LenderRef<'a> {
    type Target = dyn Lender + 'a;

    fn deref(&self) -> &Self::Target {
        match self {
            LenderRef::Borrowed(lender) => *lender,
            LenderRef::Owned(lender) => &**lender,
        }
    }
}

/// What has a queue for its buffers.
pub(crate) trait Lender: Send + Sync {
    /// What the pool is called.
    fn name(&self) -> &Name;

    /// Lends what is asked for, or queues for it: the waker is woken when it is worth asking again. `ticket` is the
    /// request's place in the queue: `None` at first, and after it is ready.
    fn poll_lend(
        &self,
        request: &Request,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Loan, AcquireError>>;

    /// Leaves the queue. What was granted already is lent if the time is up, and goes to the next one if the request is
    /// dropped; else the wait counts as that, and what it lacked is returned.
    fn leave(&self, request: &Request, ticket: Ticket, ending: Ending) -> Result<Loan, Option<AcquireError>>;

    /// This lender, to be kept: another handle of its pool.
    fn to_owned(&self) -> Box<dyn Lender>;
}

impl<T: Lent> Acquire<'_, T> {
    /// Parks the thread until the buffers are there, for at most `timeout`; `Duration::MAX` is for ever.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](AcquireError::TimedOut), and those of [`Pool::acquire_for`](crate::Pool::acquire_for) or
    /// [`Pool::acquire_many`](crate::Pool::acquire_many) but for `Exhausted` and `OverBudget`.
    ///
    /// # Panics
    ///
    /// When it has been polled, and was ready.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<T, AcquireError> {
        let thread = ThreadWaker::take();
        let result = self.park(&thread, timeout);
        thread.keep();
        result
    }
}

impl<'a, T> Acquire<'a, T> {
    /// This request, borrowing nothing: to be kept in a struct that polls it, such as a `Stream` or a `Service`, or to
    /// be spawned. It keeps its place in the queue if it has one. It is a handle of the pool as well, so it is served
    /// even after all others are gone.
    ///
    /// Costs a count up and down, and an allocation of 8 bytes.
    ///
    /// ```
    /// use poolbuf::{Acquire, AcquireError, BufferPool, Pool, PooledBuf};
    /// use std::future::Future;
    /// use std::pin::Pin;
    /// use std::sync::Arc;
    /// use std::task::{Context, Poll, ready};
    ///
    /// /// Lends buffers one after the other, as `Stream` would.
    /// struct Buffers {
    ///     pool: Arc<dyn Pool>,
    ///     next: Option<Acquire<'static>>,
    /// }
    ///
    /// impl Buffers {
    ///     fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<PooledBuf, AcquireError>> {
    ///         let next = self.next.get_or_insert_with(|| self.pool.acquire_async(1024).into_owned());
    ///         let result = ready!(Pin::new(next).poll(context));
    ///         self.next = None;
    ///         Poll::Ready(result)
    ///     }
    /// }
    ///
    /// let mut buffers = Buffers { pool: Arc::new(BufferPool::new(1024, 1, 1)?), next: None };
    /// let mut context = Context::from_waker(std::task::Waker::noop());
    /// let Poll::Ready(first) = buffers.poll_next(&mut context) else { panic!("one is free") };
    /// assert!(buffers.poll_next(&mut context).is_pending());
    /// drop(first);
    /// assert!(buffers.poll_next(&mut context).is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_owned(self) -> Acquire<'static, T> {
        Acquire(match self.0 {
            Stage::Ready(result) => Stage::Ready(result),
            Stage::Asking(pending) => Stage::Asking(pending.into_owned()),
            Stage::Own(own) => Stage::Own(own),
            Stage::Done => Stage::Done,
        })
    }

    /// Names `caller` as what holds the buffers, instead of the line that made the request, in a pool that
    /// [tracks its holders](crate::PoolConfig::track_holders): for helpers that acquire for others. An `async fn` is
    /// called where it is polled, so it can't be `#[track_caller]` itself.
    ///
    /// ```
    /// use poolbuf::{AcquireError, BufferPool, Pool, PoolConfig, PooledBuf};
    /// use std::future::Future;
    /// use std::panic::Location;
    ///
    /// #[track_caller]
    /// fn rent(pool: &BufferPool) -> impl Future<Output = Result<PooledBuf, AcquireError>> {
    ///     let caller = Location::caller();
    ///     async move { pool.acquire_async(1024).for_caller(caller).await }
    /// }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let pool = BufferPool::with_config(PoolConfig::new(1024).max(1).track_holders(true))?;
    /// let (_buf, line) = (rent(&pool).await?, line!());
    /// assert_eq!(pool.holders().lines()[0].location().line(), line);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_caller(mut self, caller: &'static Location<'static>) -> Self {
        if let Stage::Asking(asking) = &mut self.0 {
            asking.request.caller = caller;
        }
        self
    }

    /// A request with its result, for pools that don't wait.
    pub fn ready(result: Result<T, AcquireError>) -> Self {
        Acquire(Stage::Ready(result))
    }

    /// A request that a future answers: for pools of your own that wait.
    ///
    /// It is polled wherever this request is, by a runtime or by a thread that parks, and dropped with it, which is to
    /// take back what it has of the pool. When a time limit is over it is dropped too, and the request ends with
    /// [`TimedOut`](AcquireError::TimedOut) of the pool called `pool`. What to count is the pool's affair. Costs an
    /// allocation of the future's size.
    ///
    /// The future borrows nothing, since a request may be [made one that does not](Acquire::into_owned): let it keep a
    /// handle of the pool.
    ///
    /// ```
    /// use poolbuf::{Acquire, BufferPool, Pool};
    /// use std::future::Future;
    /// use std::time::Duration;
    ///
    /// /// What `acquire_async` of a pool could return that waits its turn somewhere else.
    /// fn in_turn(pool: &BufferPool, turn: impl Future<Output = ()> + Send + 'static, len: usize) -> Acquire<'static> {
    ///     let pool = pool.clone();
    ///     Acquire::from_future(pool.stats().name, async move {
    ///         turn.await;
    ///         pool.acquire_for(len)
    ///     })
    /// }
    ///
    /// let pool = BufferPool::new(1024, 1, 1)?;
    /// let at_once = std::future::ready(());
    /// assert_eq!(in_turn(&pool, at_once, 10).wait_timeout(Duration::MAX)?.capacity(), 1024);
    /// let late = in_turn(&pool, std::future::pending(), 10).wait_timeout(Duration::from_millis(1));
    /// assert_eq!(late.unwrap_err().pool(), "buffer pool");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_future<F>(pool: impl Into<Name>, future: F) -> Self
    where
        F: Future<Output = Result<T, AcquireError>> + Send + 'static,
    {
        Acquire(Stage::Own(Own {
            pool: pool.into(),
            future: StaticMutex::new(Box::pin(future)),
        }))
    }

    /// A request to `lender` for `count` buffers, at least 1, that hold `len` bytes each.
    #[track_caller]
    pub(crate) fn new(lender: &'a dyn Lender, count: usize, len: usize) -> Self {
        Acquire::of(LenderRef::Borrowed(lender), count, len)
    }

    /// The same, to a lender of its own.
    #[track_caller]
    pub(crate) fn owning(lender: Box<dyn Lender>, count: usize, len: usize) -> Self {
        Acquire::of(LenderRef::Owned(lender), count, len)
    }

    #[track_caller]
    fn of(lender: LenderRef<'a>, count: usize, len: usize) -> Self {
        Acquire(Stage::Asking(Pending {
            lender: Some(lender),
            request: Request {
                count,
                len,
                caller: Location::caller(),
            },
            ticket: None,
        }))
    }
}

impl<T: Lent> Acquire<'_, T> {
    fn park(&mut self, thread: &ThreadWaker, timeout: Duration) -> Result<T, AcquireError> {
        if let Poll::Ready(result) = self.poll_lent(thread.waker()) {
            return result;
        }
        let start = Instant::now();
        loop {
            let waited = start.elapsed();
            // Saturating: longer than any clock runs.
            match timeout.checked_sub(waited) {
                Some(left) if !left.is_zero() => {
                    thread.park((timeout != Duration::MAX).then_some(left));
                }
                _ => return self.late(waited),
            }
            if let Poll::Ready(result) = self.poll_lent(thread.waker()) {
                return result;
            }
        }
    }

    pub(crate) fn poll_lent(&mut self, waker: &Waker) -> Poll<Result<T, AcquireError>> {
        let result = match &mut self.0 {
            Stage::Asking(Pending {
                lender: Some(lender),
                request,
                ticket,
            }) => match lender.poll_lend(request, ticket, waker) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(result) => result.map(lent),
            },
            Stage::Own(own) => {
                let polled = own.future.get_mut().as_mut().poll(&mut Context::from_waker(waker));
                match polled {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(result) => result,
                }
            }
            _ => return Poll::Ready(self.take_ready()),
        };
        self.0 = Stage::Done;
        Poll::Ready(result)
    }

    #[track_caller]
    fn take_ready(&mut self) -> Result<T, AcquireError> {
        match mem::replace(&mut self.0, Stage::Done) {
            Stage::Ready(result) => result,
            _ => polled_after_completion(),
        }
    }

    /// Leaves the queue, before it was ready. What was granted already is lent if the time is up; else returns what it
    /// lacked.
    pub(crate) fn leave(&mut self, ending: Ending) -> Result<T, Option<AcquireError>> {
        match mem::replace(&mut self.0, Stage::Done) {
            Stage::Asking(mut asking) => asking.leave(ending).map(lent),
            Stage::Ready(result) => result.map_err(Some),
            // It is dropped.
            Stage::Own(_) | Stage::Done => Err(None),
        }
    }

    /// The time is up, after so much of it. Returns what was granted just before.
    pub(crate) fn late(&mut self, waited: Duration) -> Result<T, AcquireError> {
        let asking = match &mut self.0 {
            Stage::Asking(asking) => asking,
            Stage::Own(own) => {
                let late = AcquireError::TimedOut {
                    pool: own.pool.clone(),
                    waited,
                    why: None,
                };
                self.0 = Stage::Done;
                return Err(late);
            }
            Stage::Ready(_) | Stage::Done => return self.take_ready(),
        };
        let left = asking.leave(Ending::TimedOut);
        let lent = left.map(lent).map_err(|why| match why {
            // It would have waited in vain, however long.
            Some(refused @ (AcquireError::Closed { .. } | AcquireError::TooMany { .. })) => refused,
            why => AcquireError::TimedOut {
                pool: match (&why, &asking.lender) {
                    (Some(why), _) => why.pool().into(),
                    (None, Some(lender)) => lender.name().clone(),
                    // It is taken out of a request that is used up.
                    (None, None) => Name::default(),
                },
                waited,
                why: why.map(Box::new),
            },
        });
        self.0 = Stage::Done;
        lent
    }
}

fn lent<T: Lent>(loan: Loan) -> T {
    T::from_buffers(loan.first, loan.others)
}

/// As std's futures say it.
#[cold]
#[track_caller]
#[expect(clippy::panic, reason = "documented, and a mistake in the caller's code")]
fn polled_after_completion() -> ! {
    panic!("`Acquire` polled after completion")
}

impl Pending<'_> {
    fn into_owned(mut self) -> Pending<'static> {
        Pending {
            lender: self.lender.take().map(|lender| match lender {
                LenderRef::Borrowed(lender) => LenderRef::Owned(lender.to_owned()),
                LenderRef::Owned(lender) => LenderRef::Owned(lender),
            }),
            request: self.request,
            ticket: self.ticket.take(),
        }
    }

    fn leave(&mut self, ending: Ending) -> Result<Loan, Option<AcquireError>> {
        match (&self.lender, self.ticket.take()) {
            (Some(lender), Some(ticket)) => lender.leave(&self.request, ticket, ending),
            _ => Err(None),
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        drop(self.leave(Ending::Abandoned));
    }
}

// What waits is in the queue, by number.
impl<T> Unpin for Acquire<'_, T> {}

impl<T: Lent> Future for Acquire<'_, T> {
    type Output = Result<T, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_lent(context.waker())
    }
}

impl<T> fmt::Debug for Acquire<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            Stage::Done => "done",
            Stage::Ready(_) => "ready",
            Stage::Asking(_) | Stage::Own(_) => "waiting",
        };
        f.debug_tuple("Acquire").field(&state).finish()
    }
}
