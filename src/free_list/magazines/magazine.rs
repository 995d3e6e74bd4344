//! A few free buffers of one thread, taken and put back without an atomic read-modify-write (J. Bonwick and J. Adams,
//! *Magazines and Vmem*, USENIX 2001).
//!
//! Plain data in atomics. The caller of a method has the magazine to itself, unless the method is said to be for
//! anyone; how that comes about is told in [`thread_cache`](crate::free_list::magazines::thread_cache). A method that
//! takes the [`RegistryKey`] needs the lock of the pool's registry.
#![forbid(unsafe_code)]

use crate::base::sync::{AtomicU8, AtomicU32, AtomicU64, IN_MODEL, Ordering};
use crate::free_list::magazines::depot::Depot;
use crate::free_list::{Empty, Slot};

/// Most buffers that a magazine holds. A power of two, so that the bounds of `slots` need no check.
///
/// Chosen by measurement, see the benches: with 64 buffers held at once by each of one to four threads, 32 take
/// longer, and 128 gain nothing but keep twice as many buffers from the other threads.
pub(crate) const LARGEST: usize = if IN_MODEL { 4 } else { 64 };

/// To have this is to hold the lock of a pool's registry: each registry has one, behind its lock, and there is no
/// other way to one.
pub(crate) struct RegistryKey(());

impl RegistryKey {
    /// For a registry that is being made.
    pub(super) fn new() -> Self {
        RegistryKey(())
    }
}

/// See the module.
///
/// The buffer that came last lies in front, the others in the stack `slots`. A program that takes a buffer and
/// puts it back, over and over, then never changes `length`: of the two stores and loads through which one
/// operation would wait for the one before, one is left.
#[repr(align(128))]
pub(crate) struct Magazine {
    /// The word of the buffer in front, or [`NONE`].
    front: AtomicU64,
    /// Buffers in `slots`.
    length: AtomicU32,
    /// Most buffers that the owner leaves in `slots`: with the one in front, the magazine's capacity. Changed
    /// under the registry's lock only.
    most_behind: AtomicU32,
    /// Buffers lent from here less buffers taken from the depot, signed. The depot counts what it gives as
    /// lent, so both together count what a user was lent.
    balance: AtomicU64,
    /// Words of [`Slot`]s; what lies here longest first.
    slots: [AtomicU64; LARGEST],
    /// [`OPEN`], [`SHUT`] or [`DEAD`]. Changed under the registry's lock only.
    gate: AtomicU8,
    /// How often the owner must find the gate shut before it may open it.
    patience: AtomicU32,
}

/// The values of a gate.
const OPEN: u8 = 0;
/// The owner leaves the magazine, which is empty, alone, and goes to the depot.
const SHUT: u8 = 1;
/// Shut for good: the pool has been closed, or the owner ended.
const DEAD: u8 = 2;

/// No slot: no buffer has the index `u32::MAX`.
const NONE: u64 = u64::MAX;

/// How often an owner goes to the depot, once its magazine was shut, before it opens it again. A revocation
/// costs about as much as a hundred of those visits: so it adds a tenth at most.
const PATIENCE: u32 = if IN_MODEL { 2 } else { 1024 };

impl Magazine {
    /// Empty, and shut.
    pub(crate) fn new(key: &mut RegistryKey, capacity: u32) -> Magazine {
        let magazine = Magazine {
            front: AtomicU64::new(NONE),
            length: AtomicU32::new(0),
            most_behind: AtomicU32::new(0),
            balance: AtomicU64::new(0),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            gate: AtomicU8::new(SHUT),
            patience: AtomicU32::new(PATIENCE),
        };
        magazine.set_capacity(key, capacity);
        magazine
    }

    fn capacity(&self) -> usize {
        self.most_behind.load(Ordering::Relaxed) as usize + 1
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
    fn word(&self, place: usize) -> &AtomicU64 {
        &self.slots[place % LARGEST]
    }

    #[inline(always)]
    fn front(&self) -> Option<Slot> {
        let word = self.front.load(Ordering::Relaxed);
        (word != NONE).then_some(Slot::from_word(word))
    }

    #[inline(always)]
    fn clear_front(&self) {
        self.front.store(NONE, Ordering::Relaxed);
    }

    /// Counts `lent` buffers more as lent than as taken from the depot.
    #[inline(always)]
    fn count(&self, lent: i64) {
        let balance = self.balance.load(Ordering::Relaxed);
        self.balance.store(balance.wrapping_add_signed(lent), Ordering::Relaxed);
    }

    /// Takes the buffer that came last, if there is one.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Slot> {
        let slot = if let Some(front) = self.front() {
            self.clear_front();
            front
        } else {
            let rest = self.length().checked_sub(1)?;
            self.set_length(rest);
            Slot::from_word(self.word(rest).load(Ordering::Relaxed))
        };
        self.count(1);
        Some(slot)
    }

