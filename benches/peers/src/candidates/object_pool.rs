//! object-pool's `Pool`, filled when it is made, and guards that borrow it: its documentation calls the owned
//! ones slower. Its buffers are slices, which need no clearing.

use object_pool::{Pool, Reusable};

use super::{boxes, write_start};
use crate::strategy::{BUFFER_SIZE, Bounded, Strategy};

pub(crate) struct ObjectPool(Pool<Box<[u8]>>);

impl Strategy for ObjectPool {
    type Guard<'a> = Reusable<'a, Box<[u8]>>;

    const ID: &'static str = "object-pool";
    const LABEL: &'static str = "object-pool";

    fn new(buffers: usize) -> Self {
        ObjectPool(Pool::from_vec(boxes(buffers).collect()))
    }

    #[inline(always)]
    fn acquire(&self) -> Self::Guard<'_> {
        self.0.pull(|| vec![1; BUFFER_SIZE].into_boxed_slice())
    }

    #[inline(always)]
    fn write(guard: &mut Self::Guard<'_>, message: &[u8]) -> *const u8 {
        write_start(guard, message)
    }
}

impl Bounded for ObjectPool {
    #[inline(always)]
    fn try_acquire(&self) -> Option<Self::Guard<'_>> {
        self.0.try_pull()
    }
}
