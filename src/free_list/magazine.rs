//! A few free buffers at one thread's hand, taken and put back without an atomic read-modify-write.
//!
//! After J. Bonwick and J. Adams, *Magazines and Vmem* (USENIX 2001). Theirs lie behind a lock for each
//! processor; here a magazine is one thread's own, its *owner*'s, until another thread, a *revoker*, shuts it:
//!
//! ```text
//! owner    busy = true;  light barrier;  gate open?  take or put a buffer;  busy = false
//! revoker  gate = shut;  heavy barrier;  wait until not busy;  the buffers are the revoker's
//! ```
//!
//! Of the two, at least one sees the other's write: either the owner sees the gate shut and keeps its hands
//! off, or the revoker sees the owner busy and waits. Revokers take turns by a lock that is not kept here.
#![forbid(unsafe_code)]

use crate::barrier;
use crate::free_list::{Empty, FreeList, Slot};
use crate::sync::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Backoff, Ordering};

/// Most buffers that a magazine holds. A power of two, so that the bounds of `slots` need no check.
///
/// Chosen by measurement, see the benches: with 64 buffers held at once by each of one to four threads, 32 take
/// longer, and 128 gain nothing but keep twice as many buffers from the other threads.
pub(crate) const LARGEST: usize = if cfg!(loom) { 4 } else { 64 };

/// See the module. Unless a method says otherwise it is the owner's.
///
/// The buffer that came last lies in `front`, the others in the stack `slots`. A program that takes a buffer
/// and puts it back, over and over, then never changes `length`: of the two loads and stores through which one
/// operation would wait for the one before, one is left.
///
/// All fields are atomics, most of them used with Relaxed. What the owner did before `busy` became false
/// (Release), a revoker that reads this (Acquire) sees. What a revoker did, the owner sees after it has opened
/// the gate, since it does so under the revokers' lock.
#[repr(align(128))]
pub(crate) struct Magazine {
    /// The owner is at it.
    busy: AtomicBool,
    /// [`OPEN`], [`OPEN_FENCED`], [`SHUT`] or [`DEAD`]. Changed under the revokers' lock only.
    gate: AtomicU8,
    /// Most buffers that the owner leaves here; at least 1. Changed under the revokers' lock only.
    capacity: AtomicU32,
    /// How often the owner must find the gate shut before it may open it.
    patience: AtomicU32,
    /// Buffers in `slots`.
    length: AtomicU32,
    /// A [`Slot`] or [`NONE`].
    front: AtomicU64,
    /// Buffers lent from here less buffers taken from the depot, signed. The depot counts what it gives as
    /// lent, so both together count what a user was lent.
    balance: AtomicU64,
    /// [`Slot`]s; what lies here longest first.
    slots: [AtomicU64; LARGEST],
}

/// The values of a gate.
const OPEN: u8 = 0;
/// Open, and the light barrier must be a real fence.
const OPEN_FENCED: u8 = 1;
/// The owner leaves the magazine, which is empty, alone, and goes to the depot.
const SHUT: u8 = 2;
/// Shut for good: the pool has been closed.
const DEAD: u8 = 3;

/// No slot: no buffer has the index `u32::MAX`.
const NONE: u64 = u64::MAX;

/// How often an owner goes to the depot, once its magazine was shut, before it opens it again. A revocation
/// costs about as much as a hundred of those visits: so it adds at most some percent.
const PATIENCE: u32 = if cfg!(loom) { 2 } else { 4096 };

/// The owner's right to its magazine, from finding the gate open until the drop.
struct Busy<'a>(&'a Magazine);

