//! Waiting for a buffer: a future for any runtime, and a thread that parks until it is ready.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::error::AcquireError;
use crate::holders::Caller;
use crate::pooled_buf::PooledBuf;
use crate::sync::Instant;
use crate::waiting::budget::Reservation;
use crate::waiting::queue::{Claim, Ending, Ticket, Wait};
use crate::waiting::thread_waker::ThreadWaker;

/// A request that waits for its buffer: what [`Pool::acquire_async`](crate::Pool::acquire_async) returns, and, as
/// `Acquire<'static>`, [`Pool::acquire_owned`](crate::Pool::acquire_owned).
///
/// A future for any runtime. It is in the queue from its first poll on; first come, first served. Dropping
/// it, at whatever moment, leaves the queue, and a buffer that was already handed to it goes to the next one: so
/// it can be raced against a timer or a shutdown. (`std::mem::forget` on one that waits is safe, but a
/// buffer that is then handed to it is lost to the pool.) A wait that is dropped counts as
/// [abandoned](crate::PoolStats::abandoned). For a time limit there is [`within`](Acquire::within).
///
/// *Cost.* Nothing but an ordinary acquire when a buffer is free. A request that waits pays for a lock when it joins and when
/// it is served, and so does the release that hands it the buffer; no other call pays anything.
///
/// *It does not yield by itself:* while a buffer is free, it is ready at its first poll, always. A future that sometimes
/// were not would break those that poll once. So a task that only acquires and releases, in a loop, keeps its thread
/// from the others; see [`guide::waiting`](crate::guide::waiting).
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
    count: u32,
    caller: Caller,
}

enum State<'a> {
    Done(Option<Lent>),
    /// The first lender that can lend does. A place is empty when its lender is closed.
    Asking {
        asked: [Option<Asked<'a>>; 2],
        /// For the queues of two lenders.
        claim: OnceLock<Claim>,
    },
}

/// A lender, and how far the request has got with it. Dropped, it leaves the lender's queue, and gives back what it was
/// handed.
struct Asked<'a> {
    lender: LenderRef<'a>,
    progress: Progress,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.lender.leave(&mut self.progress, false);
    }
}

/// A lender, borrowed or kept.
pub(crate) enum LenderRef<'a> {
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

/// What a lender answers.
pub(crate) type Lent = Result<Loan, AcquireError>;

/// As many buffers as a request asked for.
pub(crate) struct Loan {
    pub(crate) first: PooledBuf,
    /// Has room for the first, if there are others.
    pub(crate) others: Vec<PooledBuf>,
}

impl Loan {
    pub(crate) fn one(first: PooledBuf) -> Self {
        Loan {
            first,
            others: Vec::new(),
        }
    }

    /// `None` if there are none.
    pub(crate) fn many(mut bufs: Vec<PooledBuf>) -> Option<Self> {
        let first = bufs.pop()?;
        Some(Loan {
            first,
            others: bufs,
        })
    }

    pub(crate) fn into_vec(self) -> Vec<PooledBuf> {
        let mut bufs = self.others;
        bufs.push(self.first);
        bufs
    }
}

/// A request that can be told that its time is up.
pub(crate) trait Waits: Future {
    /// Whether the result has been taken.
    fn is_done(&self) -> bool;

    /// The time is up, after so much of it. Returns what was handed over just before.
    fn late(&mut self, waited: Duration) -> Self::Output;
}

/// What has a queue for its buffers.
pub(crate) trait Lender: Send + Sync {
    /// What the pool is called.
    fn name(&self) -> &Arc<str>;

    /// Lends a buffer, or queues for one: the waker is woken when it is worth asking again.
    fn poll_acquire(&self, progress: &mut Progress, request: &Request<'_>) -> Poll<Lent>;

    /// Leaves the queue. Buffers that have been handed over already are lent if the request `wants` them still, or go to
    /// the next one.
    fn leave(&self, progress: &mut Progress, wants: bool) -> Left;

    /// Counts a wait that has ended.
    fn count_wait(&self, ending: Ending, wait: Wait);
}

/// What came of leaving a queue.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) lent: Option<Loan>,
    /// The request was in a queue, and was not lent a buffer. Not counted yet.
    pub(crate) in_vain: Option<Wait>,
}

