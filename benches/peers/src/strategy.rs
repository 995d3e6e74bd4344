//! What every candidate is called through, and the loop bodies that all of them share.

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

/// How a loop treats its guards. Most pools cost least while the compiler can keep the guard in registers, as in a loop
/// of a few lines. Programs pass it to functions, and return it from theirs.
pub(crate) trait Body: 'static {
    /// What it adds to the name of a workload.
    const SUFFIX: &'static str;
    /// What heads its column.
    const HEAD: &'static str;

    #[inline(always)]
    fn acquire<S: Strategy>(strategy: &S) -> S::Guard<'_> {
        strategy.acquire()
    }

    /// `None` when all buffers are in use.
    #[inline(always)]
    fn try_acquire<S: Bounded>(strategy: &S) -> Option<S::Guard<'_>> {
        strategy.try_acquire()
    }

    #[inline(always)]
    fn write<S: Strategy>(guard: &mut S::Guard<'_>, message: &[u8]) {
        write_by_reference::<S>(guard, message);
    }

    /// A buffer with `message` in it. Always inlined, so that no candidate pays for a call and a move that another is
    /// spared.
    #[inline(always)]
    fn acquire_and_write<'a, S: Strategy>(strategy: &'a S, message: &[u8]) -> S::Guard<'a> {
        let mut guard = Self::acquire(strategy);
        Self::write::<S>(&mut guard, message);
        guard
    }

    /// The same, and gives the buffer back. The guard is not moved in between, which some would pay for.
    #[inline(always)]
    fn acquire_write_release<S: Strategy>(strategy: &S, message: &[u8]) {
        let mut guard = Self::acquire(strategy);
        Self::write::<S>(&mut guard, message);
    }
}

/// The guard is passed by reference to a function that writes. What programs do most, so the names of workloads have
/// nothing added, and this is what overviews show.
pub(crate) struct ByReference;

/// All of a guard's methods are inlined, and it is passed to nothing.
pub(crate) struct InRegisters;

/// The guard comes from a function of the caller's that returns a `Result`, and is then passed by reference.
pub(crate) struct ThroughResult;

#[inline(always)]
fn write_inlined<S: Strategy>(guard: &mut S::Guard<'_>, message: &[u8]) {
    // The address escapes, or else the compiler could leave out the writing and even the allocation.
    black_box(S::write(guard, message));
}

#[inline(never)]
pub(crate) fn write_by_reference<S: Strategy>(guard: &mut S::Guard<'_>, message: &[u8]) {
    write_inlined::<S>(guard, message);
}

/// An error as programs have them.
struct Refused(#[allow(dead_code)] String);

#[inline(never)]
fn acquire_checked<S: Strategy>(strategy: &S) -> Result<S::Guard<'_>, Refused> {
    // Never so, which the compiler does not know.
    if black_box(false) {
        return Err(Refused("no buffers today".into()));
    }
    Ok(strategy.acquire())
}

#[inline(never)]
fn try_acquire_checked<S: Bounded>(strategy: &S) -> Result<S::Guard<'_>, Refused> {
    // An empty string takes no allocation.
    strategy.try_acquire().ok_or(Refused(String::new()))
}

impl Body for InRegisters {
    const SUFFIX: &'static str = "-in-registers";
    const HEAD: &'static str = "in registers";

    #[inline(always)]
    fn write<S: Strategy>(guard: &mut S::Guard<'_>, message: &[u8]) {
        write_inlined::<S>(guard, message);
    }
}

impl Body for ByReference {
    const SUFFIX: &'static str = "";
    const HEAD: &'static str = "by reference";
}

impl Body for ThroughResult {
    const SUFFIX: &'static str = "-through-a-result";
    const HEAD: &'static str = "through a `Result`";

    #[inline(always)]
    fn acquire<S: Strategy>(strategy: &S) -> S::Guard<'_> {
        acquire_checked(strategy).ok().expect("a buffer is free")
    }

    #[inline(always)]
    fn try_acquire<S: Bounded>(strategy: &S) -> Option<S::Guard<'_>> {
        try_acquire_checked(strategy).ok()
    }
}
