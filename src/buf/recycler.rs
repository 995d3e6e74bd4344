//! Lending one's own memory as [`PooledBuf`]: for pools outside this crate.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::base::wipe::Wipe;
use crate::buf::guard::header::{ReleaseHeader, ReleaseHeaders};
use crate::buf::guard::words::{Lengths, Place};
use crate::buf::guard::{NO_SLOT, PooledBuf};
use crate::free_list::Slot;
use crate::memory::layout::is_beyond_limit;

/// What becomes of memory that comes back.
pub trait Recycle: Send + Sync + 'static {
    /// Takes back memory that was lent with [`Recycler::lend`]; called on the thread that drops the guard.
    ///
    /// Bytes below `dirty` may have been written by the holder or one before it. A panic here passes
    /// through the guard's `drop`; the memory is then freed, and nothing leaks. Where several guards are
    /// dropped at once, as those of a `Vec` or a [`PooledChain`](crate::PooledChain), the others are dropped
    /// all the same; a second panic among them ends the process, as it does everywhere in Rust.
    fn recycle(&self, memory: Box<[u8]>, dirty: usize);
}

/// Lends memory of your own as [`PooledBuf`]s, so that a pool of your making fits wherever a
/// [`Pool`](crate::Pool) does. Safe code suffices.
///
/// Costs an atomic count up for each loan and one down for each release, which this crate's own pools do
/// without. Cloning gives another handle of the same recycler.
///
/// A pool that takes whatever it needs from the allocator, and keeps what comes back:
///
/// ```
/// use poolbuf::{AcquireError, Holders, Pool, PoolStats, PooledBuf, Recycle, Recycler};
/// use std::sync::Mutex;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// struct Kept(Mutex<Vec<(Box<[u8]>, usize)>>);
///
/// impl Recycle for Kept {
///     fn recycle(&self, memory: Box<[u8]>, dirty: usize) {
///         self.0.lock().unwrap().push((memory, dirty));
///     }
/// }
///
/// #[derive(Debug)]
/// struct Unbounded {
///     recycler: Recycler<Kept>,
///     closed: AtomicBool,
/// }
///
/// impl Unbounded {
///     fn kept(&self) -> std::sync::MutexGuard<'_, Vec<(Box<[u8]>, usize)>> {
///         self.recycler.get_ref().0.lock().unwrap()
///     }
/// }
///
/// impl Pool for Unbounded {
///     fn acquire_for(&self, len: usize) -> Result<PooledBuf, AcquireError> {
///         let (pool, max) = (self.name().into(), self.max_len());
///         if len > max {
///             return Err(AcquireError::TooLarge { pool, requested: len, max });
///         }
///         if self.closed.load(Ordering::Relaxed) {
///             return Err(AcquireError::Closed { pool });
///         }
///         let kept = self.kept().pop();
///         let (memory, dirty) = kept.unwrap_or_else(|| (vec![0; max].into(), 0));
///         Ok(self.recycler.lend(memory, dirty).expect("4 KiB are far below the limit"))
///     }
///     fn max_len(&self) -> usize {
///         4096
///     }
///     fn stats(&self) -> PoolStats {
///         let mut stats = PoolStats::default();
///         stats.name = self.name().into();
///         stats.available = self.kept().len();
///         stats
///     }
///     fn name(&self) -> &str {
///         "unbounded"
///     }
///     fn close(&self) -> Holders {
///         self.closed.store(true, Ordering::Relaxed);
///         self.holders()
///     }
///     fn trim(&self) -> usize {
///         self.kept().drain(..).map(|(memory, _)| memory.len()).sum()
///     }
/// }
///
/// let recycler = Recycler::new(Kept(Mutex::default()));
/// let pool: Box<dyn Pool> = Box::new(Unbounded { recycler, closed: AtomicBool::new(false) });
/// drop(pool.acquire()?);
/// assert_eq!(pool.stats().available, 1);
/// assert_eq!(pool.trim(), 4096);
/// pool.close();
/// assert_eq!(pool.acquire().unwrap_err().to_string(), "unbounded is closed: it lends no more buffers");
/// # Ok::<(), AcquireError>(())
/// ```
pub struct Recycler<R> {
    home: Arc<Home<R>>,
}

/// What the guards point to. The lender comes first, so a pointer to it is one to the whole.
#[repr(C)]
struct Home<R> {
    lender: ReleaseHeaders,
    recycle: R,
}

impl<R: Recycle> Recycler<R> {
    /// A recycler whose memory goes back to `recycle`.
    pub fn new(recycle: R) -> Self {
        Recycler {
            home: Arc::new(Home {
                lender: ReleaseHeaders::new(release::<R>, 0, Wipe::Never),
                recycle,
            }),
        }
    }

    /// What the memory goes back to.
    #[must_use]
    pub fn get_ref(&self) -> &R {
        &self.home.recycle
    }

    /// Lends `memory`, all of it. Say in `dirty` how many of its leading bytes may hold what another
    /// holder wrote: what [`Recycle::recycle`] said of it, or 0 if it was wiped or is new. The guard never
    /// shows those bytes.
    ///
    /// # Errors
    ///
    /// The memory itself, when it is larger than the 4,294,967,295 bytes that a guard can count.
    pub fn lend(&self, memory: Box<[u8]>, dirty: usize) -> Result<PooledBuf, Box<[u8]>> {
        if is_beyond_limit(memory.len()) {
            return Err(memory);
        }
        // Both at most `BUFFER_SIZE_LIMIT`, a `u32`.
        let (capacity, stale) = (memory.len() as u32, dirty.min(memory.len()) as u32);
        let memory = NonNull::from(Box::leak(memory)).cast();
        let home = Arc::into_raw(Arc::clone(&self.home)).cast_mut();
        // SAFETY: an `Arc` never points to null.
        let header = unsafe { NonNull::new_unchecked(home) }.cast();
        // SAFETY: the count taken above keeps the header alive until `release` gives it up. The memory was
        // a box of `capacity` initialised bytes, leaked to the guard alone. `R` is `Send + Sync`, so
        // `release` may be called on any thread.
        Ok(unsafe {
            let slot = Slot::new(NO_SLOT, stale);
            PooledBuf::from_parts(header, memory, capacity, slot)
        })
    }
}

/// Gives a guard's memory back to the `Home<R>` that it came from.
///
/// # Safety
///
/// The values are what `Recycler::<R>::lend` made a guard from, and have not been released before.
unsafe fn release<R: Recycle>(
    header: NonNull<ReleaseHeader>,
    data: NonNull<u8>,
    place: Place,
    lengths: Lengths,
    slot: Slot,
) {
    let home: *const Home<R> = header.cast().as_ptr();
    // SAFETY: `lend` made the header from `Arc::into_raw`, and this call alone takes that count back.
    let home = unsafe { Arc::from_raw(home) };
    // There is no headroom, so the head is not negative.
    let (head, size) = (place.head() as usize, place.size() as usize);
    // SAFETY: `lend` leaked a box of this address and length, and this call alone takes it back. Its bytes
    // are initialised, as they were when it was lent.
    let memory = unsafe {
        let memory = NonNull::slice_from_raw_parts(data.sub(head), size);
        Box::from_raw(memory.as_ptr())
    };
    let dirty = slot.used(place, lengths).dirty();
    home.recycle.recycle(memory, dirty as usize);
}

impl<R> Clone for Recycler<R> {
    fn clone(&self) -> Self {
        Recycler {
            home: Arc::clone(&self.home),
        }
    }
}

impl<R> fmt::Debug for Recycler<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recycler").finish_non_exhaustive()
    }
}
