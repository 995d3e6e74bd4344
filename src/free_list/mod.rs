//! Which buffers are free: the one thing in which the pools of equal buffers differ.
//!
//! A free list knows indices, never memory: its links lie in side arrays, so a buffer's bytes belong to
//! whoever holds it, always.

pub(crate) mod lock_free;
pub(crate) mod magazines;

use crate::config::CheckedConfig;
use crate::error::ConfigError;
use crate::memory::trim_plan::Trimming;

/// A buffer as a free list knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Which of the pool's buffers it is.
    pub(crate) index: u32,
    /// How many of its leading bytes may hold what a holder wrote. Lies here since whoever takes the index
    /// wants it next: that spares the pools an array, and a cache line, of their own.
    pub(crate) stale: u32,
}

impl Slot {
    /// The buffer `index`, never written.
    pub(crate) fn fresh(index: u32) -> Slot {
        Slot { index, stale: 0 }
    }

    #[inline]
    pub(crate) fn from_word(word: u64) -> Slot {
        Slot {
            index: word as u32,
            stale: (word >> 32) as u32,
        }
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        u64::from(self.stale) << 32 | u64::from(self.index)
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

/// Why a buffer was not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The list has been closed.
    Closed,
    /// Somebody waits for it, see [`FreeList::start_waiting`].
    Wanted,
}

/// What a free list knows about its past and present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Buffers taken and not put back; `None` after `close`, when none is put back any more.
    pub(crate) in_use: Option<u32>,
    /// Buffers ever taken. So many were in use at the same time if one thread alone used the list; with
    /// several it may be fewer, by what then lay where another thread looks first.
    pub(crate) high_water: u32,
    /// How often a buffer was taken since the list was made.
    pub(crate) acquired: u64,
    /// Bytes of buffers that have been given back to the operating system by trimming, and that nobody has taken
    /// since. An estimate where some of those that were trimmed together have been taken again.
    pub(crate) given_back: usize,
}

/// The buffers `0..reserve`, each either free or taken, and at most `max` of them taken.
///
/// An implementation promises that
/// - `pop` takes a buffer that is free and returns it; it fails only at a moment when `max` or more are taken, or
///   after `close`;
/// - what comes back to a thread last is what that thread is lent first, and one that was never taken only
///   when nothing that was is at hand;
/// - all that happened before a `push` has happened before the `pop` that returns the same buffer returns;
/// - once `push` has put the buffer back or failed because the list was closed, it touches the list no more: the memory of the list may
///   be gone before `push` returns.
pub(crate) trait FreeList: Send + Sync + Sized + 'static {
    /// All of `0..reserve` free. Fails when the allocator has no memory.
    fn new(config: &CheckedConfig) -> Result<Self, ConfigError>;

    /// Takes a free buffer.
    fn pop(&self) -> Result<Slot, Empty>;

    /// Puts a buffer back. The caller got it from `pop` and has not put it back since.
    fn push(&self, slot: Slot) -> Result<(), NotTaken>;

    /// From now on until `stop_waiting`, a `push` either has put its buffer where a `pop` that begins later finds
    /// it, or fails with [`NotTaken::Wanted`]: whoever finds nothing after this misses nothing. Callers take
    /// turns: each `start_waiting` is followed by a `stop_waiting`, and no two of either run at once.
    fn start_waiting(&self);

    /// A push that began before may still fail with [`NotTaken::Wanted`].
    fn stop_waiting(&self);

    /// From now on `pop` and `push` fail. Returns how many buffers were in use then. When several threads
    /// close, each buffer is counted to one of them.
    fn close(&self) -> u32;

    /// Exact while nobody else uses the list.
    fn counts(&self) -> Counts;

    /// Does what `pop` does if that takes a few instructions only, to be inlined where a buffer is acquired.
    #[inline(always)]
    fn pop_at_hand(&self) -> Option<Slot> {
        None
    }

    /// Does what `push` does if that takes a few instructions only, and returns whether it did.
    #[inline(always)]
    fn push_at_hand(&self, _slot: Slot) -> bool {
        false
    }

    /// Takes up to `most` free buffers, and returns one of them, the one that `pop` would have; the others
    /// it gives to `keep`, which should lend the last of them first. Fails as `pop` does.
    fn pop_many(&self, most: usize, mut keep: impl FnMut(Slot)) -> Result<Slot, Empty> {
        let first = self.pop()?;
        for _ in 1..most {
            match self.pop() {
                Ok(slot) => keep(slot),
                Err(_) => break,
            }
        }
        Ok(first)
    }

    /// Puts buffers back as if by one `push` after the other. Returns how many: all, unless the list has
    /// been closed, or somebody waits.
    fn push_many(&self, slots: impl Iterator<Item = Slot>) -> usize {
        let back = slots.map(|slot| self.push(slot));
        back.take_while(Result::is_ok).count()
    }

    /// Whether a buffer that was taken may be lent again without having been put back: from a magazine, or by
    /// hand-over. Not while more than `max` are taken.
    fn may_lend_onward(&self) -> bool {
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

/// A free list whose `max` can be changed.
pub(crate) trait Resizable: FreeList {
    /// Sets `max` to what `change` makes of it, at least 1 and at most the reserve, or leaves it; returns it as it
    /// was and as it is. What is taken stays so, however much: `pop` fails until enough is back.
    fn resize<E>(&self, change: impl FnOnce(u32) -> Result<u32, E>) -> Result<(u32, u32), E>;
}
