//! Which buffers are free: the one thing in which the pools of equal buffers differ.
//!
//! A free list knows indices, never memory: its links lie in side arrays, so a buffer's bytes belong to
//! its holder, always.

pub(crate) mod lock_free;
pub(crate) mod magazines;

use crate::memory::OutOfMemory;
use crate::memory::trim_plan::Trimming;

/// A buffer that was taken from a free list. It can't be copied, so it is put back or lent once.
///
/// One word, which a magazine keeps and a guard carries as it is:
///
/// ```text
/// 63        32 31         0
/// [  dirty   ][   index   ]
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the buffer is lost to its pool unless it is lent or put back"]
pub(crate) struct Slot(u64);

impl Slot {
    #[inline(always)]
    pub(crate) fn new(index: u32, dirty: u32) -> Slot {
        Slot(u64::from(dirty) << 32 | u64::from(index))
    }

    /// The slot whose [`word`](Slot::word) it is.
    #[inline(always)]
    pub(crate) fn from_word(word: u64) -> Slot {
        Slot(word)
    }

    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// Which of the pool's buffers it is.
    #[inline(always)]
    pub(crate) fn index(&self) -> u32 {
        self.0 as u32
    }

    /// How many of its leading bytes may hold what a holder wrote. Lies here since what takes the index
    /// wants it next: that spares the pools an array, and a cache line, of their own.
    #[inline(always)]
    pub(crate) fn dirty(&self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn set_dirty(&mut self, dirty: u32) {
        *self = Slot::new(self.index(), dirty);
    }
}

/// Why there is no buffer to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    /// Too few are free; how many are taken.
    AllInUse(u32),
    /// Enough may be free, but requests that came before wait for them.
    Owed,
    /// The list has been closed.
    Closed,
    /// The allocator has no memory for the guards of so many.
    OutOfMemory,
}

/// Why a buffer was not taken back, and the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The list has been closed.
    Closed(Slot),
    /// With it, the first request that waits can be served; see [`Demand`].
    Wanted(Slot),
}

/// What a free list knows about its past and present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Buffers taken and not put back; `None` after `close`, when none is put back any more.
    pub(crate) in_use: Option<u32>,
    /// Buffers ever taken. So many were in use at the same time if one thread alone used the list; with
    /// several it may be fewer, by what then lay where another thread looks first.
    pub(crate) high_water: u32,
    /// How often a buffer was taken since the list was made. While others take buffers it may be too low, never too
    /// high.
    pub(crate) acquired: u64,
    /// Bytes of buffers that have been given back to the operating system by trimming and not been taken since. An
    /// estimate where some of those that were trimmed together have been taken again.
    pub(crate) given_back: usize,
}

/// What a free list is made for. All numbers are buffers but the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes.
    pub(crate) buffer_size: u32,
    pub(crate) initial: u32,
    pub(crate) max: u32,
    pub(crate) reserve: u32,
    /// Most in one thread's magazine.
    pub(crate) magazine: usize,
    /// Requests may wait.
    pub(crate) waiting: bool,
}

/// What the requests that wait for the buffers of a list want: that is, what the first of them wants. While it is not
/// `None`, what is free is owed to them, and `pop` fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// None waits.
    None,
    /// The first wants so many: the `push` after which so many may be taken is not taken, but told that it is wanted.
    At(u32),
    /// So many are free, but the first lacks something else. No `push` is wanted.
    Never,
}

