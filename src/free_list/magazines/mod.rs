//! Magazines before a free list: one for each thread that uses it, so that most takes and returns touch
//! nothing that another thread touches.
//!
//! The free list behind them is called the *depot*, as in Bonwick's paper. A thread goes there when its
//! magazine is empty or full, and moves half a magazine at once. Exhaustion stays exact: before a request
//! is refused, the buffers that rest in the magazines of other threads are taken back (see
//! [`hand`](crate::free_list::magazines::hand) for how), all of them at one moment.
//!
//! *Which magazine.* A cache has a small number, its id, that no other living cache has, and a thread has a
//! table of its magazines by id. Those that are open also lie in its hand, where finding one costs three
//! loads, however many pools a thread uses in turn. A cache that is closed leaves dead magazines in the tables,
//! which are swept out when the thread gets its next magazine, and when it ends.
//!
//! *Who holds what lock.* An owner that is busy may take the depot's lock; whoever holds the registry's lock
//! may wait for an owner, and take the depot's. Nobody who is busy takes the registry's.
//!
//! *Who keeps what alive.* A thread's table shares in its magazines and in what they belong to
//! ([`Shared`]), so a thread may end, or touch its magazine, whenever it likes after the pool is gone. The
//! registry shares in the magazines and in the hands of their owners.

pub(crate) mod barrier;
pub(crate) mod depot;
mod hand;
mod magazine;

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;

use crate::config::CheckedConfig;
use crate::error::ConfigError;
use crate::faults::{Fault, injected};
#[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
use crate::free_list::magazines::hand::NOBODY;
use crate::free_list::magazines::hand::{Hand, NOWHERE};
use crate::free_list::magazines::magazine::{LARGEST, Magazine};
use crate::free_list::{Counts, Empty, FreeList, NotTaken, Resizable, Slot};
use crate::memory::trim_plan::Trimming;
use crate::sync::{
    AtomicU32, IN_MODEL, Mutex, Ordering, StaticMutex, lazy_thread_local, static_thread_local,
};

/// Most bytes of buffers in one magazine: what a thread keeps from the others stays bounded however large
/// the buffers are. HAProxy's thread-local pools have the same limit by default.
const LARGEST_BYTES: usize = 512 * 1024;

/// See the module.
pub(crate) struct ThreadCache<D: FreeList> {
    /// Where in a [`Hand`].
    place: u8,
    /// Never changes. An atomic, so that the compiler may not assume that `self` outlives a call of `push`: see
    /// [`FreeList`].
    id: AtomicU32,
    shared: Arc<Shared<D>>,
}

struct Shared<D> {
    depot: D,
    /// Most buffers in one magazine, however few threads there are.
    limit: u32,
    registry: Mutex<Registry>,
}

struct Registry {
    /// All threads that used the cache and have not ended. None after closing.
    members: Vec<Member>,
    /// How many of their magazines are open. A pool that is refused again and again then need not look at them.
    open: usize,
    /// The present capacity of a magazine, in buffers.
    share: u32,
    /// The balances of magazines that are gone.
    retired: i64,
    closed: bool,
    /// Somebody waits at the depot for what comes back: magazines stay shut.
    wanted: bool,
    /// The depot's.
    max: u32,
}

struct Member {
    magazine: Arc<Magazine>,
    hand: Arc<Hand>,
}

impl<D: FreeList> FreeList for ThreadCache<D> {
    fn new(config: &CheckedConfig) -> Result<Self, ConfigError> {
        let by_bytes = LARGEST_BYTES / config.buffer_size as usize;
        // At most `LARGEST`.
        let limit = by_bytes.min(config.magazine).min(LARGEST) as u32;
        let shared = Shared {
            depot: D::new(config)?,
            limit,
            registry: Mutex::new(Registry {
                members: Vec::new(),
                open: 0,
                share: 0,
                retired: 0,
                closed: false,
                wanted: false,
                max: config.max,
            }),
        };
        let id = IDS.lock().take();
        Ok(ThreadCache {
            place: u8::try_from(id.min(NOWHERE.into())).unwrap_or(NOWHERE),
            id: AtomicU32::new(id),
            shared: Arc::new(shared),
        })
    }

    #[inline(always)]
    fn pop_at_hand(&self) -> Option<Slot> {
        with_open_magazine(self.place, Magazine::pop)?
    }

    #[inline(always)]
    fn push_at_hand(&self, slot: Slot) -> bool {
        with_open_magazine(self.place, |magazine| magazine.push(slot)).unwrap_or(false)
    }

