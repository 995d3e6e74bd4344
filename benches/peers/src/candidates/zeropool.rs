//! zeropool, by its fastest path, `alloc_uninit`, and by its safe default, `alloc`, which zeroes the buffer.
//!
//! Its caches for each thread get room for 64 buffers instead of the 2 that they have on a machine with two
//! cores: as many as ours keep, and as a workload holds.

use std::mem::MaybeUninit;

use zeropool::{Buf, BufUninit, ZeroPool};

use super::write_start;
use crate::strategy::{BUFFER_SIZE, Strategy};

const CACHED: usize = 64;

fn pool(buffers: usize) -> ZeroPool {
    let pool = ZeroPool::new().tls_cache_size(CACHED).max_buffers_per_class(buffers);
    pool.warm(buffers, BUFFER_SIZE);
    pool
}

pub(crate) struct Uninitialised(ZeroPool);

impl Strategy for Uninitialised {
    type Guard<'a> = BufUninit<'a>;

    const ID: &'static str = "zeropool-uninit";
    const LABEL: &'static str = "zeropool, `alloc_uninit`";

    fn new(buffers: usize) -> Self {
        Uninitialised(pool(buffers))
    }

    #[inline(always)]
    fn acquire(&self) -> BufUninit<'_> {
        self.0.alloc_uninit(BUFFER_SIZE)
    }

    #[inline(always)]
    fn write(guard: &mut BufUninit<'_>, message: &[u8]) -> *const u8 {
        let bytes: &mut [MaybeUninit<u8>] = guard.as_uninit_mut();
        bytes[..message.len()].write_copy_of_slice(message).as_ptr()
    }
}

pub(crate) struct Zeroed(ZeroPool);

impl Strategy for Zeroed {
    type Guard<'a> = Buf<'a>;

    const ID: &'static str = "zeropool-alloc";
    const LABEL: &'static str = "zeropool, `alloc` (zeroes)";

    fn new(buffers: usize) -> Self {
        Zeroed(pool(buffers))
    }

    #[inline(always)]
    fn acquire(&self) -> Buf<'_> {
        self.0.alloc(BUFFER_SIZE)
    }

    #[inline(always)]
    fn write(guard: &mut Buf<'_>, message: &[u8]) -> *const u8 {
        write_start(guard, message)
    }
}
