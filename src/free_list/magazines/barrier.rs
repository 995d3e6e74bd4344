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
//! the same. So it is where the system may say that it offers one and not keep the promise: what is not known to work
//! is not used. `system` says for each what is trusted and why; the test below is a litmus test of the pair.
//!
//! A system that has granted it may withdraw it: a filter on system calls that is set up late. [`heavy`] then relies on
//! time instead of the system: no processor keeps a store to itself for milliseconds. (A. Morrison and Y. Afek,
//! *Temporally Bounding TSO for Fence-Free Asymmetric Synchronization*, ASPLOS 2015.) As that is slow, magazines
//! are no longer opened from then on, see [`is_cheap`].

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crate::base::faults::{Fault, injected};
use crate::base::sync::{Ordering, compiler_fence, fence};

/// Whether the system offers what `heavy` needs. Asked once in the life of the process.
static SYSTEM: OnceLock<bool> = OnceLock::new();

/// Whether [`light`] keeps the promise; else [`fenced_light`] must be used in its place. The same each time.
pub(crate) fn light_is_free() -> bool {
    *SYSTEM.get_or_init(|| injected(Fault::BarrierEmpty) || !injected(Fault::NoBarrier) && system::prepare())
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
    if light_is_free() && !fence_everywhere() {
        WITHDRAWN.store(true, Ordering::Relaxed);
        thread::sleep(SEEN_BY_ALL);
        fence(Ordering::SeqCst);
    }
}

/// Whether the system has run a full fence on every core that runs a thread of this process.
fn fence_everywhere() -> bool {
    if injected(Fault::BarrierEmpty) {
        return true;
    }
    !injected(Fault::BarrierWithdrawn) && system::fence_everywhere()
}

/// A kernel that has the call keeps its promise. What may stand before the kernel is a filter on system calls: one that
/// refuses shows in the answer, at once or later; one that has the call do nothing and return 0 answers the query so
/// too, and thereby that there is no such command. (One that kills the process instead has to allow the call.)
#[cfg(all(target_os = "linux", not(any(poolbuf_loom, poolbuf_shuttle, miri))))]
mod system {
    /// From `linux/membarrier.h`, since 4.14.
    const QUERY: libc::c_int = 0;
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> libc::c_long {
        // SAFETY: the call takes two integers here, and reads and writes no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0) }
    }

    pub(super) fn prepare() -> bool {
        let commands = membarrier(QUERY);
        commands > 0
            && commands & libc::c_long::from(PRIVATE_EXPEDITED) != 0
            && membarrier(REGISTER_PRIVATE_EXPEDITED) == 0
            && fence_everywhere()
    }

    pub(super) fn fence_everywhere() -> bool {
        membarrier(PRIVATE_EXPEDITED) == 0
    }
}

/// Windows itself keeps the promise, and the call can neither fail nor be withdrawn. Wine's, as of Wine 10, does
/// nothing, and does not say so. Nor can a program find out for certain which of the two it runs on:
///
/// - Wine has a function that says that it is Wine; but it can be told to hide that, as systems made of it are, and it
///   takes the version of whatever Windows it is asked to be.
/// - A litmus test of the call, as the one below, finds a barrier that does nothing within some ten thousand rounds
///   where both sides have a core to themselves, and never where they share one. To conclude from its silence that
///   there is a barrier, at the start of a process, on a machine that is busy, would be a guess.
///
/// A wrong guess can lend a buffer twice, and to refuse costs two fences for each buffer. So the call is used only if
/// who builds the program says that it runs on Windows itself, by `--cfg poolbuf_windows_barrier`; and not if it is
/// seen then to be Wine after all.
#[cfg(all(windows, poolbuf_windows_barrier, not(any(poolbuf_loom, poolbuf_shuttle, miri))))]
mod system {
    use std::ffi::{CStr, c_char, c_void};

    #[link(name = "kernel32")]
    unsafe extern "system" {
        /// Since Windows Vista; cannot fail.
        safe fn FlushProcessWriteBuffers();
        fn GetModuleHandleA(name: *const c_char) -> *mut c_void;
        fn GetProcAddress(module: *mut c_void, name: *const c_char) -> *const c_void;
    }

    const NTDLL: &CStr = c"ntdll.dll";
    /// A function that Wine's ntdll has for being told from Windows.
    const WINE_GET_VERSION: &CStr = c"wine_get_version";

    /// Also if that could not be found out.
    fn may_be_wine() -> bool {
        // SAFETY: both names are C strings, which are only read. ntdll is part of every process from its beginning to
        // its end, so that its handle stays valid; what is found in it is not called.
        unsafe {
            let ntdll = GetModuleHandleA(NTDLL.as_ptr());
            ntdll.is_null() || !GetProcAddress(ntdll, WINE_GET_VERSION.as_ptr()).is_null()
        }
    }

