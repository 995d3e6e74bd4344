//! A pool of one's own behind the trait `Pool`: here one that asks the allocator for what it needs, keeps a few
//! buffers that came back, and lets go of the rest. Servers that are written against `dyn Pool` take it as they take
//! any other. It never has to wait; one that waits for what comes back does so by `Acquire::from_future`, as
//! `tests/own_pools.rs` has it.
//!
//! ```text
//! cargo run --example own_pool
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use poolbuf::{AcquireError, BufferPool, Holders, Pool, PoolStats, PooledBuf, Recycle, Recycler};

/// Bytes of each buffer.
const SIZE: usize = 4096;

/// What comes back goes here.
struct Shelf {
    /// The memory, and how many of its bytes earlier holders may have written.
    kept: Mutex<Vec<(Box<[u8]>, usize)>>,
    most: usize,
    in_use: AtomicUsize,
    acquired: AtomicU64,
}

impl Recycle for Shelf {
    fn recycle(&self, memory: Box<[u8]>, dirty: usize) {
        self.in_use.fetch_sub(1, Ordering::Relaxed);
        let mut kept = self.kept();
        if kept.len() < self.most {
            kept.push((memory, dirty));
        }
    }
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Vec<(Box<[u8]>, usize)>> {
        // A panic elsewhere can't leave the list half changed.
        self.kept.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

/// Unbounded: never refuses until it is closed, and keeps `most` free buffers.
#[derive(Debug)]
struct Elastic {
    recycler: Recycler<Shelf>,
    closed: AtomicBool,
}

impl Elastic {
    fn new(most: usize) -> Self {
        let shelf = Shelf {
            kept: Mutex::default(),
            most,
            in_use: AtomicUsize::new(0),
            acquired: AtomicU64::new(0),
        };
        Elastic {
            recycler: Recycler::new(shelf),
            closed: AtomicBool::new(false),
        }
    }
}

impl Pool for Elastic {
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let too_large = |requested| AcquireError::TooLarge {
            pool: self.name().into(),
            requested,
            max: SIZE,
        };
        if len > SIZE {
            return Err(too_large(len));
        }
        if self.closed.load(Ordering::Relaxed) {
            return Err(AcquireError::Closed {
                pool: self.name().into(),
            });
        }
        let shelf = self.recycler.get_ref();
        let kept = shelf.kept().pop();
        let (memory, dirty) = kept.unwrap_or_else(|| (vec![0; SIZE].into(), 0));
        let buf = self.recycler.lend(memory, dirty);
        // `lend` refuses memory of more than 4 GiB only.
        let buf = buf.map_err(|memory| too_large(memory.len()))?;
        shelf.in_use.fetch_add(1, Ordering::Relaxed);
        shelf.acquired.fetch_add(1, Ordering::Relaxed);
        Ok(buf)
    }

    fn max_len(&self) -> usize {
        SIZE
    }

    fn stats(&self) -> PoolStats {
        let shelf = self.recycler.get_ref();
        let mut stats = PoolStats::default();
        stats.name = self.name().into();
        stats.buffer_size = SIZE;
        stats.max = usize::MAX;
        stats.in_use = shelf.in_use.load(Ordering::Relaxed);
        stats.available = shelf.kept().len();
        stats.total = stats.in_use + stats.available;
        stats.acquired = shelf.acquired.load(Ordering::Relaxed);
        stats
    }

    fn name(&self) -> &str {
        "elastic"
    }

    fn close(&self) -> Holders {
        self.closed.store(true, Ordering::Relaxed);
        self.holders()
    }

    fn trim(&self) -> usize {
        let kept = std::mem::take(&mut *self.recycler.get_ref().kept());
        kept.iter().map(|(memory, _)| memory.len()).sum()
    }
}

/// A server's use of a pool, whichever it is.
fn answer(pool: &dyn Pool, requests: &[&str]) -> Result<usize, Box<dyn std::error::Error>> {
    let mut answers = Vec::new();
    for request in requests {
        let mut buf = pool.acquire_for(request.len())?;
        buf.extend_from_slice(request.as_bytes())?;
        buf.as_mut_slice().make_ascii_uppercase();
        answers.push(buf);
    }
    Ok(answers.iter().map(|answer| answer.len()).sum())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let elastic: Arc<dyn Pool> = Arc::new(Elastic::new(2));
    let bounded: Arc<dyn Pool> = Arc::new(BufferPool::new(SIZE, 0, 8)?);
    for pool in [elastic, bounded] {
        assert_eq!(answer(&*pool, &["move north", "look", "say hello"])?, 23);
        assert!(pool.acquire_for(SIZE + 1).is_err());
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.acquired), (0, 3));
        println!(
            "{}: {} buffers free, {} acquired",
            stats.name, stats.available, stats.acquired
        );
        assert_eq!(pool.close().outstanding(), 0);
        assert!(matches!(pool.acquire(), Err(AcquireError::Closed { .. })));
    }
    Ok(())
}
