//! A pool of the user's may wait, by a future of its own: who asks it waits as at any other pool.

use std::future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use event_listener::Event;
use poolbuf::{Acquire, AcquireError, Holders, Pool, PoolStats, PooledBuf, Recycle, Recycler};

const SIZE: usize = 64;
const FOR_EVER: Duration = Duration::MAX;

/// What is free, and who waits for it.
#[derive(Default)]
struct Shelf {
    free: Mutex<Vec<Box<[u8]>>>,
    came_back: Event,
    waiting: AtomicUsize,
}

impl Recycle for Shelf {
    fn recycle(&self, mut memory: Box<[u8]>, dirty: usize) {
        memory[..dirty].fill(0);
        self.free.lock().unwrap().push(memory);
        self.came_back.notify(1);
    }
}

/// Lends the buffers of its shelf, and waits for one.
#[derive(Clone, Debug)]
struct Own(Recycler<Shelf>);

impl Own {
    fn new(buffers: usize) -> Own {
        let own = Own(Recycler::new(Shelf::default()));
        own.shelf().free.lock().unwrap().resize(buffers, vec![0; SIZE].into());
        own
    }

    fn shelf(&self) -> &Shelf {
        self.0.get_ref()
    }
}

/// Counts as waiting until it is dropped.
struct Counted(Own);

impl Counted {
    fn new(own: Own) -> Counted {
        own.shelf().waiting.fetch_add(1, Ordering::Relaxed);
        Counted(own)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.shelf().waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool for Own {
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let pool = || self.name().into();
        if len > SIZE {
            return Err(AcquireError::TooLarge {
                pool: pool(),
                requested: len,
                max: SIZE,
            });
        }
        let free = self.shelf().free.lock().unwrap().pop();
        let memory = free.ok_or_else(|| AcquireError::Exhausted {
            pool: pool(),
            in_use: 1,
            max: 1,
            first_wants: 0,
            held_by: None,
        })?;
        Ok(self.0.lend(memory, 0).unwrap())
    }

    fn max_len(&self) -> usize {
        SIZE
    }

    fn stats(&self) -> PoolStats {
        let mut stats = PoolStats::default();
        stats.available = self.shelf().free.lock().unwrap().len();
        stats.waiting = self.shelf().waiting.load(Ordering::Relaxed);
        stats
    }

    fn name(&self) -> &str {
        "own"
    }

    fn close(&self) -> Holders {
        self.holders()
    }

    fn acquire_async(&self, len: usize) -> Acquire<'_> {
        let counted = Counted::new(self.clone());
        Acquire::from_future(self.name(), async move {
            let Counted(own) = &counted;
            loop {
                let came_back = own.shelf().came_back.listen();
                match own.acquire_for(len) {
                    Err(AcquireError::Exhausted { .. }) => came_back.await,
                    result => return result,
                }
            }
        })
    }
}

fn poll(request: &mut Acquire<'_>) -> Poll<Result<PooledBuf, AcquireError>> {
    Pin::new(request).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_thread_waits_for_a_pool_of_the_users_until_something_comes_back() {
    let pool: Arc<dyn Pool> = Arc::new(Own::new(1));
    let held = pool.acquire_timeout(SIZE, FOR_EVER).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.acquire_timeout(SIZE, FOR_EVER));
        while pool.stats().waiting == 0 {
            thread::yield_now();
        }
        assert!(pool.acquire().is_err());
        drop(held);
        assert_eq!(waiting.join().unwrap().unwrap().capacity(), SIZE);
    });
    assert_eq!((pool.stats().waiting, pool.stats().available), (0, 1));
    let too_large = pool.acquire_timeout(SIZE + 1, FOR_EVER);
    assert!(matches!(too_large, Err(AcquireError::TooLarge { .. })), "{too_large:?}");
}

#[test]
fn when_the_time_is_over_the_future_is_dropped_and_the_error_names_the_pool() {
    let pool = Own::new(1);
    let held = pool.acquire().unwrap();
    let in_a_thread = pool.acquire_timeout(1, Duration::ZERO);
    assert_eq!(pool.stats().waiting, 0);
    let mut in_a_task = pool.acquire_async(1).within(future::ready(()));
    let Poll::Ready(in_a_task) = Pin::new(&mut in_a_task).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the time is over");
    };
    assert_eq!(pool.stats().waiting, 0);
    for late in [in_a_thread, in_a_task] {
        let error = late.unwrap_err();
        assert!(matches!(error, AcquireError::TimedOut { why: None, .. }), "{error:?}");
        assert_eq!(error.pool(), "own");
    }
    drop(held);
    assert!(pool.acquire_timeout(1, Duration::ZERO).is_ok());
}

#[test]
fn a_request_that_is_dropped_leaves_and_one_that_is_owned_outlives_the_pool() {
    let pool = Own::new(1);
    let held = pool.acquire().unwrap();
    let mut dropped = pool.acquire_async(1);
    let mut owned = pool.acquire_async(1);
    assert!(poll(&mut dropped).is_pending() && poll(&mut owned).is_pending());
    drop(dropped);
    assert_eq!(pool.stats().waiting, 1);
    let mut owned = owned.into_owned();
    drop(pool);
    assert!(poll(&mut owned).is_pending());
    drop(held);
    let served = thread::spawn(move || poll(&mut owned));
    let served = served.join().unwrap();
    assert!(matches!(served, Poll::Ready(Ok(_))), "{served:?}");
}
