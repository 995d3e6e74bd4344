//! The candidates: ours, the allocator, the peers, and what no pool can beat. One file each; each is used as
//! its documentation says, in the fastest way that makes sense.

pub(crate) mod allocator;
pub(crate) mod array_queue;
pub(crate) mod bytesbuf;
pub(crate) mod cloudflare;
pub(crate) mod floor;
pub(crate) mod heapless;
pub(crate) mod lockfree_object_pool;
pub(crate) mod mutex;
pub(crate) mod object_pool;
pub(crate) mod opool;
pub(crate) mod ours;
pub(crate) mod sharded_slab;
pub(crate) mod zeropool;

use crate::strategy::BUFFER_SIZE;

/// `buffers` buffers for a pool that takes them ready-made, each of them touched.
fn boxes(buffers: usize) -> impl Iterator<Item = Box<[u8]>> {
    (0..buffers).map(|_| vec![1; BUFFER_SIZE].into_boxed_slice())
}

/// Copies `message` to the start of `bytes`. Returns where it starts.
#[inline(always)]
fn write_start(bytes: &mut [u8], message: &[u8]) -> *const u8 {
    bytes[..message.len()].copy_from_slice(message);
    bytes.as_ptr()
}

/// Appends `message` to an empty vector. Returns where it starts.
#[inline(always)]
fn write_vector(bytes: &mut Vec<u8>, message: &[u8]) -> *const u8 {
    bytes.extend_from_slice(message);
    bytes.as_ptr()
}
