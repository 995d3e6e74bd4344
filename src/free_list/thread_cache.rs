//! Magazines before a free list: one for each thread that uses it, so that most takes and returns touch
//! nothing that another thread touches.
//!
//! The free list behind them is called the *depot*, as in Bonwick's paper. A thread goes there when its
//! magazine is empty or full, and moves half a magazine at once. Exhaustion stays exact: before a request
//! is refused, the buffers that rest in the magazines of other threads are taken back (see
//! [`magazine`](crate::free_list::magazine) for how), all of them at one moment.
//!
//! *Which magazine.* A cache has a small number, its id, that no other living cache has, and a thread has a
//! table of its magazines by id. Where it has those of small ids, a thread-local array says: finding one costs
//! two loads, however many of these pools a thread uses in turn. A cache that is closed leaves dead magazines
//! in the tables, which are swept out when the thread gets its next magazine, and when it ends.
//!
//! *Who holds what lock.* An owner that is busy may take the depot's lock; whoever holds the registry's lock
//! may wait for an owner, and take the depot's. Nobody who is busy takes the registry's.
//!
//! *Who keeps what alive.* A thread's table shares in its magazines and in what they belong to
//! ([`Shared`]), so a thread may end, or touch its magazine, whenever it likes after the pool is gone.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;

use crate::barrier;
use crate::config::CheckedConfig;
use crate::error::ConfigError;
use crate::free_list::magazine::{LARGEST, Magazine};
use crate::free_list::{Closed, Counts, Empty, FreeList, Slot};
use crate::sync::{AtomicU32, Mutex, Ordering, StaticMutex, static_thread_local};

/// Most bytes of buffers in one magazine: what a thread keeps from the others stays bounded however large
/// the buffers are. HAProxy's thread-local pools have the same limit by default.
const LARGEST_BYTES: usize = 512 * 1024;

/// See the module.
pub(crate) struct ThreadCache<D: FreeList> {
    /// Where in [`PLACES`]. Never changes. An atomic, so that the compiler may not assume that `self` outlives
    /// a call of `push`: see [`FreeList`].
    place: AtomicU32,
    id: u32,
    shared: Arc<Shared<D>>,
}

struct Shared<D> {
    depot: D,
    max: u32,
    /// Most buffers in one magazine, however few threads there are.
    limit: u32,
    registry: Mutex<Registry>,
}

struct Registry {
    /// The magazines of all threads that used the cache and have not ended. None after closing.
    magazines: Vec<Arc<Magazine>>,
    /// How many of them are open. A pool that is refused again and again then need not look at them.
    open: usize,
    /// The present capacity of a magazine, in buffers.
    share: u32,
    /// The balances of magazines that are gone.
    retired: i64,
    closed: bool,
}

impl<D: FreeList> FreeList for ThreadCache<D> {
    fn new(config: &CheckedConfig) -> Result<Self, ConfigError> {
        let by_bytes = LARGEST_BYTES / config.buffer_size as usize;
        // At most `LARGEST`.
        let limit = by_bytes.min(config.magazine).min(LARGEST) as u32;
        let shared = Shared {
            depot: D::new(config)?,
            max: config.max,
            limit,
            registry: Mutex::new(Registry {
                magazines: Vec::new(),
                open: 0,
                share: 0,
                retired: 0,
                closed: false,
            }),
        };
        let id = IDS.lock().take();
        Ok(ThreadCache {
            place: AtomicU32::new(id.min(NOWHERE as u32)),
            id,
            shared: Arc::new(shared),
        })
    }

    #[inline(always)]
    fn pop_at_hand(&self) -> Option<Slot> {
        with_magazine_at_hand(self.place(), Magazine::pop)?
    }

    #[inline(always)]
    fn push_at_hand(&self, slot: Slot) -> bool {
        with_magazine_at_hand(self.place(), |magazine| magazine.push(slot)).unwrap_or(false)
    }

    fn pop(&self) -> Result<Slot, Empty> {
        let depot = &self.shared.depot;
        let refilled = if self.has_magazine() {
            with_magazine(self.id(), |magazine| magazine.pop_or_refill(depot)).flatten()
        } else {
            None
        };
        match refilled.unwrap_or_else(|| depot.pop()) {
            Err(Empty::AllInUse(_)) => self.reclaim(),
            result => result,
        }
    }

    fn push(&self, slot: Slot) -> Result<(), Closed> {
        let depot = &self.shared.depot;
        if self.has_magazine()
            && with_magazine(self.id(), |magazine| magazine.push_or_flush(depot, slot))
                .unwrap_or(false)
        {
            return Ok(());
        }
        depot.push(slot)
    }

    fn close(&self) -> u32 {
        let mut registry = self.shared.registry.lock();
        registry.closed = true;
        if self.revoke(&mut registry, true) {
            let gone = std::mem::take(&mut registry.magazines);
            registry.retired += gone.iter().map(|gone| gone.balance()).sum::<i64>();
        }
        let in_use = self.shared.depot.close();
        drop(registry);
        // What this thread kept for the pool goes with it. Other threads sweep when they next get a magazine.
        let _ = MINE.try_with(Mine::sweep);
        in_use
    }

