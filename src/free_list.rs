//! Which buffers are free: the one thing in which the pools of equal buffers differ.
//!
//! A free list knows indices, never memory: its links lie in side arrays, so a buffer's bytes belong to
//! whoever holds it, always.
#![forbid(unsafe_code)]

pub(crate) mod mutex_stack;
pub(crate) mod treiber_stack;

use crate::error::ConfigError;

/// Why there is no index to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    /// All are taken; how many that is.
    AllInUse(u32),
    /// The list has been closed.
    Closed,
}

/// The list has been closed; the index was not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// What a free list knows about its past and present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Indices taken and not put back; `None` after `close`, when none is put back any more.
    pub(crate) in_use: Option<u32>,
    /// Most that were in use at the same time.
    pub(crate) high_water: u32,
    /// Indices taken since the list was made.
    pub(crate) acquired: u64,
}

/// The indices `0..max`, each either free or taken.
///
/// An implementation promises that
/// - `pop` returns an index that is free, and takes it; it fails only while none is free, or after `close`;
/// - indices come back last in, first out, and one that was never taken only when all others are in use:
///   the indices ever taken are `0..high_water`;
/// - all that happened before a `push` has happened before the `pop` that returns the same index returns;
/// - once `push` has put the index back or failed, it touches the list no more: the memory of the list may
///   be gone before `push` returns.
pub(crate) trait FreeList: Send + Sync + Sized + 'static {
    /// All of `0..max` free. Fails when the allocator has no memory.
    fn with_max(max: u32) -> Result<Self, ConfigError>;

    /// Takes a free index.
    fn pop(&self) -> Result<u32, Empty>;

    /// Puts an index back. The caller got it from `pop` and has not put it back since.
    fn push(&self, index: u32) -> Result<(), Closed>;

    /// From now on `pop` and `push` fail. Returns how many indices were in use then, to whoever closes
    /// first, and `None` to all others.
    fn close(&self) -> Option<u32>;

    /// Exact while nobody else uses the list.
    fn counts(&self) -> Counts;
}
