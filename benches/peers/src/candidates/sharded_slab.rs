//! sharded-slab's `Pool`. Dropping its guard only ends the mutable access; `clear`, with the entry's key, is
//! what lets the entry be used again, so a guard of ours does both. Its plain guards stay on their thread: the
//! owned ones, which count references to the pool, are for handing over.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use sharded_slab::pool::{OwnedRefMut, RefMut};
use sharded_slab::{Clear, Pool};

use super::write_start;
use crate::strategy::{BUFFER_SIZE, Strategy};

/// What the pool makes by itself. There is nothing to clear in it.
pub(crate) struct Buffer(Box<[u8]>);

impl Default for Buffer {
    /// Not touched: the slab makes them by the thousand, and uses them when it needs them.
    fn default() -> Self {
        Buffer(vec![0; BUFFER_SIZE].into_boxed_slice())
    }
}

impl Clear for Buffer {
    #[inline(always)]
    fn clear(&mut self) {}
}

pub(crate) struct Slab(Pool<Buffer>);

pub(crate) struct SlabGuard<'a> {
    pool: &'a Pool<Buffer>,
    entry: ManuallyDrop<RefMut<'a, Buffer>>,
}

impl Strategy for Slab {
    type Guard<'a> = SlabGuard<'a>;

    const ID: &'static str = "sharded-slab";
    const LABEL: &'static str = "sharded-slab";

    fn new(buffers: usize) -> Self {
        let slab = Slab(Pool::new());
        let acquired: Vec<_> = (0..buffers).map(|_| slab.acquire()).collect();
        drop(acquired);
        slab
    }

    #[inline(always)]
    fn acquire(&self) -> SlabGuard<'_> {
        SlabGuard {
            pool: &self.0,
            entry: ManuallyDrop::new(self.0.create().expect("a slab has room for millions")),
        }
    }

    #[inline(always)]
    fn write(guard: &mut SlabGuard<'_>, message: &[u8]) -> *const u8 {
        write_start(&mut guard.entry.0, message)
    }
}

impl Drop for SlabGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let key = self.entry.key();
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.entry) };
        self.pool.clear(key);
    }
}

pub(crate) struct OwnedSlab(Arc<Pool<Buffer>>);

pub(crate) struct OwnedSlabGuard {
    pool: Arc<Pool<Buffer>>,
    entry: ManuallyDrop<OwnedRefMut<Buffer>>,
}

impl Strategy for OwnedSlab {
    type Guard<'a> = OwnedSlabGuard;

    const ID: &'static str = "sharded-slab";
    const LABEL: &'static str = "sharded-slab, owned guards";

    fn new(buffers: usize) -> Self {
        OwnedSlab(Arc::new(Slab::new(buffers).0))
    }

    #[inline(always)]
    fn acquire(&self) -> OwnedSlabGuard {
        let entry = Arc::clone(&self.0).create_owned();
        OwnedSlabGuard {
            pool: Arc::clone(&self.0),
            entry: ManuallyDrop::new(entry.expect("a slab has room for millions")),
        }
    }

    #[inline(always)]
    fn write(guard: &mut OwnedSlabGuard, message: &[u8]) -> *const u8 {
        write_start(&mut guard.entry.0, message)
    }
}

impl Drop for OwnedSlabGuard {
    #[inline(always)]
    fn drop(&mut self) {
        let key = self.entry.key();
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.entry) };
        self.pool.clear(key);
    }
}
