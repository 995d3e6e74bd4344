//! Magazines before a free list: one for each thread that uses it, so that most takes and returns touch
//! nothing that another thread touches.
//!
//! The stack of free buffers behind them is the *depot*, as in Bonwick's paper. A thread uses it when its
//! magazine is empty or full, and moves half a magazine at once. Exhaustion stays exact: before a request
//! is refused, the buffers that rest in the magazines of other threads are taken back (see
//! [`thread_cache`] for how), all of them at one moment.
//!
//! *Which magazine.* A pool has a small number, its id, that no other living pool has, and a thread has a
//! table of its magazines by id. Those that are open also lie in its cache, where finding one costs three
//! loads, however many pools a thread uses in turn.
//!
//! *Which lock comes first.* An owner that is busy may take the depot's lock; what holds the registry's lock
//! may wait for an owner, and take the depot's. No owner that is busy takes the registry's.
//!
//! *What keeps what alive.* A thread's table shares in its magazines and in the depots that they belong to
//! ([`SharedMagazines`]), so a thread may end, or touch its magazine, at any time after the pool is gone. The
//! registry shares in the magazines and in the caches of their owners.

mod barrier;
mod depot;
mod ids;
mod magazine;
mod registry;
mod thread;
mod thread_cache;

use std::ptr;
use std::sync::Arc;

use crate::base::sync::MutexGuard;
use crate::free_list::magazines::depot::HeldDepot;
use crate::free_list::magazines::magazine::Magazine;
use crate::free_list::magazines::registry::{MagazineCounts, Registry, SharedMagazines};
use crate::free_list::magazines::thread::{ThreadMagazines, with_open_magazine, with_own};
use crate::free_list::magazines::thread_cache::NO_PLACE;
use crate::free_list::{Counts, Empty, FreeList, Limits, NotTaken, ReleaseSide, Resizable, Slot};
use crate::memory::OutOfMemory;
use crate::memory::trim_plan::Trimming;

/// See the module.
pub(crate) struct Magazines {
    place: u8,
    id: u32,
    has_magazines: bool,
    shared: Arc<SharedMagazines>,
}

/// The depot, held; and the registry where no demand keeps the magazines shut, or else one could be opened before there
/// is one.
type HeldMagazines<'a> = HeldDepot<'a, Option<MutexGuard<'a, Registry>>>;

/// The pool as one thread uses it.
#[derive(Clone, Copy)]
pub(crate) struct MagazineReleaseSide<'a> {
    /// Where in a cache.
    place: u8,
    id: u32,
    has_magazines: bool,
    shared: &'a SharedMagazines,
}

impl FreeList for Magazines {
    type ReleaseSide<'a> = MagazineReleaseSide<'a>;
    type Held<'a> = HeldMagazines<'a>;

    fn new(limits: &Limits) -> Result<Self, OutOfMemory> {
        let shared = SharedMagazines::new(limits)?;
        let id = ids::take();
        Ok(Magazines {
            place: u8::try_from(id.min(NO_PLACE.into())).unwrap_or(NO_PLACE),
            id,
            has_magazines: registry::limit(limits) > 0,
            shared,
        })
    }

    #[inline(always)]
    fn pop_fast(&self) -> Option<Slot> {
        with_open_magazine(self.place, Magazine::pop)?
    }

    fn pop(&self) -> Result<Slot, Empty> {
        let depot = &self.shared.depot;
        let refilled = (self.release_side()).with_magazine(|magazine| magazine.pop_or_refill(depot));
        match refilled.unwrap_or_else(|| depot.pop()) {
            Err(Empty::AllInUse(_)) => self.reclaim(),
            result => result,
        }
    }

    fn pop_many<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> Result<(), Empty> {
        let depot = &self.shared.depot;
        let popped = (self.release_side()).with_magazine(|magazine| magazine.pop_many_with(depot, count, out, &make));
        match popped.unwrap_or_else(|| depot.pop_exactly(count, 0, out, &make)) {
            // As `reclaim` does for one.
            Err(Empty::AllInUse(_)) if self.has_magazines => {
                let mut registry = self.shared.lock();
                registry.revoke_for(self, false);
                depot.pop_exactly(count, 0, out, make)
            }
            result => result,
        }
    }

