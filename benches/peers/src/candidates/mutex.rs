//! The pool that is written in ten minutes: a mutex around a vector of buffers, and a guard that keeps the
//! pool alive.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{boxes, write_start};
use crate::strategy::{Bounded, Strategy};

/// Its name for the figures.
pub(crate) const NAIVE: &str = "parking-lot-mutex";

type Free = Mutex<Vec<Box<[u8]>>>;

pub(crate) struct MutexPool {
    free: Arc<Free>,
}

pub(crate) struct MutexGuard {
    pool: Arc<Free>,
    buffer: ManuallyDrop<Box<[u8]>>,
}

impl Strategy for MutexPool {
    type Guard<'a> = MutexGuard;

    const ID: &'static str = NAIVE;
    const LABEL: &'static str = "naive: `parking_lot::Mutex<Vec<_>>`";

    fn new(buffers: usize) -> Self {
        MutexPool {
            free: Arc::new(Mutex::new(boxes(buffers).collect())),
        }
    }

    #[inline(always)]
    fn acquire(&self) -> MutexGuard {
        self.try_acquire().expect("a buffer is free")
    }

    #[inline(always)]
    fn write(guard: &mut MutexGuard, message: &[u8]) -> *const u8 {
        write_start(&mut guard.buffer, message)
    }
}

impl Bounded for MutexPool {
    #[inline(always)]
    fn try_acquire(&self) -> Option<MutexGuard> {
        let buffer = self.free.lock().pop()?;
        Some(MutexGuard {
            pool: Arc::clone(&self.free),
            buffer: ManuallyDrop::new(buffer),
        })
    }
}

impl Drop for MutexGuard {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let buffer = unsafe { ManuallyDrop::take(&mut self.buffer) };
        self.pool.lock().push(buffer);
    }
}
