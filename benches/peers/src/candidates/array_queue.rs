//! crossbeam's `ArrayQueue` of buffers, with a guard that borrows it.

use std::mem::ManuallyDrop;

use crossbeam_queue::ArrayQueue;

use super::{boxes, write_start};
use crate::strategy::{Bounded, Strategy};

pub(crate) struct QueuePool {
    free: ArrayQueue<Box<[u8]>>,
}

pub(crate) struct QueueGuard<'a> {
    pool: &'a QueuePool,
    buffer: ManuallyDrop<Box<[u8]>>,
}

impl Strategy for QueuePool {
    type Guard<'a> = QueueGuard<'a>;

    const ID: &'static str = "array-queue";
    const LABEL: &'static str = "crossbeam `ArrayQueue`";

    fn new(buffers: usize) -> Self {
        let free = ArrayQueue::new(buffers);
        for buffer in boxes(buffers) {
            free.push(buffer).expect("the queue is as long");
        }
        QueuePool { free }
    }

    #[inline(always)]
    fn acquire(&self) -> QueueGuard<'_> {
        self.try_acquire().expect("a buffer is free")
    }

    #[inline(always)]
    fn write(guard: &mut QueueGuard<'_>, message: &[u8]) -> *const u8 {
        write_start(&mut guard.buffer, message)
    }
}

impl Bounded for QueuePool {
    #[inline(always)]
    fn try_acquire(&self) -> Option<QueueGuard<'_>> {
        let buffer = self.free.pop()?;
        Some(QueueGuard {
            pool: self,
            buffer: ManuallyDrop::new(buffer),
        })
    }
}

impl Drop for QueueGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let buffer = unsafe { ManuallyDrop::take(&mut self.buffer) };
        self.pool
            .free
            .push(buffer)
            .expect("the queue has a place for each buffer");
    }
}