    #[inline(always)]
    fn pop_many_fast<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> bool {
        let popped = with_open_magazine(self.place, |magazine| magazine.pop_many(count as usize, out, make));
        popped == Some(true)
    }

    #[inline(always)]
    fn release_side(&self) -> MagazineReleaseSide<'_> {
        MagazineReleaseSide {
            place: self.place,
            id: self.id,
            has_magazines: self.has_magazines,
            shared: &self.shared,
        }
    }

    /// Before there is a demand, what rests in magazines is moved to the depot, and none is opened until there is;
    /// while there is one they stay shut, so what is released comes to the depot.
    fn hold(&self) -> HeldMagazines<'_> {
        let registry = (!self.is_wanted()).then(|| {
            let mut registry = self.shared.lock();
            registry.revoke_for(self, false);
            registry
        });
        self.shared.depot.hold(registry)
    }

    #[inline]
    fn is_wanted(&self) -> bool {
        self.shared.depot.is_wanted()
    }

    fn wants_one(&self) -> bool {
        self.shared.depot.wants_one()
    }

    fn close(&self) -> u32 {
        let mut registry = self.shared.lock();
        registry.revoke_for(self, true);
        registry.forget_members();
        let in_use = self.shared.depot.close();
        drop(registry);
        // What this thread kept for the pool goes with it. Other threads let go of theirs by and by.
        with_own(|own| own.forget(self.id));
        in_use
    }

    fn is_closed(&self) -> bool {
        self.shared.depot.is_closed()
    }

    fn counts(&self) -> Counts {
        let registry = self.shared.lock();
        let (depot, magazines) = self.shared.depot.counts(|| registry.counts());
        let MagazineCounts { resting, balance } = magazines;
        Counts {
            // What rests fits a `u32`; while owners are at their magazines it may seem to be more than is taken.
            in_use: depot
                .in_use
                .map(|in_use| in_use.saturating_sub(u32::try_from(resting).unwrap_or(u32::MAX))),
            acquired: depot.acquired.saturating_add_signed(balance),
            ..depot
        }
    }

    fn max(&self) -> u32 {
        self.shared.depot.max()
    }

    fn returns(&self) -> u64 {
        let registry = self.shared.lock();
        self.shared.depot.returns() + registry.openings()
    }

    /// Also what rests in magazines.
    fn trim(&self, trimming: &mut Trimming<'_>) -> usize {
        self.shared.lock().revoke_for(self, false);
        self.shared.depot.trim(trimming)
    }

    const DECAYS: bool = true;

    /// Only what lies in the depot.
    fn end_generation(&self, trimming: &mut Trimming<'_>) {
        self.shared.depot.end_generation(trimming);
    }
}

impl Resizable for Magazines {
    fn set_max(&self, max: u32, meanwhile: impl FnOnce(&mut HeldMagazines<'_>)) -> u32 {
        let mut registry = self.shared.lock();
        if max < self.max() {
            // What rests in magazines counts as taken, and could be lent from there beyond the new max.
            registry.revoke_for(self, false);
        }
        let mut held = self.shared.depot.hold(None);
        let before = held.set_max(max);
        meanwhile(&mut held);
        drop(held);
        registry.deal(max);
        before
    }
}

impl Magazines {
    /// Takes a buffer from the depot after moving there what rests in the magazines. Fails only if at one
    /// moment, under the lock, there is none anywhere.
    #[cold]
    fn reclaim(&self) -> Result<Slot, Empty> {
        if self.has_magazines {
            let mut registry = self.shared.lock();
            registry.revoke_for(self, false);
            self.shared.depot.pop()
        } else {
            self.shared.depot.pop()
        }
    }
}

impl Registry {
    /// Shuts all magazines of `pool`, whose registry this is, and moves what rests there to the depot.
    fn revoke_for(&mut self, pool: &Magazines, for_good: bool) {
        let own = with_own(|own| Arc::as_ptr(own.cache())).unwrap_or(ptr::null());
        self.revoke(&pool.shared.depot, own, pool.place, for_good);
    }
}

impl MagazineReleaseSide<'_> {
    /// Calls `f` with this thread's magazine, after making or opening it if it is time. `None` if there is none or
    /// it is shut.
    #[inline]
    fn with_magazine<R>(self, f: impl FnOnce(&Magazine) -> R) -> Option<R> {
        // Also where there are no magazines: a thread that has no cache shares one with others of that kind.
        with_own(|own| {
            if !self.has_magazines || !own.has(self.id) && !self.join(own) {
                return None;
            }
            own.with_magazine(self.id, |magazine| {
                let may_use = magazine.is_open() || magazine.may_open() && self.open(own, magazine);
                if !may_use {
                    return None;
                }
                let _busy = own.cache().enter_fenced();
                magazine.is_open().then(|| f(magazine))
            })?
        })?
    }

