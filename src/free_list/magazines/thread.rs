//! What one thread has: its cache, and a table of its magazines by the number of their pool.

use std::cell::{Cell, RefCell};
#[cfg(any(poolbuf_loom, poolbuf_shuttle))]
use std::ptr;
use std::sync::Arc;

use crate::base::faults::{Fault, injected};
use crate::base::sync::{IN_MODEL, lazy_thread_local, static_thread_local};
use crate::free_list::magazines::magazine::Magazine;
use crate::free_list::magazines::registry::SharedMagazines;
#[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
use crate::free_list::magazines::thread_cache::NO_THREAD;
use crate::free_list::magazines::thread_cache::ThreadCache;

/// See the module. When the thread ends, its magazines are given back; what it acquires or releases after that, in the
/// drop of another thread-local, goes to the depot.
pub(super) struct ThreadMagazines {
    cache: Arc<ThreadCache>,
    table: RefCell<Table>,
}

/// A closed pool leaves a dead magazine in the tables of other threads. These are swept out after every so many new
/// entries, so that each pays for a few places at most, however many pools there are.
#[derive(Default)]
struct Table {
    entries: Vec<Option<TableEntry>>,
    /// New entries since the table was swept.
    entered: usize,
}

/// A magazine, and what keeps it and its depot alive.
struct TableEntry {
    magazine: Arc<Magazine>,
    shared: Arc<SharedMagazines>,
    place: u8,
}

/// The cache of a thread that has none.
const NO_CACHE: *const ThreadCache = {
    #[cfg(any(poolbuf_loom, poolbuf_shuttle))]
    {
        ptr::null()
    }
    #[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
    {
        &raw const NO_THREAD
    }
};

static_thread_local! {
    /// `NO_CACHE`, or the one in `OWN`, in a form that needs no check, no borrow and no drop.
    static CACHE: Cell<*const ThreadCache> = Cell::new(NO_CACHE);
}
lazy_thread_local! {
    static OWN: ThreadMagazines = ThreadMagazines::new();
}

/// Calls `f` with the magazine that is open at `place` in this thread's cache; `None` when none is. `f` neither makes
/// nor retires magazines.
#[inline(always)]
pub(super) fn with_open_magazine<R>(place: u8, f: impl FnOnce(&Magazine) -> R) -> Option<R> {
    if injected(Fault::NoThreadLocals) {
        return None;
    }
    let cache = CACHE.try_with(Cell::get).ok()?;
    if IN_MODEL && cache.is_null() {
        return None;
    }
    // SAFETY: a static, or the cache in `OWN`, which is replaced by the static before `OWN` is dropped.
    let cache = unsafe { &*cache };
    let _busy = cache.enter();
    // SAFETY: null, or a magazine of which `OWN` keeps an `Arc`. This thread gives that up when it ends, or when it
    // sweeps away a magazine that is shut for good; and before a magazine is shut for good, its place here is cleared.
    unsafe { cache.look(place).as_ref() }.map(f)
}

/// Calls `f` with what this thread has; `None` when the thread is at its end.
#[inline]
pub(super) fn with_own<R>(f: impl FnOnce(&ThreadMagazines) -> R) -> Option<R> {
    if injected(Fault::NoThreadLocals) {
        return None;
    }
    OWN.try_with(f).ok()
}

impl ThreadMagazines {
    fn new() -> Self {
        let cache = Arc::new(ThreadCache::new());
        // Fails only where `CACHE` is gone: then the fast path finds no cache either.
        let _ = CACHE.try_with(|place| place.set(Arc::as_ptr(&cache)));
        ThreadMagazines {
            cache,
            table: RefCell::default(),
        }
    }

    pub(super) fn cache(&self) -> &Arc<ThreadCache> {
        &self.cache
    }

    /// Whether it has a magazine of the pool `id`, which is not closed.
    pub(super) fn has(&self, id: u32) -> bool {
        self.with_magazine(id, |_| ()).is_some()
    }

    /// Calls `f` with the magazine of the pool `id`; `None` if there is none, or the pool is closed. `f` neither makes
    /// nor retires magazines.
    pub(super) fn with_magazine<R>(&self, id: u32, f: impl FnOnce(&Magazine) -> R) -> Option<R> {
        let table = self.table.try_borrow().ok()?;
        let magazine = &table.entries.get(id as usize)?.as_ref()?.magazine;
        (!magazine.is_dead()).then(|| f(magazine))
    }

    /// Keeps `magazine` as that of the pool `id`; false if it can't be kept.
    pub(super) fn keep(&self, id: u32, place: u8, magazine: Arc<Magazine>, shared: Arc<SharedMagazines>) -> bool {
        // Nothing in here runs a user's code, but for a global allocator that itself uses a pool.
        let Ok(mut table) = self.table.try_borrow_mut() else {
            shared.retire(&magazine, place);
            return false;
        };
        let entry = TableEntry {
            magazine,
            shared,
            place,
        };
        table.enter(id as usize, entry);
        true
    }

    /// Lets go of the magazine of the pool `id`, which is closed.
    pub(super) fn forget(&self, id: u32) {
        if let Ok(mut table) = self.table.try_borrow_mut() {
            remove_if_dead(table.entries.get_mut(id as usize));
        }
    }
}

impl Table {
    fn enter(&mut self, id: usize, entry: TableEntry) {
        self.entered += 1;
        if self.entered * 2 >= self.entries.len() {
            self.entries.iter_mut().for_each(|place| remove_if_dead(Some(place)));
            self.entered = 0;
        }
        if self.entries.len() <= id {
            self.entries.resize_with(id + 1, || None);
        }
        self.entries[id] = Some(entry);
    }
}

fn remove_if_dead(place: Option<&mut Option<TableEntry>>) {
    if let Some(place) = place {
        *place = place.take().filter(|entry| !entry.magazine.is_dead());
    }
}

impl Drop for ThreadMagazines {
    fn drop(&mut self) {
        // As in `new`.
        let _ = CACHE.try_with(|place| place.set(NO_CACHE));
        for entry in self.table.get_mut().entries.drain(..).flatten() {
            entry.shared.retire(&entry.magazine, entry.place);
        }
    }
}