    fn counts(&self) -> Counts {
        let registry = self.shared.registry.lock();
        let magazines = || registry.magazines.iter();
        let resting: usize = magazines().map(|magazine| magazine.resting()).sum();
        let balance: i64 = magazines().map(|magazine| magazine.balance()).sum();
        let depot = self.shared.depot.counts();
        Counts {
            // Owners are at their magazines meanwhile, so the sums may not fit together. At most `max`
            // buffers exist, so what rests fits a `u32`, but for the same reason may seem to be more.
            in_use: depot
                .in_use
                .map(|in_use| in_use.saturating_sub(u32::try_from(resting).unwrap_or(u32::MAX))),
            acquired: depot
                .acquired
                .saturating_add_signed(balance + registry.retired),
            ..depot
        }
    }
}

impl<D: FreeList> ThreadCache<D> {
    #[inline(always)]
    fn place(&self) -> usize {
        self.place.load(Ordering::Relaxed) as usize
    }

    fn id(&self) -> usize {
        self.id as usize
    }

    /// Whether this thread has a magazine that it may use, after making or opening one if it is time.
    fn has_magazine(&self) -> bool {
        if self.shared.limit == 0 {
            return false;
        }
        let found = with_magazine(self.id(), |magazine| {
            if magazine.is_dead() {
                None
            } else {
                Some(!magazine.is_shut() || (magazine.may_open() && self.open(magazine)))
            }
        });
        found.flatten().unwrap_or_else(|| self.make_magazine())
    }

    fn open(&self, magazine: &Magazine) -> bool {
        let mut registry = self.shared.registry.lock();
        let open = !registry.closed && registry.share > 0;
        if open {
            magazine.open();
            registry.open += 1;
        } else {
            magazine.be_patient();
        }
        open
    }

    /// Gives this thread a magazine. Not when the pool is closed or the thread about to end.
    fn make_magazine(&self) -> bool {
        let made = MINE.try_with(|mine| {
            let mut registry = self.shared.registry.lock();
            if registry.closed {
                return false;
            }
            let magazine = Arc::new(Magazine::new(registry.share));
            registry.magazines.push(Arc::clone(&magazine));
            self.shared.deal(&mut registry);
            if registry.share > 0 {
                magazine.open();
                registry.open += 1;
            }
            drop(registry);
            let home = Arc::clone(&self.shared);
            mine.enter(self.id(), Bound { magazine, home });
            true
        });
        made.unwrap_or(false)
    }

    /// Takes a buffer from the depot after moving there what rests in the magazines. Fails only if at one
    /// moment, under the lock, nothing is anywhere.
    #[cold]
    fn reclaim(&self) -> Result<Slot, Empty> {
        if self.shared.limit == 0 {
            return self.shared.depot.pop();
        }
        let mut registry = self.shared.registry.lock();
        self.revoke(&mut registry, false);
        self.shared.depot.pop()
    }

    /// Shuts all magazines and moves what rests there to the depot. False when the heavy barrier has
    /// failed: then the magazines stay as they are, and what rests in them stays out of reach.
    fn revoke(&self, registry: &mut Registry, for_good: bool) -> bool {
        if registry.open == 0 && !for_good {
            return true;
        }
        let own = with_magazine(self.id(), ptr::from_ref).unwrap_or(ptr::null());
        let mut others_open = false;
        for magazine in &registry.magazines {
            let was_open = magazine.shut(for_good);
            others_open |= was_open && !ptr::eq(Arc::as_ptr(magazine), own);
        }
        if others_open && !barrier::heavy() {
            if !for_good {
                registry.magazines.iter().for_each(|other| other.open());
                registry.open = registry.magazines.len();
            }
            return false;
        }
        for magazine in &registry.magazines {
            magazine.wait_for_owner();
            magazine.empty_into(&self.shared.depot);
        }
        registry.open = 0;
        true
    }
}

impl<D> Shared<D> {
    /// Sets all magazines to their share: at most half of all buffers rest in magazines. The number of
    /// threads is rounded up to a power of two, so that most threads come and go without a change.
    fn deal(&self, registry: &mut Registry) {
        // So many threads that the number does not fit have a share of 0 anyway.
        let threads = registry.magazines.len().next_power_of_two();
        let share = match u32::try_from(threads) {
            // Or models would need many buffers.
            _ if cfg!(loom) => self.limit,
            Ok(threads) => self.limit.min(self.max / 2 / threads),
            Err(_) => 0,
        };
        if share != registry.share {
            registry.share = share;
            for magazine in &registry.magazines {
                magazine.set_capacity(share);
            }
        }
    }
}

impl<D: FreeList> Drop for ThreadCache<D> {
    fn drop(&mut self) {
        // Its magazines are dead, if it ever had any, since whoever frees a free list has closed it.
        IDS.lock().give_back(self.id);
    }
}

/// Where a magazine belongs, whatever its depot.
trait Home: Send + Sync {
    /// Takes a magazine back. Called by its owner, which uses it no more.
    fn retire(&self, magazine: &Arc<Magazine>);
}