/// A request as a lender sees it.
pub(crate) struct Request<'a> {
    /// Buffers that it asks for, at least 1.
    pub(crate) count: u32,
    pub(crate) waker: &'a Waker,
    pub(crate) caller: Caller,
    /// Whether the request counts here, and not with another lender that is asked too.
    pub(crate) counted: bool,
    /// For a request that is in two queues.
    pub(crate) claim: Option<&'a OnceLock<Claim>>,
}

/// How far a request has got with a [`Lender`]. Belongs to that lender: it is given up by `leave`.
#[derive(Default)]
pub(crate) enum Progress {
    #[default]
    New,
    InQueue(Ticket),
    /// Has its buffers, and waits for the bytes of a budget.
    ForBytes(Reservation),
    /// Was handed its buffers, and had to give them back. Other queues may have passed the request over meanwhile.
    Lost,
}

impl<'a> Acquire<'a> {
    /// A request with its result, for pools that don't wait.
    #[track_caller]
    pub fn ready(result: Result<PooledBuf, AcquireError>) -> Self {
        Acquire {
            state: State::Done(Some(result.map(Loan::one))),
            count: 1,
            caller: Location::caller(),
        }
    }

    /// A request to `first`, or to `second` if that can lend earlier.
    #[track_caller]
    pub(crate) fn new(first: LenderRef<'a>, second: Option<LenderRef<'a>>) -> Self {
        Acquire::of(1, first, second)
    }

    /// As `new`, for `count` buffers of one of the two.
    #[track_caller]
    fn of(count: u32, first: LenderRef<'a>, second: Option<LenderRef<'a>>) -> Self {
        let ask = |lender| Asked {
            lender,
            progress: Progress::New,
        };
        Acquire {
            state: State::Asking {
                asked: [Some(ask(first)), second.map(ask)],
                claim: OnceLock::new(),
            },
            count,
            caller: Location::caller(),
        }
    }

    /// On behalf of that line of code, which the pool names as the buffer's holder.
    pub(crate) fn for_caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Parks the thread until the buffer is there, for at most `timeout`; `Duration::MAX` is for ever.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](AcquireError::TimedOut), and those of [`Pool::acquire_for`](crate::Pool::acquire_for) but for
    /// `Exhausted`.
    pub fn wait_timeout(self, timeout: Duration) -> Result<PooledBuf, AcquireError> {
        self.wait(timeout).map(|loan| loan.first)
    }

    fn wait(mut self, timeout: Duration) -> Lent {
        let thread = ThreadWaker::take();
        let result = self.park(&thread, timeout);
        thread.keep();
        result
    }

    fn park(&mut self, thread: &ThreadWaker, timeout: Duration) -> Lent {
        if let Poll::Ready(result) = self.poll_lenders(thread.waker()) {
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
                _ => return self.timed_out(waited),
            }
            if let Poll::Ready(result) = self.poll_lenders(thread.waker()) {
                return result;
            }
        }
    }

    pub(crate) fn poll_lenders(&mut self, waker: &Waker) -> Poll<Lent> {
        let (asked, claim) = match &mut self.state {
            State::Done(result) => {
                return result.take().map_or(Poll::Pending, Poll::Ready);
            }
            State::Asking { asked, claim } => (asked, claim),
        };
        let is_lost = |asked: &Asked<'_>| matches!(asked.progress, Progress::Lost);
        if asked.iter().flatten().any(is_lost) {
            // A user's waker panicked. The request begins anew.
            for Asked { lender, progress } in asked.iter_mut().flatten() {
                lender.leave(progress, false);
            }
            *claim = OnceLock::new();
        }
        let mut last = None;
        for number in 0..asked.len() {
            // With the first one that is not closed.
            let counted = asked[..number].iter().all(Option::is_none);
            let two = asked[1 - number].is_some();
            let Some(Asked { lender, progress }) = &mut asked[number] else {
                continue;
            };
            let request = Request {
                count: self.count,
                waker,
                caller: self.caller,
                counted,
                claim: two.then_some(&*claim),
            };
            match lender.poll_acquire(progress, &request) {
                Poll::Pending if matches!(progress, Progress::ForBytes(_)) => {
                    // Has its buffers: it needs none of the others'.
                    asked[1 - number] = None;
                    return Poll::Pending;
                }
                Poll::Pending => {}
                Poll::Ready(Ok(loan)) => {
                    // Leaves the other queue.
                    self.state = State::Done(None);
                    return Poll::Ready(Ok(loan));
                }
                Poll::Ready(Err(error)) => {
                    if matches!(progress, Progress::Lost) {
                        asked[1 - number] = None;
                    }
                    asked[number] = None;
                    // That one closed says less than that another is in use.
                    last = match last {
                        Some(earlier) if matches!(error, AcquireError::Closed { .. }) => {
                            Some(earlier)
                        }
                        _ => Some(error),
                    };
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
            State::Asking { asked, .. } => asked.iter().flatten().next(),
            State::Done(_) => None,
        };
        asked.map_or_else(|| Arc::from(""), |asked| Arc::clone(asked.lender.name()))
    }

    /// The time is up, after so much of it. Lends what was handed over just before.
    fn timed_out(&mut self, waited: Duration) -> Lent {
        let pool = self.pool_name();
        let lent = self.end(true, Ending::TimedOut);
        lent.ok_or(AcquireError::TimedOut { pool, waited })
    }

    /// Leaves all queues, and counts the wait, if it was one and ends without a buffer, where it counts.
    fn end(&mut self, wants: bool, ending: Ending) -> Option<Loan> {
        let mut asked = match std::mem::replace(&mut self.state, State::Done(None)) {
            State::Done(result) => return result?.ok(),
            State::Asking { asked, .. } => asked,
        };
        let mut lent = None;
        let mut in_vain = None;
        for Asked { lender, progress } in asked.iter_mut().flatten() {
            let left = lender.leave(progress, wants && lent.is_none());
            lent = lent.or(left.lent);
            in_vain = in_vain.or(left.in_vain.map(|wait| (&**lender, wait)));
        }
        if let (None, Some((lender, wait))) = (&lent, in_vain) {
            lender.count_wait(ending, wait);
        }
        lent
    }
}

/// Never ready again after it has been ready once.
impl Future for Acquire<'_> {
    type Output = Result<PooledBuf, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.poll_lenders(context.waker());
        polled.map_ok(|loan| loan.first)
    }
}

