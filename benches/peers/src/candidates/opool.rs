//! opool's `Pool`, made with `new_prefilled`, and guards that borrow it, which its documentation recommends
//! over counted ones. Its vectors stay full, as in its own example, so nothing is cleared or zeroed.

use opool::{Pool, PoolAllocator, RefGuard};

use super::write_start;
use crate::strategy::{BUFFER_SIZE, Bounded, Strategy};

pub(crate) struct Buffers;

impl PoolAllocator<Box<[u8]>> for Buffers {
    #[inline(always)]
    fn allocate(&self) -> Box<[u8]> {
        vec![1; BUFFER_SIZE].into_boxed_slice()
    }
}

pub(crate) struct Opool(Pool<Buffers, Box<[u8]>>);

impl Strategy for Opool {
    type Guard<'a> = RefGuard<'a, Buffers, Box<[u8]>>;

    const ID: &'static str = "opool";
    const LABEL: &'static str = "opool";

    fn new(buffers: usize) -> Self {
        Opool(Pool::new_prefilled(buffers, Buffers))
    }

    #[inline(always)]
    fn acquire(&self) -> Self::Guard<'_> {
        self.0.get()
    }

    #[inline(always)]
    fn write(guard: &mut Self::Guard<'_>, message: &[u8]) -> *const u8 {
        write_start(guard, message)
    }
}

impl Bounded for Opool {
    #[inline(always)]
    fn try_acquire(&self) -> Option<Self::Guard<'_>> {
        self.0.try_get()
    }
}
