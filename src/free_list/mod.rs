//! Which buffers are free: the one thing in which the pools of equal buffers differ.
//!
//! A free list knows indices, never memory: its links lie in side arrays, so a buffer's bytes belong to
//! its holder, always.

pub(crate) mod lock_free;
pub(crate) mod magazines;

use crate::memory::OutOfMemory;
use crate::memory::trim_plan::Trimming;

/// A buffer that was taken from a free list. It can't be copied, so it is put back or lent once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the buffer is lost to its pool unless it is lent or put back"]
pub(crate) struct Slot {
    /// Which of the pool's buffers it is.
    pub(crate) index: u32,
    /// How many of its leading bytes may hold what a holder wrote. Lies here since what takes the index
    /// wants it next: that spares the pools an array, and a cache line, of their own.
    pub(crate) exposed: u32,
}

impl Slot {
    #[inline]
    pub(crate) fn from_word(word: u64) -> Slot {
        Slot {
            index: word as u32,
            exposed: (word >> 32) as u32,
        }
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        u64::from(self.exposed) << 32 | u64::from(self.index)
    }
}

/// Why there is no buffer to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    /// All are taken; how many that is.
    AllInUse(u32),
    /// The list has been closed.
    Closed,
}

/// Why a buffer was not taken back, and the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The list has been closed.
    Closed(Slot),
    /// A request waits for it, see [`FreeList::start_waiting`].
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
}

/// Whether requests wait for the buffers of a list. Changed by one caller at a time, under the lock of the queue in
/// which they wait; see the table in [`waiting`](crate::waiting).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Demand {
    /// None waits.
    None,
    /// One is about to wait, and looks for a buffer a last time.
    Joining,
    /// There are some.
    Waiting,
}

impl Demand {
    /// The one whose discriminant is `number`.
    pub(crate) fn from_u8(number: u8) -> Self {
        match number {
            0 => Demand::None,
            1 => Demand::Joining,
            _ => Demand::Waiting,
        }
    }
}

/// The buffers `0..reserve`, each either free or taken, and at most `max` of them taken.
///
/// An implementation promises that
/// - `pop` takes a buffer that is free and returns it; it fails only at a moment when `max` or more are taken, or
///   after `close`;
/// - what comes back to a thread last is what that thread is lent first, and one that was never taken only
///   when none that was is at hand;
/// - all that happened before a `push` has happened before the `pop` that returns the same buffer returns.
pub(crate) trait FreeList: Send + Sync + Sized + 'static {
    /// Where buffers are put back.
    type Inlet<'a>: Inlet;

    /// All of `0..reserve` free.
    fn new(limits: &Limits) -> Result<Self, OutOfMemory>;

    /// Takes a free buffer.
    fn pop(&self) -> Result<Slot, Empty>;

    /// Does what `pop` does if that takes a few instructions only, to be inlined where a buffer is acquired.
    fn pop_fast(&self) -> Option<Slot>;

    /// Takes `count` free buffers, at least 1, all or none, and adds what `make` makes of each to `out`. Fails only at
    /// a moment when fewer are free, or more than `max - count` are taken, or after `close`. What it took in vain and
    /// could not put back by `push` it gives to `put_back`. `make` calls nothing that takes a lock.
    fn pop_many<T>(
        &self,
        count: u32,
        out: &mut Vec<T>,
        make: impl Fn(Slot) -> T,
        put_back: impl FnMut(Slot),
    ) -> Result<(), Empty>;

    /// Does what `pop_many` does, and returns true, if that takes a few instructions for each buffer only.
    fn pop_many_fast<T>(&self, count: u32, out: &mut Vec<T>, make: impl Fn(Slot) -> T) -> bool;

    fn inlet(&self) -> Self::Inlet<'_>;

    /// From now on until `stop_waiting`, a `push` either has put its buffer where a `pop` that begins later finds
    /// it, or fails with [`NotTaken::Wanted`]: a `pop` that finds none after this has missed none. The demand is
    /// [`Joining`](Demand::Joining) until `confirm_waiting`.
    fn start_waiting(&self);

    /// The demand is [`Waiting`](Demand::Waiting).
    fn confirm_waiting(&self);

    /// The demand is [`None`](Demand::None). A push that began before may still fail with [`NotTaken::Wanted`].
    fn stop_waiting(&self);

    /// May be asked by any thread, and may be an older state.
    fn demand(&self) -> Demand;

    /// From now on `pop` and `push` fail. Returns how many buffers were in use then. When several threads
    /// close, each buffer is counted to one of them.
    fn close(&self) -> u32;

    /// Not for the fast path: it may take a lock.
    fn is_closed(&self) -> bool;

    /// Exact while no other thread uses the list.
    fn counts(&self) -> Counts;

    /// Buffers that may be taken at most.
    fn max(&self) -> u32;

    /// Whether a buffer that was taken may be lent again without having been put back: from a magazine, or by
    /// hand-over. Not while more than `max` are taken.
    fn may_lend_again(&self) -> bool {
        true
    }

    /// Gives the pages of the free buffers back to the operating system; returns how many bytes that were. Should
    /// the list take buffers for that, it puts them back with `put_back`, which calls `push`.
    fn trim(&self, trimming: &mut Trimming<'_>, put_back: &mut dyn FnMut(Slot)) -> usize;

    /// Whether `end_generation` does anything.
    const DECAYS: bool = false;

    /// Ends a generation: gives back the pages of the buffers that were free all through this one and the one
    /// before, but for as many as were there from the start.
    fn end_generation(&self, _trimming: &mut Trimming<'_>) {}
}

/// Where buffers are put back to a list, which another thread may free as soon as the last of them is back: before
/// the call that put it back returns. So what is passed to such a call refers to atomics and locks alone, of which
/// the compiler does not assume that they outlive the call, as it does of what a reference to plain bytes refers to.
pub(crate) trait Inlet: Copy {
    /// Does what `push` does if that takes a few instructions only; else the buffer is the caller's still.
    fn push_fast(self, slot: Slot) -> Result<(), Slot>;

    /// Puts a buffer back. The caller got it from `pop` and has not put it back since.
    fn push(self, slot: Slot) -> Result<(), NotTaken>;
}

/// A free list whose `max` can be changed.
pub(crate) trait Resizable: FreeList {
    /// Sets `max`, which is at least 1 and at most the reserve; returns it as it was. What is taken stays so, however
    /// much: `pop` fails until enough is back.
    fn set_max(&self, max: u32) -> u32;

    /// A number that goes up whenever a buffer comes back. If it is the same before a `pop` that finds all taken and
    /// after another, none was free at any moment between the two.
    fn returns(&self) -> u64;
}
