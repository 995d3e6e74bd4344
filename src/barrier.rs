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
//! `heavy` returned true, at least one reads the other's 1.
//!
//! Where the system offers no such thing, and under loom, both sides are `fence(SeqCst)`, which promises
//! the same. (`--cfg poolbuf_fenced` has it so everywhere, for tests.)

use std::sync::OnceLock;

use crate::sync::{Ordering, compiler_fence, fence};

/// Whether the system offers what `heavy` needs. Asked once in the life of the process.
static SYSTEM: OnceLock<bool> = OnceLock::new();

/// Whether [`light`] keeps the promise; else [`fenced_light`] must be used in its place. The same each time.
pub(crate) fn light_is_free() -> bool {
    *SYSTEM.get_or_init(system::prepare)
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

/// The rare side's barrier: see the module. About a microsecond. False, and then it promises nothing, only
/// if the system withdrew what it had granted, as a filter on system calls that is set up late may.
#[must_use]
#[cold]
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    !light_is_free() || system::fence_everywhere()
}

#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    not(any(loom, miri, poolbuf_fenced))
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

#[cfg(all(windows, not(any(loom, miri, poolbuf_fenced))))]
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

#[cfg(any(
    not(any(target_os = "linux", target_os = "android", windows)),
    miri,
    poolbuf_fenced
))]
#[cfg(not(loom))]
mod system {
    pub(super) fn prepare() -> bool {
        false
    }

    pub(super) fn fence_everywhere() -> bool {
        false
    }
}

/// Here `light` is a fence, so that loom runs the same code as everybody else.
#[cfg(loom)]
mod system {
    pub(super) fn prepare() -> bool {
        true
    }

    pub(super) fn fence_everywhere() -> bool {
        true
    }
}
