//! A pool of one's own behind the trait `Pool`: here one that asks the allocator for what it needs, keeps a few
//! buffers that came back, and lets go of the rest. Servers that are written against `dyn Pool` take it as they take
//! any other.
//!
//! ```text
//! cargo run --example own_pool
//! ```

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use poolbuf::{AcquireError, BufferPool, Pool, PoolStats, PooledBuf, Recycle, Recycler};

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
    fn recycle(&self, memory: Box<[u8]>, exposed: usize) {
        self.in_use.fetch_sub(1, Ordering::Relaxed);
        // A panic elsewhere can't leave the list half changed.
        let mut kept = self
            .kept
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        if kept.len() < self.most {
            kept.push((memory, exposed));
        }
    }
}

/// Unbounded: never refuses, and keeps `most` free buffers.
struct Elastic {
    recycler: Recycler<Shelf>,
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
        }
    }
}

impl Pool for Elastic {
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        if len > SIZE {
            return Err(AcquireError::TooLarge {
                requested: len,
                max: SIZE,
            });
        }
        let shelf = self.recycler.get_ref();
        let kept = shelf
            .kept
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
            .pop();
        let (memory, exposed) = kept.unwrap_or_else(|| (vec![0; SIZE].into(), 0));
        let buf = self.recycler.lend(memory, exposed);
        // `lend` refuses memory of more than 4 GiB only.
        let buf = buf.map_err(|memory| AcquireError::TooLarge {
            requested: memory.len(),
            max: SIZE,
        })?;
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
        stats.name = "elastic".into();
        stats.buffer_size = SIZE;
        stats.max = usize::MAX;
        stats.in_use = shelf.in_use.load(Ordering::Relaxed);
        stats.available = shelf
            .kept
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
            .len();
        stats.total = stats.in_use + stats.available;
        stats.acquired = shelf.acquired.load(Ordering::Relaxed);
        stats
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
    }
    Ok(())
}
