//! Everything that differs between a normal build and a build for loom or for shuttle, which both run models of the
//! crate and decide which thread is next. The only file that names them.
//!
//! What only loom needs, to see more, has a counterpart here that is nothing.
#![forbid(unsafe_code)]

/// For statics, which loom's and shuttle's types can't be, and for what is never locked: no part of what they explore.
pub(crate) use parking_lot::Mutex as StaticMutex;

#[cfg(not(poolbuf_loom))]
pub(crate) use unwatched::{LeakTracker, Witness};

#[cfg(poolbuf_loom)]
pub(crate) use under_loom::*;
#[cfg(poolbuf_shuttle)]
pub(crate) use under_shuttle::*;
#[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
pub(crate) use under_std::*;

/// Whether this is a build for models: then there are few of whatever there are many of elsewhere, or else models
/// would need many buffers and many steps.
pub(crate) const IN_MODEL: bool = cfg!(any(poolbuf_loom, poolbuf_shuttle));

#[cfg(not(any(poolbuf_loom, poolbuf_shuttle)))]
mod under_std {
    pub(crate) use crossbeam_utils::Backoff;
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    };

    pub(crate) use crossbeam_utils::sync::{Parker, Unparker};
    pub(crate) use std::thread_local as lazy_thread_local;
    pub(crate) use std::time::Instant;

    /// Waits a little longer each time it is asked to: spins, then yields, and at last sleeps. A thread that only
    /// yields keeps its core from threads of lower real-time priority, maybe from the one that it waits for.
    pub(crate) struct Pause(Backoff);

    impl Pause {
        pub(crate) fn new() -> Self {
            Pause(Backoff::new())
        }

        pub(crate) fn wait(&self) {
            if self.0.is_completed() {
                std::thread::sleep(std::time::Duration::from_micros(50));
            } else {
                self.0.snooze();
            }
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

    /// 1 for the thread that asks first, and so on.
    pub(crate) fn next_thread_number() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

/// What loom alone watches.
#[cfg(not(poolbuf_loom))]
mod unwatched {
    /// For loom, a cell for each buffer that its holder uses; nothing in a normal build.
    pub(crate) struct Witness;

    impl Witness {
        pub(crate) fn new(_buffers: u32) -> Self {
            Witness
        }

        /// The caller holds the buffer alone.
        #[inline(always)]
        pub(crate) fn holds(&self, _buffer: u32) {}

        /// The caller uses what has this, which nobody frees meanwhile.
        #[inline(always)]
        pub(crate) fn is_used(&self) {}

        /// The caller has all buffers to itself, and nobody else uses what has this.
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

/// What parks a thread in a model: as `crossbeam_utils::sync::Parker`, over the `Condvar` of loom or shuttle. (Not over
/// `thread::unpark`: loom lets a thread that waits for a lock go on by it.) A park with a limit lets the other threads
/// have a turn, and its caller looks at the clock.
#[cfg(any(poolbuf_loom, poolbuf_shuttle))]
macro_rules! parker_of_models {
    () => {
        pub(crate) struct Parker(Unparker);

        #[derive(Clone)]
        pub(crate) struct Unparker(std::sync::Arc<Notification>);

        struct Notification {
            is_there: Mutex<bool>,
            came: Condvar,
        }

        impl Parker {
            pub(crate) fn new() -> Self {
                Parker(Unparker(std::sync::Arc::new(Notification {
                    is_there: Mutex::new(false),
                    came: Condvar::new(),
                })))
            }

            pub(crate) fn unparker(&self) -> &Unparker {
                &self.0
            }

            pub(crate) fn park(&self) {
                let Notification { is_there, came } = &*self.0.0;
                let mut is_there = is_there.lock();
                while !std::mem::take(&mut *is_there) {
                    is_there = came
                        .wait(is_there)
                        .expect("a model that panicked under the lock has already failed");
                }
            }

            pub(crate) fn park_timeout(&self, _limit: std::time::Duration) {
                if !std::mem::take(&mut *self.0.0.is_there.lock()) {
                    thread::yield_now();
                }
            }
        }

        impl Unparker {
            pub(crate) fn unpark(&self) {
                *self.0.is_there.lock() = true;
                self.0.came.notify_one();
            }
        }

        /// A thread that waits for another lets it run.
        pub(crate) struct Pause;

        impl Pause {
            pub(crate) fn new() -> Self {
                Pause
            }

            pub(crate) fn wait(&self) {
                thread::yield_now();
            }
        }
    };
}
#[cfg(any(poolbuf_loom, poolbuf_shuttle))]
use parker_of_models;

#[cfg(poolbuf_loom)]
mod under_loom {
    use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// loom knows neither this nor what it pairs with, but fences.
    pub(crate) use loom::sync::atomic::fence as compiler_fence;

    use loom::sync::Condvar;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::thread_local as lazy_thread_local;
    pub(crate) use std::time::Instant;

    use loom::thread;

    super::parker_of_models!();

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
    }

    /// loom reports it when two holders' uses of a cell are not ordered. The last cell is not a buffer's.
    pub(crate) struct Witness(Vec<UnsafeCell<()>>);

    impl Witness {
        pub(crate) fn new(buffers: u32) -> Self {
            Witness((0..=buffers).map(|_| UnsafeCell::new(())).collect())
        }

        pub(crate) fn holds(&self, buffer: u32) {
            self.0[buffer as usize].with_mut(|_| ());
        }

        pub(crate) fn is_used(&self) {
            self.0[self.0.len() - 1].with(|_| ());
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

/// Every atomic operation, lock and park is a step, before which shuttle may let any other thread run. It knows no
/// weak memory: all operations happen in one order.
#[cfg(poolbuf_shuttle)]
mod under_shuttle {
    use std::sync::PoisonError;
    use std::time::Duration;

    pub(crate) use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    /// shuttle's fence is nothing, as everything is ordered anyway; so is this.
    pub(crate) use shuttle::sync::atomic::fence as compiler_fence;

    use shuttle::sync::Condvar;
    pub(crate) use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::thread_local as lazy_thread_local;

    use shuttle::thread;

    super::parker_of_models!();

    /// A clock that goes by steps, one microsecond each, so that a schedule can be repeated.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Instant(usize);

    impl Instant {
        pub(crate) fn now() -> Self {
            Instant(shuttle::current::context_switches())
        }

        pub(crate) fn elapsed(&self) -> Duration {
            Instant::now().saturating_duration_since(*self)
        }

        pub(crate) fn saturating_duration_since(&self, earlier: Instant) -> Duration {
            Duration::from_micros(self.0.saturating_sub(earlier.0) as u64)
        }
    }

    /// A `thread_local!`, which shuttle initialises at its first use.
    macro_rules! static_thread_local {
        ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
            shuttle::thread_local! {
                $(#[$doc])* static $name: $type = $value;
            }
        };
    }
    pub(crate) use static_thread_local;

    /// shuttle's own: the same each time a schedule is repeated.
    pub(crate) fn next_thread_number() -> usize {
        usize::from(shuttle::thread::current().id())
    }

    /// `shuttle::sync::Mutex` with the signature of parking_lot's.
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Waiting a little tries nothing that another schedule does not.
    pub(crate) struct Backoff;

    impl Backoff {
        pub(crate) fn new() -> Self {
            Backoff
        }

        pub(crate) fn spin(&self) {}
    }
}