    /// Takes the `count` buffers that came last, and returns true, if so many are here. Adds what `make` makes of each
    /// to `out`.
    #[inline(always)]
    pub(crate) fn pop_many<T>(&self, count: usize, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> bool {
        let (mut length, front) = (self.length(), self.front());
        if length + usize::from(front.is_some()) < count {
            return false;
        }
        if out.capacity() == 0 {
            // Takes fewer instructions than to let it grow.
            *out = Vec::with_capacity(count);
        }
        if let Some(front) = front {
            // There is room: both together are at most `LARGEST`.
            self.word(length).store(front.word(), Ordering::Relaxed);
            self.clear_front();
            length += 1;
        }
        let rest = length - count;
        let words = self.slots[rest..length].iter();
        // All are lent at once, so their order does not matter; from back to front takes two instructions more each.
        out.extend(words.map(|word| make(Slot::from_word(word.load(Ordering::Relaxed)))));
        self.set_length(rest);
        // At most `LARGEST`.
        self.count(count as i64);
        true
    }

    /// Puts the buffer of a [`Slot::word`] here, and returns true, unless the magazine is full.
    #[inline(always)]
    pub(crate) fn push(&self, word: u64) -> bool {
        if let Some(front) = self.front() {
            let length = self.length();
            if length >= self.most_behind.load(Ordering::Relaxed) as usize {
                return false;
            }
            self.word(length).store(front.word(), Ordering::Relaxed);
            self.set_length(length + 1);
        }
        self.front.store(word, Ordering::Relaxed);
        true
    }

    /// Half a magazine, rounded up: how many buffers are moved at once.
    fn half(&self) -> usize {
        self.capacity().div_ceil(2)
    }

    /// Takes a buffer, after refilling the magazine from `depot` if it is empty.
    pub(crate) fn pop_or_refill(&self, depot: &Depot) -> Result<Slot, Empty> {
        if let Some(slot) = self.pop() {
            return Ok(slot);
        }
        let most = self.half();
        let mut length = 0;
        // Under the depot's lock, so that what moves from there to here is seen in one place.
        depot.pop_many(most, |slot| {
            self.word(length).store(slot.word(), Ordering::Relaxed);
            length += 1;
            self.set_length(length);
            self.count(-1);
        })
    }

    /// Takes `count` buffers, at least 1, those that are here and the rest from `depot`: all or none.
    pub(crate) fn pop_many_with<T>(
        &self,
        depot: &Depot,
        count: u32,
        out: &mut Vec<T>,
        make: impl Fn(Slot) -> T,
    ) -> Result<(), Empty> {
        if self.pop_many(count as usize, out, &make) {
            return Ok(());
        }
        // Fewer than `count`. From the depot first: if that has too few, none has been taken.
        let resting = self.resting();
        // At most `LARGEST`.
        let beside = resting as u32;
        depot.pop_exactly(count - beside, beside, out, &make)?;
        if resting > 0 {
            self.pop_many(resting, out, make);
        }
        Ok(())
    }

    /// Puts the buffer of a [`Slot::word`] here, and returns true, if need be after moving the half that lies longest
    /// to `depot`; false if that is closed, or gives to those that wait.
    pub(crate) fn push_or_flush(&self, depot: &Depot, word: u64) -> bool {
        let resting = self.resting();
        if resting >= self.capacity() {
            // The capacity may have become smaller.
            let keep = self.capacity() - self.half();
            self.move_to(depot, resting - keep);
        }
        self.push(word)
    }

    /// Puts all buffers into `depot`.
    pub(crate) fn empty_into(&self, depot: &Depot) {
        let resting = self.resting();
        if resting > 0 {
            self.move_to(depot, resting);
        }
    }

    /// Puts the `count` buffers that lie longest into `depot`, if that takes them.
    fn move_to(&self, depot: &Depot, count: usize) {
        let length = self.length();
        let word = |place| self.word(place).load(Ordering::Relaxed);
        let moved = count.min(length);
        let slots = (0..moved).map(|place| Slot::from_word(word(place)));
        // Under the depot's lock, as in `pop_or_refill`.
        if !depot.push_many(slots, || self.set_length(length - moved)) {
            return;
        }
        for place in moved..length {
            self.word(place - moved).store(word(place), Ordering::Relaxed);
        }
        if moved < count && self.front().is_some_and(|front| depot.push(front).is_ok()) {
            self.clear_front();
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

    /// For anyone.
    pub(crate) fn is_open(&self) -> bool {
        self.gate.load(Ordering::Relaxed) == OPEN
    }

    /// For anyone.
    pub(crate) fn is_dead(&self) -> bool {
        self.gate.load(Ordering::Relaxed) == DEAD
    }

    /// Opens the gate.
    pub(crate) fn open(&self, _: &mut RegistryKey) {
        self.gate.store(OPEN, Ordering::Relaxed);
    }

    /// Shuts the gate, for now or for good; returns whether it was open. For anyone.
    pub(crate) fn shut(&self, _: &mut RegistryKey, for_good: bool) -> bool {
        let was_open = self.is_open();
        if was_open {
            self.be_patient();
        }
        let now = if for_good { DEAD } else { SHUT };
        self.gate.store(now, Ordering::Relaxed);
        was_open
    }

    /// How many buffers the owner may leave here; at least 1. For anyone.
    pub(crate) fn set_capacity(&self, _: &mut RegistryKey, capacity: u32) {
        debug_assert!(capacity as usize <= LARGEST);
        let most_behind = capacity.saturating_sub(1);
        self.most_behind.store(most_behind, Ordering::Relaxed);
    }

    /// Buffers here. For anyone; exact while the owner is elsewhere.
    pub(crate) fn resting(&self) -> usize {
        self.length() + usize::from(self.front().is_some())
    }

    /// Buffers lent from here less those taken from the depot. For anyone; exact as `resting`.
    pub(crate) fn balance(&self) -> i64 {
        self.balance.load(Ordering::Relaxed) as i64
    }
}