impl<D: FreeList> Home for Shared<D> {
    fn retire(&self, magazine: &Arc<Magazine>) {
        let mut registry = self.registry.lock();
        let mut magazines = registry.magazines.iter();
        // Not there after closing, which has emptied it.
        if let Some(place) = magazines.position(|other| Arc::ptr_eq(other, magazine)) {
            registry.magazines.swap_remove(place);
            registry.open -= usize::from(magazine.shut(true));
            magazine.empty_into(&self.depot);
            registry.retired += magazine.balance();
            self.deal(&mut registry);
        }
    }
}

/// A thread's magazine, and where it belongs.
struct Bound {
    magazine: Arc<Magazine>,
    home: Arc<dyn Home>,
}

/// A thread's magazines, by the id of their cache. When the thread ends, they are given back; what it
/// acquires or releases after that, in the drop of another thread-local, goes to the depot.
struct Mine(RefCell<Vec<Option<Bound>>>);

/// Ids from here on have no place in [`PLACES`]: a thread looks for their magazines in its table.
const NOWHERE: usize = 63;

static_thread_local! {
    static MINE: Mine = Mine(RefCell::new(Vec::new()));
}
static_thread_local! {
    /// The magazines in `MINE` of ids below `NOWHERE`, in a form that needs no check, no borrow and no drop;
    /// null where there is none.
    static PLACES: [Cell<*const Magazine>; NOWHERE + 1] =
        [const { Cell::new(ptr::null()) }; NOWHERE + 1];
}

/// Calls `f` with the magazine at `place`: this thread's of the cache that has this place, or of a closed
/// cache that had it; `None` if it has none. `f` must neither make magazines nor sweep.
#[inline(always)]
fn with_magazine_at_hand<R>(place: usize, f: impl FnOnce(&Magazine) -> R) -> Option<R> {
    debug_assert!(place <= NOWHERE);
    let magazine = PLACES
        .try_with(|places| {
            // SAFETY: the place of a cache is at most `NOWHERE`, by `ThreadCache::new`.
            unsafe { places.get_unchecked(place) }.get()
        })
        .ok()?;
    // SAFETY: null, or a magazine that `MINE` shares in until this same thread changes `MINE`, and then
    // `PLACES` too, by `Mine::show`. It does so where it makes magazines, sweeps or ends, which `f` does not.
    unsafe { magazine.as_ref() }.map(f)
}

/// As `with_magazine_at_hand`, for any id.
fn with_magazine<R>(id: usize, f: impl FnOnce(&Magazine) -> R) -> Option<R> {
    if id < NOWHERE {
        return with_magazine_at_hand(id, f);
    }
    let with_mine = |mine: &Mine| {
        let table = mine.0.try_borrow().ok()?;
        table.get(id)?.as_ref().map(|bound| f(&bound.magazine))
    };
    MINE.try_with(with_mine).ok()?
}

impl Mine {
    /// Puts `bound` at place `id`, and sweeps.
    fn enter(&self, id: usize, bound: Bound) {
        // Nothing in here runs a user's code, but for a global allocator that itself uses a pool: it finds
        // no magazine meanwhile, and no table.
        Mine::show(&[]);
        let Ok(mut table) = self.0.try_borrow_mut() else {
            return bound.home.retire(&bound.magazine);
        };
        remove_dead(&mut table);
        if table.len() <= id {
            table.resize_with(id + 1, || None);
        }
        table[id] = Some(bound);
        Mine::show(&table);
    }

    /// Lets go of the magazines of pools that are closed.
    fn sweep(&self) {
        if let Ok(mut table) = self.0.try_borrow_mut() {
            Mine::show(&[]);
            remove_dead(&mut table);
            Mine::show(&table);
        }
    }

    /// Makes `PLACES` show what is in `table`.
    fn show(table: &[Option<Bound>]) {
        // Fails only where `PLACES` itself is gone: then nobody looks there either.
        let _ = PLACES.try_with(|places| {
            for (id, place) in places[..NOWHERE].iter().enumerate() {
                let bound = table.get(id).and_then(Option::as_ref);
                place.set(bound.map_or(ptr::null(), |bound| Arc::as_ptr(&bound.magazine)));
            }
        });
    }
}

fn remove_dead(table: &mut [Option<Bound>]) {
    for place in table {
        if place.as_ref().is_some_and(|bound| bound.magazine.is_dead()) {
            *place = None;
        }
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        Mine::show(&[]);
        for bound in self.0.get_mut().drain(..).flatten() {
            bound.home.retire(&bound.magazine);
        }
    }
}

/// The ids in use, so that the smallest free one can be given to the next cache: tables stay short.
struct Ids {
    next: u32,
    free: std::collections::BTreeSet<u32>,
}

static IDS: StaticMutex<Ids> = StaticMutex::new(Ids {
    next: 0,
    free: std::collections::BTreeSet::new(),
});

impl Ids {
    fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            // Each id in use belongs to a core of some hundred bytes, so there are not as many as a `u32`
            // can count.
            self.next += 1;
            self.next - 1
        })
    }

    fn give_back(&mut self, id: u32) {
        self.free.insert(id);
    }
}