    /// Puts a magazine into this thread's table, and returns true, unless the pool is closed.
    fn join(self, own: &ThreadMagazines) -> bool {
        let depot = &self.shared.depot;
        let joined = self.shared.lock().join(depot, own.cache(), self.place);
        joined.is_some_and(|(magazine, shared)| own.keep(self.id, self.place, magazine, shared))
    }

    fn open(self, own: &ThreadMagazines, magazine: &Magazine) -> bool {
        let mut registry = self.shared.lock();
        let opened = registry.open(&self.shared.depot, own.cache(), self.place, magazine);
        if !opened {
            magazine.be_patient();
        }
        opened
    }
}

impl ReleaseSide for MagazineReleaseSide<'_> {
    #[inline(always)]
    fn push_fast(self, slot: Slot) -> Result<(), Slot> {
        // As the magazine keeps it, which can be used again if there is none.
        let word = slot.word();
        match with_open_magazine(self.place, |magazine| magazine.push(word)) {
            Some(true) => Ok(()),
            _ => Err(Slot::from_word(word)),
        }
    }

    fn push(self, slot: Slot) -> Result<(), NotTaken> {
        let (depot, word) = (&self.shared.depot, slot.word());
        match self.with_magazine(|magazine| magazine.push_or_flush(depot, word)) {
            Some(true) => Ok(()),
            _ => depot.push(Slot::from_word(word)),
        }
    }
}

impl Drop for Magazines {
    fn drop(&mut self) {
        // Its magazines are dead, if it ever had any, since what frees a free list has closed it.
        ids::give_back(self.id);
    }
}

#[cfg(test)]
mod tests {
    use crate::base::faults::{Fault, injected};
    use crate::free_list::magazines::{Magazines, barrier};
    use crate::free_list::{Demand, Empty, FreeList, Held, Limits, NotTaken, ReleaseSide};

    /// Beyond what can be seen from outside: that the fast path is taken.
    #[test]
    fn what_a_thread_gives_back_is_at_its_hand() {
        barrier::heavy();
        let fast = barrier::light_is_free() && barrier::is_cheap();
        if !fast || injected(Fault::NoThreadLocals) {
            return;
        }
        let magazines = Magazines::new(&Limits {
            buffer_size: 64,
            initial: 0,
            max: 8,
            reserve: 8,
            magazine: usize::MAX,
            waiting: true,
        })
        .unwrap();
        let slot = magazines.pop().unwrap();
        let index = slot.index();
        assert_eq!(magazines.release_side().push_fast(slot), Ok(()));
        let again = magazines.pop_fast().unwrap();
        assert_eq!(again.index(), index);
        // Shut while a request waits.
        magazines.hold().set_demand(Demand::At(8));
        let again = magazines.release_side().push_fast(again).unwrap_err();
        assert_eq!(magazines.pop(), Err(Empty::Owed));
        assert!(matches!(magazines.release_side().push(again), Err(NotTaken::Wanted(_))));
        magazines.hold().set_demand(Demand::None);
        assert_eq!(magazines.close(), 1);
    }
}