impl Waits for Acquire<'_> {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Done(None))
    }

    fn late(&mut self, waited: Duration) -> Self::Output {
        self.timed_out(waited).map(|loan| loan.first)
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        self.end(false, Ending::Abandoned);
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Done(None) => "done",
            State::Done(Some(_)) => "ready",
            State::Asking { .. } => "waiting",
        };
        f.debug_tuple("Acquire").field(&state).finish()
    }
}

/// A request that waits for many buffers at once: what [`Pool::acquire_many_async`](crate::Pool::acquire_many_async)
/// returns.
///
/// As [`Acquire`], in all that is said there. The request has one place in the queue, and when it is the first there, what
/// is released is collected for it until it is whole; then the task is woken, once. Dropped, at whatever moment, it gives
/// all that was collected to those behind it.
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
/// tokio::task::yield_now().await; // the other task has the fourth by now, and waits for the rest …
/// drop(held); // … which it is handed
/// assert_eq!(other.await?.unwrap().len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct AcquireMany<'a>(Many<'a>);

enum Many<'a> {
    Ready(Option<Result<Vec<PooledBuf>, AcquireError>>),
    Asking(Acquire<'a>),
}

impl<'a> AcquireMany<'a> {
    /// A request with its result, for pools that don't wait.
    pub fn ready(result: Result<Vec<PooledBuf>, AcquireError>) -> Self {
        AcquireMany(Many::Ready(Some(result)))
    }

    /// A request for `count` buffers, at least 1, to `first`, or to `second` if that can lend them earlier.
    #[track_caller]
    pub(crate) fn new(count: u32, first: LenderRef<'a>, second: Option<LenderRef<'a>>) -> Self {
        AcquireMany(Many::Asking(Acquire::of(count, first, second)))
    }

    /// Parks the thread until the buffers are there, for at most `timeout`; `Duration::MAX` is for ever.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](AcquireError::TimedOut), and those of [`Pool::acquire_many`](crate::Pool::acquire_many) but for
    /// `Exhausted`.
    pub fn wait_timeout(self, timeout: Duration) -> Result<Vec<PooledBuf>, AcquireError> {
        match self.0 {
            Many::Asking(request) => request.wait(timeout).map(Loan::into_vec),
            // Not polled before: polling it, and this, take it.
            Many::Ready(result) => result.unwrap_or_else(|| Ok(Vec::new())),
        }
    }
}

