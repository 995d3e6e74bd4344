//! The magazines of one pool, the lock under which they are opened and shut, and the depot behind them.
#![forbid(unsafe_code)]

use std::ptr;
use std::sync::{Arc, Weak};

use crate::base::sync::{IN_MODEL, Mutex, MutexGuard};
use crate::free_list::Limits;
use crate::free_list::magazines::barrier;
use crate::free_list::magazines::depot::Depot;
use crate::free_list::magazines::magazine::{LARGEST, Magazine, RegistryKey};
use crate::free_list::magazines::thread_cache::ThreadCache;
use crate::memory::OutOfMemory;

/// Most bytes of buffers in one magazine: what a thread keeps from the others stays bounded however large
/// the buffers are. HAProxy's thread-local pools have the same limit by default.
const LARGEST_BYTES: usize = 512 * 1024;

/// What the pool and the tables of the threads that use it share. Locks and atomics alone: see
/// [`ReleaseSide`](crate::free_list::ReleaseSide).
pub(super) struct SharedMagazines {
    pub(super) depot: Depot,
    registry: Mutex<Registry>,
}

/// See the module.
pub(crate) struct Registry {
    key: RegistryKey,
    /// All threads that used the pool and have not ended. None after closing.
    members: Vec<Member>,
    /// How many of their magazines are open. A pool that is refused again and again then need not look at them.
    open: usize,
    /// How often one was opened.
    openings: u64,
    /// The present capacity of a magazine, in buffers.
    share: u32,
    /// Most buffers in one magazine, however few threads there are.
    limit: u32,
    /// The balances of magazines that are gone.
    retired: i64,
    /// This registry's own, for the tables of threads.
    shared: Weak<SharedMagazines>,
}

struct Member {
    magazine: Arc<Magazine>,
    cache: Arc<ThreadCache>,
    /// The magazine was open until the revocation that is under way.
    revoked: bool,
}

/// What rests in magazines, and what was lent from there.
pub(super) struct MagazineCounts {
    pub(super) resting: usize,
    pub(super) balance: i64,
}

/// Most buffers in one magazine of a pool; 0 if it has none.
pub(super) fn limit(limits: &Limits) -> u32 {
    let by_bytes = LARGEST_BYTES / limits.buffer_size as usize;
    // At most `LARGEST`.
    by_bytes.min(limits.magazine).min(LARGEST) as u32
}

impl SharedMagazines {
    pub(super) fn new(limits: &Limits) -> Result<Arc<Self>, OutOfMemory> {
        let depot = Depot::new(limits)?;
        Ok(Arc::new_cyclic(|shared| SharedMagazines {
            depot,
            registry: Mutex::new(Registry {
                key: RegistryKey::new(),
                members: Vec::new(),
                open: 0,
                openings: 0,
                share: 0,
                limit: limit(limits),
                retired: 0,
                shared: Weak::clone(shared),
            }),
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }

    /// Takes a magazine back, from `place` in its owner's cache. Called by its owner, which uses it no more.
    pub(super) fn retire(&self, magazine: &Arc<Magazine>, place: u8) {
        let mut registry = self.lock();
        let mut members = registry.members.iter();
        // Not there after closing, which has emptied it.
        if let Some(number) = members.position(|other| Arc::ptr_eq(&other.magazine, magazine)) {
            let member = registry.members.swap_remove(number);
            member.cache.clear(&mut registry.key, place);
            registry.open -= usize::from(magazine.shut(&mut registry.key, true));
            magazine.empty_into(&self.depot);
            registry.retired += magazine.balance();
            registry.deal(self.depot.max());
        }
    }
}

impl Registry {
    /// A magazine for the thread of `cache`, open if it may be; and what its table shares in. `None` when the pool is
    /// closed.
    pub(super) fn join(
        &mut self,
        depot: &Depot,
        cache: &Arc<ThreadCache>,
        place: u8,
    ) -> Option<(Arc<Magazine>, Arc<SharedMagazines>)> {
        let shared = self.shared.upgrade().filter(|_| !depot.is_closed())?;
        let magazine = Arc::new(Magazine::new(&mut self.key, self.share));
        self.members.push(Member {
            magazine: Arc::clone(&magazine),
            cache: Arc::clone(cache),
            revoked: false,
        });
        self.deal(depot.max());
        self.open(depot, cache, place, &magazine);
        Some((magazine, shared))
    }

    /// Opens a magazine of its owner's, and returns true, if it may be open: not while requests wait, nor while more
    /// buffers are lent than the max, or else one could be lent again before enough are back. Nor where to shut it
    /// would take long.
    pub(super) fn open(&mut self, depot: &Depot, cache: &ThreadCache, place: u8, magazine: &Magazine) -> bool {
        if !barrier::is_cheap() || self.share == 0 || !depot.may_fill_magazines() {
            return false;
        }
        magazine.open(&mut self.key);
        cache.put(&mut self.key, place, magazine);
        self.open += 1;
        self.openings += 1;
        true
    }

    /// How often a magazine was opened: where buffers come back unseen by the depot.
    pub(super) fn openings(&self) -> u64 {
        self.openings
    }

    /// Shuts all magazines, which lie at `place` in the caches of their owners, and moves what rests there to `depot`.
    /// `own` is the cache of this thread, which is busy with no magazine now. How it goes is told in
    /// [`thread_cache`](crate::free_list::magazines::thread_cache).
    pub(super) fn revoke(&mut self, depot: &Depot, own: *const ThreadCache, place: u8, for_good: bool) {
        if self.open == 0 && !for_good {
            return;
        }
        let mut others_open = false;
        for member in &mut self.members {
            member.revoked = member.magazine.shut(&mut self.key, for_good);
            member.cache.clear(&mut self.key, place);
            others_open |= member.revoked && !ptr::eq(Arc::as_ptr(&member.cache), own);
        }
        self.open = 0;
        if others_open {
            barrier::heavy();
        }
        // Magazines that were shut before are empty, and their owners need not be waited for.
        for member in self.members.iter_mut().filter(|member| member.revoked) {
            member.cache.wait_for_owner();
            member.magazine.empty_into(depot);
        }
    }

    /// All magazines have been shut for good. Forgets them.
    pub(super) fn forget_members(&mut self) {
        let members = std::mem::take(&mut self.members);
        let balances = members.iter().map(|member| member.magazine.balance());
        self.retired += balances.sum::<i64>();
    }

    /// Owners are at their magazines meanwhile, so the sums may not fit together.
    pub(super) fn counts(&self) -> MagazineCounts {
        let magazines = || self.members.iter().map(|member| &member.magazine);
        let balance: i64 = magazines().map(|magazine| magazine.balance()).sum();
        MagazineCounts {
            resting: magazines().map(|magazine| magazine.resting()).sum(),
            balance: balance + self.retired,
        }
    }

    /// Sets all magazines to their share of `max` buffers. The number of threads is rounded up to a power of two, so
    /// that most threads come and go without a change.
    pub(super) fn deal(&mut self, max: u32) {
        // So many threads that the number does not fit have a share of 0 anyway.
        let threads = self.members.len().next_power_of_two();
        let share = match u32::try_from(threads) {
            // Or models would need many buffers.
            _ if IN_MODEL => self.limit,
            Ok(threads) => self.limit.min(max / threads),
            Err(_) => 0,
        };
        if share != self.share {
            self.share = share;
            for member in &self.members {
                member.magazine.set_capacity(&mut self.key, share);
            }
        }
    }
}