    pub(super) fn prepare() -> bool {
        !may_be_wine()
    }

    pub(super) fn fence_everywhere() -> bool {
        FlushProcessWriteBuffers();
        true
    }
}

/// Windows among them unless its builder says otherwise, see above; and Android: it may end a process that makes a call
/// which its version's filter does not list, and has not been tried.
#[cfg(any(not(any(target_os = "linux", all(windows, poolbuf_windows_barrier))), miri))]
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

#[cfg(all(test, not(any(poolbuf_loom, poolbuf_shuttle))))]
mod tests {
    use std::hint;
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    use super::*;
    use crate::base::sync::Backoff;

    /// Or else the tests of a fault would be those of a system without it.
    #[test]
    #[cfg(poolbuf_faults)]
    fn a_fault_of_the_barrier_that_is_asked_for_is_had() {
        heavy();
        assert_eq!(light_is_free(), !injected(Fault::NoBarrier));
        assert_eq!(is_cheap(), !injected(Fault::BarrierWithdrawn));
    }

    /// Under Wine as well, which can pass for Windows.
    #[test]
    #[cfg(all(windows, not(poolbuf_windows_barrier)))]
    fn windows_is_not_relied_on_unless_the_builder_says_so() {
        assert_eq!(light_is_free(), injected(Fault::BarrierEmpty));
    }

    /// What the two sides share in the test below, each on cache lines of its own.
    #[repr(align(128))]
    struct Word(AtomicU32);

    impl Word {
        const fn new() -> Self {
            Word(AtomicU32::new(0))
        }

        fn wait_for(&self, value: u32) {
            let backoff = Backoff::new();
            // Acquire: pairs with the Release of the other side's `put`.
            while self.0.load(Ordering::Acquire) != value {
                backoff.snooze();
            }
        }

        fn put(&self, value: u32) {
            self.0.store(value, Ordering::Release);
        }
    }

    /// The promise of the module, tried where [`light`] is no fence: store buffering, a million times or for some
    /// seconds.
    ///
    /// The frequent side first writes to memory that is in no cache. Those writes wait in its core's store buffer, and
    /// the one to `A` waits behind them while `B` is read already. The rare side comes at a different moment each time,
    /// since it must write and read between the two. With a barrier that does nothing (fault `barrier-empty`), both
    /// miss the other's write within some ten thousand rounds. On one core they can't.
    #[test]
    fn of_two_sides_at_least_one_sees_the_other() {
        const ROUNDS: u32 = 1_000_000;
        const ENOUGH: Duration = Duration::from_secs(8);
        if !light_is_free() || injected(Fault::BarrierWithdrawn) {
            return;
        }
        static A: Word = Word::new();
        static B: Word = Word::new();
        static BEGUN: Word = Word::new();
        static DONE: Word = Word::new();
        static SEEN_BY_LIGHT: Word = Word::new();
        const OVER: u32 = u32::MAX;

        let far_away: Vec<AtomicU32> = (0..1 << 22).map(AtomicU32::new).collect();
        let (mut round, begin) = (0, Instant::now());
        let neither = thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1.. {
                    let backoff = Backoff::new();
                    // Acquire: as in `wait_for`.
                    while BEGUN.0.load(Ordering::Acquire) != round {
                        if BEGUN.0.load(Ordering::Relaxed) == OVER {
                            return;
                        }
                        backoff.snooze();
                    }
                    for write in 0..24 {
                        let place = (round as usize * 977 + write * 4099) % far_away.len();
                        far_away[place].store(round, Ordering::Relaxed);
                    }
                    A.0.store(1, Ordering::Relaxed);
                    light();
                    let seen = B.0.load(Ordering::Relaxed);
                    SEEN_BY_LIGHT.0.store(seen, Ordering::Relaxed);
                    DONE.put(round);
                }
            });
            let neither = loop {
                round += 1;
                if round > ROUNDS || round % 1024 == 0 && begin.elapsed() > ENOUGH {
                    break false;
                }
                A.0.store(0, Ordering::Relaxed);
                B.0.store(0, Ordering::Relaxed);
                BEGUN.put(round);
                for _ in 0..round % 200 {
                    hint::spin_loop();
                }
                B.0.store(1, Ordering::Relaxed);
                heavy();
                let seen = A.0.load(Ordering::Relaxed);
                DONE.wait_for(round);
                if seen == 0 && SEEN_BY_LIGHT.0.load(Ordering::Relaxed) == 0 {
                    break true;
                }
            };
            BEGUN.put(OVER);
            neither
        });
        assert!(!neither, "neither side saw the other's write in round {round}");
        println!("{} rounds", round - 1);
    }
}