    fn pop(&self) -> Result<Slot, Empty> {
        let depot = &self.shared.depot;
        let refilled = self.with_magazine(|magazine| magazine.pop_or_refill(depot));
        match refilled.unwrap_or_else(|| depot.pop()) {
            Err(Empty::AllInUse(_)) => self.reclaim(),
            result => result,
        }
    }

    fn push(&self, slot: Slot) -> Result<(), NotTaken> {
        let depot = &self.shared.depot;
        match self.with_magazine(|magazine| magazine.push_or_flush(depot, slot)) {
            Some(true) => Ok(()),
            _ => depot.push(slot),
        }
    }

    /// Shuts all magazines, and keeps them shut: then whoever releases comes to the depot.
    fn start_waiting(&self) {
        let mut registry = self.shared.registry.lock();
        registry.wanted = true;
        self.revoke(&mut registry, false);
        self.shared.depot.start_waiting();
    }

    fn stop_waiting(&self) {
        let mut registry = self.shared.registry.lock();
        registry.wanted = false;
        self.shared.depot.stop_waiting();
    }

    fn close(&self) -> u32 {
        let mut registry = self.shared.registry.lock();
        registry.closed = true;
        self.revoke(&mut registry, true);
        let gone = std::mem::take(&mut registry.members);
        let balances = gone.iter().map(|member| member.magazine.balance());
        registry.retired += balances.sum::<i64>();
        let in_use = self.shared.depot.close();
        drop(registry);
        // What this thread kept for the pool goes with it. Other threads sweep when they next get a magazine.
        with_mine(Mine::sweep);
        in_use
    }

    fn counts(&self) -> Counts {
        let registry = self.shared.registry.lock();
        let magazines = || registry.members.iter().map(|member| &member.magazine);
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

    fn may_lend_onward(&self) -> bool {
        self.shared.depot.may_lend_onward()
    }

    /// Also what rests in magazines.
    fn trim(&self, trimming: &mut Trimming<'_>, put_back: &mut dyn FnMut(Slot)) -> usize {
        let mut registry = self.shared.registry.lock();
        if !registry.closed {
            self.revoke(&mut registry, false);
        }
        drop(registry);
        self.shared.depot.trim(trimming, put_back)
    }

    const DECAYS: bool = D::DECAYS;

    /// Only what lies in the depot.
    fn end_generation(&self, trimming: &mut Trimming<'_>) {
        self.shared.depot.end_generation(trimming);
    }
}

impl<D: Resizable> Resizable for ThreadCache<D> {
    fn resize<E>(&self, change: impl FnOnce(u32) -> Result<u32, E>) -> Result<(u32, u32), E> {
        let mut registry = self.shared.registry.lock();
        // Only `resize` changes the depot's max, under this lock.
        let before = registry.max;
        let after = change(before)?;
        if after < before && !registry.closed {
            // What rests in magazines counts as taken, and could be lent from there beyond the new max.
            self.revoke(&mut registry, false);
        }
        let changed = self.shared.depot.resize(|_| Ok(after))?;
        registry.max = after;
        self.shared.deal(&mut registry);
        Ok(changed)
    }
}

impl<D: FreeList> ThreadCache<D> {
    fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }

    /// Calls `f` with this thread's magazine, after making or opening it if it is time. `None` if there is none or
    /// it is shut.
    fn with_magazine<R>(&self, f: impl FnOnce(&Magazine) -> R) -> Option<R> {
        // Also where there are no magazines: a thread that has no hand shares one with others of that kind.
        with_mine(|mine| {
            if self.shared.limit == 0 {
                return None;
            }
            let magazine = match mine.find(self.id()) {
                Some(magazine) => magazine,
                None => self.make_magazine(mine)?,
            };
            // SAFETY: it is in the table, which this thread leaves alone until `f` is done.
            let magazine = unsafe { &*magazine };
            let may_use = magazine.is_open() || magazine.may_open() && self.open(mine, magazine);
            if !may_use {
                return None;
            }
            let _busy = mine.hand.enter_fenced();
            magazine.is_open().then(|| f(magazine))
        })?
    }

    fn open(&self, mine: &Mine, magazine: &Magazine) -> bool {
        let mut registry = self.shared.registry.lock();
        if !self.may_open(&registry) {
            magazine.be_patient();
            return false;
        }
        self.open_as_member(&mut registry, &mine.hand, magazine);
        true
    }

