//! What no pool can beat: pop and push on a vector of buffers that nobody else can reach. It can neither be
//! shared nor release on another thread, so where several threads run, each has one of its own.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;

use super::{boxes, write_start};
use crate::strategy::Strategy;

pub(crate) const FLOOR: &str = "floor";

pub(crate) struct LocalVector {
    free: UnsafeCell<Vec<Box<[u8]>>>,
}

pub(crate) struct LocalGuard<'a> {
    pool: &'a LocalVector,
    buffer: ManuallyDrop<Box<[u8]>>,
}

impl Strategy for LocalVector {
    type Guard<'a> = LocalGuard<'a>;

    const ID: &'static str = FLOOR;
    const LABEL: &'static str = "floor: a `Vec` of buffers, unshared";

    fn new(buffers: usize) -> Self {
        LocalVector {
            free: UnsafeCell::new(boxes(buffers).collect()),
        }
    }

    #[inline(always)]
    fn acquire(&self) -> LocalGuard<'_> {
        // SAFETY: the cell keeps the vector on one thread, and no reference to it outlives a statement.
        let buffer = unsafe { (*self.free.get()).pop() };
        LocalGuard {
            pool: self,
            buffer: ManuallyDrop::new(buffer.expect("a buffer is free")),
        }
    }

    #[inline(always)]
    fn write(guard: &mut LocalGuard<'_>, message: &[u8]) -> *const u8 {
        write_start(&mut guard.buffer, message)
    }
}

impl Drop for LocalGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let buffer = unsafe { ManuallyDrop::take(&mut self.buffer) };
        // SAFETY: as in `acquire`.
        unsafe { (*self.pool.free.get()).push(buffer) };
    }
}