/// The buffers `0..reserve`, each either free or taken, and at most `max` of them taken.
///
/// An implementation promises that
/// - `pop` takes a buffer that is free and returns it; it fails only at a moment when `max` or more are taken, or while
///   there is a [`Demand`], or after `close`;
/// - what comes back to a thread last is what that thread is lent first, and one that was never taken only
///   when none that was is at hand;
/// - all that happened before a `push` has happened before the `pop` that returns the same buffer returns.
pub(crate) trait FreeList: Send + Sync + Sized + 'static {
    /// See [`ReleaseSide`].
    type ReleaseSide<'a>: ReleaseSide;
    /// See [`FreeList::hold`].
    type Held<'a>: Held;

    /// All of `0..reserve` free.
    fn new(limits: &Limits) -> Result<Self, OutOfMemory>;

    /// Takes a free buffer.
    fn pop(&self) -> Result<Slot, Empty>;

    /// Does what `pop` does if that takes a few instructions only, to be inlined where a buffer is acquired.
    fn pop_fast(&self) -> Option<Slot>;

    /// Takes `count` free buffers, at least 1, all or none, and adds what `make` makes of each to `out`, the one that
    /// `pop` would take last. Fails only at a moment when fewer may be taken, or while there is a [`Demand`], or after
    /// `close`, or when there is no memory for `out` to grow, which it does only once it is known that so many are
    /// free. `make` calls nothing that takes a lock.
    fn pop_many<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> Result<(), Empty>;

    /// Does what `pop_many` does, and returns true, if that takes a few instructions for each buffer only.
    fn pop_many_fast<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> bool;

    fn release_side(&self) -> Self::ReleaseSide<'_>;

    /// Holds the list: until the drop of what this returns, nobody else takes a buffer or puts one back. Called under
    /// the lock of the line in which requests wait for these buffers, and not after `close`.
    fn hold(&self) -> Self::Held<'_>;

    /// Whether there is a [`Demand`], which may be one whose request has been served, while none is free. Under the
    /// lock of the line it is so; elsewhere it may be an older state.
    fn is_wanted(&self) -> bool;

    /// Whether the demand is [`At`](Demand::At) 1, and the next buffer that comes back may be taken: it need not come
    /// here first. Under the lock of the line, if it says so, it is so; elsewhere it may be an older state. A list may
    /// always say no.
    fn wants_one(&self) -> bool;

    /// From now on `pop` and `push` fail. Returns how many buffers were in use then. When several threads
    /// close, each buffer is counted to one of them.
    fn close(&self) -> u32;

    /// Not for the fast path: it may take a lock.
    fn is_closed(&self) -> bool;

    /// Exact while no other thread uses the list; else off by no more than what other threads take and put back while
    /// it is read.
    fn counts(&self) -> Counts;

    /// Buffers that may be taken at most.
    fn max(&self) -> u32;

    /// Buffers that `pop_many` can take at once at most.
    fn most_at_once(&self) -> u32 {
        self.max()
    }

    /// A number that goes up whenever a buffer comes back. If it is the same before a `pop` that finds all taken and
    /// after another, none was free at any moment between the two. A [`LockFreePool`](crate::LockFreePool)'s list
    /// counts only while there is a [`Demand`].
    fn returns(&self) -> u64;

    /// Gives the pages of the free buffers back to the operating system; returns how many bytes that were.
    fn trim(&self, trimming: &mut Trimming<'_>) -> usize;

    /// Whether `end_generation` does anything.
    const DECAYS: bool = false;

    /// Ends a generation: gives back the pages of the buffers that were free all through this one and the one
    /// before, but for as many as were there from the start.
    fn end_generation(&self, _trimming: &mut Trimming<'_>) {}
}

/// A list that is held, see [`FreeList::hold`].
pub(crate) trait Held {
    /// How many buffers may be taken.
    fn allowed(&self) -> u32;

    /// Takes the buffer that `pop` would take. At least one is [allowed](Held::allowed).
    fn take(&mut self) -> Slot;

    /// Puts back a buffer that is taken.
    fn put(&mut self, slot: Slot);

    /// From now on the demand is this.
    fn set_demand(&mut self, demand: Demand);
}

/// The side of a list where buffers are put back. Another thread may free the list as soon as the last of them
/// is back: before the call that put it back returns. So what is passed to such a call refers to atomics and locks
/// alone, of which the compiler does not assume that they outlive the call, as it does of what a reference to plain
/// bytes refers to.
pub(crate) trait ReleaseSide: Copy {
    /// Does what `push` does if that takes a few instructions only; else the buffer is the caller's still.
    fn push_fast(self, slot: Slot) -> Result<(), Slot>;

    /// Puts a buffer back. The caller got it from `pop` and has not put it back since.
    fn push(self, slot: Slot) -> Result<(), NotTaken>;
}

/// A free list whose `max` can be changed.
pub(crate) trait Resizable: FreeList {
    /// Sets `max`, which is at least 1 and at most the reserve, and returns it as it was; calls `meanwhile` with the
    /// held list before anything can be taken by the new max. What is taken stays so, however much: `pop` fails until
    /// enough is back. Called as [`FreeList::hold`] is.
    fn set_max(&self, max: u32, meanwhile: impl FnOnce(&mut Self::Held<'_>)) -> u32;
}

/// Room for `count` more in `out`.
pub(crate) fn reserve<T>(out: &mut Vec<T>, count: u32) -> Result<(), Empty> {
    let reserved = out.try_reserve_exact(count as usize);
    reserved.map_err(|_| Empty::OutOfMemory)
}
