//! Everything that differs between a normal build and a loom build. The only file that names loom.
//!
//! Cells give access by closure, so that loom sees where an access begins and ends.

#[cfg(loom)]
pub(crate) use under_loom::*;
#[cfg(not(loom))]
pub(crate) use under_std::*;

#[cfg(not(loom))]
mod under_std {
    pub(crate) use crossbeam_utils::Backoff;
    pub(crate) use parking_lot::Mutex;
    use std::alloc::{Layout, alloc_zeroed};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

    /// `std::cell::UnsafeCell` with access by closure.
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline]
        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }

    /// `count` cells that hold 0 and touch no memory before they are used, or `None` when the
    /// allocator has none left.
    pub(crate) fn zeroed_cells(count: usize) -> Option<Box<[UnsafeCell<u32>]>> {
        if count == 0 {
            return Some(Box::new([]));
        }
        let layout = Layout::array::<UnsafeCell<u32>>(count).ok()?;
        // SAFETY: `count` is not 0, so neither is the layout's size.
        let cells = unsafe { alloc_zeroed(layout) }.cast::<UnsafeCell<u32>>();
        if cells.is_null() {
            return None;
        }
        // SAFETY: allocated above by the global allocator with the layout of a slice of `count`
        // cells; all bytes 0 is a valid `u32`, and the cell is a transparent wrapper of one.
        Some(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(cells, count)) })
    }

    /// Says that nobody uses the cells any more, for loom to check; nothing in a normal build.
    pub(crate) fn assert_unused(_cells: &[UnsafeCell<u32>]) {}

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
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

    /// `loom::sync::Mutex` with the signature of parking_lot's.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
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

    pub(crate) fn zeroed_cells(count: usize) -> Option<Box<[UnsafeCell<u32>]>> {
        Some((0..count).map(|_| UnsafeCell::new(0)).collect())
    }

    pub(crate) fn assert_unused(cells: &[UnsafeCell<u32>]) {
        for cell in cells {
            cell.with_mut(|_| ());
        }
    }

    pub(crate) struct LeakTracker(#[expect(dead_code)] loom::alloc::Track<()>);

    impl LeakTracker {
        pub(crate) fn new() -> Self {
            LeakTracker(loom::alloc::Track::new(()))
        }
    }
}
