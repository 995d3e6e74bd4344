//! Memory of the heap as a pool.
#![forbid(unsafe_code)]

use crate::buf::guard::PooledBuf;
use crate::memory::layout::BUFFER_SIZE_LIMIT;
use crate::pools::pool::Pool;
use crate::report::error::acquire::AcquireError;
use crate::report::holders::Holders;
use crate::report::stats::PoolStats;

/// The heap, as a pool: each request gets memory of exactly the length that it asks for, which is freed when its guard
/// is dropped. By itself it has no bound: give it one by a [`Share`](crate::Share), which also counts what is lent, and
/// can be waited for.
///
/// For what does not fit a pool's buffers: the rest of an answer that a client does not read, which is copied there so
/// that the pool's buffer goes back; a request beyond the largest tier, see
/// [`MultiSizeConfig::heap`](crate::MultiSizeConfig::heap). If the budget refuses it, cut that client off, and no
/// stranger.
///
/// *Cost.* That of the allocator; through a share an allocation more, of 100 bytes, for each loan.
///
/// ```
/// use poolbuf::{AcquireError, Budget, BufferPool, Heap, Pool, Share};
///
/// let pool = BufferPool::new(16_384, 0, 100)?;
/// let spilled = Share::new(Heap, &Budget::with_name(1_000_000, "unread answers"));
///
/// let mut answer = pool.acquire()?;
/// answer.extend_from_slice(&[7; 300])?;
/// // The client takes 100 bytes of it, and then no more for a while.
/// let unread = &answer[100..];
/// let mut rest = spilled.acquire_for(unread.len())?;
/// rest.extend_from_slice(unread)?;
/// drop(answer);
/// assert_eq!((rest.capacity(), spilled.budget().lent(), pool.stats().in_use), (200, 200, 0));
///
/// let refused = spilled.acquire_for(1_000_000).unwrap_err();
/// assert!(matches!(refused, AcquireError::OverBudget { requested: 1_000_000, lent: 200, .. }));
/// assert_eq!(refused.pool(), "heap, share of unread answers");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

const NAME: &str = "heap";

impl Pool for Heap {
    /// [`TooLarge`](AcquireError::TooLarge) beyond 4,294,967,295 bytes, and
    /// [`OutOfMemory`](AcquireError::OutOfMemory) when the allocator has no more.
    fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
        let too_large = || AcquireError::TooLarge {
            pool: NAME.into(),
            requested: len,
            max: BUFFER_SIZE_LIMIT,
        };
        if len > BUFFER_SIZE_LIMIT {
            return Err(too_large());
        }
        let mut memory = Vec::new();
        memory.try_reserve_exact(len).map_err(|_| AcquireError::OutOfMemory {
            pool: NAME.into(),
            bytes: len,
        })?;
        PooledBuf::try_from(memory).map_err(|_| too_large())
    }

    /// All that a guard can count.
    fn max_len(&self) -> usize {
        BUFFER_SIZE_LIMIT
    }

    fn capacity_for(&self, len: usize) -> Option<usize> {
        (len <= BUFFER_SIZE_LIMIT).then_some(len)
    }

    /// Nothing: it counts nothing. [`Budget::stats`](crate::Budget::stats) tells what a share of it lends.
    fn stats(&self) -> PoolStats {
        PoolStats {
            name: NAME.into(),
            ..PoolStats::default()
        }
    }

    fn name(&self) -> &str {
        NAME
    }

    /// Does nothing: the heap can't be closed. Close its share.
    fn close(&self) -> Holders {
        Holders::untracked(0)
    }
}
