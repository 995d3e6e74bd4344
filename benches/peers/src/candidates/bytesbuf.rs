//! Microsoft's bytesbuf: `GlobalPool`, which has blocks of 16 KiB for buffers of 8. It makes its blocks by
//! itself, so it is filled by reserving and dropping as many as are wanted.

use bytesbuf::BytesBuf;
use bytesbuf::mem::GlobalPool;

use crate::strategy::{BUFFER_SIZE, Strategy};

pub(crate) struct Bytesbuf(GlobalPool);

impl Strategy for Bytesbuf {
    type Guard<'a> = BytesBuf;

    const ID: &'static str = "bytesbuf";
    const LABEL: &'static str = "bytesbuf (Microsoft)";

    fn new(buffers: usize) -> Self {
        let pool = Bytesbuf(GlobalPool::new());
        let reserved: Vec<_> = (0..buffers).map(|_| pool.acquire()).collect();
        drop(reserved);
        pool
    }

    #[inline(always)]
    fn acquire(&self) -> BytesBuf {
        self.0.reserve(BUFFER_SIZE)
    }

    #[inline(always)]
    fn write(guard: &mut BytesBuf, message: &[u8]) -> *const u8 {
        let bytes = guard.first_unfilled_slice();
        bytes[..message.len()].write_copy_of_slice(message).as_ptr()
    }
}
