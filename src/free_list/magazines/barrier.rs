//! A pair of barriers for two sides that each write a flag of their own and then read the other's
//! (Dekker's pattern), where one side does so all the time and the other hardly ever.
//!
//! Between the write and the read each side needs a full fence, or both could miss the other's write. Here
//! the frequent side's, [`light`], is a promise of the compiler alone and costs no instruction; the rare
//! side's, [`heavy`], makes the operating system run a full fence on every core that runs a thread of
//! this process. (D. Dice, H. Huang and M. Yang, *Asymmetric Dekker Synchronization*, 2001; on Linux
//! `membarrier(2)`, M. Desnoyers; on Windows `FlushProcessWriteBuffers`.)
//!
//! Promise: of a thread that does `A = 1; light(); read B` and one that does `B = 1; heavy(); read A`, if
//! `heavy` returned, at least one reads the other's 1.
//!
//! Where the system offers no such thing, and under loom and shuttle, both sides are `fence(SeqCst)`, which promises
//! the same.
//!
//! A system that has granted it may withdraw it: a filter on system calls that is set up late. [`heavy`] then relies on
//! time instead of the system: no processor keeps a store to itself for milliseconds. (A. Morrison and Y. Afek,
//! *Temporally Bounding TSO for Fence-Free Asymmetric Synchronization*, ASPLOS 2015.) As that is slow, magazines
//! are no longer opened from then on, see [`is_cheap`].

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crate::faults::{Fault, injected};
use crate::sync::{Ordering, compiler_fence, fence};

/// Whether the system offers what `heavy` needs. Asked once in the life of the process.
static SYSTEM: OnceLock<bool> = OnceLock::new();

/// Whether [`light`] keeps the promise; else [`fenced_light`] must be used in its place. The same each time.
pub(crate) fn light_is_free() -> bool {
    *SYSTEM.get_or_init(|| !injected(Fault::NoBarrier) && system::prepare())
}

/// The system has withdrawn what it had granted.
static WITHDRAWN: AtomicBool = AtomicBool::new(false);

/// How long [`heavy`] then waits: thousands of times as long as a store takes to be seen by other cores.
const SEEN_BY_ALL: Duration = Duration::from_millis(10);

/// Whether [`heavy`] takes about a microsecond; else it takes some milliseconds.
pub(crate) fn is_cheap() -> bool {
    // Relaxed: a thread that does not see it yet loses time.
    !WITHDRAWN.load(Ordering::Relaxed)
}

/// The frequent side's barrier where [`light_is_free`]: see the module.
#[inline(always)]
pub(crate) fn light() {
    compiler_fence(Ordering::SeqCst);
}

/// The frequent side's barrier elsewhere.
pub(crate) fn fenced_light() {
    fence(Ordering::SeqCst);
}

/// The rare side's barrier: see the module.
#[cold]
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    if light_is_free() && (injected(Fault::BarrierWithdrawn) || !system::fence_everywhere()) {
        WITHDRAWN.store(true, Ordering::Relaxed);
        thread::sleep(SEEN_BY_ALL);
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(poolbuf_loom, poolbuf_shuttle, miri))
))]
mod system {
    /// From `linux/membarrier.h`, since 4.14.
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes two integers here, and reads and writes no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0) == 0 }
    }

    pub(super) fn prepare() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED) && fence_everywhere()
    }

    pub(super) fn fence_everywhere() -> bool {
        membarrier(PRIVATE_EXPEDITED)
    }
}

#[cfg(all(windows, not(any(poolbuf_loom, poolbuf_shuttle, miri))))]
mod system {
    #[link(name = "kernel32")]
    unsafe extern "system" {
        /// Since Windows Vista; cannot fail.
        safe fn FlushProcessWriteBuffers();
    }

    pub(super) fn prepare() -> bool {
        true
    }

    pub(super) fn fence_everywhere() -> bool {
        FlushProcessWriteBuffers();
        true
    }
}

#[cfg(any(not(any(target_os = "linux", target_os = "android", windows)), miri))]
#[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
mod system {
    pub(super) fn prepare() -> bool {
        false
    }

    pub(super) fn fence_everywhere() -> bool {
        false
    }
}

/// Here `light` is a fence, so that models run the same code as everybody else.
#[cfg(any(poolbuf_loom, poolbuf_shuttle))]
mod system {
    pub(super) fn prepare() -> bool {
        true
    }

    pub(super) fn fence_everywhere() -> bool {
        true
    }
}

#[cfg(all(test, poolbuf_faults))]
mod tests {
    use super::*;

    /// Or else the tests of a fault would be those of a system without it.
    #[test]
    fn a_fault_of_the_barrier_that_is_asked_for_is_had() {
        heavy();
        assert_eq!(light_is_free(), !injected(Fault::NoBarrier));
        assert_eq!(is_cheap(), !injected(Fault::BarrierWithdrawn));
    }
}
