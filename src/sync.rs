//! Everything that differs between a normal build and a loom build. The only file that names loom.
//!
//! What only loom needs, to see more, has a counterpart here that is nothing.

/// For statics, which loom's types can't be: no part of what loom explores.
pub(crate) use parking_lot::Mutex as StaticMutex;

#[cfg(loom)]
pub(crate) use under_loom::*;
#[cfg(not(loom))]
pub(crate) use under_std::*;

#[cfg(not(loom))]
mod under_std {
    pub(crate) use crossbeam_utils::Backoff;
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        compiler_fence, fence,
    };

    pub(crate) use std::thread::{Thread, current as current_thread};
    pub(crate) use std::thread_local as lazy_thread_local;

    /// Parks this thread until it is unparked, or `limit` is over, or for no reason.
    pub(crate) fn park(limit: Option<std::time::Duration>) {
        match limit {
            Some(limit) => std::thread::park_timeout(limit),
            None => std::thread::park(),
        }
    }

    /// A `thread_local!` that needs no initialisation at run time.
    macro_rules! static_thread_local {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
            std::thread_local! {
                $(#[$doc])* static $name: $type = const { $value };
            }
        };
    }
    pub(crate) use static_thread_local;

    /// 1 for who asks first, and so on.
    pub(crate) fn next_thread_number() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// For loom, a cell for each buffer that its holder uses; nothing in a normal build.
    pub(crate) struct Witness;

    impl Witness {
        pub(crate) fn new(_buffers: u32) -> Self {
            Witness
        }

        /// The caller holds the buffer alone.
        #[inline(always)]
        pub(crate) fn holds(&self, _buffer: u32) {}

        /// The caller has all buffers to itself.
        pub(crate) fn holds_all(&self) {}
    }

    /// Tells loom when the value that holds it is leaked; nothing in a normal build.
    pub(crate) struct LeakTracker;

    impl LeakTracker {
        pub(crate) fn new() -> Self {
            LeakTracker
        }
    }
}

#[cfg(loom)]
mod under_loom {
    use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// loom knows neither this nor what it pairs with, but fences.
    pub(crate) use loom::sync::atomic::fence as compiler_fence;

    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::thread::{Thread, current as current_thread};
    pub(crate) use loom::thread_local as lazy_thread_local;

    /// loom knows no time: a limit is over as soon as the other threads have had their turn.
    pub(crate) fn park(limit: Option<std::time::Duration>) {
        match limit {
            Some(_) => loom::thread::yield_now(),
            None => loom::thread::park(),
        }
    }

    /// A `thread_local!`, which loom initialises at its first use.
    macro_rules! static_thread_local {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
            loom::thread_local! {
                $(#[$doc])* static $name: $type = $value;
            }
        };
    }
    pub(crate) use static_thread_local;

    loom::lazy_static! {
        /// Begins anew with each schedule, or else loom could not repeat one.
        static ref NEXT: AtomicUsize = AtomicUsize::new(1);
    }

    pub(crate) fn next_thread_number() -> usize {
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// `loom::sync::Mutex` with the signature of parking_lot's.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0
                .lock()
                .expect("a model that panicked under the lock has already failed")
        }
    }

    /// loom explores every schedule, so waiting a little explores nothing new.
    pub(crate) struct Backoff;

    impl Backoff {
        pub(crate) fn new() -> Self {
            Backoff
        }

        pub(crate) fn spin(&self) {}

        /// Whoever waits for another thread must let it run.
        pub(crate) fn snooze(&self) {
            loom::thread::yield_now();
        }
    }

    /// loom reports it when two holders' uses of a cell are not ordered.
    pub(crate) struct Witness(Vec<UnsafeCell<()>>);

    impl Witness {
        pub(crate) fn new(buffers: u32) -> Self {
            Witness((0..buffers).map(|_| UnsafeCell::new(())).collect())
        }

        pub(crate) fn holds(&self, buffer: u32) {
            self.0[buffer as usize].with_mut(|_| ());
        }

        pub(crate) fn holds_all(&self) {
            for cell in &self.0 {
                cell.with_mut(|_| ());
            }
        }
    }

    pub(crate) struct LeakTracker(#[expect(dead_code)] loom::alloc::Track<()>);

    impl LeakTracker {
        pub(crate) fn new() -> Self {
            LeakTracker(loom::alloc::Track::new(()))
        }
    }
}
