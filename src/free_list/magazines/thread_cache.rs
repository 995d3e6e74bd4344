//! What a thread has at hand, the magazines of the pools that it uses, and how other threads take them away.
//!
//! A magazine is used by one thread, its *owner*, until another thread, a *revoker*, shuts it:
//!
//! ```text
//! owner    busy = true;  light barrier;  is it there?  take or put a buffer;  busy = false
//! revoker  take it from its place;  heavy barrier;  wait until not busy;  its buffers are the revoker's
//! ```
//!
//! Of the two, at least one sees the other's write: either the owner finds the place empty and takes the slow path, or
//! the revoker sees the owner busy and waits. Revokers of one pool take turns by the lock of its registry.
//!
//! An example. Thread A holds no buffer and has 7 in its magazine; thread B asks for one and finds the depot empty.
//!
//! 1. B locks the registry, shuts A's magazine and empties its place in A's cache. A may not have seen that yet.
//! 2. B calls the heavy barrier. From here on there are two cases.
//!    - A set `busy` before the barrier reached its core: B sees that, and waits. A takes one of the 7 and clears
//!      `busy`; the Release of that store shows B that 6 are left.
//!    - A sets `busy` after it: then A's next look shows the empty place. It touches no magazine, and B need not wait.
//! 3. B moves what it finds, 6 or 7 buffers, to the depot, takes one of them, and unlocks the registry.
#![forbid(unsafe_code)]

use std::ptr;

use crate::base::sync::{AtomicBool, AtomicPtr, IN_MODEL, Ordering, Pause};
use crate::free_list::magazines::barrier;
use crate::free_list::magazines::magazine::{Magazine, RegistryKey};

/// See the module. One for each thread; alone on its cache lines.
#[repr(align(128))]
pub(crate) struct ThreadCache {
    /// The owner is at one of its magazines.
    busy: AtomicBool,
    /// The magazines that are open, each at its pool's place; null elsewhere. A copy of what the gates of the magazines
    /// say, so that the fast path finds a magazine and knows that it is open by one load. Written by the owner and by
    /// revokers, for each place under the lock of its pool's registry.
    places: [AtomicPtr<Magazine>; PLACES],
}

/// As many as a `u8` has values, so that a place needs no check.
const PLACES: usize = match (cfg!(poolbuf_loom), IN_MODEL) {
    (true, _) => 4,
    (_, true) => 8,
    _ => 256,
};

/// The place that is always empty, for pools that have none of their own.
pub(crate) const NO_PLACE: u8 = (PLACES - 1) as u8;

/// The owner's right to what it finds in its cache, until the drop.
pub(crate) struct Busy<'a>(&'a ThreadCache);

impl Drop for Busy<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `wait_for_owner`, so that a revoker sees what the owner did.
        self.0.busy.store(false, Ordering::Release);
    }
}

macro_rules! empty_cache {
    ($atomic:expr) => {
        ThreadCache {
            busy: AtomicBool::new(false),
            places: $atomic,
        }
    };
}

/// The cache of threads that have none: no magazine is ever put there. Many threads may be busy with it, and no revoker
/// waits for them.
#[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
pub(crate) static NO_THREAD: ThreadCache = empty_cache!([const { AtomicPtr::new(ptr::null_mut()) }; PLACES]);

impl ThreadCache {
    pub(crate) fn new() -> ThreadCache {
        empty_cache!(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())))
    }

    /// For the owner, before it looks into a place: a revoker that finds it busy will wait. Only where the light
    /// barrier is free; elsewhere all places stay empty.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Busy<'_> {
        self.busy.store(true, Ordering::Relaxed);
        let busy = Busy(self);
        // Pairs with the heavy barrier between a revoker's `clear` and `wait_for_owner`.
        barrier::light();
        busy
    }

    /// As `enter`, everywhere: for the owner, before it looks whether a magazine is open.
    pub(crate) fn enter_fenced(&self) -> Busy<'_> {
        self.busy.store(true, Ordering::Relaxed);
        let busy = Busy(self);
        // As in `enter`.
        barrier::fenced_light();
        busy
    }

    /// The magazine that is open at `place`, or null. For the owner, while busy.
    #[inline(always)]
    pub(crate) fn look(&self, place: u8) -> *const Magazine {
        self.places[usize::from(place)].load(Ordering::Relaxed)
    }

    /// Puts `magazine`, which is open, at `place`. For the owner.
    pub(crate) fn put(&self, _: &mut RegistryKey, place: u8, magazine: *const Magazine) {
        if place != NO_PLACE && barrier::light_is_free() {
            // Relaxed: what used the magazine last did so under the same lock.
            self.places[usize::from(place)].store(magazine.cast_mut(), Ordering::Relaxed);
        }
    }

    /// Takes away what is at `place`. For anyone.
    pub(crate) fn clear(&self, _: &mut RegistryKey, place: u8) {
        self.places[usize::from(place)].store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Waits until the owner is not busy: then what was taken away is the revoker's. For revokers, after a heavy
    /// barrier. The owner is busy for some hundred instructions; if it was interrupted meanwhile, this sleeps, since
    /// the owner may be of lower priority and need this very core.
    pub(crate) fn wait_for_owner(&self) {
        let pause = Pause::new();
        // Acquire: pairs with the Release of `Busy::drop`.
        while self.busy.load(Ordering::Acquire) {
            pause.wait();
        }
    }
}