/// Never ready again after it has been ready once.
impl Future for AcquireMany<'_> {
    type Output = Result<Vec<PooledBuf>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Many::Ready(result) => result.take().map_or(Poll::Pending, Poll::Ready),
            Many::Asking(request) => {
                let polled = request.poll_lenders(context.waker());
                polled.map_ok(Loan::into_vec)
            }
        }
    }
}

impl Waits for AcquireMany<'_> {
    fn is_done(&self) -> bool {
        match &self.0 {
            Many::Ready(result) => result.is_none(),
            Many::Asking(request) => request.is_done(),
        }
    }

    fn late(&mut self, waited: Duration) -> Self::Output {
        match &mut self.0 {
            // It never waits.
            Many::Ready(result) => result.take().unwrap_or_else(|| Ok(Vec::new())),
            Many::Asking(request) => request.timed_out(waited).map(Loan::into_vec),
        }
    }
}

impl fmt::Debug for AcquireMany<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("AcquireMany");
        match &self.0 {
            Many::Ready(None) => tuple.field(&"done"),
            Many::Ready(Some(_)) => tuple.field(&"ready"),
            Many::Asking(request) => tuple.field(request),
        };
        tuple.finish()
    }
}

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use super::*;
    use crate::sync::Mutex;

    /// In whose queue every request waits, until it leaves.
    struct Busy {
        name: Arc<str>,
        /// Handed over just before.
        handed: Mutex<Option<PooledBuf>>,
        counted: Mutex<Vec<Ending>>,
    }

    impl Busy {
        fn new(handed: Option<PooledBuf>) -> Self {
            Busy {
                name: "busy".into(),
                handed: Mutex::new(handed),
                counted: Mutex::new(Vec::new()),
            }
        }

        fn counted(&self) -> Vec<Ending> {
            self.counted.lock().clone()
        }
    }

    impl Lender for Busy {
        fn name(&self) -> &Arc<str> {
            &self.name
        }

        fn poll_acquire(&self, _: &mut Progress, _: &Request<'_>) -> Poll<Lent> {
            Poll::Pending
        }

        fn leave(&self, _: &mut Progress, wants: bool) -> Left {
            let handed = self.handed.lock().take();
            Left {
                in_vain: handed.is_none().then_some(Wait::for_buffer(None)),
                lent: handed.filter(|_| wants).map(Loan::one),
            }
        }

        fn count_wait(&self, ending: Ending, _: Wait) {
            self.counted.lock().push(ending);
        }
    }

    fn buf() -> Option<PooledBuf> {
        PooledBuf::try_from(vec![7]).ok()
    }

    fn acquire<'a>(first: &'a Busy, second: &'a Busy) -> Acquire<'a> {
        Acquire::new(
            LenderRef::Borrowed(first),
            Some(LenderRef::Borrowed(second)),
        )
    }

    fn timed_out(first: &Busy, second: &Busy) -> Result<PooledBuf, AcquireError> {
        acquire(first, second).wait_timeout(Duration::ZERO)
    }

    #[test]
    fn a_request_that_one_lender_served_when_its_time_was_up_has_not_timed_out() {
        for first_serves in [false, true] {
            let serves = Busy::new(buf());
            let idle = Busy::new(None);
            let (first, second) = match first_serves {
                true => (&serves, &idle),
                false => (&idle, &serves),
            };
            assert_eq!(timed_out(first, second).unwrap(), [7]);
            assert_eq!((first.counted(), second.counted()), (vec![], vec![]));
        }
    }

    #[test]
    fn a_request_that_none_served_counts_once_where_it_waited_first() {
        let (first, second) = (Busy::new(None), Busy::new(None));
        let error = timed_out(&first, &second).unwrap_err();
        assert!(matches!(error, AcquireError::TimedOut { .. }));
        assert_eq!(first.counted(), [Ending::TimedOut]);
        drop(acquire(&first, &second));
        assert_eq!(first.counted(), [Ending::TimedOut, Ending::Abandoned]);
        assert_eq!(second.counted(), []);
    }
}