    /// Not while somebody waits, nor while more buffers are lent than the max, or else one could be lent again before
    /// enough are back. Nor where to shut it would take long.
    fn may_open(&self, registry: &Registry) -> bool {
        barrier::is_cheap()
            && !registry.closed
            && !registry.wanted
            && registry.share > 0
            && self.shared.depot.may_lend_onward()
    }

    fn open_as_member(&self, registry: &mut Registry, hand: &Hand, magazine: &Magazine) {
        magazine.open();
        hand.put(self.place, magazine);
        registry.open += 1;
    }

    /// Puts a magazine into this thread's table. Not when the pool is closed.
    fn make_magazine(&self, mine: &Mine) -> Option<*const Magazine> {
        let mut registry = self.shared.registry.lock();
        if registry.closed {
            return None;
        }
        let magazine = Arc::new(Magazine::new(registry.share));
        registry.members.push(Member {
            magazine: Arc::clone(&magazine),
            hand: Arc::clone(&mine.hand),
        });
        self.shared.deal(&mut registry);
        if self.may_open(&registry) {
            self.open_as_member(&mut registry, &mine.hand, &magazine);
        }
        drop(registry);
        let pointer = Arc::as_ptr(&magazine);
        let home = Arc::clone(&self.shared);
        let bound = Bound {
            magazine,
            home,
            place: self.place,
        };
        mine.enter(self.id(), bound).then_some(pointer)
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

    /// Shuts all magazines and moves what rests there to the depot.
    fn revoke(&self, registry: &mut Registry, for_good: bool) {
        if registry.open == 0 && !for_good {
            return;
        }
        let own = with_mine(|mine| Arc::as_ptr(&mine.hand)).unwrap_or(ptr::null());
        let mut others_open = false;
        for Member { magazine, hand } in &registry.members {
            let was_open = magazine.shut(for_good);
            hand.clear(self.place);
            others_open |= was_open && !ptr::eq(Arc::as_ptr(hand), own);
        }
        registry.open = 0;
        if others_open {
            barrier::heavy();
        }
        for Member { magazine, hand } in &registry.members {
            hand.wait_for_owner();
            magazine.empty_into(&self.shared.depot);
        }
    }
}

impl<D> Shared<D> {
    /// Sets all magazines to their share. The number of threads is rounded up to a power of two, so that most
    /// threads come and go without a change.
    fn deal(&self, registry: &mut Registry) {
        // So many threads that the number does not fit have a share of 0 anyway.
        let threads = registry.members.len().next_power_of_two();
        let share = match u32::try_from(threads) {
            // Or models would need many buffers.
            _ if IN_MODEL => self.limit,
            Ok(threads) => self.limit.min(registry.max / threads),
            Err(_) => 0,
        };
        if share != registry.share {
            registry.share = share;
            for member in &registry.members {
                member.magazine.set_capacity(share);
            }
        }
    }
}

impl<D: FreeList> Drop for ThreadCache<D> {
    fn drop(&mut self) {
        // Its magazines are dead, if it ever had any, since whoever frees a free list has closed it.
        let id = self.id();
        // Nothing under this lock that a model could interrupt, which does not know it.
        IDS.lock().give_back(id);
    }
}

/// Where a magazine belongs, whatever its depot.
trait Home: Send + Sync {
    /// Takes a magazine back, from `place` in its owner's hand. Called by its owner, which uses it no more.
    fn retire(&self, magazine: &Arc<Magazine>, place: u8);
}

impl<D: FreeList> Home for Shared<D> {
    fn retire(&self, magazine: &Arc<Magazine>, place: u8) {
        let mut registry = self.registry.lock();
        let mut members = registry.members.iter();
        // Not there after closing, which has emptied it.
        if let Some(number) = members.position(|other| Arc::ptr_eq(&other.magazine, magazine)) {
            let member = registry.members.swap_remove(number);
            member.hand.clear(place);
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
    place: u8,
}

/// What a thread has: its hand, and its magazines by the id of their cache. When the thread ends, they are
/// given back; what it acquires or releases after that, in the drop of another thread-local, goes to the depot.
struct Mine {
    hand: Arc<Hand>,
    table: RefCell<Vec<Option<Bound>>>,
}

/// The hand of a thread that has none.
const NO_HAND: *const Hand = {
    #[cfg(any(poolbuf_loom, poolbuf_shuttle))]
    {
        ptr::null()
    }
    #[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
    {
        &raw const NOBODY
    }
};

static_thread_local! {
    /// `NO_HAND`, or the one in `MINE`, in a form that needs no check, no borrow and no drop.
    static HAND: Cell<*const Hand> = Cell::new(NO_HAND);
}
lazy_thread_local! {
    static MINE: Mine = Mine::new();
}

/// Calls `f` with the magazine at `place` in this thread's hand; `None` when none is open. `f` neither makes nor
/// retires magazines.
#[inline(always)]
fn with_open_magazine<R>(place: u8, f: impl FnOnce(&Magazine) -> R) -> Option<R> {
    if injected(Fault::NoThreadLocals) {
        return None;
    }
    let hand = HAND.try_with(Cell::get).ok()?;
    if IN_MODEL && hand.is_null() {
        return None;
    }
    // SAFETY: a static, or the hand in `MINE`, which is replaced by the static before `MINE` is dropped.
    let hand = unsafe { &*hand };
    let _busy = hand.enter();
    // SAFETY: null, or a magazine that `MINE` shares in until this same thread sweeps, when it is dead, or
    // ends: whoever declares one dead clears its place.
    unsafe { hand.look(place).as_ref() }.map(f)
}

/// Calls `f` with what this thread has; `None` when the thread is at its end.
fn with_mine<R>(f: impl FnOnce(&Mine) -> R) -> Option<R> {
    if injected(Fault::NoThreadLocals) {
        return None;
    }
    MINE.try_with(f).ok()
}

impl Mine {
    fn new() -> Mine {
        let hand = Arc::new(Hand::new());
        // Fails only where `HAND` is gone: then nobody looks there either.
        let _ = HAND.try_with(|place| place.set(Arc::as_ptr(&hand)));
        Mine {
            hand,
            table: RefCell::default(),
        }
    }

    /// The magazine of the cache `id`, unless it is that of a closed one. In the table until it is dead and swept
    /// out, or the thread ends.
    fn find(&self, id: u32) -> Option<*const Magazine> {
        let table = self.table.try_borrow().ok()?;
        let magazine = &table.get(id as usize)?.as_ref()?.magazine;
        (!magazine.is_dead()).then_some(Arc::as_ptr(magazine))
    }

    /// Puts `bound` at place `id`, and sweeps.
    fn enter(&self, id: u32, bound: Bound) -> bool {
        let id = id as usize;
        // Nothing in here runs a user's code, but for a global allocator that itself uses a pool.
        let Ok(mut table) = self.table.try_borrow_mut() else {
            bound.home.retire(&bound.magazine, bound.place);
            return false;
        };
        remove_dead(&mut table);
        if table.len() <= id {
            table.resize_with(id + 1, || None);
        }
        table[id] = Some(bound);
        true
    }

    /// Lets go of the magazines of pools that are closed.
    fn sweep(&self) {
        if let Ok(mut table) = self.table.try_borrow_mut() {
            remove_dead(&mut table);
        }
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
        // As in `new`.
        let _ = HAND.try_with(|place| place.set(NO_HAND));
        for bound in self.table.get_mut().drain(..).flatten() {
            bound.home.retire(&bound.magazine, bound.place);
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

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use super::ThreadCache;
    use crate::config::{Defaults, PoolConfig};
    use crate::faults::{Fault, injected};
    use crate::free_list::FreeList;
    use crate::free_list::magazines::barrier;
    use crate::free_list::magazines::depot::MutexStack;

    /// Beyond what can be seen from outside: that the short way is taken.
    #[test]
    fn what_a_thread_gives_back_is_at_its_hand() {
        barrier::heavy();
        let short_way = barrier::light_is_free() && barrier::is_cheap();
        if !short_way || injected(Fault::NoThreadLocals) {
            return;
        }
        let config = PoolConfig::new(64).max(8).check(Defaults {
            name: "cache",
            alignment: 16,
            fixed_max: None,
        });
        let cache = ThreadCache::<MutexStack>::new(&config.unwrap()).unwrap();
        let slot = cache.pop().unwrap();
        assert!(cache.push_at_hand(slot));
        let again = cache.pop_at_hand().unwrap();
        assert_eq!(again.index, slot.index);
        // Shut while somebody waits.
        cache.start_waiting();
        assert!(!cache.push_at_hand(again));
        assert!(cache.push(again).is_err());
        cache.stop_waiting();
        assert!(cache.push(again).is_ok());
        assert_eq!(cache.close(), 0);
    }
}
