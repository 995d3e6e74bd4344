//! What every candidate is called through, and the one loop body that all of them share.

use std::hint::black_box;

/// Bytes of every buffer.
pub(crate) const BUFFER_SIZE: usize = 8192;
/// Buffers of every pool, all made before anything is measured: more than a workload holds at once, so that
/// none is refused and what is compared is the cost of success.
pub(crate) const BUFFERS: usize = 1024;
/// What is written into each buffer, unless a workload says otherwise.
pub(crate) const MESSAGE: &[u8] = &[7];

/// A way to come by a buffer and to get rid of it again, which is dropping its guard.
pub(crate) trait Strategy: Sized + 'static {
    /// May borrow the pool: what that is worth shows too.
    type Guard<'a>;

    /// Its name on the command line and in the stored figures.
    const ID: &'static str;
    /// Its name in the tables and charts.
    const LABEL: &'static str;

    /// Made with `buffers` buffers at hand, as far as its interface allows.
    fn new(buffers: usize) -> Self;

    fn acquire(&self) -> Self::Guard<'_>;

    /// Copies `message` to the start of a buffer that was just acquired. Returns where it starts.
    fn write(guard: &mut Self::Guard<'_>, message: &[u8]) -> *const u8;
}

/// A candidate that can refuse.
pub(crate) trait Bounded: Strategy {
    /// `None` when all buffers are in use.
    fn try_acquire(&self) -> Option<Self::Guard<'_>>;
}

/// The body of every loop: a buffer with `message` in it. Always inlined, so that no candidate pays for a call
/// and a move that another is spared.
#[inline(always)]
pub(crate) fn acquire_and_write<'a, S: Strategy>(strategy: &'a S, message: &[u8]) -> S::Guard<'a> {
    let mut guard = strategy.acquire();
    // The address escapes, or else the compiler could leave out the writing and even the allocation.
    black_box(S::write(&mut guard, message));
    guard
}

/// The same, and gives the buffer back. The guard is not moved in between, which some would pay for.
#[inline(always)]
pub(crate) fn acquire_write_release<S: Strategy>(strategy: &S, message: &[u8]) {
    let mut guard = strategy.acquire();
    black_box(S::write(&mut guard, message));
}