impl Drop for Busy<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `wait_for_owner`; see the type.
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Magazine {
    /// Empty, and shut.
    pub(crate) fn new(capacity: u32) -> Magazine {
        let magazine = Magazine {
            busy: AtomicBool::new(false),
            gate: AtomicU8::new(SHUT),
            capacity: AtomicU32::new(0),
            patience: AtomicU32::new(PATIENCE),
            length: AtomicU32::new(0),
            front: AtomicU64::new(NONE),
            balance: AtomicU64::new(0),
            slots: std::array::from_fn(|_| AtomicU64::new(NONE)),
        };
        magazine.set_capacity(capacity);
        magazine
    }

    /// Enters by the free light barrier, or not at all.
    #[inline(always)]
    fn enter(&self) -> Option<Busy<'_>> {
        self.busy.store(true, Ordering::Relaxed);
        let busy = Busy(self);
        // Pairs with the heavy barrier between `shut` and `wait_for_owner`.
        barrier::light();
        (self.gate.load(Ordering::Relaxed) == OPEN).then_some(busy)
    }

    /// Enters by whichever barrier it takes.
    fn enter_by_any(&self) -> Option<Busy<'_>> {
        self.busy.store(true, Ordering::Relaxed);
        let busy = Busy(self);
        // As in `enter`.
        barrier::fenced_light();
        matches!(self.gate.load(Ordering::Relaxed), OPEN | OPEN_FENCED).then_some(busy)
    }

    #[inline(always)]
    fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed) as usize
    }

    #[inline(always)]
    fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed) as usize
    }

    #[inline(always)]
    fn set_length(&self, length: usize) {
        // At most `LARGEST`.
        self.length.store(length as u32, Ordering::Relaxed);
    }

    #[inline(always)]
    fn slot(&self, place: usize) -> &AtomicU64 {
        &self.slots[place % LARGEST]
    }

    /// Counts `lent` buffers more as lent than as taken from the depot.
    #[inline(always)]
    fn count(&self, lent: i64) {
        let balance = self.balance.load(Ordering::Relaxed);
        self.balance
            .store(balance.wrapping_add_signed(lent), Ordering::Relaxed);
    }

    /// Takes the buffer that came last; `None` when there is none, the gate is shut, or it takes a fence.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Slot> {
        let _busy = self.enter()?;
        self.pop_here()
    }

    #[inline(always)]
    fn pop_here(&self) -> Option<Slot> {
        let mut word = self.front.load(Ordering::Relaxed);
        if word != NONE {
            self.front.store(NONE, Ordering::Relaxed);
        } else {
            let rest = self.length().checked_sub(1)?;
            self.set_length(rest);
            word = self.slot(rest).load(Ordering::Relaxed);
        }
        self.count(1);
        Some(Slot::from_word(word))
    }

    /// Puts a buffer here; false when the magazine is full, the gate shut, or it takes a fence.
    #[inline(always)]
    pub(crate) fn push(&self, slot: Slot) -> bool {
        let Some(_busy) = self.enter() else {
            return false;
        };
        self.push_here(slot)
    }

    #[inline(always)]
    fn push_here(&self, slot: Slot) -> bool {
        let front = self.front.load(Ordering::Relaxed);
        if front != NONE {
            let length = self.length();
            if length + 1 >= self.capacity() {
                return false;
            }
            self.slot(length).store(front, Ordering::Relaxed);
            self.set_length(length + 1);
        }
        self.front.store(slot.word(), Ordering::Relaxed);
        true
    }

    /// Half a magazine, rounded up: how many buffers are moved at once.
    fn half(&self) -> usize {
        self.capacity().div_ceil(2).clamp(1, LARGEST)
    }

    /// Takes a buffer, after refilling the magazine from `depot` if it is empty. `None` when the gate is
    /// shut.
    pub(crate) fn pop_or_refill(&self, depot: &impl FreeList) -> Option<Result<Slot, Empty>> {
        let _busy = self.enter_by_any()?;
        if let Some(slot) = self.pop_here() {
            return Some(Ok(slot));
        }
        let mut length = 0;
        let taken = depot.pop_many(self.half(), |slot| {
            self.slot(length).store(slot.word(), Ordering::Relaxed);
            length += 1;
        });
        self.set_length(length);
        self.count(-(length as i64));
        Some(taken)
    }

    /// Puts a buffer here, if need be after moving the half that lies longest to `depot`; false when the gate is shut.
    pub(crate) fn push_or_flush(&self, depot: &impl FreeList, slot: Slot) -> bool {
        let Some(_busy) = self.enter_by_any() else {
            return false;
        };
        let resting = self.resting();
        if resting >= self.capacity() {
            // The capacity may have become smaller.
            let keep = self.capacity() - self.half();
            self.move_to(depot, resting - keep);
        }
        // Fails if nothing was moved, since the depot has been closed.
        self.push_here(slot)
    }

    /// Puts the `count` buffers that lie longest, or as many as it takes, into `depot`. For whoever has the
    /// magazine to itself.
    fn move_to(&self, depot: &impl FreeList, count: usize) {
        let length = self.length();
        let word = |place| self.slot(place).load(Ordering::Relaxed);
        let first = (0..count.min(length)).map(|place| Slot::from_word(word(place)));
        let moved = depot.push_many(first);
        for place in moved..length {
            self.slot(place - moved)
                .store(word(place), Ordering::Relaxed);
        }
        self.set_length(length - moved);
        let front = self.front.load(Ordering::Relaxed);
        if moved < count && front != NONE && depot.push(Slot::from_word(front)).is_ok() {
            self.front.store(NONE, Ordering::Relaxed);
        }
    }

    /// Whether the owner, which found the gate shut, has now gone to the depot often enough.
    pub(crate) fn may_open(&self) -> bool {
        let left = self.patience.load(Ordering::Relaxed).saturating_sub(1);
        self.patience.store(left, Ordering::Relaxed);
        left == 0
    }

    /// Makes the owner wait again before it opens the gate.
    pub(crate) fn be_patient(&self) {
        self.patience.store(PATIENCE, Ordering::Relaxed);
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.gate.load(Ordering::Relaxed) == SHUT
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.gate.load(Ordering::Relaxed) == DEAD
    }

    /// Lets the owner in. For the owner, or revokers that did not get in themselves; under the lock.
    pub(crate) fn open(&self) {
        let open = if barrier::light_is_free() {
            OPEN
        } else {
            OPEN_FENCED
        };
        self.gate.store(open, Ordering::Relaxed);
    }

    /// How many buffers the owner may leave here. For anyone, under the revokers' lock.
    pub(crate) fn set_capacity(&self, capacity: u32) {
        debug_assert!(capacity as usize <= LARGEST);
        self.capacity.store(capacity.max(1), Ordering::Relaxed);
    }

    /// Tells the owner to stay out: until it opens the gate, or for good. For revokers, under their lock;
    /// returns whether it was open. A heavy barrier must follow, unless the owner itself calls this.
    pub(crate) fn shut(&self, for_good: bool) -> bool {
        let was_open = matches!(self.gate.load(Ordering::Relaxed), OPEN | OPEN_FENCED);
        if was_open {
            self.be_patient();
        }
        let now = if for_good { DEAD } else { SHUT };
        self.gate.store(now, Ordering::Relaxed);
        was_open
    }

    /// Waits until the owner is out: then the magazine is the revoker's. For revokers, after the barrier.
    pub(crate) fn wait_for_owner(&self) {
        let backoff = Backoff::new();
        // Acquire: pairs with the Release of `Busy::drop`; see the type.
        while self.busy.load(Ordering::Acquire) {
            backoff.snooze();
        }
    }

    /// Puts all buffers into `depot`. For whoever has shut the gate and waited for the owner.
    pub(crate) fn empty_into(&self, depot: &impl FreeList) {
        let resting = self.resting();
        if resting > 0 {
            self.move_to(depot, resting);
        }
    }

    /// Buffers here. For anyone; exact while the owner is elsewhere.
    pub(crate) fn resting(&self) -> usize {
        self.length() + usize::from(self.front.load(Ordering::Relaxed) != NONE)
    }

    /// Buffers lent from here less those taken from the depot. For anyone; exact as `resting`.
    pub(crate) fn balance(&self) -> i64 {
        self.balance.load(Ordering::Relaxed) as i64
    }
}
