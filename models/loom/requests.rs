//! Requests that wait, as the models make them.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loom::thread::JoinHandle;
use poolbuf::{Acquire, AcquireError, Lent, Pool, PooledBuf};

use crate::explore::spawn_with;
use crate::ledger::Ledger;
use crate::pools::SIZE;

/// For ever: loom reports a deadlock if a thread that waits is never woken.
pub(crate) const FOR_EVER: Duration = Duration::MAX;

/// Asks once; nobody is woken.
pub(crate) fn poll<T: Lent>(request: &mut Acquire<'_, T>) -> Poll<Result<T, AcquireError>> {
    let mut context = Context::from_waker(Waker::noop());
    Future::poll(Pin::new(request), &mut context)
}

/// A request for `count` buffers that is in the queue: there are too few.
pub(crate) fn joined(pool: &impl Pool, count: usize) -> Acquire<'static, Vec<PooledBuf>> {
    let mut request = pool.acquire_many_async(count, SIZE).into_owned();
    assert!(poll(&mut request).is_pending());
    request
}

/// Waits for `count` buffers to the end.
pub(crate) fn wait_for(pool: &impl Pool, count: usize) -> Vec<PooledBuf> {
    let bufs = pool.acquire_many_async(count, SIZE).wait_timeout(FOR_EVER).unwrap();
    assert_eq!(bufs.len(), count);
    bufs
}

/// `wait_for` on a thread of its own, which uses them up and gives them back.
pub(crate) fn many_elsewhere<P: Pool + Clone + 'static>(
    pool: &P,
    ledger: &Ledger,
    id: u8,
    count: usize,
) -> JoinHandle<()> {
    spawn_with((pool.clone(), ledger.clone()), move |(pool, ledger)| {
        ledger.use_up_many(wait_for(&pool, count), id);
    })
}

/// `wait_for` on a thread of its own, which returns them.
pub(crate) fn kept_elsewhere<P: Pool + Clone + 'static>(pool: &P, count: usize) -> JoinHandle<Vec<PooledBuf>> {
    spawn_with(pool.clone(), move |pool| wait_for(&pool, count))
}

/// Begins to wait for `count` buffers and leaves, whatever has happened by then. Returns how many waits it abandoned:
/// one, unless it was served at once.
pub(crate) fn wait_and_leave(pool: &impl Pool, count: usize) -> u64 {
    match poll(&mut pool.acquire_many_async(count, SIZE)) {
        Poll::Ready(result) => {
            assert_eq!(result.unwrap().len(), count);
            0
        }
        Poll::Pending => 1,
    }
}
